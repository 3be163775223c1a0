//! Sessions and revocations in Postgres.

pub(crate) mod base;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod driver;
pub(crate) mod log;
pub(crate) mod log_statements;
#[cfg(feature = "tokio-postgres")]
pub(crate) mod pipelined;
pub(crate) mod schema;
#[cfg(feature = "sqlx-postgres")]
pub(crate) mod sqlx;
pub(crate) mod statements;
pub(crate) mod store;

use std::fmt;
use std::sync::Arc;

use crate::backend::breaker::{Breaker, Part};
use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::builder::{Builder, Settings};
use crate::backend::sql::durability;
use crate::backend::sql::failure::Failure;
use crate::backend::sql::log::new_incarnation;
use crate::backend::sql::value::Row as _;
use crate::backend::sql::value::Value;
use crate::error::{Error, Result};
use base::Base;
use changes::Inner;
use driver::{Driver, Query as _};
use log_statements::LogQuery;
use statements::SessionQuery;

pub use base::Connections;
pub use log::PostgresLog;
#[cfg(feature = "tokio-postgres")]
pub use pipelined::Pipelined;
pub use schema::{SCHEMA, schema};
#[cfg(feature = "sqlx-postgres")]
pub use sqlx::Sqlx;
pub use store::PostgresStore;

/// A client of Postgres: `Sqlx` or `Pipelined`.
#[expect(private_bounds, reason = "sealed: the calls of a link may change")]
pub trait Link: Driver {}

impl<L: Driver> Link for L {}

/// The application's own connections: a pool of sqlx (feature `sqlx-postgres`), or an `Arc` of a
/// client of tokio-postgres (feature `tokio-postgres`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection to Postgres that statewise uses",
    label = "not a connection",
    note = "pass a `sqlx::PgPool` (feature `sqlx-postgres`) or an `Arc<tokio_postgres::Client>` \
            (feature `tokio-postgres`), in the versions that statewise uses"
)]
pub trait IntoConnections {
    /// The client that uses them.
    type Link: Link;

    /// Returns the connections for a builder.
    fn into_connections(self) -> Connections<Self::Link>;
}

/// Postgres 12 or later, over the application's own connections.
///
/// Gives you a [`PostgresStore`] for sessions and a [`PostgresLog`] for revocations.
///
/// - [`Postgres::over`] with a pool of sqlx (feature `sqlx-postgres`): the simplest choice.
/// - `Postgres::connect` (feature `tokio-postgres`): many statements at once over few connections,
///   for throughput.
/// - [`Postgres::over`] with one client of tokio-postgres. Once its connection is closed,
///   everything is *unavailable*: prefer `connect`, which opens the next one.
///
/// ```no_run
/// use std::time::Duration;
/// use statewise::revocation::RevocationView;
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::Postgres;
///
/// # #[cfg(feature = "sqlx-postgres")]
/// # async fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
/// let db = Postgres::over(pool).table("app.sessions").log_table("app.revocations").build()?;
/// db.migrate().await?;
/// // Refuses to start if a crash of the server could undo a logout.
/// db.require_durable().await?;
///
/// let auth = SessionAuthenticator::builder(db.sessions())
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// let view = RevocationView::builder(db.revocations())
///     .max_lifetime(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// Requires tokio with its timer enabled.
///
/// # Connections
///
/// - Give the connections of a pool a `statement_timeout` a little above the
///   [deadline](PostgresBuilder::deadline). A late answer closes the connection, but without the
///   timeout the server may continue with the statement.
/// - A client of tokio-postgres belongs to this database alone: it is set to *read committed*, and
///   its `statement_timeout` to the deadline.
/// - Appends of a log wait for each other. With `connect`, the log has connections of its own,
///   opened at its first use, so that no session waits for an append.
///
/// # Failover
///
/// Connect to the primary, by a name or a list of hosts that leads to it. A server that accepts no
/// writes, such as a standby or a former primary, may still hold the row of a removed login.
/// Statements, including reads, detect such a server, close the connection and try the others, then
/// a new one. The call is *unavailable* if none leads to a primary. A failover to an asynchronous
/// standby can undo the last logouts. A failover to a synchronous one cannot: see
/// [`durability`](Postgres::durability).
///
/// One client of tokio-postgres in [`Postgres::over`] cannot be replaced: use `connect`.
///
/// # Rights
///
/// `migrate` creates the tables, so the user that calls it needs CREATE on the schema, unless they
/// exist. A service needs no more than these rights, which [`check`](Postgres::check) verifies:
///
/// ```sql
/// GRANT USAGE ON SCHEMA app TO service;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON app.sessions TO service;
/// GRANT EXECUTE ON FUNCTION app.sessions_create_1 TO service;
/// GRANT SELECT, INSERT, DELETE ON app.revocations TO service;
/// GRANT SELECT, INSERT, UPDATE ON app.revocations_head TO service;
/// ```
///
/// # Rights of a log reader
///
/// A service that only [follows the log](PostgresBuilder::build_log_reader) needs these rights, which
/// [`PostgresLog::check`] verifies. Do not set `default_transaction_read_only` for its role: the
/// service would take the server for a former primary.
///
/// ```sql
/// GRANT USAGE ON SCHEMA app TO reader;
/// GRANT SELECT ON app.revocations, app.revocations_head TO reader;
/// ```
///
/// # Poolers
///
/// A pooler in session mode, such as PgBouncer with `pool_mode = session`, needs no setting. For one
/// in transaction mode, set [`transaction_pooler`](PostgresBuilder::transaction_pooler).
pub struct Postgres<L> {
    sessions: PostgresStore<L>,
    revocations: PostgresLog<L>,
    settings: Arc<Settings>,
    breaker: Arc<Breaker>,
}

