//! Tables of the sessions: rows by handle, and the index of each subject's handles.

use ::redb::{Error as Cause, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use crate::backend::redb::uses::{Noted, Use, Uses};
use crate::base::sha256;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::store::listing::Cursor;
use crate::store::record::Record;

/// A handle.
type RowKey = &'static [u8; 16];
/// Hash of the subject, deadline, and handle: the order in which a subject's logins are listed.
type IndexKey = (&'static [u8; 16], u64, &'static [u8; 16]);

/// Names of the tables.
pub(crate) struct Names {
    rows: String,
    index: String,
    pub(crate) log_entries: String,
    pub(crate) log_head: String,
}

impl Names {
    pub(crate) fn with_prefix(prefix: &str) -> Self {
        Self {
            rows: format!("{prefix}.sessions"),
            index: format!("{prefix}.subjects"),
            log_entries: format!("{prefix}.revocations"),
            log_head: format!("{prefix}.revocation_log"),
        }
    }

    pub(crate) fn rows(&self) -> TableDefinition<'_, RowKey, &'static [u8]> {
        TableDefinition::new(&self.rows)
    }

    pub(crate) fn index(&self) -> TableDefinition<'_, IndexKey, ()> {
        TableDefinition::new(&self.index)
    }
}

/// The result of a database access.
pub(crate) type Stored<T> = std::result::Result<T, Cause>;
/// The answer to a caller, or the failure of the database.
pub(crate) type Judged<T> = Stored<Result<T>>;

/// Hash by which a subject is indexed. Readers compare the subject of the row as well, so that a
/// collision would not mix up two subjects.
#[derive(Clone, Copy)]
pub(crate) struct Subject([u8; 16]);

impl Subject {
    pub(crate) fn of(subject: &str) -> Self {
        Self(sha256::half(subject.as_bytes()))
    }

    fn key<'k>(&'k self, login: &'k Cursor) -> (&'k [u8; 16], u64, &'k [u8; 16]) {
        (&self.0, login.deadline.unix(), login.handle.as_bytes())
    }

    /// Reads the logins of the subject from the index in the order of the list: all of them, or
    /// those from `first` on.
    pub(crate) fn logins<'i>(
        &self,
        index: &'i impl ReadableTable<IndexKey, ()>,
        first: Option<Cursor>,
    ) -> Stored<impl Iterator<Item = Stored<Cursor>> + 'i> {
        let end = |deadline, byte| Cursor {
            deadline,
            handle: Handle::from_bytes([byte; 16]),
        };
        let first = first.unwrap_or(end(Timestamp::MIN, 0));
        let last = end(Timestamp::MAX, 0xff);
        let entries = index.range(self.key(&first)..=self.key(&last))?;
        Ok(entries.map(|entry| {
            let (key, _) = entry?;
            let (_, deadline, handle) = key.value();
            Ok(Cursor {
                deadline: Timestamp::from_unix(deadline),
                handle: Handle::from_bytes(*handle),
            })
        }))
    }
}

/// Decodes the row of a handle and overlays its unwritten use. A row of another handle is
/// unreadable.
pub(crate) fn decode(handle: Handle, bytes: &[u8], noted: Noted) -> Result<Record> {
    let mut row = Record::decode(bytes)?;
    if row.handle() != handle {
        return Err(Error::unreadable());
    }
    noted.overlay(&mut row);
    Ok(row)
}

/// Reads the row of a handle from a table, overlaid with its unwritten use.
pub(crate) fn get(
    rows: &impl ReadableTable<RowKey, &'static [u8]>,
    handle: Handle,
    noted: Noted,
) -> Judged<Option<Record>> {
    let bytes = rows.get(handle.as_bytes())?;
    let row = bytes.map(|bytes| decode(handle, bytes.value(), noted));
    Ok(row.transpose())
}

