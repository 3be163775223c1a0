//! What a store is, in the simplest form: a map, and one step after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::contract::{
    Created, Limit, Load, Page, Record, Removed, Rotated, Rotation, Scope, SessionStore, Update,
    Updated,
};
use crate::testkit::world::normal;

/// A step, fully spelt out.
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

/// What a step answers. Rows in their bytes, but for the noted use.
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
    /// How many were alive, and how many there were with those that are over.
    Ended(u64, u64),
    Done,
    Failed(String),
}

impl Answer {
    /// Whether a store may answer `given` where the model says this.
    pub(crate) fn allows(&self, given: &Self) -> bool {
        match (self, given) {
            // What is over may be gone already, or be there still and be counted.
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

    /// The rows to the bit, for comparing states.
    pub(crate) fn fingerprint(&self) -> Vec<u8> {
        self.rows.values().flat_map(Record::encode).collect()
    }

    fn alive<'m>(&'m self, subject: &'m str, now: Timestamp) -> impl Iterator<Item = &'m Record> {
        self.rows
            .values()
            .filter(move |row| row.subject() == subject && row.is_alive(now))
    }

    /// The live row of a handle, to be changed.
    fn live(&mut self, handle: Handle, now: Timestamp) -> Option<&mut Record> {
        self.rows.get_mut(&handle).filter(|row| row.is_alive(now))
    }

    /// Does a step.
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
            // What is over stays here until it is removed, as a store may or may not hold it still.
            Step::Sweep => Answer::Done,
        }
    }

    fn create(&mut self, row: &Record, limit: Limit, now: Timestamp) -> Answer {
        if self.rows.contains_key(&row.handle()) {
            return Answer::Duplicate;
        }
        let mut alive: Vec<_> = self.alive(row.subject(), now).cloned().collect();
        alive.sort_by_key(|row| (row.deadline(), row.handle()));
        let excess = |most: u32| (alive.len() + 1).saturating_sub(most as usize);
        let evicted: Vec<_> = match limit {
            Limit::Unlimited => Vec::new(),
            Limit::Reject(most) if excess(most) > 0 => return Answer::LimitReached,
            Limit::Reject(_) => Vec::new(),
            Limit::EvictOldest(most) => alive.iter().take(excess(most)).collect(),
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

/// A place in the revocation log, or none.
pub(crate) fn stamp(position: u64) -> Option<Stamp> {
    (position > 0).then_some(Stamp::new(1, position, 0))
}

/// Does a step on a store.
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
            // A store may leave it to the caller to note the use.
            if touch.is_some() && row.wants_touch(now) {
                store.touch(&[(*handle, now)], now).await?;
            }
            Answer::Row(normal(&row))
        }
        Step::Rotate(handle, rotation) => match store.rotate(*handle, rotation, now).await? {
            Rotated::Advanced(row) => Answer::Advanced(normal(&row)),
            Rotated::Unchanged(row) => Answer::Unchanged(normal(&row)),
            Rotated::Absent => Answer::Absent,
        },
        Step::Update(handle, expected, change) => {
            match store.update(*handle, *expected, change, now).await? {
                Updated::Done(row) => Answer::Row(normal(&row)),
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
        Step::List(subject, limit) => {
            let mut rows = Vec::new();
            let mut page = Page::first(*limit);
            loop {
                let listing = store.list(subject, page, now).await?;
                rows.extend(listing.records.iter().map(normal));
                match listing.next {
                    Some(next) => page = Page::after(next, *limit),
                    None => break,
                }
            }
            Answer::Rows(rows)
        }
        Step::Sweep => {
            // A round may take several calls, and a store need not finish it.
            store.sweep(10, now).await?;
            Answer::Done
        }
    })
}

fn ended(removed: Removed) -> Answer {
    Answer::Ended(removed.count, removed.count)
}
