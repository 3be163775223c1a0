//! How a Postgres store is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::sql::Table;
use crate::store::sql::postgres::PostgresStore;
use crate::store::sql::postgres::text::{TABLE, Texts};

/// Until when an answer is waited for, if nothing else is said.
const DEADLINE: Duration = Duration::from_secs(2);

/// What a [`PostgresStore`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct PostgresBuilder<L> {
    make: Make<L>,
    table: String,
    deadline: Duration,
    pub(super) connections: usize,
    assumes_durable: bool,
}

/// Makes what the store talks through, when everything about it is known.
type Make<L> = Box<dyn FnOnce(&Settings) -> L + Send>;

#[cfg_attr(
    not(feature = "tokio-postgres"),
    expect(dead_code, reason = "a pool is set up already")
)]
pub(super) struct Settings {
    pub(super) texts: Arc<Texts>,
    pub(super) deadline: Duration,
    pub(super) connections: usize,
}

impl<L> PostgresBuilder<L> {
    pub(super) fn new(make: impl FnOnce(&Settings) -> L + Send + 'static) -> Self {
        Self {
            make: Box::new(make),
            table: TABLE.to_owned(),
            deadline: DEADLINE,
            connections: 1,
            assumes_durable: false,
        }
    }

    /// The table, or `schema.table`. Default: `statewise_sessions`, where the search path of the
    /// connection leads.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// How long an act may take, waiting for a connection included; then it is *unavailable*.
    /// Default: two seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Vouches that the server keeps what it acknowledged, where the store cannot learn it; what
    /// is known to be lost stays refused by
    /// [`require_durable`](PostgresStore::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.assumes_durable = true;
        self
    }

    /// The store. Asks the server nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<PostgresStore<L>> {
        let table = Table::parse(&self.table)?;
        if self.deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline of the Postgres store is zero, so that nothing could be answered: \
                 give it some time",
            ));
        }
        let settings = Settings {
            texts: Arc::new(Texts::of(&table)),
            deadline: self.deadline,
            connections: self.connections,
        };
        let link = (self.make)(&settings);
        Ok(PostgresStore::new(
            link,
            table,
            self.deadline,
            self.assumes_durable,
        ))
    }
}

impl<L> fmt::Debug for PostgresBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("table", &self.table)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
