//! Sessions in rows that are changed by compare-and-swap.
//!
//! A statement cannot change a row and return it in these databases. The row is read,
//! [`Record`] decides, and the row is replaced if it is still the one that was read.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::backend::server_clock::{self, ServerClock};
use crate::backend::sql::columns::{
    Columns, handle as handle_of, in_seconds, kept_stamps, live_count, record, subject_key,
    swap_values,
};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::Gate;
use crate::backend::sql::generic::driver::{Driver, Mode, Write};
use crate::backend::sql::generic::insertion::Insertion;
use crate::backend::sql::generic::statements::{BATCHES, Statements, batch_for, padded};
use crate::backend::sql::pages::{Round, listing};
use crate::backend::sql::table::Table;
use crate::backend::sql::value::{Row as _, Value};
use crate::backend::sql::write_behind::{
    self, PendingUses, Use, WriteBehind, apply_pending, flush_all, flush_login, flush_subject,
};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::{Handle, partition};
use crate::store::answer::LiveCount;
use crate::store::contract::{
    ChangeFn, Changed, Created, Limit, Listing, Load, Page, Record, Removed, Scope, SessionStore,
    Swept,
};
use crate::upkeep::Upkeep;

/// Maximum number of rows that one step of a sweep reads.
const MAX_SWEEP: usize = 10_000;

/// Value before each handle, and equal to none. It is not empty, because MariaDB takes an empty value
/// for NULL in the mode `EMPTY_STRING_IS_NULL`, and a comparison with NULL finds no row.
const NO_HANDLE: &[u8] = &[0];

/// Sessions in a table of MySQL or SQLite: see [`MySqlStore`](crate::store::MySqlStore) and
/// [`SqliteStore`](crate::store::SqliteStore). A clone shares everything with its original.
pub struct RowStore<D>(Arc<Rows<D>>);

impl<D> Clone for RowStore<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A table of sessions, shared by a store and its upkeep.
struct Rows<D> {
    driver: Arc<D>,
    statements: Statements,
    table: Table,
    gate: Arc<Gate>,
    pending: PendingUses,
    round: Round,
}

#[expect(private_bounds, reason = "sealed: the drivers are those of this crate")]
impl<D: Driver> RowStore<D> {
    pub(crate) fn new(driver: Arc<D>, table: Table, gate: Arc<Gate>) -> Self {
        Self(Arc::new(Rows {
            driver,
            statements: Statements::of(&table, &D::DIALECT),
            table,
            gate,
            pending: PendingUses::new(),
            round: Round::default(),
        }))
    }

    pub(crate) fn statements(&self) -> Vec<Arc<str>> {
        self.0.statements.all()
    }

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
        self.0.in_time(self.0.count_live(now)).await
    }

    /// Fails if a removal of a row that does not exist fails.
    pub(crate) async fn check_removal(&self) -> Result<(), Failure> {
        let values = [Value::Bytes(NO_HANDLE)];
        let removed = self.0.driver.write(&self.0.statements.remove, &values);
        removed.await.map(drop)
    }
}

impl<D: Driver> SessionStore for RowStore<D> {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.0.in_time(self.0.create(record, limit, now)).await
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.0.in_time(self.0.load(handle, now)).await
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.0.in_time(self.0.change(handle, now, change)).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        self.0
            .in_time(self.0.confirm(handle, generation, now))
            .await
    }

    async fn touch(&self, uses: &[Use], _now: Timestamp) -> Result<()> {
        self.0.in_time(write_behind::touch(&*self.0, uses)).await
    }

    async fn remove(&self, handle: Handle, _subject: &str, _now: Timestamp) -> Result<Removed> {
        let values = [Value::Bytes(handle.as_bytes())];
        self.0.removed(&self.0.statements.remove, &values).await
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let subject = subject_key(subject);
        let keep = scope.keep.as_ref();
        let keep = keep.map_or(NO_HANDLE, |keep| keep.as_bytes());
        let (subject, keep) = (Value::Bytes(&subject), Value::Bytes(keep));
        let statements = &self.0.statements;
        let Some((first, last)) = scope.before.map(kept_stamps) else {
            return self
                .0
                .removed(&statements.remove_subject, &[subject, keep])
                .await;
        };
        let values = [subject, keep, Value::Bytes(&first), Value::Bytes(&last)];
        self.0
            .removed(&statements.remove_subject_before, &values)
            .await
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        self.0.in_time(self.0.list(subject, page, now)).await
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.0.in_time(self.0.sweep(limit, now)).await
    }

    fn upkeep(&self) -> Upkeep {
        let upkeep = write_behind::upkeep(&self.0);
        match self.0.statements.time {
            Some(_) => upkeep.and(server_clock::upkeep(&self.0)),
            None => upkeep,
        }
    }
}

