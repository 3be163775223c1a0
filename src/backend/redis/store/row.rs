//! A row as it was read.

use redis::Value;

use crate::backend::redis::link::{bytes, number, unexpected};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::record::Record;

/// Bytes by which it is told whether a row has changed: all of a record but its fields, which
/// do not change without the version.
const HEAD: usize = 160;

/// A row, with the time that the server still gives it.
pub(crate) struct Row {
    pub(crate) bytes: Vec<u8>,
    /// Milliseconds; negative if there is no end.
    left: i64,
}

impl Row {
    /// What `read.lua` answers for `count` rows.
    pub(crate) fn all(mut answer: Vec<Value>, count: usize) -> Result<Vec<Option<Self>>> {
        if answer.len() < 2 * count {
            // The last row is not there, and its nothing is the end of the list.
            answer.resize(2 * count, Value::Nil);
        }
        let mut rows = Vec::with_capacity(count);
        let mut answer = answer.into_iter();
        while let (Some(row), Some(left)) = (answer.next(), answer.next()) {
            rows.push(match bytes(row)? {
                Some(bytes) => Some(Self {
                    bytes,
                    left: number(&left)?,
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

    /// By which `swap.lua` and `remove.lua` know it again.
    pub(crate) fn head(&self) -> &[u8] {
        self.bytes.get(..HEAD).unwrap_or(&self.bytes)
    }

    /// The record, with its last use as the server knows it. Never later than it was, as long as
    /// all who carry it on know its idle time.
    pub(crate) fn record(&self, handle: Handle, now: Timestamp) -> Result<Record> {
        let mut record = decode(&self.bytes, handle)?;
        if let Ok(left) = u64::try_from(self.left) {
            let unused = record.idle().as_secs().saturating_sub(left / 1000);
            let seen = record.last_seen().max(now.saturating_sub(unused));
            record.set_last_seen(seen);
        }
        Ok(record)
    }
}

/// Reads what is kept under a handle.
pub(crate) fn decode(bytes: &[u8], handle: Handle) -> Result<Record> {
    let record = Record::decode(bytes)?;
    if record.handle() == handle {
        return Ok(record);
    }
    // Two answers got mixed up, or somebody copied a row: neither is to be trusted.
    Err(Error::unavailable("Redis answered with another session"))
}
