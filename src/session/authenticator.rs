//! The stateful strategy: the server remembers the user.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticator, Presented};
use crate::base::boxed::BoxFuture;
use crate::base::public_id::PublicId;
use crate::clock::{self, Clock, Timestamp};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::data;
use crate::login::handle::Handle;
use crate::login::identity::{Identity, check_size, fields_of};
use crate::login::issued::{Credential, Issued, Outcome, Revocation, replaced};
use crate::observer::Observer;
use crate::observer::event::Event;
use crate::session::change::{Replaced, Replacement};
use crate::session::credential::{Purpose, SessionCredential};
use crate::session::fence::Fence;
use crate::session::judge::{Verdict, judge};
use crate::session::listed::{Session, SessionRef, Sessions};
use crate::session::policy::Policy;
use crate::session::replays::Replays;
use crate::store::answer::{Created, Removed, Rotated, Updated};
use crate::store::ask::{Load, Rotation, Scope, Update};
use crate::store::listing::{Cursor, Page};
use crate::store::record::{History, Record};
use crate::store::session_store::SessionStore;
use crate::upkeep::{Chore, Upkeep};

/// Sessions on a page.
const PAGE: usize = 100;
/// Sessions that are looked through at a time for one.
const SEARCH: usize = 1000;
/// Rows that one step of the upkeep removes at most.
const SWEEP: usize = 1000;
/// Between two steps of a round of sweeping.
const NEXT_SWEEP: Duration = Duration::from_millis(20);
/// Between two rounds of sweeping.
const NEXT_ROUND: Duration = Duration::from_secs(15);

/// Sessions: the client holds a random credential, the server a [`Record`] that it finds by it.
///
/// Easy to end: a removed record is the end of it, at once. Each verification asks the store.
///
/// A policy that is tightened counts at once for all sessions that there are; what it ended still
/// counts against a [limit](crate::session::SessionBuilder::limit) until the store finds it over. A policy that is
/// loosened counts for new sessions, and for the idle time of those that are rotated.
///
/// Logging a user out everywhere also ends their logins that are under way in this process; one
/// that is under way on another node at that very moment may live.
///
/// ```
/// use std::time::Duration;
/// use statewise::{Authenticator, Login, session::SessionAuthenticator, store::MemoryStore};
///
/// # async fn example() -> statewise::Result<()> {
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
///
/// let issued = auth.issue(Login::new("alice").role("admin")).await?;
/// let caller = auth.verify(issued.credential().reveal()).await?;
/// assert_eq!(caller.subject(), "alice");
///
/// let _ = auth.revoke(issued.credential().reveal()).await?;
/// assert!(auth.verify(issued.credential().reveal()).await.is_err());
/// # Ok(())
/// # }
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # let mut example = pin!(example());
/// # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
/// ```
pub struct SessionAuthenticator<S, D = ()> {
    purpose: Purpose,
    store: Arc<S>,
    policy: Policy,
    replays: Replays,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    fence: Fence,
    data: PhantomData<fn() -> D>,
}

