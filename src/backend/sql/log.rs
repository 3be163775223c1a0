//! Common parts of the logs: one row that counts, and one row for each entry.
//!
//! An append takes its positions from the counter, and locks it until the commit. Positions
//! therefore have no gaps, and their order is that of the commits. A sequence of the database would
//! hand out a position before its entry can be read, and a reader would skip the entry.

use std::error::Error as StdError;
use std::time::Duration;

use crate::backend::sql::failure::Failure;
use crate::clock::Timestamp;
use crate::entropy::{self, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::log::MARGIN;

/// Nonce in the counter of an empty log. Its mark is zero.
pub(crate) const NO_NONCE: [u8; 16] = [0; 16];

/// Fact of an expired entry that was not removed yet, in hexadecimal digits:
/// [`Fact::Nothing`](crate::revocation::log::Fact).
pub(crate) const NOTHING: &str = "0600000000000000000000000000000000000000000000000000";

/// *Unavailable*: the log did not answer, because of `cause`.
pub(crate) fn log_unavailable(cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::could_not("the revocation log could not answer", Some(Box::new(cause)))
}

/// *Misuse* for a missing right, otherwise *unavailable*.
pub(crate) fn log_failed(failure: Failure) -> Error {
    match failure {
        Failure::Denied(_) => failure.into(),
        failure => log_unavailable(failure),
    }
}

/// *Unavailable*: there is no counter, and none could be created.
pub(crate) fn without_counter() -> Error {
    Error::could_not("the revocation log has lost its counter", None)
}

/// Draws a random id for a newly created log.
pub(crate) fn new_incarnation() -> Result<i64> {
    let drawn = u64::from_be_bytes(entropy::draw(&SystemEntropy)?);
    Ok(Stamp::new(drawn, 0, 0).incarnation().cast_signed())
}

/// Returns the maximum number of expired entries that an append of `appended` entries removes.
pub(crate) fn max_trimmed(appended: usize) -> i64 {
    i64::try_from(appended.saturating_mul(2).saturating_add(16)).unwrap_or(i64::MAX)
}

/// Returns the seconds for which an entry is kept.
pub(crate) fn stay_secs(life: Duration) -> i64 {
    // At most the latest time, so that the sum of two fits.
    let seconds = life.saturating_add(MARGIN).as_secs();
    seconds.min(Timestamp::MAX.unix()).cast_signed()
}
