//! One-shot channel from the committer to the future of a caller.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::backend::redb::failure;
use crate::error::Result;

/// Sends the answer. If it is dropped without one, the caller gets an error, so that no caller
/// waits forever.
pub(crate) struct Sender<T>(Arc<Mutex<Slot<T>>>);

/// Waits for the answer. Dropping it does not withdraw the change.
pub(crate) struct Receiver<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<Result<T>>,
    waker: Waker,
}

/// Creates a channel for one answer.
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (answer, waker) = (None, Waker::noop().clone());
    let slot = Arc::new(Mutex::new(Slot { answer, waker }));
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Sender<T> {
    /// Stores the answer; dropping `self` wakes the caller.
    pub(crate) fn send(self, answer: Result<T>) {
        lock(&self.0).answer = Some(answer);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.answer.get_or_insert_with(|| Err(failure::stopped()));
        let waker = mem::replace(&mut slot.waker, Waker::noop().clone());
        // A waker runs foreign code, which must not find the lock held.
        drop(slot);
        waker.wake();
    }
}

impl<T> Receiver<T> {
    /// Takes the answer, if it has arrived.
    pub(crate) fn take(&self) -> Option<Result<T>> {
        lock(&self.0).answer.take()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut slot = lock(&self.0);
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker.clone_from(context.waker());
                Poll::Pending
            }
        }
    }
}
