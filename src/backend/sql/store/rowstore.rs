//! The acts of a store that compares and swaps, over whatever carries its statements.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::sql::client::{Row, Value};
use crate::backend::sql::settings::{Settings, in_time};
use crate::backend::sql::store::insertion::Insertion;
use crate::backend::sql::store::pages::{Round, listing};
use crate::backend::sql::store::rows::{place, record, swap_values, values};
use crate::backend::sql::store::statements::{Dialect, SIZES, Statements, filled, size_for};
use crate::backend::sql::store::swap::Swaps;
use crate::backend::sql::store::{Columns, fixed, in_seconds, stamps_from, subject_key};
use crate::backend::sql::table::Table;
use crate::backend::write_behind::{
    PendingUses, Use, WriteBehind, flush_all, flush_login, flush_subject,
};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::contract::{Created, Limit, Listing, Page, Record, Removed, Scope, Swept};

/// Rows that one step of sweeping looks at, at most.
const SWEEP: usize = 10_000;

/// Carries statements to a database, and deals with what is passing: a busy database, a deadlock.
pub(crate) trait Driver: fmt::Debug + Send + Sync + 'static {
    type Row: Row;

    /// The rows that a statement answers which does not write.
    fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Self::Row>>> + Send;

    /// Runs a statement that writes, as a transaction of its own; how many rows it found to
    /// write.
    fn write(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64>> + Send;

    /// Adds a row; `false` if its handle is there.
    fn insert(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Adds a row within a limit, as one step.
    fn insert_within(
        &self,
        insertion: &Insertion<'_>,
        statements: &Statements,
    ) -> impl Future<Output = Result<Created>> + Send;
}

/// A store that compares and swaps.
pub(crate) struct RowStore<D> {
    pub(crate) driver: D,
    pub(crate) table: Table,
    pub(crate) assumes_durable: bool,
    statements: Statements,
    deadline: Duration,
    pending: PendingUses,
    round: Round,
}

impl<D> RowStore<D> {
    pub(crate) fn new(
        settings: &Settings,
        dialect: &Dialect,
        driver: impl FnOnce(&Table) -> D,
    ) -> Result<Self> {
        let table = settings.check()?;
        Ok(Self {
            driver: driver(&table),
            statements: Statements::of(&table, dialect),
            table,
            assumes_durable: settings.assumes_durable,
            deadline: settings.deadline,
            pending: PendingUses::new(),
            round: Round::default(),
        })
    }
}

impl<D: Driver> RowStore<D> {
    /// Does it within the deadline. Not a future around that one: it would have room for the act
    /// once more.
    pub(crate) fn in_time<T: Send>(
        &self,
        act: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        in_time(self.deadline, act, Error::from)
    }

    pub(crate) async fn create(
        &self,
        record: &Record,
        limit: Limit,
        now: Timestamp,
    ) -> Result<Created> {
        if let Some(insertion) = Insertion::new(record, limit, now) {
            flush_subject(self, record.subject()).await?;
            let inserted = self.driver.insert_within(&insertion, &self.statements);
            return inserted.await;
        }
        let (columns, subject) = (Columns::from(record), subject_key(record.subject()));
        let mut values = values(&columns).to_vec();
        values.push(Value::Bytes(&subject));
        let stored = self.driver.insert(&self.statements.insert, &values).await?;
        Ok(if stored {
            Created::Stored {
                evicted: Vec::new(),
            }
        } else {
            Created::Duplicate
        })
    }

    pub(crate) async fn confirm(
        &self,
        handle: Handle,
        generation: u32,
        now: Timestamp,
    ) -> Result<()> {
        // What waits may be what keeps it alive.
        flush_login(self, handle).await?;
        let now = Value::Number(in_seconds(now));
        let generation = Value::Number(i64::from(generation));
        let handle = Value::Bytes(handle.as_bytes());
        let values = [now, now, handle, generation, now, now];
        let confirmed = self.driver.write(&self.statements.confirm, &values);
        confirmed.await.map(drop)
    }

    pub(crate) async fn remove(&self, handle: Handle) -> Result<Removed> {
        let values = [Value::Bytes(handle.as_bytes())];
        let removed = self.driver.write(&self.statements.remove, &values);
        removed.await.map(Removed::at_once)
    }

    pub(crate) async fn remove_subject(&self, subject: &str, scope: Scope) -> Result<Removed> {
        let subject = subject_key(subject);
        let keep = scope.keep.as_ref();
        // No row has the empty handle.
        let keep = keep.map_or(&[][..], |keep| keep.as_bytes());
        let both = [Value::Bytes(&subject), Value::Bytes(keep)];
        let count = match scope.before.map(stamps_from) {
            None => {
                let statement = &self.statements.remove_subject;
                self.driver.write(statement, &both).await
            }
            Some((first, last)) => {
                let statement = &self.statements.remove_subject_before;
                let [subject, keep] = both;
                let values = [subject, keep, Value::Bytes(&first), Value::Bytes(&last)];
                self.driver.write(statement, &values).await
            }
        };
        count.map(Removed::at_once)
    }

    pub(crate) async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        flush_subject(self, subject).await?;
        let subject = subject_key(subject);
        let now = Value::Number(in_seconds(now));
        let after = page.after.as_ref();
        // Before all others, for the first page.
        let deadline = Value::Number(after.map_or(-1, |after| in_seconds(after.deadline)));
        let handle = after.map_or(&[][..], |after| after.handle.as_bytes());
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
        let rows = rows.iter().map(|row| (place(row), record(row).ok()));
        Ok(listing(page, rows.collect()))
    }

    /// Goes through all rows in the order of their handles, so that no index has to follow the
    /// uses; reads without a lock, and asks again of each row when it removes it.
    pub(crate) async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let _nothing_waits = flush_all(self).await?;
        let limit = limit.clamp(1, SWEEP);
        let now = Value::Number(in_seconds(now));
        let start = self.round.start();
        let behind = start.as_ref().map_or(&[][..], |start| start.as_bytes());
        let values = [now, now, Value::Bytes(behind), Value::Number(limit as i64)];
        let rows = self.driver.rows(&self.statements.look, &values).await?;
        let last = rows.last().and_then(|row| fixed(row.bytes(0)?).ok());
        let over = rows.iter().filter(|row| row.flag(1) == Some(true));
        let over: Vec<_> = over.filter_map(|row| row.bytes(0)).collect();
        let mut removed = 0;
        for handles in over.chunks(SIZES[SIZES.len() - 1]) {
            let at = size_for(handles.len());
            let handles = filled(handles, SIZES[at]);
            let mut values: Vec<_> = handles.map(|handle| Value::Bytes(handle)).collect();
            values.extend([now, now]);
            removed += self
                .driver
                .write(&self.statements.purge[at], &values)
                .await?;
        }
        let last = last.map(Handle::from_bytes);
        Ok(self.round.seen(start, last, rows.len(), limit, removed))
    }
}

