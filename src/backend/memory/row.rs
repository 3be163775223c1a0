//! A row of the memory store.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::store::ask::Scope;
use crate::store::listing::Cursor;
use crate::store::proof::Proof;
use crate::store::record::{History, Record};
use crate::store::record_ref::RecordRef;

/// Flags of [`Row::head`], above the 38 bits of a [`Timestamp`].
const CONFIRMED: u64 = 1 << 38;
const ROTATION_WANTED: u64 = 1 << 39;
/// Value of [`Row::deadline`] if the times of the row are in its cold part. It may also be a
/// deadline: a cold part has the times of every record.
const WIDE: u32 = u32::MAX;

/// A record in two cache lines, which is all that a verification of most logins reads.
///
/// Times are seconds since the beginning of the login. A row with a time that does not fit into 32
/// bits, or that is before the beginning of the login, is *wide*: its times are in the cold part.
///
/// The fields are ordered so that a search for expired rows reads only the first line of each.
#[repr(C, align(128))]
pub(crate) struct Row {
    handle: Handle,
    current: Proof,
    cold: Option<Box<Cold>>,
    /// Time at which the login began, and the flags.
    head: u64,
    generation: u32,
    deadline: u32,
    idle: u32,
    /// Atomic, so that a use can be noted under a shared lock.
    last_seen: AtomicU32,
    family: Proof,
    fields: Fields,
}

const _: () = assert!(size_of::<Row>() == 128);
const _: () = assert!(Timestamp::MAX.unix() < CONFIRMED);

/// Parts of a record that most logins do not have.
struct Cold {
    history: History,
    version: u64,
    authenticated_at: Timestamp,
    /// The times of a wide row. In other rows they may be outdated.
    deadline: Timestamp,
    idle: u64,
    last_seen: AtomicU64,
}

/// Returns deadline, idle timeout and last use as 32 bits, if they fit.
fn narrow(record: &Record) -> Option<[u32; 3]> {
    let since = |time: Timestamp| time.unix().checked_sub(record.created_at.unix());
    let [deadline, last_seen] = [since(record.deadline)?, since(record.last_seen)?];
    Some([
        u32::try_from(deadline).ok()?,
        u32::try_from(record.idle).ok()?,
        u32::try_from(last_seen).ok()?,
    ])
}

impl Row {
    pub(crate) fn new(record: &Record) -> Self {
        let times = narrow(record);
        let is_cold = times.is_none()
            || record.history.is_some()
            || record.version != 0
            || record.authenticated_at != record.created_at;
        let cold = is_cold.then(|| {
            Box::new(Cold {
                history: record.history(),
                version: record.version,
                authenticated_at: record.authenticated_at,
                deadline: record.deadline,
                idle: record.idle,
                last_seen: AtomicU64::new(record.last_seen.unix()),
            })
        });
        let [deadline, idle, last_seen] = times.unwrap_or([WIDE, 0, 0]);
        let flag = |flag: u64, is_set: bool| if is_set { flag } else { 0 };
        Self {
            handle: record.handle,
            current: record.current,
            family: record.family,
            fields: record.fields.clone(),
            cold,
            head: record.created_at.unix()
                | flag(CONFIRMED, record.confirmed)
                | flag(ROTATION_WANTED, record.rotation_wanted),
            generation: record.generation,
            deadline,
            idle,
            last_seen: AtomicU32::new(last_seen),
        }
    }

    #[inline]
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    pub(crate) fn subject(&self) -> &str {
        self.fields.subject()
    }

