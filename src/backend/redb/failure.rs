//! Failures of the database as errors of this crate.

use std::error::Error as StdError;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ::redb::{DatabaseError, Error as Cause, StorageError};

use crate::error::Error;

/// Time after which a caller should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The result of a transaction.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// The reason why a transaction was not committed. All its callers share it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    message: &'static str,
    cause: Option<Arc<Cause>>,
    pub(crate) scope: Scope,
}

/// What a failure affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One change, because of the pages that it reads. Other changes may succeed.
    Change,
    /// One transaction.
    Transaction,
    /// The whole database: it must be opened again before anything else is written.
    Database,
}

/// The database panicked.
pub(crate) const PANICKED: Failure = Failure {
    message: "the session database panicked, most likely because its file is damaged: \
              check the file or restore it",
    cause: None,
    scope: Scope::Database,
};
/// Another writer of the application's database kept its transaction open for too long.
pub(crate) const BUSY: Failure = Failure {
    message: "the application holds a write transaction of the session database: end it sooner",
    cause: None,
    scope: Scope::Transaction,
};
/// The database failed earlier and is not open.
pub(crate) const CLOSED: Failure = Failure {
    message: "the session database failed earlier and is closed: make room on its device, or repair \
              it and open the database again",
    cause: None,
    scope: Scope::Transaction,
};
/// The queue of changes is full.
pub(crate) const OVERLOADED: Failure = Failure {
    message: "too many changes wait for the session database: try again later",
    cause: None,
    scope: Scope::Change,
};

impl Failure {
    /// True if the device or the quota is full. redb finds this out before it overwrites anything,
    /// so that the file is intact and can be opened again.
    pub(crate) fn is_lack_of_space(&self) -> bool {
        matches!(self.cause.as_deref(), Some(Cause::Io(error)) if is_full(error))
    }
}

impl<E: Into<Cause>> From<E> for Failure {
    fn from(cause: E) -> Self {
        let cause = cause.into();
        let message = match &cause {
            Cause::Corrupted(_) => "the session database is damaged: restore its file",
            Cause::Io(error) if is_full(error) => "there is no room for the session database",
            Cause::Io(_) | Cause::PreviousIo => {
                "the device of the session database failed: repair it, then open the database again"
            }
            _ => "the session database could not answer",
        };
        let scope = match &cause {
            Cause::Corrupted(_) | Cause::TransactionPoisoned | Cause::ValueTooLarge(_) => {
                Scope::Change
            }
            _ => Scope::Database,
        };
        Self {
            message,
            cause: Some(Arc::new(cause)),
            scope,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        unavailable(failure.message, failure.cause).with_retry_after(RETRY_AFTER)
    }
}

fn unavailable<E: StdError + Send + Sync + 'static>(
    message: &'static str,
    cause: Option<E>,
) -> Error {
    Error::could_not(message, cause.map(|cause| Box::new(cause) as Box<_>))
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// A read that failed.
pub(crate) fn of(cause: impl Into<Cause>) -> Error {
    Failure::from(cause).into()
}

/// The store is being dropped, or its thread has ended.
pub(crate) fn stopped() -> Error {
    Error::could_not("the session database has been closed by this process", None)
}

/// The error for a file that redb did not open.
pub(crate) fn of_open(error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => unavailable(
            "the session file is open elsewhere, in another process or in this one: \
             close it there, redb allows one at a time",
            Some(error),
        ),
        DatabaseError::UpgradeRequired(version) => Error::misuse(format!(
            "the session file has version {version} of redb's format: convert it first"
        )),
        DatabaseError::Storage(StorageError::Corrupted(_)) => damaged(error),
        DatabaseError::Storage(StorageError::Io(cause)) => of_file(cause),
        error => of(error),
    }
}

fn damaged(cause: DatabaseError) -> Error {
    unavailable(
        "the session file is damaged, or not a file of redb: restore it, or move it away",
        Some(cause),
    )
}

/// The error for a file that the operating system did not open.
pub(crate) fn of_file(cause: io::Error) -> Error {
    use io::ErrorKind::{
        Interrupted, InvalidData, InvalidInput, Other, OutOfMemory, ResourceBusy, TimedOut,
        UnexpectedEof, WouldBlock,
    };
    match cause.kind() {
        // redb reports these for a file with another beginning, or one that ends too early.
        InvalidData | InvalidInput | UnexpectedEof => damaged(DatabaseError::Storage(cause.into())),
        Interrupted | Other | OutOfMemory | ResourceBusy | TimedOut | WouldBlock => {
            of(Cause::Io(cause))
        }
        _ if is_full(&cause) => of(Cause::Io(cause)),
        _ => Error::misuse(format!(
            "the session file cannot be opened for reading and writing ({cause}): \
             correct its path or its permissions"
        )),
    }
}

/// Runs an access to the database. redb panics on some kinds of damage; a panic becomes a failure.
pub(crate) fn caught<T, E: From<Failure>>(access: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // Unwinding leaves nothing half changed that is used afterwards: a panic closes the database
    // for writing, and redb poisons its own locks.
    catch_unwind(AssertUnwindSafe(access)).unwrap_or_else(|_| Err(PANICKED.into()))
}
