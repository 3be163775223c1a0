//! How a Postgres store is set up.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::sql::Table;
use crate::store::sql::postgres::PostgresStore;
#[cfg(feature = "tokio-postgres")]
use crate::store::sql::postgres::pipelined::{Pipelined, Source};
#[cfg(feature = "sqlx-postgres")]
use crate::store::sql::postgres::sqlx::Sqlx;
use crate::store::sql::postgres::text::{TABLE, Texts};

/// Until when an answer is waited for, if nothing else is said.
const DEADLINE: Duration = Duration::from_secs(2);

/// What a [`PostgresStore`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct PostgresBuilder<L> {
    make: Make<L>,
    table: String,
    deadline: Duration,
    connections: usize,
    assumes_durable: bool,
}

/// Makes what the store talks through, when everything about it is known.
type Make<L> = Box<dyn FnOnce(&Settings) -> L + Send>;

struct Settings {
    texts: Arc<Texts>,
    deadline: Duration,
    connections: usize,
}

impl<L> PostgresBuilder<L> {
    fn new(make: impl FnOnce(&Settings) -> L + Send + 'static) -> Self {
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

#[cfg(feature = "sqlx-postgres")]
impl PostgresStore<Sqlx> {
    /// A store in the database of a pool, which stays the application's.
    ///
    /// Give its connections a `statement_timeout` a little above the
    /// [deadline](PostgresBuilder::deadline): a connection that is late is closed, and without
    /// one the server may go on with what it waits for.
    pub fn sqlx(pool: ::sqlx::PgPool) -> PostgresBuilder<Sqlx> {
        PostgresBuilder::new(move |settings| Sqlx::new(pool, Arc::clone(&settings.texts)))
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
    pub fn client(client: Arc<tokio_postgres::Client>) -> PostgresBuilder<Pipelined> {
        Self::over(Source::Given(client))
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
        R: Future<Output = Result<Arc<tokio_postgres::Client>, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let open = move || {
            let opening = open();
            Box::pin(async { opening.await.map_err(Into::into) }) as _
        };
        Self::over(Source::Opened(Box::new(open)))
    }

    fn over(source: Source) -> PostgresBuilder<Pipelined> {
        PostgresBuilder::new(move |settings| {
            let texts = Arc::clone(&settings.texts);
            Pipelined::new(source, settings.connections, texts, settings.deadline)
        })
    }
}

#[cfg(feature = "tokio-postgres")]
impl PostgresBuilder<Pipelined> {
    /// How many connections [`connect`](PostgresStore::connect) opens, each of which is one
    /// process of the server; zero counts as one. Default: one.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
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