    /// Returns the position in the list of the subject's logins.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            deadline: self.peek().deadline,
            handle: self.handle,
        }
    }

    pub(crate) fn last_seen(&self) -> Timestamp {
        self.peek().last_seen
    }

    pub(crate) fn is_in(&self, scope: &Scope) -> bool {
        scope.covers(self.handle, self.peek().stamp())
    }

    fn created_at(&self) -> Timestamp {
        Timestamp::from_unix(self.head & (CONFIRMED - 1))
    }

    /// Returns the cold part of a wide row.
    fn wide(&self) -> Option<&Cold> {
        self.cold.as_deref().filter(|_| self.deadline == WIDE)
    }

    /// Shows the record in place.
    #[inline]
    pub(crate) fn peek(&self) -> RecordRef<'_> {
        let cold = self.cold.as_deref();
        let created_at = self.created_at();
        let since = |seconds: u32| created_at.saturating_add(u64::from(seconds));
        let (deadline, idle, last_seen) = match self.wide() {
            Some(cold) => {
                let last_seen = cold.last_seen.load(Ordering::Relaxed);
                (cold.deadline, cold.idle, Timestamp::from_unix(last_seen))
            }
            None => {
                let last_seen = self.last_seen.load(Ordering::Relaxed);
                (since(self.deadline), self.idle.into(), since(last_seen))
            }
        };
        RecordRef {
            handle: self.handle,
            generation: self.generation,
            version: cold.map_or(0, |cold| cold.version),
            created_at,
            authenticated_at: cold.map_or(created_at, |cold| cold.authenticated_at),
            deadline,
            last_seen,
            idle,
            current: &self.current,
            family: &self.family,
            confirmed: self.head & CONFIRMED != 0,
            rotation_wanted: self.head & ROTATION_WANTED != 0,
            history: cold.map(|cold| &cold.history),
            fields: &self.fields,
        }
    }

    /// Returns a copy of the record.
    pub(crate) fn read(&self) -> Record {
        self.peek().to_record()
    }

    #[inline]
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.peek().is_alive(now)
    }

    /// Notes a use, unless the login had expired at that time.
    pub(crate) fn touch(&self, seen_at: Timestamp) {
        if !self.is_alive(seen_at) {
            return;
        }
        if let Some(cold) = self.wide() {
            cold.last_seen.fetch_max(seen_at.unix(), Ordering::Relaxed);
        } else {
            // It fits, because it is before the deadline, which fits.
            let seconds = seen_at.saturating_since(self.created_at()) as u32;
            self.last_seen.fetch_max(seconds, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::login::stamp::Stamp;
    use crate::store::ask::{Rotation, Update};
    use crate::testkit::{Random, Sample, seed};

    /// Times around which a record may be, and numbers that are one off.
    fn seconds(random: &mut Random) -> u64 {
        let bases = [0, 1 << 31, 1 << 32, 1_700_000_000, Timestamp::MAX.unix()];
        let offsets = [0, 1, 2, 1_800, 1 << 31, WIDE.into(), 1 << 32, u64::MAX];
        let base = bases[random.below(bases.len())];
        let offset = offsets[random.below(offsets.len())];
        match random.below(8) {
            0 => random.word(),
            1 => base.saturating_sub(offset),
            2 => (base.saturating_add(offset)).saturating_sub(1),
            3 => offset,
            _ => base.saturating_add(offset),
        }
    }

    fn time(random: &mut Random) -> Timestamp {
        Timestamp::from_unix(seconds(random))
    }

    /// A common time of a login, or any time at all.
    fn near(created_at: Timestamp, random: &mut Random) -> Timestamp {
        match random.below(3) {
            0 => time(random),
            1 => created_at,
            _ => created_at.saturating_add(random.word() % 100_000),
        }
    }

    fn proof(random: &mut Random) -> Proof {
        let [a, b] = [random.word(), random.word()].map(u64::to_be_bytes);
        Proof::from_bytes(std::array::from_fn(
            |at| if at < 8 { a[at] } else { b[at - 8] },
        ))
    }

    fn stamp(random: &mut Random) -> Option<Stamp> {
        (!random.once_in(2)).then(|| Stamp::new(random.word() % 3, random.word() % 3, 7))
    }

    fn record(random: &mut Random) -> Record {
        let created_at = time(random);
        let history = History {
            previous: proof(random),
            seed: *proof(random).as_bytes(),
            rotated_at: near(created_at, random),
            stamp: stamp(random),
        };
        let only_stamped = History {
            stamp: history.stamp,
            ..History::default()
        };
        let histories = [History::default(), only_stamped, history];
        Record {
            generation: [0, 1, 7, u32::MAX][random.below(4)],
            version: [0, 0, 1, u64::MAX][random.below(4)],
            authenticated_at: near(created_at, random),
            deadline: near(created_at, random),
            last_seen: near(created_at, random),
            idle: [1_800, seconds(random)][random.below(2)],
            current: proof(random),
            family: proof(random),
            confirmed: random.once_in(2),
            rotation_wanted: random.once_in(2),
            history: histories[random.below(3)].kept(),
            ..Sample::of("alice")
                .data(vec![7; random.below(80)])
                .at(created_at)
        }
    }

    #[test]
    fn a_record_comes_back_as_it_went_in() {
        let seed = seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut wide = 0;
        for _ in 0..20_000 {
            let record = record(&mut random);
            let row = Row::new(&record);
            wide += usize::from(row.wide().is_some());
            assert_eq!(row.read().encode(), record.encode(), "{record:?}");
        }
        assert!((2_000..18_000).contains(&wide), "{wide}");
    }

    #[test]
    fn a_row_changes_like_a_record() {
        let seed = seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        for _ in 0..5_000 {
            let mut record = record(&mut random);
            let mut row = Row::new(&record);
            for _ in 0..8 {
                let now = near(
                    [record.created_at, record.last_seen][random.below(2)],
                    &mut random,
                );
                assert_eq!(
                    row.is_alive(now),
                    record.is_alive(now),
                    "{record:?} {now:?}"
                );
                if random.once_in(2) {
                    record.touch(now);
                    row.touch(now);
                } else {
                    let mut read = row.read();
                    match random.below(4) {
                        0 => {
                            let rotation = Rotation {
                                idle: Duration::from_secs(seconds(&mut random)),
                                ..Sample::rotation_of(&record)
                            };
                            record.rotate(&rotation, now);
                            read.rotate(&rotation, now);
                        }
                        1 => {
                            let update = Update {
                                stamp: stamp(&mut random),
                                ..Sample::update(vec![1; random.below(80)])
                            };
                            let version = record.version;
                            record.update(version, &update);
                            read.update(version, &update);
                        }
                        2 => {
                            let generation = record.generation;
                            record.confirm(generation, now);
                            read.confirm(generation, now);
                        }
                        _ => {
                            record.set_last_seen(now);
                            read.set_last_seen(now);
                        }
                    }
                    row = Row::new(&read);
                }
                assert_eq!(row.read().encode(), record.encode(), "{record:?}");
                let scope = [Scope::all(), Scope::others(record.handle)][random.below(2)];
                let before = stamp(&mut random);
                let scope = before.map_or(scope, |before| scope.before(before));
                assert_eq!(
                    row.is_in(&scope),
                    record.is_in(&scope),
                    "{record:?} {scope:?}"
                );
                assert_eq!(row.cursor(), Cursor::from(&record));
            }
        }
    }
}
