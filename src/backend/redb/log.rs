//! A revocation log in a file of redb.

pub(crate) mod tables;

use crate::backend::redb::Redb;
use crate::backend::redb::committer::Priority;
use crate::backend::redb::tables::{Judged, Rows};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{Page, RevocationLog};
use tables::{ENTRY_BYTES, Head, Snapshot, Writer};

/// A revocation log in one file, kept by the embedded database [redb](https://www.redb.org): for
/// one machine, without a server. Made by [`Redb::revocations`](crate::store::Redb::revocations).
///
/// An acknowledged entry is on the device. The log shares the file, the writing thread and its
/// transactions with the [`RedbStore`](crate::store::RedbStore): removals of logins and revocations
/// that arrive at the same time are synced together. Reads run on the calling thread and see one
/// snapshot.
///
/// Entries expire by the `now` of the calls that append: setting the clock of this machine far
/// ahead makes the log forget entries early. After the device has failed, the log is *unavailable*,
/// reads included, until the database takes changes again.
///
/// Head and entries are in one file and change in one transaction. If you replace the file by an
/// older copy, the log has lost its end. A new file has another incarnation.
///
/// ```
/// use statewise::store::Redb;
///
/// # let folder = std::env::temp_dir().join(format!("statewise-log-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("sessions.redb");
/// let redb = Redb::open(&path).build()?;
/// let log = redb.revocations();
/// # drop((redb, log));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedbLog(pub(crate) Redb);

impl RedbLog {
    /// Appends `facts` and returns the new head. Writes if there is anything to write, or if
    /// `always`.
    async fn write(&self, facts: &[Draft], now: Timestamp, always: bool) -> Result<Stamp> {
        let (facts, bytes) = (facts.to_vec(), facts.len() * ENTRY_BYTES);
        let append = move |rows: &mut Rows<'_>| {
            let mut tables = Writer::open(rows.transaction, rows.names)?;
            let Some(mut head) = tables.head()? else {
                return Ok(Err(damaged()));
            };
            let trimmed = tables.trim(&mut head, 2 * facts.len() + 16, now)?;
            for draft in &facts {
                tables.add(&mut head, *draft, now)?;
            }
            if always || trimmed || !facts.is_empty() {
                tables.set_head(&head)?;
                rows.changed = true;
            }
            Ok(Ok(head.stamp()))
        };
        self.0.commit(Priority::EndsLogins, bytes, append).await
    }

    /// Reads the last committed state.
    fn look<T>(&self, act: impl FnOnce(&Snapshot, Head) -> Judged<T>) -> Result<T> {
        let engine = self.0.committer.engine();
        engine.check()?;
        engine.read(|snapshot| {
            let tables = Snapshot::open(snapshot, &engine.names)?;
            match tables.head()? {
                Some(head) => act(&tables, head),
                None => Ok(Err(damaged())),
            }
        })
    }
}

impl RevocationLog for RedbLog {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.write(facts, now, false).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        self.look(|_, head| Ok(Ok(head.stamp())))
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        // Each fence is a commit.
        let commits = self.0.commits();
        let page = self.look(|tables, head| tables.page(&head, from, limit.max(1), now))?;
        Ok(page.with_fences(commits))
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.write(&[], now, true).await.map(drop)
    }
}

/// The head or an entry is missing, or an entry does not decode.
fn damaged() -> Error {
    Error::unavailable(
        "the revocation log is damaged or missing: restore its file, or open the database again",
    )
}