impl<S: SessionStore, D> SessionAuthenticator<S, D> {
    pub(crate) fn new(
        purpose: Purpose,
        store: S,
        policy: Policy,
        replays: Replays,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            purpose,
            store: Arc::new(store),
            policy,
            replays,
            clock,
            entropy,
            fence: Fence::default(),
            data: PhantomData,
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.clock)
    }

    /// Reads a presented credential.
    #[inline]
    pub(crate) fn parse(&self, credential: &str) -> Option<SessionCredential> {
        SessionCredential::parse(self.purpose, credential)
    }

    /// The live sessions of `subject`, a hundred at a time: from the beginning, or from where the
    /// page before ended (OWASP ASVS 7.5.2).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store or the clock cannot answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn sessions(&self, subject: &str, after: Option<Cursor>) -> Result<Sessions> {
        let now = self.now()?;
        let page = Page { after, limit: PAGE };
        let listing = self.store.list(subject, page, now).await?;
        Ok(Sessions {
            sessions: listing
                .records
                .into_iter()
                .filter_map(|mut row| self.in_force(&mut row, now).then(|| Session::new(row)))
                .collect(),
            next: listing.next,
        })
    }

    /// Ends all sessions of the caller but the one presented (OWASP ASVS 7.4.3).
    ///
    /// # Errors
    ///
    /// *Rejected* if the credential is; *unavailable*: some may not have been ended, and trying
    /// again is safe.
    ///
    /// # Cancel safety
    ///
    /// Some may have been ended: call again.
    pub async fn revoke_others(&self, credential: &str) -> Result<Removed> {
        let now = self.now()?;
        let credential = self.parse(credential).ok_or(Rejection::Malformed)?;
        let row = self.proven(&credential, now).await?;
        self.fence.cut(row.subject());
        let scope = Scope::others(row.handle());
        self.store.remove_subject(row.subject(), scope, now).await
    }

    /// The login of a presented credential, which the store itself says is alive.
    pub(crate) async fn proven(
        &self,
        credential: &SessionCredential,
        now: Timestamp,
    ) -> Result<Record> {
        let load = Load::new().authoritative();
        let row = self.store.load(credential.handle(), load, now).await?;
        let (row, verdict) = self.judge(row, credential, now)?;
        if !self.lets_pass(verdict) {
            return Err(self.refuse(&row, verdict, now).await);
        }
        Ok(row)
    }

    /// The login under a handle, as the store itself has it; `None` if it is over.
    pub(crate) async fn alive(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let load = Load::new().authoritative();
        let Some(mut row) = self.store.load(handle, load, now).await? else {
            return Ok(None);
        };
        Self::same(&row, handle)?;
        if self.in_force(&mut row, now) {
            return Ok(Some(row));
        }
        self.remove(handle, row.subject(), now).await?;
        Ok(None)
    }

    /// The row of a credential that is to end, whatever the policy of this node says of its age:
    /// another node may have another one.
    async fn to_end(&self, credential: &SessionCredential, now: Timestamp) -> Result<ToEnd> {
        let load = Load::new().authoritative();
        let Some(row) = self.store.load(credential.handle(), load, now).await? else {
            return Ok(ToEnd::Absent);
        };
        Self::same(&row, credential.handle())?;
        Ok(match judge(&row, credential, self.policy.windows, now) {
            Verdict::Unknown => ToEnd::Unproven,
            _ => ToEnd::Proven(row),
        })
    }

    /// Ends a login in the store itself; copies of it are nobody's proof here.
    pub(crate) async fn remove(
        &self,
        handle: Handle,
        subject: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let removed = self.store.remove(handle, subject, now).await?;
        Ok(removed.count)
    }

    /// Ends the login of a credential, in the store itself. Says which it was, if it was one.
    pub(crate) async fn end(&self, credential: &str) -> Result<Option<Record>> {
        let now = self.now()?;
        let credential = self.parse(credential).ok_or(Rejection::Malformed)?;
        let ToEnd::Proven(row) = self.to_end(&credential, now).await? else {
            return Ok(None);
        };
        self.remove(row.handle(), row.subject(), now).await?;
        Ok(Some(row))
    }

    /// Ends the session of `subject` that is listed under `id`, if there is one (OWASP ASVS
    /// 7.4.5, 7.5.2). The subject keeps one user from ending the sessions of another.
    ///
    /// # Errors
    ///
    /// *Unavailable*: it may not have been ended, and trying again is safe.
    ///
    /// # Cancel safety
    ///
    /// It may have been ended: call again.
    pub async fn revoke_id(&self, subject: &str, id: PublicId) -> Result<Removed> {
        let now = self.now()?;
        match self.find(subject, id, now).await? {
            Some(handle) => self.store.remove(handle, subject, now).await,
            None => Ok(Removed::at_once(0)),
        }
    }

    /// The login of `subject` that is listed under `id`.
    pub(crate) async fn find(
        &self,
        subject: &str,
        id: PublicId,
        now: Timestamp,
    ) -> Result<Option<Handle>> {
        let mut page = Page::first(SEARCH);
        loop {
            let listing = self.store.list(subject, page, now).await?;
            let found = listing.records.iter().find(|row| row.public_id() == id);
            match (found, listing.next) {
                (Some(row), _) => return Ok(Some(row.handle())),
                (None, Some(next)) => page = Page::after(next, SEARCH),
                (None, None) => return Ok(None),
            }
        }
    }

    /// Judges a presented credential by the row that was found for it.
    #[inline]
    fn judge(
        &self,
        row: Option<Record>,
        credential: &SessionCredential,
        now: Timestamp,
    ) -> Result<(Record, Verdict)> {
        let mut row = row.ok_or(Rejection::Unknown)?;
        Self::same(&row, credential.handle())?;
        let verdict = if self.in_force(&mut row, now) {
            judge(&row, credential, self.policy.windows, now)
        } else {
            Verdict::Expired
        };
        Ok((row, verdict))
    }

    /// Refuses a row of another handle than the one asked for.
    fn same(row: &Record, handle: Handle) -> Result<()> {
        if row.handle() == handle {
            return Ok(());
        }
        // Two answers got mixed up on the way: neither is to be trusted.
        let what = "the session store answered with another session";
        Err(Error::could_not(what, None))
    }

    /// A row as the policy of now has it, unless it is over by that: what was tightened since the
    /// login counts at once.
    fn in_force(&self, row: &mut Record, now: Timestamp) -> bool {
        let lifetime = self.policy.lifetime;
        row.idle = row.idle.min(lifetime.idle());
        row.deadline = row.deadline.min(lifetime.deadline(row.authenticated_at));
        row.is_alive(now)
    }

    /// Whether a credential so judged is taken for an honest one.
    fn lets_pass(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Current | Verdict::Overlap | Verdict::Grace => true,
            Verdict::Orphaned => !self.policy.reject_orphaned,
            Verdict::Reused | Verdict::Ahead | Verdict::Unknown | Verdict::Expired => false,
        }
    }

    /// Why a credential so judged is refused. Removes the row of a login whose credential was
    /// stolen, and of one that the policy of this node has found expired: neither comes back, also
    /// if the clock is set back or the policy is loosened.
    async fn refuse(&self, row: &Record, verdict: Verdict, now: Timestamp) -> Error {
        let refused = match verdict {
            Verdict::Ahead => return Rejection::Ahead.into(),
            Verdict::Orphaned | Verdict::Reused => Error::theft_of(row.subject(), row.public_id()),
            Verdict::Expired => Rejection::Unknown.into(),
            _ => return Rejection::Unknown.into(),
        };
        match self.store.remove(row.handle(), row.subject(), now).await {
            Ok(_) => refused,
            Err(error) => error,
        }
    }

    fn refresh_due(&self, row: &Record, verdict: Verdict, now: Timestamp) -> bool {
        let born = row.history().rotated_at.max(row.created_at);
        let old = |age| now.saturating_since(born) >= age;
        verdict != Verdict::Current
            || row.rotation_wanted
            || self.policy.rotate_after.is_some_and(old)
    }
}

