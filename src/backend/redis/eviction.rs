//! Evictions by the server, which may take the index of a subject and leave its rows.

use std::sync::atomic::Ordering;

use crate::backend::redis::Redis;
use crate::backend::redis::link::unexpected;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Evictions that a server reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// It has evicted no key since its start, and its policy allows none.
    Never,
    /// Its policy allows evictions.
    Allowed,
    /// It has evicted keys since its start.
    Happened,
    /// It does not report it.
    Unknown,
}

impl Eviction {
    /// Parses the answer of `eviction.lua`.
    pub(crate) fn of(answer: &[u8]) -> Result<Self> {
        Ok(match answer {
            b"never" => Self::Never,
            b"allowed" => Self::Allowed,
            b"happened" => Self::Happened,
            b"unknown" => Self::Unknown,
            _ => return Err(unexpected()),
        })
    }

    /// Returns why an index cannot be relied on, and the setting to change; `None` if it can. With
    /// `assume`, *unknown* counts as never.
    pub(crate) fn problem(self, assume: bool) -> Option<&'static str> {
        match self {
            Self::Never => None,
            Self::Allowed => Some(
                "the Redis server may evict the list of a user's logins and keep the logins: set \
                 its `maxmemory-policy` to `noeviction`",
            ),
            Self::Happened => Some(
                "the Redis server has evicted keys since its start, maybe lists of users' logins: \
                 set its `maxmemory-policy` to `noeviction`, delete all keys with the prefix of \
                 the store, and run `CONFIG RESETSTAT`",
            ),
            Self::Unknown if assume => None,
            Self::Unknown => Some(
                "the Redis server does not report whether it evicts keys: permit `INFO`, or set \
                 `assume_durable` if its `maxmemory-policy` is `noeviction`",
            ),
        }
    }
}

impl<C> Redis<C> {
    /// # Errors
    ///
    /// *Unavailable* if an index cannot be relied on, by the answer of `eviction.lua`.
    pub(crate) fn require_index(&self, answer: &[u8]) -> Result<()> {
        let problem = Eviction::of(answer)?.problem(self.assume_durable);
        problem.map_or(Ok(()), |what| Err(Error::unavailable(what)))
    }

    /// Returns whether a login without a limit asks the server about evictions. It does not rely on
    /// the index, so once per second suffices, to name a wrong policy before the first logout.
    pub(crate) fn asks_for_eviction(&self, now: Timestamp) -> bool {
        self.asked_at.load(Ordering::Relaxed) != now.unix()
    }

    pub(crate) fn note_no_eviction(&self, now: Timestamp) {
        self.asked_at.store(now.unix(), Ordering::Relaxed);
    }
}
