//! How a Postgres store is set up.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "tokio-postgres")]
use crate::backend::sql::postgres::pipelined::{BoxError, Pipelined};
use crate::backend::sql::postgres::setup::Setup;
#[cfg(feature = "sqlx-postgres")]
use crate::backend::sql::postgres::sqlx::Sqlx;
use crate::backend::sql::postgres::store::PostgresStore;
use crate::backend::sql::postgres::store::text::{TABLE, texts};
use crate::error::Result;

/// What a [`PostgresStore`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct PostgresBuilder<L>(Setup<L>);

#[cfg(feature = "sqlx-postgres")]
impl PostgresStore<Sqlx> {
    /// A store in the database of a pool, which stays the application's.
    ///
    /// Give its connections a `statement_timeout` a little above the
    /// [deadline](PostgresBuilder::deadline): a connection that is late is closed, and without
    /// one the server may go on with what it waits for.
    pub fn sqlx(pool: sqlx::PgPool) -> PostgresBuilder<Sqlx> {
        PostgresBuilder(Sqlx::setup(pool).on(TABLE))
    }
}

#[cfg(feature = "tokio-postgres")]
impl PostgresStore<Pipelined> {
    /// A store in the database of one connection, whose `Connection` the application has spawned.
    /// When it is closed, the store is *unavailable* for ever: [`connect`](Self::connect) has a
    /// way back.
    ///
    /// Give it a connection of its own. The store sets it to *read committed*, and its
    /// `statement_timeout` to the [deadline](PostgresBuilder::deadline).
    pub fn client(client: std::sync::Arc<tokio_postgres::Client>) -> PostgresBuilder<Pipelined> {
        PostgresBuilder(Pipelined::given(client).on(TABLE))
    }

    /// A store in the database that `open` connects to: at the first use, and again whenever the
    /// connection is closed or was too late with an answer. One at a time, however many wait.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use statewise::store::PostgresStore;
    /// # async fn connect() -> Result<(tokio_postgres::Client, impl Future), tokio_postgres::Error> {
    /// #     Ok((unimplemented!(), async {}))
    /// # }
    /// # fn spawn(_: impl Future) {}
    ///
    /// let store = PostgresStore::connect(|| async {
    ///     // `tokio_postgres::connect("postgres://..", tls)`
    ///     let (client, connection) = connect().await?;
    ///     spawn(connection);
    ///     Ok::<_, tokio_postgres::Error>(Arc::new(client))
    /// })
    /// .connections(2)
    /// .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn connect<F, R, E>(open: F) -> PostgresBuilder<Pipelined>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = std::result::Result<std::sync::Arc<tokio_postgres::Client>, E>>
            + Send
            + 'static,
        E: Into<BoxError>,
    {
        PostgresBuilder(Pipelined::opened(open).on(TABLE))
    }
}

#[cfg(feature = "tokio-postgres")]
impl PostgresBuilder<Pipelined> {
    /// How many connections [`connect`](PostgresStore::connect) opens, each of which is one
    /// process of the server; zero counts as one. Default: one.
    pub fn connections(mut self, connections: usize) -> Self {
        self.0.connections = connections;
        self
    }
}

impl<L> PostgresBuilder<L> {
    /// The table, or `schema.table`. Default: `statewise_sessions`, where the search path of the
    /// connection leads.
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

    /// Vouches that the server keeps what it acknowledged, where the store cannot learn it; what
    /// is known to be lost stays refused by
    /// [`require_durable`](PostgresStore::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.0.assumes_durable = true;
        self
    }

    /// The store. Asks the server nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<PostgresStore<L>> {
        self.0.build(texts).map(PostgresStore::new)
    }
}

impl<L> fmt::Debug for PostgresBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("setup", &self.0)
            .finish_non_exhaustive()
    }
}
