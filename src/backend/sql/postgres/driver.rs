//! The calls that a client of Postgres provides.

use std::fmt;
use std::future::Future;

use tokio::time::Instant;

use crate::backend::sql::failure::Failure;
use crate::backend::sql::table::Tables;
use crate::backend::sql::value::{Row, Value};

/// An array, for one parameter of a statement.
pub(crate) enum Array<'v> {
    Bytes(Vec<&'v [u8]>),
    Numbers(Vec<i64>),
}

/// A parameter of a statement.
pub(crate) type Parameter<'v> = Value<'v, Array<'v>>;

/// The statements of a store or of a log.
pub(crate) trait Query: Copy + Send + 'static {
    /// All statements, each at its own index.
    const ALL: &'static [Self];

    fn index(self) -> usize;

    /// Returns true if the statement may be sent again when its answer was lost.
    fn is_read(self) -> bool;

    fn text(self, tables: &Tables) -> String;
}

/// A client of Postgres, which is given its statements in advance and finds them by index. Every
/// call ends by `until`.
pub(crate) trait Driver: fmt::Debug + Send + Sync + 'static {
    type Row: Row;

    /// Returns the rows of a statement.
    fn rows(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;

    /// Returns the number of rows that a statement changed.
    fn count(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// Returns the rows of a statement that runs in a transaction at *read committed*.
    fn rows_read_committed(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;

    /// Runs several statements without parameters as one transaction.
    fn batch(
        &self,
        text: String,
        until: Instant,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}
