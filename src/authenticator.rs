//! The contract of all strategies, and its type-erased twin.
//!
//! Most applications need only [`Authenticator`]. This page also has the types for those who
//! implement an authenticator of their own: [`LoginParts`], [`Relatives`], [`Chore`] and [`BoxFuture`].

pub(crate) mod end_replaced;
pub(crate) mod revoke_all;

pub use crate::base::boxed::BoxFuture;
pub use crate::login::LoginParts;
pub use crate::login::relatives::Relatives;
pub use crate::upkeep::Chore;
pub use revoke_all::RevokeAll;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::base::erased::forward_to_pointee;
use crate::base::secret::REDACTED;
use crate::error::{Error, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::Begun;
use crate::login::edit::EditFn;
use crate::login::identity::Identity;
use crate::login::issued::Issued;
use crate::login::logout::Logout;
use crate::login::place::Place;
use crate::observer::Observer;
use crate::upkeep::Upkeep;

/// Authenticates callers: issues, verifies, refreshes, updates and revokes credentials.
///
/// Write your handlers against this trait. They stay the same whether the server remembers the user
/// (a session) or the credential does (a token). Implementers write plain `async fn`s.
///
/// You may drop every future at any point; each method states what that can leave behind.
///
/// # Security
///
/// Presented credentials are controlled by the client. No implementation logs a credential, repeats
/// it in an error, or allocates an amount that a client chose.
///
/// # Implementations
///
/// | authenticator | the server keeps | logout takes effect |
/// |---|---|---|
/// | [`SessionAuthenticator`](crate::session::SessionAuthenticator) | each login | at once |
/// | [`TokenAuthenticator`](crate::token::TokenAuthenticator) | nothing | when the token expires, or within the bound of a revocation log |
/// | [`HybridAuthenticator`](crate::hybrid::HybridAuthenticator) | each login, read to refresh | as for tokens; refreshing ends at once |
/// | [`ApiKeys`](crate::api_keys::ApiKeys) | each key | at once |
/// | [`Either`](crate::either::Either) | | serves two strategies on the same routes |
/// | [`Migrating`](crate::migrating::Migrating) | | moves users from one strategy to another |
/// | [`Observed`](crate::Observed) | | notifies an observer of every call |
///
/// # Example
///
/// ```
/// use statewise::{Authenticator, Result};
///
/// /// Works with every strategy.
/// async fn greeting(auth: &impl Authenticator<Data = ()>, credential: &str) -> Result<String> {
///     let caller = auth.verify(credential).await?;
///     Ok(format!("hello {}", caller.subject()))
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an authenticator",
    label = "not an authenticator",
    note = "a builder becomes one by `build()?`; write `?` after a call that returns a `Result`"
)]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// The application data of a user, beside subject and roles.
    type Data: Send + Sync + 'static;

    /// Returns true if `credential` has the form of this strategy's credentials. No I/O and no
    /// hashing. Use it to tell strategies apart: it proves nothing.
    fn is_well_formed(&self, credential: &str) -> bool;

    /// Returns one made-up credential of each form that [`is_well_formed`](Self::is_well_formed)
    /// accepts. They prove nothing. [`Either`](crate::either::Either) uses them to check
    /// that two strategies cannot confuse their credentials.
    ///
    /// Default: none, which means that this cannot be checked.
    fn sample_credentials(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns true if logins have a [refresh credential](Issued::refresh_credential) beside the
    /// access token. The layer of [`web`](crate::web) then requires a cookie for it.
    ///
    /// Default: false.
    fn has_refresh_credentials(&self) -> bool {
        false
    }

    /// Notes that a login begins: call it before you load the user and check the password, and pass
    /// the result to [`Login::begun`]. Without it, a login begins when [`issue`](Self::issue) is
    /// called.
    ///
    /// With a revocation log, it reads the position of the log, which `issue` then does not read
    /// again. Wrappers of an authenticator forward the call.
    ///
    /// Default: a beginning that notes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log or the clock cannot answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    fn begin(&self) -> impl Future<Output = Result<Begun>> + Send {
        std::future::ready(Ok(Begun::untracked()))
    }

    /// Issues a credential for a user who has just authenticated. The credential that the login
    /// [replaces](Login::replaces) is revoked before the new one is returned.
    ///
    /// # Errors
    ///
    /// *Refused* by a rule (session limit, capacity, size); *unavailable* if the store, the clock,
    /// the entropy source or an external signer cannot answer, or if the replaced credential cannot be revoked;
    /// *misuse* if the subject is empty, or if another authenticator has [begun](Login::begun) the
    /// login; *refused* as [outdated](crate::Refusal::Outdated) if the user was logged out
    /// everywhere since it began, or if the login that it [continues](Identity::into_login) has ended and
    /// this node can know that.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have revoked the replaced credential, and may leave a login without a
    /// client, which exists until it expires.
    fn issue(
        &self,
        login: Login<Self::Data>,
    ) -> impl Future<Output = Result<Issued<Self::Data>>> + Send;

    /// Verifies a presented credential. It never rotates and never returns a credential:
    /// [`Identity::refresh_due`] tells the caller to [`refresh`](Self::refresh). A
    /// [passive](Presented::passive) presentation records no use, and nothing is due.
    ///
    /// # Errors
    ///
    /// *Rejected* with its cause, or *unavailable*. An outage is never reported as a rejection.
    ///
    /// # Cancel safety
    ///
    /// A dropped call changes nothing; its use may not be recorded.
    fn verify_with(
        &self,
        presented: Presented<'_>,
    ) -> impl Future<Output = Result<Identity<Self::Data>>> + Send;

    /// Verifies a credential without a future. Returns `None` if that needs I/O or must record
    /// something: then call [`verify_with`](Self::verify_with).
    ///
    /// `Some(result)` equals what `verify_with` would return at that moment. `Some` is usual for
    /// tokens, the access tokens of the hybrid, and sessions in a
    /// [`MemoryStore`](crate::store::MemoryStore) or a [`CachedStore`](crate::store::CachedStore).
    /// You need not call it for speed: [`verify`](Self::verify) does the same, and
    /// `Arc<dyn DynAuthenticator>` calls it first to avoid allocating a future.
    ///
    /// Default: `None`.
    ///
    /// # Errors
    ///
    /// As for [`verify_with`](Self::verify_with).
    ///
    /// # Example
    ///
    /// ```
    /// use statewise::{Authenticator, Identity, Presented, Result};
    ///
    /// /// For code that cannot await: `None` if the store must be queried first.
    /// fn caller_now<A: Authenticator>(auth: &A, credential: &str) -> Option<Result<Identity<A::Data>>> {
    ///     auth.try_verify_now(Presented::new(credential))
    /// }
    /// ```
    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<Self::Data>>> {
        let _ = presented;
        None
    }

    /// Refreshes [a credential](Issued::refreshable): returns a fresh credential of the same login.
    /// **Never moves the authentication time or the deadline** (OWASP ASVS 7.3.2).
    ///
    /// # Errors
    ///
    /// As for [`verify_with`](Self::verify_with), and:
    ///
    /// | error | when |
    /// |---|---|
    /// | *rejected* as [`Reused`](crate::Rejection::Reused) | a replaced credential came back after its successor was used: the login **has ended** |
    /// | *rejected* as [`NotRefreshable`](crate::Rejection::NotRefreshable) | a token of another issuer |
    /// | *refused* as [`RefreshLimit`](crate::Refusal::RefreshLimit) | the login was refreshed too often |
    /// | *refused* as [`NotRefreshable`](crate::Refusal::NotRefreshable) | an API key |
    /// | *misuse* | a verifier, which signs nothing |
    ///
    /// # Cancel safety
    ///
    /// The refresh may have happened: refresh again with the same credential.
    fn refresh_with(
        &self,
        presented: Presented<'_>,
    ) -> impl Future<Output = Result<Issued<Self::Data>>> + Send;

    /// Ends the login of a credential. Returns when that takes effect, and the login if it is known.
    ///
    /// The credential is verified first, so that a forged one cannot log out a user. Returns `Ok`
    /// for unknown, expired and revoked credentials.
    ///
    /// # Errors
    ///
    /// *Rejected* if it is malformed, and possibly if it is forged, where a strategy can
    /// distinguish that from unknown; *unavailable*: it may not have been revoked, and a retry is
    /// safe; *misuse* where the revocation log can only be read.
    ///
    /// # Cancel safety
    ///
    /// It may have been revoked or not: revoke again.
    fn revoke(&self, credential: &str) -> impl Future<Output = Result<Logout>> + Send;

    /// Ends every login of `subject` that began before this call (OWASP ASVS 7.4.2, 7.4.5). Returns
    /// their number, where it is known, and when that takes effect. A login begins with
    /// [`begin`](Self::begin), or else when [`issue`](Self::issue) is called.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some logins may not have been ended, and a retry is safe. *Misuse* where the
    /// revocation log can only be read.
    ///
    /// # Cancel safety
    ///
    /// Some logins may have been ended: call again.
    fn revoke_all(&self, subject: &str) -> impl Future<Output = Result<Affected>> + Send;

    /// Ends every login of the user except `kept`, which [`verify`](Self::verify) has returned (OWASP ASVS
    /// 7.4.3). Returns their number, where it is known, and when that takes effect. API keys are no
    /// logins, and stay. If you have only the credential, `revoke_others` of sessions and of the hybrid
    /// verifies it too.
    ///
    /// ```
    /// use statewise::{Authenticator, Result};
    ///
    /// /// After a change of the password.
    /// async fn log_out_other_devices(auth: &impl Authenticator, credential: &str) -> Result<()> {
    ///     let caller = auth.verify(credential).await?;
    ///     let ended = auth.revoke_all_except(&caller).await?;
    ///     println!("{:?} other logins of {} ended", ended.count, caller.subject());
    ///     Ok(())
    /// }
    /// # async fn tokens(auth: statewise::token::TokenAuthenticator) -> Result<()> {
    /// #     log_out_other_devices(&auth, "").await
    /// # }
    /// ```
    ///
    /// Default: *misuse*. Plain tokens have no rows, so the server cannot find the others.
    ///
    /// # Errors
    ///
    /// *Misuse* if the strategy, or one of two strategies, keeps no row of each login: call
    /// [`revoke_all`](Self::revoke_all), and [`issue`](Self::issue) a new login for the caller.
    /// *Unavailable*: some logins may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// Some logins may have ended: call again.
    fn revoke_all_except(
        &self,
        kept: &Identity<Self::Data>,
    ) -> impl Future<Output = Result<Affected>> + Send {
        let _ = kept;
        std::future::ready(Err(Error::misuse(
            "this strategy keeps no row of each login, so it cannot end all of them but one: call \
             `revoke_all`, and issue a new login for the caller",
        )))
    }

    /// Refuses to be the old strategy of a [`Migrating`](crate::migrating::Migrating) with this overlap, in
    /// which a credential is presented beside its upgrade. You do not call it: the builder does.
    ///
    /// Default: `Ok`.
    ///
    /// # Errors
    ///
    /// *Misuse*, with what to do, if a credential that is presented in the overlap would count as stolen.
    fn check_overlap(&self, overlap: Duration) -> Result<()> {
        let _ = overlap;
        Ok(())
    }

    /// Finds the login that [`revoke`](Self::revoke) of this credential would end, and changes nothing. You
    /// do not call it: [`Migrating`](crate::migrating::Migrating) does at a logout, to end the relatives of
    /// the login before it.
    ///
    /// Default: `None`, which is also the answer for a credential that proves no login.
    ///
    /// # Errors
    ///
    /// *Unavailable*.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    fn find_login(&self, credential: &str) -> impl Future<Output = Result<Option<Logout>>> + Send {
        let _ = credential;
        std::future::ready(Ok(None))
    }

    /// Ends those logins of `subject` that are relatives of a login that has ended. You do not call it:
    /// [`Migrating`](crate::migrating::Migrating) does at a logout, for a login that another node has
    /// upgraded.
    ///
    /// Returns the ended logins, and when that takes effect. Returns `None` if this strategy cannot end a
    /// login by its handle, or gives a login another handle than the upgrade asks for.
    ///
    /// Default: `None`. Then only the node that upgraded knows the old login, and ends it after the overlap.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some logins may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// Some logins may have ended: call again.
    fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
    ) -> impl Future<Output = Result<Option<Logout>>> + Send {
        let _ = (subject, relatives);
        std::future::ready(Ok(None))
    }

    /// Changes the roles, the device or the data of the login of a credential, or
    /// [steps it up](crate::Edit::step_up). Returns the updated login, with the credential that the
    /// client now presents.
    ///
    /// `edit` gets the newest values. Of any number of concurrent updates none is lost: if another
    /// caller was faster, `edit` is called again with the result. An edit that changes nothing writes
    /// nothing.
    ///
    /// | strategy | credential | effect on other credentials of the login |
    /// |---|---|---|
    /// | session | the presented one, or a new one after a step-up | the same session; within the bound of a [cache](crate::store::CachedStore) |
    /// | hybrid | a new access token, which expires with the presented one at the latest | with changed roles and a revocation log, older access tokens are rejected as [outdated](crate::Rejection::Outdated) within its bound; otherwise they say the old values until they expire |
    /// | token | a new token, which expires with the presented one at the latest | they say the old values until they expire |
    ///
    /// Only a [refresh](Self::refresh), or a new proof of the user in a step-up, extends an access
    /// token: otherwise a stolen one would be as good as a refresh credential. Where the user is
    /// [reloaded](crate::token::TokenBuilder::reload), an update reads the user again too.
    ///
    /// ```
    /// use statewise::{Authenticator, Edit, Result};
    ///
    /// /// Notes the language that a user has chosen.
    /// async fn choose<A: Authenticator<Data = String>>(
    ///     auth: &A,
    ///     credential: &str,
    ///     language: &str,
    /// ) -> Result<()> {
    ///     let edit = &mut |login: &mut Edit<String>| {
    ///         login.data = language.to_owned();
    ///         Ok(())
    ///     };
    ///     // A token is now another one: hand `updated.credential()` to the client.
    ///     let updated = auth.update(credential, edit).await?;
    ///     assert_eq!(updated.identity().data(), language);
    ///     Ok(())
    /// }
    /// # async fn tokens(auth: statewise::token::TokenAuthenticator<String>) -> Result<()> {
    /// #     choose(&auth, "", "").await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`verify_with`](Self::verify_with); *refused* if the login becomes too large;
    /// *unavailable* if other callers have changed the login sixteen times in a row; the error of
    /// `edit`. In each case nothing was changed, unless the store has lost its answer or an external signer
    /// has just begun to fail. After a step-up that failed, the client keeps its credential.
    ///
    /// A hybrid is *unavailable* too if changed roles could not be appended to its revocation log. Then
    /// the login has changed, and its older access tokens say the old roles until they expire.
    ///
    /// # Cancel safety
    ///
    /// The login may have been updated.
    fn update(
        &self,
        credential: &str,
        edit: EditFn<'_, Self::Data>,
    ) -> impl Future<Output = Result<Issued<Self::Data>>> + Send;

    /// Updates every login of `subject`, as [`update`](Self::update) does. Use it when an
    /// administrator changes the roles of a user: the logins continue. **First change the user in
    /// your database, then call this.** A login in progress that [has begun](Login::begun) is refused
    /// as [outdated](crate::Refusal::Outdated), so that it does not carry the old roles: one on this
    /// node, and with a revocation log one on any node.
    ///
    /// Returns the number of logins, where it is known, and when the change takes effect everywhere. A
    /// login that this version [cannot read](crate::Error::is_unreadable), such as one of a later version
    /// with a restriction, is passed over: [`revoke_all`](Self::revoke_all) ends it too.
    /// Plain tokens, and those that are refreshed from them, keep their roles until the deadline of the
    /// login, unless [`TokenBuilder::reload`](crate::token::TokenBuilder::reload) is set. [`ApiKeys`](crate::api_keys::ApiKeys)
    /// keep those of their scopes that `edit` leaves, and get no others: a promotion of the user widens
    /// no key. [`Edit::purpose`](crate::Edit::purpose) tells a key from a login.
    ///
    /// ```
    /// use statewise::{Authenticator, Result};
    ///
    /// async fn demote(auth: &impl Authenticator, subject: &str) -> Result<()> {
    ///     // .. UPDATE users SET role = 'reader' WHERE name = subject, and then:
    ///     let affected = auth
    ///         .update_all(subject, &mut |login| {
    ///             login.roles = vec!["reader".to_owned()];
    ///             Ok(())
    ///         })
    ///         .await?;
    ///     println!("the old role is gone everywhere: {:?}", affected.effective);
    ///     Ok(())
    /// }
    /// # async fn tokens(auth: statewise::token::TokenAuthenticator) -> Result<()> {
    /// #     demote(&auth, "").await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// *Unavailable*, *refused* as too large, or the error of `edit`: the first one of a login that
    /// could not be updated. All others have been, as far as the store could list them. Call again.
    /// *Misuse* for an edit that [steps up](crate::Edit::step_up), and where the revocation log can only
    /// be read.
    ///
    /// # Cancel safety
    ///
    /// Some logins may have been updated: call again.
    fn update_all(
        &self,
        subject: &str,
        edit: EditFn<'_, Self::Data>,
    ) -> impl Future<Output = Result<Affected>> + Send;

    /// Returns `Ok` if this node can verify credentials now: its store answers, and the revocation view
    /// of its tokens is fresh. A [cache](crate::store::CachedStore) with a stale view is ready as long as
    /// it may ask its store. Call it in the readiness probe of a service, so that a node that is not ready
    /// gets no requests. Do not call it in a liveness probe: a restart does not repair a store.
    ///
    /// A store is asked for a row that does not exist, within its deadline. Tokens are verified without
    /// I/O: an issuer of tokens is ready even while its external signer fails. An issuer without a key to
    /// sign with is not ready: each login and each refresh would fail.
    ///
    /// Default: `Ok`.
    ///
    /// # Errors
    ///
    /// *Unavailable*, with the cause. *Misuse* if an issuer of tokens has no key to sign with, because the
    /// last one has been retired. Waiting does not help then: replace its ring.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "tower")] {
    /// use http::StatusCode;
    /// use statewise::Authenticator;
    ///
    /// // With axum: Router::new().route("/ready", get(move || ready(Arc::clone(&auth))))
    /// async fn ready(auth: impl Authenticator) -> StatusCode {
    ///     match auth.ready().await {
    ///         Ok(()) => StatusCode::OK,
    ///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    ///     }
    /// }
    /// # let _ = |auth: statewise::token::TokenAuthenticator| ready(auth);
    /// # }
    /// ```
    fn ready(&self) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Returns the background work of this strategy. Spawn it once; see [`Upkeep`].
    fn upkeep(&self) -> Upkeep;

    /// Returns the observer of an [`Observed`](crate::Observed) authenticator. The layer of
    /// [`web`](crate::web) reports denials to it.
    ///
    /// Default: none.
    fn observer(&self) -> Option<Arc<dyn Observer>> {
        None
    }

    /// Verifies a credential with default options: [`verify_with`](Self::verify_with). Do not
    /// override it: the type-erased twin forwards only `verify_with`.
    ///
    /// # Errors
    ///
    /// As for [`verify_with`](Self::verify_with).
    fn verify(
        &self,
        credential: &str,
    ) -> impl Future<Output = Result<Identity<Self::Data>>> + Send {
        self.verify_with(Presented::new(credential))
    }

    /// Refreshes a credential with default options: [`refresh_with`](Self::refresh_with). Do not
    /// override it: the type-erased twin forwards only `refresh_with`.
    ///
    /// # Errors
    ///
    /// As for [`refresh_with`](Self::refresh_with).
    ///
    /// # Cancel safety
    ///
    /// As for [`refresh_with`](Self::refresh_with).
    fn refresh(&self, credential: &str) -> impl Future<Output = Result<Issued<Self::Data>>> + Send {
        self.refresh_with(Presented::new(credential))
    }
}

