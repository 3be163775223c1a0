//! Connections to Postgres, and calls that are retried and have a deadline.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::breaker::{Breaker, Outage, Outcome};
use crate::backend::sql::builder::{MIGRATION_DEADLINE, Settings};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::postgres::driver::{Driver, Parameter, Query};
use crate::backend::sql::table::{Table, Tables};
use crate::error::{Error, Result};

/// SQLSTATE of a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// SQLSTATE of a schema that does not exist.
const NO_SCHEMA: &str = "3F000";

/// Maximum number of parameters of a statement.
const MAX_PARAMETERS: usize = 32;

/// Maximum number of attempts of a call that fails because of concurrent changes.
const MAX_ATTEMPTS: usize = 8;

/// Connections to Postgres, in a builder.
pub struct Connections<L> {
    pub(crate) count: usize,
    /// True if a pooler in transaction mode stands before the server.
    pub(crate) pooled: bool,
    pub(crate) make: Make<L>,
}

/// Statements and settings of a link.
pub(crate) struct Setup {
    pub(crate) texts: Arc<[Arc<str>]>,
    pub(crate) deadline: Duration,
    #[cfg_attr(
        not(feature = "tokio-postgres"),
        expect(dead_code, reason = "a pool of sqlx has its own number")
    )]
    pub(crate) count: usize,
    pub(crate) pooled: bool,
}

impl Setup {
    /// Milliseconds after which the server ends a statement: those of the deadline.
    pub(crate) fn server_timeout(&self) -> u128 {
        let max = i32::MAX.unsigned_abs().into();
        self.deadline.as_millis().clamp(1, max)
    }
}

pub(crate) type Make<L> = Box<dyn Fn(Setup) -> L + Send>;

/// Use of a transaction at *read committed* for a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadCommitted {
    Never,
    /// After a conflict. Under a stricter isolation, a statement that waited for another one fails.
    AfterConflict,
    Always,
}

/// Attempts of a call.
#[derive(Default)]
struct Attempts {
    made: usize,
    /// Number of connections when the first one led to a server that accepts no writes.
    connections: Option<usize>,
}

