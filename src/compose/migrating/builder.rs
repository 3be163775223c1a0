//! The configuration of a migration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::Authenticator;
use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::compose::migrating::authenticator::Migrating;
use crate::error::{Error, Result};

/// For how long an exchanged credential works on.
const OVERLAP: Duration = Duration::from_secs(60);

/// A complete configuration: [`build`](Self::build) it, or go on.
#[must_use = "a builder does nothing until it is built"]
pub struct MigratingBuilder<Old, New> {
    old: Old,
    new: New,
    overlap: Duration,
    clock: Arc<dyn Clock>,
}

impl<Old, New> Migrating<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    /// Verifies what `old` and `new` issue, and issues what `new` does. Both directions are alike.
    pub fn builder(old: Old, new: New) -> MigratingBuilder<Old, New> {
        MigratingBuilder {
            old,
            new,
            overlap: OVERLAP,
            clock: Arc::new(SystemClock),
        }
    }
}

impl<Old, New> MigratingBuilder<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    /// For how long an old credential works on after it was exchanged, in whole seconds: for
    /// requests that are under way, and for clients that the answer did not reach. Default: a
    /// minute.
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// Tells the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do: one of the two takes credentials of the other for its own, or
    /// does not say what its own [look like](Authenticator::sample_credentials); an overlap below one second.
    pub fn build(self) -> Result<Migrating<Old, New>> {
        let (old, new) = (self.old.sample_credentials(), self.new.sample_credentials());
        if old.is_empty() || new.is_empty() {
            return Err(Error::misuse(
                "an authenticator does not say what its credentials look like, so that nobody can \
                 tell them from others: implement `Authenticator::sample_credentials`",
            ));
        }
        let overlaps = old.iter().any(|shape| self.new.is_well_formed(shape))
            || new.iter().any(|shape| self.old.is_well_formed(shape));
        if overlaps {
            return Err(Error::misuse(
                "the old and the new strategy issue credentials of one shape, so that nobody can \
                 tell them apart: give new tokens a key of their own; sessions cannot move into \
                 sessions like this",
            ));
        }
        let overlap = whole_seconds("overlap of a migration", self.overlap)?;
        Ok(Migrating::new(self.old, self.new, overlap, self.clock))
    }
}

impl<Old: fmt::Debug, New: fmt::Debug> fmt::Debug for MigratingBuilder<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigratingBuilder")
            .field("old", &self.old)
            .field("new", &self.new)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}
