//! Store that serves sessions from the memory of every node.

mod builder;
mod cache;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::CachedBuilder;

use crate::backend::cached::cache::{Cache, Entry, Query};
use crate::base::semaphore::Semaphore;
use crate::base::single_flight::{CallOutcome, Role, SingleFlight};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::login::stamp::Stamp;
use crate::revocation::log::{Fact, SubjectKey};
use crate::revocation::{LoginStatus, RevocationView};
use crate::store::answer::{Peeked, Updated};
use crate::store::ask::Update;
use crate::store::contract::{
    ChangeFn, Changed, Created, Limit, Listing, Load, Page, Record, Removed, Rotated, Rotation,
    Scope, SessionStore, Swept,
};
use crate::store::ended::remove_ended;
use crate::store::record_ref::RecordRef;
use crate::upkeep::Upkeep;

/// Cache in front of a store that several nodes share. Every node serves sessions from its own
/// memory, and a revocation log invalidates the copies.
///
/// A verification is answered from a copy of the row, without I/O, while the copy is young enough
/// and the [`RevocationView`] has no entry against it. The node on which a logout, a change or a
/// detected theft happens appends it to the log. All nodes obey it within the
/// [bound](RevocationView::bound) of the view. A node that may have missed an entry asks the store.
///
/// Three rules together keep a stale copy from being served, whatever is delayed and for however
/// long: the view is asked on *every* hit; the age of a copy counts from *before* the store was
/// queried; and an entry stays in the view for longer than a copy lives.
///
/// Two things may be noticed late, by at most the maximum age of a copy. A credential that another
/// node has replaced still counts as the current one, so a theft may be noticed that much later.
/// And if a logout cannot be appended to the log, it takes effect when the copy expires;
/// [`revoke`](crate::Authenticator::revoke) then returns that time.
/// [`Presented::authoritative`](crate::Presented::authoritative) asks the store in any case.
///
/// Each changed login is one entry of the log.
/// [`update_all`](crate::Authenticator::update_all) therefore appends as many entries, in as many calls,
/// as it changes logins of the user, up to sixteen calls at the same time. It answers the bound if the log
/// took all entries. Otherwise, or if a login had the new values already, it answers the maximum age of a
/// copy: an earlier call may have failed to append.
///
/// Make each call through an authenticator over this cached store. One over the same store without the cache, such as
/// an administration that is another program, appends nothing: its logouts answer
/// [`Immediate`](crate::Revocation::Immediate), and the copies still serve the logins until they expire.
///
/// ```
/// use std::time::Duration;
/// use statewise::revocation::{MemoryLog, RevocationView};
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::{CachedStore, MemoryStore};
///
/// // In production all nodes share one log and one store. These are in memory.
/// let view = RevocationView::builder(MemoryLog::new()?)
///     .max_lifetime(Duration::from_secs(12 * 3600))
///     .build()?;
/// let store = CachedStore::builder(MemoryStore::with_capacity(100_000)?, &view).build()?;
/// let auth = SessionAuthenticator::builder(store)
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// // Spawn this upkeep: it follows the log.
/// let upkeep = auth.store().view().upkeep();
/// # drop(upkeep);
/// # Ok::<(), statewise::Error>(())
/// ```
pub struct CachedStore<S> {
    inner: Arc<S>,
    view: RevocationView,
    cache: Cache,
    flights: SingleFlight<Handle>,
    loads: Semaphore,
    max_age_secs: u64,
    refuses_when_stale: bool,
}

impl<S: SessionStore> CachedStore<S> {
    /// Returns the shared store. A change that you make there directly is not appended to the log:
    /// nodes may serve copies of the old row until these expire.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the view that invalidates the copies.
    #[must_use]
    pub fn view(&self) -> &RevocationView {
        &self.view
    }

