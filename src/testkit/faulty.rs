//! Stores that fail on command, count calls, and yield.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::store::contract::SessionStore;
use crate::testkit::executor::yield_now;
use crate::testkit::wrapping::wrap_every_method;

/// A method of [`SessionStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// [`SessionStore::create`].
    Create,
    /// [`SessionStore::load`].
    Load,
    /// [`SessionStore::change`].
    Change,
    /// [`SessionStore::rotate`].
    Rotate,
    /// [`SessionStore::update`].
    Update,
    /// [`SessionStore::confirm`].
    Confirm,
    /// [`SessionStore::touch`].
    Touch,
    /// [`SessionStore::remove`].
    Remove,
    /// [`SessionStore::remove_subject`].
    RemoveSubject,
    /// [`SessionStore::list`].
    List,
    /// [`SessionStore::sweep`].
    Sweep,
}

/// Ways in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Answers *unavailable* and does nothing.
    Fails,
    /// Stays pending forever and does nothing.
    NeverCompletes,
    /// Makes the call, loses its answer, and answers *unavailable*.
    LosesAnswer,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 3] = [Self::Fails, Self::NeverCompletes, Self::LosesAnswer];
}

/// A store around another one that fails on command and counts calls.
///
/// Without a planned fault it only counts.
///
/// ```
/// use statewise::clock::Timestamp;
/// use statewise::store::contract::SessionStore;
/// use statewise::store::MemoryStore;
/// use statewise::testkit::{Fault, FaultyStore, Method, block_on};
///
/// let store = FaultyStore::new(MemoryStore::with_capacity(10)?);
/// store.fail_nth_of(Method::Sweep, 2, Fault::Fails);
/// let sweep = || block_on(store.sweep(1, Timestamp::MIN));
/// assert!(sweep().is_ok());
/// assert!(sweep().is_err_and(|error| error.is_unavailable()));
/// assert!(sweep().is_ok());
/// assert_eq!(store.calls(), 3);
///
/// // Down until further notice.
/// store.fail_all(Fault::Fails);
/// assert!(sweep().is_err() && sweep().is_err());
/// store.reset();
/// assert!(sweep().is_ok());
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Method>,
    plans: Vec<Plan>,
    /// Fault of every call without a planned one.
    of_all: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    method: Option<Method>,
    /// Calls left until the fault, this one included.
    left: u64,
    fault: Fault,
}

impl<S> FaultyStore<S> {
    /// Wraps `inner`. No fault is planned.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    /// Returns the wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Plans a fault for the `nth` call from now, of any method; 1 is the next one.
    pub fn fail_nth(&self, nth: u64, fault: Fault) {
        self.plan(None, nth, fault);
    }

    /// Plans a fault for the `nth` call of `method` from now; 1 is the next one.
    pub fn fail_nth_of(&self, method: Method, nth: u64, fault: Fault) {
        self.plan(Some(method), nth, fault);
    }

    /// Fails every call from now on, until [`reset`](Self::reset): a store that is down.
    pub fn fail_all(&self, fault: Fault) {
        self.state().of_all = Some(fault);
    }

    /// Forgets all planned faults and counted calls.
    pub fn reset(&self) {
        *self.state() = State::default();
    }

    /// Returns the number of calls.
    pub fn calls(&self) -> usize {
        self.state().calls.len()
    }

    /// Returns the number of calls of `method`.
    pub fn calls_of(&self, method: Method) -> usize {
        let state = self.state();
        state.calls.iter().filter(|call| **call == method).count()
    }

    /// Returns true if a planned fault has not happened yet.
    pub fn has_plans(&self) -> bool {
        !self.state().plans.is_empty()
    }

    fn plan(&self, method: Option<Method>, nth: u64, fault: Fault) {
        self.state().plans.push(Plan {
            method,
            left: nth.max(1),
            fault,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and takes the fault that was planned for it.
    fn count(&self, method: Method) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push(method);
        for plan in &mut state.plans {
            if plan.method.is_none_or(|only| only == method) {
                plan.left -= 1;
            }
        }
        match state.plans.iter().position(|plan| plan.left == 0) {
            Some(due) => Some(state.plans.swap_remove(due).fault),
            None => state.of_all,
        }
    }
}

impl<S: Sync> FaultyStore<S> {
    async fn around<T: Send>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.count(method) {
            None => call.await,
            Some(fault) => fault.instead_of(call).await,
        }
    }
}

impl Fault {
    /// Fails a call in this way.
    pub(in crate::testkit) async fn instead_of<T: Send>(
        self,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self {
            Self::Fails => Err(Error::unavailable("a planned fault of the test")),
            // Asks to be polled again, so that a caller can count polls and give up.
            Self::NeverCompletes => loop {
                yield_now().await;
            },
            Self::LosesAnswer => {
                let _ = call.await;
                Err(Error::unavailable(
                    "a planned fault of the test lost the answer",
                ))
            }
        }
    }
}

wrap_every_method!(FaultyStore);

/// A store around another one that yields before and after each call: a strategy above it can be
/// interleaved and dropped at each of its steps.
#[derive(Debug)]
pub struct YieldingStore<S> {
    inner: S,
}

impl<S> YieldingStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    /// Returns the wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: Sync> YieldingStore<S> {
    async fn around<T: Send>(
        &self,
        _: Method,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        yield_now().await;
        let answer = call.await;
        yield_now().await;
        answer
    }
}

wrap_every_method!(YieldingStore);
