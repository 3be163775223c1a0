//! Store and log for the databases that differ by their dialect only: MySQL and SQLite.

pub(crate) mod append;
pub(crate) mod driver;
pub(crate) mod insertion;
pub(crate) mod log;
pub(crate) mod log_statements;
pub(crate) mod pause;
pub(crate) mod statements;
pub(crate) mod store;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::breaker::{Breaker, Part};
use crate::backend::durability::Durability;
use crate::backend::sql::builder::{MIGRATION_DEADLINE, Settings};
use crate::backend::sql::durability;
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::driver::Driver;
use crate::backend::sql::table::Tables;
use crate::error::{Error, Result};
pub use log::TableLog;
pub use store::RowStore;

/// Sessions and revocations in MySQL or SQLite: see [`MySql`](crate::store::MySql) and
/// [`Sqlite`](crate::store::Sqlite). A clone shares everything with its original.
pub struct Database<D> {
    driver: Arc<D>,
    settings: Arc<Settings>,
    sessions: RowStore<D>,
    revocations: TableLog<D>,
    gate: Arc<Gate>,
}

impl<D> Clone for Database<D> {
    fn clone(&self) -> Self {
        Self {
            driver: Arc::clone(&self.driver),
            settings: Arc::clone(&self.settings),
            sessions: self.sessions.clone(),
            revocations: self.revocations.clone(),
            gate: Arc::clone(&self.gate),
        }
    }
}

#[expect(private_bounds, reason = "sealed: the drivers are those of this crate")]
impl<D: Driver> Database<D> {
    pub(crate) fn new(driver: D, settings: Settings) -> Self {
        let driver = Arc::new(driver);
        let gate = Arc::new(Gate {
            deadline: settings.deadline,
            breaker: Breaker::new(D::DIALECT.name, settings.observer.clone()),
        });
        let (sessions, log) = (
            settings.tables.sessions.clone(),
            settings.tables.log.clone(),
        );
        Self {
            sessions: RowStore::new(Arc::clone(&driver), sessions, Arc::clone(&gate)),
            revocations: TableLog::new(Arc::clone(&driver), log, Arc::clone(&gate)),
            gate,
            driver,
            settings: Arc::new(settings),
        }
    }

    /// Returns a store for sessions. All stores of one database share their uses that are not
    /// written yet.
    #[must_use]
    pub fn sessions(&self) -> RowStore<D> {
        self.gate.breaker.note_part(Part::Sessions);
        self.sessions.clone()
    }

    /// Returns a log for revocations.
    #[must_use]
    pub fn revocations(&self) -> TableLog<D> {
        self.gate.breaker.note_part(Part::Revocations);
        self.revocations.clone()
    }

    /// Creates the tables that do not exist, for sessions and for revocations. Call it at every
    /// start. It needs no right to create tables if all exist. Any number of nodes may call it at the same time. It takes at most a minute. If you
    /// use only one of the two, the tables of the other one stay empty.
    ///
    /// To apply the schema with a migration tool of your own, see the constant `SCHEMA` and the
    /// function `schema` of [`mysql`](crate::store::mysql) and [`sqlite`](crate::store::sqlite).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database could not answer. *Misuse* that names the missing right if a
    /// table does not exist and the user may not create it, or if SQLite keeps the tables in a file
    /// without a write-ahead log or may not write to it.
    ///
    /// # Cancel safety
    ///
    /// Some tables may have been created. Call it again.
    pub async fn migrate(&self) -> Result<()> {
        let migrate = async {
            self.driver.migrate(&self.settings.tables).await?;
            self.revocations.begin().await
        };
        in_time(MIGRATION_DEADLINE, migrate, Error::from).await
    }

    /// Prepares every statement, reads the settings that matter, and removes a row that does not
    /// exist. Call it at the start of a service, after [`migrate`](Self::migrate).
    ///
    /// # Errors
    ///
    /// *Misuse* that names each right, table and setting to change. *Unavailable* if the database
    /// could not answer, or is a server that accepts no writes.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        in_time(MIGRATION_DEADLINE, self.check_all(), Error::from).await
    }

    async fn check_all(&self) -> Result<()> {
        let mut problems = self.driver.unfit_settings(&self.settings.tables).await?;
        let Tables { sessions, log } = &self.settings.tables;
        for (table, statements) in [
            (sessions, self.sessions.statements()),
            (log, self.revocations.statements()),
        ] {
            problems.extend(log::problems(&*self.driver, table, statements).await?);
        }
        problems.sort_unstable();
        problems.dedup();
        if !problems.is_empty() {
            return Err(Error::misuse(problems.join("; ")));
        }
        match self.sessions.check_removal().await {
            Err(failure) if failure.is_read_only_file() => Err(Error::misuse(failure.to_string())),
            removed => Ok(removed?),
        }
    }

    /// Returns what the database keeps of acknowledged writes, by its current configuration: see
    /// [`MySql`](crate::store::MySql#durability) and [`Sqlite`](crate::store::Sqlite#durability).
    /// It considers the tables of sessions and of revocations. In MySQL, the result is unknown if
    /// no table exists.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        self.reported().await.map(durability::report)
    }

    /// Asks for the durability of the tables.
    async fn reported(&self) -> Result<Option<Durability>> {
        let ask = async { Ok(self.driver.durability(&self.settings.tables).await?) };
        in_time(self.settings.deadline, ask, Error::from).await
    }

    /// Fails unless every acknowledged write survives a crash of the database. Call it at the start
    /// of a service in which a crash must not undo a logout. An unknown durability fails too,
    /// unless you set [`assume_durable`](crate::store::sql::Builder::assume_durable).
    ///
    /// # Errors
    ///
    /// *Misuse* if the database may lose acknowledged writes, or if that is unknown. *Unavailable*
    /// if the database could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn require_durable(&self) -> Result<()> {
        durability::require(self.reported().await?, self.settings.assume_durable)
    }
}

impl<D: fmt::Debug> fmt::Debug for Database<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("driver", &self.driver)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Limits of a call, shared by the store and the log of a database.
pub(crate) struct Gate {
    pub(crate) deadline: Duration,
    breaker: Breaker,
}

impl Gate {
    /// Runs an act within the deadline, unless the database did not answer the last ones. `failed`
    /// makes the error of a late one.
    pub(crate) async fn call<T>(
        &self,
        act: impl Future<Output = Result<T>> + Send,
        failed: impl FnOnce(Failure) -> Error,
    ) -> Result<T> {
        self.breaker.admit(Instant::now())?;
        let late = |_| failed(Failure::Late(self.breaker.cause()));
        // The futures of the driver are large. In a box they are in the caller's frame once.
        let answer = in_time(self.deadline, Box::pin(act), late).await;
        self.breaker.note_answer::<Failure, _>(&answer);
        answer
    }
}

/// Runs an act within a deadline. `late` makes the error of a late one.
pub(crate) async fn in_time<T>(
    deadline: Duration,
    act: impl Future<Output = Result<T>> + Send,
    late: impl FnOnce(Failure) -> Error,
) -> Result<T> {
    let answer = tokio::time::timeout(deadline, act).await;
    answer.unwrap_or_else(|_| Err(late(Failure::Late(None))))
}
