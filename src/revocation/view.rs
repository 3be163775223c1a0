//! The node's own view of a revocation log.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use crate::clock::{self, Timestamp};
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::login::stamp::Stamp;
use crate::observer::event::Event;
use crate::revocation::fact::{Draft, Entry, Fact, KeyId, SubjectKey};
use crate::revocation::follower::{Follower, Progress};
use crate::revocation::known::{Known, LoginStatus};
use crate::revocation::log::{DynRevocationLog, Page};
use crate::revocation::settings::Settings;
use crate::revocation::waiters::Waiters;

/// Entries that are read at a time.
const PAGE: usize = 10_000;
/// Pages that one step reads at most.
const PAGES: usize = 100;
/// Facts about one subject's logins after which a further one ends all of them, if half of the room
/// for facts is taken: before that, nobody's other logins end for the sake of it.
const EACH: u32 = 64;
/// Subjects for which that is counted.
const COUNTED: usize = 100_000;
/// How far beyond the end of the log a presented stamp is believed to have been its end: whoever
/// has a key that leaked writes any.
const BEYOND: u64 = 10_000;
/// Before the first complete read.
const NEVER: u64 = u64::MAX;

/// Everything that was revoked and has not expired, on every node, in memory: what makes a logout
/// work for tokens, and a cached session safe.
///
/// It follows a [`RevocationLog`](crate::revocation::log::RevocationLog): spawn its
/// [`upkeep`](Self::upkeep). Asking it does no I/O and takes no lock unless a fact may apply.
/// Cheap to clone: all clones are one view.
///
/// A view is *fresh* for as long as its last complete read was sent less than the bound ago, by
/// the clock of the node. One that is not followed goes stale, and a stale view refuses everybody,
/// unless it is told to [accept](crate::revocation::ViewBuilder::accept_when_stale).
///
/// Order comes from the log and never from clocks: a login is stamped with the log's head when it
/// begins, and what ends all logins of a subject ends those that were stamped before it.
///
/// ```
/// use std::time::Duration;
/// use statewise::revocation::{MemoryLog, RevocationView};
///
/// let view = RevocationView::builder(MemoryLog::new()?)
///     .max_lifetime(Duration::from_secs(24 * 3600))
///     .build()?;
/// // Nothing has been read yet.
/// assert!(view.health()?.stale);
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct RevocationView {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn DynRevocationLog>,
    known: Known,
    settings: Settings,
    /// When the last complete read was sent, in seconds since 1970.
    fresh_as_of: AtomicU64,
    /// Whether it has read the log to its end at least once.
    has_caught_up: AtomicBool,
    fenced_at: AtomicU64,
    /// The highest position beyond it that a presented login was stamped with.
    seen: AtomicU64,
    follower: Mutex<Follower>,
    /// Whether somebody is reading: one at a time.
    reading: AtomicBool,
    /// Logins stamped in a part that the log has lost, which are to end for good.
    misplaced: Mutex<HashSet<Handle>>,
    /// How many logins of a subject this node has ended one by one, and until when that counts.
    each: Mutex<HashMap<SubjectKey, (u32, Timestamp)>>,
    waiters: Waiters,
    /// Whether the log has lost something since it was last read to its end.
    was_lost: AtomicBool,
}

/// How a view is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether it has read nothing completely within the bound.
    pub stale: bool,
    /// What a stale view does: accept everybody whom nothing known revokes, or refuse everybody.
    pub accepts_when_stale: bool,
    /// When the last complete read was sent; `None` before the first.
    pub fresh_as_of: Option<OffsetDateTime>,
    /// The last position of the log that has been applied.
    pub position: u64,
    /// How many facts about logins and subjects it holds.
    pub facts: usize,
}

