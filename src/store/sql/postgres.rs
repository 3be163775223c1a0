//! Sessions in Postgres.

mod builder;
mod driver;
#[cfg(feature = "tokio-postgres")]
mod pipelined;
mod row;
#[cfg(feature = "sqlx-postgres")]
mod sqlx;
mod text;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::session::answer::{Created, Removed, Renewed, Swept, Updated};
use crate::session::ask::{Change, Limit, Load, Renewal, Scope};
use crate::session::listing::{Cursor, Listing, Page};
use crate::session::record::Record;
use crate::session::store::SessionStore;
use crate::store::behind::{self, Behind, Use, WritesBehind, overlay};
use crate::store::durability::{Durability, Survives};
use crate::store::sql::{Columns, Table, in_seconds, stamps_from, subject_key};
use crate::upkeep::Upkeep;
use driver::{Driver, Failure, Row as _, Value};
use row::{OUTCOME, cursor, record, values};
use text::Query;

pub use builder::PostgresBuilder;
#[cfg(feature = "tokio-postgres")]
pub use pipelined::Pipelined;
#[cfg(feature = "sqlx-postgres")]
pub use sqlx::Sqlx;
pub use text::{SCHEMA, schema};

/// How often an act is begun anew because of what others did at the same moment.
const TRIES: usize = 8;
/// How long a migration may wait for others.
const MIGRATION: Duration = Duration::from_secs(60);
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

struct Inner<L> {
    link: L,
    table: Table,
    deadline: Duration,
    assumes_durable: bool,
    behind: Behind,
    /// The last handle that a sweep has looked at.
    swept_to: Mutex<Vec<u8>>,
}

/// What a [`PostgresStore`] talks through: `Sqlx` or `Pipelined`.
#[expect(private_bounds, reason = "sealed: what a link does may change")]
pub trait Link: Driver {}

impl<L: Driver> Link for L {}

impl<L> PostgresStore<L> {
    fn new(link: L, table: Table, deadline: Duration, assumes_durable: bool) -> Self {
        let inner = Inner {
            link,
            table,
            deadline,
            assumes_durable,
            behind: Behind::new(),
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
        let inner = &*self.inner;
        let (lock, milliseconds) = (inner.lock(""), MIGRATION.as_millis());
        let text = text::migration(&inner.table, lock, milliseconds);
        let until = in_runtime()? + MIGRATION;
        Ok(inner.link.batch(text, until).await?)
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
        let Some(row) = rows.first() else {
            // No such table yet.
            return Ok(Durability::new(Survives::Unknown, Survives::Unknown));
        };
        let (synced, standbys, waits) = (row.flag(0)?, row.flag(1)?, row.flag(2)?);
        let crash = if synced {
            Survives::All
        } else {
            Survives::NotAll
        };
        let failover = match (synced && waits, standbys) {
            (false, _) => Survives::NotAll,
            (true, true) => Survives::All,
            (true, false) => Survives::Unknown,
        };
        Ok(Durability::new(crash, failover))
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
        durability.require(self.inner.assumes_durable)
    }
}

/// The moment of now, for deadlines, which need timers.
fn in_runtime() -> Result<Instant> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(Instant::now()),
        Err(_) => Err(Error::misuse(
            "the Postgres store was asked outside of a runtime of tokio: ask it inside of one",
        )),
    }
}

impl<L: Link> Inner<L> {
    /// Until when an act that begins now may take.
    fn until(&self) -> Result<Instant> {
        Ok(in_runtime()? + self.deadline)
    }

    /// The number of the lock on a subject of this table; the empty one stands for the table.
    fn lock(&self, subject: &str) -> i64 {
        let key = subject_key(&format!("statewise {} {subject}", self.table));
        let (first, _) = key.split_first_chunk().unwrap_or((&[0; 8], &[]));
        i64::from_be_bytes(*first)
    }

    async fn rows(
        &self,
        query: Query,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.link.rows(query, values, until).await {
                Err(failure) if failure.is_undone() && tries < TRIES => {}
                Err(Failure::Broken) if query.is_read() && tries == 1 => {}
                answer => return answer,
            }
        }
    }

    async fn count(
        &self,
        query: Query,
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

    /// Removes a row that was found over, so that a clock set back does not revive it. `false` if
    /// it was not there, or not over any more.
    async fn bury(
        &self,
        handle: Handle,
        idle: u64,
        now: Timestamp,
        until: Instant,
    ) -> Result<bool> {
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Number(in_seconds(now)),
            Value::Number(at_most(idle)),
        ];
        Ok(self.count(Query::Bury, &values, until).await? > 0)
    }

    /// The row of a handle, alive or over.
    async fn find(&self, handle: Handle, until: Instant) -> Result<Option<Record>> {
        let values = [Value::Bytes(handle.as_bytes())];
        let rows = self.rows(Query::Load, &values, until).await?;
        rows.first().map(record).transpose()
    }
}

