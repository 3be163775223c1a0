//! Records in columns: one order, for every statement and every database.

use crate::backend::sql::value::{Row, Value};
use crate::base::sha256;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::answer::LiveCount;
use crate::store::contract::{Cursor, Proof};
use crate::store::record::{FORMAT, History, Record};

/// Columns of a record, in the order in which they are written and read. A row has one more, the
/// [key of the subject](subject_key), which is never read.
pub(crate) const COLUMNS: [&str; 18] = [
    "handle",
    "format",
    "version",
    "generation",
    "created_at",
    "authenticated_at",
    "deadline",
    "rotated_at",
    "last_seen",
    "idle",
    "confirmed",
    "rotation_wanted",
    "current_proof",
    "previous_proof",
    "family_proof",
    "seed",
    "stamp",
    "fields",
];

/// Columns that a swap sets, in the order of [`swap_values`].
pub(crate) const SWAPPED: [&str; 12] = [
    "version",
    "generation",
    "rotated_at",
    "last_seen",
    "idle",
    "confirmed",
    "rotation_wanted",
    "current_proof",
    "previous_proof",
    "seed",
    "stamp",
    "fields",
];

/// Columns that a swap compares, in the order of [`swap_values`]. Any change of a row changes one
/// of them, except for a use, of which the later one stays.
pub(crate) const COMPARED: [&str; 5] = [
    "handle",
    "version",
    "generation",
    "confirmed",
    "current_proof",
];

/// The columns of one login.
///
/// SQL has signed numbers of 64 bits. Times fit into them. Other numbers keep their bits: an idle
/// timeout of more than 2^63 seconds becomes negative, and means none.
#[derive(Clone, Debug)]
pub(crate) struct Columns<'a> {
    /// Version of the row format. Another one does not decode.
    pub(crate) format: i64,
    pub(crate) handle: [u8; 16],
    pub(crate) version: i64,
    pub(crate) generation: i64,
    pub(crate) created_at: i64,
    pub(crate) authenticated_at: i64,
    pub(crate) deadline: i64,
    pub(crate) rotated_at: i64,
    pub(crate) last_seen: i64,
    pub(crate) idle: i64,
    pub(crate) confirmed: bool,
    pub(crate) rotation_wanted: bool,
    pub(crate) current: [u8; 16],
    pub(crate) previous: [u8; 16],
    pub(crate) family: [u8; 16],
    pub(crate) seed: [u8; 16],
    /// Incarnation and position, big-endian, so that bytes sort like positions.
    pub(crate) stamp: Option<[u8; 16]>,
    /// Encoded fields: subject, roles, device, authentication context class, data, and what later
    /// versions add.
    pub(crate) fields: &'a [u8],
}

impl<'a> From<&'a Record> for Columns<'a> {
    fn from(record: &'a Record) -> Self {
        let history = record.history();
        Self {
            format: i64::from(FORMAT),
            handle: *record.handle.as_bytes(),
            version: record.version.cast_signed(),
            generation: i64::from(record.generation),
            created_at: in_seconds(record.created_at),
            authenticated_at: in_seconds(record.authenticated_at),
            deadline: in_seconds(record.deadline),
            rotated_at: in_seconds(history.rotated_at),
            last_seen: in_seconds(record.last_seen),
            idle: record.idle.cast_signed(),
            confirmed: record.confirmed,
            rotation_wanted: record.rotation_wanted,
            current: *record.current.as_bytes(),
            previous: *history.previous.as_bytes(),
            family: *record.family.as_bytes(),
            seed: history.seed,
            stamp: history.stamp.map(Stamp::to_bytes),
            fields: record.fields.as_bytes(),
        }
    }
}