/// A presented credential, with options for its verification.
///
/// ```
/// # use std::time::Duration;
/// # use statewise::session::SessionAuthenticator;
/// # use statewise::store::MemoryStore;
/// # use statewise::testkit::{ManualClock, block_on};
/// use statewise::{Authenticator, Login, Presented};
///
/// # block_on(async {
/// # let clock = ManualClock::default();
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
///     .idle(Duration::from_secs(1800))
///     .absolute(Duration::from_secs(12 * 3600))
/// #     .clock(clock.clone())
///     .build()?;
/// let issued = auth.issue(Login::new("alice")).await?;
/// let credential = issued.credential().reveal();
///
/// // 20 minutes later, a poll of an open page shows the user and is no use of the session.
/// # clock.advance(Duration::from_secs(20 * 60));
/// let polled = auth.verify_with(Presented::new(credential).passive()).await?;
/// assert_eq!(polled.expires_at(), issued.expires_at());
///
/// // Before a transfer of money: past all caches. It is a use of the session.
/// let used = auth.verify_with(Presented::new(credential).authoritative()).await?;
/// assert!(used.expires_at() > issued.expires_at());
/// # Ok::<(), statewise::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Presented<'a> {
    credential: &'a str,
    authoritative: bool,
    passive: bool,
    pub(crate) place: Option<Place>,
}