impl<S, D> SessionAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Replaces roles and data of a session, if they are still what was seen.
    ///
    /// A compare-and-swap: of several who saw one version, one succeeds and the others meet a
    /// [`Replaced::Conflict`], so that no change is lost. Rotations and uses do not interfere.
    ///
    /// # Errors
    ///
    /// *Refused* as too large, before anything is sent; *unavailable* if the store or the clock
    /// cannot answer: it may have been done.
    ///
    /// # Cancel safety
    ///
    /// It may have been done: a second try then meets a conflict.
    pub async fn replace(
        &self,
        seen: impl Into<SessionRef> + Send,
        replacement: Replacement<D>,
    ) -> Result<Replaced> {
        let seen = seen.into();
        if let Some(roles) = &replacement.roles {
            check_size(roles.iter().map(String::as_str))?;
        }
        let data = match &replacement.data {
            Some(data) => Some(self.stored(data)?),
            None => None,
        };
        let update = Update {
            roles: replacement.roles,
            data,
            stamp: None,
        };
        let now = self.now()?;
        let updated = self.store.update(seen.handle, seen.version, &update, now);
        Ok(match updated.await? {
            Updated::Done(row) => Replaced::Done(Session::new(row)),
            Updated::Conflict => Replaced::Conflict,
            Updated::Absent => Replaced::Absent,
        })
    }

    /// The data in its stored form; what serialises to `null` is not stored.
    pub(crate) fn stored(&self, data: &D) -> Result<Option<Vec<u8>>> {
        let stored = data::stored(data)?;
        let is_large = |json: &Vec<u8>| json.len() > self.policy.max_data;
        if stored.as_ref().is_some_and(is_large) {
            return Err(Refusal::TooLarge.into());
        }
        Ok(stored)
    }

    /// The identity that a row stands for.
    pub(crate) fn read(row: &Record, refresh_due: bool) -> Result<Identity<D>> {
        let data = data::read(|| row.fields.data())?;
        Ok(Self::identity(row, refresh_due, data))
    }

    pub(crate) fn identity(row: &Record, refresh_due: bool, data: D) -> Identity<D> {
        Identity {
            fields: row.fields.clone(),
            handle: row.handle,
            issued_at: row.created_at,
            authenticated_at: row.authenticated_at,
            expires_at: row.expires_at(),
            deadline: row.deadline,
            stamp: row.stamp(),
            version: row.version,
            refresh_due,
            data,
        }
    }

    /// A login that may be stored: nothing has been written yet.
    pub(crate) async fn draft(&self, login: Login<D>) -> Result<Draft<D>> {
        let began = self.fence.position();
        let now = self.now()?;
        let stamp = match login.stamp {
            Some(stamp) => Some(stamp),
            None => {
                let deadline = self.policy.lifetime.deadline(now);
                self.store.begin(deadline, now).await?
            }
        };
        let data = self.stored(&login.data)?;
        let authenticated_at = login.authenticated_at.unwrap_or(now).min(now);
        let deadline = self.policy.lifetime.deadline(authenticated_at);
        let deadline = login.deadline.unwrap_or(deadline).min(deadline);
        if deadline <= now {
            return Err(Rejection::Expired.into());
        }
        let fields = fields_of(&login, data.as_deref())?;
        let credential = SessionCredential::draw(self.purpose, login.subject(), &*self.entropy)?;
        let history = History {
            stamp,
            ..History::default()
        };
        let row = Record {
            handle: credential.handle(),
            generation: 0,
            version: 0,
            created_at: now,
            authenticated_at,
            deadline,
            last_seen: now,
            idle: self.policy.lifetime.idle(),
            current: credential.proof(),
            family: credential.family_proof(),
            // What was never rotated has no predecessor that its use could expose.
            confirmed: true,
            rotation_wanted: false,
            history: history.kept(),
            fields,
        };
        let identity = Self::identity(&row, false, login.data);
        Ok(Draft {
            began,
            now,
            credential,
            row,
            identity,
        })
    }

    /// Stores a new login, and answers with its credential and those that had to make room for it.
    pub(crate) async fn admit(&self, draft: &mut Draft<D>) -> Result<(Credential, Vec<Handle>)> {
        let now = draft.now;
        let mut stored = self.store_new(&draft.row, now).await?;
        if stored.is_none() {
            // Handles are never drawn twice, unless the entropy source repeats itself.
            let (purpose, subject) = (self.purpose, draft.row.subject());
            draft.credential = SessionCredential::draw(purpose, subject, &*self.entropy)?;
            draft.row.handle = draft.credential.handle();
            draft.row.current = draft.credential.proof();
            draft.row.family = draft.credential.family_proof();
            draft.identity.handle = draft.row.handle;
            stored = self.store_new(&draft.row, now).await?;
        }
        let Some(evicted) = stored else {
            return Err(Error::could_not("the entropy source repeats itself", None));
        };
        let row = &draft.row;
        if self.fence.cuts(row.subject(), draft.began) {
            // Nobody holds its credential, so that what matters is done already.
            let _ = self.store.remove(row.handle(), row.subject(), now).await;
            return Err(Rejection::Revoked.into());
        }
        Ok((draft.credential.encode(), evicted))
    }

    /// Stores a new login, and says which ones it has evicted; `None` if its handle is taken.
    async fn store_new(&self, row: &Record, now: Timestamp) -> Result<Option<Vec<Handle>>> {
        match self.store.create(row, self.policy.limit, now).await? {
            Created::Stored { evicted } => Ok(Some(evicted)),
            Created::Duplicate => Ok(None),
            Created::LimitReached => Err(Refusal::SessionLimit.into()),
            Created::Full => Err(Refusal::Capacity.into()),
        }
    }

    /// Exchanges a credential for its successor: the one that is there, or a new one. `now` is read
    /// before the store is asked: whatever takes its time from there on, nothing that follows from
    /// the row is younger than it.
    pub(crate) async fn exchange(
        &self,
        presented: SessionCredential,
        now: Timestamp,
    ) -> Result<Exchange> {
        let proof = presented.proof();
        if !self.replays.admits(&proof, now) {
            return Err(Refusal::RefreshLimit.into());
        }
        let seed = entropy::draw(&*self.entropy)?;
        let next = presented.successor(&seed).ok_or(Rejection::Unknown)?;
        let rotation = Rotation {
            generation: presented.generation(),
            presented: proof,
            next: next.proof(),
            seed,
            overlap: Duration::from_secs(self.policy.windows.overlap),
            idle: Duration::from_secs(self.policy.lifetime.idle()),
        };
        let rotated = self
            .store
            .rotate(presented.handle(), &rotation, now)
            .await?;
        let (mut row, advanced) = match rotated {
            Rotated::Advanced(row) => (row, true),
            Rotated::Unchanged(row) => (row, false),
            Rotated::Absent => return Err(Rejection::Unknown.into()),
        };
        Self::same(&row, presented.handle())?;
        if !self.in_force(&mut row, now) {
            return Err(self.refuse(&row, Verdict::Expired, now).await);
        }
        let (credential, outcome) = if advanced {
            (next, Outcome::Rotated)
        } else {
            let replayed = self.replay(&row, presented, now).await?;
            self.replays.note(&proof, now);
            replayed
        };
        Ok(Exchange {
            credential: credential.encode(),
            row,
            outcome,
        })
    }

    /// What an exchange answers if the row did not advance.
    async fn replay(
        &self,
        row: &Record,
        credential: SessionCredential,
        now: Timestamp,
    ) -> Result<(SessionCredential, Outcome)> {
        let verdict = judge(row, &credential, self.policy.windows, now);
        if !self.lets_pass(verdict) {
            return Err(self.refuse(row, verdict, now).await);
        }
        if verdict == Verdict::Current {
            return Ok((credential, Outcome::Replayed));
        }
        let successor = credential.successor(&row.history().seed);
        let successor = successor.filter(|successor| successor.proof() == row.current);
        let successor = successor.ok_or(Rejection::Unreadable)?;
        Ok(match verdict {
            Verdict::Orphaned => (successor, Outcome::Orphaned),
            _ => (successor, Outcome::Replayed),
        })
    }
}

