//! What a view goes by.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::entropy::Entropy;

/// What a view goes by.
pub(crate) struct Settings {
    pub(crate) bound: Duration,
    /// Whole seconds after the sending of a read for which it counts. One less than the bound, as
    /// both readings of the clock are rounded down.
    pub(crate) fresh_for: u64,
    pub(crate) longest: u64,
    pub(crate) capacity: usize,
    pub(crate) poll: Duration,
    pub(crate) accept_when_stale: bool,
    pub(crate) accept_other_incarnations: bool,
    /// Seconds between two proofs that the log takes writes.
    pub(crate) fence_every: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}
