//! Verified caller of a request.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Clock, SystemClock, Timestamp};
use crate::login::identity::Identity;
use crate::login::purpose::Purpose;
use crate::web::clone::clone_fields;
use crate::web::denial::Denial;

/// Verified caller of a request: an [`Identity`] that handlers take as an argument. Cheap to clone.
///
/// | argument of the handler (features `axum`, `actix`) | no credential | credential rejected | outage |
/// |---|---|---|---|
/// | `Auth` | 401 | 401 | 503 |
/// | `Option<Auth>` | `None` | 401 | 503 |
/// | `Result<Auth, Denial>` | `Err`, status 401 | `Err`, status 401 | `Err`, status 503 |
/// | [`Visitor`](crate::web::Visitor) | anonymous | anonymous, and the cookie is removed | 503 |
///
/// Take `Auth` for pages and calls that need a caller, and `Visitor` for public pages. With
/// `Option<Auth>`, a client learns by a 401 that its credential is no longer valid, also on a public
/// route: that suits an API with clients that refresh.
///
/// In actix-web, a handler that takes `Option<Auth>` runs without a caller for a rejected credential
/// and for an outage, and the layer answers 401 or 503 instead of its response: see `AuthError`.
///
/// With data of your own, name the type once: `type Caller = statewise::web::Auth<Profile>;`. A
/// handler that takes `Auth` behind a layer for `Auth<Profile>` fails with a *misuse* (500).
///
/// Guards are methods. Call them in the first lines of a handler:
///
/// ```
/// use std::time::Duration;
/// use statewise::web::{Auth, Denial};
///
/// async fn delete_account(caller: Auth) -> Result<String, Denial> {
///     caller.require_role("owner")?;
///     // Authenticated within the last five minutes (OWASP ASVS 7.5.1, RFC 9470).
///     caller.require_fresh(Duration::from_secs(300))?;
///     Ok(format!("goodbye, {}", caller.subject()))
/// }
/// # let _ = delete_account;
/// ```
pub struct Auth<D = ()>(Arc<Inner<D>>);

struct Inner<D> {
    identity: Identity<D>,
    clock: Arc<dyn Clock>,
}

