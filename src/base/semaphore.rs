//! Semaphore that depends on no runtime: bounds the number of operations at the same time.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

pub(crate) struct Semaphore(Mutex<State>);

struct State {
    available: usize,
    /// The waiters by number, in order of arrival.
    queue: VecDeque<(u64, Waker)>,
    next_number: u64,
}

/// One permit of a [`Semaphore`], released on drop.
pub(crate) struct Permit<'s>(&'s Semaphore);

impl Semaphore {
    /// Creates a semaphore with `permits` permits, at least one.
    pub(crate) fn new(permits: usize) -> Self {
        Self(Mutex::new(State {
            available: permits.max(1),
            queue: VecDeque::new(),
            next_number: 0,
        }))
    }

    /// Waits for a permit. Waiters are woken in order of arrival.
    pub(crate) fn acquire(&self) -> impl Future<Output = Permit<'_>> + Send {
        let mut waiter = Waiter {
            semaphore: self,
            number: None,
        };
        poll_fn(move |context| waiter.poll(context))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock, so a panic cannot leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the first waiter if a permit is available.
    fn wake_next(mut state: MutexGuard<'_, State>) {
        if state.available > 0
            && let Some((_, waker)) = state.queue.pop_front()
        {
            drop(state);
            waker.wake();
        }
    }
}

struct Waiter<'s> {
    semaphore: &'s Semaphore,
    number: Option<u64>,
}

impl<'s> Waiter<'s> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Permit<'s>> {
        let mut state = self.semaphore.state();
        if let Some(number) = self.number.take() {
            state.queue.retain(|(waiting, _)| *waiting != number);
        }
        if state.available > 0 {
            state.available -= 1;
            return Poll::Ready(Permit(self.semaphore));
        }
        let number = state.next_number;
        state.next_number += 1;
        state.queue.push_back((number, context.waker().clone()));
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.semaphore.state();
        state.queue.retain(|(waiting, _)| *waiting != number);
        // This waiter may have been woken for a permit that it does not take any more.
        Semaphore::wake_next(state);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.available += 1;
        Semaphore::wake_next(state);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A caller of [`Semaphore::acquire`].
    struct Caller<'s> {
        future: Pin<Box<dyn Future<Output = Permit<'s>> + Send + 's>>,
        flag: Arc<Flag>,
    }

    impl<'s> Caller<'s> {
        fn new(semaphore: &'s Semaphore) -> Self {
            Self {
                future: Box::pin(semaphore.acquire()),
                flag: Arc::default(),
            }
        }

        fn poll(&mut self) -> Option<Permit<'s>> {
            let waker = Waker::from(Arc::clone(&self.flag));
            match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(permit) => Some(permit),
                Poll::Pending => None,
            }
        }

        /// Returns whether it was woken since the last call.
        fn is_woken(&self) -> bool {
            self.flag.0.swap(false, Ordering::Relaxed)
        }
    }

    #[test]
    fn permits_are_bounded_and_there_is_at_least_one() {
        for (permits, expected) in [(0, 1), (1, 1), (2, 2)] {
            let semaphore = Semaphore::new(permits);
            let taken: Vec<_> = (0..expected)
                .map(|_| Caller::new(&semaphore).poll().expect("a permit"))
                .collect();
            assert!(Caller::new(&semaphore).poll().is_none());
            drop(taken);
            assert!(Caller::new(&semaphore).poll().is_some());
        }
    }

    #[test]
    fn waiters_are_woken_in_order_one_per_permit() {
        let semaphore = Semaphore::new(1);
        let permit = Caller::new(&semaphore).poll();
        let mut waiters = [0, 1].map(|_| Caller::new(&semaphore));
        assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_none()));
        drop(permit);
        assert!(waiters[0].is_woken() && !waiters[1].is_woken());
        let permit = waiters[0].poll().expect("a permit");
        drop(permit);
        assert!(waiters[1].is_woken());
        assert!(waiters[1].poll().is_some());
    }

    #[test]
    fn a_dropped_waiter_passes_its_wake_on() {
        let semaphore = Semaphore::new(1);
        let permit = Caller::new(&semaphore).poll();
        let [mut first, mut second] = [0, 1].map(|_| Caller::new(&semaphore));
        assert!(first.poll().is_none() && second.poll().is_none());
        drop(permit);
        assert!(first.is_woken() && !second.is_woken());
        drop(first);
        assert!(second.is_woken());
        assert!(second.poll().is_some());
    }

    #[test]
    fn a_dropped_waiter_leaves_the_queue() {
        let semaphore = Semaphore::new(1);
        let permit = Caller::new(&semaphore).poll();
        let [mut first, mut second] = [0, 1].map(|_| Caller::new(&semaphore));
        assert!(first.poll().is_none() && second.poll().is_none());
        drop(first);
        assert!(!second.is_woken(), "no permit is available");
        drop(permit);
        assert!(second.is_woken());
        drop(second);
        assert!(semaphore.state().queue.is_empty());
    }
}
