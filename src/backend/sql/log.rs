//! Logs in SQL databases: one row that counts, and one row for each entry.
//!
//! Positions come from the row that counts, which an append locks until it is committed: so they
//! have no gaps, and the order of positions is that of commits. A sequence of the database would
//! give a position out before its entry can be read, and a reader would go past it.

#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod append;
pub(crate) mod page;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod statements;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod tables;

use std::error::Error as StdError;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::entropy::{self, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::log::MARGIN;

/// The default name of the table of entries.
pub(crate) const TABLE: &str = "statewise_revocations";
/// What is behind the name of the table of entries in that of the table of the row that counts.
pub(crate) const HEAD: &str = "_head";
/// The nonce of the last entry where there was none: its mark is zero.
pub(crate) const NO_NONCE: [u8; 16] = [0; 16];

/// What an entry is read as that has had its time: [`Fact::Nothing`](crate::revocation::log::Fact) in
/// its stored form, in hexadecimal digits.
pub(crate) const NOTHING: &str = "0600000000000000000000000000000000000000000000000000";

/// *Unavailable*: the log, because of `cause`.
pub(crate) fn unanswered(cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::could_not("the revocation log could not answer", Some(Box::new(cause)))
}

/// *Unavailable*: there is no row that counts, and none could be made.
pub(crate) fn without_head() -> Error {
    Error::could_not("the revocation log has lost its head", None)
}

/// What a log that begins is told from every other by.
pub(crate) fn new_incarnation() -> Result<i64> {
    let drawn = u64::from_be_bytes(entropy::draw(&SystemEntropy)?);
    Ok(Stamp::new(drawn, 0, 0).incarnation().cast_signed())
}

/// Entries that an append of so many looks at, at most, to let them go.
pub(crate) fn window(appended: usize) -> i64 {
    i64::try_from(appended.saturating_mul(2).saturating_add(16)).unwrap_or(i64::MAX)
}

/// Seconds for which an entry stays.
pub(crate) fn stay(life: Duration) -> i64 {
    // No time is later than the latest: a sum of two fits.
    let seconds = life
        .saturating_add(MARGIN)
        .as_secs()
        .min(Timestamp::MAX.unix());
    seconds.cast_signed()
}
