//! The authenticator of access tokens with a refresh credential.

use std::fmt;
use std::mem;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::end_replaced::end_replaced;
use crate::authenticator::{Authenticator, Presented};
use crate::base::public_id::PublicId;
use crate::clock::Timestamp;
use crate::error::{EndCause, EndedLogin, Error, Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::{Beginning, Begun, IssuerId};
use crate::login::edit::EditFn;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::issued::{Credential, Issued, Outcome, Revocation, ended_by};
use crate::login::logout::Logout;
use crate::login::relatives::Relatives;
use crate::login::step_up::StepUp;
use crate::revocation::log::{Fact, SubjectKey};
use crate::session::builder::SessionBuilder;
use crate::session::credential::{CredentialKind, SessionCredential};
use crate::session::listed::{Session, SessionPage};
use crate::session::logins::{DraftFn, Edited, Ended, Logins, NewLogin, ROWS_PER_PAGE};
use crate::session::namespace::Namespace;
use crate::store::answer::Removed;
use crate::store::ask::{Scope, Update};
use crate::store::ended::remove_ended;
use crate::store::listing::{Cursor, Page};
use crate::store::record::Record;
use crate::store::session_store::SessionStore;
use crate::token::reload::Reload;
use crate::token::{
    BorrowedIdentity, KeySource, KeyState, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder,
};
use crate::upkeep::Upkeep;

/// Maximum number of attempts to read the user of a login that other callers change at the same time.
const MAX_RELOADS: usize = 16;

/// Authenticates users by short access tokens, and keeps their logins in a store for refreshing:
/// see [the module](super).
///
/// It scales like tokens, as a verification does no I/O, and logs out like sessions: a login that
/// has ended is never refreshed again. With a [revocation
/// log](crate::token::TokenBuilder::revocations) its access tokens are rejected within a stated
/// bound as well. Without one they stay valid until they expire, after minutes. The result of
/// [`revoke`](Authenticator::revoke) states which of the two it is.
///
/// [`revoke`](Authenticator::revoke) takes the access token or the refresh credential (RFC 7009,
/// section 2.1).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use statewise::session::SessionAuthenticator;
/// use statewise::token::{Key, TokenAuthenticator};
/// use statewise::{Authenticator, Login, hybrid::HybridAuthenticator, store::MemoryStore};
///
/// # async fn example() -> statewise::Result<()> {
/// let auth = HybridAuthenticator::new(
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
/// // Each credential has one purpose.
/// assert!(auth.refresh(refreshed.credential().reveal()).await.is_err());
/// assert!(auth.verify(refreshed.refreshable().reveal()).await.is_err());
/// # Ok(())
/// # }
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # let mut example = pin!(example());
/// # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
/// ```
pub struct HybridAuthenticator<S, D = ()> {
    tokens: TokenAuthenticator<D>,
    logins: Logins<S>,
}

impl<S: SessionStore, D> HybridAuthenticator<S, D> {
    /// Combines access tokens and logins. Both builders choose one type of data, by `with_data`.
    ///
    /// A clock, an entropy source or a reader of [other data](SessionBuilder::data_or_else) that is
    /// set in one builder counts for both. The maximum
    /// lifetime of the tokens is the absolute timeout of the logins. A shorter lifetime of the
    /// tokens counts at once, also for tokens that are in use.
    ///
    /// A refresh credential is bound to issuer and audience. When you change either, users log in
    /// again.
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy: whatever one of the two builders refuses; an idle timeout that
    /// passes while an access token lives; a revocation view that [only
    /// reads](crate::revocation::RevocationView::is_read_only), or forgets an entry before the login
    /// has expired; tokens of other issuers; or [`rotate_after`](SessionBuilder::rotate_after),
    /// which has no meaning here.
    pub fn new(access: TokenBuilder<D>, refresh: SessionBuilder<S, D>) -> Result<Self> {
        let (mut access, data, mut refresh) = (access, refresh.data, refresh.settings);
        // A refresh within the overlap is no use: it does not rotate the row.
        if refresh.idle <= access.token_lifetime().saturating_add(refresh.overlap) {
            return Err(Error::misuse(
                "a login would expire while its access token lives, as only refreshing is a use of \
                 it: make the idle timeout several times as long as the token's lifetime",
            ));
        }
        if refresh.rotate_after.is_some() {
            return Err(Error::misuse(
                "a refresh credential is not due by age: leave `rotate_after` out, the lifetime of \
                 the access token decides when a client refreshes",
            ));
        }
        access.clock = access.clock.or(refresh.clock.clone());
        refresh.clock = refresh.clock.or(access.clock.clone());
        access.preset = access.preset.or(refresh.preset);
        refresh.preset = refresh.preset.or(access.preset);
        access.data = access.data.or(&data);
        access.entropy = access.entropy.or(refresh.entropy.clone());
        refresh.entropy = refresh.entropy.or(access.entropy.clone());
        refresh.also_ends.0.append(&mut access.also_ends.0);
        let remembered = refresh.remembered.map(|(_, absolute)| absolute);
        let kind = CredentialKind::Refresh {
            issuer_and_audience: access.addressees(),
        };
        Ok(Self {
            tokens: access.build_access(refresh.absolute, remembered)?,
            logins: refresh.logins(kind, Namespace::default())?,
        })
    }

    /// Returns the store of the logins.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.logins.store
    }

    /// Returns the keys that sign access tokens; see [`TokenAuthenticator::keyring`].
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.tokens.keyring()
    }

    /// Returns the id and the state of each key, as far as the view has read its log; see
    /// [`TokenAuthenticator::key_states`].
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::key_states`].
    pub fn key_states(&self) -> Result<Vec<(String, KeyState)>> {
        self.tokens.key_states()
    }

    /// Returns the public keys for services that verify access tokens; see
    /// [`TokenAuthenticator::key_set`].
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::key_set`].
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    pub fn key_set(&self) -> Result<crate::token::KeySet> {
        self.tokens.key_set()
    }

    /// Replaces the keys; see [`TokenAuthenticator::replace_keyring`].
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::replace_keyring`].
    pub fn replace_keyring(&self, keys: impl Into<KeySource>) -> Result<()> {
        self.tokens.replace_keyring(keys)
    }

    /// Retires a key on every node: a leaked one; see [`TokenAuthenticator::retire_key`]. Clients
    /// refresh, and get access tokens of the next key.
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::retire_key`].
    ///
    /// # Cancel safety
    ///
    /// As for [`TokenAuthenticator::retire_key`].
    pub async fn retire_key(&self, kid: &str) -> Result<Revocation> {
        self.tokens.retire_key(kid).await
    }

    /// [`retire_key`](Self::retire_key) for a caller that reports it.
    pub(crate) async fn retire_key_reported(&self, kid: &str) -> Result<Revocation> {
        self.tokens.retire_key_reported(kid).await
    }

    /// Ends all logins of all users; see [`TokenAuthenticator::revoke_everything`]. Their rows stay in
    /// the store, and are never refreshed again.
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::revoke_everything`].
    ///
    /// # Cancel safety
    ///
    /// As for [`TokenAuthenticator::revoke_everything`].
    pub async fn revoke_everything(&self) -> Result<Revocation> {
        self.tokens.revoke_everything().await
    }

    /// [`revoke_everything`](Self::revoke_everything) for a caller that reports it.
    pub(crate) async fn revoke_everything_reported(&self) -> Result<Revocation> {
        self.tokens.revoke_everything_reported().await
    }

    /// Verifies an access token without allocating; see [`TokenAuthenticator::verify_borrowed`].
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::verify_borrowed`].
    pub fn verify_borrowed<'b>(
        &self,
        token: &str,
        buffer: &'b mut TokenBuffer,
    ) -> Result<BorrowedIdentity<'b>> {
        self.tokens.verify_borrowed(token, buffer)
    }

    /// Lists the live logins of `subject`, a hundred at a time; see
    /// [`SessionAuthenticator::sessions`](crate::session::SessionAuthenticator::sessions).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store or the clock cannot answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn sessions(&self, subject: &str, after: Option<Cursor>) -> Result<SessionPage> {
        let now = self.logins.now()?;
        let mut page = self.logins.list(subject, after, now).await?;
        page.sessions
            .retain(|session| !self.has_ended(session.record(), now));
        Ok(page)
    }

    /// Ends the login of `subject` that is listed under `id`, if there is one (OWASP ASVS 7.4.5,
    /// 7.5.2). The subject keeps one user from ending the logins of another.
    ///
    /// # Errors
    ///
    /// *Unavailable*: the login may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// The login may have ended while its access tokens are still valid: call again.
    pub async fn revoke_id(&self, subject: &str, id: PublicId) -> Result<Removed> {
        let now = self.logins.now()?;
        match self.logins.find(subject, id, now).await? {
            Some(handle) => self.end(handle, subject, now).await,
            None => Ok(Removed::at_once(0)),
        }
    }

    /// Ends one login. Removes its row before it appends to the log, so that no node signs another
    /// token in between.
    async fn end(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        let removed = self.store().remove(handle, subject, now).await?;
        let effective = self.append_end_of(handle, subject).await;
        Ok(Removed::with_effect(removed.count, effective))
    }

    /// Stores a new login. Returns its refresh credential, and the logins that the limit evicted.
    async fn insert(&self, new: &mut NewLogin) -> Result<(Credential, Vec<Handle>)> {
        let now = new.now;
        let (refresh, evicted) = match self.logins.insert(new).await {
            Err(error) if error.refusal() == Some(Refusal::SessionLimit) => {
                // After an end of all logins in the log, their rows still count for the limit.
                let has_ended = |row: &Record| self.has_ended(row, now);
                if !remove_ended(self.store(), new.row.subject(), now, has_ended).await? {
                    return Err(error);
                }
                self.logins.insert(new).await?
            }
            inserted => inserted?,
        };
        if !evicted.is_empty() {
            let ended: Vec<_> = evicted.iter().copied().map(Fact::Login).collect();
            // If this fails, their access tokens stay valid until they expire.
            let _ = self.append(&ended).await;
        }
        Ok((refresh, evicted))
    }

    /// Ends all logins of `subject`.
    async fn revoke_logins(&self, subject: &str) -> Result<Affected> {
        // The rows, then the log, and then the rows of logins that began before and were stored in
        // between.
        let (all, now) = (Scope::all(), self.logins.now()?);
        let first = self.logins.remove_subject(subject, all, now).await?.count;
        let Some(view) = self.tokens.revocations() else {
            return Ok(Affected::new(Some(first), self.effective(false)));
        };
        let fact = Fact::Subject {
            subject: SubjectKey::of(subject),
            before: None,
        };
        let stamp = view.append(&[fact], view.max_lifetime()).await?;
        let (late, now) = (all.before(stamp), self.logins.now()?);
        let late = self.store().remove_subject(subject, late, now).await?.count;
        Ok(Affected::new(Some(first + late), self.effective(true)))
    }

    /// Rejects a login that has ended by the log. Where all logins ended, their rows are still in
    /// the store.
    fn check(&self, row: &Record, now: Timestamp) -> Result<()> {
        match self.tokens.revocations() {
            Some(view) => view.check(row.handle(), row.subject(), row.stamp(), u64::MAX, now),
            None => Ok(()),
        }
    }

    /// Returns whether a login has ended by the log, although its row is still in the store.
    fn has_ended(&self, row: &Record, now: Timestamp) -> bool {
        let checked = self.check(row, now);
        checked.is_err_and(|error| error.rejection() == Some(Rejection::Revoked))
    }

    /// Returns the beginning of a login that begins now.
    async fn begin_login(&self) -> Result<Beginning> {
        let beginning = self.logins.beginning(None);
        match self.tokens.stamp().await? {
            None => self.logins.begin().await,
            stamp => Ok(Beginning { stamp, ..beginning }),
        }
    }

    fn token_lifetime(&self) -> Duration {
        Duration::from_secs(self.tokens.lifetime())
    }

    /// Appends the end or the change of several logins to the log, after the store has made it.
    async fn append(&self, ended: &[Fact]) -> Revocation {
        let Some(view) = self.tokens.revocations() else {
            return self.effective(false);
        };
        // No token that is signed for one of them later is younger than its row.
        let appended = view.append(ended, self.token_lifetime()).await;
        self.effective(appended.is_ok())
    }

    /// Appends the end of one login to the log, after its row was removed.
    async fn append_end_of(&self, handle: Handle, subject: &str) -> Revocation {
        let Some(view) = self.tokens.revocations() else {
            return self.effective(false);
        };
        let appended = view.end_login(handle, subject, self.token_lifetime()).await;
        self.effective(appended.is_ok())
    }

    /// Returns when the access tokens of an ended login are rejected: within the bound of the view
    /// if the log has the entry. Otherwise when they expire, as they are not refreshed any more.
    fn effective(&self, is_in_log: bool) -> Revocation {
        let expiry = self.token_lifetime();
        let view = self.tokens.revocations().filter(|_| is_in_log);
        Revocation::Within(view.map_or(expiry, |view| view.bound().min(expiry)))
    }

    /// Returns `answer`. If a login was ended because its credential was stolen, the log gets an
    /// entry first, as the thief has access tokens too.
    async fn after_theft<T>(&self, handle: Handle, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && let Some(theft) = error.theft()
        {
            let _ = self.append_end_of(handle, theft.subject()).await;
        }
        answer
    }
}

