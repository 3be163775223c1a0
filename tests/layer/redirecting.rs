//! Middleware of tower that answers denials itself, inside and outside of the layer.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use statewise::web::{AuthLayer, AuthService, Require, RequireService};
use tower_layer::Layer;
use tower_service::Service;

use crate::site::{Browser, Handler, Site};

pub(crate) fn redirected_inside(
    layer: &AuthLayer,
    anew: bool,
) -> Browser<AuthService<Redirecting<Handler>>> {
    let inner = Handler;
    Browser::before(layer.layer(Redirecting { inner, anew }))
}

pub(crate) fn redirected_outside(layer: &AuthLayer, anew: bool) -> Browser<Redirecting<Site>> {
    let inner = layer.layer(Handler);
    Browser::before(Redirecting { inner, anew })
}

/// Inside of the layer, and outside of a guard.
pub(crate) fn redirected_around_guard(
    layer: &AuthLayer,
    anew: bool,
) -> Browser<AuthService<Redirecting<RequireService<Handler>>>> {
    let inner = Require::authenticated().layer(Handler);
    Browser::before(layer.layer(Redirecting { inner, anew }))
}

/// Middleware of an application that redirects denied requests itself, in both ways: it changes the
/// response of the denial, or it builds another one.
#[derive(Clone)]
pub(crate) struct Redirecting<S> {
    inner: S,
    anew: bool,
}

impl<S, B> Service<http::Request<Body>> for Redirecting<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error = String>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response;
    type Error = String;
    type Future = statewise::authenticator::BoxFuture<'static, Result<Response, String>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), String>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (inner, anew) = (self.inner.call(request), self.anew);
        Box::pin(async move {
            let mut response = inner.await?.map(Body::new);
            if response.status() != 401 {
                return Ok(response);
            }
            if anew {
                return Ok((StatusCode::SEE_OTHER, [("location", "/form")]).into_response());
            }
            *response.status_mut() = StatusCode::SEE_OTHER;
            let form = http::HeaderValue::from_static("/form");
            response.headers_mut().insert("location", form);
            Ok(response)
        })
    }
}
