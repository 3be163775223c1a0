//! Secret bytes: redacted in `Debug`, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;

/// Text that `Debug` shows for a redacted value.
pub(crate) const REDACTED: &str = "[redacted]";

/// Bytes that `Debug` redacts.
#[derive(Clone, Copy)]
pub(crate) struct Secret<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Compares 16 bytes in constant time.
///
/// One comparison of a 128-bit word instead of 16 of bytes, because each comparison ends in an
/// optimisation barrier, and the barriers are what takes time.
pub(crate) fn constant_time_eq(a: &[u8; 16], b: &[u8; 16]) -> bool {
    u128::from_ne_bytes(*a)
        .ct_eq(&u128::from_ne_bytes(*b))
        .into()
}
