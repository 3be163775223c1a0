//! The file of a database, and how it is opened.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use ::redb::Database;
use ::redb::backends::FileBackend;

use crate::backend::redb::failure;
use crate::error::Result;

/// A file and the options with which it is opened.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// Reads and checks the whole file when it is opened.
    pub(crate) check: bool,
    /// Size of redb's cache, in bytes; redb's default if `None`.
    pub(crate) cache: Option<usize>,
}

impl File {
    /// Opens the file, or creates it for its owner alone.
    pub(crate) fn open(&self) -> Result<Database> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path).map_err(failure::of_file)?;
        let backend = FileBackend::new(file).map_err(failure::of_open)?;
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(self.check);
        if let Some(bytes) = self.cache {
            builder.set_cache_size(bytes);
        }
        let database = builder
            .create_with_backend(backend)
            .map_err(failure::of_open)?;
        self.sync_folder();
        Ok(database)
    }

    /// Syncs the folder: without this, a crash may lose the name of a new file.
    fn sync_folder(&self) {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => ".".as_ref(),
        };
        if cfg!(unix) {
            // Some file systems cannot sync a folder, and keep the name without it.
            let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
    }
}
