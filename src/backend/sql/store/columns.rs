//! A record in columns, and back to the bit.

use crate::base::sha256;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::contract::Proof;
use crate::store::record::{FORMAT, History, Record};

/// The columns of one login. Databases have signed numbers of 64 bits: times fit, and what may be
/// larger keeps its bits, so that an idle time of more than 2^63 seconds is negative and means
/// without end.
///
/// The subject is a column too, [by its key](subject_key); a reader does not need it.
#[derive(Clone, Debug)]
pub(crate) struct Columns<'a> {
    /// The version of all of it: a row of another one does not decode.
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
    /// Incarnation and position, big-endian, so that the order of bytes is that of positions.
    pub(crate) stamp: Option<[u8; 16]>,
    /// Subject, roles, device, class, data, and what later versions add.
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
    /// The record.
    ///
    /// # Errors
    ///
    /// *Rejected* as unreadable if they are not what this version, or one that it understands,
    /// has written.
    pub(crate) fn record(&self) -> Result<Record> {
        if self.format != i64::from(FORMAT) {
            return Err(Error::unreadable());
        }
        let history = History {
            previous: Proof::from_bytes(self.previous),
            seed: self.seed,
            rotated_at: moment(self.rotated_at)?,
            stamp: self.stamp.map(Stamp::from_bytes),
        };
        Ok(Record {
            handle: Handle::from_bytes(self.handle),
            generation: u32::try_from(self.generation).map_err(|_| Error::unreadable())?,
            version: self.version.cast_unsigned(),
            created_at: moment(self.created_at)?,
            authenticated_at: moment(self.authenticated_at)?,
            deadline: moment(self.deadline)?,
            last_seen: moment(self.last_seen)?,
            idle: self.idle.cast_unsigned(),
            current: Proof::from_bytes(self.current),
            family: Proof::from_bytes(self.family),
            confirmed: self.confirmed,
            rotation_wanted: self.rotation_wanted,
            history: history.kept(),
            fields: Fields::decode(self.fields).ok_or_else(Error::unreadable)?,
        })
    }
}

/// A time as a column has it.
pub(crate) fn in_seconds(time: Timestamp) -> i64 {
    // At most `Timestamp::MAX`.
    time.unix().cast_signed()
}

/// A time from its column.
///
/// # Errors
///
/// *Rejected* as unreadable if there is no such time.
pub(crate) fn moment(seconds: i64) -> Result<Timestamp> {
    let seconds = u64::try_from(seconds).map_err(|_| Error::unreadable())?;
    let time = Timestamp::from_unix(seconds);
    if time.unix() == seconds {
        Ok(time)
    } else {
        Err(Error::unreadable())
    }
}

/// Bytes of a column that has so many.
///
/// # Errors
///
/// *Rejected* as unreadable if it has not.
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::unreadable())
}

/// What the column of the subject holds: its SHA-256 hash. A subject may be long, and may have
/// characters that a text column does not take.
pub(crate) fn subject_key(subject: &str) -> [u8; 32] {
    sha256::hash(subject.as_bytes())
}

/// The first and the last stamp that a [`Scope`](crate::store::contract::Scope) with this place in the log
/// keeps: from it to the end of its incarnation. What is outside, or has none, goes.
pub(crate) fn stamps_from(limit: Stamp) -> ([u8; 16], [u8; 16]) {
    let place = |position, mark| Stamp::new(limit.incarnation(), position, mark).to_bytes();
    (place(limit.position(), 0), place(u64::MAX, u32::MAX))
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
    fn comes_back_to_the_bit() {
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
    fn refuses_what_it_would_not_write() {
        let record = Sample::of("alice").at(now());
        let good = Columns::from(&record);
        let mut bad = Vec::new();
        for format in [0, 2, -1, 257] {
            bad.push(Columns {
                format,
                ..good.clone()
            });
        }
        for generation in [-1, 1 << 32] {
            bad.push(Columns {
                generation,
                ..good.clone()
            });
        }
        for time in [-1, 253_402_300_800, i64::MAX] {
            let columns = good.clone();
            bad.extend([
                Columns {
                    created_at: time,
                    ..columns.clone()
                },
                Columns {
                    authenticated_at: time,
                    ..columns.clone()
                },
                Columns {
                    deadline: time,
                    ..columns.clone()
                },
                Columns {
                    rotated_at: time,
                    ..columns.clone()
                },
                Columns {
                    last_seen: time,
                    ..columns
                },
            ]);
        }
        bad.push(Columns {
            fields: b"\x02\x01a",
            ..good
        });
        for columns in bad {
            let refused = columns.record();
            assert!(
                refused.is_err_and(|error| error.is_rejected()),
                "{columns:?}"
            );
        }
        assert!(fixed::<16>(&[0; 15]).is_err() && fixed::<16>(&[0; 17]).is_err());
    }

    #[test]
    fn the_bytes_of_stamps_have_the_order_of_positions() {
        let place = |incarnation, position| Stamp::new(incarnation, position, 0);
        for limit in [
            place(3, 0),
            place(3, 5),
            place(3, 1 << 47),
            place(3, (1 << 48) - 1),
        ] {
            let (first, last) = stamps_from(limit);
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
