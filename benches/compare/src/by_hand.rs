//! The floor of a layer, by hand: the least work that gives our answers to a `GET` with a session
//! cookie, with the same security. The secret of a session is hashed and compared in constant time,
//! and no cache stores a response that depends on it.
//!
//! Per request it has one `Arc`, one extension and one flag. It omits logins and logouts in
//! handlers, renewal, origins, other methods and upgrades, other transports, challenges, causes of
//! a denial, `Vary` and `Cache-Control` of the application, two cookies of one name. No `unsafe`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, COOKIE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::floor::Caller;
use crate::floor::strict_session::Floor;

#[derive(Clone)]
pub struct ByHand(pub Arc<Floor>);

#[derive(Clone)]
pub struct Layered<S> {
    service: S,
    sessions: Arc<Floor>,
}

/// The extension of a request.
struct Exchange {
    sessions: Arc<Floor>,
    /// True if the response depends on the cookie.
    is_read: AtomicBool,
}

/// The extractor.
pub struct Verified(pub Caller);

impl<S> Layer<S> for ByHand {
    type Service = Layered<S>;

    fn layer(&self, service: S) -> Layered<S> {
        Layered {
            service,
            sessions: Arc::clone(&self.0),
        }
    }
}

impl<S> Service<Request<Body>> for Layered<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Finish<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let exchange = Arc::new(Exchange {
            sessions: Arc::clone(&self.sessions),
            is_read: AtomicBool::new(false),
        });
        request.extensions_mut().insert(Arc::clone(&exchange));
        Finish {
            response: self.service.call(request),
            exchange,
        }
    }
}

pin_project! {
    pub struct Finish<F> {
        #[pin]
        response: F,
        exchange: Arc<Exchange>,
    }
}

impl<F, E> Future for Finish<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let finish = self.project();
        let mut response = ready!(finish.response.poll(context))?;
        if finish.exchange.is_read.load(Ordering::Relaxed) {
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.append(VARY, HeaderValue::from_static("Cookie"));
        }
        Poll::Ready(Ok(response))
    }
}

impl<S: Sync> FromRequestParts<S> for Verified {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let exchange = parts.extensions.get::<Arc<Exchange>>();
        let exchange = exchange.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        exchange.is_read.store(true, Ordering::Relaxed);
        let mut lines = parts.headers.get_all(COOKIE).iter();
        let credential = lines.find_map(|line| {
            let mut pairs = std::str::from_utf8(line.as_bytes()).ok()?.split(';');
            pairs.find_map(|pair| pair.trim_ascii_start().strip_prefix("__Host-id="))
        });
        let caller = credential.and_then(|credential| exchange.sessions.verify(credential));
        caller.map(Self).ok_or(StatusCode::UNAUTHORIZED)
    }
}