/// A login on its way into the store.
pub(crate) struct Draft<D> {
    /// Where the fence stood when it began.
    began: u64,
    pub(crate) now: Timestamp,
    credential: SessionCredential,
    pub(crate) row: Record,
    pub(crate) identity: Identity<D>,
}

/// A credential that has been exchanged.
pub(crate) struct Exchange {
    pub(crate) credential: Credential,
    pub(crate) row: Record,
    pub(crate) outcome: Outcome,
}

/// What is there to end for a credential.
enum ToEnd {
    /// Its login.
    Proven(Record),
    /// The login of another credential, which knows its handle.
    Unproven,
    /// Nothing, any more or ever.
    Absent,
}

impl<S, D> Authenticator for SessionAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = D;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.parse(credential).is_some()
    }

    fn sample_credentials(&self) -> Vec<String> {
        vec![self.purpose.shape()]
    }

    async fn issue(&self, login: Login<D>) -> Result<Issued<D>> {
        let mut login = login;
        let old = login.replaces.take();
        let mut draft = self.draft(login).await?;
        // What is replaced does not end for a login that could never be stored.
        if let Some(old) = old {
            replaced(self.revoke(&old).await)?;
        }
        let (credential, _) = self.admit(&mut draft).await?;
        Ok(Issued::new(credential, draft.identity, Outcome::New))
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        let now = self.now()?;
        let credential = self
            .parse(presented.credential())
            .ok_or(Rejection::Malformed)?;
        let load = Load {
            touch: Some(self.policy.lifetime.touch_interval()),
            authoritative: presented.is_authoritative(),
        };
        let row = self.store.load(credential.handle(), load, now).await?;
        let is_there = row.is_some();
        let mut judged = self.judge(row, &credential, now);
        if is_there
            && !matches!(judged, Ok((_, Verdict::Current)))
            && !load.authoritative
            && !self.store.staleness().is_zero()
        {
            // A copy may be late: it is good for saying yes.
            let load = load.authoritative();
            let row = self.store.load(credential.handle(), load, now).await?;
            judged = self.judge(row, &credential, now);
        }
        let (mut row, verdict) = judged?;
        if !self.lets_pass(verdict) {
            return Err(self.refuse(&row, verdict, now).await);
        }
        if row.wants_touch(now) {
            // A use that could not be noted ends the session early, and is no reason to refuse it.
            if self.store.touch(&[(row.handle(), now)], now).await.is_ok() {
                row.touch(now);
            }
        }
        if verdict == Verdict::Current && !row.confirmed {
            // Noted by the next use if not by this one.
            let noted = self.store.confirm(row.handle(), row.generation(), now);
            let _ = noted.await;
            row.confirm(row.generation(), now);
        }
        Self::read(&row, self.refresh_due(&row, verdict, now))
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        let now = self.now()?;
        let presented = self
            .parse(presented.credential())
            .ok_or(Rejection::Malformed)?;
        let exchange = self.exchange(presented, now).await?;
        let identity = Self::read(&exchange.row, false)?;
        Ok(Issued::new(exchange.credential, identity, exchange.outcome))
    }

    async fn revoke(&self, credential: &str) -> Result<Revocation> {
        let now = self.now()?;
        let credential = self.parse(credential).ok_or(Rejection::Malformed)?;
        match self.to_end(&credential, now).await? {
            ToEnd::Proven(row) => {
                let removal = self.store.remove(row.handle(), row.subject(), now);
                Ok(removal.await?.effective)
            }
            ToEnd::Unproven => Ok(Revocation::Immediate),
            // Perhaps a revocation removed it that could not tell anybody any more.
            ToEnd::Absent => Ok(match self.store.staleness() {
                Duration::ZERO => Revocation::Immediate,
                staleness => Revocation::Within(staleness),
            }),
        }
    }

    async fn revoke_all(&self, subject: &str) -> Result<Revocation> {
        let now = self.now()?;
        self.fence.cut(subject);
        let removal = self.store.remove_subject(subject, Scope::all(), now);
        Ok(removal.await?.effective)
    }

    fn upkeep(&self) -> Upkeep {
        let sweeper = Sweeper {
            store: Arc::clone(&self.store),
        };
        Upkeep::of(sweeper)
            .and(self.store.upkeep())
            .clock(Arc::clone(&self.clock))
    }
}

/// Gives back the space of sessions that are over.
struct Sweeper<S> {
    store: Arc<S>,
}

impl<S: SessionStore> Chore for Sweeper<S> {
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let swept = self.store.sweep(SWEEP, now).await?;
            observer.observe(&Event::Swept {
                rows: swept.removed,
            });
            Ok(if swept.more { NEXT_SWEEP } else { NEXT_ROUND })
        })
    }
}

impl<S> fmt::Debug for Sweeper<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sweeper")
    }
}

impl<S: fmt::Debug, D> fmt::Debug for SessionAuthenticator<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAuthenticator")
            .field("store", &self.store)
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
