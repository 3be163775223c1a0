//! A page to see the difference between a session, a token, and both at once.
//!
//! ```text
//! cargo run --example web
//! ```
//!
//! and open the address that it prints. A port may follow: `cargo run --example web -- 8080`.
//! Everything is kept in memory; time passes, and the store stops, when you say so.

use std::error::Error;

#[path = "../serve.rs"]
mod serve;
mod site;
mod store;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Ok(serve::serve(site::router()?).await?)
}
