//! The builder of a migration.

use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::Authenticator;
use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::compose::either::Either;
use crate::compose::migrating::authenticator::Migrating;
use crate::error::Result;

/// Builder of a [`Migrating`] authenticator.
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`overlap`](Self::overlap) | 60 s | requests that are under way, and clients that the answer did not reach |
/// | [`clock`](Self::clock) | [`SystemClock`] | |
///
/// ```
/// use std::time::Duration;
/// use statewise::Authenticator;
/// use statewise::migrating::Migrating;
///
/// fn migrate<Old, New>(old: Old, new: New) -> statewise::Result<Migrating<Old, New>>
/// where
///     Old: Authenticator,
///     New: Authenticator<Data = Old::Data>,
/// {
///     // Clients on mobile networks may repeat a request after two minutes.
///     Migrating::builder(old, new)
///         .overlap(Duration::from_secs(120))
///         .build()
/// }
/// ```
#[derive(Debug)]
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
    /// Starts the configuration of an authenticator that verifies the credentials of `old` and
    /// `new`, and issues those of `new`. The two must have credentials of different forms: two kinds
    /// of sessions, or two hybrids, are refused by [`build`](MigratingBuilder::build).
    pub fn builder(old: Old, new: New) -> MigratingBuilder<Old, New> {
        MigratingBuilder {
            old,
            new,
            overlap: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
        }
    }
}

impl<Old, New> MigratingBuilder<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    /// Time for which an old credential stays valid after its upgrade, in whole seconds. Default:
    /// 60 s.
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// Source of the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the configuration and builds the authenticator.
    ///
    /// # Errors
    ///
    /// *Misuse*, with what to do: credentials of one strategy are well-formed for the other; a
    /// strategy returns no [sample credentials](Authenticator::sample_credentials); an overlap
    /// below one second, or longer than the grace of old sessions with
    /// [`reject_orphaned`](crate::session::SessionBuilder::reject_orphaned).
    pub fn build(self) -> Result<Migrating<Old, New>> {
        let either = Either::builder(self.new, self.old).any_place().build()?;
        let overlap = whole_seconds("overlap of a migration", self.overlap)?;
        let (_, old) = either.strategies();
        old.check_overlap(self.overlap)?;
        Ok(Migrating::new(either, overlap, self.clock))
    }
}
