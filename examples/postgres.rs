//! Needs a Postgres: `docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres`
//!
//! Two nodes of one service share sessions in Postgres, each through its own pool. A login on one
//! node is valid on the other, and a logout ends it on both.
//!
//! ```text
//! export DATABASE_URL=postgres://postgres:secret@localhost/postgres
//! cargo run --example postgres --features sqlx-postgres
//! ```

use std::error::Error;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use statewise::session::SessionAuthenticator;
use statewise::store::postgres::Sqlx;
use statewise::store::{Postgres, PostgresStore};
use statewise::{Authenticator, Login};

type Auth = SessionAuthenticator<PostgresStore<Sqlx>>;

/// The setup of each node.
async fn start(url: &str) -> Result<Auth, Box<dyn Error>> {
    let pool: PgPool = PgPoolOptions::new().max_connections(5).connect(url).await?;
    let db = Postgres::over(pool).table("statewise_example").build()?;
    // Idempotent, and safe to run on many nodes at once.
    db.migrate().await?;
    // Refuses a server that may lose a logout in a crash.
    db.require_durable().await?;
    let auth = SessionAuthenticator::builder(db.sessions())
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    // Sweeps expired rows, and writes uses behind the read.
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    Ok(auth)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        println!("DATABASE_URL is not set, so there is nothing to show. Start a Postgres:\n");
        println!("  docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres\n");
        println!("and then:\n");
        println!("  export DATABASE_URL=postgres://postgres:secret@localhost/postgres");
        println!("  cargo run --example postgres --features sqlx-postgres");
        return Ok(());
    };
    let (one, two) = (start(&url).await?, start(&url).await?);

    let issued = one.issue(Login::new("alice").role("admin")).await?;
    let credential = issued.credential().reveal();
    println!("one:  {} logged in", issued.identity().subject());

    let caller = two.verify(credential).await?;
    println!(
        "two:  {} is calling, {:?}",
        caller.subject(),
        caller.roles().collect::<Vec<_>>()
    );

    let ended = two.revoke(credential).await?;
    println!("two:  logged out, effective: {ended:?}");

    match one.verify(credential).await {
        Err(error) => println!("one:  {error}"),
        Ok(_) => return Err("a login outlived its logout".into()),
    }
    Ok(())
}