/// A number of seconds that is compared, never stored.
fn at_most(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// What others do at the same moment does not let an act come to an end.
fn restless() -> Error {
    Error::unavailable("the row was changed by others again and again")
}

impl<L: Link> WritesBehind for Inner<L> {
    fn behind(&self) -> &Behind {
        &self.behind
    }

    async fn write(&self, uses: &[Use]) -> Result<()> {
        let handles = uses.iter().map(|(handle, _)| &handle.as_bytes()[..]);
        let times = uses.iter().map(|(_, seen_at)| in_seconds(*seen_at));
        let values = [
            Value::Many(handles.collect()),
            Value::Numbers(times.collect()),
        ];
        self.count(Query::Touch, &values, self.until()?).await?;
        Ok(())
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
        behind::settle_subject(inner, record.subject()).await?;
        inner.create(record, most, evicts, now, until).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let inner = &*self.inner;
        let until = inner.until()?;
        for _ in 0..TRIES {
            let waiting = inner.behind.of(handle);
            let Some(mut row) = inner.find(handle, until).await? else {
                return Ok(None);
            };
            overlay(&mut row, waiting);
            if row.is_alive_for(load.touch, now) {
                return Ok(Some(row));
            }
            let idle = load.touch.map_or(u64::MAX, |touch| touch.idle());
            if inner.bury(handle, idle, now, until).await? {
                return Ok(None);
            }
            // Removed by somebody else, or used at this moment.
        }
        Err(restless())
    }

    async fn renew(&self, handle: Handle, renewal: &Renewal, now: Timestamp) -> Result<Renewed> {
        let inner = &*self.inner;
        let until = inner.until()?;
        behind::settle(inner, handle).await?;
        inner.renew(handle, renewal, now, until).await
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        change: &Change,
        now: Timestamp,
    ) -> Result<Updated> {
        let inner = &*self.inner;
        let until = inner.until()?;
        behind::settle(inner, handle).await?;
        inner.update(handle, expected, change, now, until).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        let inner = &*self.inner;
        let until = inner.until()?;
        behind::settle(inner, handle).await?;
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Number(i64::from(generation)),
            Value::Number(in_seconds(now)),
        ];
        inner.count(Query::Confirm, &values, until).await?;
        Ok(())
    }

    async fn touch(&self, uses: &[Use], _now: Timestamp) -> Result<()> {
        behind::touch(&*self.inner, uses).await
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
        behind::settle_subject(inner, subject).await?;
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
        // By the columns, so that a row that does not decode does not end the list.
        let next = match rows.last() {
            Some(last) if more => Some(cursor(last)?),
            _ => None,
        };
        let records = rows.iter().filter_map(|row| record(row).ok()).collect();
        Ok(Listing::new(records, next))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let inner = &*self.inner;
        let until = inner.until()?;
        let _pause = behind::settle_all(inner).await?;
        inner.sweep(limit.clamp(1, LOOK), now, until).await
    }

    fn upkeep(&self) -> Upkeep {
        behind::upkeep(&self.inner)
    }
}

impl<L: Link> Inner<L> {
    async fn insert(&self, record: &Record, until: Instant) -> Result<Created> {
        let (key, columns) = (subject_key(record.subject()), Columns::from(record));
        let mut all = vec![Value::Bytes(&key)];
        all.extend(values(&columns));
        let count = self.count(Query::Insert, &all, until).await?;
        Ok(if count > 0 {
            Created::Stored {
                evicted: Vec::new(),
            }
        } else {
            Created::Duplicate
        })
    }

