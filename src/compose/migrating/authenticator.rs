//! Two strategies side by side.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

use crate::authenticator::{Authenticator, Presented};
use crate::base::boxed::BoxFuture;
use crate::base::semaphore::Semaphore;
use crate::base::single_flight::{CallOutcome, Role, SingleFlight};
use crate::clock::{self, Clock, Timestamp, within};
use crate::compose::either::{Either, Strategy};
use crate::compose::migrating::upgrades::{self, Key, Upgrade, Upgrades};
use crate::compose::pair::Pair;
use crate::error::{EndedLogin, Error, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::Begun;
use crate::login::edit::{Edit, EditFn};
use crate::login::identity::Identity;
use crate::login::issued::{Credential, Issued, Outcome, Revocation, instead, replaced};
use crate::login::logout::Logout;
use crate::login::relatives::Relatives;
use crate::observer::Observer;
use crate::session::listed::Session;
use crate::upkeep::{Chore, Upkeep};

/// Upgrades that run at the same time.
const MAX_CONCURRENT_UPGRADES: usize = 256;
/// Old credentials that one step of the upkeep revokes.
const REVOCATIONS_PER_STEP: usize = 100;
/// Time in which a repeated upgrade of the same old credential returns the same new login. A client
/// that has refreshed the new login must not get its first credential again after the overlap of
/// that refresh.
const REPLAY_SECS: u64 = 5;
/// Pause between two steps of the upkeep.
const STEP_PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of attempts to upgrade a login that other callers change at the same time.
const MAX_UPGRADE_ATTEMPTS: usize = 8;
/// Value of `last_seen` before the first old credential.
const NOT_SEEN: u64 = u64::MAX;

/// Authenticator with an old and a new strategy, for a service that changes its strategy. See
/// [the module](super).
///
/// # Upgrades
///
/// On one node, any number of parallel refreshes of one old credential within five seconds make one
/// new login, and all of them return it. Nodes do not coordinate: a client that sends the same
/// refresh to several nodes at once gets a login from each.
///
/// If the new strategy cannot issue the login, because of an outage, a rule or the age of the
/// login, the old strategy refreshes it. The migration refuses no user.
///
/// # End of an old credential
///
/// The node that has upgraded an old credential revokes it after the
/// [overlap](super::MigratingBuilder::overlap), by the [upkeep](Authenticator::upkeep) or when it is
/// presented there next. A logout does not wait for that. On every node, also on those of the step before,
/// it ends the old login and every new login that nodes have made of it: also one that a thief has made of a
/// copy.
///
/// | call | ends |
/// |---|---|
/// | [`revoke_all`](Authenticator::revoke_all), [`revoke_all_except`](Authenticator::revoke_all_except) | old and new logins of the user |
/// | [`revoke`](Authenticator::revoke), and a login that [replaces](Login::replaces) | the login of the credential, the one that it was made of, and all others that were made of that one |
/// | [`revoke_listed`](Self::revoke_listed), for a login in a list | the same |
/// | `revoke_id` of one strategy | that one alone: a login that was made of it goes on |
///
/// The answer is the later of the two effects: `Within(overlap)` if the login may just be upgraded on another node, and
/// for tokens without a revocation log the time at which the last one expires.
///
/// A strategy of the application does not tell the others by the handle of one
/// ([`revoke_relatives`](Authenticator::revoke_relatives) is `None`). Then only the node that has upgraded
/// ends the other login too: log out with `revoke_all` while the change lasts.
///
/// Before the process stops, call [`Upkeep::finish`]: it revokes the old credentials at once, also those
/// within the overlap. A client that has lost the answer of such an upgrade is then refused. To avoid it, let the node serve
/// no requests for the overlap before that call, while its upkeep runs. If the
/// process is killed, they live until they expire or their user logs out, and may be upgraded again. So does
/// a credential of an old strategy that cannot revoke, such as tokens without a revocation log. After a second
/// change of strategy, only `revoke_all` ends a login from before the first one.
///
/// # Updates
///
/// An [`update_all`](Authenticator::update_all) on any node also reaches a login that is being upgraded. It
/// may then call its edit twice for one login: let the edit set values, and not add to them. An
/// [`update`](Authenticator::update) with a new credential does not reach the old login.
pub struct Migrating<Old, New> {
    inner: Arc<Inner<Old, New>>,
}

struct Inner<Old, New> {
    /// The new strategy is the first one, because its share grows.
    either: Either<New, Old>,
    overlap_secs: u64,
    clock: Arc<dyn Clock>,
    flights: SingleFlight<Key>,
    permits: Semaphore,
    upgrades: Upgrades,
    verified: AtomicU64,
    upgraded: AtomicU64,
    shortened: AtomicU64,
    refused: AtomicU64,
    last_seen: AtomicU64,
}

/// Progress of a migration, on this node and since it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Number of verifications of old credentials.
    pub verified: u64,
    /// Number of old credentials that were upgraded.
    pub upgraded: u64,
    /// Number of upgrades that made a login shorter, so that its user logs in again earlier than the old
    /// strategy promised. Give the new strategy a longer absolute timeout or [maximum
    /// lifetime](crate::token::TokenBuilder::max_lifetime).
    pub shortened: u64,
    /// Number of refreshes that the old strategy answered, because the new one could not issue the login. If
    /// it rises without an outage, check what the two strategies need: [the same log, and a store
    /// each](super).
    pub refused: u64,
    /// Time at which an old credential was last presented; `None` if none was.
    pub last_seen_at: Option<OffsetDateTime>,
}

