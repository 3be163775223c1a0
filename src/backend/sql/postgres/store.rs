//! Sessions in Postgres.

mod builder;
mod inner;
mod row;
mod text;

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::backend::durability::Durability;
use crate::backend::sql::postgres::Link;
use crate::backend::sql::postgres::driver::Value;
use crate::backend::sql::postgres::durability::durability;
use crate::backend::sql::postgres::setup::{Base, until_migrated};
use crate::backend::sql::store::{in_seconds, stamps_from, subject_key};
use crate::backend::write_behind::{self, PendingUses, Use};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::answer::{Changed, Created, Removed, Rotated, Swept};
use crate::store::ask::{Limit, Load, Rotation, Scope};
use crate::store::listing::{Cursor, Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};
use crate::upkeep::Upkeep;
use inner::{Inner, at_most};
use row::{cursor, record};
use text::Query;

pub use builder::PostgresBuilder;
pub use text::{SCHEMA, schema};

/// Rows that a sweep looks at, at most.
const LOOK: usize = 5_000;

/// Sessions in Postgres (12 or later), in one table: [`migrate`](Self::migrate) makes it.
///
/// - `PostgresStore::sqlx`, with the feature `sqlx-postgres`: through the pool that the
///   application has.
/// - `PostgresStore::client` and `PostgresStore::connect`, with `tokio-postgres`: pipelined over
///   few connections, for throughput.
///
/// Verifying is one statement. Uses are written through, one by one, until the authenticator's
/// [`upkeep`](crate::session::SessionAuthenticator) is run; then they are written behind the
/// read, all of half a second in one statement. What a crash of the process takes with it of those
/// ends a session early, by that half second, and never late.
///
/// Logout takes effect at once and everywhere, and survives a crash of the server if the server
/// syncs its log to disk: [`require_durable`](Self::require_durable) asks it. Never point it at a
/// replica, which would still know what was ended.
///
/// All acts need a runtime of tokio with its timers on.
///
/// ```no_run
/// use statewise::store::PostgresStore;
///
/// # #[cfg(feature = "sqlx-postgres")]
/// # async fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
/// let store = PostgresStore::sqlx(pool).build()?;
/// store.migrate().await?;
/// store.require_durable().await?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresStore<L> {
    inner: Arc<Inner<L>>,
}

