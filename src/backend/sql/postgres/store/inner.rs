//! The acts of a Postgres store that take more than one statement, and what all of them need.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::backend::sql::postgres::Link;
use crate::backend::sql::postgres::driver::{Failure, Row as _, Value};
use crate::backend::sql::postgres::setup::{Base, TRIES, lock};
use crate::backend::sql::postgres::store::row::{self, OUTCOME, record, values};
use crate::backend::sql::postgres::store::text::Query;
use crate::backend::sql::store::{Columns, in_seconds, subject_key};
use crate::backend::write_behind::{PendingUses, Use, WriteBehind, apply_pending};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::answer::{Changed, Created, Rotated, Swept};
use crate::store::ask::Rotation;
use crate::store::record::Record;
use crate::store::session_store::ChangeFn;

/// A store, behind the reference count that it shares with its upkeep.
pub(crate) struct Inner<L> {
    pub(crate) base: Base<L>,
    pub(crate) pending: PendingUses,
    /// The last handle that a sweep has looked at.
    pub(crate) swept_to: Mutex<Vec<u8>>,
}

impl<L: Link> Inner<L> {
    /// Until when an act that begins now may take.
    pub(crate) fn until(&self) -> Result<Instant> {
        self.base.until()
    }

    pub(crate) async fn rows(
        &self,
        query: Query,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        let is_read = query.is_read();
        self.base.rows(query as usize, is_read, values, until).await
    }

    pub(crate) async fn count(
        &self,
        query: Query,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        self.base.count(query as usize, values, until).await
    }

    /// Removes a row that was found over, so that a clock set back does not revive it. `false` if
    /// it was not there, or not over any more.
    pub(crate) async fn bury(
        &self,
        handle: Handle,
        now: Timestamp,
        until: Instant,
    ) -> Result<bool> {
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Number(in_seconds(now)),
        ];
        Ok(self.count(Query::Bury, &values, until).await? > 0)
    }

    /// The row of a handle, alive or over.
    pub(crate) async fn find(&self, handle: Handle, until: Instant) -> Result<Option<Record>> {
        let values = [Value::Bytes(handle.as_bytes())];
        let rows = self.rows(Query::Load, &values, until).await?;
        rows.first().map(record).transpose()
    }
}

/// A number of seconds that is compared, never stored.
pub(crate) fn at_most(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// What others do at the same moment does not let an act come to an end.
fn restless() -> Error {
    Error::unavailable("the row was changed by others again and again")
}

impl<L: Link> WriteBehind for Inner<L> {
    fn pending(&self) -> &PendingUses {
        &self.pending
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

impl<L: Link> Inner<L> {
    pub(crate) async fn load(
        &self,
        handle: Handle,
        now: Timestamp,
        until: Instant,
    ) -> Result<Option<Record>> {
        for _ in 0..TRIES {
            let waiting = self.pending.get(handle);
            let Some(mut row) = self.find(handle, until).await? else {
                return Ok(None);
            };
            apply_pending(&mut row, waiting);
            if row.is_alive(now) {
                return Ok(Some(row));
            }
            if self.bury(handle, now, until).await? {
                return Ok(None);
            }
            // Removed by somebody else, or used at this moment.
        }
        Err(restless())
    }

    pub(crate) async fn insert(&self, record: &Record, until: Instant) -> Result<Created> {
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

    pub(crate) async fn create(
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
            Value::Number(lock(&self.base.table, record.subject())),
            Value::Bytes(&key),
        ];
        all.extend(values(&columns));
        let mut answer = self.rows(Query::Create, &all, until).await;
        if let Ok(rows) = &answer
            && let Some(row) = rows.first()
            && row.number(0)? == OUTCOME.isolated
        {
            answer = self
                .base
                .link
                .rows_read_committed(Query::Create as usize, &all, until)
                .await;
        }
        let rows = match answer {
            Err(failure) if failure.is_duplicate() => return Ok(Created::Duplicate),
            answer => answer?,
        };
        let row = rows.first().ok_or(Failure::Garbled)?;
        row::created(row)
    }

    pub(crate) async fn rotate(
        &self,
        handle: Handle,
        rotation: &Rotation,
        now: Timestamp,
        until: Instant,
    ) -> Result<Rotated> {
        let values = [
            Value::Bytes(handle.as_bytes()),
            Value::Bytes(rotation.presented.as_bytes()),
            Value::Number(i64::from(rotation.generation)),
            Value::Bytes(rotation.next.as_bytes()),
            Value::Bytes(&rotation.seed),
            Value::Number(at_most(rotation.overlap.as_secs())),
            Value::Number(rotation.idle.as_secs().cast_signed()),
            Value::Number(at_most(rotation.idle.as_secs())),
            Value::Number(in_seconds(now)),
        ];
        for _ in 0..TRIES {
            let rows = self.rows(Query::Rotate, &values, until).await?;
            let Some(found) = rows.first() else {
                return Ok(Rotated::Absent);
            };
            let row = record(found)?;
            if row::advanced(found)? {
                return Ok(Rotated::Advanced(row));
            }
            if !row.is_alive(now) {
                if self.bury(handle, now, until).await? {
                    return Ok(Rotated::Absent);
                }
            } else if !row.clone().rotate(rotation, now) {
                return Ok(Rotated::Unchanged(row));
            }
            // The row of before a change that came in between: asked again, it shows.
        }
        Err(restless())
    }

    /// Reads a row, and replaces it by what `change` makes of it if it is still the one that was
    /// read.
    pub(crate) async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
        until: Instant,
    ) -> Result<Option<Changed>> {
        for _ in 0..TRIES {
            let Some(row) = self.load(handle, now, until).await? else {
                return Ok(None);
            };
            let mut next = row.clone();
            if !change(&mut next) {
                return Ok(Some(Changed::new(false, row)));
            }
            let (from, to) = (Columns::from(&row), Columns::from(&next));
            let values = [
                Value::Bytes(handle.as_bytes()),
                Value::Number(from.version),
                Value::Number(from.generation),
                Value::Flag(from.confirmed),
                Value::Number(to.version),
                Value::Number(to.generation),
                Value::Number(to.rotated_at),
                Value::Number(to.last_seen),
                Value::Number(to.idle),
                Value::Flag(to.confirmed),
                Value::Flag(to.rotation_wanted),
                Value::Bytes(&to.current),
                Value::Bytes(&to.previous),
                Value::Bytes(&to.seed),
                Value::Optional(to.stamp.as_ref().map(|stamp| &stamp[..])),
                Value::Bytes(to.fields),
                Value::Number(in_seconds(now)),
            ];
            let rows = self.rows(Query::Swap, &values, until).await?;
            if let Some(done) = rows.first() {
                return Ok(Some(Changed::new(true, record(done)?)));
            }
        }
        Err(restless())
    }

    pub(crate) async fn sweep(
        &self,
        limit: usize,
        now: Timestamp,
        until: Instant,
    ) -> Result<Swept> {
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
            .field("table", &self.base.table)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