impl<Old, New> Migrating<Old, New> {
    pub(super) fn new(either: Either<New, Old>, overlap_secs: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                either,
                overlap_secs,
                clock,
                flights: SingleFlight::new(),
                permits: Semaphore::new(MAX_CONCURRENT_UPGRADES),
                upgrades: Upgrades::default(),
                verified: AtomicU64::new(0),
                upgraded: AtomicU64::new(0),
                shortened: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                last_seen: AtomicU64::new(NOT_SEEN),
            }),
        }
    }

    /// Returns the old and the new strategy. [`progress`](Self::progress) does not count calls to
    /// them.
    #[must_use]
    pub fn strategies(&self) -> (&Old, &New) {
        let (new, old) = self.inner.either.strategies();
        (old, new)
    }

    /// Ends a login that one of the two strategies has listed, and its relatives: the login that it was made
    /// of, and those that were made of that one. `revoke_id` of one strategy ends that one alone.
    ///
    /// ```
    /// use statewise::hybrid::HybridAuthenticator;
    /// use statewise::migrating::Migrating;
    /// use statewise::session::SessionAuthenticator;
    /// use statewise::store::MemoryStore;
    /// use statewise::{PublicId, Result, Revocation};
    ///
    /// type Auth = Migrating<SessionAuthenticator<MemoryStore>, HybridAuthenticator<MemoryStore>>;
    ///
    /// /// The button "end" in the list of devices, which has the logins of both strategies.
    /// async fn end_device(auth: &Auth, user: &str, id: PublicId) -> Result<Option<Revocation>> {
    ///     let (old, new) = auth.strategies();
    ///     let mut listed = old.sessions(user, None).await?.sessions;
    ///     listed.extend(new.sessions(user, None).await?.sessions);
    ///     match listed.iter().find(|session| session.id() == id) {
    ///         Some(session) => Ok(Some(auth.revoke_listed(session).await?.effective)),
    ///         None => Ok(None),
    ///     }
    /// }
    /// # let _ = end_device;
    /// ```
    ///
    /// # Errors
    ///
    /// *Unavailable*: some of them may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// Some of them may have ended: call again.
    pub async fn revoke_listed(&self, listed: &Session) -> Result<Logout>
    where
        Old: Authenticator,
        New: Authenticator<Data = Old::Data>,
    {
        let handle = listed.record().handle();
        self.inner
            .pair()
            .revoke_listed(listed.subject(), handle)
            .await
    }

    /// Returns the progress on this node. The migration is complete when no node has seen an old
    /// credential for the lifetime of such a credential.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let last_seen = self.inner.last_seen.load(Ordering::Relaxed);
        Progress {
            verified: self.inner.verified.load(Ordering::Relaxed),
            upgraded: self.inner.upgraded.load(Ordering::Relaxed),
            shortened: self.inner.shortened.load(Ordering::Relaxed),
            refused: self.inner.refused.load(Ordering::Relaxed),
            last_seen_at: (last_seen != NOT_SEEN).then(|| Timestamp::from_unix(last_seen).into()),
        }
    }
}

