//! Revocation log in the memory of this process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::entropy::{self, Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Entry};
use crate::revocation::log::{MARGIN, Page, RevocationLog};

/// Revocation log in the memory of this process, for a service with one node, and for tests. Share
/// it in an [`Arc`](std::sync::Arc).
///
/// The log ends with the process. The next process has a log with another incarnation, which
/// rejects the tokens of the previous one.
///
/// ```
/// use statewise::revocation::MemoryLog;
///
/// let log = MemoryLog::new()?;
/// assert!(log.is_empty());
/// # Ok::<(), statewise::Error>(())
/// ```
pub struct MemoryLog {
    inner: Mutex<Inner>,
}

struct Inner {
    incarnation: u64,
    /// Position of the first entry, or of the next one if the log is empty.
    first: u64,
    /// The entries, each with the time at which it expires.
    entries: VecDeque<(Entry, Timestamp)>,
    /// Mark of the last entry, even after that has expired.
    mark: u32,
    fences: u64,
    capacity: usize,
}

impl Inner {
    fn head(&self) -> Stamp {
        Stamp::new(
            self.incarnation,
            self.first - 1 + self.entries.len() as u64,
            self.mark,
        )
    }

    /// Removes expired entries from the front.
    fn trim(&mut self, now: Timestamp) {
        while self.entries.front().is_some_and(|(_, until)| *until <= now) {
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

impl MemoryLog {
    /// Default of [`capacity`](Self::capacity).
    const DEFAULT_CAPACITY: usize = 1_000_000;

    /// Creates an empty log with a random incarnation and room for 1 000 000 entries.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the operating system gives no random bytes.
    pub fn new() -> Result<Self> {
        Self::with_entropy(&SystemEntropy)
    }

    /// Creates an empty log with an incarnation from `entropy`.
    ///
    /// # Errors
    ///
    /// The error of `entropy`.
    pub fn with_entropy(entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self {
            inner: Mutex::new(Inner {
                incarnation: u64::from_be_bytes(entropy::draw(entropy)?),
                first: 1,
                entries: VecDeque::new(),
                mark: 0,
                fences: 0,
                capacity: Self::DEFAULT_CAPACITY,
            }),
        })
    }

    /// Sets the maximum number of entries. A full log refuses to append. Default: 1 000 000.
    #[must_use]
    pub fn capacity(self, entries: usize) -> Self {
        self.lock().capacity = entries;
        self
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Returns whether the log has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No foreign code runs under the lock, so a panic cannot leave the log half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loses the last `count` entries, like a replica that lags behind and becomes the primary.
    #[cfg(any(test, feature = "testkit"))]
    pub fn lose(&self, count: usize) {
        let mut inner = self.lock();
        let left = inner.entries.len().saturating_sub(count);
        inner.entries.truncate(left);
        let last = inner.entries.back();
        inner.mark = last.map_or(0, |(entry, _)| entry.nonce.mark());
    }

    /// Loses all entries and starts over, like a server that restarts without its data.
    #[cfg(any(test, feature = "testkit"))]
    pub fn start_over(&self, incarnation: u64) {
        let mut inner = self.lock();
        inner.entries.clear();
        inner.first = 1;
        inner.mark = 0;
        inner.incarnation = incarnation;
    }
}

impl RevocationLog for MemoryLog {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        let mut inner = self.lock();
        inner.trim(now);
        if inner.entries.len() + facts.len() > inner.capacity {
            return Err(Error::could_not(
                "the revocation log is full: raise its capacity",
                None,
            ));
        }
        for draft in facts {
            let entry = Entry::new(inner.head().position() + 1, *draft);
            let until = now.saturating_add(draft.life.saturating_add(MARGIN).as_secs());
            inner.entries.push_back((entry, until));
            inner.mark = entry.nonce.mark();
        }
        Ok(inner.head())
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        Ok(self.lock().head())
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        let inner = self.lock();
        let skipped = usize::try_from(from.saturating_sub(inner.first)).unwrap_or(usize::MAX);
        let rest = inner.entries.len().saturating_sub(skipped);
        let taken = rest.min(limit.max(1));
        let entries = inner.entries.iter().skip(skipped).take(taken);
        Ok(Page::new(
            inner.incarnation,
            inner.first,
            entries
                .map(|(entry, until)| {
                    if *until <= now {
                        entry.expired()
                    } else {
                        *entry
                    }
                })
                .collect(),
            rest > taken,
        )
        .with_fences(inner.fences))
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        self.lock().fences += 1;
        Ok(())
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("head", &self.lock().head())
            .finish_non_exhaustive()
    }
}
