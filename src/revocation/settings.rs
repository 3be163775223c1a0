//! Configuration of a revocation view.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Clock, SystemClock, Timestamp};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::Result;
use crate::revocation::fact::{Draft, Fact};

/// Configuration of a revocation view; the builder checks it.
#[derive(Debug)]
pub(super) struct Settings {
    /// Whole seconds, at least two.
    pub(super) bound: Duration,
    /// Whole seconds.
    pub(super) max_lifetime: Duration,
    pub(super) capacity: usize,
    pub(super) poll: Duration,
    pub(super) accept_when_stale: bool,
    pub(super) accept_other_incarnations: bool,
    pub(super) fenced: bool,
    /// The log may only be read.
    pub(super) read_only: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Settings {
    /// The defaults.
    pub(super) fn new(max_lifetime: Duration) -> Self {
        Self {
            bound: Duration::from_secs(5),
            max_lifetime,
            capacity: 100_000,
            poll: Duration::from_millis(25),
            accept_when_stale: false,
            accept_other_incarnations: false,
            fenced: false,
            read_only: false,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Reads the clock.
    pub(super) fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.clock)
    }

    /// Seconds for which a complete read counts, from when it was sent: one less than the bound,
    /// because both readings of the clock are rounded down.
    pub(super) fn fresh_secs(&self) -> u64 {
        self.bound.as_secs() - 1
    }

    /// Seconds between two fences of this node.
    pub(super) fn fence_secs(&self) -> Option<u64> {
        let writes = self.fenced && !self.read_only;
        writes.then_some((self.bound.as_secs() / 4).max(1))
    }

    /// Drafts of `facts`, all with the same life.
    pub(super) fn drafts(
        &self,
        facts: impl IntoIterator<Item = Fact>,
        life: Duration,
    ) -> Result<Vec<Draft>> {
        let facts = facts.into_iter();
        facts
            .map(|fact| Draft::new(fact, life, &*self.entropy))
            .collect()
    }
}