/// The tables within a write transaction.
pub(crate) struct Rows<'t> {
    pub(crate) transaction: &'t WriteTransaction,
    pub(crate) names: &'t Names,
    /// Set by the first write: the transaction must be committed.
    pub(crate) changed: bool,
    rows: Table<'t, RowKey, &'static [u8]>,
    index: Table<'t, IndexKey, ()>,
    uses: &'t Uses,
}

impl<'t> Rows<'t> {
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        names: &'t Names,
        uses: &'t Uses,
    ) -> std::result::Result<Self, TableError> {
        Ok(Self {
            transaction,
            names,
            changed: false,
            rows: transaction.open_table(names.rows())?,
            index: transaction.open_table(names.index())?,
            uses,
        })
    }

    /// Finds the row of a handle.
    pub(crate) fn find(&self, handle: Handle) -> Judged<Option<Record>> {
        get(&self.rows, handle, self.uses.of(handle))
    }

    /// Finds the live row of a handle. Removes an expired row, so that setting the clock back does
    /// not revive it.
    pub(crate) fn find_live(&mut self, handle: Handle, now: Timestamp) -> Judged<Option<Record>> {
        match self.find(handle)? {
            Ok(Some(row)) => Ok(Ok(self.remove_expired(row, now)?)),
            found => Ok(found),
        }
    }

    /// Removes a row if it has expired, and else returns it.
    pub(crate) fn remove_expired(
        &mut self,
        mut row: Record,
        now: Timestamp,
    ) -> Stored<Option<Record>> {
        if self.uses.begin_removal(&mut row, now) {
            self.remove(&row)?;
            return Ok(None);
        }
        Ok(Some(row))
    }

    /// Returns the logins of a subject in the order of the list.
    pub(crate) fn logins(&self, subject: Subject) -> Stored<Vec<Cursor>> {
        subject.logins(&self.index, None)?.collect()
    }

    /// Adds a row with a new handle.
    pub(crate) fn insert(&mut self, row: &Record) -> Stored<()> {
        let subject = Subject::of(row.subject());
        self.index.insert(subject.key(&row.into()), ())?;
        self.replace(row)
    }

    /// Overwrites a row. The index stays, because subject and deadline of a row never change.
    pub(crate) fn replace(&mut self, row: &Record) -> Stored<()> {
        self.changed = true;
        let bytes = row.encode();
        self.rows.insert(row.handle().as_bytes(), &*bytes)?;
        Ok(())
    }

    pub(crate) fn remove(&mut self, row: &Record) -> Stored<()> {
        self.remove_login(Subject::of(row.subject()), &row.into())?;
        Ok(())
    }

    /// Removes an index entry and its row. Returns `false` if there was no row.
    pub(crate) fn remove_login(&mut self, subject: Subject, login: &Cursor) -> Stored<bool> {
        self.changed = true;
        self.index.remove(subject.key(login))?;
        Ok(self.rows.remove(login.handle.as_bytes())?.is_some())
    }

    /// Removes the row of a handle of `subject`, readable or not. Returns `false` if there was
    /// none.
    pub(crate) fn remove_handle(&mut self, handle: Handle, subject: Subject) -> Stored<bool> {
        match self.find(handle)? {
            Ok(Some(row)) => self.remove(&row)?,
            Ok(None) => return Ok(false),
            // The deadline is unknown, and so is the index key.
            Err(_) => {
                let logins = self.logins(subject)?;
                for login in logins.iter().filter(|login| login.handle == handle) {
                    self.remove_login(subject, login)?;
                }
                self.changed = true;
                self.rows.remove(handle.as_bytes())?;
            }
        }
        Ok(true)
    }

    /// Writes uses to the rows that still exist and have no later use.
    pub(crate) fn write_uses(&mut self, uses: &[Use]) -> Stored<()> {
        for (handle, used_at) in uses {
            if let Ok(Some(mut row)) = get(&self.rows, *handle, Noted::default())?
                && *used_at > row.last_seen()
            {
                row.set_last_seen(*used_at);
                self.replace(&row)?;
            }
        }
        Ok(())
    }
}
