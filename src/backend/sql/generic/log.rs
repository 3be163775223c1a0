//! A log in two tables.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::backend::sql::columns::{at_most, in_seconds};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::Gate;
use crate::backend::sql::generic::append::{Append, Begin};
use crate::backend::sql::generic::driver::{Driver, Mode, Plan, RowOf};
use crate::backend::sql::generic::log_statements::LogStatements;
use crate::backend::sql::log::{log_failed, new_incarnation, without_counter};
use crate::backend::sql::page;
use crate::backend::sql::table::Table;
use crate::backend::sql::value::Value;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{NOT_BEGUN, Page, READ_ONLY, RevocationLog};

/// Revocations in two tables of MySQL or SQLite: see [`MySqlLog`](crate::revocation::MySqlLog) and
/// [`SqliteLog`](crate::revocation::SqliteLog). A clone shares everything with its original.
pub struct TableLog<D> {
    inner: Arc<Inner<D>>,
    read_only: bool,
}

impl<D> Clone for TableLog<D> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            read_only: self.read_only,
        }
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
        Self {
            inner: Arc::new(Inner {
                driver,
                statements: LogStatements::of(&table, &D::DIALECT),
                table,
                gate,
            }),
            read_only: false,
        }
    }

    /// Returns this log for a user that may only read.
    pub(crate) fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub(crate) fn statements(&self) -> Vec<Arc<str>> {
        self.inner.statements.all()
    }

    /// Creates the counter, unless it exists.
    pub(crate) async fn begin(&self) -> Result<()> {
        self.inner.begin().await
    }

    /// Checks that the log can be read, for a log of `build_log_reader`. Call it at the start of the
    /// service. [`Database::check`](crate::store::sql::Database::check) also checks the rights to
    /// write.
    ///
    /// # Errors
    ///
    /// *Misuse* that names each right and table to change. *Unavailable* if the database could not
    /// answer, has no log, or is a server that accepts no writes.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        let Inner {
            driver,
            statements,
            table,
            ..
        } = &*self.inner;
        let reads = [&statements.head, &statements.read].map(Arc::clone);
        let check = async {
            let mut problems = problems(&**driver, table, reads.into()).await?;
            problems.dedup();
            if !problems.is_empty() {
                return Err(Error::misuse(problems.join("; ")));
            }
            // It decides nothing by the time.
            let now = Timestamp::from_unix(0);
            self.inner.read(0, 1, now, self.read_only).await.map(drop)
        };
        self.inner.in_time(check).await
    }

    /// # Errors
    ///
    /// *Misuse* if this log may only be read.
    fn refuse_to_write(&self) -> Result<()> {
        if self.read_only {
            return Err(Error::misuse(READ_ONLY));
        }
        Ok(())
    }
}

/// Prepares statements on a table, and returns the problems that the database reports.
pub(crate) async fn problems(
    driver: &impl Driver,
    table: &Table,
    statements: Vec<Arc<str>>,
) -> Result<Vec<String>, Failure> {
    let failures = driver.run(Mode::Read, &Plan(statements)).await?;
    let problems = failures.into_iter().map(|failure| match failure {
        Failure::Denied(what) => what,
        Failure::Refused(code) => format!(
            "the database refuses statements on the table {table} with error {code}: call \
             `migrate`, and use no table of another origin"
        ),
        failure => failure.to_string(),
    });
    Ok(problems.collect())
}

impl<D: Driver> RevocationLog for TableLog<D> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.refuse_to_write()?;
        self.inner.in_time(self.inner.append(facts, now)).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        self.inner.in_time(self.inner.head(self.read_only)).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        let read = self.inner.read(from, limit.max(1), now, self.read_only);
        self.inner.in_time(read).await
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        self.refuse_to_write()?;
        self.inner.in_time(self.inner.fence()).await
    }

    fn is_read_only(&self) -> bool {
        self.read_only
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
            return self.head(false).await;
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

    async fn head(&self, read_only: bool) -> Result<Stamp> {
        let read = |rows: &[RowOf<D>]| page::stamp(rows);
        self.rows(&self.statements.head, &[], read, read_only).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp, read_only: bool) -> Result<Page> {
        let values = [
            Value::Number(Self::now(now)),
            Value::Number(at_most(from)),
            Value::Number(at_most(limit as u64).saturating_add(1)),
        ];
        let read = |rows: &[RowOf<D>]| page::page(rows, from, limit);
        self.rows(&self.statements.read, &values, read, read_only)
            .await
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

    /// Passes the rows of a statement to `read`. Begins the log if there is no counter, unless it
    /// may only be read.
    async fn rows<T>(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
        read: impl Fn(&[RowOf<D>]) -> Result<Option<T>> + Send,
        read_only: bool,
    ) -> Result<T> {
        for has_begun in [false, true] {
            let rows = self.driver.rows(statement, values).await;
            if let Some(answer) = read(&rows.map_err(log_failed)?)? {
                return Ok(answer);
            }
            if read_only {
                return Err(Error::could_not(NOT_BEGUN, None));
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
            .field("driver", &self.inner.driver)
            .field("table", &self.inner.table)
            .field("deadline", &self.inner.gate.deadline)
            .finish_non_exhaustive()
    }
}
