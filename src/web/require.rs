//! Requirements that a service has for all its callers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::login::identity::Identity;
use crate::web::auth::Auth;
use crate::web::clone::clone_fields;
use crate::web::denial::Denial;
use crate::web::sign_in::SignIn;

/// Guard that denies requests before the service sees them. Puts the caller, an [`Auth`], into the
/// extensions of the requests that it admits.
///
/// Use it for whole routers, and for services without extractors, such as those of tonic.
/// Add it inside of an [`AuthLayer`](crate::web::AuthLayer).
///
/// ```
/// use std::time::Duration;
/// use statewise::web::Require;
///
/// // With axum: admin_routes.layer(admins), and the `AuthLayer` around it.
/// // With actix-web: web::scope("/admin").wrap(admins).
/// let admins = Require::authenticated().role("admin").fresh(Duration::from_secs(300));
/// // All requirements must be met: staff of the company, with one of two roles.
/// let staff = Require::authenticated()
///     .any_role(["editor", "admin"])
///     .when(|user| user.subject().ends_with("@example.com"));
/// # let _ = (admins, staff);
/// ```
///
/// # A class and an age
///
/// The guard of a dangerous act asks for a class that was proven a short time ago. It checks the class
/// first, in whichever order you call [`acr`](Self::acr) and [`fresh`](Self::fresh): a login without the
/// class is [`WeakAcr`](Denial::WeakAcr), however old it is. The user proves the class, by a
/// [step-up](SignIn::step_up) or a new login, and is fresh by that. A login with the class that is too old
/// is [`TooOld`](Denial::TooOld) and names both. [`Denial::required_acr`] is the class in both cases.
///
/// Put both into one guard. Two guards, one inside of the other, are checked one after the other: an outer
/// one with `fresh` alone leads to the password first.
///
/// ```
/// use std::time::Duration;
/// use statewise::web::Require;
///
/// let transfers = Require::authenticated().acr("confirmed").fresh(Duration::from_secs(300));
/// # let _ = transfers;
/// ```
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`role`](Self::role), [`any_role`](Self::any_role) | none required | |
/// | [`when`](Self::when) | no condition | |
/// | [`login`](Self::login) | an API key will do | |
/// | [`fresh`](Self::fresh) | any age, in whole seconds | RFC 9470; OWASP ASVS 7.5.1 |
/// | [`acr`](Self::acr) | any class | RFC 9470 |
/// | [`authoritative`](Self::authoritative) | no: caches of the authenticator may answer | |
pub struct Require<D = ()> {
    rules: Arc<Rules>,
    conditions: Arc<Vec<Arc<Condition<D>>>>,
}

type Condition<D> = dyn Fn(&Identity<D>) -> bool + Send + Sync;

#[derive(Clone, Debug, Default)]
struct Rules {
    /// Groups of roles: the caller needs one role of each.
    roles: Vec<Vec<Box<str>>>,
    is_login: bool,
    max_age: Option<Duration>,
    acr: Option<Box<str>>,
    authoritative: bool,
}

impl Require {
    /// Admits every caller with a valid credential. For logins with data, see
    /// [`with_data`](Self::with_data).
    #[must_use]
    pub fn authenticated() -> Self {
        Self::with_data()
    }

    /// Admits every caller with a valid credential, for logins with data of the type `T`. It must be
    /// that of the [`AuthLayer`](crate::web::AuthLayer); otherwise every request fails with a
    /// *misuse* (500).
    ///
    /// ```
    /// use statewise::web::Require;
    ///
    /// struct Profile { is_verified: bool }
    /// let users = Require::with_data::<Profile>().when(|user| user.data().is_verified);
    /// # let _ = users;
    /// ```
    #[must_use]
    pub fn with_data<T>() -> Require<T> {
        Require {
            rules: Arc::default(),
            conditions: Arc::default(),
        }
    }
}

impl<D> Require<D> {
    /// Requires a role: a text, or an [enum of your application](Identity::has_role). Call it again
    /// to require several.
    #[must_use]
    pub fn role(self, role: impl AsRef<str>) -> Self {
        self.any_role([role])
    }

    /// Requires at least one of several roles. An empty list denies every request.
    #[must_use]
    pub fn any_role<R: AsRef<str>>(self, roles: impl IntoIterator<Item = R>) -> Self {
        let roles = roles.into_iter().map(|role| role.as_ref().into());
        self.with(|rules| rules.roles.push(roles.collect()))
    }

    /// Requires a condition of your application; see [`Auth::require_when`]. Call it again to require
    /// several. The function runs within the request: do not block.
    #[must_use]
    pub fn when(
        mut self,
        condition: impl Fn(&Identity<D>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.conditions).push(Arc::new(condition));
        self
    }

    /// Requires a login of the user, and no API key; see [`Auth::require_login`].
    #[must_use]
    pub fn login(self) -> Self {
        self.with(|rules| rules.is_login = true)
    }

    /// Requires an authentication within the last `max_age`, in whole seconds; see
    /// [`Auth::require_fresh`]. With [`acr`](Self::acr), of that class: see
    /// [`Auth::require_fresh_acr`].
    #[must_use]
    pub fn fresh(self, max_age: Duration) -> Self {
        self.with(|rules| rules.max_age = Some(max_age))
    }

    /// Requires an authentication context class; see [`Auth::require_acr`].
    #[must_use]
    pub fn acr(self, acr: impl Into<String>) -> Self {
        self.with(|rules| rules.acr = Some(acr.into().into()))
    }

    /// Bypasses all caches when it verifies the credential; see
    /// [`Presented::authoritative`](crate::Presented::authoritative).
    #[must_use]
    pub fn authoritative(self) -> Self {
        self.with(|rules| rules.authoritative = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<D: Send + Sync + 'static> Require<D> {
    /// Verifies the caller of a request, and checks the requirements. The layer of tower and
    /// the middleware of actix-web do it for you; call it in other frameworks.
    ///
    /// # Errors
    ///
    /// The denial to answer with.
    ///
    /// # Cancel safety
    ///
    /// As for [`SignIn::verify`].
    pub async fn check(&self, sign_in: &SignIn<D>) -> Result<Auth<D>, Denial> {
        let rules = &*self.rules;
        let caller = if rules.authoritative {
            sign_in.verify_authoritative().await?
        } else {
            sign_in.verify().await?
        };
        if rules.is_login {
            caller.require_login()?;
        }
        for roles in &rules.roles {
            caller.require_any_role(roles)?;
        }
        for condition in &*self.conditions {
            caller.require_when(|user| condition(user))?;
        }
        match (&rules.acr, rules.max_age) {
            (Some(acr), Some(max_age)) => caller.require_fresh_acr(acr, max_age)?,
            (Some(acr), None) => caller.require_acr(acr)?,
            (None, Some(max_age)) => caller.require_fresh(max_age)?,
            (None, None) => {}
        }
        Ok(caller)
    }
}

clone_fields!(Require<D> { rules, conditions });

impl<D> fmt::Debug for Require<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&self.rules).finish()
    }
}
