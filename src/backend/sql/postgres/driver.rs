//! What is wanted of a client of Postgres, whichever it is.

use std::fmt;
use std::future::Future;

use tokio::time::Instant;

use crate::error::Error;

/// A parameter of a statement. Shows nothing of itself: a client may log parameters.
pub(crate) enum Value<'a> {
    Number(i64),
    Flag(bool),
    Bytes(&'a [u8]),
    Optional(Option<&'a [u8]>),
    Many(Vec<&'a [u8]>),
    Numbers(Vec<i64>),
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// A row of an answer; columns are counted from zero.
pub(crate) trait Row: Send + Sync {
    fn number(&self, column: usize) -> Result<i64, Failure>;
    fn flag(&self, column: usize) -> Result<bool, Failure>;
    fn bytes(&self, column: usize) -> Result<&[u8], Failure>;
    fn optional(&self, column: usize) -> Result<Option<&[u8]>, Failure>;
    fn many(&self, column: usize) -> Result<Vec<Vec<u8>>, Failure>;
}

/// A client of Postgres, which knows the statements of its owner by their numbers. Every call ends
/// by `until`.
pub(crate) trait Driver: fmt::Debug + Send + Sync + 'static {
    type Row: Row;

    /// The rows that a statement answers.
    fn rows(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;

    /// How many rows a statement has changed.
    fn count(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// The same as [`rows`](Self::rows), in a transaction that is read committed for sure.
    fn rows_read_committed(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;

    /// Several statements without parameters, as one transaction.
    fn batch(
        &self,
        text: String,
        until: Instant,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why there is no answer. Says nothing of what was sent or stored, nor to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server answered with this SQLSTATE.
    Refused(String),
    /// The connection broke, so that it is unknown what the server did.
    Broken,
    /// No connection could be had.
    Unconnected,
    /// The deadline passed.
    Late,
    /// The answer is not of the shape that was asked for.
    Garbled,
}

impl Failure {
    /// Whether the server undid it, for the sake of another transaction.
    pub(crate) fn is_undone(&self) -> bool {
        // Serialization failure, deadlock.
        matches!(self, Self::Refused(code) if code == "40001" || code == "40P01")
    }

    /// Whether there is such a row already.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Refused(code) if code == "23505")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) if ["42P01", "42883", "42703"].contains(&&**code) => {
                write!(
                    f,
                    "Postgres answered {code}: the schema is missing, migrate first"
                )
            }
            Self::Refused(code) => write!(f, "Postgres answered {code}"),
            Self::Broken => f.write_str("the connection to Postgres broke"),
            Self::Unconnected => f.write_str("no connection to Postgres could be had"),
            Self::Late => f.write_str("Postgres did not answer within the deadline"),
            Self::Garbled => f.write_str("Postgres answered in another shape than expected"),
        }
    }
}

impl std::error::Error for Failure {}

/// *Unavailable*: of a session store, unless somebody says of what.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure)
    }
}