impl<Old, New> Inner<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.clock)
    }

    fn old_strategy(&self) -> &Old {
        self.either.strategies().1
    }

    fn new_strategy(&self) -> &New {
        self.either.strategies().0
    }

    fn note_seen(&self, now: Timestamp) {
        self.last_seen.store(now.unix(), Ordering::Relaxed);
    }

    /// Revokes and rejects an old credential after its overlap.
    async fn reject_overdue(&self, credential: &str, now: Timestamp) -> Result<()> {
        if self.upgrades.is_empty() {
            return Ok(());
        }
        let key = upgrades::key(credential);
        match self.upgrades.get(&key) {
            Some(upgrade) if upgrade.until <= now => {
                replaced(self.old_strategy().revoke(credential).await)?;
                self.upgrades.remove(&key);
                Err(Rejection::Unknown.into())
            }
            _ => Ok(()),
        }
    }

    async fn verify_old(&self, presented: Presented<'_>) -> Result<Identity<Old::Data>> {
        let now = self.now()?;
        self.reject_overdue(presented.credential(), now).await?;
        let caller = self.old_strategy().verify_with(presented).await?;
        self.verified.fetch_add(1, Ordering::Relaxed);
        self.note_seen(now);
        Ok(caller.with_refresh_due(!presented.is_passive()))
    }

    /// Upgrades an old credential, or replays a recent upgrade.
    async fn refresh_old(&self, presented: Presented<'_>) -> Result<Issued<Old::Data>> {
        let now = self.now()?;
        self.revoke_due(now).await;
        self.reject_overdue(presented.credential(), now).await?;
        let key = upgrades::key(presented.credential());
        if !self.upgrades.has_room(&key) {
            return self.old_strategy().refresh_with(presented).await;
        }
        loop {
            let recent = self.upgrades.get(&key);
            if let Some(upgrade) = recent.filter(|made| within(made.made_at, REPLAY_SECS, now)) {
                return self.replay(key, upgrade).await;
            }
            let leader = match self.flights.join(key) {
                Role::Leader(leader) => leader,
                Role::Follower(call) => {
                    if call.outcome().await == CallOutcome::Failed {
                        let what = "another upgrade of the same credential failed";
                        return Err(Error::could_not(what, None));
                    }
                    continue;
                }
            };
            let permit = self.permits.acquire().await;
            let answer = self.upgrade(key, presented, now).await;
            drop(permit);
            leader.finish(match &answer {
                Ok(_) => CallOutcome::Succeeded,
                Err(error) if error.is_unavailable() => CallOutcome::Failed,
                // Each of the others is rejected by its own attempt.
                Err(_) => CallOutcome::Abandoned,
            });
            return answer;
        }
    }

    async fn upgrade(
        &self,
        key: Key,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<Issued<Old::Data>> {
        let mut evicted = Vec::new();
        for _ in 0..MAX_UPGRADE_ATTEMPTS {
            match self.try_upgrade(key, presented, now, &mut evicted).await {
                Ok(Some(issued)) => {
                    return Ok(issued.with_evicted(evicted.iter().map(|ended| ended.login)));
                }
                // The old login has changed meanwhile.
                Ok(None) => {}
                Err(error) => return Err(error.with_ended(evicted)),
            }
        }
        let what = "other calls keep changing the login while it is upgraded";
        Err(Error::could_not(what, None).with_ended(evicted))
    }

    /// Tries to upgrade an old credential. `None` if the old login has changed meanwhile: no client has got
    /// the new one then. Adds the logins that a limit has ended in favor of one that was not handed out.
    async fn try_upgrade(
        &self,
        key: Key,
        presented: Presented<'_>,
        now: Timestamp,
        evicted: &mut Vec<EndedLogin>,
    ) -> Result<Option<Issued<Old::Data>>> {
        // Before the old login is read: an update of all logins in between makes the new one outdated.
        let begun = self.new_strategy().begin().await;
        // A refresh and not only a verification: it also detects a stolen credential.
        let refreshed = match self.old_strategy().refresh_with(presented).await {
            // Only the issuer of a token can refresh it, but a valid one is upgraded too.
            Err(error) if error.rejection() == Some(Rejection::NotRefreshable) => None,
            refreshed => Some(refreshed?),
        };
        self.note_seen(now);
        let witness = match &refreshed {
            Some(old) if old.refresh_credential().is_some() => old.credential().clone(),
            // Its successor stays unused, so that the old credential does not count as reused.
            _ => Credential::new(presented.credential().to_owned()),
        };
        let is_refreshed = refreshed.is_some();
        let caller = match refreshed {
            Some(old) => old.into_identity(),
            None => self.old_strategy().verify_with(presented).await?,
        };
        let overlap = Duration::from_secs(self.overlap_secs);
        let ended = Logout::new(Revocation::Within(overlap)).with_login(&caller);
        let (deadline, version) = (caller.deadline, caller.version());
        let mut login = caller.into_login();
        login.place = presented.place();
        login.is_upgrade = true;
        let new = match begun {
            Ok(begun) => self.new_strategy().issue(login.begun(begun)).await,
            Err(error) => Err(error),
        };
        let new = match new {
            // The old strategy replays its answer. A login that the new strategy rejects is too old
            // for it, or has ended; the old strategy then rejects it as well.
            Err(error) if is_refreshed && !error.is_misuse() => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let refreshed = self.old_strategy().refresh_with(presented).await;
                return instead(&error, refreshed).map(Some);
            }
            new => new?.with_outcome(Outcome::Rotated),
        };
        let upgrade = Upgrade {
            old: Credential::new(presented.credential().to_owned()),
            new: new.credential().clone(),
            refresh: new.refresh_credential().cloned(),
            witness,
            made_at: now,
            until: now.saturating_add(self.overlap_secs),
            tried_at: None,
        };
        // Inserted before the old login is checked again: a logout with the old credential is either seen
        // by that check, or finds this upgrade.
        self.upgrades.insert(key, upgrade.clone());
        match self.check_old_login(&upgrade).await {
            Ok(old) if old.version() == version => {
                self.upgraded.fetch_add(1, Ordering::Relaxed);
                if new.identity().deadline < deadline {
                    self.shortened.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(Some(new.with_upgraded(ended)));
            }
            // An update of all logins has found the old one, and perhaps not the new one.
            Ok(_) => {}
            Err(error) if error.rejection() == Some(Rejection::Outdated) => {}
            Err(error) => {
                self.discard(&key, &new).await;
                return Err(error.with_ended(new.all_ended()));
            }
        }
        self.discard(&key, &new).await;
        evicted.extend(new.all_ended());
        Ok(None)
    }

    /// Verifies that the old login has not ended, and returns it. No new login is returned without this
    /// check.
    async fn check_old_login(&self, upgrade: &Upgrade) -> Result<Identity<Old::Data>> {
        let witness = Presented::new(upgrade.witness.reveal()).authoritative();
        self.old_strategy().verify_with(witness).await
    }

    /// Ends a new login that was not handed out, and forgets its upgrade. No event has reported the login, so
    /// none reports its end. A token is not revoked: other upgrades of the old login have its handle.
    async fn discard(&self, key: &Key, new: &Issued<Old::Data>) {
        self.upgrades.remove(key);
        let (strategy, identity) = (self.new_strategy(), new.identity());
        let itself = Relatives::itself(identity.handle);
        // If this fails, the login stays until it expires.
        if let Ok(None) = strategy.revoke_relatives(identity.subject(), &itself).await {
            let _ = strategy.revoke(new.refreshable().reveal()).await;
        }
    }

    /// Returns the new login of a recent upgrade again.
    async fn replay(&self, key: Key, upgrade: Upgrade) -> Result<Issued<Old::Data>> {
        if let Err(error) = self.check_old_login(&upgrade).await {
            if error.is_rejected() {
                // Another node may have ended the old login after its overlap, and a client may have the
                // new one.
                self.upgrades.remove(&key);
            }
            return Err(error);
        }
        let identity = self.new_strategy().verify(upgrade.new.reveal()).await?;
        let issued = Issued::new(upgrade.new, identity, Outcome::Replayed);
        Ok(match upgrade.refresh {
            Some(refresh) => issued.with_refresh_credential(refresh),
            None => issued,
        })
    }

    /// Revokes old credentials after their overlap, up to the limit of one step.
    async fn revoke_due(&self, now: Timestamp) {
        for _ in 0..REVOCATIONS_PER_STEP {
            let Some((key, old)) = self.upgrades.next_due(now) else {
                return;
            };
            if replaced(self.old_strategy().revoke(old.reveal()).await).is_err() {
                // A later step tries again; until then the credential is rejected.
                return;
            }
            self.upgrades.remove(&key);
        }
    }

    fn pair(&self) -> Pair<'_, Old, New> {
        Pair {
            old: self.old_strategy(),
            new: self.new_strategy(),
            overlap: Revocation::Within(Duration::from_secs(self.overlap_secs)),
        }
    }

    /// Ends the new login that this node has made of an old credential, or the old login that it has made
    /// a new credential of, in the overlap. `None` if it has made neither.
    async fn revoke_counterpart(&self, credential: &str) -> Result<Option<Logout>> {
        let key = upgrades::key(credential);
        let (key, revoked) = match self.upgrades.get(&key) {
            Some(upgrade) => (key, self.new_strategy().revoke(upgrade.refreshable()).await),
            None => match self.upgrades.by_new(credential) {
                Some((key, upgrade)) => {
                    (key, self.old_strategy().revoke(upgrade.old.reveal()).await)
                }
                None => return Ok(None),
            },
        };
        let logout = match revoked {
            Err(error) if error.is_rejected() => Revocation::Immediate.into(),
            revoked => revoked?,
        };
        self.upgrades.remove(&key);
        Ok(Some(logout))
    }

    /// Revokes all old credentials that were upgraded, before their overlap has ended.
    async fn revoke_upgraded(&self) -> Result<()> {
        for (key, old) in self.upgrades.all() {
            replaced(self.old_strategy().revoke(old.reveal()).await)?;
            self.upgrades.remove(&key);
        }
        Ok(())
    }

    /// Notes a credential that replaces a new one. If the old login is in its overlap, it now leads
    /// to that.
    fn note_successor(&self, of: &str, issued: &Issued<Old::Data>) {
        if let Some((key, mut upgrade)) = self.upgrades.by_new(of) {
            upgrade.new = issued.credential().clone();
            upgrade.refresh = issued.refresh_credential().cloned().or(upgrade.refresh);
            if issued.identity().step().is_some() {
                // A copy of the old credential must not get it.
                upgrade.made_at = Timestamp::default();
            }
            self.upgrades.insert(key, upgrade);
        }
    }
}

