//! Start a server with `redis-server --port 6379`, then: `REDIS_URL=redis://127.0.0.1:6379 cargo run --example redis --features redis`.
//!
//! Two processes share their sessions: one logs a user in and out, and the other one verifies.

use std::process::Command;
use std::time::Duration;

use statewise::session::SessionAuthenticator;
use statewise::store::{Redis, RedisStore};
use statewise::{Authenticator, Login};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Sessions = SessionAuthenticator<RedisStore<redis::aio::ConnectionManager>>;

/// Connects to the server, in both processes.
async fn connect(url: &str) -> Result<Sessions, Failure> {
    let connection = redis::Client::open(url)?.get_connection_manager().await?;
    let redis = Redis::over(connection)
        .prefix("statewise-example:")
        .build()?;
    // If a crash must not undo a logout, call `redis.require_durable()` here.
    println!("  survives a crash: {:?}", redis.durability().await?.crash);
    Ok(SessionAuthenticator::builder(redis.sessions())
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?)
}

/// Verifies a credential, in the other process.
async fn verify(url: &str, credential: &str) -> Result<(), Failure> {
    match connect(url).await?.verify(credential).await {
        Ok(caller) => println!("  other process: hello, {}", caller.subject()),
        Err(error) => println!("  other process: {error}"),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Ok(url) = std::env::var("REDIS_URL") else {
        println!("REDIS_URL is not set. Start a server with `redis-server --port 6379`, and set");
        println!("REDIS_URL=redis://127.0.0.1:6379");
        return Ok(());
    };
    if let Ok(credential) = std::env::var("CREDENTIAL") {
        return verify(&url, &credential).await;
    }
    let other_process = |credential: &str| {
        let mut process = Command::new(std::env::current_exe()?);
        process.env("CREDENTIAL", credential).status().map(drop)
    };

    println!("this process: logs alice in");
    let auth = connect(&url).await?;
    let issued = auth.issue(Login::new("alice")).await?;
    other_process(issued.credential().reveal())?;

    println!("this process: logs her out, with effect at once");
    let _ = auth.revoke(issued.credential().reveal()).await?;
    other_process(issued.credential().reveal())?;
    Ok(())
}
