//! Needs nothing but a file: `cargo run --features redb --example redb`, twice. Sessions survive
//! the restart in between.
//!
//! The first run logs a user in and keeps the credential in a file beside, as a browser keeps a
//! cookie. The second one finds the session again, and logs out. The folder can be named as an
//! argument; otherwise it is one in the temporary folder.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use statewise::session::SessionAuthenticator;
use statewise::store::RedbStore;
use statewise::testkit::block_on;
use statewise::{Authenticator, Login};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).map_or_else(
        || env::temp_dir().join("statewise-example-redb"),
        PathBuf::from,
    );
    fs::create_dir_all(&folder)?;
    let cookie = folder.join("cookie.txt");

    // One process at a time: a second one would be told so here.
    let store = RedbStore::open(folder.join("sessions.redb"))?;
    block_on(async {
        store.require_durable().await?;
        let auth = SessionAuthenticator::builder(store)
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
    println!("the session is in the file by now, whatever happens: run this again");
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
        // It was left alone for longer than the idle time.
        Err(error) if error.is_rejected() => println!("the session is over: {error}"),
        Err(error) => return Err(error.into()),
    }
    let effect = auth.revoke(credential).await?;
    let refused = auth.verify(credential).await.is_err();
    println!("logged out ({effect:?}); refused from now on: {refused}");
    fs::remove_file(cookie)?;
    println!("run this again to log in anew");
    Ok(())
}
