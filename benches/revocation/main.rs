//! Measures the time from a logout until the last node refuses the token: `cargo bench --bench
//! revocation --features redis,tokio-postgres`. Four node processes follow one log on a private
//! server. Each revokes a quarter of the tokens while it verifies, and reports when it refused each
//! token. The time runs from the moment before `revoke` is called on one node until `verify`
//! refuses on another.
//!
//! The module `demotion` measures a change of roles in the same way.
//!
//! The bench fails if a delay exceeds the bound of the view, if a token is refused before it is
//! revoked, or if a token is never refused. If the feature of a log is off, or its server is not
//! installed, the log is skipped with a printed reason.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench counts allocations, and fails by panicking"
)]

#[cfg(feature = "redis")]
mod demotion;
mod fleet;
#[path = "../harness/mod.rs"]
mod harness;
mod log;
mod node;
#[cfg(feature = "tokio-postgres")]
#[path = "../../tests/support/postgres_client.rs"]
mod postgres_client;
mod process;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use fleet::Fleet;
use harness::Row;
use harness::options::Options;
use log::Kind;

fn main() -> ExitCode {
    // The same program runs as each of the nodes.
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    #[cfg(feature = "redis")]
    if first.as_deref() == Some("demotion") {
        let strategy = arguments.next().expect("a strategy");
        let number = arguments.next().and_then(|number| number.parse().ok());
        let address = arguments.next().expect("the address of its server");
        demotion::run(&strategy, number.expect("a number"), address.as_ref());
        return ExitCode::SUCCESS;
    }
    if first.as_deref() == Some("node") {
        let kind = arguments.next().expect("a kind of log");
        let address = arguments.next().expect("the address of its server");
        node::run(&kind, &address);
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::of_bench() else {
        return ExitCode::SUCCESS;
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut is_asked_for = false;
    for kind in Kind::ALL {
        if !options.wants(kind.name()) {
            continue;
        }
        is_asked_for = true;
        if !kind.is_on() {
            let feature = kind.feature();
            println!(
                "skipped: {}: its feature is off (--features {feature})",
                kind.name()
            );
            continue;
        }
        // `None`, after printing the reason.
        if let Some(server) = kind.serve() {
            rows.extend(Fleet::start(kind, &server.address()).measure(&options));
        }
    }
    #[cfg(feature = "redis")]
    rows.extend(demotion::measure(&options));
    if rows.is_empty() && is_asked_for {
        return ExitCode::SUCCESS;
    }
    harness::finish(&rows, &options)
}
