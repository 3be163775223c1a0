//! Sessions on a server, beside what others offer: `cargo run --release --manifest-path
//! benches/compare/Cargo.toml --features stores --bin stores`. Options: `--quick`, `--json FILE`,
//! `--filter TEXT`.
//!
//! Each store verifies a session and extends it, from the value of the cookie to a typed user.
//! Redis and Postgres are private servers without disk sync, the same for all. The other stores
//! write on each request; ours records a use once per eighth of the idle timeout. Two cases are
//! measured: every use is recorded, the worst case for a store, and one use in eight.

#[path = "../../../stores/site.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a part of it, which fails by panicking"
)]
mod site;

#[path = "../../../harness/mod.rs"]
mod harness;
mod postgres;
mod redis;
#[path = "../../../../tests/support/mod.rs"]
mod support;
mod tower;
#[path = "../versions.rs"]
mod versions;

use harness::machine;
use harness::options::Options;
use serde::{Deserialize, Serialize};

const EACH: &str = "statewise, each use noted";
const ONE_OF_EIGHT: &str = "statewise, one use of eight noted";
/// Sessions of each library.
const SESSIONS: usize = 4_096;

/// The data that other libraries keep for a user.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct User {
    sub: String,
    roles: Vec<String>,
}

fn user(number: usize) -> User {
    User {
        sub: format!("user_{number:07}"),
        roles: vec!["admin".to_owned(), "editor".to_owned()],
    }
}

fn main() {
    // With it, one of the libraries would capture a backtrace for every rejection.
    // SAFETY: there is no other thread yet.
    unsafe {
        std::env::remove_var("RUST_BACKTRACE");
        std::env::remove_var("RUST_LIB_BACKTRACE");
    }
    let options = Options::from_command_line();
    versions::record(&[
        "actix-session",
        "axum_session",
        "redis",
        "sqlx",
        "tokio-postgres",
        "tower-sessions-redis-store",
        "tower-sessions-sqlx-store",
    ]);
    let mut rows = redis::run(&options);
    rows.extend(postgres::run(&options));
    if let Some(file) = &options.json {
        std::fs::write(file, harness::json(&rows)).expect("the JSON file can be written");
    }
}
