//! Sessions in one file, by the embedded database redb.

mod builder;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::durability::Durability;
use crate::backend::redb::committer::{Committer, Urgency};
use crate::backend::redb::failure;
use crate::backend::redb::tables::{self, Found, Judged, Rows, Subject, decode, handle_in};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::revocation::RedbLog;
use crate::store::answer::{Changed, Created, Removed, Swept};
use crate::store::ask::{Limit, Load, Scope};
use crate::store::listing::{Cursor, Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};
pub use builder::RedbBuilder;

/// Rows that a sweep looks at for each one that it may remove, and the most that it may.
const LOOKS: usize = 4;
const MOST_SWEPT: usize = 4096;
/// Rows found over that a new login of the same subject clears away.
const CLEARED: usize = 64;

/// Sessions in one file, by the embedded database [redb](https://www.redb.org): for one machine,
/// without a server.
///
/// What is acknowledged is on the device: login, logout, rotation and every other change return
/// when the transaction that holds them has been synced, and a process that is killed, or a machine
/// that loses power, loses none of them. Changes that come at the same time share one transaction
/// (group commit), made by a thread that belongs to the store. Uses are noted in memory, count
/// from then on for everybody who asks this store, and are written about a second later; a crash
/// loses that second, so that a session may go idle that much early.
///
/// Lookups read on the calling thread, from memory or from the file. The file is locked: it can be
/// open in one process, and there by one store; further stores share the database
/// ([`RedbBuilder::open_in`]).
///
/// What waits to be written is bounded: beyond 4096 changes or 64 MiB, further ones are
/// *unavailable* with a time to retry, logins before logouts.
///
/// # When the device fails
///
/// A group that could not be committed is *unavailable* for all its callers: it may have been done
/// or not, as after any answer that was lost. From then on nothing is written, and lookups answer
/// for as long as what they ask for is in memory. If there was no room, the store opens its file
/// again, at once and then every second, and goes on where it was when there is room. After any
/// other failure nobody can tell what the device keeps: the store stays *unavailable* until it is
/// opened anew, which reads and checks the whole file. A database of the application's own
/// ([`RedbBuilder::open_in`]) is for the application to open anew.
///
/// # Dropping it
///
/// Writes the uses that are noted, ends the thread and closes the file, which may take as long as
/// the device takes to sync. With a [`RedbLog`] beside it, the last of
/// the two does.
///
/// ```
/// use statewise::store::RedbStore;
///
/// # let folder = std::env::temp_dir().join(format!("statewise-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("sessions.redb");
/// let store = RedbStore::open(&path)?;
/// # drop(store);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), statewise::Error>(())
/// ```
pub struct RedbStore {
    committer: Arc<Committer>,
    /// Where the next sweep begins; `None` at the beginning of a round.
    swept_to: Mutex<Option<Handle>>,
}

impl RedbStore {
    /// Opens the file at `path`, or creates it; see [`RedbBuilder::open`], also for the errors.
    ///
    /// # Errors
    ///
    /// *Misuse* or *unavailable*; the file is left as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path)
    }

    /// Opens a file, or a database of the application's own, in another way than usual.
    pub fn builder() -> RedbBuilder {
        RedbBuilder::default()
    }

    /// The revocation log beside the sessions, in the same database and under the same
    /// [name](RedbBuilder::name), or a new one. The file stays open until both are dropped.
    ///
    /// # Errors
    ///
    /// *Misuse*: there are tables of that name and another kind. *Unavailable*: the database could
    /// not answer, or the operating system gives no random bytes.
    pub fn log(&self) -> Result<RedbLog> {
        RedbLog::over(Arc::clone(&self.committer))
    }

    /// What survives: everything that was acknowledged, if the device keeps what it says that it
    /// has synced. There is no other machine to take over.
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

    /// How many transactions this store has begun to commit. Divided by the number of changes it
    /// tells how well they are grouped.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.committer.engine().commits()
    }

    /// The row of a handle with the uses that are noted, and whether a change that is under way
    /// has found it over.
    fn look(&self, handle: Handle) -> Result<Option<(Record, bool)>> {
        let (engine, touches) = (self.committer.engine(), self.committer.touches());
        // Before the row: what is not noted any more has been committed.
        let noted = touches.of(handle);
        let found = engine.read(|snapshot| tables::read(snapshot, &engine.names, handle))?;
        Ok(found.map(|mut row| {
            noted.over(&mut row);
            (row, noted.doomed)
        }))
    }

    /// Hands an operation to the committer and waits for the transaction that holds it.
    async fn commit<T, F>(&self, urgency: Urgency, bytes: usize, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Rows<'_>) -> Judged<T> + Send + 'static,
    {
        self.committer.submit(urgency, bytes, act)?.await
    }

    /// Finds out for good whether a row is over, and removes it if so.
    async fn settle(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        // Whoever presents credentials that are over takes none of the room of logouts.
        self.commit(Urgency::Usual, 0, move |rows| rows.live(handle, now))
            .await
    }

    /// Some rows that are over, from where the last sweep ended; whether the round goes on.
    fn candidates(&self, limit: usize, now: Timestamp) -> Result<(Vec<Handle>, bool)> {
        let (engine, touches) = (self.committer.engine(), self.committer.touches());
        let mut swept_to = self.swept_to.lock().unwrap_or_else(PoisonError::into_inner);
        let from = *swept_to;
        let (over, reached) = engine.read(|snapshot| {
            let rows = snapshot.open_table(engine.names.rows())?;
            let from = from.map_or([0; 16], |handle| *handle.as_bytes());
            let mut over = Vec::new();
            for (looked, row) in rows.range::<&[u8; 16]>(&from..)?.enumerate() {
                let (handle, bytes) = row?;
                let handle = Handle::from_bytes(*handle.value());
                if looked >= limit.saturating_mul(LOOKS) || over.len() >= limit {
                    return Ok(Ok((over, Some(handle))));
                }
                // What does not decode may be of a later version: it stays.
                if let Ok(mut row) = decode(handle, bytes.value()) {
                    touches.of(handle).over(&mut row);
                    if !row.is_alive(now) {
                        over.push(handle);
                    }
                }
            }
            Ok(Ok((over, None)))
        })?;
        *swept_to = reached;
        Ok((over, reached.is_some()))
    }
}

