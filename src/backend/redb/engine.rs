//! The redb database: open, or closed after a failure.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use ::redb::{
    Database, ReadTransaction, ReadableDatabase as _, TransactionError, WriteTransaction,
};

use crate::backend::redb::failure::{self, Failure, Outcome, Scope};
use crate::backend::redb::file::File;
use crate::backend::redb::tables::{Judged, Names};
use crate::error::Result;

/// Pause between two attempts to begin a write transaction.
const BEGIN_PAUSE: Duration = Duration::from_micros(500);

/// A database and its state after a failure.
pub(crate) struct Engine {
    /// `None` while the file is being opened again. A lock lasts no longer than one read.
    database: RwLock<Option<Arc<Database>>>,
    /// The file to open again; `None` for a database of the application.
    file: Option<File>,
    pub(crate) names: Names,
    /// How long a change waits for another writer of the application's database.
    deadline: Duration,
    /// Set by a failure: nothing is written, and reads may differ from the file.
    failed: AtomicBool,
    /// Set if opening the file again may mend the failure.
    may_recover: AtomicBool,
    commits: AtomicU64,
}

impl Engine {
    pub(crate) fn new(
        database: Arc<Database>,
        file: Option<File>,
        names: Names,
        deadline: Duration,
    ) -> Self {
        Self {
            database: RwLock::new(Some(database)),
            file,
            names,
            deadline,
            failed: AtomicBool::new(false),
            may_recover: AtomicBool::new(false),
            commits: AtomicU64::new(0),
        }
    }

    /// Reads the last committed state. The read transaction ends with the call.
    pub(crate) fn read<T>(&self, act: impl FnOnce(&ReadTransaction) -> Judged<T>) -> Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(failure::CLOSED)?;
        failure::caught(|| {
            let snapshot = database.begin_read().map_err(failure::of)?;
            act(&snapshot).map_err(failure::of)?
        })
    }

    fn database(&self) -> Outcome<Arc<Database>> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(failure::CLOSED)
    }

    pub(crate) fn begin_write(&self) -> Outcome<WriteTransaction> {
        self.check()?;
        let started = Instant::now();
        loop {
            match self.database()?.try_begin_write() {
                Err(TransactionError::WouldBlock) if started.elapsed() >= self.deadline => {
                    return Err(failure::BUSY);
                }
                Err(TransactionError::WouldBlock) => thread::sleep(BEGIN_PAUSE),
                // redb syncs a commit unless the transaction asks for less.
                begun => return Ok(begun?),
            }
        }
    }

    /// Commits a transaction and syncs the device.
    ///
    /// After a failed commit it is unknown whether the device has the transaction. Nothing more is
    /// written until the database has been opened again.
    pub(crate) fn commit(&self, transaction: WriteTransaction) -> Outcome<()> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        transaction.commit().map_err(|error| {
            let mut failure = Failure::from(error);
            failure.scope = Scope::Database;
            failure
        })
    }

    /// Stops all writing after a failure that affects the whole database.
    pub(crate) fn note_failure(&self, failure: &Failure) {
        if failure.scope == Scope::Database {
            let may_recover = failure.is_lack_of_space() && self.file.is_some();
            self.may_recover.store(may_recover, Ordering::Release);
            self.failed.store(true, Ordering::Release);
        }
    }

    /// Returns an error once the database has failed: what it shows may differ from its file.
    pub(crate) fn check(&self) -> Outcome<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(failure::CLOSED);
        }
        Ok(())
    }

    /// True if the database has failed and [`recover`](Self::recover) may mend it.
    pub(crate) fn may_recover(&self) -> bool {
        self.check().is_err() && self.may_recover.load(Ordering::Acquire)
    }

    /// Opens the file again after a lack of space. Reads fail in the meantime.
    pub(crate) fn recover(&self) {
        let Some(file) = &self.file else { return };
        // Closed first, because redb opens a file only once. A failed database writes nothing when
        // it is closed.
        let failed = self.database_mut().take();
        close(failed);
        if let Ok(opened) = failure::caught(|| file.open()) {
            *self.database_mut() = Some(Arc::new(opened));
            self.failed.store(false, Ordering::Release);
        }
    }

    fn database_mut(&self) -> RwLockWriteGuard<'_, Option<Arc<Database>>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of commits begun.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// Closes a database, which writes to its file and may panic on damage.
fn close(database: Option<Arc<Database>>) {
    let _ = failure::caught(|| {
        drop(database);
        Ok::<(), Failure>(())
    });
}

impl Drop for Engine {
    fn drop(&mut self) {
        close(self.database_mut().take());
    }
}
