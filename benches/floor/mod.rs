//! Floors: hand-written code that does the least work for the same answer. Our paths are measured
//! against them.

#![allow(dead_code, reason = "each bench measures against a part of it")]

pub mod session;
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
