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
use crate::compose::migrating::upgrades::{self, Key, Upgrade, Upgrades};
use crate::error::{Error, Rejection, Result};
use crate::login::Login;
use crate::login::identity::Identity;
use crate::login::issued::{Credential, Issued, Outcome, Revocation, replaced};
use crate::observer::Observer;
use crate::upkeep::{Chore, Upkeep};

/// Exchanges at the same time.
const MAX_CONCURRENT_EXCHANGES: usize = 256;
/// Old credentials that one step of the upkeep revokes at most.
const STEP: usize = 100;
/// Seconds for which an exchange is answered once more with the login that it made. A client that has
/// refreshed that one since must not meet it again when its own overlap is over.
const AGAIN: u64 = 5;
/// Between two steps of the upkeep.
const PAUSE: Duration = Duration::from_secs(1);
/// Before the first old credential.
const NEVER: u64 = u64::MAX;

/// Two strategies side by side, on the way from the old one to the new: see [the module](super).
///
/// Of any number of parallel exchanges of one old credential on one node, within five seconds, one
/// makes a new login, and all answer with it. Nodes do not tell each other: where a client asks
/// several of them at the same moment, each makes one.
///
/// Where the new strategy cannot take a login on, by an outage, a rule or its age, the old one
/// refreshes it: nobody is refused for the sake of the migration.
///
/// The old credential is revoked after the [overlap](super::MigratingBuilder::overlap), by the
/// [upkeep](Authenticator::upkeep) or by whoever presents it next, and at once when the new login is
/// ended by the newest credential that was made of it. If the process ends before, it lives until it
/// expires, as it would have without any migration. What the old strategy cannot revoke, as tokens
/// without a revocation log, lives until then too, and may be exchanged again.
pub struct Migrating<Old, New> {
    inner: Arc<Inner<Old, New>>,
}

struct Inner<Old, New> {
    old: Old,
    new: New,
    /// Seconds.
    overlap: u64,
    clock: Arc<dyn Clock>,
    flights: SingleFlight<Key>,
    permits: Semaphore,
    upgrades: Upgrades,
    verified: AtomicU64,
    upgraded: AtomicU64,
    last_seen: AtomicU64,
}

/// How far a migration has come, on this node and since it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Verifications of old credentials.
    pub verified: u64,
    /// Old credentials that were exchanged for new ones.
    pub upgraded: u64,
    /// When an old credential was last seen; `None` if none was.
    pub last_seen_at: Option<OffsetDateTime>,
}

/// Which of the two strategies a credential belongs to.
enum Kind {
    Old,
    New,
}

