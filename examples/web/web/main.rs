//! A page to see the difference between a session, a token, and both at once.
//!
//! ```text
//! cargo run --example web
//! ```
//!
//! and open the address that it prints. A port may follow: `cargo run --example web -- 8080`.
//! Everything is kept in memory, and time passes when you say so.

use std::error::Error;

use tokio::net::TcpListener;

mod site;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args()
        .nth(1)
        .map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, site::router()?).await?;
    Ok(())
}
