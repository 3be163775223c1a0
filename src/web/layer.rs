//! Layer that authenticates the requests of a tower service, and the types of its handlers.

mod auth;
#[cfg(feature = "axum")]
mod axum;
mod client;
mod clone;
mod config;
mod future;
mod reply;
mod request;
mod require;
mod response;
mod sign_in;
mod token_response;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Authority;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, SystemClock};
use crate::web::layer::client::ClientKind;
use crate::web::layer::clone::clone_fields;
use crate::web::layer::config::LayerConfig;
use crate::web::layer::future::CloseOnDrop;
use crate::web::layer::request::RequestCredentials;
use crate::web::layer::response::cross_origin;
use crate::web::origin::{OriginPolicy, is_unsafe};
use crate::web::transport::Transport;

pub use auth::Auth;
pub use future::AuthFuture;
pub use require::{Require, RequireService};
pub use sign_in::SignIn;
pub use token_response::TokenResponse;

/// Layer that authenticates the requests of any tower service, with any authenticator.
///
/// ```
/// use std::sync::Arc;
/// use statewise::DynAuthenticator;
/// use statewise::web::{AuthLayer, Cookie, Transport};
///
/// fn layer(auth: Arc<dyn DynAuthenticator<()>>) -> AuthLayer {
///     // With axum: Router::new().route("/", get(home)).layer(layer(auth))
///     AuthLayer::new(auth, Transport::cookie(Cookie::default()))
/// }
/// # let _ = layer;
/// ```
///
/// The layer alone admits every request. A handler that takes [`Auth`], a guard ([`Require`]) or a
/// call of [`SignIn`] verifies the credential, once per request. For the response, the layer
///
/// 1. revokes the login of this request if the response is a 5xx (gRPC: a failure status), an error
///    or a panic;
/// 2. rotates a credential in a cookie that is due, before it sends the head of the response. A 5xx
///    rotates too;
/// 3. sets or removes the cookies, each once;
/// 4. adds `Vary` and `Cache-Control: no-store` to every response that depends on a credential or
///    hands one out. A response that is marked `private` and sets no cookie keeps its
///    `Cache-Control`. Removes the fields that some shared caches obey instead
///    (`CDN-Cache-Control` and similar ones, RFC 9213; `Surrogate-Control`, `Edge-Control`,
///    `X-Accel-Expires`);
/// 5. adds challenge and `Retry-After` to a [`Denial`](crate::web::Denial), or converts it to the
///    gRPC form.
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`origins`](Self::origins), with a cookie | unsafe requests of other origins are denied with 403 before the service sees them | OWASP ASVS 3.5.1 |
/// | [`origins`](Self::origins), without a cookie | all origins are allowed: no browser sends a bearer token without a script | |
/// | [`clock`](Self::clock) | [`SystemClock`] | |
///
/// # Rejected cookies
///
/// If a handler or guard denies the request with 401, a rejected cookie is removed, so that the
/// next visit is anonymous. It stays if the browser reports that a script sent the request: the
/// request may have been sent before another tab logged in. The same can happen with a navigation;
/// that is rare, and the user sees the login form.
///
/// If your handler maps the denial to another status, the cookie stays. It also stays if the service
/// cannot [read](crate::Error::is_unreadable) the login, which is a 503: after a rollback of the
/// deployment the visitor is back. A new login replaces the cookie.
///
/// # Deployment
///
/// `Secure` cookies need HTTPS between browser and server. TLS may end at a proxy before this
/// service; the layer reads no `X-Forwarded` fields. Put the layer outside of the handlers and
/// guards that ask for the caller, and inside of a layer that turns panics into responses.
pub struct AuthLayer<D = ()> {
    config: Arc<LayerConfig<D>>,
}

impl<D: Send + Sync + 'static> AuthLayer<D> {
    /// Creates a layer for credentials of `auth` that requests carry as `transport` describes.
    ///
    /// Pass an `Arc` of any authenticator as `auth`; it is type-erased.
    pub fn new(auth: Arc<dyn DynAuthenticator<D>>, transport: Transport) -> Self {
        let origins = transport.access().map(|_| OriginPolicy::new());
        Self {
            config: Arc::new(LayerConfig {
                auth,
                transport,
                origins,
                clock: Arc::new(SystemClock),
            }),
        }
    }

    /// Selects other origins: their pages may send unsafe requests with the cookies of their
    /// visitors. Default: none.
    ///
    /// ```
    /// use statewise::web::{AuthLayer, OriginPolicy};
    ///
    /// fn with_app(layer: AuthLayer) -> statewise::Result<AuthLayer> {
    ///     Ok(layer.origins(OriginPolicy::new().trust("https://app.example.com")?))
    /// }
    /// # let _ = with_app;
    /// ```
    #[must_use]
    pub fn origins(self, origins: OriginPolicy) -> Self {
        self.with(|config| config.origins = Some(origins))
    }

    /// Allows requests of all origins. Use it only if your service prevents cross-site request
    /// forgery by other means.
    #[must_use]
    pub fn any_origin(self) -> Self {
        self.with(|config| config.origins = None)
    }

    /// Sets the clock of guards and of `expires_in`. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|config| config.clock = Arc::new(clock))
    }

    fn with(mut self, change: impl FnOnce(&mut LayerConfig<D>)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

clone_fields!(AuthLayer<D> { config });

impl<D> fmt::Debug for AuthLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("auth", &self.config.auth)
            .field("transport", &self.config.transport)
            .field("origins", &self.config.origins)
            .finish_non_exhaustive()
    }
}

impl<S, D> Layer<S> for AuthLayer<D> {
    type Service = AuthService<S, D>;

    fn layer(&self, inner: S) -> AuthService<S, D> {
        AuthService {
            inner,
            config: Arc::clone(&self.config),
        }
    }
}

/// Service that an [`AuthLayer`] creates.
pub struct AuthService<S, D = ()> {
    inner: S,
    config: Arc<LayerConfig<D>>,
}

clone_fields!(AuthService<S: Clone, D> { inner, config });

impl<S: fmt::Debug, D> fmt::Debug for AuthService<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, D, ReqBody, ResBody> Service<Request<ReqBody>> for AuthService<S, D>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Send + 'static,
    D: Send + Sync + 'static,
    ResBody: Default + Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future, D>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let client = ClientKind::of(&request);
        if !self.allows_origin(&request) {
            let response = cross_origin(&self.config.transport, client);
            return AuthFuture::denied(Ok(response));
        }
        let config = Arc::clone(&self.config);
        let credentials = RequestCredentials::new(config, client, request.headers_mut());
        let sign_in = SignIn::new(credentials);
        request.extensions_mut().insert(sign_in.clone());
        let close_on_drop = CloseOnDrop(Some(sign_in));
        AuthFuture::serving(self.inner.call(request), close_on_drop)
    }
}

impl<S, D> AuthService<S, D> {
    /// Returns whether the origin of a request may use the cookies that the request carries.
    fn allows_origin<B>(&self, request: &Request<B>) -> bool {
        let Some(origins) = &self.config.origins else {
            return true;
        };
        let (method, headers) = (request.method().as_str(), request.headers());
        // No browser sends a bearer token without a script.
        let has_bearer = || self.config.transport.has_token(headers);
        let authority = || request.uri().authority().map(Authority::as_str);
        !is_unsafe(method, headers) || has_bearer() || origins.allows(method, authority(), headers)
    }
}
