//! The contract of all strategies, and its type-erased twin.

pub use crate::base::boxed::BoxFuture;
pub use crate::login::LoginParts;
pub use crate::upkeep::Chore;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::base::erased::{declare_erased, erase, forward_to_pointee, restore};
use crate::base::secret::REDACTED;
use crate::error::Result;
use crate::login::Login;
use crate::login::identity::Identity;
use crate::login::issued::{Issued, Revocation};
use crate::upkeep::Upkeep;

/// Knows who is calling: issues credentials, verifies, refreshes and revokes them.
///
/// Handlers are written against this trait and stay the same whether the server remembers the
/// user (a session) or the credential does (a token). Implementers write plain `async fn`s.
///
/// Every future may be dropped at any point; each method says what that can leave behind.
///
/// # Security
///
/// The credentials passed in are under the control of whoever is calling. No implementation logs
/// one, echoes one in an error, or allocates an amount that one of them chose.
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// What the application keeps about a logged-in user, beside subject and roles.
    type Data: Send + Sync + 'static;

    /// Whether `credential` has the shape of one of this strategy's. No I/O and no hashing: for
    /// telling strategies apart, and no proof of anything.
    fn is_well_formed(&self, credential: &str) -> bool;

    /// One made-up credential of each shape that [`is_well_formed`](Self::is_well_formed) takes. They prove
    /// nothing: they tell whether two strategies could take one credential for theirs.
    ///
    /// None by default, which says that nobody can tell.
    fn sample_credentials(&self) -> Vec<String> {
        Vec::new()
    }

    /// Issues a credential for a user who has just proven who they are. What the login
    /// [replaces](Login::replaces) is revoked before the new credential is handed out.
    ///
    /// # Errors
    ///
    /// *Refused* by a rule (session limit, capacity, size); *unavailable* if the store, the clock
    /// or the entropy source cannot answer, or if what is replaced cannot be revoked; *misuse* if
    /// the subject is empty; *rejected* as revoked if the user was logged out everywhere while
    /// this login was under way.
    ///
    /// # Cancel safety
    ///
    /// Dropped in between, what is replaced may have been revoked already, and a login that
    /// nobody holds the credential of may exist until it expires.
    fn issue(
        &self,
        login: Login<Self::Data>,
    ) -> impl Future<Output = Result<Issued<Self::Data>>> + Send;

    /// Verifies what a request presented. Never rotates and never hands out a credential:
    /// [`Identity::refresh_due`] says when the caller should [`refresh`](Self::refresh).
    ///
    /// # Errors
    ///
    /// *Rejected* with its cause, or *unavailable*. An outage is never a rejection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind but, perhaps, a use that was not noted.
    fn verify_with(
        &self,
        presented: Presented<'_>,
    ) -> impl Future<Output = Result<Identity<Self::Data>>> + Send;

    /// Refreshes [a credential](Issued::refreshable): answers with a fresh credential of the same
    /// login. **Never moves the authentication time or the deadline** (OWASP ASVS 7.3.2).
    ///
    /// # Errors
    ///
    /// As for [`verify_with`](Self::verify_with).
    ///
    /// # Cancel safety
    ///
    /// The refresh may have happened: refresh again with the same credential.
    fn refresh_with(
        &self,
        presented: Presented<'_>,
    ) -> impl Future<Output = Result<Issued<Self::Data>>> + Send;

    /// Ends the login of a credential, and says when that takes effect.
    ///
    /// The credential is proven first, so that a forged one logs nobody out. `Ok` for one that is
    /// unknown, expired or revoked already.
    ///
    /// # Errors
    ///
    /// *Rejected* if it is malformed, and perhaps if it is forged, where that can be told from
    /// unknown; *unavailable*: it may not have been revoked, and trying again is safe.
    ///
    /// # Cancel safety
    ///
    /// It may or may not have been revoked: revoke again.
    fn revoke(&self, credential: &str) -> impl Future<Output = Result<Revocation>> + Send;

    /// Ends every login of `subject` that began before this call (OWASP ASVS 7.4.2, 7.4.5), and
    /// says when that takes effect. A login begins when [`issue`](Self::issue) is called, not
    /// when the password check before it began.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some may not have been ended, and trying again is safe.
    ///
    /// # Cancel safety
    ///
    /// Some may have been ended: call again.
    fn revoke_all(&self, subject: &str) -> impl Future<Output = Result<Revocation>> + Send;

    /// The background work that this strategy wants done. See [`Upkeep`].
    fn upkeep(&self) -> Upkeep;

    /// Verifies a credential: [`verify_with`](Self::verify_with) without further wishes. Not to
    /// be overridden: a type-erased authenticator asks the other one.
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

    /// Refreshes a credential: [`refresh_with`](Self::refresh_with) without further wishes. Not to
    /// be overridden: a type-erased authenticator asks the other one.
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

