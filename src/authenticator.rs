//! The contract of all strategies, and its type-erased twin.

pub use crate::base::boxed::BoxFuture;
pub use crate::login::LoginParts;
pub use crate::upkeep::Chore;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

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

    /// Exchanges [what is refreshable](Issued::refreshable) for a fresh credential of the same login.
    /// **Never moves the authentication time or the deadline** (OWASP ASVS 7.3.2).
    ///
    /// # Errors
    ///
    /// As for [`verify_with`](Self::verify_with).
    ///
    /// # Cancel safety
    ///
    /// The exchange may have happened: refresh again with the same credential.
    fn refresh(&self, credential: &str) -> impl Future<Output = Result<Issued<Self::Data>>> + Send;

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
    /// See [`Authenticator::is_well_formed`].
    fn is_well_formed_dyn(&self, credential: &str) -> bool;
    /// See [`Authenticator::sample_credentials`].
    fn sample_credentials_dyn(&self) -> Vec<String>;
    /// See [`Authenticator::issue`].
    fn issue_dyn(&self, login: Login<D>) -> BoxFuture<'_, Result<Issued<D>>>;
    /// See [`Authenticator::verify_with`].
    fn verify_with_dyn<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Identity<D>>>;
    /// See [`Authenticator::refresh`].
    fn refresh_dyn<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Issued<D>>>;
    /// See [`Authenticator::revoke`].
    fn revoke_dyn<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Revocation>>;
    /// See [`Authenticator::revoke_all`].
    fn revoke_all_dyn<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Revocation>>;
    /// See [`Authenticator::upkeep`].
    fn upkeep_dyn(&self) -> Upkeep;
}

impl<A: Authenticator> DynAuthenticator<A::Data> for A {
    fn is_well_formed_dyn(&self, credential: &str) -> bool {
        self.is_well_formed(credential)
    }

    fn sample_credentials_dyn(&self) -> Vec<String> {
        self.sample_credentials()
    }

    fn issue_dyn(&self, login: Login<A::Data>) -> BoxFuture<'_, Result<Issued<A::Data>>> {
        Box::pin(self.issue(login))
    }

    fn verify_with_dyn<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Identity<A::Data>>> {
        Box::pin(self.verify_with(presented))
    }

    fn refresh_dyn<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Issued<A::Data>>> {
        Box::pin(self.refresh(credential))
    }

    fn revoke_dyn<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Revocation>> {
        Box::pin(self.revoke(credential))
    }

    fn revoke_all_dyn<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Revocation>> {
        Box::pin(self.revoke_all(subject))
    }

    fn upkeep_dyn(&self) -> Upkeep {
        self.upkeep()
    }
}

impl<D: Send + Sync + 'static> Authenticator for dyn DynAuthenticator<D> {
    type Data = D;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.is_well_formed_dyn(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        self.sample_credentials_dyn()
    }

    async fn issue(&self, login: Login<D>) -> Result<Issued<D>> {
        self.issue_dyn(login).await
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        self.verify_with_dyn(presented).await
    }

    async fn refresh(&self, credential: &str) -> Result<Issued<D>> {
        self.refresh_dyn(credential).await
    }

    async fn revoke(&self, credential: &str) -> Result<Revocation> {
        self.revoke_dyn(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Revocation> {
        self.revoke_all_dyn(subject).await
    }

    fn upkeep(&self) -> Upkeep {
        self.upkeep_dyn()
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ident),*) => {$(
        impl<A: Authenticator + ?Sized> Authenticator for $pointer<A> {
            type Data = A::Data;

            fn is_well_formed(&self, credential: &str) -> bool {
                (**self).is_well_formed(credential)
            }

            fn sample_credentials(&self) -> Vec<String> {
                (**self).sample_credentials()
            }

            fn issue(
                &self,
                login: Login<A::Data>,
            ) -> impl Future<Output = Result<Issued<A::Data>>> + Send {
                (**self).issue(login)
            }

            fn verify_with(
                &self,
                presented: Presented<'_>,
            ) -> impl Future<Output = Result<Identity<A::Data>>> + Send {
                (**self).verify_with(presented)
            }

            fn refresh(
                &self,
                credential: &str,
            ) -> impl Future<Output = Result<Issued<A::Data>>> + Send {
                (**self).refresh(credential)
            }

            fn revoke(
                &self,
                credential: &str,
            ) -> impl Future<Output = Result<Revocation>> + Send {
                (**self).revoke(credential)
            }

            fn revoke_all(
                &self,
                subject: &str,
            ) -> impl Future<Output = Result<Revocation>> + Send {
                (**self).revoke_all(subject)
            }

            fn upkeep(&self) -> Upkeep {
                (**self).upkeep()
            }
        }
    )*};
}

forward_to_pointee!(Arc, Box);
