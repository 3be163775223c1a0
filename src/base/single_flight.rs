//! One act at a time for each login, and a bounded number of acts in all.
//!
//! Knows no runtime: who leads a flight drives it, and if its future is dropped, one of those who
//! wait takes over.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The acts under way, by the login that each is about.
pub(crate) struct Flights<K: Eq + Hash> {
    flying: Mutex<HashMap<K, Arc<Flight>>>,
    seats: Seats,
}

/// One act, and those who wait for it.
#[derive(Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    landed: Option<Landed>,
    waiting: Vec<Waker>,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// The answer is at hand.
    Filled,
    /// There is none.
    Failed,
    /// Its leader was dropped.
    Abandoned,
}

/// What to do about an answer that is not at hand.
pub(crate) enum Joined<'f, K: Eq + Hash> {
    /// Fetch it.
    Lead(Leader<'f, K>),
    /// Somebody does.
    Wait(Arc<Flight>),
}

impl<K: Copy + Eq + Hash> Flights<K> {
    /// At most `seats` acts at the same time; the others wait.
    pub(crate) fn new(seats: usize) -> Self {
        Self {
            flying: Mutex::default(),
            seats: Seats::new(seats),
        }
    }

    pub(crate) fn join(&self, login: K) -> Joined<'_, K> {
        let mut flying = lock(&self.flying);
        if let Some(flight) = flying.get(&login) {
            return Joined::Wait(Arc::clone(flight));
        }
        let flight = Arc::<Flight>::default();
        flying.insert(login, Arc::clone(&flight));
        Joined::Lead(Leader {
            flights: self,
            login,
            flight,
            landed: Landed::Abandoned,
        })
    }

    /// Waits for a place among the acts under way, and keeps it until it is dropped.
    pub(crate) async fn seat(&self) -> Seat<'_> {
        self.seats.take().await
    }
}

impl Flight {
    /// Waits until it has landed.
    pub(crate) async fn landed(&self) -> Landed {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Landed> {
        let mut state = lock(&self.state);
        if let Some(landed) = state.landed {
            return Poll::Ready(landed);
        }
        let waker = context.waker();
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Poll::Pending
    }
}

/// The right and the duty to fetch the answer.
pub(crate) struct Leader<'f, K: Eq + Hash> {
    flights: &'f Flights<K>,
    login: K,
    flight: Arc<Flight>,
    landed: Landed,
}

impl<K: Eq + Hash> Leader<'_, K> {
    /// Ends the flight.
    pub(crate) fn land(mut self, landed: Landed) {
        self.landed = landed;
    }
}

impl<K: Eq + Hash> Drop for Leader<'_, K> {
    fn drop(&mut self) {
        lock(&self.flights.flying).remove(&self.login);
        let mut state = lock(&self.flight.state);
        state.landed = Some(self.landed);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Places for acts.
struct Seats(Mutex<Queue>);

struct Queue {
    free: usize,
    /// Who waits, by number, in the order of coming.
    waiting: VecDeque<(u64, Waker)>,
    next: u64,
}

/// A place, given back when dropped.
pub(crate) struct Seat<'s>(&'s Seats);

impl Seats {
    fn new(seats: usize) -> Self {
        Self(Mutex::new(Queue {
            free: seats.max(1),
            waiting: VecDeque::new(),
            next: 0,
        }))
    }

    fn take(&self) -> impl Future<Output = Seat<'_>> + Send {
        let mut waiter = Waiter {
            seats: self,
            number: None,
        };
        poll_fn(move |context| waiter.poll(context))
    }
}

/// Somebody who wants a place.
struct Waiter<'s> {
    seats: &'s Seats,
    number: Option<u64>,
}

impl<'s> Waiter<'s> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Seat<'s>> {
        let mut queue = lock(&self.seats.0);
        if let Some(number) = self.number.take() {
            queue.waiting.retain(|(waiting, _)| *waiting != number);
        }
        if queue.free > 0 {
            queue.free -= 1;
            return Poll::Ready(Seat(self.seats));
        }
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push_back((number, context.waker().clone()));
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut queue = lock(&self.seats.0);
        queue.waiting.retain(|(waiting, _)| *waiting != number);
        // It may have been woken for a place that it does not take any more.
        if queue.free > 0
            && let Some((_, waker)) = queue.waiting.pop_front()
        {
            drop(queue);
            waker.wake();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.0);
        queue.free += 1;
        if let Some((_, waker)) = queue.waiting.pop_front() {
            drop(queue);
            waker.wake();
        }
    }
}

// Nothing under these locks runs code of others, so that a panic leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
