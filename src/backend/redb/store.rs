//! Sessions in a file of redb.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use ::redb::ReadableTable as _;

use crate::backend::redb::committer::Priority;
use crate::backend::redb::tables::{Rows, Stored, Subject, decode, get};
use crate::backend::redb::{Redb, lock};
use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::observer::Observer;
use crate::store::answer::{Changed, Created, LiveCount, Removed, Swept};
use crate::store::ask::{Limit, Load, Scope};
use crate::store::listing::{Cursor, Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};
use crate::upkeep::{Chore, Upkeep};

/// Pause between steps of a chore that has nothing to do in them.
const HOUR: Duration = Duration::from_secs(3600);
/// Rows that a sweep reads for each one that it may remove.
const READS_PER_SWEPT_ROW: usize = 4;
/// Rows removed by one step of a sweep.
const MAX_SWEPT_ROWS: usize = 4096;
/// Expired rows of the same subject that a new login removes.
const MAX_CLEARED_ROWS: usize = 64;

/// Sessions in one file, kept by the embedded database [redb](https://www.redb.org): for one
/// machine, without a server. Made by [`Redb::sessions`](crate::store::Redb::sessions).
///
/// Changes return when they are on the device; see [`Redb`]. Lookups run on the
/// calling thread and read from memory or from the file.
///
/// A use is noted in memory, counts at once for all readers of this database handle, and is written
/// about a second later, or when the last handle is dropped. A crash loses the uses of that second:
/// a session may end early, as if it had not been used since the use before, and never late. A use
/// at least half of the idle timeout after the one before is written at once, so that a crash ends
/// a session early by at most half of that timeout.
#[derive(Clone, Debug)]
pub struct RedbStore(pub(crate) Redb);

/// Chore that writes the noted uses before the process ends. Until then, a thread writes them.
#[derive(Debug)]
struct WriteUses(Redb);

impl Chore for WriteUses {
    fn step<'a>(&'a self, _: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(ready(Ok(HOUR)))
    }

    fn finish<'a>(&'a self, _: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let noted = self.0.committer.uses();
            let all = Arc::new(noted.some(noted.len()));
            let written = Arc::clone(&all);
            let write = move |rows: &mut Rows<'_>| Ok(Ok(rows.write_uses(&all)?));
            self.0.commit(Priority::Normal, 0, write).await?;
            noted.forget(&written);
            Ok(())
        })
    }
}

impl RedbStore {
    /// Counts the sessions that have not expired at `now`, and their users, in one snapshot. It reads
    /// all sessions on the calling thread, which takes some seconds for a million of them: call it for
    /// a statistic, on a thread that may block.
    ///
    /// A session counts until the timeouts with which it was stored. An authenticator with shorter
    /// timeouts may reject some of the counted sessions.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the file cannot be read.
    pub fn count_live(&self, now: Timestamp) -> Result<LiveCount> {
        let (engine, uses) = (self.0.committer.engine(), self.0.committer.uses());
        let _held = uses.hold();
        engine.read(|snapshot| {
            let index = snapshot.open_table(engine.names.index())?;
            let rows = snapshot.open_table(engine.names.rows())?;
            let (mut live, mut last) = (LiveCount::default(), None);
            for login in index.iter()? {
                let (login, _) = login?;
                let (subject, _, handle) = login.value();
                let handle = Handle::from_bytes(*handle);
                let noted = uses.of(handle);
                if let Ok(Some(row)) = get(&rows, handle, noted)?
                    && row.is_alive(now)
                    && !noted.removing
                {
                    live.logins += 1;
                    // The index is sorted by subject.
                    live.subjects += u64::from(last != Some(*subject));
                    last = Some(*subject);
                }
            }
            Ok(Ok(live))
        })
    }

    /// Reads the row of a handle, overlaid with its unwritten use. Returns `true` with it if it is
    /// live, and no transaction is removing it.
    fn look(&self, handle: Handle, now: Timestamp) -> Result<Option<(Record, bool)>> {
        let engine = self.0.committer.engine();
        // Before the row: a use is forgotten only after it was committed.
        let noted = self.0.committer.uses().of(handle);
        let found = engine.read(|snapshot| {
            let rows = snapshot.open_table(engine.names.rows())?;
            get(&rows, handle, noted)
        })?;
        Ok(found.map(|row| {
            let is_live = row.is_alive(now) && !noted.removing;
            (row, is_live)
        }))
    }

