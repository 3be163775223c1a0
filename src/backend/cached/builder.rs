//! The configuration of a cached store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::cached::CachedStore;
use crate::backend::cached::cache::Cache;
use crate::base::semaphore::Semaphore;
use crate::base::single_flight::SingleFlight;
use crate::clock::whole_seconds;
use crate::error::{Error, Result};
use crate::revocation::RevocationView;
use crate::store::contract::SessionStore;

/// Default of [`CachedBuilder::max_age`].
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(30);
/// Default of [`CachedBuilder::capacity`].
const DEFAULT_CAPACITY: usize = 100_000;
/// Default of [`CachedBuilder::loads`].
const DEFAULT_LOADS: usize = 256;

/// Configuration of a [`CachedStore`], begun by [`CachedStore::builder`].
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`max_age`](Self::max_age) | 30 seconds |
/// | [`capacity`](Self::capacity) | 100 000 rows |
/// | [`loads`](Self::loads) | 256 at the same time |
/// | [`refuse_when_stale`](Self::refuse_when_stale) | off: a stale node asks the store |
#[must_use = "a builder does nothing until `build` is called"]
pub struct CachedBuilder<S> {
    inner: S,
    view: RevocationView,
    max_age: Duration,
    capacity: usize,
    loads: usize,
    refuses_when_stale: bool,
}

impl<S: SessionStore> CachedStore<S> {
    /// Begins the configuration of a cache in front of `inner`, invalidated through `view`.
    ///
    /// All nodes that share the store must share the log of the view too, and must change sessions
    /// through a cached store only.
    pub fn builder(inner: S, view: &RevocationView) -> CachedBuilder<S> {
        CachedBuilder {
            inner,
            view: view.clone(),
            max_age: DEFAULT_MAX_AGE,
            capacity: DEFAULT_CAPACITY,
            loads: DEFAULT_LOADS,
            refuses_when_stale: false,
        }
    }
}

impl<S: SessionStore> CachedBuilder<S> {
    /// Sets the maximum age of a copy, rounded down to seconds; an older one is loaded again.
    /// Default: 30.
    ///
    /// It bounds how long a node serves an ended session if the revocation could not be appended to
    /// the log.
    ///
    /// ```
    /// # use statewise::store::{CachedBuilder, MemoryStore};
    /// # fn example(builder: CachedBuilder<MemoryStore>) -> CachedBuilder<MemoryStore> {
    /// // Ask the store more often; a logout that could not be logged takes effect in 5 seconds.
    /// builder.max_age(std::time::Duration::from_secs(5))
    /// # }
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets the maximum number of copies. A cached "no such session" counts too. Default: 100 000.
    pub fn capacity(mut self, copies: usize) -> Self {
        self.capacity = copies;
        self
    }

    /// Sets the maximum number of concurrent loads from the store; further ones wait. Default: 256.
    pub fn loads(mut self, loads: usize) -> Self {
        self.loads = loads;
        self
    }

    /// Answers *unavailable* while the view is stale, instead of asking the store. Turn it on if
    /// [`revoke_everything`](RevocationView::revoke_everything) must hold even then: it deletes no
    /// rows, so a node that cannot read the log would not notice it. Default: off.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::testkit::{ManualClock, block_on};
    /// use statewise::revocation::{MemoryLog, RevocationView};
    /// use statewise::session::SessionAuthenticator;
    /// use statewise::store::{CachedStore, MemoryStore};
    /// use statewise::{Authenticator, Login};
    ///
    /// # block_on(async {
    /// # let clock = ManualClock::default();
    /// let view = RevocationView::builder(MemoryLog::new()?)
    ///     .max_lifetime(Duration::from_secs(12 * 3600))
    /// #     .clock(clock.clone())
    ///     .build()?;
    /// let store = MemoryStore::with_capacity(100)?;
    /// let store = CachedStore::builder(store, &view).refuse_when_stale().build()?;
    /// let auth = SessionAuthenticator::builder(store)
    ///     .idle(Duration::from_secs(1800))
    ///     .absolute(Duration::from_secs(12 * 3600))
    /// #     .clock(clock.clone())
    ///     .build()?;
    /// view.follow().await?;
    /// let issued = auth.issue(Login::new("alice")).await?;
    /// assert!(auth.verify(issued.credential().reveal()).await.is_ok());
    /// // The log does not answer.
    /// # clock.advance(Duration::from_secs(30));
    /// assert!(auth.verify(issued.credential().reveal()).await.unwrap_err().is_unavailable());
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    pub fn refuse_when_stale(mut self) -> Self {
        self.refuses_when_stale = true;
        self
    }

    /// Builds the store. Sends nothing to the inner store.
    ///
    /// # Errors
    ///
    /// *Misuse*: a maximum age below one second or beyond the maximum lifetime of the view; a
    /// capacity or number of loads of zero; a view that [only reads](RevocationView::is_read_only).
    pub fn build(self) -> Result<CachedStore<S>> {
        let max_age = whole_seconds("age of a cached session", self.max_age)?;
        if self.view.max_lifetime() < self.max_age {
            return Err(Error::misuse(
                "the maximum age of cached sessions exceeds the maximum lifetime of the revocation \
                 view: raise the latter or lower the former",
            ));
        }
        if self.view.is_read_only() {
            return Err(Error::misuse(
                "a cached store tells other nodes which sessions have ended, and its view only \
                 reads the revocation log: pass it a view of a log that is built with `build`",
            ));
        }
        if self.capacity == 0 || self.loads == 0 {
            return Err(Error::misuse(
                "the capacity or the number of loads of the cached store is zero: set both to 1 or more",
            ));
        }
        Ok(CachedStore {
            inner: Arc::new(self.inner),
            view: self.view,
            cache: Cache::new(self.capacity, max_age),
            flights: SingleFlight::new(),
            loads: Semaphore::new(self.loads),
            max_age_secs: max_age,
            refuses_when_stale: self.refuses_when_stale,
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedBuilder")
            .field("inner", &self.inner)
            .field("view", &self.view)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
