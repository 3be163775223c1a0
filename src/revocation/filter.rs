//! A filter of handles that may have a fact, checked before any lock is taken.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::login::handle::Handle;

/// Bits per handle. With three of them set, one lookup in forty is a false positive.
const BITS_PER_HANDLE: usize = 12;

/// A Bloom filter of handles: false positives, but no false negatives.
///
/// A million facts in a hash table take as many cache lines, and each lookup is a cache miss. The
/// filter fits into the L2 cache, and a lookup is one load.
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    pub(super) fn new(handles: usize) -> Self {
        let words = (handles.saturating_mul(BITS_PER_HANDLE) / 64).max(1);
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns the word of a handle and its bits. The server draws handles at random, so an
    /// attacker cannot choose colliding ones.
    fn place(&self, handle: Handle) -> (&AtomicU64, u64) {
        let [.., a, b, c, d, e, f, g, h] = *handle.as_bytes();
        let random = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let bits = 1 << (random & 63) | 1 << (random >> 6 & 63) | 1 << (random >> 12 & 63);
        // Spreads the handles over the words without a division.
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

    /// Replaces the contents. A concurrent lookup still finds each handle that was there and stays.
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