impl<S, D> HybridAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Verifies an access token without a future; see [`TokenAuthenticator::verify_now`].
    ///
    /// # Errors
    ///
    /// As for [`TokenAuthenticator::verify_now`].
    pub fn verify_now(&self, token: &str) -> Result<Identity<D>> {
        self.tokens.verify_now(token)
    }

    /// Updates the login of `subject` that is listed under `id`; see
    /// [`SessionAuthenticator::update_id`](crate::session::SessionAuthenticator::update_id) and
    /// [`update`](Authenticator::update).
    ///
    /// # Errors
    ///
    /// As for [`update`](Authenticator::update), without rejections.
    ///
    /// # Cancel safety
    ///
    /// The login may have been updated.
    pub async fn update_id(
        &self,
        subject: &str,
        id: PublicId,
        edit: EditFn<'_, D>,
    ) -> Result<Option<Session>> {
        let now = self.logins.now()?;
        let row = self.logins.find_alive(subject, id, now).await?;
        let Some(row) = row.filter(|row| !self.has_ended(row, now)) else {
            return Ok(None);
        };
        let mut draft = |row: &Record| self.draft(row, &mut *edit);
        let Some(edited) = self.update_by(row, None, &mut draft).await? else {
            return Ok(None);
        };
        if !edited.has_changed {
            // An earlier call may have changed it, and failed before it told the log.
            self.append_change(&edited.row).await?;
        }
        Ok(Some(Session::new(edited.row)))
    }

    /// Updates a row. If its roles have changed, the log gets an entry, so that its access tokens
    /// are outdated.
    ///
    /// # Errors
    ///
    /// *Unavailable*, although the row has changed, if the log could not take the entry.
    async fn update_by(
        &self,
        row: Record,
        presented: Option<SessionCredential>,
        draft: DraftFn<'_>,
    ) -> Result<Option<Edited>> {
        let edited = self.logins.update(row, presented, draft).await?;
        if let Some(edited) = &edited
            && edited.has_new_roles
        {
            self.append_change(&edited.row).await?;
        }
        Ok(edited)
    }

    /// Appends to the log that the access tokens of a row in former versions are outdated, unless it
    /// is known.
    async fn append_change(&self, row: &Record) -> Result<()> {
        if let (Some(view), Some(fact)) = (self.tokens.revocations(), self.unknown_change(row)) {
            view.append(&[fact], self.token_lifetime()).await?;
        }
        Ok(())
    }

    /// Returns the fact that the access tokens of a row in former versions are outdated. `None` if
    /// there are none, or the log has it.
    fn unknown_change(&self, row: &Record) -> Option<Fact> {
        let (handle, version) = (row.handle(), row.version());
        let view = self.tokens.revocations()?;
        let is_news = version > 0 && !view.knows_change(handle, version);
        is_news.then_some(Fact::Changed { handle, version })
    }

    /// Returns the update of a row that `edit` makes.
    fn draft(&self, row: &Record, edit: EditFn<'_, D>) -> Result<Update> {
        self.check_fits(row, self.logins.draft(row, &self.tokens.data, edit)?)
    }

    /// Refuses an update that does not fit into an access token: such a login could not be refreshed.
    fn check_fits(&self, row: &Record, update: Update) -> Result<Update> {
        let mut row = row.clone();
        row.update(row.version(), &update);
        let (mut identity, now) = (row.identity((), IssuerId::NONE), self.logins.now()?);
        // Refreshes say the step-up, and then the class of the login.
        let is_stepped = update.step.is_some() || row.is_stepped(row.generation, now);
        for is_stepped in [false].into_iter().chain(is_stepped.then_some(true)) {
            identity.is_stepped = is_stepped;
            self.tokens
                .check_mint(&mut identity, row.fields.data(), now)?;
        }
        Ok(update)
    }

    /// Ends all logins of the caller except the one of `credential`, which is an access token or a
    /// refresh credential (OWASP ASVS 7.4.3).
    ///
    /// It reads the login from the store and proves the credential. If you have verified the caller already, call
    /// [`revoke_all_except`](crate::Authenticator::revoke_all_except), which every strategy has. In a handler,
    /// call [`SignIn::revoke_others`](crate::web::SignIn::revoke_others).
    ///
    /// # Errors
    ///
    /// *Rejected* if the credential is. *Unavailable*: some logins may not have ended, and it is
    /// safe to try again.
    ///
    /// # Cancel safety
    ///
    /// Some logins may have ended: call again.
    pub async fn revoke_others(&self, credential: &str) -> Result<Removed> {
        Ok(self.end_others(credential).await?.1)
    }

    /// Ends all logins of the caller except the one of `credential`. Returns the row of that one.
    pub(crate) async fn end_others(&self, credential: &str) -> Result<(Record, Removed)> {
        let now = self.logins.now()?;
        let (row, _) = self.row_of(credential, now).await?;
        let removed = self
            .end_all_except(row.subject(), row.handle(), now)
            .await?;
        Ok((row, removed))
    }

    /// Ends all logins of `subject` except one.
    async fn end_all_except(&self, subject: &str, kept: Handle, now: Timestamp) -> Result<Removed> {
        // One entry per login: an entry for the subject would end the access tokens of this login
        // too.
        let (mut count, mut effective) = (0, Revocation::Immediate);
        let mut page = Page::first(ROWS_PER_PAGE);
        loop {
            let listing = self.store().list(subject, page, now).await?;
            let mut ended = Vec::with_capacity(ROWS_PER_PAGE);
            for other in listing.records.iter().map(Record::handle) {
                if other != kept {
                    let removed = self.store().remove(other, subject, now).await?;
                    count += removed.count;
                    ended.push(Fact::Login(other));
                }
            }
            if !ended.is_empty() {
                effective = effective.or_later(self.append(&ended).await);
            }
            match listing.next {
                Some(next) => page = Page::after(next, ROWS_PER_PAGE),
                None => return Ok(Removed::with_effect(count, effective)),
            }
        }
    }

    /// Returns the identity of a row, which carries the same verifier as one of an access token.
    fn identity_of(&self, row: &Record) -> Result<Identity<D>> {
        row.read_identity(&self.tokens.data, self.tokens.id())
    }

    /// Verifies an access token or a refresh credential, and reads its login from the store. Returns
    /// the identity of an access token, which may have a step-up beside its row.
    async fn row_of(
        &self,
        credential: &str,
        now: Timestamp,
    ) -> Result<(Record, Option<Identity<D>>)> {
        let Some(presented) = self.logins.parse(credential) else {
            let caller = self.verify_now(credential)?;
            let row = self.logins.alive(caller.handle, now).await?;
            return Ok((row.ok_or(Rejection::Unknown)?, Some(caller)));
        };
        let proven = self.logins.proven(&presented, now).await;
        let row = self.after_theft(presented.handle(), proven).await?;
        self.check(&row, now)?;
        Ok((row, None))
    }

    /// Updates a row with the roles and data that its user has now, and returns it.
    ///
    /// If another caller changes the row while the user is read, the user is read again: the first
    /// result may be older than that change, and must not undo it.
    async fn reload(
        &self,
        reload: &Reload<D>,
        mut row: Record,
        presented: Option<SessionCredential>,
        now: Timestamp,
    ) -> Result<Record> {
        for _ in 0..MAX_RELOADS {
            let Some(fresh) = reload.read(&self.identity_of(&row)?).await? else {
                let _ = self.end(row.handle(), row.subject(), now).await?;
                let ended = EndedLogin::new(row.subject(), row.public_id(), EndCause::UserGone);
                return Err(Error::from(Rejection::Revoked).with_ended([ended]));
            };
            let (data, version) = (self.logins.encode(&fresh.data)?, row.version());
            let mut draft = |row: &Record| {
                if row.version() != version {
                    return Ok(Update::default());
                }
                let before = self.logins.encode(self.identity_of(row)?.data())?;
                let update = Update {
                    roles: (!row.fields.roles().eq(&fresh.roles)).then(|| fresh.roles.clone()),
                    data: (before != data).then(|| data.clone()),
                    ..Update::default()
                };
                self.check_fits(row, update)
            };
            let edited = self.logins.update(row, presented, &mut draft).await?;
            let edited = edited.ok_or(Rejection::Unknown)?;
            if edited.has_new_roles {
                // If this fails, older access tokens say the old roles until they expire.
                let _ = self.append_change(&edited.row).await;
            }
            if edited.has_changed || edited.row.version() == version {
                return Ok(edited.row);
            }
            row = edited.row;
        }
        Err(Error::could_not(
            "other calls keep changing the login while its user is read",
            None,
        ))
    }

    /// Verifies an access token, and reads its login from the store. The log is asked too, as it
    /// may have ended all logins.
    async fn verify_in_store(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        let caller = self.tokens.verify_with(presented).await?;
        let now = self.logins.now()?;
        let row = self.logins.alive(caller.handle, now).await?;
        let row = row.ok_or(Rejection::Unknown)?;
        if row.subject() != caller.subject() {
            // The token is right, so the row is not.
            return Err(Error::unreadable().of_login(caller.id()));
        }
        let mut identity = self.identity_of(&row)?;
        if let Some(step) = step_of(&caller, &row) {
            identity.set_step(&step);
        }
        identity.issued_at = caller.issued_at;
        identity.expires_at = caller.expires_at.min(row.expires_at());
        Ok(identity)
    }
}

