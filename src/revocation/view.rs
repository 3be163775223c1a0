//! The view, against which each request is checked.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::error::{Error, Refusal, Rejection, Result};
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::observer::log_mistake;
use crate::revocation::fact::{Fact, KeyId, SubjectKey};
use crate::revocation::follower::{Follower, PAGE_ENTRIES};
use crate::revocation::incidents::Incidents;
use crate::revocation::known::{KnownFacts, LoginStatus};
use crate::revocation::log::{DynRevocationLog, RevocationLog as _};
use crate::revocation::settings::Settings;
use crate::revocation::waiters::Waiters;
use crate::revocation::writer::LogoutCounts;

/// A node's copy of the revocation log, in memory. It makes a logout work for tokens, and cached
/// sessions safe.
///
/// Build one per process, hand it to the authenticators, and spawn its [`upkeep`](Self::upkeep),
/// which follows the [log](crate::revocation::log). A check does no I/O and takes no lock unless a
/// fact may apply. Clones are cheap and share one view.
///
/// The view is *fresh* for the [bound](Self::bound) after its last complete read was sent, by the
/// clock of the node. Without its upkeep it becomes stale, and a stale view refuses all logins
/// unless it is configured to [accept](crate::revocation::ViewBuilder::accept_when_stale) them.
///
/// The order of events comes from the log and never from clocks: a login is stamped with the head
/// of the log when it begins, and a fact about all logins of a subject ends those with an earlier
/// stamp. [`manual::revocation`](crate::manual::revocation) explains the protocol and its terms.
///
/// # Capacity
///
/// The view holds every fact that has not expired, up to its
/// [capacity](crate::revocation::ViewBuilder::capacity). A full view forgets nothing and answers
/// further revocations with *unavailable*. So that one user cannot fill it by logging in and out, a
/// node counts the single logouts of each subject: when half of the capacity is used, the 65th
/// logout of a subject **ends all logins of that subject**, which takes one fact.
///
/// An [update](crate::Authenticator::update_all) of a login is a fact as well. Updates take half of
/// the capacity at most, so that they refuse no logout.
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
    pub(super) inner: Arc<Inner>,
}

/// State shared by the check, the writer and the follower.
pub(super) struct Inner {
    pub(super) log: Arc<dyn DynRevocationLog>,
    pub(super) settings: Settings,
    pub(super) known: KnownFacts,
    pub(super) follower: Follower,
    pub(super) incidents: Incidents,
    pub(super) logouts: Mutex<LogoutCounts>,
    pub(super) waiters: Waiters,
}

/// State of a [`RevocationView`], for the health report of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// True if no complete read succeeded within the bound.
    pub stale: bool,
    /// True if a stale view accepts each login that no known fact ends; false if it refuses all.
    pub accepts_when_stale: bool,
    /// Time at which the last complete read was sent; `None` before the first one.
    pub fresh_as_of: Option<OffsetDateTime>,
    /// Position of the last entry that was applied.
    pub position: u64,
    /// Number of facts about logins and subjects in the view.
    pub facts: usize,
}

