//! A file of the database.

use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use ::redb::Database;
use ::redb::backends::FileBackend;

use crate::backend::redb::failure;
use crate::error::Result;

/// A file, and how it is opened.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// Whether it is checked when it is opened.
    pub(crate) check: bool,
    /// Bytes that are kept in memory of it.
    pub(crate) cache: Option<usize>,
}

impl File {
    pub(crate) fn open(&self) -> Result<Database> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options
            .open(&self.path)
            .map_err(|error| failure::of_file(&error))?;
        let backend = FileBackend::new(file).map_err(failure::of_open)?;
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(self.check);
        if let Some(bytes) = self.cache {
            builder.set_cache_size(bytes);
        }
        let database = builder
            .create_with_backend(backend)
            .map_err(failure::of_open)?;
        self.keep_name();
        Ok(database)
    }

    /// The name of a file that was just created survives a crash only if its folder is written.
    #[cfg(unix)]
    fn keep_name(&self) {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // Some file systems cannot, and keep the name without it.
        let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    }

    #[cfg(not(unix))]
    fn keep_name(&self) {}
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}
