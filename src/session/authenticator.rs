//! The authenticator of sessions.

use std::fmt;
use std::mem;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::end_replaced::end_replaced;
use crate::authenticator::{Authenticator, Presented};
use crate::base::public_id::PublicId;
use crate::clock::Timestamp;
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::{Begun, IssuerId};
use crate::login::data::{self, DataReader};
use crate::login::edit::EditFn;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::issued::{Issued, Outcome, Revocation, ended_by};
use crate::login::logout::Logout;
use crate::login::relatives::Relatives;
use crate::session::credential::SessionCredential;
use crate::session::judge::Verdict;
use crate::session::listed::{Session, SessionPage};
use crate::session::logins::{Edited, Ended, Logins, ROWS_PER_PAGE, Refreshed, name_login};
use crate::store::answer::Removed;
use crate::store::ask::{Load, Scope};
use crate::store::listing::{Cursor, Page};
use crate::store::proof::Proof;
use crate::store::record::Record;
use crate::store::session_store::SessionStore;
use crate::upkeep::Upkeep;

/// Authenticates users by sessions: the client holds a random credential, and the server keeps one
/// [`Record`] for it in a store.
///
/// A session ends as soon as its record is removed. Each verification reads the store.
///
/// # When you change the policy
///
/// A shorter timeout counts at once, for all sessions. The authenticator removes a session that has
/// expired by the new policy when its credential is presented; until then, or until the store finds
/// its record expired, the session still counts for the
/// [limit](crate::session::SessionBuilder::limit). A longer timeout counts for new sessions.
///
/// # When you change the data
///
/// If a version of the service cannot read the data of a session, verification and refresh fail as
/// [unreadable](crate::Error::is_unreadable), which is *unavailable*. The session goes on: a refresh
/// reads the data before it rotates the credential, and after a rollback the client is still logged
/// in. See [`data_or_else`](crate::session::SessionBuilder::data_or_else).
///
/// # Logins in progress
///
/// [`revoke_all`](Authenticator::revoke_all) and [`update_all`](Authenticator::update_all) also refuse
/// logins in progress on this node: from their [beginning](Login::begun) on, if they name it. A login
/// that is in progress on another node at that moment may survive, or carry the old roles, unless a
/// [`CachedStore`](crate::store::CachedStore) shares a log.
///
/// # Example
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
    logins: Logins<S>,
    data: DataReader<D>,
}

impl<S: SessionStore, D> SessionAuthenticator<S, D> {
    pub(crate) fn new(logins: Logins<S>, data: DataReader<D>) -> Self {
        Self { logins, data }
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.logins.store
    }

    /// Lists the live sessions of `subject`, a hundred at a time, by deadline (OWASP ASVS 7.5.2).
    ///
    /// Pass `None` for the first page, and [`SessionPage::next`] of a page for the page after it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// # use statewise::testkit::block_on;
    /// use statewise::{Authenticator, Login};
    ///
    /// # block_on(async {
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
    ///     .idle(Duration::from_secs(1800))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     .build()?;
    /// for device in ["laptop", "phone"] {
    ///     auth.issue(Login::new("alice").device(device)).await?;
    /// }
    /// // The page of the devices: end the phone.
    /// let page = auth.sessions("alice", None).await?;
    /// let phone = page.sessions.iter().find(|session| session.device() == Some("phone"));
    /// let removed = auth.revoke_id("alice", phone.unwrap().id()).await?;
    /// assert_eq!(removed.count, 1);
    /// assert_eq!(auth.sessions("alice", None).await?.sessions.len(), 1);
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store or the clock cannot answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn sessions(&self, subject: &str, after: Option<Cursor>) -> Result<SessionPage> {
        self.logins.list(subject, after, self.logins.now()?).await
    }