/// Configuration of a [`Postgres`], begun by [`Postgres::over`] or `Postgres::connect`.
pub type PostgresBuilder<L> = Builder<Connections<L>>;

impl<L: Link> Postgres<L> {
    /// Begins the configuration of a database over connections, which stay the application's.
    pub fn over(connections: impl IntoConnections<Link = L>) -> PostgresBuilder<L> {
        Builder::new(connections.into_connections())
    }

    /// Returns a store for sessions. All stores of one `Postgres` share their connections and their
    /// uses that are not written yet.
    #[must_use]
    pub fn sessions(&self) -> PostgresStore<L> {
        self.breaker.note_part(Part::Sessions);
        self.sessions.clone()
    }

    /// Returns a log for revocations.
    #[must_use]
    pub fn revocations(&self) -> PostgresLog<L> {
        self.breaker.note_part(Part::Revocations);
        self.revocations.clone()
    }

    /// Creates the tables that do not exist, for sessions and for revocations. Call it at every
    /// start. Any number of nodes may call it at the same time. It takes at most a minute. If you
    /// use only one of the two, the tables of the other one stay empty. If nothing is missing, it
    /// only reads, and needs no right to create tables.
    ///
    /// To apply the schema with a migration tool of your own, see [`SCHEMA`] and [`schema()`].
    ///
    /// # Errors
    ///
    /// *Misuse* if tables are missing that its user may not create, if their schema does not exist (it
    /// is yours to create), or if there is a pooler in transaction mode without
    /// [`transaction_pooler`](PostgresBuilder::transaction_pooler).
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Creates everything or nothing.
    pub async fn migrate(&self) -> Result<()> {
        let tables = &self.settings.tables;
        let base = &self.sessions.inner.base;
        base.refuse_unexpected_pooler().await?;
        let (asked, until) = (SessionQuery::IsMigrated, base.until()?);
        let rows = base.rows(asked, &[], until).await?;
        if rows.first().and_then(|row| row.flag(0)) == Some(true) {
            return Ok(());
        }
        let schema = schema::schema_of(tables);
        let begin = log_statements::begin_now(&tables.log, new_incarnation()?);
        base.migrate(&format!("{schema}{begin}")).await
    }

