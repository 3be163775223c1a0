//! The strategy of short tokens and a refresh session.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticator, Presented};
use crate::base::public_id::PublicId;
use crate::clock::Timestamp;
use crate::error::{Error, Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::handle::Handle;
use crate::login::identity::{Identity, check_size};
use crate::login::issued::{Issued, Outcome, Revocation, replaced};
use crate::revocation::RevocationView;
use crate::revocation::log::{Fact, SubjectKey};
use crate::session::authenticator::SessionAuthenticator;
use crate::session::builder::SessionBuilder;
use crate::session::change::{Replaced, Replacement};
use crate::session::credential::Purpose;
use crate::session::listed::{SessionRef, Sessions};
use crate::store::answer::Removed;
use crate::store::ask::Scope;
use crate::store::ended::clear_ended;
use crate::store::listing::{Cursor, Page};
use crate::store::record::Record;
use crate::store::session_store::SessionStore;
use crate::token::{BorrowedIdentity, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder};
use crate::upkeep::Upkeep;

/// Logins that are ended at a time.
const PAGE: usize = 100;

/// Short access tokens, and a refresh credential that is a session: see [the module](super).
///
/// Easy to scale, as verifying does no I/O, and easy to end: a login that was logged out is never
/// refreshed again, and with a [revocation log](crate::token::TokenBuilder::revocations) its access
/// tokens are refused within a stated bound as well. Without one they live for the rest of their
/// minutes, and [`revoke`](Authenticator::revoke) says so.
///
/// [`revoke`](Authenticator::revoke) takes either of the two (RFC 7009, section 2.1).
///
/// ```
/// use std::time::Duration;
/// use statewise::session::SessionAuthenticator;
/// use statewise::token::{Key, TokenAuthenticator};
/// use statewise::{Authenticator, Login, hybrid::HybridAuthenticator, store::MemoryStore};
///
/// # async fn example() -> statewise::Result<()> {
/// let auth: HybridAuthenticator<_> = HybridAuthenticator::new(
///     TokenAuthenticator::builder(Key::generate_hs256()?)
///         .issuer("https://auth.example")
///         .audience("api")
///         .lifetime(Duration::from_secs(10 * 60)),
///     SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
///         .idle(Duration::from_secs(14 * 24 * 3600))
///         .absolute(Duration::from_secs(90 * 24 * 3600)),
/// )?;
///
/// let issued = auth.issue(Login::new("alice").role("admin")).await?;
/// let caller = auth.verify(issued.credential().reveal()).await?;
/// assert_eq!(caller.subject(), "alice");
///
/// // Ten minutes later.
/// let refreshed = auth.refresh(issued.refreshable().reveal()).await?;
/// assert!(auth.verify(refreshed.credential().reveal()).await.is_ok());
/// // Neither is the other.
/// assert!(auth.refresh(refreshed.credential().reveal()).await.is_err());
/// assert!(auth.verify(refreshed.refreshable().reveal()).await.is_err());
/// # Ok(())
/// # }
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # let mut example = pin!(example());
/// # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
/// ```
pub struct HybridAuthenticator<S, D = ()> {
    access: TokenAuthenticator<D>,
    logins: SessionAuthenticator<S, D>,
}

impl<S: SessionStore, D> HybridAuthenticator<S, D> {
    /// Access tokens as the one builder says, and logins that refresh them as the other one does.
    ///
    /// A clock or an entropy source that was given to one of them is that of both. The maximum
    /// lifetime of the tokens is the absolute lifetime of the login. A refresh credential is bound to
    /// issuer and audience: where either is changed, users log in anew. A lifetime of the tokens that
    /// is shortened counts at once, also for those that there are.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do: whatever one of the two builders refuses; a login that would go
    /// idle while its access token lives; a revocation view that forgets before a login has ended;
    /// tokens of others, or credentials that fall due by age, neither of which there are here.
    pub fn new(access: TokenBuilder<D>, refresh: SessionBuilder<S, D>) -> Result<Self> {
        let (mut access, mut refresh) = (access, refresh);
        let [idle, absolute] = refresh.lifetimes();
        // Within the overlap a refresh is no use: it replaces nothing.
        if idle <= access.token_lifetime().saturating_add(refresh.overlaps()) {
            return Err(Error::misuse(
                "a login would go idle while its access token lives, as only refreshing is a use \
                 of it: make the idle lifetime several times as long",
            ));
        }
        if refresh.rotates() {
            return Err(Error::misuse(
                "credentials do not fall due by age: the lifetime of the access token says when to \
                 refresh",
            ));
        }
        access.clock = access.clock.or(refresh.clock.clone());
        refresh.clock = refresh.clock.or(access.clock.clone());
        access.entropy = access.entropy.or(refresh.entropy.clone());
        refresh.entropy = refresh.entropy.or(access.entropy.clone());
        let bound = access.addressees();
        Ok(Self {
            access: access.build_access(absolute)?,
            logins: refresh.build_for(Purpose::Refresh { bound })?,
        })
    }

    /// The store of the logins.
    #[must_use]
    pub fn store(&self) -> &S {
        self.logins.store()
    }

    /// The keys that sign access tokens; see [`TokenAuthenticator::keyring`].
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.access.keyring()
    }

    /// Takes other keys from now on; see [`TokenAuthenticator::replace_keyring`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn replace_keyring(&self, ring: impl Into<Keyring>) -> Result<()> {
        self.access.replace_keyring(ring)
    }

    /// Verifies an access token in place; see [`TokenAuthenticator::verify_borrowed`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn verify_borrowed<'b>(
        &self,
        token: &str,
        buffer: &'b mut TokenBuffer,
    ) -> Result<BorrowedIdentity<'b>> {
        self.access.verify_borrowed(token, buffer)
    }

    /// The live logins of `subject`; see [`SessionAuthenticator::sessions`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn sessions(&self, subject: &str, after: Option<Cursor>) -> Result<Sessions> {
        let mut listed = self.logins.sessions(subject, after).await?;
        let now = self.logins.now()?;
        listed
            .sessions
            .retain(|session| !self.has_ended(session.record(), now));
        Ok(listed)
    }

    /// Whether the log says that a login has ended whose row is still there.
    fn has_ended(&self, row: &Record, now: Timestamp) -> bool {
        let checked = self.check(row, now);
        checked.is_err_and(|error| error.rejection() == Some(Rejection::Revoked))
    }

    /// For how long access tokens of a login live on that has ended, where the log says nothing.
    fn remainder(&self) -> Revocation {
        Revocation::Within(Duration::from_secs(self.access.lifetime()))
    }

    /// Refuses a login that the log has ended: what ended everything has left the rows where they
    /// are.
    fn check(&self, row: &Record, now: Timestamp) -> Result<()> {
        match self.access.revocations() {
            Some(view) => view.check(row.handle(), row.subject(), row.stamp(), now),
            None => Ok(()),
        }
    }

    /// Tells all nodes that logins have ended, which are in the store no more.
    async fn tell(&self, ended: &[Fact]) -> Revocation {
        match self.access.revocations() {
            // What is still signed for one of them says a time from before its row was removed.
            Some(view) => self.told(
                view,
                &view
                    .append(ended, Duration::from_secs(self.access.lifetime()))
                    .await,
            ),
            None => self.remainder(),
        }
    }

    /// When an end takes effect of which the log was told, or could not be.
    fn told<T>(&self, view: &RevocationView, answer: &Result<T>) -> Revocation {
        match answer {
            Ok(_) => self.bound(view),
            // They are refreshed no more, so that this is true in any case.
            Err(_) => self.remainder(),
        }
    }

    fn bound(&self, view: &RevocationView) -> Revocation {
        Revocation::Within(
            view.bound()
                .min(Duration::from_secs(self.access.lifetime())),
        )
    }

    /// Ends one login. The store first: told first, a node could sign another token.
    async fn end(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        let count = self.logins.remove(handle, subject, now).await?;
        Ok(Removed::with_effect(
            count,
            self.tell_of(handle, subject).await,
        ))
    }

    /// Tells all nodes that a login has ended.
    async fn tell_of(&self, handle: Handle, subject: &str) -> Revocation {
        let life = Duration::from_secs(self.access.lifetime());
        match self.access.revocations() {
            Some(view) => self.told(view, &view.end_login(handle, subject, life).await),
            None => self.remainder(),
        }
    }

    /// Passes an answer on. If it is that a login was ended because its credential had been stolen,
    /// all nodes are told first: the thief has access tokens too.
    async fn after_theft<T>(&self, handle: Handle, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && let Some(theft) = error.theft()
        {
            let _ = self.tell_of(handle, theft.subject()).await;
        }
        answer
    }

    /// Ends the login of `subject` that is listed under `id`, if there is one (OWASP ASVS
    /// 7.4.5, 7.5.2). The subject keeps one user from ending the logins of another.
    ///
    /// # Errors
    ///
    /// *Unavailable*: it may not have been ended, and trying again is safe.
    ///
    /// # Cancel safety
    ///
    /// It may have been ended, and its access tokens not: call again.
    pub async fn revoke_id(&self, subject: &str, id: PublicId) -> Result<Removed> {
        let now = self.logins.now()?;
        match self.logins.find(subject, id, now).await? {
            Some(handle) => self.end(handle, subject, now).await,
            None => Ok(Removed::at_once(0)),
        }
    }
}

