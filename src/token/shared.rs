//! A value that all threads read all the time, and that is replaced now and then.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Locks over which the threads are spread.
const COPIES: usize = 16;

/// A value behind several locks, one for each few threads. Threads that read at the same time then
/// do not contend for one cache line.
pub(crate) struct Shared<T> {
    copies: Box<[Padded<T>]>,
}

#[repr(align(64))]
struct Padded<T>(RwLock<Arc<T>>);

/// Guard of a value that is being read.
pub(crate) struct Reading<'s, T>(RwLockReadGuard<'s, Arc<T>>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let value = Arc::new(value);
        let copy = |_| Padded(RwLock::new(Arc::clone(&value)));
        Self {
            copies: (0..COPIES).map(copy).collect(),
        }
    }

    #[inline]
    pub(crate) fn read(&self) -> Reading<'_, T> {
        let copy = &self.copies[thread_number() % COPIES];
        // A panic leaves no value half written, because values are replaced as a whole.
        Reading(copy.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value. A thread that reads at the same time sees the old value or the new one.
    pub(crate) fn replace(&self, value: T) {
        let value = Arc::new(value);
        for copy in &self.copies {
            let mut copy = copy.0.write().unwrap_or_else(PoisonError::into_inner);
            *copy = Arc::clone(&value);
        }
    }
}

/// Returns a number of this thread.
#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // Zero while the thread ends.
    NUMBER.try_with(|number| *number).unwrap_or_default()
}

impl<T> Deref for Reading<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}