    /// Ends all sessions of the caller except the one of `credential` (OWASP ASVS 7.4.3).
    ///
    /// It reads the login from the store and proves the credential. If you have verified the caller already, call
    /// [`revoke_all_except`](crate::Authenticator::revoke_all_except), which every strategy has. In a handler,
    /// call [`SignIn::revoke_others`](crate::web::SignIn::revoke_others).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// # use statewise::testkit::block_on;
    /// use statewise::{Authenticator, Login};
    ///
    /// # block_on(async {
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
    ///     .idle(Duration::from_secs(1800))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     .build()?;
    /// let elsewhere = auth.issue(Login::new("alice")).await?;
    /// let here = auth.issue(Login::new("alice")).await?;
    /// // After a change of the password.
    /// let removed = auth.revoke_others(here.credential().reveal()).await?;
    /// assert_eq!(removed.count, 1);
    /// assert!(auth.verify(here.credential().reveal()).await.is_ok());
    /// assert!(auth.verify(elsewhere.credential().reveal()).await.is_err());
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// *Rejected* if the credential is. *Unavailable*: some sessions may not have ended, and it is
    /// safe to try again.
    ///
    /// # Cancel safety
    ///
    /// Some sessions may have ended: call again.
    pub async fn revoke_others(&self, credential: &str) -> Result<Removed> {
        Ok(self.end_others(credential).await?.1)
    }

    /// Ends all sessions of the caller except the one of `credential`. Returns the row of that one.
    pub(crate) async fn end_others(&self, credential: &str) -> Result<(Record, Removed)> {
        let now = self.logins.now()?;
        let credential = self.logins.parse(credential).ok_or(Rejection::Malformed)?;
        let row = self.logins.proven(&credential, now).await?;
        let removed = self.logins.remove_others(&row, now).await?;
        Ok((row, removed))
    }

    /// Ends the session of `subject` that is listed under `id`, if there is one (OWASP ASVS 7.4.5,
    /// 7.5.2). The subject keeps one user from ending the sessions of another.
    ///
    /// # Errors
    ///
    /// *Unavailable*: the session may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// The session may have ended: call again.
    pub async fn revoke_id(&self, subject: &str, id: PublicId) -> Result<Removed> {
        let now = self.logins.now()?;
        match self.logins.find(subject, id, now).await? {
            Some(handle) => self.logins.remove(handle, subject, now).await,
            None => Ok(Removed::at_once(0)),
        }
    }
}

