//! The simplest correct store: a map that makes one step after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::contract::{
    Created, Limit, Load, Record, Removed, Rotated, Rotation, Scope, SessionStore, Update, Updated,
};
use crate::testkit::world::{list, normal};

/// A call of a store with all its arguments.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(Record, Limit),
    Load(Handle, Option<Duration>),
    Rotate(Handle, Rotation),
    Update(Handle, u64, Update),
    Confirm(Handle, u32),
    Touch(Handle),
    Remove(Handle, String),
    RemoveSubject(String, Scope),
    List(String, usize),
    Sweep,
}

/// The answer to a step. Rows are bytes without the noted use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored(Vec<Handle>),
    Duplicate,
    LimitReached,
    Full,
    Row(Vec<u8>),
    Advanced(Vec<u8>),
    Unchanged(Vec<u8>),
    Conflict,
    Absent,
    Rows(Vec<Vec<u8>>),
    /// The number of live rows, and the number including expired ones.
    Ended(u64, u64),
    Done,
    Failed(String),
}

impl Answer {
    /// Returns true if a store may answer `given` where the model answers this.
    pub(crate) fn allows(&self, given: &Self) -> bool {
        match (self, given) {
            // An expired row may be gone already, or still be there and be counted.
            (Self::Ended(alive, all), Self::Ended(count, _)) => (alive..=all).contains(&count),
            _ => self == given,
        }
    }
}

/// All rows of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    rows: BTreeMap<Handle, Record>,
}

impl Model {
    pub(crate) fn row(&self, handle: Handle) -> Option<&Record> {
        self.rows.get(&handle)
    }

    /// All rows as bytes, to compare states.
    pub(crate) fn fingerprint(&self) -> Vec<u8> {
        self.rows.values().flat_map(Record::encode).collect()
    }

    fn alive<'m>(&'m self, subject: &'m str, now: Timestamp) -> impl Iterator<Item = &'m Record> {
        self.rows
            .values()
            .filter(move |row| row.subject() == subject && row.is_alive(now))
    }

    /// The live row of a handle.
    fn live(&mut self, handle: Handle, now: Timestamp) -> Option<&mut Record> {
        self.rows.get_mut(&handle).filter(|row| row.is_alive(now))
    }

    /// Makes a step.
    pub(crate) fn apply(&mut self, step: &Step, now: Timestamp) -> Answer {
        match step {
            Step::Create(row, limit) => self.create(row, *limit, now),
            Step::Load(handle, touch) => match self.live(*handle, now) {
                Some(row) => {
                    if touch.is_some() && row.wants_touch(now) {
                        row.touch(now);
                    }
                    Answer::Row(normal(row))
                }
                None => Answer::Absent,
            },
            Step::Rotate(handle, rotation) => match self.live(*handle, now) {
                Some(row) => {
                    if row.rotate(rotation, now) {
                        Answer::Advanced(normal(row))
                    } else {
                        Answer::Unchanged(normal(row))
                    }
                }
                None => Answer::Absent,
            },
            Step::Update(handle, expected, change) => match self.live(*handle, now) {
                Some(row) => {
                    if row.update(*expected, change) {
                        Answer::Row(normal(row))
                    } else {
                        Answer::Conflict
                    }
                }
                None => Answer::Absent,
            },
            Step::Confirm(handle, generation) => {
                if let Some(row) = self.live(*handle, now) {
                    row.confirm(*generation, now);
                }
                Answer::Done
            }
            Step::Touch(handle) => {
                if let Some(row) = self.live(*handle, now) {
                    row.touch(now);
                }
                Answer::Done
            }
            Step::Remove(handle, _) => {
                let row = self.rows.remove(handle);
                let alive = row.as_ref().is_some_and(|row| row.is_alive(now));
                Answer::Ended(u64::from(alive), u64::from(row.is_some()))
            }
            Step::RemoveSubject(subject, scope) => {
                let gone: Vec<_> = self
                    .rows
                    .values()
                    .filter(|row| row.subject() == subject && row.is_in(scope))
                    .cloned()
                    .collect();
                let alive = gone.iter().filter(|row| row.is_alive(now)).count();
                gone.iter().for_each(|row| {
                    self.rows.remove(&row.handle());
                });
                Answer::Ended(alive as u64, gone.len() as u64)
            }
            Step::List(subject, _) => {
                let mut rows: Vec<_> = self.alive(subject, now).collect();
                rows.sort_by_key(|row| (row.deadline(), row.handle()));
                Answer::Rows(rows.into_iter().map(normal).collect())
            }
            // An expired row stays until it is removed: a store may keep it or not.
            Step::Sweep => Answer::Done,
        }
    }

