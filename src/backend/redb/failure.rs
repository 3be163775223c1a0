//! What the database says when it fails, in the terms of this crate.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::redb::{DatabaseError, Error as Cause};

use crate::error::{Error, Result};

/// When a store that cannot take more just now is worth asking again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a group of operations was not committed; shared by all of them.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    what: &'static str,
    cause: Option<Arc<Cause>>,
}

impl Failure {
    pub(crate) fn of(cause: Cause) -> Self {
        let what = match &cause {
            Cause::Corrupted(_) => "the session database is damaged",
            Cause::Io(error) if is_full(error) => "there is no room for the session database",
            Cause::Io(_) | Cause::PreviousIo => {
                "the device of the session database failed: it stays closed until the store is opened anew"
            }
            _ => "the session database could not answer",
        };
        Self {
            what,
            cause: Some(Arc::new(cause)),
        }
    }

    /// A bug of the database, found by its panic.
    pub(crate) fn panicked() -> Self {
        Self {
            what: "the session database panicked, most likely over a damaged file",
            cause: None,
        }
    }

    /// Somebody else writes to the same database, for too long.
    pub(crate) fn held_up() -> Self {
        Self {
            what: "the application holds a write transaction of the session database",
            cause: None,
        }
    }

    /// Whether there was no room, which is known before anything is written over: the file is
    /// what it was, and may be opened again.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        matches!(self.cause.as_deref(), Some(Cause::Io(error)) if is_full(error))
    }

    /// Whether it lies in the pages that one operation met, so that others may succeed.
    pub(crate) fn is_local(&self) -> bool {
        matches!(
            self.cause.as_deref(),
            Some(Cause::Corrupted(_) | Cause::TransactionPoisoned | Cause::ValueTooLarge(_))
        )
    }

    pub(crate) fn error(&self) -> Error {
        let source = self.cause.clone();
        let source = source.map(|cause| Box::new(cause) as Box<dyn StdError + Send + Sync>);
        Error::could_not(self.what, source).with_retry_after(RETRY_AFTER)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What a read met.
pub(crate) fn of(cause: impl Into<Cause>) -> Error {
    Failure::of(cause.into()).error()
}

/// The store is being dropped, or its thread is gone.
pub(crate) fn ended() -> Error {
    Error::could_not("the session store has ended", None)
}

/// As many operations wait as may.
pub(crate) fn overloaded() -> Error {
    Error::could_not("too many changes wait for the session database", None)
        .with_retry_after(RETRY_AFTER)
}

/// The database failed earlier and is not opened again yet, or never will be.
pub(crate) fn closed() -> Error {
    Error::could_not("the session database failed and is closed", None)
        .with_retry_after(RETRY_AFTER)
}

/// Why a file was not opened.
pub(crate) fn of_open(error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::could_not(
            "the session file is open elsewhere, in another process or by another store: \
             redb is for one at a time",
            Some(Box::new(error)),
        ),
        DatabaseError::UpgradeRequired(version) => Error::misuse(format!(
            "the session file has version {version} of redb's format: convert it first"
        )),
        DatabaseError::Storage(::redb::StorageError::Corrupted(_)) => damaged(Some(error)),
        DatabaseError::Storage(::redb::StorageError::Io(cause)) => of_file(&cause),
        error => of(error),
    }
}

/// The file is not what it was; nothing in it was changed.
pub(crate) fn damaged(cause: Option<DatabaseError>) -> Error {
    let what = "the session file is damaged or none of redb's: restore it, or move it away";
    let source = cause.map(|cause| Box::new(cause) as Box<dyn StdError + Send + Sync>);
    Error::could_not(what, source)
}

/// Why the operating system did not open a file.
pub(crate) fn of_file(cause: &io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match cause.kind() {
        // redb says so of a file that does not begin as one of its own, or ends too early.
        InvalidData | InvalidInput | UnexpectedEof => {
            let copy = io::Error::new(cause.kind(), cause.to_string());
            damaged(Some(DatabaseError::Storage(copy.into())))
        }
        kind if is_full(cause) || is_passing(kind) => {
            let copy = io::Error::new(kind, cause.to_string());
            of(Cause::Io(copy))
        }
        _ => Error::misuse(format!(
            "the session file cannot be opened for reading and writing ({cause}): \
             correct its path or its permissions"
        )),
    }
}

fn is_passing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{Interrupted, Other, OutOfMemory, ResourceBusy, TimedOut, WouldBlock};
    matches!(
        kind,
        Interrupted | Other | OutOfMemory | ResourceBusy | TimedOut | WouldBlock
    )
}

/// Runs what touches the database. It panics over some damage that it does not expect: the
/// caller learns of an outage instead.
pub(crate) fn caught<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    // What is behind the unwound part is not used any more than the database itself, whose locks
    // are poisoned where it matters.
    let act = std::panic::AssertUnwindSafe(act);
    std::panic::catch_unwind(act).unwrap_or_else(|_| Err(Failure::panicked().error()))
}
