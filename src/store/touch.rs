//! How a use is noted.

/// Into how many parts the idle time is cut: a use is noted at most once in each.
const TOUCHES_PER_IDLE: u64 = 8;

/// How a [`load`](crate::store::contract::SessionStore::load) notes the use that it is part of.
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
