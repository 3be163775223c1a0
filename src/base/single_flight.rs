//! Single-flight: concurrent callers that need one result for the same key share one call.
//!
//! Independent of any runtime: the future of the leader makes the call. If that future is dropped,
//! one of the followers becomes the leader.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The calls in flight, at most one per key.
pub(crate) struct SingleFlight<K: Eq + Hash> {
    calls: Mutex<HashMap<K, Arc<Call>>>,
}

/// One call in flight.
#[derive(Default)]
pub(crate) struct Call {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<CallOutcome>,
    followers: Vec<Waker>,
}

/// End of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// The result is available to the followers.
    Succeeded,
    /// There is no result: the followers fail too.
    Failed,
    /// The leader was dropped, or has no result for others: a follower should join again.
    Abandoned,
}

/// The part that a caller has in a call.
pub(crate) enum Role<'f, K: Eq + Hash> {
    /// Make the call.
    Leader(Leader<'f, K>),
    /// Wait for the call that another caller makes.
    Follower(Arc<Call>),
}

impl<K: Copy + Eq + Hash> SingleFlight<K> {
    pub(crate) fn new() -> Self {
        Self {
            calls: Mutex::default(),
        }
    }

    /// Joins the call for `key`, or starts one.
    pub(crate) fn join(&self, key: K) -> Role<'_, K> {
        let mut calls = lock(&self.calls);
        if let Some(call) = calls.get(&key) {
            return Role::Follower(Arc::clone(call));
        }
        let call = Arc::<Call>::default();
        calls.insert(key, Arc::clone(&call));
        Role::Leader(Leader {
            flights: self,
            key,
            call,
            outcome: CallOutcome::Abandoned,
        })
    }
}

impl Call {
    /// Waits until the call has ended.
    pub(crate) async fn outcome(&self) -> CallOutcome {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<CallOutcome> {
        let mut state = lock(&self.state);
        if let Some(outcome) = state.outcome {
            return Poll::Ready(outcome);
        }
        let waker = context.waker();
        if !state.followers.iter().any(|known| known.will_wake(waker)) {
            state.followers.push(waker.clone());
        }
        Poll::Pending
    }
}

/// The caller that makes the call. Dropping it abandons the call.
pub(crate) struct Leader<'f, K: Eq + Hash> {
    flights: &'f SingleFlight<K>,
    key: K,
    call: Arc<Call>,
    outcome: CallOutcome,
}

impl<K: Eq + Hash> Leader<'_, K> {
    /// Ends the call and wakes its followers.
    pub(crate) fn finish(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl<K: Eq + Hash> Drop for Leader<'_, K> {
    fn drop(&mut self) {
        lock(&self.flights.calls).remove(&self.key);
        let mut state = lock(&self.call.state);
        state.outcome = Some(self.outcome);
        let followers = std::mem::take(&mut state.followers);
        drop(state);
        followers.into_iter().for_each(Waker::wake);
    }
}

// No foreign code runs under these locks, so a panic cannot leave a value half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    /// Waker that counts how often it is woken.
    #[derive(Default)]
    struct Wakes(Mutex<usize>);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            *lock(&self.0) += 1;
        }
    }

    fn leader<K: Copy + Eq + Hash>(flights: &SingleFlight<K>, key: K) -> Leader<'_, K> {
        match flights.join(key) {
            Role::Leader(leader) => leader,
            Role::Follower(_) => panic!("a call for this key is in flight"),
        }
    }

    fn follower<K: Copy + Eq + Hash>(flights: &SingleFlight<K>, key: K) -> Arc<Call> {
        match flights.join(key) {
            Role::Follower(call) => call,
            Role::Leader(_) => panic!("no call for this key is in flight"),
        }
    }

    #[test]
    fn there_is_one_leader_per_key() {
        let flights = SingleFlight::new();
        let first = leader(&flights, 1);
        let _other_key = leader(&flights, 2);
        let call = follower(&flights, 1);
        first.finish(CallOutcome::Succeeded);
        let context = &Context::from_waker(Waker::noop());
        assert_eq!(call.poll(context), Poll::Ready(CallOutcome::Succeeded));
        drop(leader(&flights, 1));
        assert_eq!(lock(&flights.calls).len(), 1, "ended calls are removed");
    }

    #[test]
    fn each_follower_is_woken_once_with_the_outcome() {
        for outcome in [
            CallOutcome::Succeeded,
            CallOutcome::Failed,
            CallOutcome::Abandoned,
        ] {
            let flights = SingleFlight::new();
            let first = leader(&flights, ());
            let call = follower(&flights, ());
            let wakes = [0, 1].map(|_| Arc::new(Wakes::default()));
            let wakers = wakes.each_ref().map(|wakes| Waker::from(wakes.clone()));
            for waker in wakers.iter().chain(&wakers) {
                assert!(call.poll(&Context::from_waker(waker)).is_pending());
            }
            first.finish(outcome);
            for (wakes, waker) in wakes.iter().zip(&wakers) {
                assert_eq!(*lock(&wakes.0), 1);
                let answer = call.poll(&Context::from_waker(waker));
                assert_eq!(answer, Poll::Ready(outcome));
            }
        }
    }

    #[test]
    fn a_follower_becomes_the_leader_when_the_leader_is_dropped() {
        let flights = SingleFlight::new();
        let first = leader(&flights, ());
        let call = follower(&flights, ());
        drop(first);
        let context = &Context::from_waker(Waker::noop());
        assert_eq!(call.poll(context), Poll::Ready(CallOutcome::Abandoned));
        let second = leader(&flights, ());
        // The outcome of the first call does not change with the second.
        second.finish(CallOutcome::Failed);
        assert_eq!(call.poll(context), Poll::Ready(CallOutcome::Abandoned));
    }
}
