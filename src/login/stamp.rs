//! Positions in a revocation log.

/// The position of a login in a revocation log: the incarnation of the log, the position of its
/// head when the login began, and the mark of the entry at that position.
///
/// The record and the token's `rev` claim contain it; every rotation and refresh copies it. Without
/// a log there is no stamp. A log that lost its last entries assigns their positions again: the
/// mark identifies the entry that a position referred to. See
/// [`manual::revocation`](crate::manual::revocation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    incarnation: u64,
    position: u64,
    mark: u32,
}

/// The largest value of six bytes.
const SIX_BYTES: u64 = (1 << 48) - 1;

impl Stamp {
    /// Creates a stamp. The lower 48 bits of incarnation and position count.
    #[must_use]
    pub const fn new(incarnation: u64, position: u64, mark: u32) -> Self {
        Self {
            incarnation: incarnation & SIX_BYTES,
            position: position & SIX_BYTES,
            mark,
        }
    }

    /// The incarnation of the log. A different one means that the log lost its data.
    #[must_use]
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }

    /// The position of the log's head.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.position
    }

    /// Distinguishes the entry at this position from all others that had or will have this
    /// position. Zero in front of the first entry.
    #[must_use]
    pub const fn mark(self) -> u32 {
        self.mark
    }

    /// Returns the stamp in sixteen bytes: six of the incarnation, six of the position, four of the
    /// mark, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let places = u128::from(self.incarnation) << 80 | u128::from(self.position) << 32;
        (places | u128::from(self.mark)).to_be_bytes()
    }

    /// Creates a stamp from its sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let all = u128::from_be_bytes(bytes);
        Self::new((all >> 80) as u64, (all >> 32) as u64, all as u32)
    }
}