impl Attempts {
    fn may_repeat(&mut self, failure: &Failure, is_read: bool, link: &impl Driver) -> bool {
        self.made += 1;
        match failure {
            // The connection was given up. The others may lead to the same server: after them, the
            // call opens a new one.
            Failure::ReadOnly => {
                self.made <= *self.connections.get_or_insert_with(|| link.connections())
            }
            Failure::Broken(_) => is_read && self.made == 1,
            failure => failure.is_conflict() && self.made < MAX_ATTEMPTS,
        }
    }
}

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
    /// Shared by the store and the log of a database.
    breaker: Arc<Breaker>,
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
    pub(crate) fn new(
        connections: &Connections<L>,
        settings: &Arc<Settings>,
        breaker: &Arc<Breaker>,
    ) -> Self {
        let texts = Q::ALL
            .iter()
            .map(|query| query.text(&settings.tables).into());
        Self {
            link: (connections.make)(Setup {
                texts: texts.collect(),
                deadline: settings.deadline,
                count: connections.count,
                pooled: connections.pooled,
            }),
            settings: Arc::clone(settings),
            breaker: Arc::clone(breaker),
            queries: PhantomData,
        }
    }

    /// Admits a call that begins now, and returns its deadline.
    pub(crate) fn until(&self) -> Result<Instant> {
        let now = now()?;
        self.breaker.admit(now)?;
        Ok(now + self.settings.deadline)
    }

    /// Returns the rows of a statement. A statement that reads is sent again if its answer was
    /// lost.
    pub(crate) async fn rows(
        &self,
        query: Q,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        self.rows_with(query, values, until, ReadCommitted::Never)
            .await
    }

    /// Returns the rows of a statement.
    pub(crate) async fn rows_with(
        &self,
        query: Q,
        values: &[Parameter<'_>],
        until: Instant,
        read_committed: ReadCommitted,
    ) -> Result<Vec<L::Row>, Failure> {
        let mut attempts = Attempts::default();
        let mut isolated = read_committed == ReadCommitted::Always;
        loop {
            let answer = if isolated {
                // Boxed: it would enlarge the future of every call.
                let asked = self.link.rows_read_committed(query.index(), values, until);
                Box::pin(asked).await
            } else {
                self.link.rows(query.index(), values, until).await
            };
            match answer {
                Err(failure) if attempts.may_repeat(&failure, query.is_read(), &self.link) => {
                    isolated |=
                        read_committed == ReadCommitted::AfterConflict && failure.is_conflict();
                }
                answer => return self.noted(query, answer),
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
        let mut attempts = Attempts::default();
        loop {
            match self.link.count(query.index(), values, until).await {
                Err(failure) if attempts.may_repeat(&failure, false, &self.link) => {}
                answer => return self.noted(query, answer),
            }
        }
    }

    /// Notes the outcome of a statement for the next calls.
    fn noted<T>(&self, query: Q, answer: Result<T, Failure>) -> Result<T, Failure> {
        let failure = answer.as_ref().err();
        self.breaker
            .note(failure.map_or(Outcome::Answered, Outage::outcome));
        answer.map_err(|failure| match failure {
            Failure::Late(_) => Failure::Late(self.breaker.cause()),
            failure => self.explained(query, failure),
        })
    }

    /// Names the rights that a statement needs if it lacks one.
    fn explained(&self, query: Q, failure: Failure) -> Failure {
        if failure != Failure::Refused(INSUFFICIENT_PRIVILEGE.to_owned()) {
            return failure;
        }
        let rights = query.rights(&self.settings.tables);
        Failure::Denied(format!(
            "the user of the database lacks a right: grant it {rights}, and USAGE on the schema"
        ))
    }

    /// Plans statements, without running them. The server then checks tables, columns, functions and
    /// rights.
    ///
    /// # Errors
    ///
    /// *Misuse* for a statement that the server refuses.
    pub(crate) async fn check(
        &self,
        queries: impl Iterator<Item = &'static Q> + Send,
    ) -> Result<()> {
        let until = now()? + MIGRATION_DEADLINE;
        for query in queries {
            let mut text = query.text(&self.settings.tables);
            // Each parameter has a cast.
            for at in 1..=MAX_PARAMETERS {
                text = text.replace(&format!("${at}::"), "NULL::");
            }
            let text = format!("EXPLAIN {text}");
            let planned = self.link.batch(text, until).await;
            match planned.map_err(|failure| self.explained(*query, failure)) {
                Err(Failure::Refused(code)) => {
                    return Err(Error::misuse(format!(
                        "the database refuses a statement with error {code}: call `migrate`, and \
                         use no table of another origin"
                    )));
                }
                planned => planned?,
            }
        }
        Ok(())
    }

    /// Fails if there is a pooler in transaction mode, and `transaction_pooler` is not set.
    pub(crate) async fn refuse_unexpected_pooler(&self) -> Result<()> {
        if self.link.has_unexpected_pooler(self.until()?).await? {
            return Err(Error::misuse(
                "the connections lead through a pooler in transaction mode: set \
                 `transaction_pooler`, or connect to the server itself",
            ));
        }
        Ok(())
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
        match self.link.batch(text, until).await {
            Err(failure) if failure == Failure::Refused(INSUFFICIENT_PRIVILEGE.to_owned()) => {
                Err(Error::misuse(format!(
                    "tables or functions of {} and {} are missing, and the user of the database \
                     may not create them: call `migrate` as the owner of the schema, or apply \
                     `SCHEMA`",
                    tables.sessions, tables.log,
                )))
            }
            Err(failure) if failure == Failure::Refused(NO_SCHEMA.to_owned()) => {
                Err(Error::misuse(no_schema(tables)))
            }
            answer => Ok(answer?),
        }
    }
}

/// Returns the mistake of tables in a schema that does not exist, and what to do.
fn no_schema(tables: &Tables) -> String {
    let create = tables.schemas().into_iter().map(|schema| match schema {
        Some(schema) => format!("`CREATE SCHEMA {schema}`"),
        None => "one on the `search_path` of the user, which may use it".to_owned(),
    });
    let create: Vec<_> = create.collect();
    format!(
        "the schema of {} or {} does not exist: create the schema ({}), or correct the names of the \
         tables",
        tables.sessions,
        tables.log,
        create.join(", "),
    )
}

impl<L: fmt::Debug, Q> fmt::Debug for Base<L, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base")
            .field("link", &self.link)
            .field("settings", &self.settings)
            .finish()
    }
}
