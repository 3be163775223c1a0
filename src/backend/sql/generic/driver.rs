//! Access to a database through a pool of sqlx, with statements that have a `?` for each value.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::backend::durability::Durability;
use crate::backend::sql::failure::Failure;
use crate::backend::sql::table::Tables;
use crate::backend::sql::value::{Row, Value};
use crate::error::Result;

/// A connection, inside or outside of a transaction.
pub(crate) trait Client: Send {
    type Row: Row;

    /// Returns the rows of a statement that reads. A statement that writes must not return rows:
    /// the client may stop after a row, and does not report a failure behind it.
    fn rows(
        &mut self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Runs a statement that writes, and returns the number of matching rows.
    fn write(
        &mut self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Prepares a statement without running it: the database checks tables and rights.
    fn plan(
        &mut self,
        statement: &Arc<str>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Runs several statements without values.
    fn batch(
        &mut self,
        statements: &Arc<str>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Implements [`Client`] and [`Row`]: the same code for each database, with its types.
macro_rules! client {
    ($connection:ty, $row:ty) => {
        impl $crate::backend::sql::generic::driver::Client for $connection {
            type Row = $row;

            async fn rows(
                &mut self,
                statement: &Arc<str>,
                values: &[$crate::backend::sql::value::Value<'_>],
            ) -> Result<Vec<$row>, sqlx::Error> {
                let bound =
                    $crate::backend::sql::value::bind!(statement, values, |_query, never| {
                        match *never {}
                    });
                bound.fetch_all(self).await
            }

            async fn write(
                &mut self,
                statement: &Arc<str>,
                values: &[$crate::backend::sql::value::Value<'_>],
            ) -> Result<u64, sqlx::Error> {
                let bound =
                    $crate::backend::sql::value::bind!(statement, values, |_query, never| {
                        match *never {}
                    });
                Ok(bound.execute(self).await?.rows_affected())
            }

            async fn plan(&mut self, statement: &Arc<str>) -> Result<(), sqlx::Error> {
                use sqlx::{Connection as _, Executor as _, SqlSafeStr as _};

                // Otherwise, the client would not ask again.
                self.clear_cached_statements().await?;
                let statement = sqlx::AssertSqlSafe(Arc::clone(statement)).into_sql_str();
                self.prepare(statement).await.map(drop)
            }

            async fn batch(&mut self, statements: &Arc<str>) -> Result<(), sqlx::Error> {
                let statements = sqlx::AssertSqlSafe(Arc::clone(statements));
                sqlx::raw_sql(statements).execute(self).await.map(drop)
            }
        }

        $crate::backend::sql::value::row!($row);
    };
}

pub(crate) use client;

/// Kind of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A statement that reads. It may be sent again if the connection turns out to be dead.
    Read,
    /// A statement that writes.
    Write,
    /// Several statements in one transaction. An error rolls it back.
    Transaction,
}

/// Statements that a connection runs as one step.
pub(crate) trait Act<C>: Sync {
    type Answer: Send;

    fn run(
        &self,
        connection: &mut C,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;
}

/// A statement that reads, and its values.
struct Rows<'s>(&'s Arc<str>, &'s [Value<'s>]);

impl<C: Client> Act<C> for Rows<'_> {
    type Answer = Vec<C::Row>;

    async fn run(&self, connection: &mut C) -> Result<Vec<C::Row>, sqlx::Error> {
        connection.rows(self.0, self.1).await
    }
}

/// A statement that writes, and its values.
pub(crate) struct Write<'s>(pub(crate) &'s Arc<str>, pub(crate) &'s [Value<'s>]);

impl<C: Client> Act<C> for Write<'_> {
    type Answer = u64;

    async fn run(&self, connection: &mut C) -> Result<u64, sqlx::Error> {
        connection.write(self.0, self.1).await
    }
}

/// The statements of a schema.
pub(crate) struct Migration(pub(crate) Arc<str>);

impl<C: Client> Act<C> for Migration {
    type Answer = ();

