//! Private servers: each in a fresh temporary folder, on a unix socket, and removed with the test.
//! ```ignore
//! mod support;
//! use support::servers::redis::Redis;
//!
//! One for the whole test binary. It ends with the process, because a static is never dropped.
//! static SERVER: OnceLock<Option<Redis>> = OnceLock::new();
//!
//! `None`, after printing the reason, if this machine has no such server.
//! let Some(server) = SERVER.get_or_init(Redis::start) else { return };
//! ```
//!
//! The `block_on` that you pass to `session_store_laws!` skips laws on a missing server: it need
//! not run the future. With `STATEWISE_REQUIRE_SERVERS=1` a missing server is a failure.

pub(crate) mod find;
pub(crate) mod guard;
pub(crate) mod mariadb;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod postgres_pair;
pub(crate) mod redis;
pub(crate) mod replicated;
pub(crate) mod resp;
pub(crate) mod sql;

use std::time::{Duration, Instant};

/// Time limit for every act of a server. Generous, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats a question until the answer is yes. `Err` with the last answer if it never is.
pub(crate) fn wait_until<E>(mut holds: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let begun = Instant::now();
    loop {
        match holds() {
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
            Ok(()) => return Ok(()),
        }
    }
}

/// Prints why a test is skipped, or fails if servers are required.
pub(crate) fn skip<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var_os("STATEWISE_REQUIRE_SERVERS").is_none_or(|value| value != "1"),
        "{why}, and STATEWISE_REQUIRE_SERVERS=1 asks for it"
    );
    println!("skipped: {why}");
    None
}
