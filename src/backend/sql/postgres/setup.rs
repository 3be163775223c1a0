//! What is told before something is built over connections to Postgres.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::sql::DEADLINE;
use crate::backend::sql::postgres::driver::{Driver, Failure, Value};
use crate::backend::sql::table::Table;
use crate::error::{Error, Result};

/// How long a migration may wait for others.
const MIGRATION: Duration = Duration::from_secs(60);
/// How often an act is begun anew because of what others did at the same moment.
pub(crate) const TRIES: usize = 8;

/// What is told before it is built.
pub(crate) struct Setup<L> {
    make: Make<L>,
    pub(crate) table: String,
    pub(crate) deadline: Duration,
    pub(crate) connections: usize,
    pub(crate) assumes_durable: bool,
}

/// Makes what is talked through, when everything about it is known.
type Make<L> = Box<dyn FnOnce(&Settings) -> L + Send>;

#[cfg_attr(
    not(feature = "tokio-postgres"),
    expect(dead_code, reason = "a pool is set up already")
)]
pub(crate) struct Settings {
    /// The statements.
    pub(crate) texts: Arc<[Arc<str>]>,
    pub(crate) deadline: Duration,
    pub(crate) connections: usize,
}

impl<L> Setup<L> {
    pub(crate) fn new(make: impl FnOnce(&Settings) -> L + Send + 'static) -> Self {
        Self {
            make: Box::new(make),
            table: String::new(),
            deadline: DEADLINE,
            connections: 1,
            assumes_durable: false,
        }
    }

    /// With a table, until another one is named.
    pub(crate) fn on(mut self, table: &str) -> Self {
        table.clone_into(&mut self.table);
        self
    }

    /// What is talked through, with statements for a table, which is of a checked name.
    ///
    /// # Errors
    ///
    /// *Misuse* for a name that could escape a statement, or a deadline of zero.
    pub(crate) fn build(self, texts: impl FnOnce(&Table) -> Arc<[Arc<str>]>) -> Result<Base<L>> {
        let table = Table::parse(&self.table)?;
        if self.deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline for Postgres is zero, so that nothing could be answered: give it \
                 some time",
            ));
        }
        let settings = Settings {
            texts: texts(&table),
            deadline: self.deadline,
            connections: self.connections,
        };
        Ok(Base {
            link: (self.make)(&settings),
            table,
            deadline: self.deadline,
            assumes_durable: self.assumes_durable,
        })
    }
}

impl<L> fmt::Debug for Setup<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("table", &self.table)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A table, and what is talked through about it.
pub(crate) struct Base<L> {
    pub(crate) link: L,
    pub(crate) table: Table,
    pub(crate) deadline: Duration,
    pub(crate) assumes_durable: bool,
}

/// The moment of now, for deadlines, which need timers.
pub(crate) fn in_runtime() -> Result<Instant> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(Instant::now()),
        Err(_) => Err(Error::misuse(
            "Postgres was asked outside of a runtime of tokio: ask it inside of one",
        )),
    }
}

/// The number of a lock on a part of a table; the empty one stands for the table.
pub(crate) fn lock(table: &Table, part: &str) -> i64 {
    let key = table.lock(part);
    let (first, _) = key.split_first_chunk().unwrap_or((&[0; 8], &[]));
    i64::from_be_bytes(*first)
}

impl<L: Driver> Base<L> {
    /// Until when an act that begins now may take.
    pub(crate) fn until(&self) -> Result<Instant> {
        Ok(in_runtime()? + self.deadline)
    }

    /// The rows that a statement answers. One that only reads is sent a second time if its answer
    /// was lost.
    pub(crate) async fn rows(
        &self,
        query: usize,
        is_read: bool,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.link.rows(query, values, until).await {
                Err(failure) if failure.is_undone() && tries < TRIES => {}
                Err(Failure::Broken) if is_read && tries == 1 => {}
                answer => return answer,
            }
        }
    }

    /// How many rows a statement has changed.
    pub(crate) async fn count(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.link.count(query, values, until).await {
                Err(failure) if failure.is_undone() && tries < TRIES => {}
                answer => return answer,
            }
        }
    }

    /// Applies a schema, by one at a time: in one message, which is one transaction.
    pub(crate) async fn migrate(&self, schema: &str, until: Instant) -> Result<(), Failure> {
        let (lock, milliseconds) = (lock(&self.table, ""), MIGRATION.as_millis());
        let text = format!(
            "SET LOCAL statement_timeout = {milliseconds}; SELECT pg_advisory_xact_lock({lock}); \
             {schema}"
        );
        self.link.batch(text, until).await
    }
}

/// Until when a migration that begins now may take.
pub(crate) fn until_migrated() -> Result<Instant> {
    Ok(in_runtime()? + MIGRATION)
}
