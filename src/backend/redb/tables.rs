//! The two tables: rows by handle, and the handles of a subject in the order of their list.

use ::redb::{Error as Cause, ReadTransaction, ReadableTable, Table, TableDefinition, TableError};

use crate::backend::redb::touches::Touches;
use crate::base::sha256;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::listing::Cursor;
use crate::store::record::Record;

/// A handle.
type RowKey = &'static [u8; 16];
/// Hash of the subject, deadline and handle: a subject's logins lie side by side as they are
/// listed.
type IndexKey = &'static [u8; INDEX_KEY];
const INDEX_KEY: usize = 40;

/// What a revocation log keeps: so many bytes.
pub(crate) type LogNumbers<const N: usize> = &'static [u8; N];

/// What the application calls its tables, or we do.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    rows: String,
    index: String,
    log_entries: String,
    log_own: String,
}

impl Names {
    pub(crate) fn under(name: &str) -> Self {
        Self {
            rows: format!("{name}.sessions"),
            index: format!("{name}.subjects"),
            log_entries: format!("{name}.revocations"),
            log_own: format!("{name}.revocation_log"),
        }
    }

    pub(crate) fn rows(&self) -> TableDefinition<'_, RowKey, &'static [u8]> {
        TableDefinition::new(&self.rows)
    }

    pub(crate) fn index(&self) -> TableDefinition<'_, IndexKey, ()> {
        TableDefinition::new(&self.index)
    }

    /// The entries of the revocation log, by position.
    pub(crate) fn log_entries<const N: usize>(&self) -> TableDefinition<'_, u64, LogNumbers<N>> {
        TableDefinition::new(&self.log_entries)
    }

    /// The log's own numbers.
    pub(crate) fn log_own<const N: usize>(&self) -> TableDefinition<'_, (), LogNumbers<N>> {
        TableDefinition::new(&self.log_own)
    }
}

/// What an operation answers, or why the database could not do it.
pub(crate) type Judged<T> = std::result::Result<Result<T>, Cause>;

/// The hash by which a subject is indexed. That two subjects share it is beyond reach, and would
/// be seen in the rows.
#[derive(Clone, Copy)]
pub(crate) struct Subject([u8; 16]);

impl Subject {
    pub(crate) fn of(subject: &str) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&sha256::hash(subject.as_bytes())[..16]);
        Self(hash)
    }

    /// Where a login of the subject stands in the index.
    fn key(self, deadline: u64, handle: [u8; 16]) -> [u8; INDEX_KEY] {
        let mut key = [0; INDEX_KEY];
        key[..16].copy_from_slice(&self.0);
        key[16..24].copy_from_slice(&deadline.to_be_bytes());
        key[24..].copy_from_slice(&handle);
        key
    }

    /// From the first place of the subject, or from a cursor on, to the last one. A cursor is
    /// part of it.
    pub(crate) fn range(self, after: Option<Cursor>) -> [[u8; INDEX_KEY]; 2] {
        let first = after.map_or_else(
            || self.key(0, [0; 16]),
            |cursor| self.key(cursor.deadline.unix(), *cursor.handle.as_bytes()),
        );
        [first, self.key(u64::MAX, [0xff; 16])]
    }
}

/// The handle at the end of an index key.
pub(crate) fn handle_in(key: &[u8; INDEX_KEY]) -> Handle {
    let mut handle = [0; 16];
    handle.copy_from_slice(&key[24..]);
    Handle::from_bytes(handle)
}

/// Reads what is kept under a handle. What is kept there of another one is not served.
pub(crate) fn decode(handle: Handle, bytes: &[u8]) -> Result<Record> {
    let row = Record::decode(bytes)?;
    if row.handle() == handle {
        Ok(row)
    } else {
        Err(Error::unreadable())
    }
}

/// The row of a handle, as last committed. `Ok(Ok(None))` if there is none.
pub(crate) fn read(
    snapshot: &ReadTransaction,
    names: &Names,
    handle: Handle,
) -> Judged<Option<Record>> {
    let rows = snapshot.open_table(names.rows())?;
    let found = rows.get(handle.as_bytes())?;
    Ok(found.map(|bytes| decode(handle, bytes.value())).transpose())
}

/// The tables within a write transaction, and what the operations of one group do to them.
pub(crate) struct Rows<'t> {
    transaction: &'t ::redb::WriteTransaction,
    names: &'t Names,
    rows: Table<'t, RowKey, &'static [u8]>,
    index: Table<'t, IndexKey, ()>,
    touches: &'t Touches,
    /// Whether there is anything to commit.
    pub(crate) changed: bool,
    /// Found over, so that no use counts until the group is done.
    doomed: &'t mut Vec<Handle>,
}

/// A row as an operation finds it.
pub(crate) enum Found {
    Row(Record),
    /// There is one, which does not decode.
    Unreadable,
    Absent,
}

impl<'t> Rows<'t> {
    pub(crate) fn open(
        transaction: &'t ::redb::WriteTransaction,
        names: &'t Names,
        touches: &'t Touches,
        doomed: &'t mut Vec<Handle>,
    ) -> std::result::Result<Self, TableError> {
        Ok(Self {
            transaction,
            names,
            rows: transaction.open_table(names.rows())?,
            index: transaction.open_table(names.index())?,
            touches,
            changed: false,
            doomed,
        })
    }

