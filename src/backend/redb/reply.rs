//! The way back from the committer to the caller: one value, once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::backend::redb::failure;
use crate::error::Result;

/// Where the answer is put. If it is dropped without one, the caller learns that there will be
/// none, so that nobody waits for ever.
pub(crate) struct Sender<T>(Option<Arc<Slot<T>>>);

/// Waits for the answer. Dropping it changes nothing of what is asked for.
pub(crate) struct Receiver<T>(Arc<Slot<T>>);

struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    Waiting(Waker),
    Answered(Result<T>),
    Taken,
}

/// A new way back.
pub(crate) fn pair<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Slot(Mutex::new(State::Waiting(Waker::noop().clone()))));
    (Sender(Some(Arc::clone(&slot))), Receiver(slot))
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, answer: Result<T>) {
        let before = std::mem::replace(&mut *self.state(), State::Answered(answer));
        // Woken when the lock is gone: a waker is code of others.
        if let State::Waiting(waker) = before {
            waker.wake();
        }
    }
}

impl<T> Sender<T> {
    pub(crate) fn send(mut self, answer: Result<T>) {
        if let Some(slot) = self.0.take() {
            slot.answer(answer);
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.answer(Err(failure::ended()));
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut state = self.0.state();
        match &mut *state {
            State::Waiting(waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            State::Answered(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Answered(answer) => Poll::Ready(answer),
                State::Waiting(_) | State::Taken => Poll::Pending,
            },
            State::Taken => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}
