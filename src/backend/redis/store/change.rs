//! Atomic changes of a row.

use redis::Value;
use redis::aio::ConnectionLike;

use crate::backend::redis::link::{bytes, number, unexpected};
use crate::backend::redis::store::row::Row;
use crate::backend::redis::store::{RedisStore, script, ttl_secs};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::answer::Changed;
use crate::store::ask::Rotation;
use crate::store::record::Record;
use crate::store::session_store::ChangeFn;

/// Result of an attempt to replace a row.
enum Swap {
    Done,
    /// The row has changed since it was read.
    Conflict,
    Absent,
}

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Changes a live row. Reads it and replaces it if it has not changed meanwhile; otherwise
    /// tries again.
    pub(super) async fn change_row(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        loop {
            let Some(row) = self.read(handle).await? else {
                return Ok(None);
            };
            let mut record = row.record(handle, now)?;
            if !record.is_alive(now) {
                self.remove_expired(&record).await?;
                return Ok(None);
            }
            let before = (record.last_seen(), record.idle());
            if !change(&mut record) {
                return Ok(Some(Changed::new(false, record)));
            }
            let ttl = (before != (record.last_seen(), record.idle())).then(|| {
                let unused = now.saturating_since(record.last_seen());
                ttl_secs(record.idle().as_secs().saturating_sub(unused))
            });
            match self.swap(&row, &record, ttl).await? {
                Swap::Done => return Ok(Some(Changed::new(true, record))),
                Swap::Absent => return Ok(None),
                Swap::Conflict => {}
            }
        }
    }

    /// Rotates a live row, in one script.
    pub(super) async fn rotate_row(
        &self,
        handle: Handle,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Option<Changed>> {
        let keys = [self.0.keys.row(handle)];
        let [overlap, idle] = [rotation.overlap, rotation.idle].map(|time| time.as_secs());
        let (now_text, overlap) = (now.unix().to_string(), overlap.to_string());
        let ttl = (ttl_secs(idle) * 1000).to_string();
        let (idle, stored_idle) = (idle.to_string(), idle.to_be_bytes());
        let arguments: [&[u8]; 11] = [
            now_text.as_bytes(),
            handle.as_bytes(),
            &rotation.generation.to_be_bytes(),
            rotation.presented.as_bytes(),
            rotation.next.as_bytes(),
            &rotation.seed,
            &now.unix().to_be_bytes(),
            &stored_idle,
            overlap.as_bytes(),
            idle.as_bytes(),
            ttl.as_bytes(),
        ];
        // Idempotent: a second run finds the row already rotated, and returns it unchanged.
        let answer = self.0.link.run(&script::ROTATE, &keys, &arguments).await?;
        let answer = match answer {
            Value::Nil => return Ok(None),
            Value::Array(answer) => answer,
            _ => return Err(unexpected()),
        };
        let mut answer = answer.into_iter();
        let is_rotated = number(&answer.next().ok_or_else(unexpected)?)? == 1;
        let rows = Row::all(answer.collect(), 1)?;
        let row = rows.into_iter().next().flatten().ok_or_else(unexpected)?;
        let record = row.record(handle, now)?;
        if !record.is_alive(now) {
            self.remove_expired(&record).await?;
            return Ok(None);
        }
        if is_rotated {
            self.0.uses.note(handle, now, record.idle().as_secs());
        }
        Ok(Some(Changed::new(is_rotated, record)))
    }

    /// Replaces a row if it is still the one that was read. Keeps its time to live without `ttl`,
    /// in seconds.
    async fn swap(&self, row: &Row, record: &Record, ttl: Option<u64>) -> Result<Swap> {
        let keys = [self.0.keys.row(record.handle())];
        let ttl = ttl.map_or(String::new(), |seconds| (seconds * 1000).to_string());
        let encoded = record.encode();
        let given = [row.head(), &encoded, ttl.as_bytes()];
        // Not idempotent: a second run would report a conflict with the first one.
        let answer = self.0.link.run_once(&script::SWAP, &keys, &given).await?;
        match bytes(answer)?.as_deref() {
            Some(b"done") => Ok(Swap::Done),
            Some(b"conflict") => Ok(Swap::Conflict),
            Some(b"absent") => Ok(Swap::Absent),
            _ => Err(unexpected()),
        }
    }
}
