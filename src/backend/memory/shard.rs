//! Shard of the memory store: the rows of some partitions.

use std::collections::HashSet;
use std::ops::Range;

use crate::backend::memory::row::Row;
use crate::backend::memory::table::{Discarded, Table};
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::answer::{Changed, LiveCount};
use crate::store::ask::{Limit, Scope};
use crate::store::listing::Cursor;
use crate::store::record::Record;
use crate::store::session_store::ChangeFn;

/// Maximum number of rows that a search for expired ones visits under one lock.
const MAX_ROWS_PER_VISIT: usize = 512;

/// The rows of some partitions, behind one lock. All logins of a subject are in one shard, among
/// few others, so a scan for them is cheap. An index by subject would need a third of the memory.
#[derive(Default)]
pub(crate) struct Shard {
    table: Table,
}

impl Shard {
    /// Returns a row, alive or expired.
    #[inline]
    pub(crate) fn find(&self, handle: Handle) -> Option<&Row> {
        self.table.get(handle)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.rows().len()
    }

    pub(crate) fn insert(&mut self, record: &Record) {
        self.table.insert(Row::new(record));
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Row> {
        self.table.remove(handle)
    }

    /// Changes a live row. Removes an expired one, so that a clock that is set back does not revive
    /// it. `change` works on a copy: if it panics, the row stays as it was.
    pub(crate) fn change(
        &mut self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Option<Changed> {
        let row = self.table.get_mut(handle)?;
        let mut record = row.read();
        if !record.is_alive(now) {
            self.table.remove(handle);
            return None;
        }
        let changed = change(&mut record);
        if changed {
            *row = Row::new(&record);
        }
        Some(Changed::new(changed, record))
    }

    /// Returns the rows of a subject, alive or expired.
    fn of_subject(&self, subject: &str) -> impl Iterator<Item = &Row> {
        let rows = self.table.rows().iter();
        rows.filter(move |row| row.subject() == subject)
    }

    /// Returns the cursors of the live logins of a subject that are listed after `after`, unsorted.
    pub(crate) fn cursors(
        &self,
        subject: &str,
        after: Option<Cursor>,
        now: Timestamp,
    ) -> Vec<Cursor> {
        self.of_subject(subject)
            .filter(|row| row.is_alive(now))
            .map(Row::cursor)
            .filter(|cursor| after.is_none_or(|after| *cursor > after))
            .collect()
    }

    /// Counts the live logins.
    pub(crate) fn count_live(&self, now: Timestamp) -> LiveCount {
        let (mut logins, mut subjects) = (0, HashSet::new());
        for row in self.table.rows().iter().filter(|row| row.is_alive(now)) {
            logins += 1;
            subjects.insert(row.subject());
        }
        LiveCount {
            logins,
            subjects: subjects.len() as u64,
        }
    }

    /// Removes the logins of a subject that `scope` covers.
    pub(crate) fn remove_subject(&mut self, subject: &str, scope: &Scope) -> Discarded {
        self.remove_where(0..self.len(), usize::MAX, |row| {
            row.subject() == subject && row.is_in(scope)
        })
    }

    /// Removes at most `limit` expired rows from the last rows before position `end`. Sets `end` to
    /// the first position that it has visited.
    pub(crate) fn remove_expired(
        &mut self,
        end: &mut usize,
        limit: usize,
        now: Timestamp,
    ) -> Discarded {
        let last = self.len().min(*end);
        *end = last.saturating_sub(MAX_ROWS_PER_VISIT);
        self.remove_where(*end..last, limit, |row| !row.is_alive(now))
    }

    fn remove_where(
        &mut self,
        visited: Range<usize>,
        limit: usize,
        matches: impl Fn(&Row) -> bool,
    ) -> Discarded {
        let rows = self.table.rows()[visited.clone()].iter();
        let matching = visited.zip(rows).filter(|(_, row)| matches(row));
        let positions: Vec<_> = matching.take(limit).map(|(at, _)| at).collect();
        self.table.remove_all(&positions)
    }

    /// Returns the logins to evict so that one more fits the limit; `None` if the limit rejects it.
    pub(crate) fn to_evict(
        &self,
        subject: &str,
        limit: Limit,
        now: Timestamp,
    ) -> Option<Vec<Handle>> {
        if limit == Limit::Unlimited {
            return Some(Vec::new());
        }
        let alive = self.of_subject(subject).filter(|row| row.is_alive(now));
        let evicted = limit.pick(alive.collect(), |row| (row.last_seen(), row.cursor()))?;
        Some(evicted.into_iter().map(Row::handle).collect())
    }
}
