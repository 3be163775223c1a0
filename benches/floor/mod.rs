//! Floors: hand-written code that does the least work for the same answer. Our paths are measured
//! against them.

#![allow(dead_code, reason = "each bench measures against a part of it")]

use std::time::{SystemTime, UNIX_EPOCH};

pub mod session;
pub mod strict_session;
pub mod token;

/// The initial state of SHA-256.
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A verified caller, with the same facts as our identity.
#[derive(Clone, Copy)]
pub struct Caller {
    pub handle: u128,
    pub texts: Texts,
    pub issued_at: u64,
    pub authenticated_at: u64,
    pub expires_at: u64,
    pub deadline: u64,
    pub version: u64,
    pub refresh_due: bool,
}

/// Subject and roles: a length before each, 47 bytes in all.
#[derive(Clone, Copy)]
pub struct Texts {
    bytes: [u8; 47],
    end: u8,
}

impl Texts {
    pub fn new(subject: &str, roles: [&str; 2]) -> Self {
        let (mut bytes, mut end) = ([0; 47], 0);
        for text in [subject, roles[0], roles[1]] {
            bytes[end] = text.len() as u8;
            bytes[end + 1..][..text.len()].copy_from_slice(text.as_bytes());
            end += 1 + text.len();
        }
        let end = end as u8;
        Self { bytes, end }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = &self.bytes[..usize::from(self.end)];
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let (text, after) = after.split_at(usize::from(*length));
            rest = after;
            std::str::from_utf8(text).ok()
        })
    }

    pub fn subject(&self) -> &str {
        self.iter().next().unwrap_or_default()
    }

    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.iter().skip(1)
    }
}

/// Unix seconds of the system's exact clock.
fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}