/// Returns the step-up that an access token has beside its row. It lasts until the token expires.
fn step_of<D>(caller: &Identity<D>, row: &Record) -> Option<StepUp> {
    let acr = caller.fields.acr()?;
    let is_stepped =
        row.fields.acr() != Some(acr) || row.authenticated_at != caller.authenticated_at;
    let (at, until) = (caller.authenticated_at, caller.expires_at);
    is_stepped.then(|| StepUp::new(acr.to_owned(), at, until))
}

/// Returns an update that keeps the step-up `former`, unless it has one of its own.
fn keep_step(mut update: Update, former: Option<&StepUp>) -> Update {
    update.step = update.step.or_else(|| former.cloned());
    update
}

impl<S, D> Authenticator for HybridAuthenticator<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = D;

    fn is_well_formed(&self, credential: &str) -> bool {
        SessionCredential::is_well_formed(self.logins.kind, credential)
            || self.tokens.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        let mut samples = vec![self.logins.kind.sample()];
        samples.extend(self.tokens.sample_credentials());
        samples
    }

    fn has_refresh_credentials(&self) -> bool {
        true
    }

    async fn begin(&self) -> Result<Begun> {
        Ok(Begun::new(self.begin_login().await?, self.logins.now()?))
    }

    async fn issue(&self, mut login: Login<D>) -> Result<Issued<D>> {
        // First of all: an entry that the log gets from here on ends this login too.
        let began = self.logins.beginning_of(&login, self.begin_login()).await?;
        let verifier = self.tokens.id();
        self.logins.check_continued(&login, verifier).await?;
        self.tokens
            .check_continued(login.continued(), login.subject())?;
        let old = mem::take(&mut login.replaces);
        let mut new = self.logins.prepare(&login, began, None)?;
        let now = new.now;
        let mut identity = new.row.identity(login.data, verifier);
        identity.is_stepped = login.step.is_some();
        // Before the store is asked: if the token is refused, the login is not stored.
        let data = new.row.fields.data();
        let mut token = self.tokens.mint(&mut identity, data, now, None).await?;
        let replaced = end_replaced(self, &old).await?;
        let ended = |error: Error| error.with_ended(ended_by(&replaced));
        let (refresh, evicted) = self.insert(&mut new).await.map_err(ended)?;
        let finished = async {
            if identity.handle != new.row.handle() {
                identity.handle = new.row.handle();
                let data = new.row.fields.data();
                token = self.tokens.mint(&mut identity, data, now, None).await?;
            }
            match (self.tokens.revocations(), began.stamp) {
                (Some(view), Some(stamp)) => {
                    // A concurrent `revoke_all` removes the rows of the subject, appends to the log, and
                    // removes rows again: either its second removal finds this row, or this check finds
                    // its entry.
                    let oldest = new.row.stamp().unwrap_or(stamp);
                    view.check_new(oldest, stamp, new.row.subject()).await
                }
                _ => Ok(()),
            }
        };
        if let Err(error) = finished.await {
            // If the row stays, no client has its credential.
            let (handle, subject) = (new.row.handle(), new.row.subject());
            let _ = self.store().remove(handle, subject, now).await;
            return Err(ended(error).with_ended(self.logins.ended_by_limit(subject, &evicted)));
        }
        let issued = Issued::new(token, identity, Outcome::New)
            .with_evicted(evicted.iter().map(Handle::public_id))
            .with_replaced(replaced);
        Ok(issued.with_refresh_credential(refresh))
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        if presented.is_authoritative() {
            // Boxed, as it is rare: the future of the usual case stays small.
            return Box::pin(self.verify_in_store(presented)).await;
        }
        self.verify_now(presented.credential())
    }

    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<D>>> {
        (!presented.is_authoritative()).then(|| self.verify_now(presented.credential()))
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        let (now, text) = (self.logins.now()?, presented.credential());
        let presented = self.logins.parse(text).ok_or(Rejection::Malformed)?;
        // Before anything is rotated. If signing failed after that for long, the client would come
        // back too late with the credential that it has.
        self.tokens.check_ready(now).await?;
        if let Some(reload) = &self.tokens.reload {
            // Boxed, because it is rare: the future of the usual case stays small.
            Box::pin(async {
                let (row, _) = self.row_of(text, now).await?;
                self.reload(reload, row, Some(presented), now).await
            })
            .await?;
        }
        let reader = &self.tokens.data;
        let refreshed = self.logins.refresh(presented, reader, now).await;
        let refreshed = self.after_theft(presented.handle(), refreshed).await?;
        let row = &refreshed.row;
        self.check(row, now)?;
        let mut identity = self.identity_of(row)?;
        identity.is_stepped = row.is_stepped(refreshed.credential.generation(), now);
        let data = row.fields.data();
        let token = self.tokens.mint(&mut identity, data, now, None).await?;
        let issued = Issued::new(token, identity, refreshed.outcome);
        Ok(issued.with_refresh_credential(refreshed.credential.encode()))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        if let Some(presented) = self.logins.parse(credential) {
            return Ok(match self.logins.end(credential).await? {
                Ended::Login(row, _) => {
                    let effective = self.append_end_of(row.handle(), row.subject()).await;
                    Logout::new(effective).of(row.handle(), row.fields)
                }
                // An earlier call may have removed the row, and failed to append to the log.
                Ended::Unproven | Ended::Absent => {
                    let handle = presented.handle();
                    let view = self.tokens.revocations();
                    let is_in_log = view.is_some_and(|view| view.knows_end(handle));
                    self.effective(is_in_log).into()
                }
            });
        }
        let (handle, fields, stamp) = self.tokens.prove(credential)?;
        let now = self.logins.now()?;
        let removed = self.store().remove(handle, fields.subject(), now).await?;
        let view = self.tokens.revocations();
        let is_in_log = view.is_some_and(|view| view.knows_end_of(handle, fields.subject(), stamp));
        // Without a row, it has ended before. An earlier call may have failed to append that to the log.
        if removed.count == 0 && (is_in_log || view.is_none()) {
            return Ok(self.effective(is_in_log).into());
        }
        let effective = self.append_end_of(handle, fields.subject()).await;
        Ok(Logout::new(effective).of(handle, fields))
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let logins = self.revoke_logins(subject);
        self.logins.also_ends.and(subject, logins).await
    }

    async fn revoke_all_except(&self, kept: &Identity<D>) -> Result<Affected> {
        let now = self.logins.now()?;
        let removed = self.end_all_except(kept.subject(), kept.handle, now);
        Ok(removed.await?.into())
    }

    fn check_overlap(&self, overlap: Duration) -> Result<()> {
        self.logins.check_overlap(overlap)
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        if self.logins.parse(credential).is_none() {
            return self.tokens.find_login(credential).await;
        }
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
            let removed = self.end(row.handle(), subject, now).await?;
            ended = ended.and(Logout::new(removed.effective).of(row.handle(), row.fields));
        }
        Ok(Some(ended))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, D>) -> Result<Issued<D>> {
        let now = self.logins.now()?;
        self.tokens.check_ready(now).await?;
        let presented = self.logins.parse(credential);
        let (mut row, caller) = self.row_of(credential, now).await?;
        if let Some(reload) = &self.tokens.reload {
            // Boxed, because it is rare: the future of the usual case stays small.
            row = Box::pin(self.reload(reload, row, presented, now)).await?;
        }
        let former = caller.as_ref().and_then(|caller| step_of(caller, &row));
        let (mut step, mut has_proof) = (None, false);
        let mut draft = |row: &Record| {
            let update = self.logins.draft(row, &self.tokens.data, &mut *edit)?;
            has_proof = update.step.is_some();
            let mut update = self.check_fits(row, keep_step(update, former.as_ref()))?;
            if presented.is_none() {
                // An access token yields no refresh credential: the step-up is in the next access
                // token alone.
                step = update.step.take();
            }
            Ok(update)
        };
        let edited = self.update_by(row, presented, &mut draft).await?;
        let Edited { row, fresh, .. } = edited.ok_or(Rejection::Unknown)?;
        let mut identity = self.identity_of(&row)?;
        let refresh = fresh.or(presented);
        if let Some(refresh) = &refresh {
            identity.is_stepped = row.is_stepped(refresh.generation(), now);
        } else if let Some(step) = &step {
            identity.set_step(step);
        }
        // Without a new proof, an access token does not become one that lives longer: a stolen one
        // would be a refresh credential.
        let latest = caller
            .filter(|_| !has_proof)
            .map(|caller| caller.expires_at);
        let data = row.fields.data();
        let token = self.tokens.mint(&mut identity, data, now, latest).await?;
        let issued = Issued::new(token, identity, Outcome::Rotated);
        Ok(match refresh {
            Some(refresh) => issued.with_refresh_credential(refresh.encode()),
            None => issued,
        })
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, D>) -> Result<Affected> {
        if let Some(view) = self.tokens.revocations() {
            view.outdate(subject).await?;
        }
        self.logins.outdate(subject).await?;
        let mut draft = |row: &Record| self.draft(row, &mut *edit);
        let (mut count, mut outcome, mut effective) = (0, Ok(()), self.effective(true));
        let mut page = Some(Page::first(ROWS_PER_PAGE));
        while let Some(this) = page {
            let mut updated = self.logins.update_page(subject, this, &mut draft).await?;
            let now = self.logins.now()?;
            let logins = &mut updated.logins;
            logins.retain(|edited| !self.has_ended(&edited.row, now));
            count += logins.len() as u64;
            // Those that an earlier call has changed too: it may have failed before it told the log.
            let outdated = logins.iter().map(|edited| &edited.row);
            let outdated: Vec<_> = outdated
                .filter_map(|row| self.unknown_change(row))
                .collect();
            if !outdated.is_empty() {
                effective = effective.or_later(self.append(&outdated).await);
            }
            outcome = outcome.and(updated.outcome);
            page = updated.next;
        }
        outcome.map(|()| Affected::new(Some(count), effective))
    }

    async fn ready(&self) -> Result<()> {
        self.tokens.ready().await?;
        self.logins.ready().await
    }

    fn upkeep(&self) -> Upkeep {
        self.logins.upkeep().and(self.tokens.upkeep())
    }
}

impl<S: fmt::Debug, D> fmt::Debug for HybridAuthenticator<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridAuthenticator")
            .field("tokens", &self.tokens)
            .field("logins", &self.logins)
            .finish()
    }
}
