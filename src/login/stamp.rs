//! Positions in a revocation log.

/// Where a login stands in a revocation log: the incarnation of the log, the position of its head
/// when the login began, and a mark of the entry there.
///
/// Kept in the record and in the token's `rev` claim; every rotation and refresh copies it.
/// Without a log there is none. A log that lost its last entries gives their positions out again:
/// the mark tells what a position meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    incarnation: u64,
    position: u64,
    mark: u32,
}

/// What fits into six bytes.
const SIX_BYTES: u64 = (1 << 48) - 1;

impl Stamp {
    /// A place in a log. Of incarnation and position the lower 48 bits count.
    #[must_use]
    pub const fn new(incarnation: u64, position: u64, mark: u32) -> Self {
        Self {
            incarnation: incarnation & SIX_BYTES,
            position: position & SIX_BYTES,
            mark,
        }
    }

    /// The incarnation of the log; another one means that the log lost its data.
    #[must_use]
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }

    /// The position of the log's head.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.position
    }

    /// What tells the entry at this position from any other that stood or will stand there; zero
    /// before the first.
    #[must_use]
    pub const fn mark(self) -> u32 {
        self.mark
    }

    /// The stamp in sixteen bytes: six of the incarnation, six of the position, four of the mark,
    /// big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let places = u128::from(self.incarnation) << 80 | u128::from(self.position) << 32;
        (places | u128::from(self.mark)).to_be_bytes()
    }

    /// The stamp from its sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let all = u128::from_be_bytes(bytes);
        Self::new((all >> 80) as u64, (all >> 32) as u64, all as u32)
    }
}
