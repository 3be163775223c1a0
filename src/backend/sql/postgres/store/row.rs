//! Rows of answers, and values of statements.

use crate::backend::sql::postgres::driver::{Failure, Row, Value};
use crate::backend::sql::store::{Columns, fixed, moment};
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::answer::Created;
use crate::store::listing::Cursor;
use crate::store::record::Record;

/// What the function that creates a login answers.
pub(crate) struct Outcome {
    stored: i64,
    duplicate: i64,
    limit_reached: i64,
    /// The transaction sees only what was there at its beginning: nothing was done.
    pub(crate) isolated: i64,
}

pub(crate) const OUTCOME: Outcome = Outcome {
    stored: 0,
    duplicate: 1,
    limit_reached: 2,
    isolated: 3,
};

/// The values of the columns, in their order.
pub(crate) fn values<'c>(columns: &'c Columns<'_>) -> [Value<'c>; 18] {
    [
        Value::Number(columns.format),
        Value::Bytes(&columns.handle),
        Value::Number(columns.version),
        Value::Number(columns.generation),
        Value::Number(columns.created_at),
        Value::Number(columns.authenticated_at),
        Value::Number(columns.deadline),
        Value::Number(columns.rotated_at),
        Value::Number(columns.last_seen),
        Value::Number(columns.idle),
        Value::Flag(columns.confirmed),
        Value::Flag(columns.rotation_wanted),
        Value::Bytes(&columns.current),
        Value::Bytes(&columns.previous),
        Value::Bytes(&columns.family),
        Value::Bytes(&columns.seed),
        Value::Optional(columns.stamp.as_ref().map(|stamp| &stamp[..])),
        Value::Bytes(columns.fields),
    ]
}

/// The record of a row.
///
/// # Errors
///
/// *Rejected* as unreadable if it does not decode.
pub(crate) fn record(row: &impl Row) -> Result<Record> {
    let columns = Columns {
        format: row.number(0)?,
        handle: fixed(row.bytes(1)?)?,
        version: row.number(2)?,
        generation: row.number(3)?,
        created_at: row.number(4)?,
        authenticated_at: row.number(5)?,
        deadline: row.number(6)?,
        rotated_at: row.number(7)?,
        last_seen: row.number(8)?,
        idle: row.number(9)?,
        confirmed: row.flag(10)?,
        rotation_wanted: row.flag(11)?,
        current: fixed(row.bytes(12)?)?,
        previous: fixed(row.bytes(13)?)?,
        family: fixed(row.bytes(14)?)?,
        seed: fixed(row.bytes(15)?)?,
        stamp: row.optional(16)?.map(fixed).transpose()?,
        fields: row.bytes(17)?,
    };
    columns.record()
}

/// Whether a rotation has changed its row.
pub(crate) fn advanced(row: &impl Row) -> Result<bool, Failure> {
    row.flag(18)
}

/// The place of a row in the list, whether or not it decodes.
pub(crate) fn cursor(row: &impl Row) -> Result<Cursor> {
    Ok(Cursor {
        deadline: moment(row.number(6)?)?,
        handle: Handle::from_bytes(fixed(row.bytes(1)?)?),
    })
}

/// What became of a login that was to be created.
pub(crate) fn created(row: &impl Row) -> Result<Created> {
    let outcome = row.number(0)?;
    if outcome == OUTCOME.stored {
        let evicted = row.many(1)?;
        let evicted = evicted.iter().map(|handle| fixed(handle));
        let evicted = evicted.map(|handle| Ok(Handle::from_bytes(handle?)));
        Ok(Created::Stored {
            evicted: evicted.collect::<Result<_>>()?,
        })
    } else if outcome == OUTCOME.duplicate {
        Ok(Created::Duplicate)
    } else if outcome == OUTCOME.limit_reached {
        Ok(Created::LimitReached)
    } else {
        Err(Failure::Garbled.into())
    }
}
