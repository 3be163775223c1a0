//! Random choices that can be repeated.

use std::env;

/// Environment variable that overrides the seed of all laws.
const VARIABLE: &str = "STATEWISE_SEED";

/// Seed of all random choices: a fixed one, or the number in the environment variable
/// `STATEWISE_SEED`. A failing law names it.
#[must_use]
pub fn seed() -> u64 {
    env::var(VARIABLE)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0x5eed_0001)
}

/// A small generator (SplitMix64) for random choices that can be repeated. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates the generator of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Returns a number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        // The remainder has a bias of at most `end` / 2^64, which no test notices.
        (self.word() % end) as usize
    }

    /// Returns `true` once in `times` calls on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
