//! The writer: appends facts to the log and applies them to the node's own view.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::begun::MAX_LOGIN_SECS;
use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Entry, Fact, KeyId, SubjectKey};
use crate::revocation::log::{READ_ONLY, RevocationLog as _};
use crate::revocation::view::RevocationView;

/// Single logouts of one subject on this node. When half of the capacity is used, the next one ends
/// all logins of the subject; before that, no login ends to save room.
const MAX_LOGOUTS_PER_SUBJECT: u32 = 64;
/// Maximum number of subjects with a count of logouts.
const MAX_COUNTED_SUBJECTS: usize = 100_000;

impl RevocationView {
    /// Ends all logins of a subject that have begun by now, on every node: tokens of every
    /// authenticator with this view, and connections that wait for [`revoked`](Self::revoked).
    ///
    /// Sessions of a [`CachedStore`](crate::store::CachedStore) go on: the node asks their store
    /// again, which still has them. To end them, call
    /// [`revoke_all`](crate::Authenticator::revoke_all) of their authenticator, which also appends
    /// this fact.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take the fact, or the view is full: try again. *Misuse* if
    /// the view [only reads](Self::is_read_only).
    ///
    /// # Cancel safety
    ///
    /// The fact may have been appended. Call again to be sure.
    pub async fn revoke_subject(&self, subject: &str) -> Result<Revocation> {
        self.end_subject(SubjectKey::of(subject)).await
    }

    /// Ends all logins of all users that have begun by now, on every node and of every kind that
    /// this view guards. Use it on the day on which something has leaked.
    ///
    /// Sessions stay in their store; only the log and the nodes that have read it know that they
    /// have ended. If the log loses its data while no node runs, they are valid again.
    ///
    /// The upkeep of each node reports it as
    /// [`RevokedEverything`](crate::observer::Event::RevokedEverything). To have the call itself reported,
    /// with its failure, call it on an [`Observed`](crate::Observed) authenticator.
    ///
    /// # Errors
    ///
    /// As for [`revoke_subject`](Self::revoke_subject).
    ///
    /// # Cancel safety
    ///
    /// As for [`revoke_subject`](Self::revoke_subject).
    pub async fn revoke_everything(&self) -> Result<Revocation> {
        self.end(Fact::Everything { before: None }).await
    }

    /// Retires a key on every node, and checks neither that a key has this id, nor that logins remain
    /// possible. A node answers each login with *misuse* if its ring has no other key to sign with.
    ///
    /// Call [`retire_key`](crate::token::TokenAuthenticator::retire_key) of an authenticator instead,
    /// which refuses an unknown id and first makes sure that another key can
    /// sign; it also documents the order of steps after a leak. Use this one if the ring of the node has
    /// lost the key already, if the leak is being
    /// abused and failed logins do not matter, or where no authenticator is at hand.
    ///
    /// A key does not expire, so the nodes that may write to the log append the fact again before it
    /// expires. Also remove the key from the key rings, because a log that loses its data forgets
    /// it.
    ///
    /// # Errors
    ///
    /// *Misuse* if `kid` is not the id of a key; otherwise as for
    /// [`revoke_subject`](Self::revoke_subject).
    ///
    /// # Cancel safety
    ///
    /// As for [`revoke_subject`](Self::revoke_subject).
    pub async fn retire_key(&self, kid: &str) -> Result<Revocation> {
        self.end(Fact::Key(key_of(kid)?)).await
    }

    /// Returns true if a known fact retires the key of this id.
    pub(crate) fn has_retired(&self, id: &str) -> bool {
        key_of(id).is_ok_and(|key| self.is_retired(|| key))
    }

    /// [`retire_key`](Self::retire_key) for a caller that reports it: the upkeep of this node does not.
    pub(crate) async fn retire_key_reported(&self, kid: &str) -> Result<Revocation> {
        self.end_reported(Fact::Key(key_of(kid)?)).await
    }

    /// [`revoke_everything`](Self::revoke_everything) for a caller that reports it: the upkeep of this
    /// node does not.
    pub(crate) async fn revoke_everything_reported(&self) -> Result<Revocation> {
        self.end_reported(Fact::Everything { before: None }).await
    }

    async fn end_reported(&self, fact: Fact) -> Result<Revocation> {
        let announced = self.inner.known.news.announce(fact);
        let effective = self.end(fact).await?;
        announced.reported();
        Ok(effective)
    }

    /// Ends one login, which expires after `life` in any case.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take the fact, or the view is full: try again.
    pub(crate) async fn end_login(
        &self,
        handle: Handle,
        subject: &str,
        life: Duration,
    ) -> Result<Revocation> {
        let inner = &*self.inner;
        let subject = SubjectKey::of(subject);
        let now = inner.settings.now()?;
        // Ending one login several times counts once.
        let is_another = !inner.known.has_ended(handle);
        let logouts = || inner.logouts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_crowded = inner.known.len() >= inner.settings.capacity / 2;
        if is_another && is_crowded && logouts().are_at_limit(subject, now) {
            return self.end_subject(subject).await;
        }
        self.append(&[Fact::Login(handle)], life).await?;
        if is_another {
            logouts().count(subject, now.saturating_add(life.as_secs()));
        }
        Ok(Revocation::Within(self.bound()))
    }

