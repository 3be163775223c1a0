//! The database: open, or closed after it failed.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::redb::{
    CommitError, Database, Durability, Error as Cause, ReadTransaction, ReadableDatabase as _,
    TransactionError, WriteTransaction,
};

use crate::backend::redb::failure::{self, Failure};
use crate::backend::redb::file::File;
use crate::backend::redb::tables::Names;
use crate::error::Result;

/// Between two looks whether another writer is done.
const NEXT_LOOK: Duration = Duration::from_micros(500);

/// The database, and what to do when it has failed.
pub(crate) struct Engine {
    /// `None` while it is opened again. Only ever held for the length of one read.
    database: RwLock<Option<Arc<Database>>>,
    /// How to open it again; `None` if it is the application's own.
    file: Option<File>,
    pub(crate) names: Names,
    /// How long another writer of the application's database is waited for.
    patience: Duration,
    /// Nothing is written, and what is read may be other than what the file holds.
    failed: AtomicBool,
    /// It failed in a way after which it may be opened again.
    may_recover: AtomicBool,
    commits: AtomicU64,
}

impl Engine {
    pub(crate) fn new(
        database: Arc<Database>,
        file: Option<File>,
        names: Names,
        patience: Duration,
    ) -> Self {
        Self {
            database: RwLock::new(Some(database)),
            file,
            names,
            patience,
            failed: AtomicBool::new(false),
            may_recover: AtomicBool::new(false),
            commits: AtomicU64::new(0),
        }
    }

    /// Reads from what was last committed. No read transaction outlives the call.
    pub(crate) fn read<T>(
        &self,
        act: impl FnOnce(&ReadTransaction) -> std::result::Result<Result<T>, Cause>,
    ) -> Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else {
            return Err(failure::closed());
        };
        failure::caught(|| {
            let snapshot = database.begin_read().map_err(failure::of)?;
            act(&snapshot).map_err(failure::of)?
        })
    }

    pub(crate) fn begin_write(&self) -> std::result::Result<WriteTransaction, Failure> {
        let failed = |error: TransactionError| Failure::of(error.into());
        let started = Instant::now();
        loop {
            let begun = match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
                Some(database) => database.try_begin_write(),
                None => return Err(Failure::of(Cause::PreviousIo)),
            };
            match begun {
                Err(TransactionError::WouldBlock) if started.elapsed() < self.patience => {
                    std::thread::sleep(NEXT_LOOK);
                }
                Err(TransactionError::WouldBlock) => return Err(Failure::held_up()),
                Err(error) => {
                    let failure = failed(error);
                    self.fail(&failure);
                    return Err(failure);
                }
                Ok(mut transaction) => {
                    transaction
                        .set_durability(Durability::Immediate)
                        .map_err(|error| Failure::of(error.into()))?;
                    return Ok(transaction);
                }
            }
        }
    }

    /// Makes a transaction durable. If that fails, nobody can tell whether it was: nothing more is
    /// written until the database has been opened again.
    pub(crate) fn commit(&self, transaction: WriteTransaction) -> std::result::Result<(), Failure> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        transaction.commit().map_err(|error| {
            let rolled_back = matches!(error, CommitError::TransactionPoisoned);
            let failure = Failure::of(error.into());
            if !rolled_back {
                self.close(&failure);
            }
            failure
        })
    }

    /// Takes note of a failure, unless it lies in the pages that one operation met.
    pub(crate) fn fail(&self, failure: &Failure) {
        if !failure.is_local() {
            self.close(failure);
        }
    }

    fn close(&self, failure: &Failure) {
        let may_recover = failure.is_for_want_of_room() && self.file.is_some();
        self.may_recover.store(may_recover, Ordering::Release);
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn may_recover(&self) -> bool {
        self.may_recover.load(Ordering::Acquire)
    }

    /// Opens the file again after there was no room for it. Reads fail meanwhile.
    pub(crate) fn recover(&self) {
        let Some(file) = &self.file else { return };
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Closed first: a file is open once. What has failed writes nothing when it is closed.
        close(database.take());
        drop(database);
        if let Ok(opened) = failure::caught(|| file.open()) {
            *self
                .database
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
            self.failed.store(false, Ordering::Release);
        }
    }

    /// How many transactions were committed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// Closes a database, which writes to it, and panics over some damage as everything else does.
fn close(database: Option<Arc<Database>>) {
    let _ = failure::caught(|| {
        drop(database);
        Ok(())
    });
}

impl Drop for Engine {
    fn drop(&mut self) {
        let database = self
            .database
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        close(database.take());
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("failed", &self.has_failed())
            .field("commits", &self.commits())
            .finish_non_exhaustive()
    }
}