impl<'a> Presented<'a> {
    /// Presents a credential with default options.
    #[must_use]
    pub const fn new(credential: &'a str) -> Self {
        Self {
            credential,
            authoritative: false,
            passive: false,
            place: None,
        }
    }

    /// Asks the authority itself and skips copies. Use it for sensitive actions. The authority of
    /// sessions is their store; that of tokens is their revocation log, if they have one.
    #[must_use]
    pub const fn authoritative(mut self) -> Self {
        self.authoritative = true;
        self
    }

    /// Does not count as a use, for requests that a page sends on its own, such as polls: they keep no
    /// login alive, and [`Identity::refresh_due`] is false. Do not refresh on account of them either:
    /// a rejection ends the poll. The end of a session that is not used is [`Identity::expires_at`]. That
    /// of a token or a hybrid is [`Identity::deadline`]: clients refresh an access token in between.
    ///
    /// Behind a [`CachedStore`](crate::store::CachedStore) that end may be too early, as a copy may lack
    /// the latest use. It is exact for a presentation that is [authoritative](Self::authoritative) too.
    #[must_use]
    pub const fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    /// Names the place of the request that the credential comes from. Default: none, for a
    /// credential that is known otherwise. See [`Either`](crate::either::Either).
    #[must_use]
    pub const fn with_place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The place of the request that the credential comes from, if it is known.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        self.place
    }

    /// Presents another text in the same way.
    pub(crate) const fn with_credential(mut self, credential: &'a str) -> Self {
        self.credential = credential;
        self
    }

    /// The credential.
    #[must_use]
    pub const fn credential(&self) -> &'a str {
        self.credential
    }

    /// Returns true if the presentation is no use of the credential.
    #[must_use]
    pub const fn is_passive(&self) -> bool {
        self.passive
    }

    /// Returns true if copies must be skipped.
    #[must_use]
    pub const fn is_authoritative(&self) -> bool {
        self.authoritative
    }
}

