//! How long a login lasts: two clocks, and the first to run out ends it.

use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::error::{Error, Result};

/// Into how many parts the idle time is cut: a use is noted at most once in each.
const TOUCHES_PER_IDLE: u64 = 8;

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

    pub(crate) fn touch(self) -> Touch {
        Touch { idle: self.idle }
    }
}

/// How a [`load`](crate::session::SessionStore::load) notes the use that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    idle: u64,
}

impl Touch {
    /// Notes a use of a login that lasts `idle` seconds without one.
    #[must_use]
    pub const fn new(idle: u64) -> Self {
        Self { idle }
    }

    /// Seconds without use after which the login is over by the policy of now. The record may
    /// say less; the shorter one counts.
    #[must_use]
    pub const fn idle(self) -> u64 {
        self.idle
    }

    /// Seconds after a noted use in which another one need not be noted.
    ///
    /// A login may therefore end this much early, and never late.
    #[must_use]
    pub const fn throttle(self) -> u64 {
        let throttle = self.idle / TOUCHES_PER_IDLE;
        if throttle == 0 { 1 } else { throttle }
    }
}
