//! What many threads read all the time and somebody replaces now and then.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Copies, each behind a lock of its own, so that threads that read do not meet.
const COPIES: usize = 16;

/// A value that is read through a lock which nearly nobody else holds: one line of the cache for
/// each few threads, instead of one for all.
pub(crate) struct Shared<T> {
    copies: Box<[Padded<T>]>,
}

#[repr(align(64))]
struct Padded<T>(RwLock<Arc<T>>);

/// The value for as long as it is looked at.
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
        let copy = &self.copies[of_this_thread() % COPIES];
        // The value is replaced as a whole, so that a panic leaves nothing half done.
        Reading(copy.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value. Who reads meanwhile has the old one or the new one.
    pub(crate) fn replace(&self, value: T) {
        let value = Arc::new(value);
        for copy in &self.copies {
            let mut copy = copy.0.write().unwrap_or_else(PoisonError::into_inner);
            *copy = Arc::clone(&value);
        }
    }
}

/// A number of this thread.
#[inline]
fn of_this_thread() -> usize {
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
