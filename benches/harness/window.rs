//! Credentials of random users that stay in the cache, like credentials from the network.

use super::Random;

/// Number of credentials picked at a time: more than a batch uses.
const SIZE: usize = 2048;

/// A few of many credentials, picked again before each batch.
pub struct Window<'a> {
    all: &'a [String],
    random: Random,
    picked: Vec<String>,
    at: usize,
}

impl<'a> Window<'a> {
    pub fn new(all: &'a [String], seed: u64) -> Self {
        let mut window = Self {
            all,
            random: Random(seed),
            picked: vec![String::with_capacity(96); SIZE],
            at: 0,
        };
        window.refill();
        window
    }

    /// Picks other credentials.
    pub fn refill(&mut self) {
        self.at = 0;
        for picked in &mut self.picked {
            picked.clear();
            picked.push_str(&self.all[self.random.below(self.all.len())]);
        }
    }

    pub fn next(&mut self) -> &str {
        let picked = &self.picked[self.at % SIZE];
        self.at += 1;
        picked
    }
}
