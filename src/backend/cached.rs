//! Sessions served from the memory of every node.

mod builder;
mod copies;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::CachedBuilder;

use crate::backend::cached::copies::{Ask, Copies};
use crate::base::semaphore::Semaphore;
use crate::base::single_flight::{CallOutcome, Role, SingleFlight};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::login::stamp::Stamp;
use crate::revocation::log::{Fact, SubjectKey};
use crate::revocation::{LoginStatus, RevocationView};
use crate::store::contract::{
    ChangeFn, Changed, Created, Limit, Listing, Load, Page, Record, Removed, Rotated, Rotation,
    Scope, SessionStore, Swept, Update, Updated,
};
use crate::store::ended::clear_ended;
use crate::upkeep::Upkeep;

/// Sessions served from the memory of every node, and kept honest by a revocation log: a store
/// around the one that the nodes share.
///
/// A verification is answered from a copy of the row, without I/O, as long as the copy is young
/// enough and the [`RevocationView`] knows nothing against it. Logout, change and theft are told to
/// the log by the node on which they happen, and obeyed by all within the view's
/// [bound](RevocationView::bound). A node that cannot know whether it missed one asks the store.
///
/// Three rules keep a stale copy from being served, whatever is delayed by however much, and all
/// are needed: the view is asked on *every* hit; a copy's age counts from *before* the store was
/// asked; and a fact stays in the view for longer than a copy lives.
///
/// What a copy may be late with, by at most its age: a credential that was replaced elsewhere is
/// taken for the current one, so that theft may be noticed that much later; and a session whose log
/// could not be told, which [`revoke`](crate::Authenticator::revoke) then says.
/// [`Presented::authoritative`](crate::Presented::authoritative) asks the store in any case.
///
/// ```
/// use std::time::Duration;
/// use statewise::revocation::{MemoryLog, RevocationView};
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::{CachedStore, MemoryStore};
///
/// // A fleet shares a log and a store; these are of one process.
/// let view = RevocationView::builder(MemoryLog::new()?)
///     .max_lifetime(Duration::from_secs(60))
///     .build()?;
/// let store = CachedStore::builder(MemoryStore::with_capacity(100_000)?, &view).build()?;
/// let auth: SessionAuthenticator<_> = SessionAuthenticator::builder(store)
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// // Its upkeep follows the log: spawn it.
/// let upkeep = auth.store().view().upkeep();
/// # drop(upkeep);
/// # Ok::<(), statewise::Error>(())
/// ```
pub struct CachedStore<S> {
    inner: Arc<S>,
    view: RevocationView,
    copies: Copies,
    flights: SingleFlight<Handle>,
    loads: Semaphore,
    /// Seconds.
    max_age: u64,
    refuses_when_stale: bool,
}

impl<S: SessionStore> CachedStore<S> {
    /// The store behind it. What is changed there directly, nobody is told: copies may be served
    /// for as long as they live.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The view that keeps the copies honest.
    #[must_use]
    pub fn view(&self) -> &RevocationView {
        &self.view
    }

    /// How many copies it holds.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// What the copies say about a row; `None` if the store is to be asked.
    #[inline]
    fn hit(&self, handle: Handle, now: Timestamp) -> Option<Option<Record>> {
        let copy = self.copies.get(handle, now)?;
        let Some(row) = copy.row else {
            return self.view.is_fresh(now).then_some(None);
        };
        let status = |stamp| self.view.status(handle, row.subject(), stamp, now);
        let status = match status(row.stamp())? {
            LoginStatus::Ended => return Some(None),
            LoginStatus::EndedWithSubject | LoginStatus::LostStamp { everything: false } => {
                status(Some(copy.seen))?
            }
            status => status,
        };
        match status {
            LoginStatus::Active => {}
            LoginStatus::Changed(version) if row.version() >= version => {}
            // The store decides: it has removed what has ended.
            _ => return None,
        }
        // What a copy knows of uses may be old: nobody is refused for that.
        row.is_alive(now).then_some(Some(row))
    }

