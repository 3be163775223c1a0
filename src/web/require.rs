//! Requirements that a service has for all its callers.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
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
/// let admins = Require::authenticated().role("admin").fresh(Duration::from_secs(300));
/// # let _ = admins;
/// ```
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`with_data`](Self::with_data) | logins without data: `()` | |
/// | [`role`](Self::role) | none required | |
/// | [`fresh`](Self::fresh) | any age, in whole seconds | RFC 9470; OWASP ASVS 7.5.1 |
/// | [`acr`](Self::acr) | any class | RFC 9470 |
/// | [`authoritative`](Self::authoritative) | no: caches of the authenticator may answer | |
pub struct Require<D = ()> {
    rules: Arc<Rules>,
    data: PhantomData<fn() -> D>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    roles: Vec<Box<str>>,
    max_age: Option<Duration>,
    acr: Option<Box<str>>,
    authoritative: bool,
}

impl Require {
    /// Admits every caller with a valid credential.
    #[must_use]
    pub fn authenticated() -> Self {
        Self {
            rules: Arc::default(),
            data: PhantomData,
        }
    }
}

impl<D> Require<D> {
    /// Sets the data type of logins. It must be that of the [`AuthLayer`](crate::web::AuthLayer);
    /// otherwise every request fails with a *misuse* (500).
    ///
    /// ```
    /// use statewise::web::Require;
    ///
    /// struct Profile;
    /// let users = Require::authenticated().with_data::<Profile>();
    /// # let _ = users;
    /// ```
    #[must_use]
    pub fn with_data<T>(self) -> Require<T> {
        Require {
            rules: self.rules,
            data: PhantomData,
        }
    }

    /// Requires a role. Call it again to require several.
    #[must_use]
    pub fn role(self, role: impl Into<String>) -> Self {
        self.with(|rules| rules.roles.push(role.into().into()))
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

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<D: Send + Sync + 'static> Require<D> {
    /// Verifies the caller of a request, and checks the requirements. The layer of tower does it for
    /// you; call it in other frameworks.
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
        for role in &rules.roles {
            caller.require_role(role)?;
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

clone_fields!(Require<D> { rules, data });

impl<D> fmt::Debug for Require<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&self.rules).finish()
    }
}