impl<L> PostgresStore<L> {
    fn new(base: Base<L>) -> Self {
        let inner = Inner {
            base,
            pending: PendingUses::new(),
            swept_to: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl<L: Link> PostgresStore<L> {
    /// Makes the table and what belongs to it, where it is not there. Any number of nodes may do
    /// so at once, and again at each start. Takes at most a minute.
    ///
    /// For those who migrate by a tool of their own: [`SCHEMA`] and [`schema()`].
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer, or if its user may not make tables.
    ///
    /// # Cancel safety
    ///
    /// All of it is done, or nothing.
    pub async fn migrate(&self) -> Result<()> {
        let base = &self.inner.base;
        let schema = text::schema_of(&base.table);
        Ok(base.migrate(&schema, until_migrated()?).await?)
    }

    /// What the server says about what it keeps, for this connection and this table.
    ///
    /// *All* survives a crash if the log is synced (`fsync`, `full_page_writes`, a
    /// `synchronous_commit` that is not `off`) and the table is logged. What survives a failover
    /// is known only where there are synchronous standbys.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        let inner = &*self.inner;
        let rows = inner.rows(Query::Durability, &[], inner.until()?).await?;
        Ok(durability(&rows)?)
    }

    /// Fails unless what was acknowledged survives a crash of the server: ask for it at the start
    /// of a service in which no logout may be undone.
    ///
    /// # Errors
    ///
    /// *Misuse* if it does not, or if the table is not there and nobody
    /// [vouches](PostgresBuilder::assume_durable); *unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn require_durable(&self) -> Result<()> {
        let durability = self.durability().await?;
        durability.require(self.inner.base.assumes_durable)
    }
}

impl<L: Link> SessionStore for PostgresStore<L> {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let inner = &*self.inner;
        let until = inner.until()?;
        let (most, evicts) = match limit {
            Limit::Unlimited => return inner.insert(record, until).await,
            Limit::Reject(most) => (most, false),
            Limit::EvictOldest(most) => (most, true),
        };
        write_behind::flush_subject(inner, record.subject()).await?;
        inner.create(record, most, evicts, now, until).await
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.inner.load(handle, now, self.inner.until()?).await
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let inner = &*self.inner;
        let until = inner.until()?;
        write_behind::flush_login(inner, handle).await?;
        inner.rotate(handle, rotation, now, until).await
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let inner = &*self.inner;
        let until = inner.until()?;
        write_behind::flush_login(inner, handle).await?;
        inner.change(handle, now, change, until).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        let inner = &*self.inner;
        let until = inner.until()?;
        write_behind::flush_login(inner, handle).await?;
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Number(i64::from(generation)),
            Value::Number(in_seconds(now)),
        ];
        inner.count(Query::Confirm, &values, until).await?;
        Ok(())
    }

    async fn touch(&self, uses: &[Use], _now: Timestamp) -> Result<()> {
        write_behind::touch(&*self.inner, uses).await
    }

    async fn remove(&self, handle: Handle, _subject: &str, _now: Timestamp) -> Result<Removed> {
        let inner = &*self.inner;
        let values = [Value::Bytes(handle.as_bytes())];
        let count = inner.count(Query::Remove, &values, inner.until()?).await?;
        Ok(Removed::at_once(count))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let inner = &*self.inner;
        let key = subject_key(subject);
        let keep = scope.keep.map(|handle| *handle.as_bytes());
        let (first, last) = scope.before.map(stamps_from).unzip();
        let values = [
            Value::Bytes(&key),
            Value::Optional(keep.as_ref().map(|bytes| &bytes[..])),
            Value::Optional(first.as_ref().map(|bytes| &bytes[..])),
            Value::Optional(last.as_ref().map(|bytes| &bytes[..])),
        ];
        let until = inner.until()?;
        let count = inner.count(Query::RemoveSubject, &values, until).await?;
        Ok(Removed::at_once(count))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let inner = &*self.inner;
        let until = inner.until()?;
        write_behind::flush_subject(inner, subject).await?;
        let limit = page.limit.clamp(1, u32::MAX as usize - 1);
        let key = subject_key(subject);
        let (deadline, handle) = match &page.after {
            Some(Cursor { deadline, handle }) => {
                (in_seconds(*deadline), handle.as_bytes().as_slice())
            }
            None => (-1, [].as_slice()),
        };
        let values = [
            Value::Bytes(&key),
            Value::Number(deadline),
            Value::Bytes(handle),
            Value::Number(in_seconds(now)),
            Value::Number(at_most(limit as u64 + 1)),
        ];
        let mut rows = inner.rows(Query::List, &values, until).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        // By the columns, so that a row that does not decode does not end the list; one whose
        // deadline is not a time comes behind all that are.
        let next = rows.last().filter(|_| more);
        let next = next.and_then(|last| cursor(last).ok());
        let records = rows.iter().filter_map(|row| record(row).ok()).collect();
        Ok(Listing::new(records, next))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let inner = &*self.inner;
        let until = inner.until()?;
        let _pause = write_behind::flush_all(inner).await?;
        inner.sweep(limit.clamp(1, LOOK), now, until).await
    }

    fn upkeep(&self) -> Upkeep {
        write_behind::upkeep(&self.inner)
    }
}

impl<L: fmt::Debug> fmt::Debug for PostgresStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.inner.base.table)
            .field("link", &self.inner.base.link)
            .field("deadline", &self.inner.base.deadline)
            .finish_non_exhaustive()
    }
}