    /// Asks the store, when it is its turn, and keeps what it says.
    async fn ask(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let asking = self.asking(handle, now);
        let permit = self.loads.acquire().await;
        let row = self.inner.load(handle, load, now).await?;
        drop(permit);
        asking.keep(row.clone());
        match row {
            Some(row) if self.has_ended(&row, now)? => Ok(None),
            row => Ok(row),
        }
    }

    /// Keeps a row that this node has changed, and tells all others; forgets one that it has not.
    async fn keep_change(&self, asking: Ask<'_>, handle: Handle, row: Option<&Record>) {
        let Some(row) = row else {
            return self.copies.forget(handle);
        };
        asking.keep(Some(row.clone()));
        let version = row.version();
        let fact = Fact::Changed { handle, version };
        // The change is made: where it is not told, copies show it when they have aged.
        let _ = self.publish(&[fact], Revocation::Immediate).await;
    }

    /// The store is about to be asked.
    fn asking(&self, handle: Handle, now: Timestamp) -> Ask<'_> {
        self.copies.ask(handle, now, self.view.applied_stamp())
    }

    /// Whether a row that the store has belongs to a login that has ended all the same.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the next look at the log tells.
    fn has_ended(&self, row: &Record, now: Timestamp) -> Result<bool> {
        let (handle, stamp) = (row.handle(), row.stamp());
        self.view.has_ended(handle, row.subject(), stamp, now)
    }

    /// Removes the logins of a subject that have ended with everything, whose rows are still there;
    /// whether there were any.
    async fn clear_ended(&self, subject: &str, now: Timestamp) -> Result<bool> {
        let has_ended = |row: &Record| matches!(self.has_ended(row, now), Ok(true));
        clear_ended(&self.inner, subject, now, has_ended).await
    }

    /// Tells all nodes that logins have ended, and when that takes effect.
    async fn publish(&self, facts: &[Fact], effective: Revocation) -> Revocation {
        let told = self.view.append(facts, self.staleness()).await;
        match effective {
            // Copies die by themselves in any case.
            Revocation::Immediate if told.is_ok() => {
                Revocation::Within(self.view.bound().min(self.staleness()))
            }
            Revocation::Immediate => Revocation::Within(self.staleness()),
            later => later,
        }
    }
}

