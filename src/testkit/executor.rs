//! Enough of a runtime to run a test without one.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::base::boxed::BoxFuture;
use crate::testkit::random::Random;

/// Polls of children before `interleave` itself yields to its runtime.
const MAX_POLLS_IN_A_ROW: usize = 256;

/// Runs one future to its end on this thread, which is parked while the future waits.
///
/// There are no timers and no I/O. For a store that needs a runtime, use the runtime's own
/// function.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Lets each other future that is ready run once.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Readiness of one child of [`interleave`].
struct Turn {
    ready: AtomicBool,
    parent: Arc<Mutex<Waker>>,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.ready.store(true, Ordering::SeqCst);
        let parent = self.parent.lock().unwrap_or_else(PoisonError::into_inner);
        parent.wake_by_ref();
    }
}

/// Runs several futures in turn on one thread, and returns their outputs in order.
///
/// Whenever several are ready, `seed` decides which one is polled. The same seed gives the same
/// interleaving, as long as nothing outside decides when a future is ready.
pub async fn interleave<T: Send>(seed: u64, futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut random = Random::new(seed);
    let parent = Arc::new(Mutex::new(Waker::noop().clone()));
    let turns: Vec<_> = futures
        .iter()
        .map(|_| {
            Arc::new(Turn {
                ready: AtomicBool::new(true),
                parent: Arc::clone(&parent),
            })
        })
        .collect();
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        parent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(context.waker());
        for _ in 0..MAX_POLLS_IN_A_ROW {
            let ready: Vec<_> = (0..futures.len())
                .filter(|at| futures[*at].is_some() && turns[*at].ready.load(Ordering::SeqCst))
                .collect();
            if ready.is_empty() {
                let done = futures.iter().all(Option::is_none);
                return if done { Poll::Ready(()) } else { Poll::Pending };
            }
            let at = ready[random.below(ready.len())];
            turns[at].ready.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(&turns[at]));
            if let Some(future) = &mut futures[at]
                && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                outputs[at] = Some(output);
                futures[at] = None;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Runs each future on a thread of its own, by [`block_on`], and returns when all have ended.
///
/// # Panics
///
/// If one of them does.
pub fn spread(futures: Vec<BoxFuture<'static, ()>>) {
    thread::scope(|scope| {
        let threads: Vec<_> = futures
            .into_iter()
            .map(|future| scope.spawn(|| block_on(future)))
            .collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    });
}

/// Polls a future at most `polls` times, each time that it is woken. Then drops it, and returns
/// `None`.
pub async fn give_up_after<F: Future + Send>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs a future that may panic. Returns `None` if it did.
pub async fn caught<F: Future + Send>(future: F) -> Option<F::Output> {
    let mut future: Pin<Box<_>> = Box::pin(future);
    poll_fn(
        move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn noted(name: usize, notes: &Mutex<Vec<usize>>) -> usize {
        for _ in 0..5 {
            notes.lock().unwrap().push(name);
            yield_now().await;
        }
        name
    }

    #[test]
    fn one_seed_is_one_interleaving() {
        let run = |seed| {
            let notes = Mutex::new(Vec::new());
            let futures: Vec<BoxFuture<'_, usize>> = (0..4)
                .map(|name| Box::pin(noted(name, &notes)) as BoxFuture<'_, usize>)
                .collect();
            assert_eq!(block_on(interleave(seed, futures)), [0, 1, 2, 3]);
            notes.into_inner().unwrap()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_eq!(run(1).len(), 20);
    }

    #[test]
    fn drops_a_future_after_its_polls() {
        let notes = Mutex::new(Vec::new());
        assert_eq!(block_on(give_up_after(5, noted(0, &notes))), None);
        assert_eq!(notes.lock().unwrap().len(), 5);
        assert_eq!(block_on(give_up_after(6, noted(0, &notes))), Some(0));
        assert_eq!(block_on(give_up_after(0, async {})), None);
    }

    #[test]
    fn catches_a_panic() {
        assert_eq!(block_on(caught(async { 1 })), Some(1));
        assert_eq!(
            block_on(caught(async { panic!("this panic is part of the test") })),
            None::<()>
        );
    }
}
