//! Sessions in Postgres.

use std::fmt;
use std::sync::Arc;

use crate::backend::server_clock;
use crate::backend::sql::columns::{at_most, in_seconds, kept_stamps, live_count, subject_key};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::pages::listing;
use crate::backend::sql::postgres::Link;
use crate::backend::sql::postgres::changes::Inner;
use crate::backend::sql::postgres::statements::SessionQuery;
use crate::backend::sql::value::Value;
use crate::backend::sql::write_behind::{self, Use};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::answer::{Changed, Created, LiveCount, Removed, Rotated, Swept};
use crate::store::ask::{Limit, Load, Rotation, Scope};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};
use crate::upkeep::Upkeep;

/// Maximum number of rows that one step of a sweep reads.
const MAX_SWEEP: usize = 5_000;

/// Sessions in Postgres, from [`Postgres::sessions`](crate::store::Postgres::sessions). A clone
/// shares everything with its original.
///
/// # Cost
///
/// A verification is one statement, and so is every other operation, except that an update reads
/// the row and then compares and swaps it, and that a second statement confirms that a login does not
/// exist.
///
/// # Uses
///
/// While the [`upkeep`](crate::session::SessionAuthenticator) of the authenticator runs, the uses
/// of half a second are written together, in one statement. Without it, each use is written at
/// once. [`Upkeep::finish`] writes the rest before the process ends. A crash of the process loses
/// these uses: a session may end early, as if it had not been used since the use before, and never
/// late. A use at least half of the idle timeout after the one before is written at once, if the row
/// was read from the database for it. A crash then ends a session early by at most half of that
/// timeout.
///
/// A logout takes effect at once on every node.
pub struct PostgresStore<L> {
    pub(crate) inner: Arc<Inner<L>>,
}

impl<L> PostgresStore<L> {
    pub(crate) fn new(inner: Inner<L>) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl<L: Link> PostgresStore<L> {
    /// Counts the sessions that have not expired at `now`, and their users, in one statement. It reads
    /// the whole table within the deadline of a call: call it for a statistic, not for each request.
    ///
    /// A session counts until the timeouts with which it was stored. An authenticator with shorter
    /// timeouts may reject some of the counted sessions.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database could not answer within the deadline.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn count_live(&self, now: Timestamp) -> Result<LiveCount> {
        let inner = &*self.inner;
        let until = inner.base.until()?;
        let _write_through = write_behind::flush_all(inner).await?;
        let values = [Value::Number(in_seconds(now))];
        let query = SessionQuery::CountLive;
        let rows = inner.base.rows(query, &values, until).await?;
        let counted = rows.first().and_then(live_count);
        Ok(counted.ok_or(Failure::Unexpected)?)
    }
}

impl<L> Clone for PostgresStore<L> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<L: Link> SessionStore for PostgresStore<L> {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let inner = &*self.inner;
        let until = inner.base.until()?;
        let Some(max) = limit.max() else {
            return inner.insert(record, until).await;
        };
        write_behind::flush_subject(inner, record.subject()).await?;
        inner.create(record, limit, max, now, until).await
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        let until = self.inner.base.until()?;
        self.inner.load(handle, now, until).await
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let inner = &*self.inner;
        let until = inner.base.until()?;
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
        let until = inner.base.until()?;
        write_behind::flush_login(inner, handle).await?;
        inner.change(handle, now, change, until).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        let inner = &*self.inner;
        let until = inner.base.until()?;
        write_behind::flush_login(inner, handle).await?;
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Number(i64::from(generation)),
            Value::Number(in_seconds(now)),
        ];
        inner
            .base
            .count(SessionQuery::Confirm, &values, until)
            .await?;
        Ok(())
    }

    async fn touch(&self, uses: &[Use], _now: Timestamp) -> Result<()> {
        write_behind::touch(&*self.inner, uses).await
    }

    async fn remove(&self, handle: Handle, _subject: &str, _now: Timestamp) -> Result<Removed> {
        let base = &self.inner.base;
        let values = [Value::Bytes(handle.as_bytes()), Value::Flag(true)];
        let count = base
            .count(SessionQuery::Remove, &values, base.until()?)
            .await?;
        Ok(Removed::at_once(count))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let base = &self.inner.base;
        let key = subject_key(subject);
        let keep = scope.keep.map(|handle| *handle.as_bytes());
        let (first, last) = scope.before.map(kept_stamps).unzip();
        let values = [
            Value::Bytes(&key),
            Value::Optional(keep.as_ref().map(|bytes| &bytes[..])),
            Value::Optional(first.as_ref().map(|bytes| &bytes[..])),
            Value::Optional(last.as_ref().map(|bytes| &bytes[..])),
        ];
        let count = base
            .count(SessionQuery::RemoveSubject, &values, base.until()?)
            .await?;
        Ok(Removed::at_once(count))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let inner = &*self.inner;
        let until = inner.base.until()?;
        write_behind::flush_subject(inner, subject).await?;
        let key = subject_key(subject);
        let after = page.after.as_ref();
        let values = [
            Value::Bytes(&key),
            Value::Number(after.map_or(-1, |after| in_seconds(after.deadline))),
            Value::Bytes(after.map_or(&[][..], |after| after.handle.as_bytes())),
            Value::Number(in_seconds(now)),
            Value::Number(at_most(page.limit.max(1) as u64).saturating_add(1)),
        ];
        let rows = inner.base.rows(SessionQuery::List, &values, until).await?;
        Ok(listing(page, &rows))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let inner = &*self.inner;
        let until = inner.base.until()?;
        let _write_through = write_behind::flush_all(inner).await?;
        inner.sweep(limit.clamp(1, MAX_SWEEP), now, until).await
    }

    fn upkeep(&self) -> Upkeep {
        write_behind::upkeep(&self.inner).and(server_clock::upkeep(&self.inner))
    }
}

impl<L> fmt::Debug for PostgresStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