    /// Finds at most `limit` expired rows from where the last sweep ended. Returns them, and `true`
    /// unless the round is complete.
    fn expired(&self, limit: usize, now: Timestamp) -> Result<(Vec<Handle>, bool)> {
        let (engine, uses) = (self.0.committer.engine(), self.0.committer.uses());
        let mut sweep_from = lock(&self.0.sweep_from);
        let from = sweep_from.map_or([0; 16], |handle| *handle.as_bytes());
        let (expired, next) = engine.read(|snapshot| {
            let rows = snapshot.open_table(engine.names.rows())?;
            let mut expired = Vec::new();
            for (count, row) in rows.range::<&[u8; 16]>(&from..)?.enumerate() {
                let (handle, bytes) = row?;
                let handle = Handle::from_bytes(*handle.value());
                if count >= limit * READS_PER_SWEPT_ROW || expired.len() >= limit {
                    return Ok(Ok((expired, Some(handle))));
                }
                // An unreadable row stays: a later version may have written it.
                if let Ok(row) = decode(handle, bytes.value(), uses.of(handle))
                    && !row.is_alive(now)
                {
                    expired.push(handle);
                }
            }
            Ok(Ok((expired, None)))
        })?;
        *sweep_from = next;
        Ok((expired, next.is_some()))
    }

    /// Finds the row of a handle in a transaction, which removes it if it has expired.
    async fn find_live(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let find = move |rows: &mut Rows<'_>| rows.find_live(handle, now);
        // Not the reserved room: an attacker may present expired credentials.
        self.0.commit(Priority::Normal, 0, find).await
    }
}

/// Returns the logins of `subject` that must be removed so that one more fits `limit`; `None` if
/// the limit rejects another one. Removes some expired rows of the subject.
fn to_evict(
    rows: &mut Rows<'_>,
    subject: &str,
    limit: Limit,
    now: Timestamp,
) -> Stored<Option<Vec<Record>>> {
    if limit == Limit::Unlimited {
        return Ok(Some(Vec::new()));
    }
    let (mut alive, mut cleared) = (Vec::new(), 0);
    for login in rows.logins(Subject::of(subject))? {
        // An unreadable row does not count: no client can log in with it.
        match rows.find(login.handle)? {
            Ok(Some(row)) if row.subject() != subject => {}
            Ok(Some(row)) if row.is_alive(now) => alive.push(row),
            Ok(Some(row)) if cleared < MAX_CLEARED_ROWS => {
                cleared += 1;
                alive.extend(rows.remove_expired(row, now)?);
            }
            _ => {}
        }
    }
    Ok(limit.pick(alive, |row| (row.last_seen(), row.into())))
}