impl<S: SessionStore> SessionStore for CachedStore<S> {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let asking = self.asking(record.handle(), now);
        let mut created = self.inner.create(record, limit, now).await?;
        if matches!(created, Created::LimitReached)
            && self.clear_ended(record.subject(), now).await?
        {
            created = self.inner.create(record, limit, now).await?;
        }
        if let Created::Stored { evicted } = &created {
            if !evicted.is_empty() {
                evicted
                    .iter()
                    .for_each(|handle| self.copies.forget(*handle));
                let facts: Vec<_> = evicted.iter().map(|handle| Fact::Login(*handle)).collect();
                // They were to end anyway, and their copies will.
                let _ = self.publish(&facts, Revocation::Immediate).await;
            }
            // Who ends all logins of the subject removes them, says so, and removes them again:
            // either the second time finds this row, or this finds what was said.
            if let Some(stamp) = record.stamp()
                && let Err(error) = self.view.check_since(stamp, record.subject()).await
            {
                // Nobody holds its credential, so that what matters is done already.
                let removal = self.inner.remove(record.handle(), record.subject(), now);
                let _ = removal.await;
                return Err(error);
            }
            asking.keep_new(record.clone());
        } else {
            self.copies.forget(record.handle());
        }
        Ok(created)
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        if !self.view.is_fresh(now) {
            if self.refuses_when_stale {
                return Err(Error::could_not("the revocation view is stale", None));
            }
            return self.ask(handle, load, now).await;
        }
        if load.authoritative {
            return self.ask(handle, load, now).await;
        }
        loop {
            if let Some(row) = self.hit(handle, now) {
                return Ok(row);
            }
            let leader = match self.flights.join(handle) {
                Role::Leader(leader) => leader,
                Role::Follower(call) => match call.outcome().await {
                    CallOutcome::Succeeded => {
                        return match self.hit(handle, now) {
                            Some(row) => Ok(row),
                            // Nothing that a copy could decide.
                            None => self.ask(handle, load, now).await,
                        };
                    }
                    CallOutcome::Failed => {
                        let what = "the store could not answer another request";
                        return Err(Error::could_not(what, None));
                    }
                    CallOutcome::Abandoned => continue,
                },
            };
            let row = self.ask(handle, load, now).await;
            leader.finish(if row.is_ok() {
                CallOutcome::Succeeded
            } else {
                CallOutcome::Failed
            });
            return row;
        }
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let asking = self.asking(handle, now);
        let rotated = self.inner.rotate(handle, rotation, now).await?;
        match &rotated {
            Rotated::Advanced(row) | Rotated::Unchanged(row) => {
                // Whoever ends it otherwise has removed it, or will.
                let view = &self.view;
                if view.has_ended_with_everything(handle, row.stamp(), now)? {
                    return Ok(Rotated::Absent);
                }
                asking.keep(Some(row.clone()));
            }
            Rotated::Absent => self.copies.forget(handle),
        }
        Ok(rotated)
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let asking = self.asking(handle, now);
        let changed = self.inner.change(handle, now, change).await?;
        let done = changed.as_ref().filter(|changed| changed.changed);
        self.keep_change(asking, handle, done.map(|changed| &changed.record))
            .await;
        Ok(changed)
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let asking = self.asking(handle, now);
        let updated = self.inner.update(handle, expected, update, now).await?;
        let done = match &updated {
            Updated::Done(row) => Some(row),
            Updated::Conflict | Updated::Absent => None,
        };
        self.keep_change(asking, handle, done).await;
        Ok(updated)
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        self.inner.confirm(handle, generation, now).await?;
        self.copies.change(handle, |row| {
            row.confirm(generation, now);
        });
        Ok(())
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        // Of many who use a session at the same time, one tells the store.
        let mut fresh = uses.to_vec();
        fresh.retain(|(handle, used_at)| self.copies.touch(*handle, *used_at));
        if fresh.is_empty() {
            return Ok(());
        }
        let touched = self.inner.touch(&fresh, now).await;
        if touched.is_err() {
            // Nobody has been told.
            fresh
                .iter()
                .for_each(|(handle, _)| self.copies.forget(*handle));
        }
        touched
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        // The store first: told first, a node could forget it and then still find the row.
        let removed = self.inner.remove(handle, subject, now).await?;
        self.copies.forget(handle);
        let effective = self
            .publish(&[Fact::Login(handle)], removed.effective)
            .await;
        Ok(Removed::with_effect(removed.count, effective))
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        let removed = self.inner.remove_subject(subject, scope, now).await?;
        self.copies.forget_subject(subject);
        // Of one that is kept, and of its subject's new ones, each node asks the store once more.
        let fact = Fact::Subject {
            subject: SubjectKey::of(subject),
            before: scope.before.map(Stamp::position),
        };
        // For as long as a login may have been under way, which goes on from an older one.
        let life = self.view.max_lifetime();
        let Ok(stamp) = self.view.append(&[fact], life).await else {
            let effective = Revocation::Within(self.staleness());
            return Ok(Removed::with_effect(removed.count, effective));
        };
        // Those that had begun before and were stored in between.
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
        // Where it cannot be told yet, it is shown.
        let is_alive = |row: &Record| !matches!(self.has_ended(row, now), Ok(true));
        listing.records.retain(is_alive);
        Ok(listing)
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.inner.sweep(limit, now).await
    }

    async fn begin(&self, deadline: Timestamp, now: Timestamp) -> Result<Option<Stamp>> {
        // Where everything is ended, the rows stay: what says so must outlive them.
        if deadline.saturating_since(now) > self.view.max_lifetime().as_secs() {
            return Err(Error::misuse(
                "sessions would outlive what the revocation view keeps: give it their absolute \
                 lifetime as its longest",
            ));
        }
        self.view.stamp().await.map(Some)
    }

    fn staleness(&self) -> Duration {
        Duration::from_secs(self.max_age)
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
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