    /// Returns the number of copies in memory.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.cache.len()
    }

    /// Answers a load from memory; `None` if the store must be queried.
    #[inline]
    fn cached(&self, handle: Handle, now: Timestamp) -> Option<Option<Record>> {
        let entry = self.cache.get(handle, now)?;
        let is_served = self.serves(&entry, handle, now)?;
        Some(entry.row.filter(|_| is_served))
    }

    /// Returns whether a cached row is served, or its login counts as absent; `None` if the store
    /// must be queried.
    #[inline]
    fn serves(&self, entry: &Entry, handle: Handle, now: Timestamp) -> Option<bool> {
        let Some(row) = &entry.row else {
            return self.view.is_fresh(now).then_some(false);
        };
        let status = |stamp| self.view.status(handle, row.subject(), stamp, now);
        let status = match status(row.stamp())? {
            LoginStatus::Ended => return Some(false),
            LoginStatus::EndedWithSubject | LoginStatus::LostStamp { everything: false } => {
                status(Some(entry.seen))?
            }
            status => status,
        };
        match status {
            LoginStatus::Active => {}
            LoginStatus::Changed(version) if row.version() >= version => {}
            // The store knows: it has removed the logins that have ended.
            _ => return None,
        }
        // A copy may lack the latest use, so an idle one is no reason to reject: query the store.
        row.is_alive(now).then_some(true)
    }

    /// Loads a row from the store, within the limit of concurrent loads, and caches it.
    async fn query(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let query = self.begin_query(handle, now);
        let permit = self.loads.acquire().await;
        let row = self.inner.load(handle, load, now).await?;
        drop(permit);
        query.store(row.clone());
        match row {
            Some(row) if self.has_ended(&row, now)? => Ok(None),
            row => Ok(row),
        }
    }

    /// Call it before you query the store.
    fn begin_query(&self, handle: Handle, now: Timestamp) -> Query<'_> {
        self.cache.begin(handle, now, self.view.applied_stamp())
    }

    /// Returns whether the login of a row has ended, although the row is still in the store.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the next read of the log will tell.
    fn has_ended(&self, row: &Record, now: Timestamp) -> Result<bool> {
        let (handle, stamp) = (row.handle(), row.stamp());
        self.view.has_ended(handle, row.subject(), stamp, now)
    }

    /// Removes the rows of a subject's logins that have ended with everything. Returns whether
    /// there were any.
    async fn clear_ended(&self, subject: &str, now: Timestamp) -> Result<bool> {
        let has_ended = |row: &Record| matches!(self.has_ended(row, now), Ok(true));
        remove_ended(&self.inner, subject, now, has_ended).await
    }

    /// Notifies the other nodes of a changed row, and returns when they see the change. If this fails,
    /// they see it when their copies expire.
    async fn publish_change(&self, record: &Record) -> Revocation {
        let (handle, version) = (record.handle(), record.version());
        let fact = Fact::Changed { handle, version };
        self.publish(&[fact], Revocation::Immediate).await
    }

    /// Appends facts to the log. Returns when an act that has effect on the store at `effective`
    /// has effect on all nodes.
    async fn publish(&self, facts: &[Fact], effective: Revocation) -> Revocation {
        let appended = self.view.append(facts, self.staleness()).await;
        match effective {
            // The copies expire in any case.
            Revocation::Immediate if appended.is_ok() => {
                Revocation::Within(self.view.bound().min(self.staleness()))
            }
            Revocation::Immediate => Revocation::Within(self.staleness()),
            later => later,
        }
    }
}

/// A login without an answer. It may have evicted others, so its drop forgets the copies of the
/// subject.
struct Unanswered<'c>(Option<(&'c Cache, &'c str)>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some((cache, subject)) = self.0 {
            cache.forget_subject(subject);
        }
    }
}

