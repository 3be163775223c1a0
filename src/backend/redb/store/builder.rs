//! How the database is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::redb::Database;

use crate::backend::redb::committer::Committer;
use crate::backend::redb::engine::Engine;
use crate::backend::redb::failure;
use crate::backend::redb::file::File;
use crate::backend::redb::store::RedbStore;
use crate::backend::redb::tables::Names;
use crate::error::{Error, Result};

/// The longest name.
const MOST: usize = 64;

/// Opens a [`RedbStore`]; made by [`RedbStore::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until a store is opened"]
pub struct RedbBuilder {
    name: String,
    check: bool,
    cache: Option<usize>,
    patience: Duration,
}

impl Default for RedbBuilder {
    fn default() -> Self {
        Self {
            name: "statewise".to_owned(),
            check: true,
            cache: None,
            patience: Duration::from_secs(2),
        }
    }
}

impl RedbBuilder {
    /// What the names of the tables begin with, so that several stores and the application's own
    /// tables can be in one database: letters, digits, `_`, `-` and `.`, at most 64. Default:
    /// `statewise`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether a file is read in full when it is opened, which finds all damage. Without it, a
    /// file that was closed in order is trusted, and opens at once however large it is; after a
    /// crash it is read in any case. Default: yes.
    pub fn check(mut self, check: bool) -> Self {
        self.check = check;
        self
    }

    /// Bytes of memory that may be used to keep parts of the file at hand. Default: redb's, one
    /// gibibyte.
    pub fn cache(mut self, bytes: usize) -> Self {
        self.cache = Some(bytes);
        self
    }

    /// How long a change waits for a write transaction of the application, which is only there in
    /// a database of its own ([`open_in`](Self::open_in)). Beyond it, the change is *unavailable*.
    /// Default: two seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.patience = deadline;
        self
    }

    /// Opens the file, or creates it, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// *Misuse*: the name is not allowed, the file cannot be opened for reading and writing, or
    /// its tables are of another kind. *Unavailable*: it is open elsewhere, be it in another
    /// process that is about to end; it is damaged, or the device failed. Nothing is changed or
    /// deleted in either case.
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore> {
        let names = self.names()?;
        let file = File {
            path: path.as_ref().to_owned(),
            check: self.check,
            cache: self.cache,
        };
        let database = failure::caught(|| file.open())?;
        self.start(Arc::new(database), Some(file), names)
    }

    /// Keeps sessions in a database that the application has opened, beside its own tables.
    ///
    /// A write transaction of the application keeps logins and logouts waiting. Several stores may
    /// share one database; each learns at once what another one removed, and within about a second
    /// what was used there.
    ///
    /// # Errors
    ///
    /// *Misuse*: the name is not allowed, or there are tables of that name and another kind.
    /// *Unavailable*: the database could not answer.
    pub fn open_in(self, database: Arc<Database>) -> Result<RedbStore> {
        let names = self.names()?;
        self.start(database, None, names)
    }

    fn names(&self) -> Result<Names> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if self.name.is_empty() || self.name.len() > MOST || !self.name.bytes().all(allowed) {
            return Err(Error::misuse(
                "the name of the tables is empty, longer than 64 bytes or has other characters \
                 than letters, digits, `_`, `-` and `.`: choose another",
            ));
        }
        Ok(Names::under(&self.name))
    }

    fn start(self, database: Arc<Database>, file: Option<File>, names: Names) -> Result<RedbStore> {
        let engine = Engine::new(database, file, names, self.patience);
        failure::caught(|| prepare(&engine))?;
        Ok(RedbStore {
            committer: Arc::new(Committer::start(engine)?),
            swept_to: Default::default(),
        })
    }
}

/// Makes the tables, so that whoever reads finds them.
fn prepare(engine: &Engine) -> Result<()> {
    let names = &engine.names;
    let of_table = |error| match error {
        ::redb::TableError::Storage(error) => failure::of(error),
        _ => Error::misuse(
            "the database has tables of this name that are not those of sessions: choose another \
             name",
        ),
    };
    let missing = engine.read(|snapshot| {
        use ::redb::TableError::TableDoesNotExist;
        let rows = snapshot.open_table(names.rows()).map(drop);
        let index = snapshot.open_table(names.index()).map(drop);
        Ok(match rows.and(index) {
            Ok(()) => Ok(false),
            Err(TableDoesNotExist(_)) => Ok(true),
            Err(error) => Err(of_table(error)),
        })
    })?;
    if missing {
        let transaction = engine.begin_write().map_err(|failure| failure.error())?;
        drop(transaction.open_table(names.rows()).map_err(of_table)?);
        drop(transaction.open_table(names.index()).map_err(of_table)?);
        engine
            .commit(transaction)
            .map_err(|failure| failure.error())?;
    }
    Ok(())
}