    fn create(&mut self, row: &Record, limit: Limit, now: Timestamp) -> Answer {
        if self.rows.contains_key(&row.handle()) {
            return Answer::Duplicate;
        }
        let mut alive: Vec<_> = self.alive(row.subject(), now).cloned().collect();
        alive.sort_by_key(|row| (row.deadline(), row.handle()));
        if let Limit::EvictLeastRecentlyUsed(_) = limit {
            alive.sort_by_key(Record::last_seen);
        }
        let excess = |most: u32| (alive.len() + 1).saturating_sub(most as usize);
        let evicted: Vec<_> = match limit {
            Limit::Unlimited => Vec::new(),
            Limit::Reject(most) if excess(most) > 0 => return Answer::LimitReached,
            Limit::Reject(_) => Vec::new(),
            Limit::EvictOldest(most) | Limit::EvictLeastRecentlyUsed(most) => {
                alive.iter().take(excess(most)).collect()
            }
        };
        let mut evicted: Vec<_> = evicted.into_iter().map(Record::handle).collect();
        for handle in &evicted {
            self.rows.remove(handle);
        }
        self.rows.insert(row.handle(), row.clone());
        evicted.sort_unstable();
        Answer::Stored(evicted)
    }
}

/// A position in the revocation log; none for 0.
pub(crate) fn stamp(position: u64) -> Option<Stamp> {
    (position > 0).then_some(Stamp::new(1, position, 0))
}

/// Makes a step on a store.
pub(crate) async fn perform<S: SessionStore>(store: &S, step: &Step, now: Timestamp) -> Answer {
    answer(store, step, now)
        .await
        .unwrap_or_else(|error| Answer::Failed(format!("{error:?}")))
}

async fn answer<S: SessionStore>(
    store: &S,
    step: &Step,
    now: Timestamp,
) -> crate::error::Result<Answer> {
    Ok(match step {
        Step::Create(row, limit) => match store.create(row, *limit, now).await? {
            Created::Stored { mut evicted } => {
                evicted.sort_unstable();
                Answer::Stored(evicted)
            }
            Created::Duplicate => Answer::Duplicate,
            Created::LimitReached => Answer::LimitReached,
            Created::Full => Answer::Full,
        },
        Step::Load(handle, touch) => {
            let load = Load {
                touch: *touch,
                authoritative: false,
            };
            let Some(row) = store.load(*handle, load, now).await? else {
                return Ok(Answer::Absent);
            };
            // A store may leave the note to the caller.
            if touch.is_some() && row.wants_touch(now) {
                store.touch(&[(*handle, now)], now).await?;
            }
            Answer::Row(normal(&row))
        }
        Step::Rotate(handle, rotation) => match store.rotate(*handle, rotation, now).await? {
            Rotated::Done(row) => Answer::Advanced(normal(&row)),
            Rotated::Unchanged(row) => Answer::Unchanged(normal(&row)),
            Rotated::Absent => Answer::Absent,
        },
        Step::Update(handle, expected, change) => {
            match store.update(*handle, *expected, change, now).await? {
                Updated::Done { record: row, .. } => Answer::Row(normal(&row)),
                Updated::Conflict => Answer::Conflict,
                Updated::Absent => Answer::Absent,
            }
        }
        Step::Confirm(handle, generation) => {
            store.confirm(*handle, *generation, now).await?;
            Answer::Done
        }
        Step::Touch(handle) => {
            store.touch(&[(*handle, now)], now).await?;
            Answer::Done
        }
        Step::Remove(handle, subject) => ended(store.remove(*handle, subject, now).await?),
        Step::RemoveSubject(subject, scope) => {
            ended(store.remove_subject(subject, *scope, now).await?)
        }
        Step::List(subject, limit) => match list(store, subject, *limit, now).await? {
            Ok(rows) => Answer::Rows(rows.iter().map(normal).collect()),
            Err(wrong) => Answer::Failed(wrong),
        },
        Step::Sweep => {
            // One call is enough: a store need not finish the round.
            store.sweep(10, now).await?;
            Answer::Done
        }
    })
}

