//! Stores that fail on command, count what they are asked, and take their time.

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

/// In which way a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// *Unavailable*, and nothing was done.
    Fails,
    /// Pending for ever, and nothing was done.
    NeverCompletes,
    /// Done, and then *unavailable*: the answer was lost.
    LosesAnswer,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fails, Self::NeverCompletes, Self::LosesAnswer];
}

/// A store around another one that fails on command, and counts what it is asked.
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
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    method: Option<Method>,
    /// How many calls are left until it happens.
    left: u64,
    fault: Fault,
}

impl<S> FaultyStore<S> {
    /// A store that does what `inner` does, until told otherwise.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets the `nth` call from now go wrong, of whatever method; 1 is the next one.
    pub fn fail_nth(&self, nth: u64, fault: Fault) {
        self.plan(None, nth, fault);
    }

    /// Lets the `nth` call of `method` from now go wrong; 1 is the next one.
    pub fn fail_nth_of(&self, method: Method, nth: u64, fault: Fault) {
        self.plan(Some(method), nth, fault);
    }

    /// Forgets the faults that have not happened yet, and all that was counted.
    pub fn reset(&self) {
        *self.state() = State::default();
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.state().calls.len()
    }

    /// How many calls of `method` there were.
    pub fn calls_of(&self, method: Method) -> usize {
        let state = self.state();
        state.calls.iter().filter(|call| **call == method).count()
    }

    /// Whether a fault is still to come.
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

    /// Counts a call; the fault that was planned for it.
    fn count(&self, method: Method) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push(method);
        for plan in &mut state.plans {
            if plan.method.is_none_or(|only| only == method) {
                plan.left -= 1;
            }
        }
        let due = state.plans.iter().position(|plan| plan.left == 0)?;
        Some(state.plans.swap_remove(due).fault)
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
            Some(Fault::Fails) => Err(Error::unavailable("it fails on command")),
            // Asks to be polled again, so that whoever loses patience gets the chance to.
            Some(Fault::NeverCompletes) => loop {
                yield_now().await;
            },
            Some(Fault::LosesAnswer) => {
                let _ = call.await;
                Err(Error::unavailable("it loses an answer on command"))
            }
        }
    }
}

wrap_every_method!(FaultyStore);

/// A store around another one that lets others have their turn before and after each call, so
/// that a strategy can be interleaved and dropped at each of its steps.
#[derive(Debug)]
pub struct YieldingStore<S> {
    inner: S,
}

impl<S> YieldingStore<S> {
    /// A store that does what `inner` does, with pauses.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The store inside.
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
