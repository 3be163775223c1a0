//! The follower: reads the log into the view, and appends again what the log has lost.

use std::collections::HashSet;
use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::observer::Observer;
use crate::observer::event::Event;
use crate::revocation::cursor::{Cursor, Progress};
use crate::revocation::fact::{Draft, Fact};
use crate::revocation::log::{Page, RevocationLog as _};
use crate::revocation::view::{Inner, RevocationView, stale};
use crate::upkeep::{Chore, Upkeep};

/// Entries of one page at most.
pub(super) const PAGE_ENTRIES: usize = 10_000;
/// Pages of one call of `follow` at most.
const MAX_PAGES_PER_CALL: usize = 100;
/// Maximum distance of a presented stamp from the last applied entry; a stamp further away is
/// ignored. An attacker with a leaked key can put any position into a token.
const MAX_UNREAD_ENTRIES: u64 = 10_000;
/// Pause between two rounds of waking waiters; their deadlines are whole seconds.
const WAKE_PAUSE: Duration = Duration::from_millis(250);
/// Value of `fresh_as_of` before the first complete read.
const NO_READ_YET: u64 = u64::MAX;
/// Value of `missed_at` while the log is followed.
const NEVER: u64 = u64::MAX;

/// State of the follower.
pub(super) struct Follower {
    cursor: Mutex<Cursor>,
    /// True while a call of `follow` runs: there is one at a time.
    is_reading: AtomicBool,
    /// Time at which the last complete read was sent, in seconds since 1970.
    fresh_as_of: AtomicU64,
    /// True after the first complete read.
    has_caught_up: AtomicBool,
    /// Time of the last fence by this node, or before the last one that it has seen.
    fenced_at: AtomicU64,
    /// Fences of the log, on a node that only reads: its incarnation, the highest number, and the
    /// time at which the last read that returned it was sent.
    fences: Mutex<(u64, u64, Timestamp)>,
    /// Highest position beyond the applied entries in the stamp of a presented login.
    highest_unread: AtomicU64,
    /// Presented logins that were stamped in a part that the log has lost; to be ended by facts.
    lost_logins: Mutex<HashSet<Handle>>,
    /// True if the log has lost something since it was last read to its end.
    has_lost: AtomicBool,
    /// True after the first call of `follow`.
    has_begun: AtomicBool,
    /// Time at which the view was first found stale since the last call of `follow`, in seconds since
    /// 1970.
    missed_at: AtomicU64,
    /// True if the missing upkeep was reported since then.
    is_reported: AtomicBool,
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            cursor: Mutex::default(),
            is_reading: AtomicBool::new(false),
            fresh_as_of: AtomicU64::new(NO_READ_YET),
            has_caught_up: AtomicBool::new(false),
            fenced_at: AtomicU64::new(0),
            fences: Mutex::default(),
            highest_unread: AtomicU64::new(0),
            lost_logins: Mutex::default(),
            has_lost: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            missed_at: AtomicU64::new(NEVER),
            is_reported: AtomicBool::new(false),
        }
    }
}

impl Follower {
    /// Returns true if the last complete read was sent at most `fresh_secs` ago.
    #[inline]
    pub(super) fn is_fresh(&self, now: Timestamp, fresh_secs: u64) -> bool {
        let fresh_as_of = self.fresh_as_of.load(Ordering::Acquire);
        // Also false for `NO_READ_YET`, and for a clock that was set back.
        now.unix().wrapping_sub(fresh_as_of) <= fresh_secs
    }

    /// Returns when the last complete read was sent.
    pub(super) fn fresh_as_of(&self) -> Option<Timestamp> {
        let fresh_as_of = self.fresh_as_of.load(Ordering::Acquire);
        (fresh_as_of != NO_READ_YET).then(|| Timestamp::from_unix(fresh_as_of))
    }