    /// Further tables of the same transaction, and whether there is anything to commit.
    pub(crate) fn beside<T>(
        &mut self,
        open: impl FnOnce(&'t ::redb::WriteTransaction, &Names) -> std::result::Result<T, TableError>,
    ) -> std::result::Result<(T, &mut bool), TableError> {
        Ok((open(self.transaction, self.names)?, &mut self.changed))
    }

    /// The row of a handle, with the uses that are not written yet.
    pub(crate) fn find(&self, handle: Handle) -> std::result::Result<Found, Cause> {
        let Some(bytes) = self.rows.get(handle.as_bytes())? else {
            return Ok(Found::Absent);
        };
        Ok(match decode(handle, bytes.value()) {
            Ok(mut row) => {
                self.touches.of(handle).over(&mut row);
                Found::Row(row)
            }
            Err(_) => Found::Unreadable,
        })
    }

    /// Whether a row is over, and if so, for good: no use that comes now saves it from what this
    /// group does.
    pub(crate) fn is_over(
        &mut self,
        row: &mut Record,
        is_over: impl FnOnce(&Record) -> bool,
    ) -> bool {
        let over = self.touches.doom(row, is_over);
        if over {
            self.doomed.push(row.handle());
        }
        over
    }

    /// The live row of a handle. Removes one that is over, so that a clock set back does not
    /// revive it.
    pub(crate) fn live(&mut self, handle: Handle, now: Timestamp) -> Judged<Option<Record>> {
        let mut row = match self.find(handle)? {
            Found::Row(row) => row,
            Found::Unreadable => return Ok(Err(Error::unreadable())),
            Found::Absent => return Ok(Ok(None)),
        };
        if self.is_over(&mut row, |row| !row.is_alive(now)) {
            self.remove(&row)?;
            return Ok(Ok(None));
        }
        Ok(Ok(Some(row)))
    }

    /// Adds a row whose handle is not there.
    pub(crate) fn insert(&mut self, row: &Record) -> std::result::Result<(), Cause> {
        let key = Subject::of(row.subject()).key(row.deadline().unix(), *row.handle().as_bytes());
        self.index.insert(&key, ())?;
        self.replace(row)
    }

    /// Writes a row anew. Its subject and deadline never change, so that the index stays.
    pub(crate) fn replace(&mut self, row: &Record) -> std::result::Result<(), Cause> {
        self.changed = true;
        self.rows
            .insert(row.handle().as_bytes(), row.encode().as_slice())?;
        Ok(())
    }

    /// Removes a row that decodes.
    pub(crate) fn remove(&mut self, row: &Record) -> std::result::Result<(), Cause> {
        self.changed = true;
        let key = Subject::of(row.subject()).key(row.deadline().unix(), *row.handle().as_bytes());
        self.index.remove(&key)?;
        self.rows.remove(row.handle().as_bytes())?;
        Ok(())
    }

    /// Removes whatever is kept under a handle of `subject`; whether there was a row.
    pub(crate) fn remove_handle(
        &mut self,
        handle: Handle,
        subject: Subject,
    ) -> std::result::Result<bool, Cause> {
        match self.find(handle)? {
            Found::Row(row) => {
                self.remove(&row)?;
                return Ok(true);
            }
            Found::Absent => return Ok(false),
            Found::Unreadable => {}
        }
        // Its deadline is not known, and so neither is its place in the index.
        for entry in self.of_subject(subject)? {
            if handle_in(&entry) == handle {
                self.remove_entry(&entry)?;
            }
        }
        self.changed = true;
        self.rows.remove(handle.as_bytes())?;
        Ok(true)
    }

    /// Removes an entry of the index, and what it leads to.
    pub(crate) fn remove_entry(
        &mut self,
        entry: &[u8; INDEX_KEY],
    ) -> std::result::Result<bool, Cause> {
        self.changed = true;
        self.index.remove(entry)?;
        Ok(self.rows.remove(handle_in(entry).as_bytes())?.is_some())
    }

    /// The entries of a subject, by deadline and handle.
    pub(crate) fn of_subject(
        &self,
        subject: Subject,
    ) -> std::result::Result<Vec<[u8; INDEX_KEY]>, Cause> {
        let [first, last] = subject.range(None);
        let mut entries = Vec::new();
        for entry in self.index.range::<&[u8; 40]>(&first..=&last)? {
            entries.push(*entry?.0.value());
        }
        Ok(entries)
    }

    /// Writes uses to the rows that are still there.
    pub(crate) fn write_touches(
        &mut self,
        uses: &[(Handle, Timestamp)],
    ) -> std::result::Result<(), Cause> {
        for (handle, seen_at) in uses {
            let row = match self.rows.get(handle.as_bytes())? {
                Some(bytes) => decode(*handle, bytes.value()).ok(),
                None => None,
            };
            if let Some(mut row) = row
                && *seen_at > row.last_seen()
            {
                row.set_last_seen(*seen_at);
                self.replace(&row)?;
            }
        }
        Ok(())
    }
}
