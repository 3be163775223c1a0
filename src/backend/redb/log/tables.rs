//! Tables of a log: the entries by position, and one row with the head.

use std::time::Duration;

use ::redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};

use crate::backend::redb::tables::{Judged, Names, Stored};
use crate::clock::Timestamp;
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Entry, FACT_BYTES, Fact, Nonce};
use crate::revocation::log::{MARGIN, Page};

/// An entry: nonce, fact, lifetime in seconds, and the time at which the entry expires.
type EntryRow = (&'static [u8; 16], &'static [u8; FACT_BYTES], u64, u64);
/// The head: incarnation, first and last position, and the nonce of the last entry.
type HeadRow = (u64, u64, u64, &'static [u8; 16]);

/// Size of an entry.
pub(crate) const ENTRY_BYTES: usize = 16 + FACT_BYTES + 8 + 8;
/// Entries for which a read allocates in advance, at most.
const MAX_PREALLOCATED_ENTRIES: usize = 1024;

fn entries(names: &Names) -> TableDefinition<'_, u64, EntryRow> {
    TableDefinition::new(&names.log_entries)
}

fn head(names: &Names) -> TableDefinition<'_, (), HeadRow> {
    TableDefinition::new(&names.log_head)
}

/// Head of the log.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    incarnation: u64,
    /// The position of the first entry that is kept, or of the next one.
    first: u64,
    last: u64,
    /// The nonce of the last entry, trimmed or not.
    nonce: [u8; 16],
}

impl Head {
    pub(crate) fn stamp(&self) -> Stamp {
        let mark = Nonce::from_bytes(self.nonce).mark();
        Stamp::new(self.incarnation, self.last, mark)
    }
}

/// The tables, for reading or writing.
pub(crate) struct Tables<E, H> {
    entries: E,
    head: H,
}

/// The tables within a write transaction.
pub(crate) type Writer<'t> = Tables<Table<'t, u64, EntryRow>, Table<'t, (), HeadRow>>;
/// The committed tables.
pub(crate) type Snapshot = Tables<ReadOnlyTable<u64, EntryRow>, ReadOnlyTable<(), HeadRow>>;

impl<'t> Writer<'t> {
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        names: &Names,
    ) -> Result<Self, TableError> {
        Ok(Self {
            entries: transaction.open_table(entries(names))?,
            head: transaction.open_table(head(names))?,
        })
    }

    pub(crate) fn set_head(&mut self, head: &Head) -> Stored<()> {
        let row = (head.incarnation, head.first, head.last, &head.nonce);
        self.head.insert((), row)?;
        Ok(())
    }

    /// Begins an empty log, unless there is a head.
    pub(crate) fn begin(&mut self, incarnation: u64) -> Stored<()> {
        if self.head()?.is_some() {
            return Ok(());
        }
        self.entries.retain(|_, _| false)?;
        self.set_head(&Head {
            incarnation,
            first: 1,
            last: 0,
            nonce: [0; 16],
        })
    }

    /// Removes expired entries from the front, at most `limit`. Returns `true` if it removed any.
    pub(crate) fn trim(&mut self, head: &mut Head, limit: usize, now: Timestamp) -> Stored<bool> {
        let first = head.first;
        for _ in 0..limit {
            let entry = self.entries.get(head.first)?;
            if entry.is_none_or(|entry| entry.value().3 > now.unix()) {
                break;
            }
            self.entries.remove(head.first)?;
            head.first += 1;
        }
        Ok(head.first > first)
    }

    pub(crate) fn add(&mut self, head: &mut Head, draft: Draft, now: Timestamp) -> Stored<()> {
        head.last += 1;
        head.nonce = *draft.nonce.as_bytes();
        let expires_at = now.saturating_add(draft.life.saturating_add(MARGIN).as_secs());
        let (fact, life) = (draft.fact.to_bytes(), draft.life.as_secs());
        let row = (&head.nonce, &fact, life, expires_at.unix());
        self.entries.insert(head.last, row)?;
        Ok(())
    }
}

impl Snapshot {
    pub(crate) fn open(snapshot: &ReadTransaction, names: &Names) -> Result<Self, TableError> {
        Ok(Self {
            entries: snapshot.open_table(entries(names))?,
            head: snapshot.open_table(head(names))?,
        })
    }
}

impl<E: ReadableTable<u64, EntryRow>, H: ReadableTable<(), HeadRow>> Tables<E, H> {
    /// Reads the head; `None` if its row is missing.
    pub(crate) fn head(&self) -> Stored<Option<Head>> {
        Ok(self.head.get(())?.map(|row| {
            let (incarnation, first, last, nonce) = row.value();
            Head {
                incarnation,
                first,
                last,
                nonce: *nonce,
            }
        }))
    }

    /// Reads a page. It has all the entries that the head announces, or is an error.
    pub(crate) fn page(
        &self,
        head: &Head,
        from: u64,
        limit: usize,
        now: Timestamp,
    ) -> Judged<Page> {
        let from = from.max(head.first);
        let rest = head.last.saturating_add(1).saturating_sub(from);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(limit);
        let mut page = Vec::with_capacity(count.min(MAX_PREALLOCATED_ENTRIES));
        let found = (from..=head.last).zip(self.entries.range(from..)?);
        for (expected, entry) in found.take(count) {
            let (position, row) = entry?;
            let (nonce, fact, life, expires_at) = row.value();
            // Skipping an unknown entry would be unsafe: a later version may have written it, to
            // revoke a login that this version would then accept.
            let (Some(fact), true) = (Fact::from_bytes(fact), position.value() == expected) else {
                return Ok(Err(super::damaged()));
            };
            let nonce = Nonce::from_bytes(*nonce);
            let draft = Draft::with_nonce(nonce, fact, Duration::from_secs(life));
            let entry = Entry::new(expected, draft);
            let is_expired = expires_at <= now.unix();
            page.push(if is_expired { entry.expired() } else { entry });
        }
        if page.len() < count {
            return Ok(Err(super::damaged()));
        }
        let more = rest > count as u64;
        Ok(Ok(Page::new(head.incarnation, head.first, page, more)))
    }
}
