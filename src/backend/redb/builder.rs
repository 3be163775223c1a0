//! Builder of a [`Redb`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::redb::{Database, TableError};

use crate::backend::redb::Redb;
use crate::backend::redb::committer::Committer;
use crate::backend::redb::engine::Engine;
use crate::backend::redb::failure;
use crate::backend::redb::file::File;
use crate::backend::redb::log::tables as log;
use crate::backend::redb::tables::Names;
use crate::entropy::{self, SystemEntropy};
use crate::error::{Error, Result};

/// Length limit of a prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// Configures and opens a [`Redb`]. Made by [`Redb::open`] and [`Redb::over`].
///
/// # Defaults
///
/// | setting | default | unit | reason |
/// |---|---|---|---|
/// | [`prefix`](Self::prefix) | `statewise` | | |
/// | [`check`](Self::check) | `true` | | a damaged file must not serve sessions |
/// | [`cache`](Self::cache) | 1 073 741 824 | bytes | redb's default |
/// | [`deadline`](Self::deadline) | 2 | seconds | |
///
/// ```
/// use std::time::Duration;
/// use statewise::store::Redb;
///
/// # let folder = std::env::temp_dir().join(format!("statewise-built-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("sessions.redb");
/// let redb = Redb::open(&path)
///     .prefix("shop")
///     .cache(64 << 20)
///     .build()?;
/// # drop(redb);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RedbBuilder {
    source: Source,
    prefix: String,
    check: bool,
    cache: Option<usize>,
    deadline: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Database(Arc<Database>),
}

impl RedbBuilder {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            prefix: "statewise".to_owned(),
            check: true,
            cache: None,
            deadline: Duration::from_secs(2),
        }
    }

    /// Sets the prefix of the table names: `statewise` gives `statewise.sessions`. Several
    /// services, and your own tables, can share one database under different prefixes. Allowed are
    /// ASCII letters, digits, `_`, `-` and `.`; at most 64 bytes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets whether to read and check the whole file when it is opened, which finds any damage.
    ///
    /// Without the check, a file that was closed properly opens at once, whatever its size, and
    /// damage in it shows later as *unavailable*. After a crash the file is checked in any case.
    /// Has no effect on a database of your own ([`Redb::over`]).
    pub fn check(mut self, check: bool) -> Self {
        self.check = check;
        self
    }

    /// Sets the size of the cache for parts of the file, in bytes. Has no effect on a database of
    /// your own ([`Redb::over`]).
    pub fn cache(mut self, bytes: usize) -> Self {
        self.cache = Some(bytes);
        self
    }

    /// Sets how long a change waits for an open write transaction of your application before it
    /// fails as *unavailable*. Matters only for a database of your own ([`Redb::over`]).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Opens the file and creates the missing tables. On Unix, only the owner can read and
    /// write a new file.
    ///
    /// # Errors
    ///
    /// *Misuse*: the prefix is not allowed, the file cannot be opened for reading and writing, or
    /// tables with these names and other types exist. *Unavailable*: the file is open
    /// elsewhere, perhaps in a process that is about to end; it is damaged; the device failed; or
    /// the operating system gives no random bytes. A file that cannot be opened is neither changed
    /// nor deleted.
    pub fn build(self) -> Result<Redb> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let length = self.prefix.len();
        if length == 0 || length > MAX_PREFIX_BYTES || !self.prefix.bytes().all(allowed) {
            return Err(Error::misuse(
                "the prefix of the tables is empty, is longer than 64 bytes, or has characters other \
                 than ASCII letters, digits, `_`, `-` and `.`: choose another prefix",
            ));
        }
        let (database, file) = match self.source {
            Source::Database(database) => (database, None),
            Source::File(path) => {
                let (check, cache) = (self.check, self.cache);
                let file = File { path, check, cache };
                (Arc::new(failure::caught(|| file.open())?), Some(file))
            }
        };
        let names = Names::with_prefix(&self.prefix);
        let engine = Engine::new(database, file, names, self.deadline);
        failure::caught(|| create_tables(&engine))?;
        Ok(Redb {
            committer: Arc::new(Committer::start(engine)?),
            sweep_from: Arc::default(),
        })
    }
}

/// Creates the tables that are missing, so that reads find them.
fn create_tables(engine: &Engine) -> Result<()> {
    let names = &engine.names;
    let of_table = |error| match error {
        TableError::Storage(error) => failure::of(error),
        _ => Error::misuse(
            "the database has tables with these names and other types: choose another prefix",
        ),
    };
    let complete = engine.read(|snapshot| {
        let rows = snapshot.open_table(names.rows()).map(drop);
        let index = snapshot.open_table(names.index()).map(drop);
        let log = log::Snapshot::open(snapshot, names);
        Ok(match rows.and(index).and(log) {
            Ok(log) => Ok(log.head()?.is_some()),
            Err(TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(of_table(error)),
        })
    })?;
    if complete {
        return Ok(());
    }
    let incarnation = u64::from_be_bytes(entropy::draw(&SystemEntropy)?);
    let transaction = engine.begin_write()?;
    drop(transaction.open_table(names.rows()).map_err(of_table)?);
    drop(transaction.open_table(names.index()).map_err(of_table)?);
    let mut log = log::Writer::open(&transaction, names).map_err(of_table)?;
    log.begin(incarnation).map_err(failure::of)?;
    drop(log);
    Ok(engine.commit(transaction)?)
}
