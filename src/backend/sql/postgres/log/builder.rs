//! How a Postgres log is set up.

use std::fmt;
use std::time::Duration;

use crate::backend::sql::log::TABLE;
use crate::backend::sql::postgres::log::PostgresLog;
use crate::backend::sql::postgres::log::text::texts;
#[cfg(feature = "tokio-postgres")]
use crate::backend::sql::postgres::pipelined::{BoxError, Pipelined};
use crate::backend::sql::postgres::setup::Setup;
#[cfg(feature = "sqlx-postgres")]
use crate::backend::sql::postgres::sqlx::Sqlx;
use crate::error::Result;

/// What a [`PostgresLog`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct PostgresLogBuilder<L>(Setup<L>);

#[cfg(feature = "sqlx-postgres")]
impl PostgresLog<Sqlx> {
    /// A log in the database of a pool, which stays the application's.
    ///
    /// Give its connections a `statement_timeout` a little above the
    /// [deadline](PostgresLogBuilder::deadline): a connection that is late is closed, and without
    /// one the server may go on with what it waits for.
    pub fn sqlx(pool: sqlx::PgPool) -> PostgresLogBuilder<Sqlx> {
        PostgresLogBuilder(Sqlx::setup(pool).on(TABLE))
    }
}

#[cfg(feature = "tokio-postgres")]
impl PostgresLog<Pipelined> {
    /// A log in the database of one connection, whose `Connection` the application has spawned.
    /// When it is closed, the log is *unavailable* for ever: [`connect`](Self::connect) has a way
    /// back.
    ///
    /// Give it a connection of its own. The log sets it to *read committed*, and its
    /// `statement_timeout` to the [deadline](PostgresLogBuilder::deadline).
    pub fn client(client: std::sync::Arc<tokio_postgres::Client>) -> PostgresLogBuilder<Pipelined> {
        PostgresLogBuilder(Pipelined::given(client).on(TABLE))
    }

    /// A log in the database that `open` connects to: at the first use, and again whenever the
    /// connection is closed or was too late with an answer, as
    /// [`PostgresStore::connect`](crate::store::PostgresStore::connect) does.
    pub fn connect<F, R, E>(open: F) -> PostgresLogBuilder<Pipelined>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = std::result::Result<std::sync::Arc<tokio_postgres::Client>, E>>
            + Send
            + 'static,
        E: Into<BoxError>,
    {
        PostgresLogBuilder(Pipelined::opened(open).on(TABLE))
    }
}

#[cfg(feature = "tokio-postgres")]
impl PostgresLogBuilder<Pipelined> {
    /// How many connections [`connect`](PostgresLog::connect) opens, each of which is one process
    /// of the server; zero counts as one. Default: one.
    pub fn connections(mut self, connections: usize) -> Self {
        self.0.connections = connections;
        self
    }
}

impl<L> PostgresLogBuilder<L> {
    /// The table, or `schema.table`; what counts is beside it, under that name and `_head`.
    /// Default: `statewise_revocations`, where the search path of the connection leads.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.0.table = table.into();
        self
    }

    /// How long an act may take, waiting for a connection included; then it is *unavailable*.
    /// Default: two seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = deadline;
        self
    }

    /// Vouches that the server keeps what it acknowledged, where the log cannot learn it; what is
    /// known to be lost stays refused by [`require_durable`](PostgresLog::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.0.assumes_durable = true;
        self
    }

    /// The log. Asks the server nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<PostgresLog<L>> {
        let base = self.0.build(texts)?;
        Ok(PostgresLog { base })
    }
}

impl<L> fmt::Debug for PostgresLogBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLogBuilder")
            .field("setup", &self.0)
            .finish_non_exhaustive()
    }
}