impl RevocationView {
    pub(super) fn new(log: Arc<dyn DynRevocationLog>, settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                log,
                known: KnownFacts::new(settings.capacity),
                settings,
                follower: Follower::default(),
                incidents: Incidents::default(),
                logouts: Mutex::default(),
                waiters: Waiters::new(),
            }),
        }
    }

    /// Returns the longest time until a revocation counts on every node that follows the log. A
    /// node that has not read the log for this long refuses all logins.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.inner.settings.bound
    }

    /// Returns true if the log of this view may only be read. The view then
    /// [follows and never writes](crate::manual::revocation#followers-that-only-read): a logout and
    /// every other call that would append a fact is *misuse*.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.settings.read_only
    }

    /// Returns the longest life of any credential that this view guards.
    #[must_use]
    pub fn max_lifetime(&self) -> Duration {
        self.inner.settings.max_lifetime
    }

    /// Returns the state of the view, for the health report of the node.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the clock cannot tell the time.
    pub fn health(&self) -> Result<Health> {
        let inner = &*self.inner;
        let now = inner.settings.now()?;
        Ok(Health {
            stale: !self.is_fresh(now),
            accepts_when_stale: inner.settings.accept_when_stale,
            fresh_as_of: inner.follower.fresh_as_of().map(OffsetDateTime::from),
            position: inner.follower.cursor().position(),
            facts: inner.known.len(),
        })
    }

    /// Refuses a login that has ended. No I/O, no allocation.
    ///
    /// # Errors
    ///
    /// *Rejected* as revoked, or as outdated if the login has changed since `version`. *Unavailable*
    /// if the view is stale and refuses then, or if only the next read can decide.
    #[inline]
    pub(crate) fn check(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
        version: u64,
        now: Timestamp,
    ) -> Result<()> {
        self.check_fresh(now)?;
        self.check_known(handle, subject, stamp, version)
    }

    /// Refuses a login that a known fact has ended, however old the last read is.
    ///
    /// # Errors
    ///
    /// *Rejected* as revoked, or as outdated if the login has changed since `version`. *Unavailable*
    /// if only the next read can decide.
    #[inline]
    pub(crate) fn check_known(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
        version: u64,
    ) -> Result<()> {
        let inner = &*self.inner;
        if let Some(stamp) = stamp {
            if !inner.settings.accept_other_incarnations && !inner.known.is_current(stamp) {
                if inner.follower.has_caught_up() {
                    inner.incidents.note_other_log();
                }
                return Err(Rejection::Revoked.into());
            }
            inner.note_unread(stamp);
        }
        match inner.known.status(handle, subject, stamp) {
            LoginStatus::Changed(newest) if version < newest => Err(Rejection::Outdated.into()),
            LoginStatus::Active | LoginStatus::Changed(_) => Ok(()),
            LoginStatus::Ended | LoginStatus::EndedWithSubject => Err(Rejection::Revoked.into()),
            LoginStatus::UnreadStamp { .. } => Err(unread()),
            LoginStatus::LostStamp { .. } => {
                inner.follower.note_lost_login(handle);
                Err(Rejection::Revoked.into())
            }
        }
    }

    /// Refuses all logins if the view is stale and configured to refuse then.
    ///
    /// # Errors
    ///
    /// *Unavailable*.
    #[inline]
    pub(crate) fn check_fresh(&self, now: Timestamp) -> Result<()> {
        if self.is_fresh(now) {
            return Ok(());
        }
        self.inner.check_stale(now)
    }

    /// Call it if a stale view has this effect. If nothing reads the log, logs that mistake once.
    #[cold]
    pub(crate) fn note_stale(&self, now: Timestamp, effect: &str) {
        self.inner.note_stale(now, effect);
    }

    /// Returns the status of a login; `None` if the view is stale. No I/O, no allocation.
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

    /// Returns true if a login has ended although the store still returned its row: with
    /// everything, or after the store was asked. False if the view is stale.
    ///
    /// # Errors
    ///
    /// *Unavailable* if only the next read can decide.
    pub(crate) fn has_ended(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
        now: Timestamp,
    ) -> Result<bool> {
        match self.status(handle, subject, stamp, now) {
            Some(status) => self.inner.has_ended(status, handle, stamp),
            None => Ok(false),
        }
    }

    /// Returns true if a login has ended with everything, which leaves its row in the store. False
    /// if the view is stale.
    ///
    /// # Errors
    ///
    /// *Unavailable* if only the next read can decide.
    pub(crate) fn has_ended_with_everything(
        &self,
        handle: Handle,
        stamp: Option<Stamp>,
        now: Timestamp,
    ) -> Result<bool> {
        let status = self.inner.known.status_with_everything(stamp);
        Ok(self.is_fresh(now) && self.inner.has_ended(status, handle, stamp)?)
    }

    /// Returns true if a known fact says that a login has changed to `version`, or has ended.
    pub(crate) fn knows_change(&self, handle: Handle, version: u64) -> bool {
        self.inner.known.has_changed(handle, version)
    }

    /// Returns true if a known fact has ended this very login.
    pub(crate) fn knows_end(&self, handle: Handle) -> bool {
        self.inner.known.has_ended(handle)
    }

    /// Returns true if a known fact has ended a login: this very one, or all of its subject.
    pub(crate) fn knows_end_of(&self, handle: Handle, subject: &str, stamp: Option<Stamp>) -> bool {
        let status = self.inner.known.status(handle, subject, stamp);
        matches!(status, LoginStatus::Ended | LoginStatus::EndedWithSubject)
    }

    /// Returns the stamp of a login that begins at the last entry that was applied.
    pub(crate) fn applied_stamp(&self) -> Stamp {
        self.inner.known.applied_stamp()
    }

    /// Returns true if the view knows all facts that were appended longer ago than the bound.
    #[inline]
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        let inner = &*self.inner;
        inner.follower.is_fresh(now, inner.settings.fresh_secs())
    }

    /// Returns true if a key was retired.
    #[inline]
    pub(crate) fn is_retired(&self, key: impl FnOnce() -> KeyId) -> bool {
        self.inner.known.is_retired(key)
    }

    /// Asks the log for its head: the stamp of a login that begins now.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer.
    pub(crate) async fn stamp(&self) -> Result<Stamp> {
        let inner = &*self.inner;
        let now = inner.settings.now()?;
        let stamp = inner.log.head(now).await.map_err(Error::of_the_log)?;
        if !self.is_read_only() {
            // If the log loses this entry, this node notices it and makes the log as long as it was.
            inner.follower.cursor().note_stamp(stamp);
            inner.known.note_mark(stamp);
        }
        Ok(stamp)
    }

    /// Refuses a login that continues one with this stamp, if that one has ended by a known fact: this
    /// login, which has `handle` if it is known, or all logins of its subject. Asks no log: a fact that
    /// this view has not read ends the new login as soon as the old one, because they share the stamp.
    ///
    /// # Errors
    ///
    /// *Refused* as outdated.
    pub(crate) fn check_continued(
        &self,
        stamp: Stamp,
        handle: Option<Handle>,
        subject: &str,
    ) -> Result<()> {
        let inner = &*self.inner;
        let is_rejected = !inner.settings.accept_other_incarnations
            && inner.follower.has_caught_up()
            && !inner.known.is_current(stamp);
        let has_ended = handle.is_some_and(|handle| inner.known.has_ended(handle));
        if is_rejected || has_ended || inner.known.has_ended_with_subject(subject, stamp) {
            return Err(Refusal::Outdated.into());
        }
        Ok(())
    }

    /// Refuses a login whose subject has ended or changed since it was stamped: see
    /// [`check_new`](Self::check_new).
    pub(crate) async fn check_since(&self, stamp: Stamp, subject: &str) -> Result<()> {
        self.check_new(stamp, stamp, subject).await
    }

    /// Refuses a new login whose subject has ended since its stamp, or changed since it began. The
    /// stamp is the older one if the login continues another one. Asks the log itself for the facts that
    /// this view has not read, so that a fact appended before this call is found.
    ///
    /// # Errors
    ///
    /// *Refused* as outdated; *unavailable* if the log could not answer.
    pub(crate) async fn check_new(&self, stamp: Stamp, began: Stamp, subject: &str) -> Result<()> {
        let key = SubjectKey::of(subject);
        let is_comparable = stamp.incarnation() == began.incarnation();
        let known = &self.inner.known;
        // Before the facts are checked, which are those up to this position at least.
        let applied = known.applied();
        let read = match known.is_current(stamp) {
            true => applied.max(stamp.position()),
            false => stamp.position(),
        };
        if known.is_current(stamp) && known.has_ended_with_subject(subject, stamp) {
            return Err(Refusal::Outdated.into());
        }
        let mut from = match is_comparable {
            true => read.min(began.position()),
            false => began.position(),
        };
        loop {
            let now = self.inner.settings.now()?;
            let page = self
                .inner
                .log
                .read(from, PAGE_ENTRIES, now)
                .await
                .map_err(Error::of_the_log)?;
            if page.incarnation != began.incarnation() {
                // Positions of another incarnation cannot be compared with the stamps.
                return Ok(());
            }
            for entry in &page.entries {
                let position = entry.position;
                let is_other =
                    matches!(entry.fact, Fact::Subject { subject, .. } if subject != key);
                let is_lost = |stamp: Stamp| {
                    position == stamp.position() && entry.nonce.mark() != stamp.mark()
                };
                let has_ended = is_comparable
                    && (is_lost(stamp)
                        || !is_other && stamp.position() < entry.fact.before(position));
                let has_changed = position > began.position() && entry.fact.outdates(key);
                if has_ended || has_changed || is_lost(began) {
                    return Err(Refusal::Outdated.into());
                }
                from = entry.position + 1;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Returns true if the log has been read up to where a login was stamped.
    pub(crate) fn has_read(&self, stamp: Option<Stamp>) -> bool {
        let known = &self.inner.known;
        stamp.is_none_or(|stamp| stamp.position() <= known.applied() || !known.is_current(stamp))
    }
}

/// Text for a view that was never read.
const UNFOLLOWED: &str = "the revocation view was never read, so it refuses all logins: spawn the \
                          upkeep once, `tokio::spawn(auth.upkeep().run(tokio::time::sleep))`";

#[cold]
pub(super) fn stale() -> Error {
    Error::could_not("the revocation view is stale", None)
}

/// The login was stamped beyond what the view has read.
#[cold]
fn unread() -> Error {
    let what = "the login began later than the revocation view has read";
    Error::could_not(what, None)
}

impl Inner {
    /// Returns true if a stale view may decide by its known facts. A view that has never read the
    /// log to its end must not.
    #[cold]
    fn accepts_when_stale(&self) -> bool {
        self.settings.accept_when_stale && self.follower.has_caught_up()
    }

    /// Refuses all logins of a view that is not fresh, unless it accepts them.
    #[cold]
    fn check_stale(&self, now: Timestamp) -> Result<()> {
        if self.accepts_when_stale() {
            self.note_stale(now, "it accepts logins that have been ended since");
            return Ok(());
        }
        self.note_stale(now, "it refuses all logins");
        if self.follower.has_begun() {
            return Err(stale());
        }
        Err(Error::could_not(UNFOLLOWED, None))
    }

    /// Logs once, if nothing has tried to read the log for the bound after the view was first found
    /// stale: no upkeep runs.
    fn note_stale(&self, now: Timestamp, effect: &str) {
        if !self.follower.is_forgotten(now, self.settings.bound) {
            return;
        }
        let state = match self.follower.has_begun() {
            false => "was never read",
            true => "is no longer read",
        };
        log_mistake(&format!(
            "the revocation view {state}, so {effect}: spawn the upkeep once, and keep it running, \
             `tokio::spawn(auth.upkeep().run(tokio::time::sleep))`"
        ));
    }

    /// Notes a stamp beyond what has been read: it is new, or of a part that the log has lost. The
    /// next read decides.
    #[inline]
    fn note_unread(&self, stamp: Stamp) {
        if stamp.position() > self.known.applied() && self.known.is_current(stamp) {
            self.follower.note_unread(stamp, self.known.applied());
        }
    }

    /// Returns true if a login with this status has ended although its row still exists.
    fn has_ended(&self, status: LoginStatus, handle: Handle, stamp: Option<Stamp>) -> Result<bool> {
        match status {
            LoginStatus::Ended => Ok(true),
            LoginStatus::LostStamp { everything: true } => {
                self.follower.note_lost_login(handle);
                Ok(true)
            }
            LoginStatus::UnreadStamp { everything: true } => {
                if let Some(stamp) = stamp {
                    self.note_unread(stamp);
                }
                Err(unread())
            }
            _ => Ok(false),
        }
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