fn ended(removed: Removed) -> Answer {
    Answer::Ended(removed.count, removed.count)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(row, limit) => write!(f, "create {}, {limit:?}", Row(row)),
            Self::Load(_, None) => f.write_str("load"),
            Self::Load(_, Some(_)) => f.write_str("load and note the use"),
            Self::Rotate(_, rotation) => write!(f, "rotate generation {}", rotation.generation),
            Self::Update(_, expected, change) => {
                write!(f, "update version {expected}")?;
                match &change.data {
                    Some(data) => write!(f, ", data {}", Hex(data.as_deref())),
                    None => write!(f, ", {change:?}"),
                }
            }
            Self::Confirm(_, generation) => write!(f, "confirm generation {generation}"),
            Self::Touch(_) => f.write_str("touch"),
            Self::Remove(..) => f.write_str("remove"),
            Self::RemoveSubject(subject, scope) => write!(f, "remove {subject:?}, {scope:?}"),
            Self::List(subject, limit) => write!(f, "list {subject:?} by {limit}"),
            Self::Sweep => f.write_str("sweep"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| match Record::decode(bytes) {
            Ok(row) => write!(f, "{}", Row(&row)),
            Err(error) => write!(f, "{error}"),
        };
        match self {
            Self::Row(bytes) => row(f, bytes),
            Self::Advanced(bytes) => f.write_str("advanced to ").and_then(|()| row(f, bytes)),
            Self::Unchanged(bytes) => f.write_str("unchanged ").and_then(|()| row(f, bytes)),
            Self::Rows(rows) => {
                write!(f, "{} rows", rows.len())?;
                rows.iter().try_for_each(|bytes| {
                    f.write_str(" ")?;
                    row(f, bytes)
                })
            }
            Self::Stored(evicted) if evicted.is_empty() => f.write_str("stored"),
            Self::Stored(evicted) => write!(f, "stored, {} evicted", evicted.len()),
            Self::Ended(alive, all) if alive == all => write!(f, "{alive} removed"),
            Self::Ended(alive, all) => write!(f, "{alive} to {all} removed"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A row in a few words.
struct Row<'a>(&'a Record);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(row) = self;
        let (id, data) = (row.public_id().to_string(), Hex(row.fields.data()));
        let id = id.get(..6).unwrap_or(&id);
        let (generation, version) = (row.generation(), row.version());
        write!(
            f,
            "[{id} generation {generation} version {version} data {data}"
        )?;
        if !row.confirmed {
            f.write_str(" unconfirmed")?;
        }
        f.write_str("]")
    }
}

/// Bytes in hexadecimal, abbreviated.
struct Hex<'a>(Option<&'a [u8]>);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let Some(bytes) = self.0 else {
            return f.write_str("none");
        };
        bytes
            .iter()
            .take(SHOWN)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if bytes.len() > SHOWN { ".." } else { "" })
    }
}
