//! A log in one file, by the embedded database redb.

mod tables;

use std::fmt;
use std::sync::Arc;

use crate::backend::durability::Durability;
use crate::backend::redb::committer::{Committer, Urgency};
use crate::backend::redb::failure;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{Page, RevocationLog};
use tables::{ENTRY, Own, Tables};

/// A revocation log in one file, by the embedded database [redb](https://www.redb.org): for one
/// machine, without a server. A clone is another handle on the same log.
///
/// What is acknowledged is on the device. It shares the file, the thread that writes and its
/// transactions with a [`RedbStore`](crate::store::RedbStore): what removes logins and what revokes them is synced together
/// when it comes at the same time. Reads are made on the calling thread, by one snapshot.
///
/// Entries go by the `now` of the calls that append: whoever sets the clock of this machine far
/// ahead makes it forget early. When the device has failed, the log is *unavailable*, reads
/// included, for as long as its store takes no changes.
///
/// Numbers and entries are in one file and change in one transaction: a file that is replaced by
/// an older copy is a log that lost its end, and one that is new has another incarnation.
///
/// ```
/// use statewise::store::RedbStore;
///
/// # let folder = std::env::temp_dir().join(format!("statewise-log-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("sessions.redb");
/// let store = RedbStore::open(&path)?;
/// let log = store.log()?;
/// # drop((store, log));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct RedbLog {
    committer: Arc<Committer>,
}

impl RedbLog {
    /// The log in the database that this thread writes.
    pub(crate) fn over(committer: Arc<Committer>) -> Result<Self> {
        failure::caught(|| tables::prepare(committer.engine()))?;
        Ok(Self { committer })
    }

    /// What survives: everything that was acknowledged, as of the
    /// [store](crate::store::RedbStore::durability).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database has failed.
    pub async fn durability(&self) -> Result<Durability> {
        self.committer.durability()
    }

    /// Fails unless everything that was acknowledged survives a crash, which it does.
    ///
    /// # Errors
    ///
    /// As for [`durability`](Self::durability).
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(false)
    }

    /// Adds entries in the transaction of the next group; where the head is then. Writes if there
    /// is anything to write, or if it `must`.
    async fn add(&self, facts: &[Draft], now: Timestamp, must: bool) -> Result<Stamp> {
        let (facts, bytes) = (facts.to_vec(), facts.len() * ENTRY);
        let added = self.committer.submit(Urgency::Ends, bytes, move |rows| {
            let (mut tables, changed) = rows.beside(Tables::open)?;
            let Some(mut own) = tables.own()? else {
                return Ok(Err(missing()));
            };
            let trimmed = tables.trim(&mut own, 2 * facts.len() + 16, now)?;
            for draft in &facts {
                tables.add(&mut own, *draft, now)?;
            }
            if must || trimmed || !facts.is_empty() {
                tables.set(&own)?;
                *changed = true;
            }
            Ok(Ok(own.stamp()))
        });
        added?.await
    }

    /// Reads what was last committed.
    fn look<T>(&self, act: impl FnOnce(&tables::Snapshot, Own) -> tables::Judged<T>) -> Result<T> {
        let engine = self.committer.engine();
        // What a failed database shows may be other than what its file holds.
        if engine.has_failed() {
            return Err(failure::closed());
        }
        engine.read(|snapshot| {
            let tables = tables::Snapshot::open(snapshot, &engine.names)?;
            match tables.own()? {
                Some(own) => act(&tables, own),
                None => Ok(Err(missing())),
            }
        })
    }
}

/// Somebody took the numbers of the log away.
fn missing() -> Error {
    Error::unavailable("the revocation log is damaged, or gone: restore its file, or open it anew")
}

impl RevocationLog for RedbLog {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.add(facts, now, false).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        self.look(|_, own| Ok(Ok(own.stamp())))
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.look(|tables, own| tables.page(&own, from, limit.max(1), now))
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.add(&[], now, true).await.map(drop)
    }
}

impl fmt::Debug for RedbLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbLog")
            .field("committer", &self.committer)
            .finish_non_exhaustive()
    }
}