impl RevocationView {
    pub(crate) fn new(log: Arc<dyn DynRevocationLog>, settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                log,
                known: Known::new(settings.capacity),
                settings,
                fresh_as_of: AtomicU64::new(NEVER),
                has_caught_up: AtomicBool::new(false),
                fenced_at: AtomicU64::new(0),
                seen: AtomicU64::new(0),
                follower: Mutex::default(),
                reading: AtomicBool::new(false),
                misplaced: Mutex::default(),
                each: Mutex::default(),
                waiters: Waiters::new(),
                was_lost: AtomicBool::new(false),
            }),
        }
    }

    /// Within which time a revocation is obeyed on every node that follows the log, or the node
    /// refuses everybody.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.inner.settings.bound
    }

    /// The longest life of anything that this view guards.
    #[must_use]
    pub fn max_lifetime(&self) -> Duration {
        Duration::from_secs(self.inner.settings.longest)
    }

    /// How the view is doing, for the health report of the node.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the clock cannot tell the time.
    pub fn health(&self) -> Result<Health> {
        let inner = &*self.inner;
        let now = clock::read(&*inner.settings.clock)?;
        Ok(Health {
            stale: !inner.is_fresh(now),
            accepts_when_stale: inner.settings.accept_when_stale,
            fresh_as_of: inner.fresh_as_of().map(OffsetDateTime::from),
            position: inner.lock().position(),
            facts: inner.known.len(),
        })
    }

    /// Refuses a login that has ended. No I/O, no allocation.
    ///
    /// # Errors
    ///
    /// *Rejected* as revoked; *unavailable* if the view is stale and refuses then.
    #[inline]
    pub(crate) fn check(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
        now: Timestamp,
    ) -> Result<()> {
        self.check_fresh(now)?;
        self.check_known(handle, subject, stamp)
    }

    /// Refuses a login that has ended, by what is known: however long ago that was read.
    ///
    /// # Errors
    ///
    /// *Rejected* as revoked; *unavailable* if the next read tells.
    #[inline]
    pub(crate) fn check_known(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
    ) -> Result<()> {
        let inner = &*self.inner;
        let elsewhere = stamp.is_some_and(|stamp| !inner.known.is_here(stamp));
        if elsewhere && !inner.settings.accept_other_incarnations {
            return Err(Rejection::Revoked.into());
        }
        if let Some(stamp) = stamp {
            inner.see(stamp);
        }
        match inner.known.status(handle, subject, stamp) {
            LoginStatus::Active | LoginStatus::Changed(_) => Ok(()),
            LoginStatus::Ended | LoginStatus::EndedWithSubject => Err(Rejection::Revoked.into()),
            LoginStatus::UnreadStamp { .. } => Err(ahead()),
            LoginStatus::LostStamp { .. } => {
                inner.misplace(handle);
                Err(Rejection::Revoked.into())
            }
        }
    }

    /// Refuses everybody if it is stale and told to.
    ///
    /// # Errors
    ///
    /// *Unavailable*.
    #[inline]
    pub(crate) fn check_fresh(&self, now: Timestamp) -> Result<()> {
        let inner = &*self.inner;
        if !inner.is_fresh(now) && !inner.goes_on_when_stale() {
            return Err(stale());
        }
        Ok(())
    }

    /// What applies to a login; `None` if the view is stale. No I/O, no allocation.
    #[inline]
    pub(crate) fn status(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
        now: Timestamp,
    ) -> Option<LoginStatus> {
        let known = &self.inner.known;
        self.is_fresh(now)
            .then(|| known.status(handle, subject, stamp))
    }

    /// Whether a row that the store has belongs to a login that has ended all the same: with
    /// everything, or since the store was asked. A stale view does not know.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the next read tells.
    pub(crate) fn has_ended(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
        now: Timestamp,
    ) -> Result<bool> {
        match self.status(handle, subject, stamp, now) {
            Some(standing) => self.inner.is_over(standing, handle, stamp),
            None => Ok(false),
        }
    }

    /// Whether a login has ended with everything, of which the store knows nothing. A stale view
    /// does not know.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the next read tells.
    pub(crate) fn has_ended_with_everything(
        &self,
        handle: Handle,
        stamp: Option<Stamp>,
        now: Timestamp,
    ) -> Result<bool> {
        let standing = self.inner.known.status_with_everything(stamp);
        Ok(self.is_fresh(now) && self.inner.is_over(standing, handle, stamp)?)
    }

    /// Where it has read to, as the stamp of a login that begins there.
    pub(crate) fn applied_stamp(&self) -> Stamp {
        self.inner.known.applied_stamp()
    }

    /// Whether it knows all that was said before the bound.
    #[inline]
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.inner.is_fresh(now)
    }

    /// Whether a key verifies nothing any more.
    #[inline]
    pub(crate) fn is_retired(&self, key: impl FnOnce() -> KeyId) -> bool {
        self.inner.known.is_retired(key)
    }

    /// Where the log stands: the stamp of a login that begins now.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer.
    pub(crate) async fn stamp(&self) -> Result<Stamp> {
        let now = clock::read(&*self.inner.settings.clock)?;
        let stamp = self.inner.log.head_dyn(now).await?;
        self.inner.lock().stamped(stamp);
        self.inner.known.note(stamp);
        Ok(stamp)
    }

    /// Ends one login, which would end by itself after `life` seconds.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take it, or is full: try again.
    pub(crate) async fn end_login(
        &self,
        handle: Handle,
        subject: &str,
        life: Duration,
    ) -> Result<Revocation> {
        let subject = SubjectKey::of(subject);
        let now = clock::read(&*self.inner.settings.clock)?;
        // Who ends one again and again does not end the others.
        let is_another = !self.inner.known.has_ended(handle);
        if is_another && self.inner.counts_too_many(subject, now) {
            return self.end_subject(subject).await;
        }
        self.append(&[Fact::Login(handle)], life).await?;
        if is_another {
            self.inner
                .count(subject, now.saturating_add(life.as_secs()));
        }
        Ok(Revocation::Within(self.bound()))
    }

    /// Ends all logins of a subject that have begun by now, on every node: tokens that this view
    /// guards, of whatever authenticator, and connections that wait for
    /// [`revoked`](Self::revoked).
    ///
    /// Not the sessions of a [`CachedStore`](crate::store::CachedStore): whether one has ended is for
    /// their store to say, which is asked once more, and knows nothing of this. Their authenticator's
    /// [`revoke_all`](crate::Authenticator::revoke_all) ends them, and says this to the log as well.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take it, or is full: try again.
    ///
    /// # Cancel safety
    ///
    /// It may have been written down: say it again.
    pub async fn revoke_subject(&self, subject: &str) -> Result<Revocation> {
        self.end_subject(SubjectKey::of(subject)).await
    }

    /// Ends all logins of everybody that have begun by now, on every node and of every kind that
    /// this view guards: for the day on which something has leaked.
    ///
    /// Sessions stay in their store, and only the log and those who have read it know that they have
    /// ended: should the log lose its data while no node runs, they live again.
    ///
    /// # Errors
    ///
    /// As for [`revoke_subject`](Self::revoke_subject).
    ///
    /// # Cancel safety
    ///
    /// It may have been written down: say it again.
    pub async fn revoke_everything(&self) -> Result<Revocation> {
        self.end(Fact::Everything { before: None }).await
    }

    /// Retires a key on every node, at once: for the day on which it has leaked. A key does not
    /// expire: those who follow the log go on saying so. Take it out of the rings all the same, as
    /// a log that is lost knows nothing of it.
    ///
    /// # Errors
    ///
    /// *Misuse* if `kid` is no id of a key; otherwise as for
    /// [`revoke_subject`](Self::revoke_subject).
    ///
    /// # Cancel safety
    ///
    /// It may have been written down: say it again.
    pub async fn retire_key(&self, kid: &str) -> Result<Revocation> {
        let Ok(kid) = kid.as_bytes().try_into() else {
            return Err(Error::misuse(
                "no key has this id: take the one that `Key::kid` gives",
            ));
        };
        self.end(Fact::Key(KeyId::from_bytes(kid))).await
    }

    async fn end_subject(&self, subject: SubjectKey) -> Result<Revocation> {
        self.end(Fact::Subject {
            subject,
            before: None,
        })
        .await
    }

    async fn end(&self, fact: Fact) -> Result<Revocation> {
        self.append(&[fact], self.max_lifetime()).await?;
        Ok(Revocation::Within(self.bound()))
    }

    /// Writes facts down for `life` seconds, and obeys them at once. Says where the last of them is.
    pub(crate) async fn append(&self, facts: &[Fact], life: Duration) -> Result<Stamp> {
        let inner = &*self.inner;
        if inner.known.len() + facts.len() > inner.settings.capacity {
            return Err(Error::could_not("the revocation view is full", None));
        }
        let now = clock::read(&*inner.settings.clock)?;
        let drafts = facts.iter();
        let drafts = drafts.map(|fact| Draft::new(*fact, life, &*inner.settings.entropy));
        let drafts = drafts.collect::<Result<Vec<_>>>()?;
        let stamp = inner.log.append_dyn(&drafts, now).await?;
        inner.lock().said(&drafts, stamp, now);
        // Read from another incarnation than the one followed, its position says nothing here.
        if inner.known.is_here(stamp) {
            for (position, draft) in (0..=stamp.position()).rev().zip(drafts.iter().rev()) {
                inner.known.apply(&Entry::new(position, *draft), now);
            }
            inner.waiters.tell(facts.iter().copied());
        }
        Ok(stamp)
    }

    /// Refuses a login that has ended since it was stamped. Asks the log itself: what was said before
    /// this call is found.
    ///
    /// # Errors
    ///
    /// *Rejected* as revoked; *unavailable* if the log could not answer.
    pub(crate) async fn check_since(&self, stamp: Stamp, subject: &str) -> Result<()> {
        let key = SubjectKey::of(subject);
        let mut from = stamp.position();
        loop {
            let now = clock::read(&*self.inner.settings.clock)?;
            let page = self.inner.log.read_dyn(from, PAGE, now).await?;
            if page.incarnation != stamp.incarnation() {
                // Its place says nothing here.
                return Ok(());
            }
            for entry in &page.entries {
                let is_ours = match entry.fact {
                    _ if entry.position == stamp.position() => {
                        if entry.nonce.mark() != stamp.mark() {
                            return Err(Rejection::Revoked.into());
                        }
                        false
                    }
                    Fact::Subject { subject, .. } => subject == key,
                    Fact::Everything { .. } => true,
                    _ => false,
                };
                let before = entry.fact.before(entry.position);
                if is_ours && stamp.position() < before {
                    return Err(Rejection::Revoked.into());
                }
                from = entry.position + 1;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Asks the log itself for what is new, and obeys it: whatever was acknowledged before this call.
    /// Does not make the view fresh, which is up to who follows.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer, or is another one than the one that is followed.
    pub(crate) async fn read_to_end(&self) -> Result<()> {
        let inner = &*self.inner;
        let head = inner.known.head();
        let mut from = head;
        loop {
            let sent = clock::read(&*inner.settings.clock)?;
            let page = inner.log.read_dyn(from, PAGE, sent).await?;
            if !inner.known.is_here(Stamp::new(page.incarnation, 0, 0)) {
                return Err(stale());
            }
            for entry in &page.entries {
                inner.known.apply(entry, sent);
                from = entry.position + 1;
            }
            inner.tell(&page, head);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Reads what is new in the log, to its end.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log or the clock could not answer, or the log has a gap. The view goes
    /// stale after the bound.
    ///
    /// # Cancel safety
    ///
    /// What was read has been applied. Somebody who reads already is not disturbed.
    pub async fn follow(&self) -> Result<()> {
        let inner = &*self.inner;
        let Some(_reading) = Reading::begin(&inner.reading) else {
            return Ok(());
        };
        for _ in 0..PAGES {
            let sent = clock::read(&*inner.settings.clock)?;
            inner.fence(sent).await?;
            let from = inner
                .lock()
                .begin(inner.known.place(inner.seen.load(Ordering::Relaxed)));
            let page = inner.log.read_dyn(from, PAGE, sent).await?;
            // What was said in it may have had its time on the way, and would be forgotten early.
            if clock::read(&*inner.settings.clock)?.saturating_since(sent)
                > inner.settings.fresh_for
            {
                return Err(Error::could_not(
                    "the revocation log took longer than the bound to answer",
                    None,
                ));
            }
            let taken = inner.take(&page, sent);
            // Also when it has a gap: what is before that counts.
            inner.tell(&page, from);
            let (progress, missing) = taken?;
            match progress {
                Progress::CaughtUp if missing.is_empty() => {
                    inner.has_caught_up.store(true, Ordering::Relaxed);
                    let as_of = inner.proven_at(sent);
                    inner.fresh_as_of.store(as_of.unix(), Ordering::Release);
                    if inner.was_lost.swap(false, Ordering::Relaxed) {
                        // Places in it mean something else than before.
                        inner.waiters.tell_all();
                    }
                    return Ok(());
                }
                // Found again in the log before the view counts as fresh.
                Progress::CaughtUp => {
                    for missing in missing.chunks(PAGE) {
                        inner.log.append_dyn(missing, sent).await?;
                    }
                }
                Progress::Lost => {
                    inner.fresh_as_of.store(NEVER, Ordering::Release);
                    inner.was_lost.store(true, Ordering::Relaxed);
                }
                Progress::Behind => {}
            }
        }
        // There is more: the next step goes on, and the view is not fresh before.
        Ok(())
    }

    /// Lets go of some of what has had its time.
    pub(crate) fn sweep(&self, now: Timestamp) {
        // Somebody may still ask with a time from before: what was read last is as old as that.
        if let Some(fresh_as_of) = self.inner.fresh_as_of() {
            self.inner.known.sweep(now.min(fresh_as_of));
        }
    }

    /// How far behind it is at `now`.
    pub(crate) fn lag(&self, now: Timestamp) -> Event<'static> {
        let fresh_as_of = self.inner.fresh_as_of();
        let behind = fresh_as_of.map(|then| now.saturating_since(then));
        Event::ViewLag {
            behind: behind.map(Duration::from_secs),
            stale: !self.is_fresh(now),
            facts: self.inner.known.len(),
        }
    }

    /// Whether it has read the log up to where a login was stamped.
    pub(crate) fn has_read(&self, stamp: Option<Stamp>) -> bool {
        let known = &self.inner.known;
        stamp.is_none_or(|stamp| stamp.position() <= known.head() || !known.is_here(stamp))
    }

    /// Those who wait for the end of a login.
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.inner.waiters
    }

    /// What it goes by.
    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Says again which keys are retired, before it is forgotten.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take it: there is time to try again.
    pub(crate) async fn keep_keys(&self) -> Result<()> {
        let inner = &*self.inner;
        let now = clock::read(&*inner.settings.clock)?;
        let longest = inner.settings.longest;
        let keys = inner.known.keys_until(now.saturating_add(longest / 2));
        let draft = |key| {
            Draft::new(
                Fact::Key(key),
                self.max_lifetime(),
                &*inner.settings.entropy,
            )
        };
        let drafts = keys.into_iter().map(draft).collect::<Result<Vec<_>>>()?;
        if !drafts.is_empty() {
            inner.log.append_dyn(&drafts, now).await?;
        }
        Ok(())
    }
}

#[cold]
fn stale() -> Error {
    Error::could_not("the revocation view is stale", None)
}

/// The next read tells.
#[cold]
fn ahead() -> Error {
    let what = "the login began later than the revocation view has read";
    Error::could_not(what, None)
}

impl Inner {
    #[inline]
    fn is_fresh(&self, now: Timestamp) -> bool {
        let fresh_as_of = self.fresh_as_of.load(Ordering::Acquire);
        // Also false for `NEVER`, and for a clock that was set back.
        now.unix().wrapping_sub(fresh_as_of) <= self.settings.fresh_for
    }

    /// Whether what it knows counts when it may have missed something. One that never knew
    /// everything knows nothing.
    #[cold]
    fn goes_on_when_stale(&self) -> bool {
        self.settings.accept_when_stale && self.has_caught_up.load(Ordering::Relaxed)
    }

    /// Notes a stamp beyond what has been read: taken a moment ago, or in a part that the log has
    /// lost. The next read tells.
    #[inline]
    fn see(&self, stamp: Stamp) {
        let (head, position) = (self.known.head(), stamp.position());
        if position > head && position - head <= BEYOND && self.known.is_here(stamp) {
            self.seen.fetch_max(position, Ordering::Relaxed);
        }
    }

    /// Whether a login so standing is over, whose row is in the store.
    fn is_over(&self, standing: LoginStatus, handle: Handle, stamp: Option<Stamp>) -> Result<bool> {
        match standing {
            LoginStatus::Ended => Ok(true),
            LoginStatus::LostStamp { everything: true } => {
                self.misplace(handle);
                Ok(true)
            }
            LoginStatus::UnreadStamp { everything: true } => {
                if let Some(stamp) = stamp {
                    self.see(stamp);
                }
                Err(ahead())
            }
            _ => Ok(false),
        }
    }

    /// Takes a page that was read. Says what it meant, and what must be said again.
    fn take(&self, page: &Page, sent: Timestamp) -> Result<(Progress, Vec<Draft>)> {
        let mut follower = self.lock();
        let was_here = self.known.is_here(Stamp::new(page.incarnation, 0, 0));
        let progress = follower.take(page, &self.known, sent)?;
        let mut missing = follower.missing(sent, &*self.settings.entropy)?;
        if progress == Progress::CaughtUp {
            missing.extend(self.fillers(follower.short_by())?);
            missing.extend(self.misplaced()?);
            self.known.reached(follower.position());
        }
        if !was_here {
            self.seen.store(0, Ordering::Relaxed);
        }
        Ok((progress, missing))
    }

    /// Wakes those whom what was read may concern: all but the entry at which reading had stopped,
    /// which is there each time.
    fn tell(&self, page: &Page, stopped: u64) {
        let entries = page.entries.iter();
        let new = entries.filter(|entry| entry.position > stopped);
        self.waiters.tell(new.map(|entry| entry.fact));
        // Those who began beyond what had been read.
        self.waiters.tell_due(Timestamp::MIN);
    }

    /// As of when a complete read knows everything, that was sent at `sent`. Behind a fence: what
    /// answered it was the primary then, and may have been deposed since.
    fn proven_at(&self, sent: Timestamp) -> Timestamp {
        match self.settings.fence_every {
            Some(_) => sent.min(Timestamp::from_unix(self.fenced_at.load(Ordering::Relaxed))),
            None => sent,
        }
    }

    /// When the last complete read was sent.
    fn fresh_as_of(&self) -> Option<Timestamp> {
        let fresh_as_of = self.fresh_as_of.load(Ordering::Acquire);
        (fresh_as_of != NEVER).then(|| Timestamp::from_unix(fresh_as_of))
    }

    fn lock(&self) -> MutexGuard<'_, Follower> {
        // What a follower does half is found by the next read.
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries that say nothing, to make a log as long as it was.
    fn fillers(&self, count: u64) -> Result<Vec<Draft>> {
        let count = count.min(PAGE as u64);
        (0..count)
            .map(|_| {
                Draft::new(
                    Fact::Nothing,
                    Duration::from_secs(1),
                    &*self.settings.entropy,
                )
            })
            .collect()
    }

    /// Ends the logins that were stamped in a part that the log has lost: what took its place will
    /// have had its time before they have.
    fn misplaced(&self) -> Result<Vec<Draft>> {
        let mut misplaced = self.lock_misplaced();
        let longest = self.settings.longest;
        std::mem::take(&mut *misplaced)
            .into_iter()
            .map(|handle| {
                Draft::new(
                    Fact::Login(handle),
                    Duration::from_secs(longest),
                    &*self.settings.entropy,
                )
            })
            .collect()
    }

    #[cold]
    fn misplace(&self, handle: Handle) {
        let mut misplaced = self.lock_misplaced();
        if misplaced.len() < PAGE {
            misplaced.insert(handle);
        }
    }

    fn lock_misplaced(&self) -> MutexGuard<'_, HashSet<Handle>> {
        self.misplaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn counts_too_many(&self, subject: SubjectKey, now: Timestamp) -> bool {
        if self.known.len() < self.settings.capacity / 2 {
            return false;
        }
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.len() >= COUNTED {
            each.retain(|_, (_, until)| *until > now);
        }
        each.get(&subject)
            .is_some_and(|(count, until)| *count >= EACH && *until > now)
    }

    fn count(&self, subject: SubjectKey, until: Timestamp) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.len() < COUNTED || each.contains_key(&subject) {
            let known = each.entry(subject).or_insert((0, until));
            *known = (known.0 + 1, until.max(known.1));
        }
    }

    /// Proves now and then that the log takes writes, if that is wanted.
    async fn fence(&self, now: Timestamp) -> Result<()> {
        let Some(every) = self.settings.fence_every else {
            return Ok(());
        };
        let fenced_at = self.fenced_at.load(Ordering::Relaxed);
        if now.unix().wrapping_sub(fenced_at) >= every {
            self.log.fence_dyn(now).await?;
            self.fenced_at.store(now.unix(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The right to read, given back when dropped.
struct Reading<'a>(&'a AtomicBool);

impl<'a> Reading<'a> {
    fn begin(reading: &'a AtomicBool) -> Option<Self> {
        (!reading.swap(true, Ordering::AcqRel)).then_some(Self(reading))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for RevocationView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationView")
            .field("log", &self.inner.log)
            .field("facts", &self.inner.known.len())
            .field("waiting", &self.inner.waiters.len())
            .finish_non_exhaustive()
    }
}