/// What a request presented, and how it wants it judged.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Presented<'a> {
    credential: &'a str,
    authoritative: bool,
}

impl<'a> Presented<'a> {
    /// A credential, judged as usual.
    #[must_use]
    pub const fn new(credential: &'a str) -> Self {
        Self {
            credential,
            authoritative: false,
        }
    }

    /// Asks the authority itself and skips what is cached: for sensitive actions. That is the store
    /// of sessions, and for tokens their revocation log, if they have one.
    #[must_use]
    pub const fn authoritative(mut self) -> Self {
        self.authoritative = true;
        self
    }

    /// The credential.
    #[must_use]
    pub const fn credential(&self) -> &'a str {
        self.credential
    }

    /// Whether what is cached is to be skipped.
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
            .finish()
    }
}

/// Passes every signature of [`Authenticator`] on to a macro, for everything that forwards them. The
/// provided methods are left out: what forwards gives them their meaning by the required ones.
macro_rules! every_authenticator_method {
    ([$emit:ident] $data:ty) => {
        $emit! { (Authenticator) sync is_well_formed is_well_formed_dyn (credential: [&str]) -> [bool] }
        $emit! { (Authenticator) sync sample_credentials sample_credentials_dyn () -> [Vec<String>] }
        $emit! { (Authenticator) async issue issue_dyn (login: [Login<$data>]) -> [Issued<$data>] }
        $emit! { (Authenticator)
            async verify_with verify_with_dyn (presented: [Presented<'_>]) -> [Identity<$data>]
        }
        $emit! { (Authenticator)
            async refresh_with refresh_with_dyn (presented: [Presented<'_>]) -> [Issued<$data>]
        }
        $emit! { (Authenticator) async revoke revoke_dyn (credential: [&str]) -> [Revocation] }
        $emit! { (Authenticator) async revoke_all revoke_all_dyn (subject: [&str]) -> [Revocation] }
        $emit! { (Authenticator) sync upkeep upkeep_dyn () -> [Upkeep] }
    };
}

/// The type-erased form of [`Authenticator`]: implement that one.
///
/// `Arc<dyn DynAuthenticator<D>>` is an `Authenticator<Data = D>` itself, so that a configuration
/// file can pick the strategy at start:
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
pub trait DynAuthenticator<D>: fmt::Debug + Send + Sync + 'static {
    every_authenticator_method! { [declare_erased] D }
}

impl<A: Authenticator> DynAuthenticator<A::Data> for A {
    every_authenticator_method! { [erase] A::Data }
}

impl<D: Send + Sync + 'static> Authenticator for dyn DynAuthenticator<D> {
    type Data = D;

    every_authenticator_method! { [restore] D }
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    type Data = A::Data;

    every_authenticator_method! { [forward_to_pointee] A::Data }
}

impl<A: Authenticator + ?Sized> Authenticator for Box<A> {
    type Data = A::Data;

    every_authenticator_method! { [forward_to_pointee] A::Data }
}
