//! Which handles may have a fact: asked before any lock is taken.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::login::handle::Handle;

/// Bits per entry. With three bits set for each, one handle in forty asks in vain.
const BITS: usize = 12;

/// A set of handles that may say yes by mistake and never no.
///
/// A million entries in a table are as many cache lines, and looking one up costs a miss in main
/// memory; this fits into the second cache, and each question is one load.
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    pub(super) fn new(entries: usize) -> Self {
        let words = (entries.saturating_mul(BITS) / 64).max(1);
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The word of a handle, and its bits. Handles are drawn by the server, so that nobody can
    /// choose which ones meet.
    fn place(&self, handle: Handle) -> (&AtomicU64, u64) {
        let [.., a, b, c, d, e, f, g, h] = *handle.as_bytes();
        let random = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let bits = 1 << (random & 63) | 1 << (random >> 6 & 63) | 1 << (random >> 12 & 63);
        // Spread over the words without a division.
        let at = (u128::from(random) * self.words.len() as u128) >> 64;
        (&self.words[at as usize], bits)
    }

    pub(super) fn may_hold(&self, handle: Handle) -> bool {
        let (word, bits) = self.place(handle);
        word.load(Ordering::Relaxed) & bits == bits
    }

    pub(super) fn add(&self, handle: Handle) {
        let (word, bits) = self.place(handle);
        word.fetch_or(bits, Ordering::Relaxed);
    }

    /// Holds these and no others. Whoever asks meanwhile finds each that was there and stays.
    pub(super) fn rebuild(&self, handles: impl Iterator<Item = Handle>) {
        let fresh = Self {
            words: self.words.iter().map(|_| AtomicU64::new(0)).collect(),
        };
        handles.for_each(|handle| fresh.add(handle));
        for (word, fresh) in self.words.iter().zip(fresh.words) {
            word.store(fresh.into_inner(), Ordering::Relaxed);
        }
    }
}
