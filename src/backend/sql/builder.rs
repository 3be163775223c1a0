//! The configuration of a database, the same for all of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::sql::table::{REVOCATIONS, SESSIONS, Tables};
use crate::error::{Error, Result};
use crate::observer::Observer;

/// Default deadline of a call.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

/// Deadline of a migration, which may wait for other nodes.
pub(crate) const MIGRATION_DEADLINE: Duration = Duration::from_secs(60);

/// Configuration of a database for sessions and revocations, begun by `over`: `MySql::over`,
/// `Sqlite::over`, `Postgres::over` or `Postgres::connect`.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`table`](Self::table) | `statewise_sessions` |
/// | [`log_table`](Self::log_table) | `statewise_revocations` |
/// | [`deadline`](Self::deadline) | 2 seconds |
/// | [`assume_durable`](Self::assume_durable) | off |
/// | [`observer`](Self::observer) | none |
/// | `connections` (only `Postgres::connect`) | 1 |
/// | `transaction_pooler` (only Postgres) | off |
///
/// # A server that does not answer
///
/// After three calls in a row that waited in vain for the whole deadline, further calls are
/// *unavailable* at once. One call in a quarter of a second still asks the server, and the first
/// answer ends this. A single slow call has no such effect. That one call is a request, which waits for its
/// deadline: with fewer than four requests in a second, each of them waits all through such an outage. Set a
/// shorter deadline if your requests cannot wait so long.
///
/// If the server refuses connections, calls fail at once anyway. The observer gets
/// [`StoreSilent`](crate::observer::Event::StoreSilent) in both cases, once in an outage.
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<S> {
    pub(crate) source: S,
    table: String,
    log_table: String,
    deadline: Duration,
    assume_durable: bool,
    observer: Option<Arc<dyn Observer>>,
}

/// Checked settings of a [`Builder`].
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) tables: Tables,
    pub(crate) deadline: Duration,
    pub(crate) assume_durable: bool,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl<S> Builder<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            table: SESSIONS.to_owned(),
            log_table: REVOCATIONS.to_owned(),
            deadline: DEFAULT_DEADLINE,
            assume_durable: false,
            observer: None,
        }
    }

    /// Sets the table of sessions. Qualify it as `schema.table` in Postgres, `database.table` in
    /// MySQL, or by the name of an attached database in SQLite. An unqualified table is found as
    /// the connection finds it. A name has at most 41 lower case letters, digits and underscores,
    /// and begins with no digit. Default: `statewise_sessions`.
    ///
    /// Names of other objects begin with this name: an index (`_subject`), in MySQL a table
    /// (`_limit`), in Postgres a function (`_create_1`).
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets the table of revocations, in the same form as [`table`](Self::table). The counter is in
    /// a second table, with this name and `_head`. Default: `statewise_revocations`.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
    /// use statewise::store::Postgres;
    ///
    /// let db = Postgres::over(pool).table("app.sessions").log_table("app.revocations").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_table(mut self, table: impl Into<String>) -> Self {
        self.log_table = table.into();
        self
    }

    /// Sets the deadline of each call, after which the call is *unavailable*. It includes the wait
    /// for a connection. Default: 2 seconds.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
    /// use std::time::Duration;
    /// use statewise::store::Postgres;
    ///
    /// // The server is in another region: allow for slow round trips.
    /// let db = Postgres::over(pool).deadline(Duration::from_secs(5)).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Treats an unknown durability as durable in `require_durable`. Set it if the operator of the
    /// server confirms that acknowledged writes survive a crash. A server that is known to lose
    /// writes is still refused. Default: off.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-mysql")]
    /// # async fn example(pool: sqlx::MySqlPool) -> statewise::Result<()> {
    /// use statewise::store::MySql;
    ///
    /// // The tables are created later, by a migration tool.
    /// let db = MySql::over(pool).assume_durable().build()?;
    /// db.require_durable().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn assume_durable(mut self) -> Self {
        self.assume_durable = true;
        self
    }

    /// Sets the observer that is notified when the server does not answer and calls therefore fail at
    /// once, and when it answers again: [`Event::StoreSilent`] and [`Event::StoreAnswers`]. Default:
    /// none.
    ///
    /// [`Event::StoreSilent`]: crate::observer::Event::StoreSilent
    /// [`Event::StoreAnswers`]: crate::observer::Event::StoreAnswers
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Checks the settings.
    pub(crate) fn settings(&self) -> Result<Settings> {
        if self.deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline of the database is zero: set one that leaves time for an answer",
            ));
        }
        Ok(Settings {
            tables: Tables::parse(&self.table, &self.log_table)?,
            deadline: self.deadline,
            assume_durable: self.assume_durable,
            observer: self.observer.clone(),
        })
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the source: its options contain a host and a user.
        f.debug_struct("Builder")
            .field("table", &self.table)
            .field("log_table", &self.log_table)
            .field("deadline", &self.deadline)
            .field("assume_durable", &self.assume_durable)
            .finish_non_exhaustive()
    }
}
