//! Authentication in front of a service of tower.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Authority;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, SystemClock};
use crate::upkeep::BoxFuture;
use crate::web::bearer::bearer;
use crate::web::denial::Denial;
use crate::web::exchange::{Exchange, Site};
use crate::web::found::Found;
use crate::web::origin::{OriginPolicy, acts};
use crate::web::respond::{Style, complete, denied, finish};
use crate::web::sign_in::SignIn;
use crate::web::transport::Transport;

/// Authenticates requests of any service of tower, by any authenticator.
///
/// It verifies nothing by itself: a handler that asks for the caller ([`Auth`](crate::web::Auth),
/// [`SignIn`], [`Require`](crate::web::Require)) causes that, once for each request. On the way back
/// it
///
/// 1. takes a login back whose answer is a 5xx, an error or a panic;
/// 2. renews a credential in a cookie that is due, before the head of the response, also of a 5xx;
/// 3. sets or removes the cookies, each once;
/// 4. adds `Vary`, and `Cache-Control: no-store` unless the answer says `private` and sets no
///    cookie, wherever a credential was asked for or handed out;
/// 5. completes a [`Denial`] with challenge and `Retry-After`, for gRPC in its own form.
///
/// Where cookies are used, unsafe requests of other origins are denied before the service sees
/// them: see [`OriginPolicy`].
///
/// A cookie whose credential was rejected is removed, but not if the browser says that a script
/// has sent the request: that may have been under way when another tab logged in.
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
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: Send + Sync + 'static,
    ResBody: Default + Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let style = Style::of(request.headers());
        if !self.may_act(&request) {
            let response = denied(Denial::CrossOrigin, &self.site.transport, style);
            return Box::pin(async { Ok(response) });
        }
        let exchange = Exchange::begin(
            Arc::clone(&self.site),
            request.headers_mut(),
            style.may_forget(),
        );
        let exchange = Arc::new(exchange);
        let sign_in = SignIn::new(Arc::clone(&exchange));
        request.extensions_mut().insert(sign_in);
        let inner = self.inner.call(request);
        Box::pin(answer(inner, exchange, style))
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

/// Runs the service, and what comes after it.
async fn answer<F, D, ResBody, E>(
    inner: F,
    exchange: Arc<Exchange<D>>,
    style: Style,
) -> Result<Response<ResBody>, E>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    D: Send + Sync + 'static,
    ResBody: Default,
{
    let closing = Closing(&exchange);
    let outcome = unwinding(inner).await;
    drop(closing);
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            exchange.undo().await;
            return Err(error);
        }
        Err(panic) => {
            exchange.undo().await;
            resume_unwind(panic)
        }
    };
    if response.status().is_server_error() {
        exchange.undo().await;
    }
    exchange.renew().await;
    if response.extensions().get::<Denial>().is_some() {
        exchange.touch();
    }
    if response.status() == http::StatusCode::UNAUTHORIZED {
        exchange.forget_rejected();
    }
    complete(&mut response, &exchange.site.transport, style);
    if let Some(cookies) = exchange.finish() {
        finish(&mut response, cookies, &exchange.site.transport);
    }
    Ok(response)
}

/// Closes an exchange, also where its future is dropped because the client went away.
struct Closing<'a, D: Send + Sync + 'static>(&'a Exchange<D>);

impl<D: Send + Sync + 'static> Drop for Closing<'_, D> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs a future to its end, or to its panic.
async fn unwinding<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| {
        let future: Pin<&mut F> = future.as_mut();
        // What it was doing is dropped after a panic, and never looked at.
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}
