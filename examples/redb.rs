//! Sessions in a file survive a restart. Run it twice: `cargo run --features redb --example redb`.
//!
//! The first run logs a user in, and stores the credential in a second file, as a browser stores a
//! cookie. The second run finds the session again and logs out. Pass a folder as the argument, or
//! use the default in the temporary folder.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use statewise::session::SessionAuthenticator;
use statewise::store::{Redb, RedbStore};
use statewise::testkit::block_on;
use statewise::{Authenticator, Login};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).map_or_else(
        || env::temp_dir().join("statewise-example-redb"),
        PathBuf::from,
    );
    fs::create_dir_all(&folder)?;
    let cookie = folder.join("cookie.txt");

    // Fails if another process has the file open.
    let redb = Redb::open(folder.join("sessions.redb")).build()?;
    block_on(async {
        redb.require_durable().await?;
        let auth = SessionAuthenticator::builder(redb.sessions())
            .idle(Duration::from_secs(30 * 60))
            .absolute(Duration::from_secs(12 * 3600))
            .build()?;
        match fs::read_to_string(&cookie) {
            Ok(credential) => second_run(&auth, &credential, &cookie).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                first_run(&auth, &cookie).await
            }
            Err(error) => Err(error.into()),
        }
    })
}

type Sessions = SessionAuthenticator<RedbStore>;

async fn first_run(auth: &Sessions, cookie: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let issued = auth
        .issue(Login::new("alice").role("admin").device("terminal"))
        .await?;
    fs::write(cookie, issued.credential().reveal())?;
    println!("logged in as alice, session {}", issued.identity().id());
    println!("the session is on the disk now: run this again");
    Ok(())
}

async fn second_run(
    auth: &Sessions,
    credential: &str,
    cookie: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    match auth.verify(credential).await {
        Ok(caller) => println!(
            "after a restart still {}, {}, session {}",
            caller.subject(),
            if caller.has_role("admin") {
                "an admin"
            } else {
                "a user"
            },
            caller.id()
        ),
        // More than the idle timeout has passed since the first run.
        Err(error) if error.is_rejected() => println!("the session has expired: {error}"),
        Err(error) => return Err(error.into()),
    }
    let effect = auth.revoke(credential).await?;
    let rejected = auth.verify(credential).await.is_err();
    println!("logged out ({effect:?}); rejected from now on: {rejected}");
    fs::remove_file(cookie)?;
    println!("run this again to log in again");
    Ok(())
}
