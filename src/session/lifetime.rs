//! How long a login lasts: two clocks, and the first to run out ends it.

use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::error::{Error, Result};
use crate::store::record::touch_interval;

/// The idle and the absolute lifetime of a login, in seconds (OWASP ASVS 7.3.1, 7.3.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    idle: u64,
    absolute: u64,
}

impl Lifetime {
    pub(crate) fn new(idle: Duration, absolute: Duration) -> Result<Self> {
        let idle = clock::whole_seconds("idle lifetime", idle)?;
        let absolute = clock::whole_seconds("absolute lifetime", absolute)?;
        if idle > absolute {
            return Err(Error::misuse(
                "the idle lifetime is longer than the absolute one and would never be reached: \
                 shorten it",
            ));
        }
        Ok(Self { idle, absolute })
    }

    pub(crate) fn idle(self) -> u64 {
        self.idle
    }

    /// The deadline of a login whose user proved who they are at `authenticated_at`.
    pub(crate) fn deadline(self, authenticated_at: Timestamp) -> Timestamp {
        authenticated_at.saturating_add(self.absolute)
    }

    /// How long after a noted use another one need not be noted.
    pub(crate) fn touch_interval(self) -> Duration {
        touch_interval(self.idle)
    }
}
