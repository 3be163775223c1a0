//! The least work that verifies one of our session credentials in memory and gives our full answer.
//!
//! It does what ours does for a login that is served without a write: it decodes with tables, hashes
//! one padded block, checks proof, generation, confirmation, both timeouts under the policy of this
//! node and whether a use must be recorded, and returns subject, roles, times and version.
//!
//! It omits features that the library needs: texts beyond 47 bytes, rotated logins, limits, an
//! index by subject, the cause of a rejection. No `unsafe`.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::RwLock;

use sha2::block_api::compress256;

use super::session::Own;
use super::{Caller, START, Texts, seconds};

const SHARDS: usize = 64;

struct Line {
    proof: [u8; 16],
    generation: u32,
    version: u32,
    issued_at: u32,
    authenticated_at: u32,
    last_seen: u32,
    idle: u32,
    deadline: u32,
    texts: Texts,
    confirmed: bool,
    rotation_wanted: bool,
}

type Shard = HashMap<u128, Line, BuildHasherDefault<Own>>;

pub struct Floor {
    shards: Vec<RwLock<Shard>>,
    idle: u32,
    absolute: u32,
    rotate_after: Option<u32>,
}

impl Floor {
    pub fn new(idle: u32, absolute: u32) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            idle,
            absolute,
            rotate_after: None,
        }
    }

    pub fn insert(&self, credential: &str, subject: &str, roles: [&str; 2]) {
        let bytes = decoded(credential).expect("one of ours");
        let (key, generation) = (handle(&bytes), generation(&bytes));
        let now = seconds() as u32;
        let line = Line {
            proof: proof(&bytes, generation),
            generation,
            version: 0,
            issued_at: now,
            authenticated_at: now,
            last_seen: now,
            idle: self.idle,
            deadline: now + self.absolute,
            texts: Texts::new(subject, roles),
            confirmed: true,
            rotation_wanted: false,
        };
        let mut shard = self.shard(key).write().expect("no panics");
        shard.insert(key, line);
    }

    fn shard(&self, key: u128) -> &RwLock<Shard> {
        &self.shards[(key >> 122) as usize]
    }

    /// Verifies a credential. Returns `None` too if a use would have to be recorded.
    pub fn verify(&self, credential: &str) -> Option<Caller> {
        let bytes = decoded(credential)?;
        let (key, generation) = (handle(&bytes), generation(&bytes));
        let now = seconds() as u32;
        // Before the lookup: 4 % faster than under the lock, with a thousand or a million sessions.
        let proof = proof(&bytes, generation);
        let shard = self.shard(key).read().ok()?;
        let line = shard.get(&key)?;
        let idle = line.idle.min(self.idle);
        let deadline = line.deadline.min(line.authenticated_at + self.absolute);
        let expires_at = (line.last_seen + idle).min(deadline);
        let different =
            std::hint::black_box(u128::from_ne_bytes(proof) ^ u128::from_ne_bytes(line.proof));
        let is_served = different == 0
            && generation == line.generation
            && line.confirmed
            && now < expires_at
            && now.saturating_sub(line.last_seen) < idle / 8;
        let age = now.saturating_sub(line.issued_at);
        is_served.then(|| Caller {
            handle: key,
            texts: line.texts,
            issued_at: line.issued_at.into(),
            authenticated_at: line.authenticated_at.into(),
            expires_at: expires_at.into(),
            deadline: deadline.into(),
            version: line.version.into(),
            refresh_due: line.rotation_wanted || self.rotate_after.is_some_and(|due| age >= due),
        })
    }
}

/// A bit that no digit has.
const STRAY: u32 = 1 << 24;

/// The bits of each character as the first to fourth of four.
static DIGITS: [[u32; 256]; 4] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut digits = [[STRAY; 256]; 4];
    let mut digit = 0;
    while digit < 64 {
        let mut place = 0;
        while place < 4 {
            digits[place][alphabet[digit] as usize] = (digit as u32) << (18 - 6 * place);
            place += 1;
        }
        digit += 1;
    }
    digits
};

fn decoded(credential: &str) -> Option<[u8; 48]> {
    let text = <&[u8; 64]>::try_from(credential.as_bytes()).ok()?;
    let (mut bytes, mut strays) = ([0; 50], 0);
    for (at, eight) in text.as_chunks::<8>().0.iter().enumerate() {
        let bits =
            |from: usize| (0..4).fold(0, |bits, n| bits | DIGITS[n][usize::from(eight[from + n])]);
        let (high, low) = (bits(0), bits(4));
        strays |= high | low;
        let word = u64::from(high) << 40 | u64::from(low) << 16;
        bytes[at * 6..at * 6 + 8].copy_from_slice(&word.to_be_bytes());
    }
    (strays < STRAY).then_some(*bytes.first_chunk()?)
}

fn handle(bytes: &[u8; 48]) -> u128 {
    u128::from_be_bytes(*bytes.first_chunk().expect("48 bytes"))
}

fn generation(bytes: &[u8; 48]) -> u32 {
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| bytes[at + n]));
    word(16) ^ word(20)
}

/// One block, as it is padded: label, handle, generation, family secret and secret.
fn proof(bytes: &[u8; 48], generation: u32) -> [u8; 16] {
    let mut block = [0; 64];
    block[..7].copy_from_slice(b"session");
    block[7..23].copy_from_slice(&bytes[..16]);
    block[23..27].copy_from_slice(&generation.to_be_bytes());
    block[27..55].copy_from_slice(&bytes[20..]);
    block[55] = 0x80;
    block[62..].copy_from_slice(&(55u16 * 8).to_be_bytes());
    let mut state = START;
    compress256(&mut state, &[block]);
    let mut proof = [0; 16];
    for (bytes, word) in proof.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    proof
}
