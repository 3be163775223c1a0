//! The contract of a place where revocations are written down.

pub use crate::login::stamp::Stamp;
pub use crate::revocation::fact::{Draft, Entry, FACT_BYTES, Fact, KeyId, Nonce, SubjectKey};

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::Result;

/// How long a log keeps an entry beyond its life: the clocks of readers differ, and a fact must
/// outlive a credential that was read a moment before it.
pub const MARGIN: Duration = Duration::from_secs(60);

/// An append-only list of [facts](crate::revocation::log::Fact), which every node follows.
///
/// # Contract
///
/// - **No gaps.** Positions begin at one, each is one more than the one before, and an entry is
///   visible as soon as a later one is: a reader that has seen position `p` misses nothing below.
/// - **Nothing goes early.** An entry stays for its life and [`MARGIN`] seconds more; entries go
///   from the front only. One that has had its time and stands behind one that has not keeps place
///   and nonce, and is read as [`Fact::Nothing`]: a new reader
///   has no room for what has expired.
/// - **A loss shows.** The incarnation is drawn at random when the log begins without its data,
///   and a reader compares the nonce of the entry at which it stopped.
/// - `Ok` of an append means: durable, to what the log states, and visible to every read that is
///   sent after it.
///
/// # Security
///
/// Who can write to the log can log everybody out, and who can delete from it can bring logins
/// back. It holds handles and hashes of subjects, and nothing that could be presented.
pub trait RevocationLog: fmt::Debug + Send + Sync + 'static {
    /// Appends facts, in their order and side by side, as one step.
    ///
    /// # Returns
    ///
    /// Where the last of them is, with its mark; for none, the head.
    ///
    /// # Cancel safety
    ///
    /// All may be there, or none. Appending the same drafts again is safe: they say the same, at a
    /// later position.
    ///
    /// # Errors
    ///
    /// *Unavailable*: they may be there or not.
    fn append(&self, facts: &[Draft], now: Timestamp)
    -> impl Future<Output = Result<Stamp>> + Send;

    /// Where the last entry is, with its [mark](crate::revocation::log::Nonce::mark): what a login that
    /// begins now is stamped with. Also when that entry has had its time and gone; at position zero,
    /// with the mark zero, before the first.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer. Never an older position than one that any append
    /// has returned.
    fn head(&self, now: Timestamp) -> impl Future<Output = Result<Stamp>> + Send;

    /// Reads entries from a place on, that place included, in order, and at most `limit` of them;
    /// zero counts as one. A place before the first entry counts as the first.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer, or holds what does not decode: a reader must not
    /// pass over it.
    fn read(
        &self,
        from: u64,
        limit: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<Page>> + Send;

    /// Proves by a write that the log is the one that takes writes: a primary that was deposed
    /// answers reads with nothing new.
    ///
    /// # Errors
    ///
    /// *Unavailable* if it is not, or could not answer.
    fn fence(&self, now: Timestamp) -> impl Future<Output = Result<()>> + Send;
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Which log; another one means that the log lost its data.
    pub incarnation: u64,
    /// The position of the first entry that is still there, or of the next one if there is none.
    pub first: u64,
    /// The entries, side by side.
    pub entries: Vec<Entry>,
    /// Whether there are more behind them.
    pub more: bool,
}

impl Page {
    /// A page. Of the incarnation the lower 48 bits count.
    #[must_use]
    pub const fn new(incarnation: u64, first: u64, entries: Vec<Entry>, more: bool) -> Self {
        Self {
            incarnation: Stamp::new(incarnation, 0, 0).incarnation(),
            first,
            entries,
            more,
        }
    }
}

/// The type-erased form of [`RevocationLog`]: implement that one.
pub trait DynRevocationLog: fmt::Debug + Send + Sync + 'static {
    /// See [`RevocationLog::append`].
    fn append_dyn<'a>(&'a self, facts: &'a [Draft], now: Timestamp)
    -> BoxFuture<'a, Result<Stamp>>;
    /// See [`RevocationLog::head`].
    fn head_dyn(&self, now: Timestamp) -> BoxFuture<'_, Result<Stamp>>;
    /// See [`RevocationLog::read`].
    fn read_dyn(&self, from: u64, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Page>>;
    /// See [`RevocationLog::fence`].
    fn fence_dyn(&self, now: Timestamp) -> BoxFuture<'_, Result<()>>;
}

impl<L: RevocationLog> DynRevocationLog for L {
    fn append_dyn<'a>(
        &'a self,
        facts: &'a [Draft],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Stamp>> {
        Box::pin(self.append(facts, now))
    }

    fn head_dyn(&self, now: Timestamp) -> BoxFuture<'_, Result<Stamp>> {
        Box::pin(self.head(now))
    }

    fn read_dyn(&self, from: u64, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Page>> {
        Box::pin(self.read(from, limit, now))
    }

    fn fence_dyn(&self, now: Timestamp) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.fence(now))
    }
}

impl RevocationLog for dyn DynRevocationLog {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.append_dyn(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.head_dyn(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.read_dyn(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.fence_dyn(now).await
    }
}

impl<L: RevocationLog + ?Sized> RevocationLog for Arc<L> {
    fn append(
        &self,
        facts: &[Draft],
        now: Timestamp,
    ) -> impl Future<Output = Result<Stamp>> + Send {
        (**self).append(facts, now)
    }

    fn head(&self, now: Timestamp) -> impl Future<Output = Result<Stamp>> + Send {
        (**self).head(now)
    }

    fn read(
        &self,
        from: u64,
        limit: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<Page>> + Send {
        (**self).read(from, limit, now)
    }

    fn fence(&self, now: Timestamp) -> impl Future<Output = Result<()>> + Send {
        (**self).fence(now)
    }
}
