//! Random choices that can be made again.

use std::env;

/// The environment variable that overrides the seed of all laws.
const VARIABLE: &str = "STATEWISE_SEED";

/// The seed of all random choices: a fixed one, or the number in the environment variable
/// `STATEWISE_SEED`. A law that fails names it.
#[must_use]
pub fn seed() -> u64 {
    env::var(VARIABLE)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0x5eed_0001)
}

/// A small generator (SplitMix64) for random choices that can be made again. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The choices of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`; 0 if `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        // Below `end`, which was a `usize`. The bias of the remainder is of no account here.
        (self.word() % end) as usize
    }

    /// `true` once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