impl Columns<'_> {
    /// Decodes the record.
    ///
    /// # Errors
    ///
    /// *Unreadable* if this version of the crate does not write such columns.
    pub(crate) fn record(&self) -> Result<Record> {
        if self.format != i64::from(FORMAT) {
            return Err(Error::unreadable());
        }
        let history = History {
            previous: Proof::from_bytes(self.previous),
            seed: self.seed,
            rotated_at: timestamp(self.rotated_at)?,
            stamp: self.stamp.map(Stamp::from_bytes),
        };
        Ok(Record {
            handle: Handle::from_bytes(self.handle),
            generation: u32::try_from(self.generation).map_err(|_| Error::unreadable())?,
            version: self.version.cast_unsigned(),
            created_at: timestamp(self.created_at)?,
            authenticated_at: timestamp(self.authenticated_at)?,
            deadline: timestamp(self.deadline)?,
            last_seen: timestamp(self.last_seen)?,
            idle: self.idle.cast_unsigned(),
            current: Proof::from_bytes(self.current),
            family: Proof::from_bytes(self.family),
            confirmed: self.confirmed,
            rotation_wanted: self.rotation_wanted,
            history: history.kept(),
            fields: Fields::decode(self.fields).ok_or_else(Error::unreadable)?,
        })
    }

    /// Reads the columns of a row. `None` if a column has another type or length.
    fn read<'r>(row: &'r impl Row) -> Option<Columns<'r>> {
        let bytes = |column| row.bytes(column)?.try_into().ok();
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
            stamp: row.optional(16)?.map(TryInto::try_into).transpose().ok()?,
            fields: row.bytes(17)?,
        })
    }

    /// Returns the values of a new row, without the key of its subject.
    pub(crate) fn values<A>(&self) -> [Value<'_, A>; 18] {
        [
            Value::Bytes(&self.handle),
            Value::Number(self.format),
            Value::Number(self.version),
            Value::Number(self.generation),
            Value::Number(self.created_at),
            Value::Number(self.authenticated_at),
            Value::Number(self.deadline),
            Value::Number(self.rotated_at),
            Value::Number(self.last_seen),
            Value::Number(self.idle),
            Value::Flag(self.confirmed),
            Value::Flag(self.rotation_wanted),
            Value::Bytes(&self.current),
            Value::Bytes(&self.previous),
            Value::Bytes(&self.family),
            Value::Bytes(&self.seed),
            Value::Optional(self.stamp.as_ref().map(|stamp| &stamp[..])),
            Value::Bytes(self.fields),
        ]
    }
}

