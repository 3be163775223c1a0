//! A counting allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

thread_local! {
    static COUNTED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// Allocations and bytes of this thread so far.
pub fn counted() -> (u64, u64) {
    COUNTED.get()
}

/// Currently allocated bytes.
pub fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

struct Counting;

// SAFETY: passes every call to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTED.with(|counted| {
            let (count, bytes) = counted.get();
            counted.set((count + 1, bytes + layout.size() as u64));
        });
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
