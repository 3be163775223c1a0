//! SHA-256 (FIPS 180-4) block by block, where a hasher's buffer would cost more than it holds.

use sha2::block_api::compress256;

/// Bytes that are hashed at a time.
pub(crate) const BLOCK: usize = 64;
/// The state in which it begins (section 5.3.3).
pub(crate) const BEGINNING: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Takes whole blocks.
pub(crate) fn absorb(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    compress256(state, blocks);
}

/// The hash of a whole message.
pub(crate) fn hash(message: &[u8]) -> [u8; 32] {
    let mut state = BEGINNING;
    let (blocks, tail) = message.as_chunks();
    absorb(&mut state, blocks);
    finish(state, tail, message.len() as u64)
}

/// Ends a message of `length` bytes with what does not fill a block (section 5.1.1), which is less
/// than one.
#[inline]
pub(crate) fn finish(mut state: [u32; 8], tail: &[u8], length: u64) -> [u8; 32] {
    let mut last = [[0; BLOCK]; 2];
    let bytes = last.as_flattened_mut();
    bytes[..tail.len()].copy_from_slice(tail);
    bytes[tail.len()] = 0x80;
    // One block, unless the length does not fit behind the tail.
    let end = if tail.len() < BLOCK - 8 {
        BLOCK
    } else {
        2 * BLOCK
    };
    bytes[end - 8..end].copy_from_slice(&(length * 8).to_be_bytes());
    absorb(&mut state, &last[..end / BLOCK]);

    let mut hash = [0; 32];
    let (words, _) = hash.as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip(state) {
        *word = value.to_be_bytes();
    }
    hash
}
