//! The calls that a client of Postgres provides.

use std::collections::BTreeSet;
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
pub(crate) trait Query: Copy + Send + Sync + 'static {
    /// All statements, each at its own index.
    const ALL: &'static [Self];

    fn index(self) -> usize;

    /// Returns true if the statement may be sent again when its answer was lost.
    fn is_read(self) -> bool;

    fn text(self, tables: &Tables) -> String;

    /// Returns the rights that the statement needs, for a message.
    fn rights(self, tables: &Tables) -> String;
}

/// Condition: the server accepts writes. A standby and a fenced former primary do not, and their
/// rows may be outdated.
pub(crate) const WRITABLE: &str = "current_setting('transaction_read_only') = 'off'";

/// Returns the rows of an answer. The server accepts no writes if the first column of the last row
/// is NULL.
pub(crate) fn of_primary<R: Row>(rows: Vec<R>) -> Result<Vec<R>, Failure> {
    if rows.last().is_some_and(|row| row.is_null(0)) {
        return Err(Failure::ReadOnly);
    }
    Ok(rows)
}

/// Number of times that each of two connections is asked for its process of the server.
pub(crate) const ASKED_FOR_PROCESS: usize = 4;

/// Processes of the server that two connections have led to.
#[derive(Default)]
pub(crate) struct Processes([BTreeSet<String>; 2]);

impl Processes {
    pub(crate) fn note(&mut self, connection: usize, process: String) {
        self.0[connection].insert(process);
    }

    /// Returns true if a connection has changed its process, or both had the same one.
    pub(crate) fn are_shared(&self) -> bool {
        let [one, other] = &self.0;
        one.len() > 1 || other.len() > 1 || !one.is_disjoint(other)
    }
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

    /// Returns the number of open connections.
    fn connections(&self) -> usize;

    /// Returns true if transactions run at *read committed* whatever the default of the user.
    fn sets_isolation(&self) -> bool;

    /// Returns true if there is a pooler in transaction mode, and `transaction_pooler` is not set: a
    /// connection changes its process of the server, or shares it with another one.
    fn has_unexpected_pooler(
        &self,
        until: Instant,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;
}
