//! Each store against the raw client of its database, in one process: `cargo bench --bench stores
//! --all-features`.
//!
//! A backend adds a module with one function, which measures what [`ACTS`] names and returns the
//! rows, and its line in `main`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench counts allocations, and fails by panicking"
)]

mod harness;
#[cfg(feature = "redb")]
#[path = "stores/redb.rs"]
mod redb_store;

use harness::Row;
use harness::options::Options;

/// What is measured of each backend, each as a group of its own named `BACKEND ACT`.
pub const ACTS: [&str; 4] = ["verify", "sliding verify", "issue", "revoke"];

fn main() {
    let options = Options::from_command_line();
    let mut rows: Vec<Row> = Vec::new();
    #[cfg(feature = "redb")]
    rows.extend(redb_store::measure(&options));
    if rows.is_empty() {
        println!("no backend is built in: name its feature, or --all-features");
    }
    if let Some(file) = &options.json {
        std::fs::write(file, harness::json(&rows)).expect("the JSON file can be written");
    }
}
