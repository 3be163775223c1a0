//! Service of tower with the extractors of axum, behind the layer.

use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use statewise::authenticator::BoxFuture;
use statewise::web::{
    Auth, AuthLayer, AuthService, Denial, Require, RequireService, SignIn, Visitor,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::acts::{Asked, Reply, act};
pub(crate) use crate::browser::{Answer, Browser, text};
pub(crate) use crate::world::*;

/// Service that a browser calls by default.
pub(crate) type Site = AuthService<Handler>;

/// Service with one act per path; see [`act`].
#[derive(Clone)]
pub(crate) struct Handler;

impl Browser {
    pub(crate) fn of(layer: &AuthLayer) -> Self {
        Self::before(layer.layer(Handler))
    }
}

/// Returns a browser of a service without the layer.
pub(crate) fn bare() -> Browser<Handler> {
    Browser::before(Handler)
}

pub(crate) type Guarded<S = Handler> = AuthService<RequireService<S>>;

/// Returns a browser of a service behind a guard and the layer.
pub(crate) fn guarded(layer: &AuthLayer, guard: &Require) -> Browser<Guarded> {
    Browser::before(layer.layer(guard.layer(Handler)))
}

/// Returns a browser of a service behind two guards and the layer.
pub(crate) fn guarded_twice(
    layer: &AuthLayer,
    outer: &Require,
    inner: &Require,
) -> Browser<Guarded<RequireService<Handler>>> {
    Browser::before(layer.layer(outer.layer(inner.layer(Handler))))
}

impl Asked for Parts {
    fn path(&self) -> String {
        self.uri.path().to_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }

    fn printed_fields(&self) -> String {
        format!("{:?}", self.headers)
    }

    fn sign_in(&self) -> Result<SignIn, Denial> {
        Ok(SignIn::of(&self.extensions)?)
    }

    async fn caller<D: Send + Sync + 'static>(&mut self) -> Result<Auth<D>, Denial> {
        <Auth<D> as FromRequestParts<()>>::from_request_parts(self, &()).await
    }

    async fn maybe(&mut self) -> Result<Option<Auth>, Denial> {
        <Auth as OptionalFromRequestParts<()>>::from_request_parts(self, &()).await
    }

    async fn visitor(&mut self) -> Result<Visitor, Denial> {
        Visitor::from_request_parts(self, &()).await
    }

    fn admitted(&self) -> Option<Auth> {
        self.extensions.get().cloned()
    }

    fn kept(&self) -> Kept {
        self.extensions.get::<Kept>().unwrap().clone()
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Page {
                status,
                fields,
                body,
            } => {
                let mut response = body.into_response();
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in fields {
                    let name = HeaderName::from_static(name);
                    let value = HeaderValue::try_from(value).unwrap();
                    response.headers_mut().append(name, value);
                }
                response
            }
            Self::Token(token) => token.into_response(),
            Self::Unrefreshed(error) => error.into_response(),
            Self::Denied(denial) => denial.into_response(),
            Self::Redirected(denial) => {
                let mut response = denial.into_response();
                *response.status_mut() = StatusCode::SEE_OTHER;
                response
            }
        }
    }
}

impl Service<Request<Body>> for Handler {
    type Response = Response;
    type Error = String;
    type Future = BoxFuture<'static, Result<Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, _) = request.into_parts();
        Box::pin(async move { Ok(act(parts).await?.into_response()) })
    }
}
