//! A store in a map of bytes, with one flaw.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::{Cursor, Limit, Removed};
use statewise::store::contract::{
    ChangeFn, Changed, Created, Handle, Listing, Load, Page, Record, Scope, SessionStore, Swept,
    Update, Updated,
};
use statewise::testkit::{EditBytes, StoreFixture};

/// The mistake of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Drops the lock between the read and the write of a change, without an await.
    ChangesInTwoSteps,
    /// The same in an update of its own.
    UpdatesInTwoSteps,
    /// The same in a touch.
    TouchesInTwoSteps,
    /// Counts the rows of a subject, and takes the lock again to insert.
    CountsInTwoSteps,
    /// Evicts the login with the earliest deadline instead of the least recently used one.
    EvictsByDeadline,
    /// Evicts the login with the latest deadline instead of the one with the earliest.
    EvictsTheLatest,
    /// Looks for the row, and takes the lock again to remove it.
    RemovesInTwoSteps,
    /// Each removal counts a row, as one does that was repeated and finds nothing.
    CountsEachRemoval,
    /// Looks for the handle, and takes the lock again to insert.
    LooksInTwoSteps,
    /// The next page begins with the last row of the page before.
    RepeatsTheCursor,
    /// Each page has a next one.
    NeverEndsItsList,
    /// Each page is the first one.
    IgnoresTheCursor,
    /// Each sweep answers that there is more.
    NeverEndsItsSweep,
    /// Each update is a conflict.
    AlwaysConflicts,
    /// A row that does not decode is a missing one.
    HidesUnreadableRows,
    /// To changes, a row that does not decode is a missing one.
    HidesUnreadableRowsFromChanges,
    /// Overlooks a field at the end of a row that it does not know, and drops it.
    OverlooksCriticalFields,
    /// `remove` leaves a row that does not decode.
    KeepsUnreadableRows,
    /// `remove_subject` leaves rows that do not decode.
    KeepsUnreadableRowsOfSubjects,
    /// `list` fails at a row that does not decode.
    FailsListsOfUnreadableRows,
}

/// The subject of a row, and its bytes.
type Rows = BTreeMap<Handle, (String, Vec<u8>)>;

pub(crate) struct MapStore {
    flaw: Flaw,
    rows: Mutex<Rows>,
}

impl MapStore {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(rows: &mut Rows, row: &Record) {
        rows.insert(row.handle(), (row.subject().to_owned(), row.encode()));
    }