    async fn create(
        &self,
        record: &Record,
        most: u32,
        evicts: bool,
        now: Timestamp,
        until: Instant,
    ) -> Result<Created> {
        let (key, columns) = (subject_key(record.subject()), Columns::from(record));
        let mut all = vec![
            Value::Number(in_seconds(now)),
            Value::Number(i64::from(most)),
            Value::Flag(evicts),
            Value::Number(self.lock(record.subject())),
            Value::Bytes(&key),
        ];
        all.extend(values(&columns));
        let mut answer = self.rows(Query::Create, &all, until).await;
        if let Ok(rows) = &answer
            && let Some(row) = rows.first()
            && row.number(0)? == OUTCOME.isolated
        {
            answer = self
                .link
                .rows_read_committed(Query::Create, &all, until)
                .await;
        }
        let rows = match answer {
            Err(failure) if failure.is_duplicate() => return Ok(Created::Duplicate),
            answer => answer?,
        };
        let row = rows.first().ok_or(Failure::Garbled)?;
        row::created(row)
    }

    async fn renew(
        &self,
        handle: Handle,
        renewal: &Renewal,
        now: Timestamp,
        until: Instant,
    ) -> Result<Renewed> {
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Bytes(renewal.presented.as_bytes()),
            Value::Number(i64::from(renewal.generation)),
            Value::Bytes(renewal.next.as_bytes()),
            Value::Bytes(&renewal.seed),
            Value::Number(at_most(renewal.overlap)),
            Value::Number(renewal.idle.cast_signed()),
            Value::Number(at_most(renewal.idle)),
            Value::Number(in_seconds(now)),
        ];
        for _ in 0..TRIES {
            let rows = self.rows(Query::Renew, &values, until).await?;
            let Some(found) = rows.first() else {
                return Ok(Renewed::Absent);
            };
            let row = record(found)?;
            if row::advanced(found)? {
                return Ok(Renewed::Advanced(row));
            }
            if !row.is_alive(now) {
                if self.bury(handle, u64::MAX, now, until).await? {
                    return Ok(Renewed::Absent);
                }
            } else if !row.clone().renew(renewal, now) {
                return Ok(Renewed::Unchanged(row));
            }
            // The row of before a change that came in between: asked again, it shows.
        }
        Err(restless())
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        change: &Change,
        now: Timestamp,
        until: Instant,
    ) -> Result<Updated> {
        for _ in 0..TRIES {
            let Some(mut row) = self.find(handle, until).await? else {
                return Ok(Updated::Absent);
            };
            if !row.is_alive(now) {
                if self.bury(handle, u64::MAX, now, until).await? {
                    return Ok(Updated::Absent);
                }
                continue;
            }
            // A renewal may take back the wish for one until the change is written.
            row.renewal_wanted = false;
            if !row.update(expected, change) {
                return Ok(Updated::Conflict);
            }
            let columns = Columns::from(&row);
            let stamp = change.stamp.map(crate::handle::Stamp::to_bytes);
            let values = [
                Value::Bytes(handle.as_bytes()),
                Value::Number(expected.cast_signed()),
                Value::Number(columns.version),
                Value::Bytes(columns.fields),
                Value::Flag(columns.renewal_wanted),
                Value::Optional(stamp.as_ref().map(|bytes| &bytes[..])),
                Value::Number(in_seconds(now)),
            ];
            let rows = self.rows(Query::Update, &values, until).await?;
            if let Some(done) = rows.first() {
                return Ok(Updated::Done(record(done)?));
            }
        }
        Err(restless())
    }

    async fn sweep(&self, limit: usize, now: Timestamp, until: Instant) -> Result<Swept> {
        let swept_to = || self.swept_to.lock().unwrap_or_else(PoisonError::into_inner);
        let start = swept_to().clone();
        let values = [
            Value::Bytes(&start),
            Value::Number(at_most(limit as u64)),
            Value::Number(in_seconds(now)),
        ];
        let rows = self.rows(Query::Sweep, &values, until).await?;
        let row = rows.first().ok_or(Failure::Garbled)?;
        let (removed, looked) = (row.number(0)?, row.number(1)?);
        let more = looked >= at_most(limit as u64);
        *swept_to() = match row.optional(2)? {
            Some(last) if more => last.to_vec(),
            _ => Vec::new(),
        };
        Ok(Swept::new(u64::try_from(removed).unwrap_or(0), more))
    }
}

impl<L> fmt::Debug for Inner<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("table", &self.table)
            .field("behind", &self.behind)
            .finish_non_exhaustive()
    }
}

impl<L: fmt::Debug> fmt::Debug for PostgresStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.inner.table)
            .field("link", &self.inner.link)
            .field("deadline", &self.inner.deadline)
            .finish_non_exhaustive()
    }
}
