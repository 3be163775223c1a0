//! One part of the memory store: the rows of some partitions.

use crate::backend::memory::table::{Row, Rubbish, Table};
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::answer::Changed;
use crate::store::ask::{Limit, Scope};
use crate::store::listing::Cursor;
use crate::store::record::Record;
use crate::store::session_store::ChangeFn;

/// The rows of some partitions, behind one lock. All logins of one subject are here, among few
/// others: they are found by looking through the shard, and an index of subjects, which would take
/// a third of the memory, is done without.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    table: Table,
}

/// What became of a change.
pub(crate) enum Outcome {
    Alive(Changed),
    Over,
    Absent,
}

impl Shard {
    /// Finds a row, alive or over. Needs no exclusive access.
    #[inline]
    pub(crate) fn find(&self, handle: Handle) -> Option<&Row> {
        self.table.get(handle)
    }

    /// Notes a use behind the read. Needs no exclusive access.
    pub(crate) fn touch(&self, handle: Handle, seen_at: Timestamp) {
        if let Some(row) = self.table.get(handle) {
            row.touch(seen_at);
        }
    }

    pub(crate) fn contains(&self, handle: Handle) -> bool {
        self.table.get(handle).is_some()
    }

    pub(crate) fn read(&self, handle: Handle) -> Option<Record> {
        self.table.get(handle).map(Row::read)
    }

    pub(crate) fn insert(&mut self, record: Record) {
        self.table.insert(Row::new(record));
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Row> {
        self.table.remove(handle)
    }

    /// Changes a live row by `change`. Removes one that is over, so that a clock set back does not
    /// revive it.
    pub(crate) fn change(
        &mut self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Outcome {
        let Some(row) = self.table.get_mut(handle) else {
            return Outcome::Absent;
        };
        let mut record = row.read();
        if !record.is_alive(now) {
            self.table.remove(handle);
            return Outcome::Over;
        }
        let changed = change(&mut record);
        if changed {
            *row = Row::new(record.clone());
        }
        Outcome::Alive(Changed::new(changed, record))
    }

    /// The rows of a subject, alive or over.
    fn of_subject(&self, subject: &str) -> impl Iterator<Item = &Row> {
        let rows = self.table.rows().iter();
        rows.filter(move |row| row.record().subject() == subject)
    }

    /// The live logins of a subject behind a place in their list, in no order.
    pub(crate) fn cursors(
        &self,
        subject: &str,
        after: Option<Cursor>,
        now: Timestamp,
    ) -> Vec<Cursor> {
        self.of_subject(subject)
            .filter(|row| row.is_alive(now))
            .map(|row| Cursor::from(row.record()))
            .filter(|cursor| after.is_none_or(|after| *cursor > after))
            .collect()
    }

    /// Removes the logins of a subject that `scope` covers.
    pub(crate) fn remove_subject(&mut self, subject: &str, scope: &Scope) -> Rubbish {
        self.remove_where(usize::MAX, |row| {
            row.record().subject() == subject && row.record().is_in(scope)
        })
    }

    /// Removes what is over, at most `budget` rows.
    pub(crate) fn purge(&mut self, budget: usize, now: Timestamp) -> Rubbish {
        self.remove_where(budget, |row| !row.is_alive(now))
    }

    fn remove_where(&mut self, budget: usize, is_meant: impl Fn(&Row) -> bool) -> Rubbish {
        let rows = self.table.rows().iter().filter(|row| is_meant(row));
        let handles = rows.map(|row| row.record().handle());
        let handles: Vec<_> = handles.take(budget).collect();
        let mut rubbish = Rubbish::default();
        let removed = handles.into_iter();
        rubbish.rows = removed
            .filter_map(|handle| self.table.remove(handle))
            .collect();
        self.table.shrink(&mut rubbish);
        rubbish
    }

    /// Which logins must go so that one more fits the limit; `None` if the limit forbids it.
    pub(crate) fn victims(
        &self,
        subject: &str,
        limit: Limit,
        now: Timestamp,
    ) -> Option<Vec<Handle>> {
        let (most, evicts) = match limit {
            Limit::Unlimited => return Some(Vec::new()),
            Limit::Reject(most) => (most, false),
            Limit::EvictOldest(most) => (most, true),
        };
        let mut alive = self.cursors(subject, None, now);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let excess = (alive.len() + 1).saturating_sub(most);
        if excess > 0 && !evicts {
            return None;
        }
        alive.sort_unstable();
        let victims = alive.into_iter().take(excess);
        Some(victims.map(|cursor| cursor.handle).collect())
    }
}
