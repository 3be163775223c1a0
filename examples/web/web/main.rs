//! Page that shows the difference between sessions, tokens, and a hybrid of both, and the power of a
//! thief with a stolen credential.
//!
//! ```text
//! cargo run --example web
//! ```
//!
//! Open the address that it prints. You can choose a port: `cargo run --example web -- 8080`. All
//! data is in memory. Buttons on the page advance the clock and stop the store.

use std::error::Error;

mod panels;
mod reasons;
#[path = "../serve.rs"]
mod serve;
mod site;
mod store;
mod strategies;
mod thief;
mod world;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Ok(serve::serve(site::router()?).await?)
}
