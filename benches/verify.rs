//! Our verify paths, each against its floor: `cargo bench --bench verify`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench counts allocations, and fails by panicking"
)]

use std::process::ExitCode;

#[path = "verify/account.rs"]
mod account;
mod floor;
mod harness;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[path = "verify/public.rs"]
mod public;
#[path = "verify/revocation.rs"]
mod revocation;
#[path = "verify/sessions.rs"]
mod sessions;
#[path = "verify/tokens.rs"]
mod tokens;

use harness::options::Options;

fn main() -> ExitCode {
    let Some(options) = Options::of_bench() else {
        return ExitCode::SUCCESS;
    };
    let mut rows = tokens::measure(&options);
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    rows.extend(public::measure(&options));
    rows.extend(revocation::measure(&options));
    let most = match (options.quick, options.large) {
        (_, true) => 10_000_000,
        (true, false) => 100_000,
        (false, false) => 1_000_000,
    };
    for count in [1_000, 100_000, 1_000_000, 10_000_000] {
        if count <= most {
            rows.extend(sessions::measure(count, &options));
        }
    }
    harness::finish(&rows, &options)
}
