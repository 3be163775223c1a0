//! Operations on sessions that take more than one statement.

use std::fmt;

use tokio::time::Instant;

use crate::backend::server_clock::ServerClock;
use crate::backend::sql::columns::{
    COLUMNS, Columns, at_most, handle as handle_of, in_seconds, record, subject_key, swap_values,
};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::pages::Round;
use crate::backend::sql::postgres::Link;
use crate::backend::sql::postgres::base::{Base, ReadCommitted, lock};
use crate::backend::sql::postgres::driver::{Array, Parameter};
use crate::backend::sql::postgres::statements::SessionQuery;
use crate::backend::sql::value::{Row, Value};
use crate::backend::sql::write_behind::{PendingUses, Use, WriteBehind, apply_pending};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::answer::{Changed, Created, Rotated, Swept};
use crate::store::ask::{Limit, Rotation};
use crate::store::record::Record;
use crate::store::session_store::ChangeFn;

/// Kinds of eviction by the function that creates a login within a limit.
const EVICT_NONE: i64 = 0;
const EVICT_OLDEST: i64 = 1;
const EVICT_LEAST_RECENTLY_USED: i64 = 2;
/// Results of that function.
const STORED: i64 = 0;
const DUPLICATE: i64 = 1;
const LIMIT_REACHED: i64 = 2;
/// The transaction is not at *read committed*. Nothing was done.
const WRONG_ISOLATION: i64 = 3;

/// A table of sessions, shared by a store and its upkeep.
pub(crate) struct Inner<L> {
    pub(crate) base: Base<L, SessionQuery>,
    pub(crate) pending: PendingUses,
    round: Round,
}

fn number(row: &impl Row, column: usize) -> Result<i64, Failure> {
    row.number(column).ok_or(Failure::Unexpected)
}

/// Fails unless the first column is this handle. It is NULL from a server that accepts no writes, and
/// another one from a pooler that mixes up its connections.
fn check_handle(row: &impl Row, handle: Handle) -> Result<(), Failure> {
    match row.bytes(0) {
        Some(bytes) if bytes == handle.as_bytes() => Ok(()),
        _ => Err(Failure::Unexpected),
    }
}

impl<L> Inner<L> {
    pub(crate) fn new(base: Base<L, SessionQuery>) -> Self {
        Self {
            base,
            pending: PendingUses::new(),
            round: Round::default(),
        }
    }
}

impl<L: Link> WriteBehind for Inner<L> {
    fn pending(&self) -> &PendingUses {
        &self.pending
    }

    async fn write(&self, uses: &[Use]) -> Result<()> {
        let handles = uses.iter().map(|(handle, _)| &handle.as_bytes()[..]);
        let times = uses.iter().map(|(_, seen_at)| in_seconds(*seen_at));
        let values = [
            Value::Array(Array::Bytes(handles.collect())),
            Value::Array(Array::Numbers(times.collect())),
        ];
        let until = self.base.until()?;
        self.base.count(SessionQuery::Touch, &values, until).await?;
        Ok(())
    }
}

impl<L: Link> ServerClock for Inner<L> {
    async fn server_time(&self) -> Result<Timestamp> {
        let until = self.base.until()?;
        let rows = self.base.rows(SessionQuery::Time, &[], until).await?;
        let row = rows.first().ok_or(Failure::Unexpected)?;
        let seconds = u64::try_from(number(row, 0)?).map_err(|_| Failure::Unexpected)?;
        Ok(Timestamp::from_unix(seconds))
    }
}

