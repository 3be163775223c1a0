//! Changes that wait for their transaction, and the futures of their callers.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::backend::redb::failure::{self, Outcome};
use crate::backend::redb::lock;
use crate::backend::redb::tables::{Judged, Rows, Stored};
use crate::error::Result;

/// A change with an erased answer type, so that one queue holds all changes.
pub(crate) trait Job: Send {
    /// Applies the change. Called again if the transaction is repeated.
    fn apply(&mut self, rows: &mut Rows<'_>) -> Stored<()>;
    /// Reports the outcome of the transaction to the caller.
    fn finish(self: Box<Self>, outcome: Outcome<()>);
}

struct Change<T, F> {
    act: F,
    answer: Option<Result<T>>,
    slot: Arc<Mutex<Slot<T>>>,
}

/// Waits for the answer. Dropping it does not withdraw the change.
pub(crate) struct Receiver<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<Result<T>>,
    waker: Waker,
}

/// Creates a change, and the receiver of its answer.
pub(crate) fn change<T, F>(act: F) -> (Box<dyn Job>, Receiver<T>)
where
    T: Send + 'static,
    F: Fn(&mut Rows<'_>) -> Judged<T> + Send + 'static,
{
    let slot = Arc::new(Mutex::new(Slot {
        answer: None,
        waker: Waker::noop().clone(),
    }));
    let receiver = Receiver(Arc::clone(&slot));
    let answer = None;
    (Box::new(Change { act, answer, slot }), receiver)
}

impl<T, F> Job for Change<T, F>
where
    T: Send,
    F: Fn(&mut Rows<'_>) -> Judged<T> + Send,
{
    fn apply(&mut self, rows: &mut Rows<'_>) -> Stored<()> {
        self.answer = Some((self.act)(rows)?);
        Ok(())
    }

    fn finish(mut self: Box<Self>, outcome: Outcome<()>) {
        let failed = outcome.err().map(|failure| Err(failure.into()));
        lock(&self.slot).answer = failed.or(self.answer.take());
    }
}

/// Wakes the caller. Without an answer the caller gets an error, so that no caller waits forever.
impl<T, F> Drop for Change<T, F> {
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.answer.get_or_insert_with(|| Err(failure::stopped()));
        let waker = mem::replace(&mut slot.waker, Waker::noop().clone());
        // A waker runs code of the application, which must not find the lock held.
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