impl<D> Auth<D> {
    pub(crate) fn new(identity: Identity<D>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { identity, clock }))
    }

    /// The identity.
    #[must_use]
    pub fn identity(&self) -> &Identity<D> {
        &self.0.identity
    }

    /// Requires a role: a text, or an [enum of your application](Identity::has_role).
    ///
    /// # Errors
    ///
    /// [`Denial::MissingRole`].
    pub fn require_role(&self, role: impl AsRef<str>) -> Result<(), Denial> {
        self.require_any_role([role])
    }

    /// Requires at least one of several roles.
    ///
    /// # Errors
    ///
    /// [`Denial::MissingRole`], also if `roles` is empty.
    pub fn require_any_role<R: AsRef<str>>(
        &self,
        roles: impl IntoIterator<Item = R>,
    ) -> Result<(), Denial> {
        let mut missing = Vec::new();
        for role in roles {
            if self.has_role(&role) {
                return Ok(());
            }
            missing.push(role);
        }
        Err(Denial::missing_any_role(&missing))
    }

    /// Requires a login of the user, and no [API key](crate::api_keys). Call it where keys are made
    /// and passwords are changed, so that a leaked key gains nothing there.
    ///
    /// ```
    /// use statewise::api_keys::ApiKeys;
    /// use statewise::store::MemoryStore;
    /// use statewise::web::{Auth, Denial};
    /// use statewise::{Authenticator, Credential, Login};
    ///
    /// /// Makes a key that may read. A key cannot make another one.
    /// async fn make(caller: Auth, keys: &ApiKeys<MemoryStore>) -> Result<Credential, Denial> {
    ///     caller.require_login()?;
    ///     let key = Login::new(caller.subject()).role("repo:read").device("laptop");
    ///     Ok(keys.issue(key).await?.credential().clone())
    /// }
    /// # let _ = make;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Denial::NotALogin`].
    pub fn require_login(&self) -> Result<(), Denial> {
        let is_login = self.purpose() == Purpose::Login;
        is_login.then_some(()).ok_or(Denial::NotALogin)
    }

    /// Requires a condition of your application.
    ///
    /// ```
    /// use statewise::web::{Auth, Denial};
    ///
    /// struct Document { owner: String }
    ///
    /// fn edit(caller: &Auth, document: &Document) -> Result<(), Denial> {
    ///     caller.require_when(|user| user.subject() == document.owner)
    /// }
    /// # let _ = edit;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Denial::Forbidden`].
    pub fn require_when(&self, condition: impl FnOnce(&Identity<D>) -> bool) -> Result<(), Denial> {
        let is_met = condition(self.identity());
        is_met.then_some(()).ok_or(Denial::Forbidden)
    }

    /// Requires an authentication within the last `max_age`, in whole seconds (RFC 9470, OWASP ASVS
    /// 7.5.1). Use, rotation and refresh of a credential do not count as an authentication. A new API
    /// key does not either. A [step-up](crate::Edit::step_up) is an authentication while it lasts.
    ///
    /// If you require a class too, call [`require_fresh_acr`](Self::require_fresh_acr) instead: this call
    /// alone leads the user to the password.
    ///
    /// # Errors
    ///
    /// [`Denial::TooOld`]; [`Denial::NotALogin`]; *unavailable* if the clock cannot be read.
    pub fn require_fresh(&self, max_age: Duration) -> Result<(), Denial> {
        self.require_age(max_age, None)
    }

    /// Requires an authentication context class that was proven within the last `max_age`, in whole
    /// seconds (RFC 9470).
    ///
    /// | the login | denial | the user proves | challenge |
    /// |---|---|---|---|
    /// | lacks the class, at any age | [`WeakAcr`](Denial::WeakAcr) | the class, and is fresh by that | `acr_values` |
    /// | has the class, and is too old | [`TooOld`](Denial::TooOld) | the class again | `acr_values`, `max_age` |
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::web::{Auth, Denial};
    ///
    /// async fn transfer(caller: Auth) -> Result<&'static str, Denial> {
    ///     caller.require_fresh_acr("confirmed", Duration::from_secs(300))?;
    ///     Ok("the money is on its way")
    /// }
    /// # let _ = transfer;
    /// ```
    ///
    /// # Errors
    ///
    /// The denials of the table; [`Denial::NotALogin`]; *unavailable* if the clock cannot be read.
    pub fn require_fresh_acr(&self, acr: &str, max_age: Duration) -> Result<(), Denial> {
        self.require_acr(acr)?;
        self.require_age(max_age, Some(acr))
    }

    /// Requires an authentication within the last `max_age`. The denial names the class `acr`.
    fn require_age(&self, max_age: Duration, acr: Option<&str>) -> Result<(), Denial> {
        self.require_login()?;
        let now = clock::read(&*self.0.clock)?;
        let proven_at = Timestamp::from(self.authenticated_at());
        let age = now.saturating_since(proven_at);
        if age > max_age.as_secs() || clock::is_ahead(proven_at, now) {
            let acr = acr.map(Arc::from);
            return Err(Denial::TooOld { max_age, acr });
        }
        Ok(())
    }

    /// Returns how long the presented credential is accepted if it is not used before, in whole
    /// seconds: the time until [`expires_at`](Identity::expires_at). Use it in the answer to a
    /// [passive](crate::web::AuthLayer::passive) request, so that a page can warn its user of the end of an
    /// unused session. With tokens or a hybrid it is the rest of the access token: warn by the
    /// [`deadline`](Identity::deadline) there.
    ///
    /// Behind a [`CachedStore`](crate::store::CachedStore) it may be too short, as a copy may lack the
    /// latest use.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the clock cannot be read.
    pub fn remaining(&self) -> Result<Duration, Denial> {
        let now = clock::read(&*self.0.clock)?;
        let left = Timestamp::from(self.expires_at()).saturating_since(now);
        Ok(Duration::from_secs(left))
    }

    /// Requires an authentication context class, as set with [`Login::acr`](crate::Login::acr) (RFC
    /// 9470). Compares bytes: if one of your classes includes another, check for both. An API key has
    /// no class.
    ///
    /// # Errors
    ///
    /// [`Denial::WeakAcr`]; [`Denial::NotALogin`].
    pub fn require_acr(&self, acr: &str) -> Result<(), Denial> {
        self.require_login()?;
        if self.acr() != Some(acr) {
            return Err(Denial::WeakAcr { acr: acr.into() });
        }
        Ok(())
    }
}

/// For tests of handlers: build the identity with [`Identity::unverified`].
impl<D> From<Identity<D>> for Auth<D> {
    fn from(identity: Identity<D>) -> Self {
        Self::new(identity, Arc::new(SystemClock))
    }
}

impl<D> Deref for Auth<D> {
    type Target = Identity<D>;

    fn deref(&self) -> &Identity<D> {
        self.identity()
    }
}

clone_fields!(Auth<D> { 0 });

impl<D> fmt::Debug for Auth<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auth").field(self.identity()).finish()
    }
}