    pub(super) fn has_caught_up(&self) -> bool {
        self.has_caught_up.load(Ordering::Relaxed)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Notes a call of `follow`.
    fn note_attempt(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
        self.missed_at.store(NEVER, Ordering::Relaxed);
        self.is_reported.store(false, Ordering::Relaxed);
    }

    /// Call it if the view is found stale at `now`. Returns true once: if it was so for `bound`, and
    /// nothing has tried to read the log for that long.
    pub(super) fn is_forgotten(&self, now: Timestamp, bound: Duration) -> bool {
        let missed_at = self.missed_at.fetch_min(now.unix(), Ordering::Relaxed);
        now.unix().saturating_sub(missed_at) >= bound.as_secs()
            && !self.is_reading.load(Ordering::Relaxed)
            && !self.is_reported.swap(true, Ordering::Relaxed)
    }

    pub(super) fn cursor(&self) -> MutexGuard<'_, Cursor> {
        // After a panic the next read repairs the cursor.
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the stamp of a presented login beyond the applied entries.
    pub(super) fn note_unread(&self, stamp: Stamp, applied: u64) {
        if stamp.position() - applied <= MAX_UNREAD_ENTRIES {
            self.highest_unread
                .fetch_max(stamp.position(), Ordering::Relaxed);
        }
    }

    /// Notes a presented login that was stamped in a lost part of the log.
    #[cold]
    pub(super) fn note_lost_login(&self, handle: Handle) {
        let mut lost_logins = self.lost_logins();
        if lost_logins.len() < PAGE_ENTRIES {
            lost_logins.insert(handle);
        }
    }

    /// Notes the number of fences in a page that was requested at `sent`. If it has grown, the log
    /// took a write after the last read that did not show it.
    fn note_fences(&self, page: &Page, sent: Timestamp) {
        let mut known = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        let (incarnation, highest, at) = *known;
        if incarnation == page.incarnation {
            if page.fences < highest {
                return;
            }
            if page.fences > highest {
                self.fenced_at.store(at.unix(), Ordering::Relaxed);
            }
        }
        *known = (page.incarnation, page.fences, sent);
    }

    fn lost_logins(&self) -> MutexGuard<'_, HashSet<Handle>> {
        let lost_logins = self.lost_logins.lock();
        lost_logins.unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationView {
    /// Returns the background work of the view: following the log, and waking the futures of
    /// [`revoked`](Self::revoked). Call it once and spawn [`run`](Upkeep::run) with the `sleep` of
    /// your runtime.
    pub fn upkeep(&self) -> Upkeep {
        Upkeep::of(Following(self.clone()))
            .and(Upkeep::of(Waking(self.clone())))
            .clock(Arc::clone(&self.inner.settings.clock))
    }

    /// Reads the log to its end. The [`upkeep`](Self::upkeep) does it regularly.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log or the clock could not answer, or the log has a gap. The view
    /// becomes stale after the bound.
    ///
    /// # Cancel safety
    ///
    /// Entries that were read have been applied. While another call reads, this one returns at
    /// once.
    pub async fn follow(&self) -> Result<()> {
        let inner = &*self.inner;
        let follower = &inner.follower;
        follower.note_attempt();
        let Some(_reading) = Reading::begin(&follower.is_reading) else {
            return Ok(());
        };
        for _ in 0..MAX_PAGES_PER_CALL {
            let sent = inner.settings.now()?;
            inner.fence(sent).await?;
            let highest_unread = follower.highest_unread.load(Ordering::Relaxed);
            let from = follower
                .cursor()
                .start_read(inner.known.stamp_at(highest_unread));
            let page = inner
                .log
                .read(from, PAGE_ENTRIES, sent)
                .await
                .map_err(Error::of_the_log)?;
            // Facts in a page that took longer may have expired on the way.
            let took = inner.settings.now()?.saturating_since(sent);
            if took > inner.settings.fresh_secs() {
                let what = "the revocation log took longer than the bound to answer";
                return Err(Error::could_not(what, None));
            }
            if self.is_read_only() {
                follower.note_fences(&page, sent);
            }
            let applied = inner.apply(&page, sent);
            // Also after a gap: the entries before it count.
            inner.notify_waiters(&page, from);
            let (progress, lost) = applied?;
            match progress {
                Progress::AtEnd if lost.is_empty() => {
                    if !follower.has_caught_up.swap(true, Ordering::Relaxed) {
                        // Old news: the nodes that were there have reported them.
                        inner.known.news.take();
                    }
                    let as_of = inner.proven_at(sent);
                    follower.fresh_as_of.store(as_of.unix(), Ordering::Release);
                    if follower.has_lost.swap(false, Ordering::Relaxed) {
                        // Positions mean other entries than before.
                        inner.waiters.notify_due(Timestamp::MAX);
                    }
                    return Ok(());
                }
                // The view is fresh only after it has read them back from the log.
                Progress::AtEnd => {
                    for lost in lost.chunks(PAGE_ENTRIES) {
                        inner
                            .log
                            .append(lost, sent)
                            .await
                            .map_err(Error::of_the_log)?;
                    }
                }
                Progress::Lost => {
                    follower.fresh_as_of.store(NO_READ_YET, Ordering::Release);
                }
                Progress::Behind => {}
            }
        }
        // There is more to read. The next call goes on, and the view is not fresh before.
        Ok(())
    }

    /// Reads new entries from the log now and applies them, so that the view knows all facts that
    /// were acknowledged before this call. Does not make the view fresh; only
    /// [`follow`](Self::follow) does.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer, or its incarnation is not the one that the view
    /// follows.
    pub(crate) async fn read_to_end(&self) -> Result<()> {
        let inner = &*self.inner;
        let applied = inner.known.applied();
        let mut from = applied;
        loop {
            let sent = inner.settings.now()?;
            let page = inner
                .log
                .read(from, PAGE_ENTRIES, sent)
                .await
                .map_err(Error::of_the_log)?;
            if !inner.known.is_current(Stamp::new(page.incarnation, 0, 0)) {
                return Err(stale());
            }
            for entry in &page.entries {
                inner.known.apply(entry, sent);
                from = entry.position + 1;
            }
            inner.notify_waiters(&page, applied);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Returns the event that reports the state of the view at `now`.
    fn lag(&self, now: Timestamp) -> Event<'static> {
        let fresh_as_of = self.inner.follower.fresh_as_of();
        Event::ViewLag {
            behind: fresh_as_of.map(|then| Duration::from_secs(now.saturating_since(then))),
            stale: !self.is_fresh(now),
            facts: self.inner.known.len(),
        }
    }
}

impl Inner {
    /// Applies a page. Returns the progress, and the drafts that must be appended again.
    fn apply(&self, page: &Page, sent: Timestamp) -> Result<(Progress, Vec<Draft>)> {
        let follower = &self.follower;
        let mut cursor = follower.cursor();
        let was_current = self.known.is_current(Stamp::new(page.incarnation, 0, 0));
        let progress = cursor.apply(page, &self.known, sent)?;
        if self.settings.read_only {
            // This node cannot give the lost positions to other entries.
            if progress == Progress::Lost {
                self.known.forget_marks();
            }
            cursor.expect_nothing();
            self.keep_lost_logins(sent);
        }
        let is_at_end = progress == Progress::AtEnd;
        if progress == Progress::Lost || is_at_end && cursor.has_lost_entries(sent) {
            // Reported once, and not again for what is missing until the log is repaired.
            let is_known = follower.has_lost.swap(true, Ordering::Relaxed);
            if !was_current {
                self.incidents.note_loss();
            } else if !is_known {
                self.incidents.note_shortened();
            }
        }
        let mut lost = cursor.lost_facts(sent, &*self.settings.entropy)?;
        if progress == Progress::AtEnd {
            // Empty entries make the log as long as it was.
            let padding = cursor.lost_len().min(PAGE_ENTRIES as u64) as usize;
            let padding = iter::repeat_n(Fact::Nothing, padding);
            lost.extend(self.settings.drafts(padding, Duration::from_secs(1))?);
            // The entries that take the lost positions may expire before these logins do.
            let logins = std::mem::take(&mut *follower.lost_logins());
            let logins = logins.into_iter().map(Fact::Login);
            lost.extend(self.settings.drafts(logins, self.settings.max_lifetime)?);
            self.known.set_applied(cursor.position());
        }
        if !was_current {
            follower.highest_unread.store(0, Ordering::Relaxed);
        }
        Ok((progress, lost))
    }

    /// Ends the presented logins of a lost part in this view only, as far as it has room.
    fn keep_lost_logins(&self, now: Timestamp) {
        let until = now.saturating_add(self.settings.max_lifetime.as_secs());
        for login in std::mem::take(&mut *self.follower.lost_logins()) {
            if self.known.len() < self.settings.capacity {
                self.known.learn(Fact::Login(login), 0, until);
            }
        }
    }

    /// Wakes the waiters that may be affected by a page, but for its entries up to `applied`.
    fn notify_waiters(&self, page: &Page, applied: u64) {
        let new = page.entries.iter().filter(|entry| entry.position > applied);
        self.waiters.notify(new.map(|entry| entry.fact));
        // The waiters with a stamp that had not been read.
        self.waiters.notify_due(Timestamp::MIN);
    }

    /// Returns the time up to which a complete read that was sent at `sent` knows all facts. With
    /// fences it is the last fence: the log may have been deposed as the primary after it.
    fn proven_at(&self, sent: Timestamp) -> Timestamp {
        if self.settings.fenced {
            let fenced_at = self.follower.fenced_at.load(Ordering::Relaxed);
            sent.min(Timestamp::from_unix(fenced_at))
        } else {
            sent
        }
    }

    /// Fences the log if that is configured and due.
    async fn fence(&self, now: Timestamp) -> Result<()> {
        let fenced_at = &self.follower.fenced_at;
        let elapsed = now.unix().wrapping_sub(fenced_at.load(Ordering::Relaxed));
        if self
            .settings
            .fence_secs()
            .is_some_and(|every| elapsed >= every)
        {
            self.log.fence(now).await.map_err(Error::of_the_log)?;
            fenced_at.store(now.unix(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The right to read, which is released on drop.
struct Reading<'a>(&'a AtomicBool);

impl<'a> Reading<'a> {
    fn begin(is_reading: &'a AtomicBool) -> Option<Self> {
        (!is_reading.swap(true, Ordering::AcqRel)).then_some(Self(is_reading))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The chore that follows the log.
struct Following(RevocationView);

impl Chore for Following {
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let view = &self.0;
            let settings = &view.inner.settings;
            if let Some(fresh_as_of) = view.inner.follower.fresh_as_of() {
                // A check may use an earlier time: it is at most as old as the last read.
                view.inner.known.sweep(now.min(fresh_as_of));
            }
            let result = view.follow().await;
            // Reading takes time, possibly more than the bound.
            observer.observe(&view.lag(settings.now().unwrap_or(now)));
            view.inner.incidents.report(observer);
            if view.inner.follower.has_caught_up() {
                view.inner.known.news.report(observer);
            }
            result?;
            view.renew_retired_keys().await?;
            Ok(settings.poll)
        })
    }

    /// Short enough that one failure makes no node stale, and that the nodes are fresh again soon
    /// after an outage.
    fn retries(&self) -> [Duration; 2] {
        let settings = &self.0.inner.settings;
        [settings.poll, settings.bound / 8]
    }

    fn follows_view(&self) -> bool {
        true
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Following")
    }
}

/// The chore that wakes waiters. Separate from reading, so that a log that never answers delays no
/// waiter.
struct Waking(RevocationView);

impl Chore for Waking {
    fn step<'a>(&'a self, now: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let is_stale = self.0.check_fresh(now).is_err();
            let due = if is_stale { Timestamp::MAX } else { now };
            self.0.inner.waiters.notify_due(due);
            Ok(WAKE_PAUSE)
        })
    }

    /// A step fails only while the clock does.
    fn retries(&self) -> [Duration; 2] {
        [WAKE_PAUSE, WAKE_PAUSE]
    }
}

impl fmt::Debug for Waking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waking")
    }
}