impl<S: SessionStore> SessionStore for CachedStore<S> {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let query = self.begin_query(record.handle(), now);
        let mut unanswered = Unanswered(limit.evicts().then_some((&self.cache, record.subject())));
        let mut created = self.inner.create(record, limit, now).await?;
        if matches!(created, Created::LimitReached)
            && self.clear_ended(record.subject(), now).await?
        {
            created = self.inner.create(record, limit, now).await?;
        }
        unanswered.0 = None;
        if let Created::Stored { evicted } = &created {
            if !evicted.is_empty() {
                evicted.iter().for_each(|handle| self.cache.forget(*handle));
                let facts: Vec<_> = evicted.iter().map(|handle| Fact::Login(*handle)).collect();
                // If this fails, the copies of the evicted sessions still expire.
                let _ = self.publish(&facts, Revocation::Immediate).await;
            }
            query.store_new(record.clone());
        } else {
            self.cache.forget(record.handle());
        }
        Ok(created)
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        if !self.view.is_fresh(now) {
            let effect = match self.refuses_when_stale {
                true => "cached sessions are unavailable",
                false => "the cache asks its store each time",
            };
            self.view.note_stale(now, effect);
            if self.refuses_when_stale {
                return Err(Error::could_not("the revocation view is stale", None));
            }
            return self.query(handle, load, now).await;
        }
        if load.authoritative {
            return self.query(handle, load, now).await;
        }
        loop {
            if let Some(row) = self.cached(handle, now) {
                return Ok(row);
            }
            let leader = match self.flights.join(handle) {
                Role::Leader(leader) => leader,
                Role::Follower(call) => match call.outcome().await {
                    CallOutcome::Succeeded => {
                        return match self.cached(handle, now) {
                            Some(row) => Ok(row),
                            // The copy does not decide: each follower queries the store.
                            None => self.query(handle, load, now).await,
                        };
                    }
                    CallOutcome::Failed => {
                        let what = "the store could not answer another request";
                        return Err(Error::could_not(what, None));
                    }
                    CallOutcome::Abandoned => continue,
                },
            };
            let row = self.query(handle, load, now).await;
            leader.finish(if row.is_ok() {
                CallOutcome::Succeeded
            } else {
                CallOutcome::Failed
            });
            return row;
        }
    }

    #[inline]
    fn peek<T>(
        &self,
        handle: Handle,
        now: Timestamp,
        look: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Peeked<T> {
        let peeked = self.cache.peek(handle, now, |entry| {
            let is_served = self.serves(entry, handle, now)?;
            Some(match &entry.row {
                Some(row) if is_served => Peeked::Live(look(row.into())),
                _ => Peeked::Absent,
            })
        });
        peeked.unwrap_or(Peeked::NeedsLoad)
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let query = self.begin_query(handle, now);
        let rotated = self.inner.rotate(handle, rotation, now).await?;
        match &rotated {
            Rotated::Done(row) | Rotated::Unchanged(row) => {
                // Every other way to end it removes the row, so only this one is checked.
                let view = &self.view;
                if view.has_ended_with_everything(handle, row.stamp(), now)? {
                    return Ok(Rotated::Absent);
                }
                query.store(Some(row.clone()));
            }
            Rotated::Absent => self.cache.forget(handle),
        }
        Ok(rotated)
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let query = self.begin_query(handle, now);
        let changed = self.inner.change(handle, now, change).await?;
        match &changed {
            Some(Changed {
                changed: true,
                record,
                ..
            }) => {
                query.store(Some(record.clone()));
                let _when = self.publish_change(record).await;
            }
            _ => self.cache.forget(handle),
        }
        Ok(changed)
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let query = self.begin_query(handle, now);
        let updated = self.inner.update(handle, expected, update, now).await?;
        let Updated::Done { record, effective } = updated else {
            self.cache.forget(handle);
            return Ok(updated);
        };
        query.store(Some(record.clone()));
        let effective = effective.or_later(self.publish_change(&record).await);
        Ok(Updated::Done { record, effective })
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        self.inner.confirm(handle, generation, now).await?;
        self.cache.change(handle, |row| {
            row.confirm(generation, now);
        });
        Ok(())
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        // Of many concurrent uses of a session, only the first goes to the store.
        let mut fresh = uses.to_vec();
        fresh.retain(|(handle, used_at)| self.cache.touch(*handle, *used_at));
        if fresh.is_empty() {
            return Ok(());
        }
        let touched = self.inner.touch(&fresh, now).await;
        if touched.is_err() {
            // The store has not noted them: the copies must not claim otherwise.
            fresh
                .iter()
                .for_each(|(handle, _)| self.cache.forget(*handle));
        }
        touched
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        // The store first: after the entry a node could forget its copy, and load the row again.
        let removed = self.inner.remove(handle, subject, now).await?;
        self.cache.forget(handle);
        let effective = self
            .publish(&[Fact::Login(handle)], removed.effective)
            .await;
        Ok(Removed::with_effect(removed.count, effective))
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        let removed = self.inner.remove_subject(subject, scope, now).await?;
        self.cache.forget_subject(subject);
        // For a kept session, and for new ones of the subject, each node queries the store again.
        let fact = Fact::Subject {
            subject: SubjectKey::of(subject),
            before: scope.before.map(Stamp::position),
        };
        // Kept as long as a login can be in progress that continues an older one.
        let life = self.view.max_lifetime();
        let Ok(stamp) = self.view.append(&[fact], life).await else {
            let effective = Revocation::Within(self.staleness());
            return Ok(Removed::with_effect(removed.count, effective));
        };
        // Logins that had begun before the entry and were stored after the first removal.
        let late = Scope {
            before: scope.before.or(Some(stamp)),
            ..scope
        };
        let late = self.inner.remove_subject(subject, late, now).await?;
        let bound = self.view.bound().min(self.staleness());
        Ok(Removed::with_effect(
            removed.count + late.count,
            Revocation::Within(bound),
        ))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let mut listing = self.inner.list(subject, page, now).await?;
        // A login is listed if the view cannot decide yet.
        let is_alive = |row: &Record| !matches!(self.has_ended(row, now), Ok(true));
        listing.records.retain(is_alive);
        Ok(listing)
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.inner.sweep(limit, now).await
    }

    async fn begin(&self, _: Timestamp) -> Result<Option<Stamp>> {
        self.view.stamp().await.map(Some)
    }

    async fn check_new(&self, record: &Record, began: Option<Stamp>, _: Timestamp) -> Result<()> {
        // `remove_subject` removes rows, appends its entry, and removes rows again. Either its second
        // removal finds this row, or this check finds its entry.
        match record.stamp().zip(began) {
            Some((stamp, began)) => self.view.check_new(stamp, began, record.subject()).await,
            None => Ok(()),
        }
    }

    async fn outdate(&self, subject: &str, _: Timestamp) -> Result<()> {
        self.view.outdate(subject).await
    }

    fn staleness(&self) -> Duration {
        Duration::from_secs(self.max_age_secs)
    }

    /// `revoke_everything` leaves the rows in the store, so its entry must outlive them.
    fn max_lifetime(&self) -> Duration {
        self.view.max_lifetime()
    }

    fn upkeep(&self) -> Upkeep {
        self.inner.upkeep().and(self.view.upkeep())
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("inner", &self.inner)
            .field("view", &self.view)
            .field("max_age", &self.max_age_secs)
            .finish_non_exhaustive()
    }
}