impl<Old, New> Migrating<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    pub(crate) fn new(old: Old, new: New, overlap: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                old,
                new,
                overlap,
                clock,
                flights: SingleFlight::new(),
                permits: Semaphore::new(MAX_CONCURRENT_EXCHANGES),
                upgrades: Upgrades::default(),
                verified: AtomicU64::new(0),
                upgraded: AtomicU64::new(0),
                last_seen: AtomicU64::new(NEVER),
            }),
        }
    }

    /// The old strategy and the new one. What they are asked directly is not counted.
    #[must_use]
    pub fn strategies(&self) -> (&Old, &New) {
        (&self.inner.old, &self.inner.new)
    }

    /// What is still old. Once nobody has shown an old credential for as long as one lives, on any
    /// node, the migration is over.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let last_seen = self.inner.last_seen.load(Ordering::Relaxed);
        Progress {
            verified: self.inner.verified.load(Ordering::Relaxed),
            upgraded: self.inner.upgraded.load(Ordering::Relaxed),
            last_seen_at: (last_seen != NEVER).then(|| Timestamp::from_unix(last_seen).into()),
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

    /// The new one first: it is what is asked more and more.
    fn kind(&self, credential: &str) -> Option<Kind> {
        if self.new.is_well_formed(credential) {
            Some(Kind::New)
        } else {
            self.old.is_well_formed(credential).then_some(Kind::Old)
        }
    }

    fn seen(&self, now: Timestamp) {
        self.last_seen.store(now.unix(), Ordering::Relaxed);
    }

    /// Ends an old credential that was exchanged more than the overlap ago.
    async fn refuse_exchanged(&self, credential: &str, now: Timestamp) -> Result<()> {
        if self.upgrades.is_empty() {
            return Ok(());
        }
        let key = upgrades::key(credential);
        match self.upgrades.get(&key) {
            Some(upgrade) if upgrade.until <= now => {
                replaced(self.old.revoke(credential).await)?;
                self.upgrades.forget(&key);
                Err(Rejection::Unknown.into())
            }
            _ => Ok(()),
        }
    }

    async fn verify_old(&self, presented: Presented<'_>) -> Result<Identity<Old::Data>> {
        let now = self.now()?;
        self.refuse_exchanged(presented.credential(), now).await?;
        let caller = self.old.verify_with(presented).await?;
        self.verified.fetch_add(1, Ordering::Relaxed);
        self.seen(now);
        Ok(caller.with_refresh_due(true))
    }

    /// Exchanges an old credential for a new login, or answers with the one that there is.
    async fn upgrade(&self, presented: Presented<'_>) -> Result<Issued<Old::Data>> {
        let now = self.now()?;
        self.end_exchanged(now).await;
        let credential = presented.credential();
        self.refuse_exchanged(credential, now).await?;
        let key = upgrades::key(credential);
        if !self.upgrades.has_room(&key) {
            return self.old.refresh_with(presented).await;
        }
        loop {
            let made = self.upgrades.get(&key);
            if let Some(upgrade) = made.filter(|made| within(made.made_at, AGAIN, now)) {
                return self.again(key, upgrade).await;
            }
            let leader = match self.flights.join(key) {
                Role::Leader(leader) => leader,
                Role::Follower(call) => {
                    if call.outcome().await == CallOutcome::Failed {
                        let what = "another exchange of the same credential failed";
                        return Err(Error::could_not(what, None));
                    }
                    continue;
                }
            };
            let permit = self.permits.acquire().await;
            let answer = self.exchange(key, presented, now).await;
            drop(permit);
            // One that was rejected is rejected for each by itself.
            match &answer {
                Ok(_) => leader.finish(CallOutcome::Succeeded),
                Err(error) if error.is_unavailable() => leader.finish(CallOutcome::Failed),
                Err(_) => leader.finish(CallOutcome::Abandoned),
            }
            return answer;
        }
    }

    async fn exchange(
        &self,
        key: Key,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<Issued<Old::Data>> {
        // As a refresh, and not only verified: one that was stolen is found out here too.
        let old = self.old.refresh_with(presented).await?;
        self.seen(now);
        let witness = match old.refresh_credential() {
            Some(_) => old.credential().clone(),
            // Its successor stays unused, so that the old one stays honest.
            None => Credential::new(presented.credential().to_owned()),
        };
        let new = match self.new.issue(old.into_identity().into_login()).await {
            // The same answer once more: nothing but the kind of the credential is lost. Rejected is
            // also what is too old for it; what has ended meanwhile, the old one rejects too.
            Err(error) if !error.is_misuse() => {
                return self.old.refresh_with(presented).await;
            }
            new => new?,
        };
        // Before the old login is looked at once more: whoever ends it by its credential either is
        // seen here, or finds this.
        let upgrade = Upgrade {
            old: Credential::new(presented.credential().to_owned()),
            new: new.credential().clone(),
            refresh: new.refresh_credential().cloned(),
            witness,
            made_at: now,
            until: now.saturating_add(self.overlap),
            tried_at: None,
        };
        self.upgrades.put(key, upgrade.clone());
        if let Err(error) = self.check_goes_on(&upgrade).await {
            self.give_up(&key, &upgrade).await;
            return Err(error);
        }
        self.upgraded.fetch_add(1, Ordering::Relaxed);
        Ok(new.with_outcome(Outcome::Rotated))
    }

    /// Asks whether the old login goes on, without which the new one is handed out to nobody.
    async fn check_goes_on(&self, upgrade: &Upgrade) -> Result<()> {
        let asked = Presented::new(upgrade.witness.reveal()).authoritative();
        self.old.verify_with(asked).await.map(drop)
    }

    /// Ends the new login that an old credential was exchanged for.
    async fn give_up(&self, key: &Key, upgrade: &Upgrade) {
        let _ = self.new.revoke(upgrade.refreshable()).await;
        self.upgrades.forget(key);
    }

    /// The new login that an old credential was exchanged for, once more.
    async fn again(&self, key: Key, upgrade: Upgrade) -> Result<Issued<Old::Data>> {
        // Whoever was faster may have given up before it was asked, or be about to ask.
        if let Err(error) = self.check_goes_on(&upgrade).await {
            // One that is over by time alone does not end what was made of it.
            if error.is_rejected() && error.rejection() != Some(Rejection::Expired) {
                self.give_up(&key, &upgrade).await;
            }
            return Err(error);
        }
        let identity = self.new.verify(upgrade.new.reveal()).await?;
        let issued = Issued::new(upgrade.new, identity, Outcome::Replayed);
        Ok(match upgrade.refresh {
            Some(refresh) => issued.with_refresh_credential(refresh),
            None => issued,
        })
    }

    /// Revokes old credentials whose overlap is over, as many as belong to one step.
    async fn end_exchanged(&self, now: Timestamp) {
        for _ in 0..STEP {
            let Some((key, old)) = self.upgrades.due(now) else {
                return;
            };
            if replaced(self.old.revoke(old.reveal()).await).is_err() {
                // Tried again, and refused until then.
                return;
            }
            self.upgrades.forget(&key);
        }
    }

    /// Ends the login of an old credential, and the new one that it was last exchanged for.
    async fn revoke_old(&self, credential: &str) -> Result<Revocation> {
        let old = self.old.revoke(credential).await?;
        let key = upgrades::key(credential);
        let Some(upgrade) = self.upgrades.get(&key) else {
            return Ok(old);
        };
        let new = self.new.revoke(upgrade.refreshable()).await?;
        self.upgrades.forget(&key);
        Ok(old.or_later(new))
    }

    /// Ends the login of a new credential.
    async fn revoke_new(&self, credential: &str) -> Result<Revocation> {
        let new = self.new.revoke(credential).await?;
        Ok(new.or_later(self.end_exchanged_for(credential).await?))
    }

    /// Ends the old login that goes on for the overlap, if a new credential was made of it.
    async fn end_exchanged_for(&self, credential: &str) -> Result<Revocation> {
        let Some((key, upgrade)) = self.upgrades.that_made(credential) else {
            return Ok(Revocation::Immediate);
        };
        let old = match self.old.revoke(upgrade.old.reveal()).await {
            Err(error) if error.is_rejected() => Revocation::Immediate,
            revoked => revoked?,
        };
        self.upgrades.forget(&key);
        Ok(old)
    }

    /// Refreshes a new credential. While its old login goes on, it is known by the next one.
    async fn refresh_new(&self, presented: Presented<'_>) -> Result<Issued<Old::Data>> {
        let issued = self.new.refresh_with(presented).await?;
        if let Some((key, upgrade)) = self.upgrades.that_made(presented.credential()) {
            let moved = Upgrade {
                new: issued.credential().clone(),
                refresh: issued.refresh_credential().cloned(),
                ..upgrade
            };
            self.upgrades.put(key, moved);
        }
        Ok(issued)
    }
}

impl<Old, New> Authenticator for Migrating<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    type Data = Old::Data;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.inner.kind(credential).is_some()
    }

    fn sample_credentials(&self) -> Vec<String> {
        let mut shapes = self.inner.new.sample_credentials();
        shapes.extend(self.inner.old.sample_credentials());
        shapes
    }

    async fn issue(&self, login: Login<Old::Data>) -> Result<Issued<Old::Data>> {
        let inner = &*self.inner;
        let mut login = login;
        let is_old = |credential: &mut String| matches!(inner.kind(credential), Some(Kind::Old));
        let old = login.replaces.take_if(is_old);
        let new = login.replaces.clone();
        let issued = inner.new.issue(login).await?;
        let ended = match (old, new) {
            (Some(old), _) => inner.revoke_old(&old).await,
            (None, Some(new)) => inner.end_exchanged_for(&new).await,
            (None, None) => return Ok(issued),
        };
        // Not handed out next to one that could not be ended.
        if let Err(error) = replaced(ended) {
            let _ = inner.new.revoke(issued.refreshable().reveal()).await;
            return Err(error);
        }
        Ok(issued)
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Old::Data>> {
        match self.inner.kind(presented.credential()) {
            Some(Kind::New) => self.inner.new.verify_with(presented).await,
            Some(Kind::Old) => self.inner.verify_old(presented).await,
            None => Err(Rejection::Malformed.into()),
        }
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<Old::Data>> {
        match self.inner.kind(presented.credential()) {
            Some(Kind::New) => self.inner.refresh_new(presented).await,
            Some(Kind::Old) => self.inner.upgrade(presented).await,
            None => Err(Rejection::Malformed.into()),
        }
    }

    async fn revoke(&self, credential: &str) -> Result<Revocation> {
        match self.inner.kind(credential) {
            Some(Kind::New) => self.inner.revoke_new(credential).await,
            Some(Kind::Old) => self.inner.revoke_old(credential).await,
            None => Err(Rejection::Malformed.into()),
        }
    }

    async fn revoke_all(&self, subject: &str) -> Result<Revocation> {
        // In this order: an exchange that finds its old login alive has stored the new one before.
        let old = self.inner.old.revoke_all(subject).await?;
        let new = self.inner.new.revoke_all(subject).await?;
        Ok(old.or_later(new))
    }

    fn upkeep(&self) -> Upkeep {
        let ending = Ending(Arc::clone(&self.inner));
        Upkeep::of(ending)
            .and(self.inner.new.upkeep())
            .and(self.inner.old.upkeep())
            .clock(Arc::clone(&self.inner.clock))
    }
}

/// Revokes old credentials when their overlap is over.
struct Ending<Old, New>(Arc<Inner<Old, New>>);

impl<Old, New> Chore for Ending<Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    fn step<'a>(&'a self, now: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            self.0.end_exchanged(now).await;
            Ok(PAUSE)
        })
    }
}

impl<Old, New> fmt::Debug for Ending<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}

impl<Old: fmt::Debug, New: fmt::Debug> fmt::Debug for Migrating<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrating")
            .field("old", &self.inner.old)
            .field("new", &self.inner.new)
            .field("overlap", &self.inner.overlap)
            .finish_non_exhaustive()
    }
}