impl<Old, New> Authenticator for Migrating<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    type Data = Old::Data;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.inner.either.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        self.inner.either.sample_credentials()
    }

    fn has_refresh_credentials(&self) -> bool {
        self.inner.either.has_refresh_credentials()
    }

    async fn begin(&self) -> Result<Begun> {
        self.inner.either.begin().await
    }

    async fn issue(&self, login: Login<Old::Data>) -> Result<Issued<Old::Data>> {
        let inner = &*self.inner;
        let replaces = login.replaces.clone();
        let mut others = inner.pair().end_relatives_of(&replaces).await?;
        for old in &replaces {
            if let Some(counterpart) = inner.revoke_counterpart(old).await? {
                others = others.and(counterpart);
            }
        }
        let (new, old) = (inner.new_strategy(), inner.old_strategy());
        inner.pair().issue(new, old, login, others).await
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Old::Data>> {
        match self.inner.either.strategy(presented.credential())? {
            Strategy::First => self.inner.new_strategy().verify_with(presented).await,
            Strategy::Second => self.inner.verify_old(presented).await,
        }
    }

    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<Old::Data>>> {
        match self.inner.either.strategy(presented.credential()) {
            Ok(Strategy::First) => self.inner.new_strategy().try_verify_now(presented),
            Ok(Strategy::Second) => None,
            Err(error) => Some(Err(error)),
        }
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<Old::Data>> {
        match self.inner.either.strategy(presented.credential())? {
            Strategy::First => {
                let issued = self.inner.new_strategy().refresh_with(presented).await?;
                self.inner.note_successor(presented.credential(), &issued);
                Ok(issued)
            }
            Strategy::Second => self.inner.refresh_old(presented).await,
        }
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        let inner = &*self.inner;
        let known = inner.revoke_counterpart(credential).await?;
        match inner.either.strategy(credential)? {
            Strategy::First => inner.pair().revoke_new(credential, known).await,
            Strategy::Second => inner.pair().revoke_old(credential, known).await,
        }
    }

    fn check_overlap(&self, overlap: Duration) -> Result<()> {
        self.inner.either.check_overlap(overlap)
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        self.inner.either.find_login(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.inner.either.revoke_all(subject).await
    }

    async fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
    ) -> Result<Option<Logout>> {
        self.inner.either.revoke_relatives(subject, relatives).await
    }

    async fn revoke_all_except(&self, kept: &Identity<Old::Data>) -> Result<Affected> {
        self.inner.either.revoke_all_except(kept).await
    }

    /// Updates the login of the credential. In the overlap of an upgrade, an update of the old login
    /// also updates the new one, to which its client may switch.
    async fn update(
        &self,
        credential: &str,
        edit: EditFn<'_, Old::Data>,
    ) -> Result<Issued<Old::Data>> {
        let inner = &*self.inner;
        let (old, new) = (inner.old_strategy(), inner.new_strategy());
        if let Strategy::First = inner.either.strategy(credential)? {
            let issued = new.update(credential, edit).await?;
            inner.note_successor(credential, &issued);
            return Ok(issued);
        }
        inner.reject_overdue(credential, inner.now()?).await?;
        let issued = old.update(credential, &mut *edit).await?;
        if let Some(upgrade) = inner.upgrades.get(&upgrades::key(credential)) {
            // A copy of the old credential leads to the new one. A step-up would make another one,
            // which no client would get.
            let edit = &mut |login: &mut Edit<Old::Data>| {
                edit(login)?;
                login.drop_step();
                Ok(())
            };
            let updated = new.update(upgrade.refreshable(), edit).await?;
            inner.note_successor(upgrade.refreshable(), &updated);
        }
        Ok(issued)
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, Old::Data>) -> Result<Affected> {
        // The old strategy first: an upgrade stores the new login, and then looks whether the old one has
        // changed.
        let (old, new) = (self.inner.old_strategy(), self.inner.new_strategy());
        let old = old.update_all(subject, &mut *edit).await;
        let new = new.update_all(subject, edit).await?;
        Ok(old?.and(new))
    }

    async fn ready(&self) -> Result<()> {
        self.inner.either.ready().await
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep::of(RevokeDue(Arc::clone(&self.inner)))
            .and(self.inner.either.upkeep())
            .clock(Arc::clone(&self.inner.clock))
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.inner.either.observer()
    }
}

/// The chore that revokes old credentials after their overlap.
struct RevokeDue<Old, New>(Arc<Inner<Old, New>>);

impl<Old, New> Chore for RevokeDue<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    fn step<'a>(&'a self, now: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            self.0.revoke_due(now).await;
            Ok(STEP_PAUSE)
        })
    }

    fn finish<'a>(&'a self, _: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.0.revoke_upgraded())
    }
}

impl<Old, New> fmt::Debug for RevokeDue<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevokeDue")
    }
}

impl<Old: fmt::Debug, New: fmt::Debug> fmt::Debug for Migrating<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrating")
            .field("old", self.strategies().0)
            .field("new", self.strategies().1)
            .field("overlap", &self.inner.overlap_secs)
            .finish_non_exhaustive()
    }
}