impl<L: Link> Inner<L> {
    /// Removes an expired row, so that a clock that is set back does not revive it. `false` if it
    /// does not exist, or is not expired any more.
    async fn remove_expired(&self, handle: Handle, now: Timestamp, until: Instant) -> Result<bool> {
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Number(in_seconds(now)),
        ];
        let removed = self
            .base
            .count(SessionQuery::RemoveExpired, &values, until)
            .await?;
        Ok(removed > 0)
    }

    /// Confirms that a login does not exist, after a statement has returned no row: that may also be the
    /// answer of an outdated server, or of a pooler that mixes up its connections. A statement that
    /// returns a row in any case costs a tenth more, and is therefore the second one.
    async fn is_absent(&self, handle: Handle, until: Instant) -> Result<bool> {
        let values = [Value::Bytes(handle.as_bytes())];
        let query = SessionQuery::LoadAny;
        let rows = self.base.rows(query, &values, until).await?;
        let row = rows.first().ok_or(Failure::Unexpected)?;
        if row.bytes(0).ok_or(Failure::Unexpected)?.is_empty() {
            return Ok(true);
        }
        check_handle(row, handle)?;
        Ok(false)
    }

    pub(crate) async fn load(
        &self,
        handle: Handle,
        now: Timestamp,
        until: Instant,
    ) -> Result<Option<Record>> {
        // Ends: only a concurrent change causes another round, and each call has the deadline.
        loop {
            let pending = self.pending.get(handle);
            let values = [Value::Bytes(handle.as_bytes())];
            let rows = self.base.rows(SessionQuery::Load, &values, until).await?;
            if rows.is_empty() && self.is_absent(handle, until).await? {
                return Ok(None);
            }
            let Some(row) = rows.first() else {
                continue;
            };
            check_handle(row, handle)?;
            let mut record = record(row)?;
            apply_pending(&mut record, pending);
            if record.is_alive(now) {
                self.pending.note_read(&record, now);
                return Ok(Some(record));
            }
            if self.remove_expired(handle, now, until).await? {
                return Ok(None);
            }
            // Another node has removed it, or has noted a use.
        }
    }

    pub(crate) async fn insert(&self, record: &Record, until: Instant) -> Result<Created> {
        let (subject, columns) = (subject_key(record.subject()), Columns::from(record));
        let mut values = Vec::from(columns.values());
        values.push(Value::Bytes(&subject));
        Ok(
            match self
                .base
                .count(SessionQuery::Insert, &values, until)
                .await?
            {
                0 => Created::Duplicate,
                _ => Created::Stored {
                    evicted: Vec::new(),
                },
            },
        )
    }

    pub(crate) async fn create(
        &self,
        record: &Record,
        limit: Limit,
        max: u32,
        now: Timestamp,
        until: Instant,
    ) -> Result<Created> {
        let (subject, columns) = (subject_key(record.subject()), Columns::from(record));
        let mut values: Vec<Parameter<'_>> = vec![
            Value::Number(in_seconds(now)),
            Value::Number(i64::from(max)),
            Value::Number(match limit {
                Limit::EvictOldest(_) => EVICT_OLDEST,
                Limit::EvictLeastRecentlyUsed(_) => EVICT_LEAST_RECENTLY_USED,
                _ => EVICT_NONE,
            }),
            Value::Number(lock(&self.base.settings.tables.sessions, record.subject())),
        ];
        values.extend(columns.values());
        values.push(Value::Bytes(&subject));
        let query = SessionQuery::Create;
        let mut answer = self.base.rows(query, &values, until).await;
        if let Ok(rows) = &answer
            && let Some(row) = rows.first()
            && number(row, 1)? == WRONG_ISOLATION
        {
            let isolation = ReadCommitted::Always;
            answer = self.base.rows_with(query, &values, until, isolation).await;
        }
        let rows = match answer {
            Err(failure) if failure.is_duplicate() => return Ok(Created::Duplicate),
            answer => answer?,
        };
        let row = rows.first().ok_or(Failure::Unexpected)?;
        match number(row, 1)? {
            STORED => {
                let evicted = row.bytes(0).ok_or(Failure::Unexpected)?.chunks(16);
                let evicted = evicted.map(|bytes| handle_of(bytes).ok_or(Failure::Unexpected));
                Ok(Created::Stored {
                    evicted: evicted.collect::<Result<_, _>>()?,
                })
            }
            DUPLICATE => Ok(Created::Duplicate),
            LIMIT_REACHED => Ok(Created::LimitReached),
            _ => Err(Failure::Unexpected.into()),
        }
    }

    pub(crate) async fn rotate(
        &self,
        handle: Handle,
        rotation: &Rotation,
        now: Timestamp,
        until: Instant,
    ) -> Result<Rotated> {
        let idle = rotation.idle.as_secs();
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Bytes(rotation.presented.as_bytes()),
            Value::Number(i64::from(rotation.generation)),
            Value::Bytes(rotation.next.as_bytes()),
            Value::Bytes(&rotation.seed),
            Value::Number(at_most(rotation.overlap.as_secs())),
            Value::Number(idle.cast_signed()),
            Value::Number(at_most(idle)),
            Value::Number(in_seconds(now)),
        ];
        // Ends: only a concurrent change causes another round, and each call has the deadline.
        loop {
            let rows = self.base.rows(SessionQuery::Rotate, &values, until).await?;
            if rows.is_empty() && self.is_absent(handle, until).await? {
                return Ok(Rotated::Absent);
            }
            let Some(row) = rows.first() else {
                continue;
            };
            check_handle(row, handle)?;
            let record = record(row)?;
            if row.flag(COLUMNS.len()).ok_or(Failure::Unexpected)? {
                return Ok(Rotated::Done(record));
            }
            if !record.is_alive(now) {
                if self.remove_expired(handle, now, until).await? {
                    return Ok(Rotated::Absent);
                }
            } else if !record.clone().rotate(rotation, now) {
                return Ok(Rotated::Unchanged(record));
            }
            // The row was read before a concurrent change. The next attempt sees that change.
        }
    }

    /// Reads a row, and replaces it by the result of `change` if it is still the one that was read.
    pub(crate) async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
        until: Instant,
    ) -> Result<Option<Changed>> {
        // Ends: only a concurrent change causes another round, and each call has the deadline.
        loop {
            let Some(old) = self.load(handle, now, until).await? else {
                return Ok(None);
            };
            let mut next = old.clone();
            if !change(&mut next) {
                return Ok(Some(Changed::new(false, old)));
            }
            let (from, to) = (Columns::from(&old), Columns::from(&next));
            let mut values = Vec::from(swap_values(&from, &to));
            values.push(Value::Number(in_seconds(now)));
            let rows = self.base.rows(SessionQuery::Swap, &values, until).await?;
            if let Some(row) = rows.first() {
                return Ok(Some(Changed::new(true, record(row)?)));
            }
        }
    }

    pub(crate) async fn sweep(
        &self,
        limit: usize,
        now: Timestamp,
        until: Instant,
    ) -> Result<Swept> {
        let start = self.round.start();
        let limit = at_most(limit as u64);
        let values = [
            Value::Bytes(start.as_ref().map_or(&[][..], |start| start.as_bytes())),
            Value::Number(limit),
            Value::Number(in_seconds(now)),
        ];
        let rows = self.base.rows(SessionQuery::Sweep, &values, until).await?;
        let row = rows.first().ok_or(Failure::Unexpected)?;
        let (removed, looked) = (number(row, 0)?, number(row, 1)?);
        let last = row.optional(2).ok_or(Failure::Unexpected)?;
        let (last, more) = (last.and_then(handle_of), looked >= limit);
        let removed = u64::try_from(removed).unwrap_or(0);
        Ok(self.round.advance(start, last, more, removed))
    }
}

impl<L> fmt::Debug for Inner<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("settings", &self.base.settings)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