    /// Checks schemas, tables, the function, rights, write access, row security, isolation and pooler, and
    /// reports all problems at once. Call it at the start of a service, after `migrate`. It plans each statement without running it, and changes
    /// nothing.
    ///
    /// ```no_run
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # async fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
    /// use statewise::store::Postgres;
    ///
    /// let db = Postgres::over(pool).build()?;
    /// db.migrate().await?;
    /// db.check().await?;
    /// db.require_durable().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* that names each table, function, right and setting to change. *Unavailable* if the
    /// server could not answer, or is a standby.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        let base = &self.sessions.inner.base;
        base.refuse_unexpected_pooler().await?;
        let values = [Value::Flag(base.link.sets_isolation())];
        let rows = base
            .rows(SessionQuery::Check, &values, base.until()?)
            .await?;
        let problems = rows.iter().filter_map(|row| row.bytes(0));
        let problems: Vec<_> = problems.map(String::from_utf8_lossy).collect();
        if !problems.is_empty() {
            return Err(Error::misuse(problems.join("; ")));
        }
        base.check(SessionQuery::ALL.iter()).await?;
        self.revocations.base.check(LogQuery::ALL.iter()).await
    }

    /// Returns what the server keeps of acknowledged writes, by its current configuration and by
    /// the tables of sessions and of revocations that exist. The result is unknown if none exists.
    ///
    /// Everything survives a crash if `fsync` and `full_page_writes` are on, `synchronous_commit`
    /// is not `off`, and no table is unlogged. What survives a failover is known only with
    /// synchronous standbys.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        self.reported().await.map(durability::report)
    }

    /// Asks for the durability of the tables.
    async fn reported(&self) -> Result<Option<Durability>> {
        let base = &self.sessions.inner.base;
        let rows = base
            .rows(SessionQuery::Durability, &[], base.until()?)
            .await?;
        let row = rows.first().ok_or(Failure::Unexpected)?;
        let flag = |column| row.flag(column).ok_or(Failure::Unexpected);
        let (exists, synced, waits, standbys) = (flag(0)?, flag(1)?, flag(2)?, flag(3)?);
        let (crash, failover) = match (exists, synced, waits) {
            (false, ..) => return Ok(None),
            (true, false, _) => (Survives::NotAll, Survives::NotAll),
            (true, true, false) => (Survives::All, Survives::NotAll),
            (true, true, true) if standbys => (Survives::All, Survives::All),
            (true, true, true) => (Survives::All, Survives::Unknown),
        };
        Ok(Some(Durability::new(crash, failover)))
    }

    /// Fails unless every acknowledged write survives a crash of the server. Call it at the start
    /// of a service in which a crash must not undo a logout. An unknown durability fails too,
    /// unless you set [`assume_durable`](PostgresBuilder::assume_durable).
    ///
    /// # Errors
    ///
    /// *Misuse* if the server is configured to lose acknowledged writes, or if no table exists.
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn require_durable(&self) -> Result<()> {
        durability::require(self.reported().await?, self.settings.assume_durable)
    }
}

impl<L: Link> PostgresBuilder<L> {
    /// Prepares for a pooler in transaction mode, such as PgBouncer, between this process and the
    /// server. Without it, `migrate` and [`check`](Postgres::check) refuse such a pooler, and
    /// statements fail as *unavailable*. Default: off.
    ///
    /// No statement is prepared, and no setting stays with a connection. With sqlx, each statement
    /// then takes a transaction and four round trips. With tokio-postgres, it takes one, and the
    /// isolation and the timeout are those of the user:
    ///
    /// ```sql
    /// ALTER ROLE app SET default_transaction_isolation = 'read committed';
    /// ALTER ROLE app SET statement_timeout = '2s';
    /// ```
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
    /// use statewise::store::Postgres;
    ///
    /// let db = Postgres::over(pool).transaction_pooler().build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction_pooler(mut self) -> Self {
        self.source.pooled = true;
        self
    }

    /// Builds the log of revocations alone, to be read only: for a service that verifies tokens and
    /// ends no login. Its user needs [fewer rights](Postgres#rights-of-a-log-reader). Sends nothing
    /// to the server.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # async fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
    /// use statewise::store::Postgres;
    ///
    /// let log = Postgres::over(pool).log_table("app.revocations").build_log_reader()?;
    /// // Names each right that is missing.
    /// log.check().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_log_reader(self) -> Result<PostgresLog<L>> {
        Ok(self.build()?.revocations().read_only())
    }

    /// Builds the database. Sends nothing to it.
    ///
    /// # Errors
    ///
    /// *Misuse* for a malformed table name, two tables that would share a name, or a deadline of
    /// zero.
    pub fn build(self) -> Result<Postgres<L>> {
        let (connections, settings) = (&self.source, Arc::new(self.settings()?));
        let breaker = Arc::new(Breaker::new("postgres", settings.observer.clone()));
        let sessions = Base::new(connections, &settings, &breaker);
        Ok(Postgres {
            sessions: PostgresStore::new(Inner::new(sessions)),
            revocations: PostgresLog::new(Base::new(connections, &settings, &breaker)),
            settings,
            breaker,
        })
    }
}

impl<L> Clone for Postgres<L> {
    fn clone(&self) -> Self {
        Self {
            sessions: self.sessions.clone(),
            revocations: self.revocations.clone(),
            settings: Arc::clone(&self.settings),
            breaker: Arc::clone(&self.breaker),
        }
    }
}

impl<L: fmt::Debug> fmt::Debug for Postgres<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("sessions", &self.sessions)
            .field("revocations", &self.revocations)
            .finish_non_exhaustive()
    }
}