impl<S, D> HybridAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Verifies an access token at once; see [`TokenAuthenticator::verify_now`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn verify_now(&self, token: &str) -> Result<Identity<D>> {
        self.access.verify_now(token)
    }

    /// Replaces roles and data of a login; see [`SessionAuthenticator::replace`]. Access tokens
    /// say it from the next refresh on.
    ///
    /// The version that was seen is that of a list or of an
    /// [authoritative](Presented::authoritative) verification: an access token does not say it.
    ///
    /// # Errors
    ///
    /// As there, and *refused* as too large if no access token could say it.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn replace(
        &self,
        seen: impl Into<SessionRef> + Send,
        replacement: Replacement<D>,
    ) -> Result<Replaced> {
        let (seen, now) = (seen.into(), self.logins.now()?);
        let Some(row) = self.logins.alive(seen.handle, now).await? else {
            return Ok(Replaced::Absent);
        };
        // Signed before anything is written: who could not be refreshed any more would be out.
        self.check_fits(row, &replacement, now)?;
        self.logins.replace(seen, replacement).await
    }

    /// Refuses a replacement that is too long for an access token.
    fn check_fits(&self, row: Record, replacement: &Replacement<D>, now: Timestamp) -> Result<()> {
        let mut row = row;
        let roles = replacement.roles.as_ref();
        let roles = roles.map(|roles| roles.iter().map(String::as_str));
        if let Some(roles) = roles.clone() {
            check_size(roles)?;
        }
        let data = replacement.data.as_ref();
        let data = data.map(|data| self.logins.stored(data)).transpose()?;
        row.fields = row.fields.with(roles, data.as_ref().map(Option::as_deref));
        let mut identity = SessionAuthenticator::<S, ()>::identity(&row, false, ());
        let signed = self.access.mint(&mut identity, row.fields.data(), now);
        signed.map(drop)
    }

    /// Ends all logins of the caller but the one presented, by its access token or by its refresh
    /// credential (OWASP ASVS 7.4.3).
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
        let now = self.logins.now()?;
        let row = match self.logins.parse(credential) {
            Some(presented) => {
                let proven = self.logins.proven(&presented, now).await;
                let row = self.after_theft(presented.handle(), proven).await?;
                self.check(&row, now)?;
                row
            }
            None => {
                let caller = self.verify_now(credential)?;
                let row = self.logins.alive(caller.handle, now).await?;
                row.ok_or(Rejection::Unknown)?
            }
        };
        // One by one: what ends all of them in the log ends the access tokens of this one too.
        let (mut count, mut effective) = (0, Revocation::Immediate);
        let mut page = Page::first(PAGE);
        loop {
            let listing = self.logins.store().list(row.subject(), page, now).await?;
            let mut ended = Vec::with_capacity(PAGE);
            for other in listing.records.iter().map(Record::handle) {
                if other != row.handle() {
                    count += self.logins.remove(other, row.subject(), now).await?;
                    ended.push(Fact::Login(other));
                }
            }
            if !ended.is_empty() {
                effective = effective.or_later(self.tell(&ended).await);
            }
            match listing.next {
                Some(next) => page = Page::after(next, PAGE),
                None => return Ok(Removed::with_effect(count, effective)),
            }
        }
    }

    /// Who is calling, as the row of the login says: asks the log for what ended everything, and the
    /// row for all else.
    async fn verify_asking(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        let caller = self.access.verify_with(presented).await?;
        let now = self.logins.now()?;
        let row = self.logins.alive(caller.handle, now).await?;
        let row = row.filter(|row| row.subject() == caller.subject());
        let row = row.ok_or(Rejection::Unknown)?;
        let mut asked = SessionAuthenticator::<S, D>::read(&row, false)?;
        asked.issued_at = caller.issued_at;
        asked.expires_at = caller.expires_at.min(row.expires_at());
        Ok(asked)
    }
}