    /// The live row of a handle. Removes an expired one.
    fn alive(&self, rows: &mut Rows, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let Some((_, bytes)) = rows.get(&handle) else {
            return Ok(None);
        };
        match Record::decode(bytes) {
            Ok(row) if row.is_alive(now) => Ok(Some(row)),
            Ok(_) => {
                rows.remove(&handle);
                Ok(None)
            }
            Err(_) if self.flaw == Flaw::HidesUnreadableRows => Ok(None),
            Err(error) if self.flaw == Flaw::OverlooksCriticalFields => {
                // The length of the critical field of the law.
                let known = bytes.len().saturating_sub(4);
                Record::decode(&bytes[..known]).map(Some).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// The live rows of a subject in the order of a list.
    fn of_subject(&self, rows: &Rows, subject: &str, now: Timestamp) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        for (_, bytes) in rows.values().filter(|(owner, _)| owner == subject) {
            match Record::decode(bytes) {
                Ok(row) if row.is_alive(now) => found.push(row),
                Err(error) if self.flaw == Flaw::FailsListsOfUnreadableRows => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        found.sort_unstable_by_key(|row| Cursor::from(row));
        Ok(found)
    }

    /// Changes a live row; with the flaw in two steps.
    fn change_now(
        &self,
        handle: Handle,
        now: Timestamp,
        flaw: Flaw,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let mut rows = self.rows();
        let alive = match self.alive(&mut rows, handle, now) {
            Err(_) if self.flaw == Flaw::HidesUnreadableRowsFromChanges => None,
            alive => alive?,
        };
        let Some(mut row) = alive else {
            return Ok(None);
        };
        if self.flaw == flaw {
            drop(rows);
            let changed = change(&mut row);
            rows = self.rows();
            Self::insert(&mut rows, &row);
            return Ok(Some(Changed::new(changed, row)));
        }
        let changed = change(&mut row);
        Self::insert(&mut rows, &row);
        Ok(Some(Changed::new(changed, row)))
    }
}

impl SessionStore for MapStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let mut rows = self.rows();
        if rows.contains_key(&record.handle()) {
            return Ok(Created::Duplicate);
        }
        if self.flaw == Flaw::LooksInTwoSteps {
            drop(rows);
            let bytes = record.encode();
            let row = (record.subject().to_owned(), bytes);
            self.rows().insert(record.handle(), row);
            return Ok(Created::Stored {
                evicted: Vec::new(),
            });
        }
        let alive = self.of_subject(&rows, record.subject(), now)?;
        let limit = match limit {
            Limit::EvictLeastRecentlyUsed(most) if self.flaw == Flaw::EvictsByDeadline => {
                Limit::EvictOldest(most)
            }
            limit => limit,
        };
        let Some(mut evicted) = limit.to_evict(&alive) else {
            return Ok(Created::LimitReached);
        };
        if self.flaw == Flaw::EvictsTheLatest && !evicted.is_empty() {
            evicted = alive.last().map(Record::handle).into_iter().collect();
        }
        let bytes = if self.flaw == Flaw::CountsInTwoSteps {
            drop(rows);
            let bytes = record.encode();
            rows = self.rows();
            bytes
        } else {
            record.encode()
        };
        evicted.iter().for_each(|handle| drop(rows.remove(handle)));
        rows.insert(record.handle(), (record.subject().to_owned(), bytes));
        Ok(Created::Stored { evicted })
    }

    async fn load(&self, handle: Handle, _: Load, now: Timestamp) -> Result<Option<Record>> {
        self.alive(&mut self.rows(), handle, now)
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.change_now(handle, now, Flaw::ChangesInTwoSteps, change)
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        if self.flaw == Flaw::AlwaysConflicts {
            return Ok(Updated::Conflict);
        }
        let change = |row: &mut Record| row.update(expected, update);
        Ok(self
            .change_now(handle, now, Flaw::UpdatesInTwoSteps, &change)?
            .into())
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        for (handle, seen_at) in uses {
            let change = |row: &mut Record| row.touch(*seen_at);
            self.change_now(*handle, now, Flaw::TouchesInTwoSteps, &change)?;
        }
        Ok(())
    }

    async fn remove(&self, handle: Handle, _: &str, _: Timestamp) -> Result<Removed> {
        let mut rows = self.rows();
        if self.flaw == Flaw::KeepsUnreadableRows
            && let Some((_, bytes)) = rows.get(&handle)
            && Record::decode(bytes).is_err()
        {
            return Ok(Removed::at_once(0));
        }
        if self.flaw == Flaw::RemovesInTwoSteps && rows.contains_key(&handle) {
            drop(rows);
            std::thread::yield_now();
            self.rows().remove(&handle);
            return Ok(Removed::at_once(1));
        }
        let is_counted = rows.remove(&handle).is_some() || self.flaw == Flaw::CountsEachRemoval;
        Ok(Removed::at_once(u64::from(is_counted)))
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, _: Timestamp) -> Result<Removed> {
        let mut rows = self.rows();
        let before = rows.len();
        rows.retain(|handle, (owner, bytes)| {
            let is_meant = match Record::decode(bytes) {
                Ok(row) => row.is_in(&scope),
                Err(_) if self.flaw == Flaw::KeepsUnreadableRowsOfSubjects => false,
                Err(_) => scope.keep != Some(*handle),
            };
            owner != subject || !is_meant
        });
        Ok(Removed::at_once((before - rows.len()) as u64))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let mut found = self.of_subject(&self.rows(), subject, now)?;
        found.retain(|row| match page.after {
            Some(after) if self.flaw == Flaw::RepeatsTheCursor => Cursor::from(row) >= after,
            Some(after) if self.flaw != Flaw::IgnoresTheCursor => Cursor::from(row) > after,
            _ => true,
        });
        let limit = page.limit.max(1);
        let more = found.len() > limit || self.flaw == Flaw::NeverEndsItsList;
        found.truncate(limit);
        let next = found.last().map(Cursor::from).or(page.after);
        Ok(Listing::new(found, next.filter(|_| more)))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let mut rows = self.rows();
        let over = |(_, bytes): &(String, Vec<u8>)| {
            Record::decode(bytes).is_ok_and(|row| !row.is_alive(now))
        };
        let picked = rows.iter().filter(|(_, row)| over(row));
        let picked: Vec<_> = picked
            .map(|(handle, _)| *handle)
            .take(limit.max(1))
            .collect();
        picked.iter().for_each(|handle| drop(rows.remove(handle)));
        let more = picked.len() == limit.max(1) || self.flaw == Flaw::NeverEndsItsSweep;
        Ok(Swept::new(picked.len() as u64, more))
    }
}

impl fmt::Debug for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapStore")
            .field("flaw", &self.flaw)
            .finish_non_exhaustive()
    }
}

/// Opens stores with a flaw, and damages their rows.
pub(crate) struct Maps(pub(crate) Flaw);

impl StoreFixture for Maps {
    type Store = MapStore;

    async fn open(&self) -> MapStore {
        MapStore {
            flaw: self.0,
            rows: Mutex::default(),
        }
    }

    async fn advance(&self, _: &MapStore, _: Duration) {}

    async fn rewrite(
        &self,
        store: &MapStore,
        handle: Handle,
        _: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        let mut rows = store.rows();
        let row = rows.get_mut(&handle).map(|(_, bytes)| edit(bytes));
        row.is_some()
    }
}
