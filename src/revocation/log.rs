//! The contract of a revocation log, for implementers.
//!
//! # Implementing a log
//!
//! 1. Implement [`RevocationLog`]: `append`, `head`, `read` and `fence`.
//! 2. Store each [`Draft`] with [`Fact::to_bytes`], its nonce and its life. Return it as an
//!    [`Entry`] in a [`Page`]. [`Draft::with_nonce`], [`Fact::from_bytes`] and [`Entry::new`]
//!    decode it.
//! 3. Take positions from a counter that is changed in the same transaction as the insertion. A
//!    sequence or an auto-increment column is wrong: a transaction that commits late leaves a gap
//!    that readers have already passed.
//! 4. Keep the incarnation, the head position and its nonce beside the entries. They must survive
//!    the removal of all entries.
//! 5. Remove entries from the front only, after their life and [`MARGIN`].
//! 6. Count the fences, and return their number in each page ([`Page::fences`]).
//! 7. Implement `testkit::LogFixture` in your tests and run
//!    `testkit::revocation_log_laws!` with it. It makes one test of
//!    each rule of the contract:
//!
//! ```
//! // tests/log.rs, with the feature `testkit` and a fixture of your own.
//! mod laws {
//!     statewise::testkit::revocation_log_laws!(statewise::testkit::MemoryLogFixture);
//! }
//! ```
//!
//! [`MemoryLog`](crate::revocation::MemoryLog) is the shortest implementation.
//! [`manual::revocation`](crate::manual::revocation) explains how nodes use a log.

pub use crate::login::stamp::Stamp;
pub use crate::revocation::fact::{Draft, Entry, FACT_BYTES, Fact, KeyId, Nonce, SubjectKey};

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::base::erased::forward_to_pointee;
use crate::clock::Timestamp;
use crate::error::Result;

/// Time for which a log keeps an entry beyond its life. The clocks of readers differ, and a fact
/// must outlive a credential that was read a moment before it.
pub const MARGIN: Duration = Duration::from_secs(60);

/// An append-only list of [facts](Fact) that every node follows.
///
/// # Contract
///
/// - **No gaps.** Positions start at 1 and grow by 1. When an entry is visible, all entries before
///   it are visible: a reader that has seen position `p` has missed nothing before it.
/// - **No early removal.** An entry stays for its life plus [`MARGIN`]. Entries are removed from
///   the front only. An expired entry behind a live one keeps its position and nonce and is read as
///   [`Fact::Nothing`], because a new reader has no room for expired facts.
/// - **Losses are visible.** A log that starts without its data draws a random incarnation. A
///   reader compares the nonce of the entry at which it stopped.
/// - **Acknowledged means appended.** When an append returns `Ok`, its entries are as durable as
///   the log states, and visible to every read that is sent afterwards.
///
/// # Security
///
/// Write access to the log allows logging out every user; delete access can undo logouts. The log
/// holds handles and hashes of subjects, and no credential.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a revocation log",
    label = "not a revocation log",
    note = "pass a log itself: write `?` after a call that returns a `Result`, such as \
            `MemoryLog::new()?`",
    note = "a backend has its log in `revocations()`: \
            `RevocationView::builder(redis.revocations())`"
)]
pub trait RevocationLog: fmt::Debug + Send + Sync + 'static {
    /// Appends facts in their order, at consecutive positions, in one atomic step.
    ///
    /// # Returns
    ///
    /// The stamp of the last entry; for no facts, the stamp of the head.
    ///
    /// # Cancel safety
    ///
    /// All of them may have been appended, or none. Appending the same drafts again is safe: they
    /// state the same facts at a later position.
    ///
    /// # Errors
    ///
    /// *Unavailable*: they may have been appended or not.
    fn append(&self, facts: &[Draft], now: Timestamp)
    -> impl Future<Output = Result<Stamp>> + Send;

    /// Returns the stamp of the last entry, with its [mark](Nonce::mark). A login that begins now
    /// gets this stamp. If that entry has been removed, its stamp is still returned. Before the
    /// first entry position and mark are 0.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer. Never a lower position than one that an append
    /// has returned.
    fn head(&self, now: Timestamp) -> impl Future<Output = Result<Stamp>> + Send;

    /// Reads at most `limit` entries in order, starting with the one at position `from`. A limit of
    /// 0 counts as 1. A position before the first entry counts as the first.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer, or contains an entry that does not decode: a
    /// reader must not skip it.
    fn read(
        &self,
        from: u64,
        limit: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<Page>> + Send;

    /// Proves by a write that this log is the one that takes writes. A deposed primary would answer
    /// reads as if there were nothing new.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log does not take writes, or could not answer.
    fn fence(&self, now: Timestamp) -> impl Future<Output = Result<()>> + Send;

    /// Returns true if this log may only be read: [`append`](Self::append) and
    /// [`fence`](Self::fence) are *misuse*, and a read does not create a missing log. A view of it
    /// [follows and never writes](crate::manual::revocation#followers-that-only-read). Default:
    /// false.
    fn is_read_only(&self) -> bool {
        false
    }
}