impl<S, D> Authenticator for HybridAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = D;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.logins.is_well_formed(credential) || self.access.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        let (mut shapes, access) = (
            self.logins.sample_credentials(),
            self.access.sample_credentials(),
        );
        shapes.extend(access);
        shapes
    }

    async fn issue(&self, login: Login<D>) -> Result<Issued<D>> {
        let mut login = login;
        // Before anything else: what ends from here on ends this login too.
        let begun = match (self.access.revocations(), login.stamp) {
            (Some(view), None) => Some((view, view.stamp().await?)),
            _ => None,
        };
        login.stamp = login.stamp.or(begun.map(|(_, stamp)| stamp));
        let old = login.replaces.take();
        let mut draft = self.logins.draft(login).await?;
        let (handle, now) = (draft.row.handle(), draft.now);
        // Signed before anything is written: a login whose token would be refused is not stored.
        let data = draft.row.fields.data();
        let mut token = self.access.mint(&mut draft.identity, data, now)?;
        if let Some(old) = old {
            replaced(self.revoke(&old).await)?;
        }
        let (refresh, evicted) = match self.logins.admit(&mut draft).await {
            Err(error) if error.refusal() == Some(Refusal::SessionLimit) => {
                // What ended everything has left the rows where they are, and they take up room.
                let has_ended = |row: &Record| self.has_ended(row, now);
                if !clear_ended(self.store(), draft.row.subject(), now, has_ended).await? {
                    return Err(error);
                }
                self.logins.admit(&mut draft).await?
            }
            admitted => admitted?,
        };
        if !evicted.is_empty() {
            let ended: Vec<_> = evicted.into_iter().map(Fact::Login).collect();
            // Where the log takes nothing, their access tokens live out their minutes.
            let _ = self.tell(&ended).await;
        }
        let mut identity = draft.identity;
        if identity.handle != handle {
            token = self
                .access
                .mint(&mut identity, draft.row.fields.data(), now)?;
        }
        if let Some((view, stamp)) = begun {
            // Who ends all logins of the subject removes them, says so, and removes them again:
            // either the second time finds this row, or this finds what was said.
            if let Err(error) = view.check_since(stamp, identity.subject()).await {
                // Nobody holds its credential, so that what matters is done already.
                let removal = self.logins.remove(identity.handle, identity.subject(), now);
                let _ = removal.await;
                return Err(error);
            }
        }
        let issued = Issued::new(token, identity, Outcome::New);
        Ok(issued.with_refresh_credential(refresh))
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        if presented.is_authoritative() {
            // Boxed, as it is rare, so that all other futures are small.
            return Box::pin(self.verify_asking(presented)).await;
        }
        self.verify_now(presented.credential())
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        let now = self.logins.now()?;
        let presented = self
            .logins
            .parse(presented.credential())
            .ok_or(Rejection::Malformed)?;
        // Before anything is replaced: with an answer that fails for long, the client would come
        // back too late with what it has.
        self.access.check_ready(now)?;
        let exchange = self.logins.exchange(presented, now).await;
        let exchange = self.after_theft(presented.handle(), exchange).await?;
        let row = &exchange.row;
        self.check(row, now)?;
        let mut identity = SessionAuthenticator::<S, D>::read(row, false)?;
        let token = self.access.mint(&mut identity, row.fields.data(), now)?;
        let issued = Issued::new(token, identity, exchange.outcome);
        Ok(issued.with_refresh_credential(exchange.credential))
    }

    async fn revoke(&self, credential: &str) -> Result<Revocation> {
        if self.logins.is_well_formed(credential) {
            return Ok(match self.logins.end(credential).await? {
                Some(row) => self.tell_of(row.handle(), row.subject()).await,
                // Perhaps it was ended when the log could not be told.
                None => self.remainder(),
            });
        }
        let (handle, subject) = self.access.prove(credential)?;
        let now = self.logins.now()?;
        Ok(self.end(handle, &subject, now).await?.effective)
    }

    async fn revoke_all(&self, subject: &str) -> Result<Revocation> {
        // The rows, then the log, and then those that had begun before and were stored in between.
        let _ = self.logins.revoke_all(subject).await?;
        let Some(view) = self.access.revocations() else {
            return Ok(self.remainder());
        };
        let fact = Fact::Subject {
            subject: SubjectKey::of(subject),
            before: None,
        };
        let stamp = view.append(&[fact], view.max_lifetime()).await?;
        let (late, now) = (Scope::all().before(stamp), self.logins.now()?);
        let _ = self.store().remove_subject(subject, late, now).await?;
        Ok(self.bound(view))
    }

    fn upkeep(&self) -> Upkeep {
        self.logins.upkeep().and(self.access.upkeep())
    }
}

impl<S: fmt::Debug, D> fmt::Debug for HybridAuthenticator<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridAuthenticator")
            .field("access", &self.access)
            .field("logins", &self.logins)
            .finish()
    }
}