impl<S, D> SessionAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Updates the session of `subject` that is listed under `id`; see
    /// [`update`](Authenticator::update). Returns it as it is now; `None` if there is none. The
    /// subject keeps one user from changing the sessions of another.
    ///
    /// ```
    /// use statewise::session::{Session, SessionAuthenticator};
    /// use statewise::store::contract::SessionStore;
    ///
    /// /// Renames a session that the user has chosen from the list (OWASP ASVS 7.5.2).
    /// async fn rename<S: SessionStore>(
    ///     auth: &SessionAuthenticator<S>,
    ///     listed: &Session,
    /// ) -> statewise::Result<Option<Session>> {
    ///     auth.update_id(listed.subject(), listed.id(), &mut |session| {
    ///         session.device = Some("Kitchen".to_owned());
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// # let _ = rename::<statewise::store::MemoryStore>;
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update`](Authenticator::update), without rejections.
    ///
    /// # Cancel safety
    ///
    /// The session may have been updated.
    pub async fn update_id(
        &self,
        subject: &str,
        id: PublicId,
        edit: EditFn<'_, D>,
    ) -> Result<Option<Session>> {
        let now = self.logins.now()?;
        let Some(row) = self.logins.find_alive(subject, id, now).await? else {
            return Ok(None);
        };
        let mut draft = |row: &Record| self.logins.draft(row, &self.data, &mut *edit);
        let edited = self.logins.update(row, None, &mut draft).await?;
        Ok(edited.map(|edited| Session::new(edited.row)))
    }
}

impl<S, D> SessionAuthenticator<S, D>
where
    S: SessionStore,
    D: DeserializeOwned + 'static,
{
    /// Reads the clock and a presented credential.
    ///
    /// Inlined with all that it calls, so that the credential stays in registers: otherwise a
    /// verification took 15 % longer (bench `verify`, 2026-11-29).
    #[inline(always)]
    fn read(&self, presented: Presented<'_>) -> Result<(SessionCredential, Proof, Timestamp)> {
        let now = self.logins.now()?;
        let credential = self.logins.parse(presented.credential());
        let credential = credential.ok_or(Rejection::Malformed)?;
        Ok((credential, credential.proof(), now))
    }

    /// Verifies a credential by a row that the store shows in place.
    #[inline]
    fn verify_in_place(
        &self,
        credential: &SessionCredential,
        proof: Proof,
        now: Timestamp,
        is_passive: bool,
    ) -> Option<Result<Identity<D>>> {
        let logins = &self.logins;
        if data::is_none::<D>() {
            return match self.data.read(|| None) {
                Ok(data) => logins.try_verify_now(credential, proof, now, is_passive, data),
                Err(error) => Some(Err(error)),
            };
        }
        let verified = logins.try_verify_now(credential, proof, now, is_passive, ())?;
        // Outside of the lock of the store, because it runs code of the application.
        Some(
            verified.and_then(|identity| match self.data.read(|| identity.fields.data()) {
                Ok(data) => Ok(identity.with_data(data)),
                Err(error) => Err(error.of_login(identity.id())),
            }),
        )
    }
}

impl<S, D> Authenticator for SessionAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = D;

    fn is_well_formed(&self, credential: &str) -> bool {
        SessionCredential::is_well_formed(self.logins.kind, credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        vec![self.logins.kind.sample()]
    }

    async fn begin(&self) -> Result<Begun> {
        Ok(Begun::new(self.logins.begin().await?, self.logins.now()?))
    }

    async fn issue(&self, mut login: Login<D>) -> Result<Issued<D>> {
        let old = mem::take(&mut login.replaces);
        let is_stepped = login.step.is_some();
        let began = self
            .logins
            .beginning_of(&login, self.logins.begin())
            .await?;
        // After it began: a logout everywhere on this node is either seen by this check, or by `insert`.
        self.logins
            .check_continued(&login, self.logins.changes.id)
            .await?;
        let mut new = self.logins.prepare(&login, began, None)?;
        // Only now, so that the old login survives a new one that can never be stored.
        let replaced = end_replaced(self, &old).await?;
        let (credential, evicted) = match self.logins.insert(&mut new).await {
            Ok(stored) => stored,
            Err(error) => return Err(error.with_ended(ended_by(&replaced))),
        };
        let mut identity = new.row.identity(login.data, self.logins.changes.id);
        identity.is_stepped = is_stepped;
        let issued = Issued::new(credential, identity, Outcome::New);
        let issued = issued.with_evicted(evicted.iter().map(Handle::public_id));
        Ok(issued.with_replaced(replaced))
    }

    #[inline]
    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<D>>> {
        if presented.is_authoritative() {
            return None;
        }
        match self.read(presented) {
            Ok((credential, proof, now)) => {
                self.verify_in_place(&credential, proof, now, presented.is_passive())
            }
            Err(error) => Some(Err(error)),
        }
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        let (credential, proof, now) = self.read(presented)?;
        let is_passive = presented.is_passive();
        if !presented.is_authoritative()
            && let Some(verified) = self.verify_in_place(&credential, proof, now, is_passive)
        {
            return verified;
        }
        let logins = &self.logins;
        let load = Load {
            touch: match is_passive {
                true => None,
                false => logins.policy.timeouts_of(credential.handle()).touch(),
            },
            authoritative: presented.is_authoritative(),
        };
        let handle = credential.handle();
        let row = name_login(logins.store.load(handle, load, now).await, handle)?;
        let is_there = row.is_some();
        let mut judged = logins.judge(row, &credential, &proof, now);
        if is_there
            && !matches!(judged, Ok((_, Verdict::Current)))
            && !load.authoritative
            && !logins.store.staleness().is_zero()
        {
            // The row may be a stale copy, which is good enough to accept and not to reject.
            let load = load.authoritative();
            let row = name_login(logins.store.load(handle, load, now).await, handle)?;
            judged = logins.judge(row, &credential, &proof, now);
        }
        let (mut row, verdict) = judged?;
        if !logins.accepts(verdict) {
            return Err(logins.reject(&row, verdict, now).await);
        }
        if !is_passive && row.wants_touch(now) {
            // If the use cannot be noted, the session expires early. That is no reason to reject.
            if logins
                .store
                .touch(&[(row.handle(), now)], now)
                .await
                .is_ok()
            {
                row.touch(now);
            }
        }
        if verdict == Verdict::Current && !row.confirmed {
            let (handle, generation) = (row.handle(), row.generation());
            // If this fails, the next use confirms the credential.
            let _ = logins.store.confirm(handle, generation, now).await;
            row.confirm(generation, now);
        }
        let mut identity = row.read_identity(&self.data, logins.changes.id)?;
        identity.is_stepped = row.is_stepped(credential.generation(), now);
        identity.refresh_due = !is_passive && logins.refresh_due((&row).into(), verdict, now);
        Ok(identity)
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        let now = self.logins.now()?;
        let credential = self.logins.parse(presented.credential());
        let credential = credential.ok_or(Rejection::Malformed)?;
        let refreshed = self.logins.refresh(credential, &self.data, now).await?;
        let Refreshed {
            credential,
            row,
            outcome,
        } = refreshed;
        let mut identity = row.read_identity(&self.data, self.logins.changes.id)?;
        identity.is_stepped = row.is_stepped(credential.generation(), now);
        Ok(Issued::new(credential.encode(), identity, outcome))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        let effective = match self.logins.end(credential).await? {
            Ended::Login(row, removed) => {
                let login = row.identity((), IssuerId::NONE);
                return Ok(Logout::new(removed.effective).with_login(&login));
            }
            Ended::Unproven => Revocation::Immediate,
            // An earlier call may have removed the row, and failed to notify the other nodes.
            Ended::Absent => self.logins.effective_unnotified(),
        };
        Ok(effective.into())
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let logins = &self.logins;
        let revoke = async {
            let removed = logins.remove_subject(subject, Scope::all(), logins.now()?);
            Ok(removed.await?.into())
        };
        logins.also_ends.and(subject, revoke).await
    }

    async fn revoke_all_except(&self, kept: &Identity<D>) -> Result<Affected> {
        let (logins, others) = (&self.logins, Scope::others(kept.handle));
        let removed = logins.remove_subject(kept.subject(), others, logins.now()?);
        Ok(removed.await?.into())
    }

    fn check_overlap(&self, overlap: Duration) -> Result<()> {
        self.logins.check_overlap(overlap)
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        let row = self.logins.prove(credential).await?;
        Ok(row.map(|row| Logout::found(row.handle(), row.fields)))
    }

    async fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
    ) -> Result<Option<Logout>> {
        let (logins, now) = (&self.logins, self.logins.now()?);
        let mut ended = Logout::new(Revocation::Immediate);
        for row in logins.find_relatives(subject, relatives, now).await? {
            let removed = logins.remove(row.handle(), subject, now).await?;
            ended = ended.and(Logout::new(removed.effective).of(row.handle(), row.fields));
        }
        Ok(Some(ended))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, D>) -> Result<Issued<D>> {
        let (logins, now) = (&self.logins, self.logins.now()?);
        let presented = logins.parse(credential).ok_or(Rejection::Malformed)?;
        let row = logins.proven(&presented, now).await?;
        let mut draft = |row: &Record| logins.draft(row, &self.data, &mut *edit);
        let edited = logins.update(row, Some(presented), &mut draft).await?;
        let Edited { row, fresh, .. } = edited.ok_or(Rejection::Unknown)?;
        let (credential, outcome) = match fresh {
            Some(fresh) => (fresh, Outcome::Rotated),
            None => (presented, Outcome::Replayed),
        };
        let (row, verdict) = logins.judge(Some(row), &credential, &credential.proof(), now)?;
        let mut identity = row.read_identity(&self.data, self.logins.changes.id)?;
        identity.is_stepped = row.is_stepped(credential.generation(), now);
        identity.refresh_due = logins.refresh_due((&row).into(), verdict, now);
        Ok(Issued::new(credential.encode(), identity, outcome))
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, D>) -> Result<Affected> {
        let logins = &self.logins;
        logins.outdate(subject).await?;
        let mut draft = |row: &Record| logins.draft(row, &self.data, &mut *edit);
        let (mut count, mut outcome, mut effective) = (0, Ok(()), Revocation::Immediate);
        let mut page = Some(Page::first(ROWS_PER_PAGE));
        while let Some(this) = page {
            let updated = logins.update_page(subject, this, &mut draft).await?;
            count += updated.logins.len() as u64;
            let effects = updated.logins.iter().map(|login| login.effective);
            effective = effects.fold(effective, Revocation::or_later);
            outcome = outcome.and(updated.outcome);
            page = updated.next;
        }
        outcome.map(|()| Affected::new(Some(count), effective))
    }

    async fn ready(&self) -> Result<()> {
        self.logins.ready().await
    }

    fn upkeep(&self) -> Upkeep {
        self.logins.upkeep()
    }
}

impl<S: fmt::Debug, D> fmt::Debug for SessionAuthenticator<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAuthenticator")
            .field("logins", &self.logins)
            .finish()
    }
}
