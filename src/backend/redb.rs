//! Sessions and revocations in one file, kept by the embedded database redb.

mod builder;
mod change;
mod committer;
mod engine;
mod failure;
mod file;
mod log;
mod store;
mod tables;
mod uses;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::Database;

use crate::backend::durability::{Durability, Survives};
use crate::error::Result;
use crate::login::handle::Handle;
pub use builder::RedbBuilder;
use builder::Source;
use committer::{Committer, Priority};
pub use log::RedbLog;
pub use store::RedbStore;
use tables::{Judged, Rows};

/// Sessions and revocations in one file, kept by the embedded database
/// [redb](https://www.redb.org): for one machine, without a server.
///
/// [`sessions`](Self::sessions) and [`revocations`](Self::revocations) are handles on the same
/// file, and so are clones. A logout is then one transaction and one sync in both.
///
/// ```
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::Redb;
/// # use std::time::Duration;
///
/// # statewise::testkit::block_on(async {
/// # let folder = std::env::temp_dir().join(format!("statewise-redb-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("sessions.redb");
/// let redb = Redb::open(&path).build()?;
/// redb.require_durable().await?;
/// let auth = SessionAuthenticator::builder(redb.sessions())
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// # drop((auth, redb));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), statewise::Error>(()) }).unwrap();
/// ```
///
/// # One process
///
/// The file is locked: one process can open it, and there one [`Redb`]. To share a database with
/// your own tables, or between several [`Redb`] with different prefixes, open it yourself and use
/// [`Redb::over`]. Another process cannot follow its log, not even to read: if services on other
/// machines or in other processes verify tokens, use a log that they share.
///
/// # Group commit
///
/// A login, a logout, a rotation and every other change return when their transaction has been
/// synced to the device. A killed process and a power failure therefore lose none of them. Changes
/// that arrive at the same time share one transaction, made by a thread of the [`Redb`].
///
/// Waiting changes are limited to 4096 and to 64 MiB. Beyond that, further ones are *unavailable*
/// with a time to retry; an eighth of the room is reserved for changes that end logins.
///
/// # When the device fails
///
/// If a transaction cannot be committed, all its callers get *unavailable*: each change may have
/// been done or not, as after any lost answer. From then on nothing is written, and a lookup
/// answers only if its row is in memory.
///
/// After a lack of space, the [`Redb`] opens its file again, at once and then every second, until
/// there is space. After any other failure it is unknown what the device kept: the [`Redb`] stays
/// *unavailable*. Drop it and open it again, which reads and checks the whole file. A database of
/// your own ([`Redb::over`]) is never opened again for you.
///
/// # Dropping it
///
/// Dropping the last handle (the [`Redb`], its stores and its logs) writes the noted uses, ends the
/// thread and closes the file. This takes as long as the device needs to sync.
#[derive(Clone)]
pub struct Redb {
    committer: Arc<Committer>,
    /// The first handle of the next sweep; `None` at the beginning of a round.
    sweep_from: Arc<Mutex<Option<Handle>>>,
}

impl Redb {
    /// Configures a database in the file at `path`, which is created if it is missing.
    pub fn open(path: impl AsRef<Path>) -> RedbBuilder {
        RedbBuilder::new(Source::File(path.as_ref().to_owned()))
    }

    /// Configures a database that your application has opened, and that may have its own tables.
    ///
    /// Logins and logouts wait for write transactions of the application. Several [`Redb`] may
    /// share one database: each sees removals by the others at once, and uses after about a second.
    pub fn over(database: Arc<Database>) -> RedbBuilder {
        RedbBuilder::new(Source::Database(database))
    }

    /// Returns the store of the sessions.
    #[must_use]
    pub fn sessions(&self) -> RedbStore {
        RedbStore(self.clone())
    }

    /// Returns the revocation log.
    #[must_use]
    pub fn revocations(&self) -> RedbLog {
        RedbLog(self.clone())
    }

    /// Returns what survives a crash: everything that was acknowledged, provided that the device
    /// keeps what it reports as synced. After a failover to another
    /// machine, durability is unknown: it depends on the copy of the file that this machine opens.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database has failed.
    pub async fn durability(&self) -> Result<Durability> {
        self.committer.engine().check()?;
        Ok(Durability::new(Survives::All, Survives::Unknown))
    }

    /// Fails unless everything that was acknowledged survives a crash, which is always so.
    ///
    /// # Errors
    ///
    /// As for [`durability`](Self::durability).
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(false)
    }

    /// Returns how many commits this database has begun. The number of changes divided by it is the
    /// average size of a group.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.committer.engine().commits()
    }

    /// Queues a change and waits until its transaction is synced.
    async fn commit<T, F>(&self, priority: Priority, bytes: usize, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Rows<'_>) -> Judged<T> + Send + 'static,
    {
        self.committer.submit(priority, bytes, act)?.await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb")
            .field("waiting_changes", &self.committer.waiting())
            .field("noted_uses", &self.committer.uses().len())
            .field("commits", &self.commits())
            .finish_non_exhaustive()
    }
}