    async fn run(&self, connection: &mut C) -> Result<(), sqlx::Error> {
        connection.batch(&self.0).await
    }
}

/// Statements to prepare, without running them.
pub(crate) struct Plan(pub(crate) Vec<Arc<str>>);

impl<C: Client> Act<C> for Plan {
    /// Reasons why the database refuses some of them.
    type Answer = Vec<Failure>;

    async fn run(&self, connection: &mut C) -> Result<Vec<Failure>, sqlx::Error> {
        let mut failures = Vec::new();
        for statement in &self.0 {
            let planned = connection.plan(statement).await;
            match planned.as_ref().map_err(Failure::from) {
                Err(failure @ (Failure::Refused(_) | Failure::Denied(_))) => failures.push(failure),
                // The whole act is repeated on a connection that is fit.
                _ => planned?,
            }
        }
        Ok(failures)
    }
}

/// Row of a driver.
pub(crate) type RowOf<D> = <<D as Driver>::Connection as Client>::Row;

/// A pool of connections. It retries what fails only because of other transactions.
pub(crate) trait Driver: fmt::Debug + Send + Sync + 'static {
    type Connection: Client;

    /// The SQL dialect of the database.
    const DIALECT: Dialect;

    /// Runs an act on a connection of the pool.
    fn run<A: Act<Self::Connection>>(
        &self,
        mode: Mode,
        act: &A,
    ) -> impl Future<Output = Result<A::Answer, Failure>> + Send;

    /// Creates the tables that do not exist.
    fn migrate(&self, tables: &Tables) -> impl Future<Output = Result<()>> + Send;

    /// Returns the settings that must be changed, each with what to do.
    fn unfit_settings(
        &self,
        tables: &Tables,
    ) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// Returns what the database keeps of acknowledged writes. `None` if that depends on tables, and
    /// there is none.
    fn durability(
        &self,
        tables: &Tables,
    ) -> impl Future<Output = Result<Option<Durability>, Failure>> + Send;

    /// Returns the rows of a statement that reads.
    fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<RowOf<Self>>, Failure>> + Send {
        async move { self.run(Mode::Read, &Rows(statement, values)).await }
    }

    /// Runs a statement that writes, and returns the number of matching rows.
    fn write(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, Failure>> + Send {
        async move { self.run(Mode::Write, &Write(statement, values)).await }
    }
}

/// Differences between the databases.
pub(crate) struct Dialect {
    /// Name in events.
    pub(crate) name: &'static str,
    /// Quote around a name.
    pub(crate) quote: char,
    /// Function that returns the larger of two numbers.
    pub(crate) greatest: &'static str,
    /// Clause of an insertion that skips a row with an existing handle, and no other row.
    pub(crate) on_conflict: &'static str,
    /// Writes the statement that notes `count` uses. Values: a handle and a time for each.
    pub(crate) touch: fn(table: &str, count: usize) -> String,
    /// Writes the statement that removes the rows of a subject for which a condition holds. Values:
    /// the key of the subject, those of the condition.
    pub(crate) remove_subject: fn(table: &str, condition: &str) -> String,
    /// True if a login with a limit must lock a row that stands for its subject. False if a
    /// transaction is the only writer.
    pub(crate) locks_subject: bool,
    /// Clause that locks the counter of the log until the commit.
    pub(crate) for_update: &'static str,
    /// Time of the database. `None` if the log uses the time of the caller.
    pub(crate) clock: Option<&'static str>,
    /// Condition of each statement outside of a transaction. It is 1, or fails with
    /// [`Failure::ReadOnly`] if the server would not commit a write of the statement at once, or
    /// if a read may return old rows: on a replica, or in a transaction that another user of the
    /// connection left open.
    pub(crate) is_fit: &'static str,
    /// The same for a statement in a transaction.
    pub(crate) is_fit_within: &'static str,
}