impl<'a> From<&'a str> for Presented<'a> {
    fn from(credential: &'a str) -> Self {
        Self::new(credential)
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("credential", &format_args!("{REDACTED}"))
            .field("authoritative", &self.authoritative)
            .field("passive", &self.passive)
            .field("place", &self.place)
            .finish()
    }
}

/// Passes the signatures of [`Authenticator`] to a macro, for all forwarding implementations. Omits
/// the provided methods that follow from the required ones, and `verify_with`, which the
/// type-erased twin does not merely forward.
macro_rules! most_authenticator_methods {
    ([$emit:ident] $data:ty) => {
        $emit! { (Authenticator) sync is_well_formed is_well_formed_dyn (credential: [&str]) -> [bool] }
        $emit! { (Authenticator) sync sample_credentials sample_credentials_dyn () -> [Vec<String>] }
        $emit! { (Authenticator)
            sync has_refresh_credentials has_refresh_credentials_dyn () -> [bool]
        }
        $emit! { (Authenticator) sync check_overlap check_overlap_dyn (overlap: [Duration]) -> [Result<()>] }
        $emit! { (Authenticator) async begin begin_dyn () -> [Begun] }
        $emit! { (Authenticator) async issue issue_dyn (login: [Login<$data>]) -> [Issued<$data>] }
        $emit! { (Authenticator)
            sync try_verify_now try_verify_now_dyn (presented: [Presented<'_>])
                -> [Option<Result<Identity<$data>>>]
        }
        $emit! { (Authenticator)
            async refresh_with refresh_with_dyn (presented: [Presented<'_>]) -> [Issued<$data>]
        }
        $emit! { (Authenticator) async revoke revoke_dyn (credential: [&str]) -> [Logout] }
        $emit! { (Authenticator) async revoke_all revoke_all_dyn (subject: [&str]) -> [Affected] }
        $emit! { (Authenticator)
            async revoke_all_except revoke_all_except_dyn (kept: [&Identity<$data>]) -> [Affected]
        }
        $emit! { (Authenticator)
            async find_login find_login_dyn (credential: [&str]) -> [Option<Logout>]
        }
        $emit! { (Authenticator)
            async revoke_relatives revoke_relatives_dyn (subject: [&str], relatives: [&Relatives])
                -> [Option<Logout>]
        }
        $emit! { (Authenticator)
            async update update_dyn (credential: [&str], edit: [EditFn<'_, $data>])
                -> [Issued<$data>]
        }
        $emit! { (Authenticator)
            async update_all update_all_dyn (subject: [&str], edit: [EditFn<'_, $data>])
                -> [Affected]
        }
        $emit! { (Authenticator) async ready ready_dyn () -> [()] }
        $emit! { (Authenticator) sync upkeep upkeep_dyn () -> [Upkeep] }
        $emit! { (Authenticator) sync observer observer_dyn () -> [Option<Arc<dyn Observer>>] }
    };
}

/// Passes the signature of `verify_with` to a macro.
macro_rules! verify_with_method {
    ([$emit:ident] $data:ty) => {
        $emit! { (Authenticator)
            async verify_with verify_with_dyn (presented: [Presented<'_>]) -> [Identity<$data>]
        }
    };
}

/// The type-erased twin of [`Authenticator`]. Implement that trait instead.
///
/// `Arc<dyn DynAuthenticator<D>>` is an `Authenticator<Data = D>` itself, so that a configuration
/// file can choose the strategy at start:
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use statewise::{Authenticator, DynAuthenticator, session::SessionAuthenticator};
/// use statewise::{store::MemoryStore, token::{Key, TokenAuthenticator}};
///
/// fn configured(stateless: bool) -> statewise::Result<Arc<dyn DynAuthenticator<()>>> {
///     Ok(if stateless {
///         Arc::new(
///             TokenAuthenticator::builder(Key::generate_hs256()?)
///                 .issuer("https://auth.example")
///                 .audience("api")
///                 .lifetime(Duration::from_secs(15 * 60))
///                 .build()?,
///         )
///     } else {
///         Arc::new(
///             SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
///                 .idle(Duration::from_secs(30 * 60))
///                 .absolute(Duration::from_secs(12 * 3600))
///                 .build()?,
///         )
///     })
/// }
///
/// fn takes_any(_: impl Authenticator<Data = ()>) {}
/// takes_any(configured(true)?);
/// takes_any(configured(false)?);
/// # Ok::<(), statewise::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an authenticator",
    label = "not an authenticator",
    note = "a builder becomes one by `build()?`; write `?` after a call that returns a `Result`"
)]
pub trait DynAuthenticator<D>: erased::ErasedAuthenticator<D> {}

impl<A: Authenticator> DynAuthenticator<A::Data> for A {}

mod erased {
    //! The methods of the type-erased twin, where no other code can name them. An `Arc` of an
    //! authenticator is an authenticator too, so a call of such a method on the `Arc` would allocate
    //! for the future of the `Arc` and for that of its content. Call the methods of `Authenticator`.

    use std::fmt;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::authenticator::{Authenticator, DynAuthenticator, Presented};
    use crate::base::erased::{declare_erased, erase, restore};
    use crate::error::Result;
    use crate::login::Login;
    use crate::login::affected::Affected;
    use crate::login::begun::Begun;
    use crate::login::edit::EditFn;
    use crate::login::identity::Identity;
    use crate::login::issued::Issued;
    use crate::login::logout::Logout;
    use crate::login::relatives::Relatives;
    use crate::observer::Observer;
    use crate::upkeep::Upkeep;

    #[expect(unnameable_types, reason = "its methods are not for other code")]
    pub trait ErasedAuthenticator<D>: fmt::Debug + Send + Sync + 'static {
        most_authenticator_methods! { [declare_erased] D }
        verify_with_method! { [declare_erased] D }
    }

    impl<A: Authenticator> ErasedAuthenticator<A::Data> for A {
        most_authenticator_methods! { [erase] A::Data }
        verify_with_method! { [erase] A::Data }
    }

    impl<D: Send + Sync + 'static> Authenticator for dyn DynAuthenticator<D> {
        type Data = D;

        most_authenticator_methods! { [restore] D }

        async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
            // Not a `match`: its operand would be a part of the future.
            if let Some(verified) = self.try_verify_now_dyn(presented) {
                return verified;
            }
            self.verify_with_dyn(presented).await
        }
    }
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    type Data = A::Data;

    most_authenticator_methods! { [forward_to_pointee] A::Data }
    verify_with_method! { [forward_to_pointee] A::Data }
}

impl<A: Authenticator + ?Sized> Authenticator for Box<A> {
    type Data = A::Data;

    most_authenticator_methods! { [forward_to_pointee] A::Data }
    verify_with_method! { [forward_to_pointee] A::Data }
}