/// Returns the values of a swap: the new values of [`SWAPPED`], and the old values of [`COMPARED`].
pub(crate) fn swap_values<'c, A>(from: &'c Columns<'_>, to: &'c Columns<'_>) -> [Value<'c, A>; 17] {
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

/// Decodes the record of a row.
///
/// # Errors
///
/// *Unreadable* if a column does not decode.
pub(crate) fn record(row: &impl Row) -> Result<Record> {
    Columns::read(row).ok_or_else(Error::unreadable)?.record()
}

/// Returns the place of a row in a list, even if its record does not decode. `None` if its deadline
/// is no time. Such a row comes after all others, so the list may end there.
pub(crate) fn cursor(row: &impl Row) -> Option<Cursor> {
    Some(Cursor {
        deadline: timestamp(row.number(6)?).ok()?,
        handle: handle(row.bytes(0)?)?,
    })
}

/// Reads the number of live rows and of their subjects.
pub(crate) fn live_count(row: &impl Row) -> Option<LiveCount> {
    let count = |column| row.number(column)?.try_into().ok();
    Some(LiveCount {
        logins: count(0)?,
        subjects: count(1)?,
    })
}

/// Decodes a handle.
pub(crate) fn handle(bytes: &[u8]) -> Option<Handle> {
    bytes.try_into().ok().map(Handle::from_bytes)
}

/// Encodes a time.
pub(crate) fn in_seconds(time: Timestamp) -> i64 {
    // At most `Timestamp::MAX`.
    time.unix().cast_signed()
}

/// Encodes a number that is compared and never stored.
pub(crate) fn at_most(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Decodes a time.
///
/// # Errors
///
/// *Unreadable* if no [`Timestamp`] has this value.
fn timestamp(seconds: i64) -> Result<Timestamp> {
    let seconds = u64::try_from(seconds).map_err(|_| Error::unreadable())?;
    let time = Timestamp::from_unix(seconds);
    if time.unix() == seconds {
        Ok(time)
    } else {
        Err(Error::unreadable())
    }
}

/// Returns the SHA-256 hash of a subject, which a row holds in its place: a subject may be long,
/// and may contain characters that a text column does not accept.
pub(crate) fn subject_key(subject: &str) -> [u8; 32] {
    sha256::hash(subject.as_bytes())
}

/// Returns the first and the last stamp that a [`Scope`](crate::store::contract::Scope) with this
/// limit keeps: from the limit to the end of its incarnation. All other rows are removed, and those
/// without a stamp.
pub(crate) fn kept_stamps(limit: Stamp) -> ([u8; 16], [u8; 16]) {
    let at = |position, mark| Stamp::new(limit.incarnation(), position, mark).to_bytes();
    (at(limit.position(), 0), at(u64::MAX, u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::Scope;
    use crate::testkit::Sample;

    fn now() -> Timestamp {
        Timestamp::from_unix(1_000_000)
    }

    #[test]
    fn decodes_to_the_same_record() {
        let sample = Sample::of("al\0ice").role("").data([0, 255]);
        for (sample, version, generation) in [
            (sample.clone(), 0, 0),
            (
                sample.clone().stamp(u64::MAX, u64::MAX),
                u64::MAX,
                u32::MAX - 1,
            ),
            (sample.idle(u64::MAX).absolute(u64::MAX).stamp(0, 0), 1, 7),
        ] {
            let mut record = sample.at(now());
            (record.version, record.generation) = (version, generation);
            let unrotated = record.clone();
            let rotated = record.rotate(&Sample::rotation_of(&record), now());
            assert!(rotated && record.history().previous == unrotated.current);
            for record in [unrotated, record] {
                let read = Columns::from(&record).record().unwrap();
                assert_eq!(read.encode(), record.encode());
            }
        }
    }

    #[test]
    fn rejects_columns_that_it_would_not_write() {
        let record = Sample::of("alice").at(now());
        let rejects = |damage: &dyn Fn(&mut Columns<'_>)| {
            let mut columns = Columns::from(&record);
            damage(&mut columns);
            let refused = columns.record();
            assert!(
                refused.is_err_and(|error| error.is_unreadable()),
                "{columns:?}"
            );
        };
        for format in [0, 2, -1, 257] {
            rejects(&|columns| columns.format = format);
        }
        for generation in [-1, 1 << 32] {
            rejects(&|columns| columns.generation = generation);
        }
        for time in [-1, 253_402_300_800, i64::MAX] {
            rejects(&|columns| columns.created_at = time);
            rejects(&|columns| columns.authenticated_at = time);
            rejects(&|columns| columns.deadline = time);
            rejects(&|columns| columns.rotated_at = time);
            rejects(&|columns| columns.last_seen = time);
        }
        rejects(&|columns| columns.fields = b"\x02\x01a");
        assert!(handle(&[0; 15]).is_none() && handle(&[0; 17]).is_none());
    }

    #[test]
    fn stamps_sort_like_positions() {
        let place = |incarnation, position| Stamp::new(incarnation, position, 0);
        for limit in [
            place(3, 0),
            place(3, 5),
            place(3, 1 << 47),
            place(3, (1 << 48) - 1),
        ] {
            let (first, last) = kept_stamps(limit);
            for incarnation in [0, 2, 3, 4, 1 << 47, u64::MAX] {
                for position in [0, 4, 5, 6, 255, 256, (1 << 47) - 1, 1 << 47, u64::MAX] {
                    let row = Sample::of("alice").stamp(incarnation, position).at(now());
                    let stamp = Columns::from(&row).stamp.unwrap();
                    let kept = first <= stamp && stamp <= last;
                    assert_eq!(!kept, row.is_in(&Scope::all().before(limit)));
                }
            }
        }
    }
}
