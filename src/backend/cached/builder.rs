//! The configuration of a cached store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::cached::CachedStore;
use crate::backend::cached::copies::Copies;
use crate::base::semaphore::Semaphore;
use crate::base::single_flight::SingleFlight;
use crate::clock::whole_seconds;
use crate::error::{Error, Result};
use crate::revocation::RevocationView;
use crate::store::contract::SessionStore;

/// How old a copy gets, unless configured.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Copies, unless configured.
const CAPACITY: usize = 100_000;
/// Loads at the same time, unless configured.
const LOADS: usize = 256;

/// The configuration of a [`CachedStore`]: [`build`](Self::build) it, or go on.
#[must_use = "a builder does nothing until it is built"]
pub struct CachedBuilder<S> {
    inner: S,
    view: RevocationView,
    max_age: Duration,
    capacity: usize,
    loads: usize,
    refuses_when_stale: bool,
}

impl<S: SessionStore> CachedStore<S> {
    /// Copies of what `inner` holds, kept honest by `view`. All nodes that share the store share
    /// its log too, and change sessions through a cached store only.
    pub fn builder(inner: S, view: &RevocationView) -> CachedBuilder<S> {
        CachedBuilder {
            inner,
            view: view.clone(),
            max_age: MAX_AGE,
            capacity: CAPACITY,
            loads: LOADS,
            refuses_when_stale: false,
        }
    }
}

impl<S: SessionStore> CachedBuilder<S> {
    /// How old a copy may get before the store is asked again: what a node serves at most that long
    /// when the log could not be told. Whole seconds. Default: 30.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many copies there are at most, absent sessions included. Default: 100 000.
    pub fn capacity(mut self, copies: usize) -> Self {
        self.capacity = copies;
        self
    }

    /// How many sessions are loaded at the same time; who comes later waits. Default: 256.
    pub fn loads(mut self, loads: usize) -> Self {
        self.loads = loads;
        self
    }

    /// Refuses everybody while the view is stale, instead of asking the store: a node that is cut
    /// off from the log does not know of a
    /// [`revoke_everything`](RevocationView::revoke_everything), of which the rows say nothing.
    pub fn refuse_when_stale(mut self) -> Self {
        self.refuses_when_stale = true;
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do: an age below one second, or beyond the longest life that the
    /// view was given; no room for copies or loads.
    pub fn build(self) -> Result<CachedStore<S>> {
        let max_age = whole_seconds("age of a cached session", self.max_age)?;
        if self.view.max_lifetime() < self.max_age {
            return Err(Error::misuse(
                "cached sessions would outlive what the revocation view keeps of them: give it \
                 their maximum age as its longest",
            ));
        }
        if self.capacity == 0 || self.loads == 0 {
            return Err(Error::misuse(
                "a cached store has room for no copies or no loads: say for how many",
            ));
        }
        Ok(CachedStore {
            inner: Arc::new(self.inner),
            view: self.view,
            copies: Copies::new(self.capacity, max_age),
            flights: SingleFlight::new(),
            loads: Semaphore::new(self.loads),
            max_age,
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
