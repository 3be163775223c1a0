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
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`with_data`](Self::with_data) | logins without data: `()` | |
/// | [`role`](Self::role), [`any_role`](Self::any_role) | none required | |
/// | [`when`](Self::when) | no condition | |
/// | [`fresh`](Self::fresh) | any age, in whole seconds | RFC 9470; OWASP ASVS 7.5.1 |
/// | [`acr`](Self::acr) | any class | RFC 9470 |
/// | [`authoritative`](Self::authoritative) | no: caches of the authenticator may answer | |
pub struct Require<D = ()> {
    rules: Arc<Rules<D>>,
}

type Condition<D> = dyn Fn(&Identity<D>) -> bool + Send + Sync;

struct Rules<D> {
    /// Groups of roles: the caller needs one role of each.
    roles: Vec<Vec<Box<str>>>,
    conditions: Vec<Arc<Condition<D>>>,
    max_age: Option<Duration>,
    acr: Option<Box<str>>,
    authoritative: bool,
}

clone_fields!(Rules<D> { roles, conditions, max_age, acr, authoritative });

impl Require {
    /// Admits every caller with a valid credential.
    #[must_use]
    pub fn authenticated() -> Self {
        Self {
            rules: Arc::new(Rules {
                roles: Vec::new(),
                conditions: Vec::new(),
                max_age: None,
                acr: None,
                authoritative: false,
            }),
        }
    }

    /// Sets the data type of logins. It must be that of the [`AuthLayer`](crate::web::AuthLayer);
    /// otherwise every request fails with a *misuse* (500). Requirements that you have set stay.
    ///
    /// ```
    /// use statewise::web::Require;
    ///
    /// struct Profile { is_verified: bool }
    /// let users = Require::authenticated()
    ///     .with_data::<Profile>()
    ///     .when(|user| user.data().is_verified);
    /// # let _ = users;
    /// ```
    #[must_use]
    pub fn with_data<T: 'static>(self) -> Require<T> {
        let rules = Arc::unwrap_or_clone(self.rules);
        let conditions = rules.conditions.into_iter().map(|condition| {
            let condition = move |user: &Identity<T>| condition(&user.without_data());
            Arc::new(condition) as Arc<Condition<T>>
        });
        Require {
            rules: Arc::new(Rules {
                roles: rules.roles,
                conditions: conditions.collect(),
                max_age: rules.max_age,
                acr: rules.acr,
                authoritative: rules.authoritative,
            }),
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
    pub fn when(self, condition: impl Fn(&Identity<D>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.conditions.push(Arc::new(condition)))
    }

    /// Requires an authentication within the last `max_age`, in whole seconds; see
    /// [`Auth::require_fresh`].
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

    fn with(mut self, change: impl FnOnce(&mut Rules<D>)) -> Self {
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
        for roles in &rules.roles {
            caller.require_any_role(roles)?;
        }
        for condition in &rules.conditions {
            caller.require_when(|user| condition(user))?;
        }
        if let Some(max_age) = rules.max_age {
            caller.require_fresh(max_age)?;
        }
        if let Some(acr) = &rules.acr {
            caller.require_acr(acr)?;
        }
        Ok(caller)
    }
}

clone_fields!(Require<D> { rules });

impl<D> fmt::Debug for Require<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("roles", &self.rules.roles)
            .field("conditions", &self.rules.conditions.len())
            .field("max_age", &self.rules.max_age)
            .field("acr", &self.rules.acr)
            .field("authoritative", &self.rules.authoritative)
            .finish()
    }
}