impl SessionStore for RedbStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let record = record.clone();
        let bytes = record.encode().len();
        let create = move |rows: &mut Rows<'_>| {
            if !matches!(rows.find(record.handle())?, Ok(None)) {
                return Ok(Ok(Created::Duplicate));
            }
            let Some(evicted) = to_evict(rows, record.subject(), limit, now)? else {
                return Ok(Ok(Created::LimitReached));
            };
            for row in &evicted {
                rows.remove(row)?;
            }
            rows.insert(&record)?;
            let evicted = evicted.iter().map(Record::handle).collect();
            Ok(Ok(Created::Stored { evicted }))
        };
        self.0.commit(Priority::Normal, bytes, create).await
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        match self.look(handle, now)? {
            Some((_, false)) => self.find_live(handle, now).await,
            found => Ok(found.map(|(row, _)| row)),
        }
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.0.committer.engine().check()?;
        while let Some((row, is_live)) = self.look(handle, now)? {
            if !is_live {
                self.find_live(handle, now).await?;
                continue;
            }
            let mut next = row.clone();
            if !change(&mut next) {
                // No transaction: an attacker with forged credentials delays no other caller.
                return Ok(Some(Changed::new(false, row)));
            }
            let bytes = next.encode().len();
            let swap = move |rows: &mut Rows<'_>| {
                let mut current = match rows.find_live(handle, now)? {
                    Ok(Some(current)) => current,
                    other => return Ok(other),
                };
                let mut next = next.clone();
                next.set_last_seen(next.last_seen().max(current.last_seen()));
                // A use in the meantime is no conflict.
                current.set_last_seen(row.last_seen());
                if current.encode() != row.encode() {
                    return Ok(Ok(None));
                }
                rows.replace(&next)?;
                Ok(Ok(Some(next)))
            };
            if let Some(next) = self.0.commit(Priority::Normal, bytes, swap).await? {
                return Ok(Some(Changed::new(true, next)));
            }
        }
        Ok(None)
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep::of(WriteUses(self.0.clone()))
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], _now: Timestamp) -> Result<()> {
        let mut unnoted = Vec::new();
        for (handle, used_at) in uses {
            match self.look(*handle, *used_at) {
                Ok(Some((mut row, true))) => {
                    // A crash shortens no login by more than half of its idle timeout.
                    let is_overdue = row.is_touch_overdue(*used_at);
                    if row.touch(*used_at)
                        && (is_overdue || !self.0.committer.note(*handle, *used_at))
                    {
                        unnoted.push((*handle, *used_at));
                    }
                }
                Ok(_) => {}
                // One unreadable row does not keep the other uses from being noted.
                Err(error) if error.is_unreadable() => {}
                Err(error) => return Err(error),
            }
        }
        if unnoted.is_empty() {
            return Ok(());
        }
        let bytes = size_of_val(&*unnoted);
        let write = move |rows: &mut Rows<'_>| Ok(Ok(rows.write_uses(&unnoted)?));
        self.0.commit(Priority::Normal, bytes, write).await
    }

    async fn remove(&self, handle: Handle, subject: &str, _now: Timestamp) -> Result<Removed> {
        let subject = Subject::of(subject);
        let remove = move |rows: &mut Rows<'_>| Ok(Ok(rows.remove_handle(handle, subject)?));
        let removed = self.0.commit(Priority::EndsLogins, 0, remove).await?;
        Ok(Removed::at_once(u64::from(removed)))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let subject = subject.to_owned();
        let bytes = subject.len();
        let remove = move |rows: &mut Rows<'_>| {
            let mut count = 0;
            let hash = Subject::of(&subject);
            for login in rows.logins(hash)? {
                let is_meant = match rows.find(login.handle)? {
                    Ok(Some(row)) => row.subject() == subject && row.is_in(&scope),
                    Ok(None) => true,
                    Err(_) => scope.keep != Some(login.handle),
                };
                if is_meant {
                    count += u64::from(rows.remove_login(hash, &login)?);
                }
            }
            Ok(Ok(count))
        };
        let removed = self.0.commit(Priority::EndsLogins, bytes, remove).await?;
        Ok(Removed::at_once(removed))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let (engine, uses) = (self.0.committer.engine(), self.0.committer.uses());
        let limit = page.limit.max(1);
        let _held = uses.hold();
        engine.read(|snapshot| {
            let index = snapshot.open_table(engine.names.index())?;
            let rows = snapshot.open_table(engine.names.rows())?;
            let mut records: Vec<Record> = Vec::new();
            for login in Subject::of(subject).logins(&index, page.after)? {
                let handle = login?.handle;
                let Ok(Some(row)) = get(&rows, handle, uses.of(handle))? else {
                    continue;
                };
                // The first login may be the last one of the page before.
                let is_listed = page.after.is_some_and(|after| Cursor::from(&row) <= after);
                if is_listed || row.subject() != subject || !row.is_alive(now) {
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
        let (expired, more) = self.expired(limit.clamp(1, MAX_SWEPT_ROWS), now)?;
        let Some(first) = expired.first().copied() else {
            return Ok(Swept::new(0, more));
        };
        let bytes = size_of_val(&*expired);
        let remove = move |rows: &mut Rows<'_>| {
            let mut count = 0;
            for handle in &expired {
                // Checked again: the login may have been used since.
                if let Ok(Some(row)) = rows.find(*handle)? {
                    count += u64::from(rows.remove_expired(row, now)?.is_none());
                }
            }
            Ok(Ok(count))
        };
        match self.0.commit(Priority::Normal, bytes, remove).await {
            Ok(removed) => Ok(Swept::new(removed, more)),
            Err(error) => {
                // The next sweep tries these rows again.
                *lock(&self.0.sweep_from) = Some(first);
                Err(error)
            }
        }
    }
}
