//! Authentication in front of a service of tower.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Authority;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, SystemClock};
use crate::web::bearer::bearer;
use crate::web::denial::Denial;
use crate::web::exchange::{Exchange, Site};
use crate::web::found::Found;
use crate::web::future::{AuthFuture, Open};
use crate::web::origin::{OriginPolicy, acts};
use crate::web::respond::{Style, denied};
use crate::web::sign_in::SignIn;
use crate::web::transport::Transport;

/// Authenticates requests of any service of tower, by any authenticator.
///
/// It verifies nothing by itself: a handler that asks for the caller ([`Auth`](crate::web::Auth),
/// [`SignIn`], [`Require`](crate::web::Require)) causes that, once for each request. On the way back
/// it
///
/// 1. takes a login back whose answer is a 5xx (of gRPC, a status that means one), an error or a
///    panic;
/// 2. rotates a credential in a cookie that is due, before the head of the response, also of a 5xx;
/// 3. sets or removes the cookies, each once;
/// 4. adds `Vary`, and `Cache-Control: no-store` unless the answer says `private` and sets no
///    cookie, wherever a credential was asked for or handed out, and removes what some shared caches
///    obey instead (`CDN-Cache-Control` and its like, RFC 9213; `Surrogate-Control`, `Edge-Control`,
///    `X-Accel-Expires`);
/// 5. completes a [`Denial`] with challenge and `Retry-After`, for gRPC in its own form.
///
/// Where cookies are used, unsafe requests of other origins are denied before the service sees
/// them: see [`OriginPolicy`].
///
/// A cookie whose credential was rejected is removed, but not if the browser says that a script
/// has sent the request: that may have been under way when another tab logged in. So may a
/// navigation, which is rarer, and ends with the login form.
///
/// # Deployment
///
/// `Secure` cookies want HTTPS up to the browser; that TLS may end before this service makes no
/// difference, and no `X-Forwarded` field is read. Put the layer outside of what asks for the
/// caller, and inside of what turns panics into answers.
pub struct AuthLayer<D = ()> {
    site: Arc<Site<D>>,
}

impl<D: Send + Sync + 'static> AuthLayer<D> {
    /// Credentials of `auth`, carried as `transport` says.
    ///
    /// Takes the authenticator type-erased: pass an `Arc` of any.
    pub fn new(auth: Arc<dyn DynAuthenticator<D>>, transport: Transport) -> Self {
        let origins = transport.access().map(|_| OriginPolicy::new());
        Self {
            site: Arc::new(Site {
                auth,
                transport,
                origins,
                clock: Arc::new(SystemClock),
            }),
        }
    }

    /// Which other origins may act with the cookies of their visitors. Default: none.
    #[must_use]
    pub fn origins(self, origins: OriginPolicy) -> Self {
        self.with(|site| site.origins = Some(origins))
    }

    /// Lets any origin act: for services that prevent forged requests by other means.
    #[must_use]
    pub fn any_origin(self) -> Self {
        self.with(|site| site.origins = None)
    }

    /// Tells the time, for guards and `expires_in`. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|site| site.clock = Arc::new(clock))
    }

    fn with(self, change: impl FnOnce(&mut Site<D>)) -> Self {
        let mut site = Site {
            auth: Arc::clone(&self.site.auth),
            transport: self.site.transport.clone(),
            origins: self.site.origins.clone(),
            clock: Arc::clone(&self.site.clock),
        };
        change(&mut site);
        Self {
            site: Arc::new(site),
        }
    }
}

impl<D> Clone for AuthLayer<D> {
    fn clone(&self) -> Self {
        Self {
            site: Arc::clone(&self.site),
        }
    }
}

impl<D> fmt::Debug for AuthLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("auth", &self.site.auth)
            .field("transport", &self.site.transport)
            .field("origins", &self.site.origins)
            .finish_non_exhaustive()
    }
}

impl<S, D> Layer<S> for AuthLayer<D> {
    type Service = AuthService<S, D>;

    fn layer(&self, inner: S) -> AuthService<S, D> {
        AuthService {
            inner,
            site: Arc::clone(&self.site),
        }
    }
}

/// The service that an [`AuthLayer`] makes.
pub struct AuthService<S, D = ()> {
    inner: S,
    site: Arc<Site<D>>,
}

impl<S: Clone, D> Clone for AuthService<S, D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            site: Arc::clone(&self.site),
        }
    }
}

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
        let style = Style::of(&request);
        if !self.may_act(&request) {
            let response = denied(Denial::CrossOrigin, &self.site.transport, style);
            return AuthFuture::denied(Ok(response), style);
        }
        let exchange = Exchange::begin(
            Arc::clone(&self.site),
            request.headers_mut(),
            style.may_forget(),
        );
        let exchange = Arc::new(exchange);
        let sign_in = SignIn::new(Arc::clone(&exchange));
        request.extensions_mut().insert(sign_in);
        let open = Open::new(exchange);
        AuthFuture::serving(self.inner.call(request), open, style)
    }
}

impl<S, D> AuthService<S, D> {
    /// Whether the origin of a request may act with the cookies that come along.
    fn may_act<B>(&self, request: &Request<B>) -> bool {
        let Some(origins) = &self.site.origins else {
            return true;
        };
        let (method, headers) = (request.method().as_str(), request.headers());
        // No browser adds a bearer token on its own.
        let by_bearer =
            || self.site.transport.reads_bearer() && matches!(bearer(headers), Found::One(_));
        let authority = || request.uri().authority().map(Authority::as_str);
        !acts(method, headers) || by_bearer() || origins.allows(method, authority(), headers)
    }
}
