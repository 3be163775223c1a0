//! SHA-256 (FIPS 180-4), block by block.
//!
//! A hasher of `sha2` carries a buffer, and clearing it takes time: with `Sha256::digest` for its
//! one block, a session's verification took 8 % longer (bench `verify`, 2026-11-28).

use sha2::block_api::compress256;

/// Bytes that are hashed at a time.
pub(crate) const BLOCK_BYTES: usize = 64;
/// Initial state (section 5.3.3).
pub(crate) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Hashes whole blocks.
pub(crate) fn absorb(state: &mut [u32; 8], blocks: &[[u8; BLOCK_BYTES]]) {
    compress256(state, blocks);
}

/// Hashes a message.
#[inline]
pub(crate) fn hash(message: &[u8]) -> [u8; 32] {
    finish(INITIAL, message, message.len() as u64)
}

/// Returns the first half of the hash of a message.
pub(crate) fn half(message: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash(message)[..16]);
    half
}

/// Hashes the end of a message of `length` bytes, with its padding (section 5.1.1).
#[inline]
pub(crate) fn finish(mut state: [u32; 8], end: &[u8], length: u64) -> [u8; 32] {
    let (blocks, tail) = end.as_chunks();
    if !blocks.is_empty() {
        absorb(&mut state, blocks);
    }
    let mut last = [[0; BLOCK_BYTES]; 2];
    let bytes = last.as_flattened_mut();
    bytes[..tail.len()].copy_from_slice(tail);
    bytes[tail.len()] = 0x80;
    // One block, unless the length does not fit after the tail.
    let padded = if tail.len() < BLOCK_BYTES - 8 {
        BLOCK_BYTES
    } else {
        2 * BLOCK_BYTES
    };
    bytes[padded - 8..padded].copy_from_slice(&(length * 8).to_be_bytes());
    absorb(&mut state, &last[..padded / BLOCK_BYTES]);
    to_bytes(state)
}

/// Converts the final state to the hash.
#[inline]
pub(crate) fn to_bytes(state: [u32; 8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let (words, _) = hash.as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip(state) {
        *word = value.to_be_bytes();
    }
    hash
}
