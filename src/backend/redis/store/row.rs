//! A row as it was read.

use redis::Value;

use crate::backend::redis::link::{bytes, number, unexpected};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::record::Record;

/// Bytes of the head of a row: all of a record except its roles and data, which change together
/// with the version only. Two states of a row with equal heads are equal.
const HEAD_BYTES: usize = 160;

/// A row, with its time to live on the server.
pub(crate) struct Row {
    pub(crate) bytes: Vec<u8>,
    /// Remaining milliseconds; negative if the row does not expire.
    ttl: i64,
}

impl Row {
    /// Parses the answer of `read.lua` for `count` rows.
    pub(crate) fn all(mut answer: Vec<Value>, count: usize) -> Result<Vec<Option<Self>>> {
        if answer.len() < 2 * count {
            // Lua ends a list at its first nil, which stands for an absent last row.
            answer.resize(2 * count, Value::Nil);
        }
        let mut rows = Vec::with_capacity(count);
        let mut answer = answer.into_iter();
        while let (Some(row), Some(ttl)) = (answer.next(), answer.next()) {
            rows.push(match bytes(row)? {
                Some(bytes) => Some(Self {
                    bytes,
                    ttl: number(&ttl)?,
                }),
                None => None,
            });
        }
        if rows.len() == count {
            Ok(rows)
        } else {
            Err(unexpected())
        }
    }

    /// Returns the head, with which `swap.lua` and `remove.lua` detect a change.
    pub(crate) fn head(&self) -> &[u8] {
        self.bytes.get(..HEAD_BYTES).unwrap_or(&self.bytes)
    }

    /// Decodes the record, with its last use as the server knows it. It is never later than the
    /// real last use if all nodes set the time to live by the idle timeout of the record.
    pub(crate) fn record(&self, handle: Handle, now: Timestamp) -> Result<Record> {
        let mut record = decode(&self.bytes, handle)?;
        if let Ok(ttl) = u64::try_from(self.ttl) {
            let unused = record.idle().as_secs().saturating_sub(ttl / 1000);
            let seen = record.last_seen().max(now.saturating_sub(unused));
            record.set_last_seen(seen);
        }
        Ok(record)
    }
}

/// Decodes the row of a handle.
pub(crate) fn decode(bytes: &[u8], handle: Handle) -> Result<Record> {
    let record = Record::decode(bytes)?;
    if record.handle() == handle {
        return Ok(record);
    }
    // Answers were mixed up, or the row was copied by hand. Do not trust it.
    Err(Error::unavailable("Redis answered with another session"))
}
