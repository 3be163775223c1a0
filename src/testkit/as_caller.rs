//! Router whose requests all come from one caller.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::authenticator::{Authenticator, Presented};
use crate::clock::SystemClock;
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::identity::Identity;
use crate::login::issued::{Credential, Issued, Outcome, Revocation};
use crate::login::logout::Logout;
use crate::testkit::caller::unverified;
use crate::upkeep::Upkeep;
use crate::web::{AssumedCaller, Auth, AuthLayer, AuthService, Cookie, Transport};

/// Layer under which every request comes from one caller, without a credential. For tests of routers,
/// with an [`AuthLayer`] or without one.
///
/// Handlers may take [`Auth`], [`Visitor`](crate::web::Visitor) and [`SignIn`](crate::web::SignIn),
/// and guards check the caller as usual. Logins of such a handler go nowhere: the next request has
/// the same caller again.
///
/// ```
/// use statewise::Login;
/// use statewise::testkit::{AsCaller, caller};
///
/// // With axum: app.layer(as_alice)
/// let as_alice = AsCaller::new(caller(Login::new("alice").role("admin")));
/// # let _ = as_alice;
/// ```
pub struct AsCaller<D = ()> {
    layer: AuthLayer<D>,
    caller: Auth<D>,
}

impl<D: Send + Sync + 'static> AsCaller<D> {
    /// Creates a layer for a caller.
    #[must_use]
    pub fn new(caller: Auth<D>) -> Self {
        let auth = Arc::new(NoAuthenticator(PhantomData));
        let layer = AuthLayer::new(auth, Transport::both(Cookie::default()));
        let layer = layer.expect("this authenticator has no refresh credentials");
        Self {
            layer: layer.any_origin(),
            caller,
        }
    }
}

impl<D> Clone for AsCaller<D> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            caller: self.caller.clone(),
        }
    }
}

impl<D> fmt::Debug for AsCaller<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsCaller").field(&self.caller).finish()
    }
}

impl<S, D> Layer<S> for AsCaller<D> {
    type Service = AsCallerService<S, D>;

    fn layer(&self, inner: S) -> AsCallerService<S, D> {
        AsCallerService {
            inner: self.layer.layer(inner),
            caller: self.caller.clone(),
        }
    }
}

/// Service that an [`AsCaller`] creates.
pub struct AsCallerService<S, D = ()> {
    inner: AuthService<S, D>,
    caller: Auth<D>,
}

impl<S: Clone, D> Clone for AsCallerService<S, D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            caller: self.caller.clone(),
        }
    }
}

impl<S, D> fmt::Debug for AsCallerService<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCallerService")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

impl<S, D, B> Service<Request<B>> for AsCallerService<S, D>
where
    AuthService<S, D>: Service<Request<B>>,
    D: Send + Sync + 'static,
{
    type Response = <AuthService<S, D> as Service<Request<B>>>::Response;
    type Error = <AuthService<S, D> as Service<Request<B>>>::Error;
    type Future = <AuthService<S, D> as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let assumed = AssumedCaller(self.caller.clone());
        request.extensions_mut().insert(assumed);
        self.inner.call(request)
    }
}

/// Authenticator of a router that has none: it issues logins that nobody can use, and rejects every
/// credential.
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

    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}
