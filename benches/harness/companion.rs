//! A second thread that does the same work while the first is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Scope, Thread};

use super::Phase;

/// The work of the thread.
pub(super) type Work<'a> = Box<dyn FnMut(Phase) + Send + 'a>;

/// Operations between two checks of the stop flag.
const STEP: usize = 16;

/// The second thread of a candidate. It sleeps except during batches of that candidate.
pub(super) struct Companion {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// True if it should work.
    wanted: AtomicBool,
    /// True while it works.
    working: AtomicBool,
    /// True if it should exit.
    over: AtomicBool,
    /// Operations since it began.
    done: AtomicUsize,
}

impl Companion {
    pub(super) fn new<'scope, 'work: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        work: Work<'work>,
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = scope.spawn(move || its.work(work)).thread().clone();
        Self { shared, thread }
    }

    /// Returns when the thread works.
    pub(super) fn start(&self) {
        self.shared.done.store(0, Ordering::Relaxed);
        self.shared.wanted.store(true, Ordering::Release);
        self.thread.unpark();
        while self.shared.done.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        self.shared.done.store(0, Ordering::Relaxed);
    }

    /// Stops the thread. Returns the number of operations before the stop.
    pub(super) fn stop(&self) -> usize {
        let done = self.shared.done.load(Ordering::Relaxed);
        self.shared.wanted.store(false, Ordering::Release);
        while self.shared.working.load(Ordering::Acquire) {
            thread::yield_now();
        }
        done
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.shared.wanted.store(false, Ordering::Release);
        self.shared.over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    fn work(&self, mut work: Work<'_>) {
        while !self.over.load(Ordering::Acquire) {
            if !self.wanted.load(Ordering::Acquire) {
                thread::park();
                continue;
            }
            self.working.store(true, Ordering::Release);
            work(Phase::Prepare);
            while self.wanted.load(Ordering::Acquire) {
                work(Phase::Act(STEP));
                self.done.fetch_add(STEP, Ordering::Release);
            }
            self.working.store(false, Ordering::Release);
        }
    }
}