impl<D: Driver> Rows<D> {
    /// Runs an act within the deadline. Not an async function: its future would hold the act twice.
    fn in_time<T: Send>(
        &self,
        act: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        self.gate.call(act, Error::from)
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let insertion = Insertion::new(&self.statements, record);
        let Some(max) = limit.max() else {
            let values = insertion.values();
            let inserted = self.driver.write(&self.statements.insert, &values).await;
            return match inserted {
                Ok(0) => Ok(Created::Duplicate),
                Ok(_) => Ok(Created::Stored {
                    evicted: Vec::new(),
                }),
                Err(failure) if failure.is_duplicate() => Ok(Created::Duplicate),
                Err(failure) => Err(failure.into()),
            };
        };
        flush_subject(self, record.subject()).await?;
        let part = Value::Number(i64::from(partition(record.subject())));
        let insertion = insertion.within(limit, max, part, now);
        loop {
            match self.driver.run(Mode::Transaction, &insertion).await {
                Ok(Some(created)) => return Ok(created),
                // In a transaction of its own, so that no other one waits for this row while it
                // holds another lock.
                Ok(None) => {
                    let make = Write(&self.statements.make_lock, &[part]);
                    self.driver.run(Mode::Transaction, &make).await?
                }
                // Inserted without a limit after the transaction had looked.
                Err(failure) if failure.is_duplicate() => return Ok(Created::Duplicate),
                Err(failure) => return Err(failure.into()),
            };
        }
    }

    async fn count_live(&self, now: Timestamp) -> Result<LiveCount> {
        let _write_through = flush_all(self).await?;
        let now = Value::Number(in_seconds(now));
        let count_live = &self.statements.count_live;
        let rows = self.driver.rows(count_live, &[now, now]).await?;
        let counted = rows.first().and_then(live_count);
        Ok(counted.ok_or(Failure::Unexpected)?)
    }

