//! The same work with what others offer: `cargo run --release --manifest-path
//! benches/compare/Cargo.toml`. Options: `--quick`, `--json FILE`, `--svg FOLDER`, `--filter TEXT`.
//!
//! A million sessions in each of the libraries take some 6 GB.

mod by_hand;
mod chart;
#[path = "../../floor/mod.rs"]
mod floor;
#[path = "../../harness/mod.rs"]
mod harness;
mod layers;
mod public;
mod sessions;
mod tokens;
mod versions;

use std::process::ExitCode;

use harness::machine;
use harness::options::Options;

fn main() -> ExitCode {
    // With it, one of the libraries would capture a backtrace for every rejection.
    // SAFETY: there is no other thread yet.
    unsafe {
        std::env::remove_var("RUST_BACKTRACE");
        std::env::remove_var("RUST_LIB_BACKTRACE");
    }
    let options = Options::from_command_line();
    versions::record(&[
        "async-session",
        "axum",
        "axum_session",
        "jsonwebtoken",
        "jwt",
        "jwt-compact",
        "jwt-simple",
        "tower-sessions",
        "tower-sessions-moka-store",
    ]);
    let counts: &[usize] = if options.quick {
        &[1_000, 10_000]
    } else {
        &[1_000, 10_000, 100_000, 1_000_000]
    };
    let mut rows = tokens::run(&options);
    rows.extend(public::run(&options));
    rows.extend(layers::run(&options));
    for count in counts {
        rows.extend(sessions::run(*count, &options));
    }
    if let Some(folder) = &options.svg {
        chart::draw(&rows, folder).expect("the charts can be drawn");
    }
    harness::finish(&rows, &options)
}
