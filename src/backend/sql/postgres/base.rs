//! Connections to Postgres, and calls that are retried and have a deadline.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::sql::builder::{MIGRATION_DEADLINE, Settings};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::postgres::driver::{Driver, Parameter, Query};
use crate::backend::sql::table::Table;
use crate::error::{Error, Result};

/// Maximum number of attempts of a call that fails because of concurrent changes.
pub(crate) const MAX_ATTEMPTS: usize = 8;

/// Connections to Postgres, in a builder.
pub struct Connections<L> {
    pub(crate) count: usize,
    pub(crate) make: Make<L>,
}

/// Makes a link with statements, a deadline and a number of connections.
pub(crate) type Make<L> = Box<dyn Fn(Arc<[Arc<str>]>, Duration, usize) -> L + Send>;

impl<L> fmt::Debug for Connections<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// A link with the statements `Q`.
pub(crate) struct Base<L, Q> {
    pub(crate) link: L,
    pub(crate) settings: Arc<Settings>,
    queries: PhantomData<fn() -> Q>,
}

/// Returns the present time, for deadlines.
fn now() -> Result<Instant> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(Instant::now()),
        Err(_) => Err(Error::misuse(
            "Postgres was called outside of a tokio runtime: call it inside of one",
        )),
    }
}

/// Returns the number of an advisory lock on a part of a table. The empty part is the table.
pub(crate) fn lock(table: &Table, part: &str) -> i64 {
    let key = table.lock(part);
    let (first, _) = key.split_first_chunk().unwrap_or((&[0; 8], &[]));
    i64::from_be_bytes(*first)
}

impl<L: Driver, Q: Query> Base<L, Q> {
    pub(crate) fn new(connections: &Connections<L>, settings: &Arc<Settings>) -> Self {
        let texts = Q::ALL
            .iter()
            .map(|query| query.text(&settings.tables).into());
        Self {
            link: (connections.make)(texts.collect(), settings.deadline, connections.count),
            settings: Arc::clone(settings),
            queries: PhantomData,
        }
    }

    /// Returns the deadline of a call that begins now.
    pub(crate) fn until(&self) -> Result<Instant> {
        Ok(now()? + self.settings.deadline)
    }

    /// Returns the rows of a statement. A statement that reads is sent again if its answer was
    /// lost.
    pub(crate) async fn rows(
        &self,
        query: Q,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.link.rows(query.index(), values, until).await {
                Err(failure) if failure.is_conflict() && attempts < MAX_ATTEMPTS => {}
                Err(Failure::Broken) if query.is_read() && attempts == 1 => {}
                answer => return answer,
            }
        }
    }

    /// Returns the number of rows that a statement changed.
    pub(crate) async fn count(
        &self,
        query: Q,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.link.count(query.index(), values, until).await {
                Err(failure) if failure.is_conflict() && attempts < MAX_ATTEMPTS => {}
                answer => return answer,
            }
        }
    }

    /// Returns the rows of a statement in a transaction at *read committed*.
    pub(crate) async fn rows_read_committed(
        &self,
        query: Q,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        self.link
            .rows_read_committed(query.index(), values, until)
            .await
    }

    /// Runs the statements of a migration in one message, which is one transaction. One node runs
    /// them at a time.
    pub(crate) async fn migrate(&self, statements: &str) -> Result<()> {
        let until = now()? + MIGRATION_DEADLINE;
        let tables = &self.settings.tables;
        let locks = [&tables.sessions, &tables.log].map(|table| lock(table, ""));
        let text = format!(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {}; \
             SELECT pg_advisory_xact_lock({}); SELECT pg_advisory_xact_lock({}); {statements}",
            MIGRATION_DEADLINE.as_millis(),
            locks[0],
            locks[1],
        );
        Ok(self.link.batch(text, until).await?)
    }
}

impl<L: fmt::Debug, Q> fmt::Debug for Base<L, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base")
            .field("link", &self.link)
            .field("settings", &self.settings)
            .finish()
    }
}
