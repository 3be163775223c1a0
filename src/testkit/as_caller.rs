//! Layer with one caller for all requests.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::authenticator::{Authenticator, Presented};
use crate::clock::SystemClock;
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::edit::EditFn;
use crate::login::identity::Identity;
use crate::login::issued::{Credential, Issued, Outcome, Revocation};
use crate::login::logout::Logout;
use crate::testkit::caller::unverified;
use crate::upkeep::Upkeep;
use crate::web::{Auth, AuthLayer, Cookie, Transport};

/// Creates a layer under which every request comes from one caller, without a credential. For tests
/// of routers: put it around a router that has an [`AuthLayer`], or around one that has none.
///
/// Handlers may take [`Auth`], [`Visitor`](crate::web::Visitor) and [`SignIn`](crate::web::SignIn),
/// and guards check the caller as usual. Logins of such a handler go nowhere: the next request has
/// the same caller again.
///
/// ```
/// use statewise::Login;
/// use statewise::testkit::{as_caller, caller};
///
/// // With axum: app.layer(as_alice)
/// let as_alice = as_caller(caller(Login::new("alice").role("admin")));
/// # let _ = as_alice;
/// ```
#[must_use]
pub fn as_caller<D: Send + Sync + 'static>(caller: Auth<D>) -> AuthLayer<D> {
    let auth = Arc::new(NoAuthenticator(PhantomData));
    let layer = AuthLayer::new(auth, Transport::both(Cookie::default()));
    let layer = layer.expect("this authenticator has no refresh credentials");
    layer.any_origin().assume(caller)
}

/// Authenticator for a router that has none. It issues credentials, and rejects every one.
struct NoAuthenticator<D>(PhantomData<fn() -> D>);

impl<D> fmt::Debug for NoAuthenticator<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoAuthenticator")
    }
}

impl<D: Send + Sync + 'static> Authenticator for NoAuthenticator<D> {
    type Data = D;

    fn is_well_formed(&self, _: &str) -> bool {
        false
    }

    async fn issue(&self, login: Login<D>) -> Result<Issued<D>> {
        let credential = Credential::new("test-login".to_owned());
        let identity = unverified(login, &SystemClock);
        Ok(Issued::new(credential, identity, Outcome::New))
    }

    async fn verify_with(&self, _: Presented<'_>) -> Result<Identity<D>> {
        Err(Rejection::Unknown.into())
    }

    async fn refresh_with(&self, _: Presented<'_>) -> Result<Issued<D>> {
        Err(Rejection::Unknown.into())
    }

    async fn revoke(&self, _: &str) -> Result<Logout> {
        Ok(Logout::new(Revocation::Immediate))
    }

    async fn revoke_all(&self, _: &str) -> Result<Affected> {
        Ok(Affected::new(None, Revocation::Immediate))
    }

    async fn revoke_all_except(&self, _: &Identity<D>) -> Result<Affected> {
        Ok(Affected::new(None, Revocation::Immediate))
    }

    async fn update(&self, _: &str, _: EditFn<'_, D>) -> Result<Issued<D>> {
        Err(Rejection::Unknown.into())
    }

    async fn update_all(&self, _: &str, _: EditFn<'_, D>) -> Result<Affected> {
        Ok(Affected::new(None, Revocation::Immediate))
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}