/// *Misuse* text of a write to a log that is only read.
pub(crate) const READ_ONLY: &str = "this node only reads the revocation log, so it ends no login \
                                    and retires no key: call a node whose log is built with `build`";

/// Text of a reader without a log.
#[cfg(any(
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
pub(crate) const NOT_BEGUN: &str = "there is no revocation log yet, or it was lost: a node that may \
                                    write to it begins it";

/// Consecutive entries of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Incarnation of the log. It changes when the log loses its data.
    pub incarnation: u64,
    /// Position of the first entry that is still there; of the next append if there is none.
    pub first: u64,
    /// The entries, at consecutive positions.
    pub entries: Vec<Entry>,
    /// True if there are more entries after them.
    pub more: bool,
    /// A number that grows with each fence, and possibly with each append. By it, a node that may
    /// not write sees that the log takes writes.
    pub fences: u64,
}

impl Page {
    /// Creates a page. Only the lower 48 bits of the incarnation count.
    #[must_use]
    pub const fn new(incarnation: u64, first: u64, entries: Vec<Entry>, more: bool) -> Self {
        Self {
            incarnation: Stamp::new(incarnation, 0, 0).incarnation(),
            first,
            entries,
            more,
            fences: 0,
        }
    }

    /// Sets the number of fences. Default: 0.
    #[must_use]
    pub fn with_fences(mut self, fences: u64) -> Self {
        self.fences = fences;
        self
    }
}

/// Passes every signature of [`RevocationLog`] to a macro.
macro_rules! every_revocation_log_method {
    ([$emit:ident]) => {
        $emit! { (RevocationLog)
            async append append_dyn (facts: [&[Draft]], now: [Timestamp]) -> [Stamp]
        }
        $emit! { (RevocationLog) async head head_dyn (now: [Timestamp]) -> [Stamp] }
        $emit! { (RevocationLog)
            async read read_dyn (from: [u64], limit: [usize], now: [Timestamp]) -> [Page]
        }
        $emit! { (RevocationLog) async fence fence_dyn (now: [Timestamp]) -> [()] }
        $emit! { (RevocationLog) sync is_read_only is_read_only_dyn () -> [bool] }
    };
}

/// The type-erased form of [`RevocationLog`]. Implement [`RevocationLog`] instead.
///
/// `Arc<dyn DynRevocationLog>` is a `RevocationLog` itself.
pub trait DynRevocationLog: erased::ErasedRevocationLog {}

impl<L: RevocationLog> DynRevocationLog for L {}

mod erased {
    //! The methods of the type-erased form, where no other code can call them on an `Arc`, which
    //! would allocate for each future twice.

    use std::fmt;

    use crate::base::erased::{declare_erased, erase, restore};
    use crate::clock::Timestamp;
    use crate::login::stamp::Stamp;
    use crate::revocation::fact::Draft;
    use crate::revocation::log::{DynRevocationLog, Page, RevocationLog};

    #[expect(unnameable_types, reason = "its methods are not for other code")]
    pub trait ErasedRevocationLog: fmt::Debug + Send + Sync + 'static {
        every_revocation_log_method! { [declare_erased] }
    }

    impl<L: RevocationLog> ErasedRevocationLog for L {
        every_revocation_log_method! { [erase] }
    }

    impl RevocationLog for dyn DynRevocationLog {
        every_revocation_log_method! { [restore] }
    }
}

impl<L: RevocationLog + ?Sized> RevocationLog for Arc<L> {
    every_revocation_log_method! { [forward_to_pointee] }
}