    /// Makes the logins of a subject outdated that have begun by now.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take the fact, or the view is full.
    pub(crate) async fn outdate(&self, subject: &str) -> Result<()> {
        let handle = Handle::from_bytes(*SubjectKey::of(subject).as_bytes());
        let fact = Fact::Changed { handle, version: 0 };
        let life = Duration::from_secs(MAX_LOGIN_SECS);
        self.append(&[fact], life).await.map(drop)
    }

    async fn end_subject(&self, subject: SubjectKey) -> Result<Revocation> {
        let before = None;
        self.end(Fact::Subject { subject, before }).await
    }

    async fn end(&self, fact: Fact) -> Result<Revocation> {
        self.append(&[fact], self.max_lifetime()).await?;
        Ok(Revocation::Within(self.bound()))
    }

    /// Appends facts that live for `life`, and applies them to this view at once. Returns the stamp
    /// of the last one. The upkeep reports a failure, because not every caller returns it.
    pub(crate) async fn append(&self, facts: &[Fact], life: Duration) -> Result<Stamp> {
        let appended = self.try_append(facts, life).await;
        if let Err(error) = &appended {
            self.inner.incidents.note_failure(error);
        }
        appended
    }

    async fn try_append(&self, facts: &[Fact], life: Duration) -> Result<Stamp> {
        let inner = &*self.inner;
        if self.is_read_only() {
            return Err(Error::misuse(READ_ONLY));
        }
        let capacity = inner.settings.capacity;
        // Changes of logins leave half of the capacity to the facts that end them, or make logins in
        // progress outdated.
        let is_change = |fact: &&Fact| matches!(fact, Fact::Changed { version: 1.., .. });
        let changes = facts.iter().filter(is_change).count();
        if inner.known.len() + facts.len() > capacity
            || (changes > 0 && inner.known.changes() + changes > capacity / 2)
        {
            return Err(Error::could_not("the revocation view is full", None));
        }
        let now = inner.settings.now()?;
        let drafts = inner.settings.drafts(facts.iter().copied(), life)?;
        let stamp = inner
            .log
            .append(&drafts, now)
            .await
            .map_err(Error::of_the_log)?;
        inner.follower.cursor().note_appended(&drafts, stamp, now);
        // A position of another incarnation means nothing in this view.
        if inner.known.is_current(stamp) {
            for (position, draft) in (0..=stamp.position()).rev().zip(drafts.iter().rev()) {
                inner.known.apply(&Entry::new(position, *draft), now);
            }
            inner.waiters.notify(facts.iter().copied());
        }
        Ok(stamp)
    }

    /// Appends the facts about retired keys again before they expire. A node that only reads keeps
    /// them itself.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not take them: half of their life is left to try again.
    pub(super) async fn renew_retired_keys(&self) -> Result<()> {
        let inner = &*self.inner;
        let now = inner.settings.now()?;
        let life = inner.settings.max_lifetime;
        let expiring = inner
            .known
            .keys_until(now.saturating_add(life.as_secs() / 2));
        if self.is_read_only() {
            let until = now.saturating_add(life.as_secs());
            let keys = expiring.into_iter().map(Fact::Key);
            keys.for_each(|key| inner.known.learn(key, 0, until));
            return Ok(());
        }
        let drafts = inner
            .settings
            .drafts(expiring.into_iter().map(Fact::Key), life)?;
        if !drafts.is_empty() {
            inner
                .log
                .append(&drafts, now)
                .await
                .map_err(Error::of_the_log)?;
        }
        Ok(())
    }
}

/// Returns the key of this id.
///
/// # Errors
///
/// *Misuse* if no key can have it.
fn key_of(kid: &str) -> Result<KeyId> {
    let no_key = |_| {
        Error::misuse("no key has this id: pass the one that `Key::kid` returns, of 11 characters")
    };
    let id = kid.as_bytes().try_into().map_err(no_key)?;
    Ok(KeyId::from_bytes(id))
}

/// Counts the logins of each subject that this node has ended one by one.
#[derive(Default)]
pub(super) struct LogoutCounts(HashMap<SubjectKey, (u32, Timestamp)>);

impl LogoutCounts {
    fn are_at_limit(&mut self, subject: SubjectKey, now: Timestamp) -> bool {
        if self.0.len() >= MAX_COUNTED_SUBJECTS {
            self.0.retain(|_, (_, until)| *until > now);
        }
        let known = self.0.get(&subject);
        known.is_some_and(|(count, until)| *count >= MAX_LOGOUTS_PER_SUBJECT && *until > now)
    }

    fn count(&mut self, subject: SubjectKey, until: Timestamp) {
        if self.0.len() < MAX_COUNTED_SUBJECTS || self.0.contains_key(&subject) {
            let known = self.0.entry(subject).or_insert((0, until));
            *known = (known.0 + 1, until.max(known.1));
        }
    }
}