/// By which it is told whether a row has changed: each change but a use raises one of them.
fn state_of(row: &Record) -> (u64, u32, bool) {
    (row.version, row.generation, row.confirmed)
}

/// Removes what of a subject is over, and says which logins must go so that one more fits the
/// limit; `None` if the limit forbids it.
fn victims(
    rows: &mut Rows<'_>,
    subject: &str,
    limit: Limit,
    now: Timestamp,
) -> std::result::Result<Option<Vec<Record>>, ::redb::Error> {
    let (most, evicts) = match limit {
        Limit::Unlimited => return Ok(Some(Vec::new())),
        Limit::Reject(most) => (most, false),
        Limit::EvictOldest(most) => (most, true),
    };
    let (mut alive, mut cleared) = (Vec::new(), 0);
    for entry in rows.of_subject(Subject::of(subject))? {
        // What does not decode counts for nothing; nobody can log in with it.
        let Found::Row(mut row) = rows.find(handle_in(&entry))? else {
            continue;
        };
        if row.subject() != subject {
            continue;
        }
        if row.is_alive(now) {
            alive.push(row);
        } else if cleared < CLEARED && rows.is_over(&mut row, |row| !row.is_alive(now)) {
            cleared += 1;
            rows.remove(&row)?;
        }
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let excess = (alive.len() + 1).saturating_sub(most);
    if excess > 0 && !evicts {
        return Ok(None);
    }
    // By deadline, as the index has them.
    alive.truncate(excess);
    Ok(Some(alive))
}

impl SessionStore for RedbStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let record = record.clone();
        let bytes = record.encode().len();
        self.commit(Urgency::Usual, bytes, move |rows| {
            if !matches!(rows.find(record.handle())?, Found::Absent) {
                return Ok(Ok(Created::Duplicate));
            }
            let Some(victims) = victims(rows, record.subject(), limit, now)? else {
                return Ok(Ok(Created::LimitReached));
            };
            for victim in &victims {
                rows.remove(victim)?;
            }
            rows.insert(&record)?;
            let evicted = victims.iter().map(Record::handle).collect();
            Ok(Ok(Created::Stored { evicted }))
        })
        .await
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        match self.look(handle)? {
            None => Ok(None),
            Some((row, false)) if row.is_alive(now) => Ok(Some(row)),
            Some(_) => self.settle(handle, now).await,
        }
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        // What a failed database shows may be other than what its file holds.
        if self.committer.engine().has_failed() {
            return Err(failure::closed());
        }
        loop {
            let Some((row, doomed)) = self.look(handle)? else {
                return Ok(None);
            };
            if doomed || !row.is_alive(now) {
                match self.settle(handle, now).await? {
                    Some(_) => continue,
                    None => return Ok(None),
                }
            }
            let mut next = row.clone();
            if !change(&mut next) {
                // No transaction: an attacker who presents forged credentials keeps nobody waiting.
                return Ok(Some(Changed::new(false, row)));
            }
            let bytes = next.encode().len();
            let swapped = self.commit(Urgency::Usual, bytes, move |rows| {
                let current = match rows.live(handle, now)? {
                    Ok(Some(current)) => current,
                    Ok(None) => return Ok(Ok(Some(None))),
                    Err(error) => return Ok(Err(error)),
                };
                if state_of(&current) != state_of(&row) {
                    return Ok(Ok(None));
                }
                let mut next = next.clone();
                next.set_last_seen(next.last_seen().max(current.last_seen()));
                rows.replace(&next)?;
                Ok(Ok(Some(Some(Changed::new(true, next)))))
            });
            if let Some(changed) = swapped.await? {
                return Ok(changed);
            }
        }
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], _now: Timestamp) -> Result<()> {
        let mut left = Vec::new();
        for (handle, seen_at) in uses {
            let row = match self.look(*handle) {
                Ok(row) => row,
                // That one row is beyond noting.
                Err(error) if error.is_rejected() => None,
                Err(error) => return Err(error),
            };
            if let Some((mut row, false)) = row
                && row.touch(*seen_at)
                && !self.committer.note(*handle, *seen_at)
            {
                left.push((*handle, *seen_at));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        // No room to keep them: written at once.
        let bytes = size_of_val(&*left);
        self.commit(Urgency::Usual, bytes, move |rows| {
            rows.write_touches(&left)?;
            Ok(Ok(()))
        })
        .await
    }

    async fn remove(&self, handle: Handle, subject: &str, _now: Timestamp) -> Result<Removed> {
        let subject = Subject::of(subject);
        let removed = self.commit(Urgency::Ends, 0, move |rows| {
            Ok(Ok(rows.remove_handle(handle, subject)?))
        });
        Ok(Removed::at_once(u64::from(removed.await?)))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let subject = subject.to_owned();
        let removed = self.commit(Urgency::Ends, subject.len(), move |rows| {
            let mut removed = 0;
            for entry in rows.of_subject(Subject::of(&subject))? {
                let handle = handle_in(&entry);
                let ends = match rows.find(handle)? {
                    Found::Row(row) => row.subject() == subject && row.is_in(&scope),
                    Found::Unreadable => scope.keep != Some(handle),
                    Found::Absent => true,
                };
                if ends {
                    removed += u64::from(rows.remove_entry(&entry)?);
                }
            }
            Ok(Ok(removed))
        });
        Ok(Removed::at_once(removed.await?))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let (engine, touches) = (self.committer.engine(), self.committer.touches());
        let limit = page.limit.max(1);
        let [first, last] = Subject::of(subject).range(page.after);
        // The uses lie over the snapshot for as long as it is read.
        let _held = touches.hold();
        engine.read(|snapshot| {
            let index = snapshot.open_table(engine.names.index())?;
            let rows = snapshot.open_table(engine.names.rows())?;
            let mut records: Vec<Record> = Vec::new();
            for entry in index.range::<&[u8; 40]>(&first..=&last)? {
                let handle = handle_in(entry?.0.value());
                let Some(bytes) = rows.get(handle.as_bytes())? else {
                    continue;
                };
                let Ok(mut row) = decode(handle, bytes.value()) else {
                    continue;
                };
                touches.of(handle).over(&mut row);
                let listed = page.after.is_some_and(|after| Cursor::from(&row) <= after);
                if listed || row.subject() != subject || !row.is_alive(now) {
                    continue;
                }
                if records.len() == limit {
                    let next = records.last().map(Cursor::from);
                    return Ok(Ok(Listing::new(records, next)));
                }
                records.push(row);
            }
            Ok(Ok(Listing::new(records, None)))
        })
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let limit = limit.clamp(1, MOST_SWEPT);
        let (over, more) = self.candidates(limit, now)?;
        if over.is_empty() {
            return Ok(Swept::new(0, more));
        }
        let bytes = size_of_val(&*over);
        let first = over.first().copied();
        let removed = self.commit(Urgency::Usual, bytes, move |rows| {
            let mut removed = 0;
            for handle in &over {
                // Judged anew: it may have been used since.
                if let Found::Row(mut row) = rows.find(*handle)?
                    && rows.is_over(&mut row, |row| !row.is_alive(now))
                {
                    rows.remove(&row)?;
                    removed += 1;
                }
            }
            Ok(Ok(removed))
        });
        let removed = removed.await;
        if removed.is_err() {
            // They come again.
            *self.swept_to.lock().unwrap_or_else(PoisonError::into_inner) = first;
        }
        Ok(Swept::new(removed?, more))
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("committer", &self.committer)
            .finish_non_exhaustive()
    }
}