    async fn load(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let pending = self.pending.get(handle);
        let values = [Value::Bytes(handle.as_bytes())];
        let rows = self.driver.rows(&self.statements.find, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut record = record(row)?;
        apply_pending(&mut record, pending);
        if record.is_alive(now) {
            self.pending.note_read(&record, now);
            return Ok(Some(record));
        }
        // Removed, so that a clock that is set back does not revive it.
        let now = Value::Number(in_seconds(now));
        let values = [Value::Bytes(handle.as_bytes()), now, now];
        self.driver.write(&self.statements.end, &values).await?;
        Ok(None)
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        // Ends: only a concurrent change causes another round, and the caller has a deadline.
        loop {
            let Some(record) = self.load(handle, now).await? else {
                return Ok(None);
            };
            let mut next = record.clone();
            if !change(&mut next) {
                return Ok(Some(Changed::new(false, record)));
            }
            let (from, to) = (Columns::from(&record), Columns::from(&next));
            let values = swap_values(&from, &to);
            if self.driver.write(&self.statements.swap, &values).await? > 0 {
                return Ok(Some(Changed::new(true, next)));
            }
        }
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        // Without the pending use, the row may look expired.
        flush_login(self, handle).await?;
        let now = Value::Number(in_seconds(now));
        let generation = Value::Number(i64::from(generation));
        let values = [
            now,
            now,
            Value::Bytes(handle.as_bytes()),
            generation,
            now,
            now,
        ];
        self.driver.write(&self.statements.confirm, &values).await?;
        Ok(())
    }

    async fn removed(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<Removed> {
        let remove = async { Ok(self.driver.write(statement, values).await?) };
        self.in_time(remove).await.map(Removed::at_once)
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        flush_subject(self, subject).await?;
        let subject = subject_key(subject);
        let now = Value::Number(in_seconds(now));
        let after = page.after.as_ref();
        // The first page begins before every deadline.
        let deadline = Value::Number(after.map_or(-1, |after| in_seconds(after.deadline)));
        let handle = after.map_or(NO_HANDLE, |after| after.handle.as_bytes());
        let limit = i64::try_from(page.limit.max(1)).unwrap_or(i64::MAX);
        let values = [
            Value::Bytes(&subject),
            now,
            now,
            deadline,
            deadline,
            Value::Bytes(handle),
            Value::Number(limit.saturating_add(1)),
        ];
        let rows = self.driver.rows(&self.statements.list, &values).await?;
        Ok(listing(page, &rows))
    }

    /// Walks through all rows in the order of their handles, so that no index must follow the uses.
    /// It reads without locks. The removal checks each row again.
    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let _write_through = flush_all(self).await?;
        let limit = limit.clamp(1, MAX_SWEEP);
        let now = Value::Number(in_seconds(now));
        let start = self.round.start();
        let after = start.as_ref().map_or(NO_HANDLE, |start| start.as_bytes());
        let values = [now, now, Value::Bytes(after), Value::Number(limit as i64)];
        let rows = self.driver.rows(&self.statements.look, &values).await?;
        let last = rows.last().and_then(|row| handle_of(row.bytes(0)?));
        let expired = rows.iter().filter(|row| row.flag(1) == Some(true));
        let expired: Vec<_> = expired.filter_map(|row| row.bytes(0)).collect();
        let mut removed = 0;
        for handles in expired.chunks(BATCHES[BATCHES.len() - 1]) {
            let at = batch_for(handles.len());
            let handles = padded(handles, BATCHES[at]);
            let mut values: Vec<_> = handles.map(|handle| Value::Bytes(handle)).collect();
            values.extend([now, now]);
            let purge = &self.statements.purge[at];
            removed += self.driver.write(purge, &values).await?;
        }
        Ok(self
            .round
            .advance(start, last, rows.len() >= limit, removed))
    }
}

impl<D: Driver> WriteBehind for Rows<D> {
    fn pending(&self) -> &PendingUses {
        &self.pending
    }

    async fn write(&self, uses: &[Use]) -> Result<()> {
        for uses in uses.chunks(BATCHES[BATCHES.len() - 1]) {
            let at = batch_for(uses.len());
            let mut values = Vec::with_capacity(2 * BATCHES[at]);
            for (handle, time) in padded(uses, BATCHES[at]) {
                values.push(Value::Bytes(handle.as_bytes()));
                values.push(Value::Number(in_seconds(*time)));
            }
            let touch = &self.statements.touch[at];
            let write = async { Ok(self.driver.write(touch, &values).await?) };
            self.in_time(write).await?;
        }
        Ok(())
    }
}

impl<D: Driver> ServerClock for Rows<D> {
    async fn server_time(&self) -> Result<Timestamp> {
        let time = self.statements.time.as_ref().ok_or(Failure::Unexpected)?;
        let ask = async { Ok(self.driver.rows(time, &[]).await?) };
        let rows = self.in_time(ask).await?;
        let seconds = rows.first().and_then(|row| row.number(0)?.try_into().ok());
        Ok(Timestamp::from_unix(seconds.ok_or(Failure::Unexpected)?))
    }
}

impl<D: fmt::Debug> fmt::Debug for Rows<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStore")
            .field("driver", &self.driver)
            .field("table", &self.table)
            .field("deadline", &self.gate.deadline)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

impl<D: fmt::Debug> fmt::Debug for RowStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
