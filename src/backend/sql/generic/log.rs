//! A log in two tables.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::backend::sql::columns::{at_most, in_seconds};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::Gate;
use crate::backend::sql::generic::append::{Append, Begin};
use crate::backend::sql::generic::driver::{Driver, Mode, RowOf};
use crate::backend::sql::generic::log_statements::LogStatements;
use crate::backend::sql::log::{log_failed, new_incarnation, without_counter};
use crate::backend::sql::page;
use crate::backend::sql::table::Table;
use crate::backend::sql::value::Value;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{Page, RevocationLog};

/// Revocations in two tables of MySQL or SQLite: see [`MySqlLog`](crate::revocation::MySqlLog) and
/// [`SqliteLog`](crate::revocation::SqliteLog). A clone shares everything with its original.
pub struct TableLog<D>(Arc<Inner<D>>);

impl<D> Clone for TableLog<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The tables of a log.
struct Inner<D> {
    driver: Arc<D>,
    statements: LogStatements,
    table: Table,
    gate: Arc<Gate>,
}

#[expect(private_bounds, reason = "sealed: the drivers are those of this crate")]
impl<D: Driver> TableLog<D> {
    pub(crate) fn new(driver: Arc<D>, table: Table, gate: Arc<Gate>) -> Self {
        Self(Arc::new(Inner {
            driver,
            statements: LogStatements::of(&table, &D::DIALECT),
            table,
            gate,
        }))
    }

    pub(crate) fn statements(&self) -> Vec<Arc<str>> {
        self.0.statements.all()
    }

    /// Creates the counter, unless it exists.
    pub(crate) async fn begin(&self) -> Result<()> {
        self.0.begin().await
    }
}

impl<D: Driver> RevocationLog for TableLog<D> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.0.in_time(self.0.append(facts, now)).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        self.0.in_time(self.0.head()).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.0.in_time(self.0.read(from, limit.max(1), now)).await
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        self.0.in_time(self.0.fence()).await
    }
}

impl<D: Driver> Inner<D> {
    /// Runs an act within the deadline. Not an async function: its future would hold the act twice.
    fn in_time<T: Send>(
        &self,
        act: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        self.gate.call(act, log_failed)
    }

    fn beginning(&self) -> Result<Begin<'_>> {
        Ok(Begin {
            statements: &self.statements,
            incarnation: new_incarnation()?,
        })
    }

    async fn begin(&self) -> Result<()> {
        let begun = self.driver.run(Mode::Transaction, &self.beginning()?).await;
        match begun {
            Err(failure) if failure.is_duplicate() => Ok(()),
            answer => answer.map_err(log_failed),
        }
    }

    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        if facts.is_empty() {
            return self.head().await;
        }
        let append = Append {
            begin: self.beginning()?,
            facts,
            now: Self::now(now),
        };
        let mut appended = self.driver.run(Mode::Transaction, &append).await;
        if appended.as_ref().is_err_and(Failure::is_duplicate) {
            // Another node has begun the log at the same time.
            appended = self.driver.run(Mode::Transaction, &append).await;
        }
        appended.map_err(log_failed)
    }

    async fn head(&self) -> Result<Stamp> {
        let read = |rows: &[RowOf<D>]| page::stamp(rows);
        self.rows(&self.statements.head, &[], read).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        let values = [
            Value::Number(Self::now(now)),
            Value::Number(at_most(from)),
            Value::Number(at_most(limit as u64).saturating_add(1)),
        ];
        let read = |rows: &[RowOf<D>]| page::page(rows, from, limit);
        self.rows(&self.statements.read, &values, read).await
    }

    async fn fence(&self) -> Result<()> {
        for has_begun in [false, true] {
            let fenced = self.driver.write(&self.statements.fence, &[]).await;
            if fenced.map_err(log_failed)? > 0 {
                return Ok(());
            }
            if !has_begun {
                self.begin().await?;
            }
        }
        Err(without_counter())
    }

    /// Passes the rows of a statement to `read`. Begins the log if there is no counter.
    async fn rows<T>(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
        read: impl Fn(&[RowOf<D>]) -> Result<Option<T>> + Send,
    ) -> Result<T> {
        for has_begun in [false, true] {
            let rows = self.driver.rows(statement, values).await;
            if let Some(answer) = read(&rows.map_err(log_failed)?)? {
                return Ok(answer);
            }
            if !has_begun {
                self.begin().await?;
            }
        }
        Err(without_counter())
    }

    /// Returns the time to add to that of the database.
    fn now(now: Timestamp) -> i64 {
        if D::DIALECT.clock.is_some() {
            0
        } else {
            in_seconds(now)
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for TableLog<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableLog")
            .field("driver", &self.0.driver)
            .field("table", &self.0.table)
            .field("deadline", &self.0.gate.deadline)
            .finish_non_exhaustive()
    }
}
