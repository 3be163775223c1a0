//! Bytes that must not be seen: how they are kept and compared.

use std::fmt;

use subtle::ConstantTimeEq;

/// What a redacted value shows of itself.
pub(crate) const REDACTED: &str = "[redacted]";

/// Bytes that never show in `Debug`.
#[derive(Clone, Copy)]
pub(crate) struct Secret<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Compares sixteen bytes in a time that does not depend on them. Two words instead of sixteen
/// bytes: each comparison ends in an optimisation barrier, and barriers are what it costs.
pub(crate) fn constant_time_eq(a: &[u8; 16], b: &[u8; 16]) -> bool {
    u128::from_ne_bytes(*a)
        .ct_eq(&u128::from_ne_bytes(*b))
        .into()
}
