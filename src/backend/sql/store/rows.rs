//! Records in rows, and the places of rows in lists.

use crate::backend::sql::client::{Row, Value};
use crate::backend::sql::store::{Columns, fixed, moment};
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::contract::{Cursor, Record};

/// The values of a new row, but for the key of its subject, in the order of its columns.
pub(crate) fn values<'c>(columns: &'c Columns<'_>) -> [Value<'c>; 18] {
    [
        Value::Bytes(&columns.handle),
        Value::Number(columns.format),
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

/// The values of a swap: what it sets, and what it compares.
pub(crate) fn swap_values<'c>(from: &'c Columns<'_>, to: &'c Columns<'_>) -> [Value<'c>; 17] {
    [
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
        Value::Bytes(&from.handle),
        Value::Number(from.version),
        Value::Number(from.generation),
        Value::Flag(from.confirmed),
        Value::Bytes(&from.current),
    ]
}

/// The record in a row.
///
/// # Errors
///
/// *Rejected* as unreadable if anything of it is not as it was written.
pub(crate) fn record(row: &impl Row) -> Result<Record> {
    let columns = columns(row).ok_or_else(Error::unreadable)?;
    columns.record()
}

fn columns(row: &impl Row) -> Option<Columns<'_>> {
    let bytes = |column| fixed(row.bytes(column)?).ok();
    let stamp = row.optional(16)?.map(fixed).transpose().ok()?;
    Some(Columns {
        handle: bytes(0)?,
        format: row.number(1)?,
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
        current: bytes(12)?,
        previous: bytes(13)?,
        family: bytes(14)?,
        seed: bytes(15)?,
        stamp,
        fields: row.bytes(17)?,
    })
}

/// Where a row stands in a list, also one that does not decode.
pub(crate) fn place(row: &impl Row) -> Cursor {
    let deadline = row.number(6).and_then(|deadline| moment(deadline).ok());
    let mut handle = [0; 16];
    let kept = row.bytes(0).unwrap_or_default();
    handle
        .iter_mut()
        .zip(kept)
        .for_each(|(to, from)| *to = *from);
    Cursor {
        deadline: deadline.unwrap_or_default(),
        handle: Handle::from_bytes(handle),
    }
}