impl<D: Driver> WriteBehind for RowStore<D> {
    fn pending(&self) -> &PendingUses {
        &self.pending
    }

    async fn write(&self, uses: &[Use]) -> Result<()> {
        for uses in uses.chunks(SIZES[SIZES.len() - 1]) {
            let at = size_for(uses.len());
            let mut values = Vec::with_capacity(2 * SIZES[at]);
            for (handle, time) in filled(uses, SIZES[at]) {
                values.push(Value::Bytes(handle.as_bytes()));
                values.push(Value::Number(in_seconds(*time)));
            }
            let written = self.driver.write(&self.statements.touch[at], &values);
            self.in_time(written).await?;
        }
        Ok(())
    }
}

impl<D: Driver> Swaps for RowStore<D> {
    async fn find(&self, handle: Handle) -> Result<Option<Record>> {
        let values = [Value::Bytes(handle.as_bytes())];
        let rows = self.driver.rows(&self.statements.find, &values).await?;
        rows.first().map(record).transpose()
    }

    async fn swap(&self, from: &Record, to: &Record) -> Result<bool> {
        let (from, to) = (Columns::from(from), Columns::from(to));
        let values = swap_values(&from, &to);
        let swapped = self.driver.write(&self.statements.swap, &values);
        Ok(swapped.await? > 0)
    }

    async fn end(&self, handle: Handle, now: Timestamp) -> Result<()> {
        let now = Value::Number(in_seconds(now));
        let values = [Value::Bytes(handle.as_bytes()), now, now];
        self.driver.write(&self.statements.end, &values).await?;
        Ok(())
    }
}

impl<D: Driver> fmt::Debug for RowStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStore")
            .field("driver", &self.driver)
            .field("table", &self.table)
            .field("deadline", &self.deadline)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// Makes a store of a type whose first field is an `Arc` of a [`RowStore`].
macro_rules! row_store {
    ($store:ty) => {
        impl crate::store::contract::SessionStore for $store {
            async fn create(
                &self,
                record: &crate::store::contract::Record,
                limit: crate::store::contract::Limit,
                now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Created> {
                self.0.in_time(self.0.create(record, limit, now)).await
            }

            async fn load(
                &self,
                handle: crate::store::contract::Handle,
                _load: crate::store::contract::Load,
                now: crate::clock::Timestamp,
            ) -> crate::error::Result<Option<crate::store::contract::Record>> {
                let found = crate::backend::sql::store::swap::load(&*self.0, handle, now);
                self.0.in_time(found).await
            }

            async fn change(
                &self,
                handle: crate::store::contract::Handle,
                now: crate::clock::Timestamp,
                change: crate::store::contract::ChangeFn<'_>,
            ) -> crate::error::Result<Option<crate::store::contract::Changed>> {
                let changed =
                    crate::backend::sql::store::swap::change(&*self.0, handle, now, change);
                self.0.in_time(changed).await
            }

            async fn confirm(
                &self,
                handle: crate::store::contract::Handle,
                generation: u32,
                now: crate::clock::Timestamp,
            ) -> crate::error::Result<()> {
                let confirmed = self.0.confirm(handle, generation, now);
                self.0.in_time(confirmed).await
            }

            async fn touch(
                &self,
                uses: &[(crate::store::contract::Handle, crate::clock::Timestamp)],
                _now: crate::clock::Timestamp,
            ) -> crate::error::Result<()> {
                let touched = crate::backend::write_behind::touch(&*self.0, uses);
                self.0.in_time(touched).await
            }

            async fn remove(
                &self,
                handle: crate::store::contract::Handle,
                _subject: &str,
                _now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Removed> {
                self.0.in_time(self.0.remove(handle)).await
            }

            async fn remove_subject(
                &self,
                subject: &str,
                scope: crate::store::contract::Scope,
                _now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Removed> {
                let removed = self.0.remove_subject(subject, scope);
                self.0.in_time(removed).await
            }

            async fn list(
                &self,
                subject: &str,
                page: crate::store::contract::Page,
                now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Listing> {
                self.0.in_time(self.0.list(subject, page, now)).await
            }

            async fn sweep(
                &self,
                limit: usize,
                now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Swept> {
                self.0.in_time(self.0.sweep(limit, now)).await
            }

            fn upkeep(&self) -> crate::upkeep::Upkeep {
                crate::backend::write_behind::upkeep(&self.0)
            }
        }

        /// By hand: rows and addresses belong into no log.
        impl std::fmt::Debug for $store {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

pub(crate) use row_store;
