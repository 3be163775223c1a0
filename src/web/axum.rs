//! Extractors for the handlers of axum.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;

use crate::error::Result;
use crate::web::auth::Auth;
use crate::web::denial::Denial;
use crate::web::sign_in::SignIn;
use crate::web::token_error::TokenError;
use crate::web::token_response::TokenResponse;
use crate::web::visitor::Visitor;

/// Returns the `SignIn` that the layer put into a request.
fn sign_in<D: Send + Sync + 'static>(parts: &Parts) -> Result<SignIn<D>> {
    SignIn::of_request_line(&parts.method, &parts.uri, &parts.extensions)
}

/// Extracts the verified caller, and denies all other requests.
impl<S, D> FromRequestParts<S> for Auth<D>
where
    S: Send + Sync,
    D: Send + Sync + 'static,
{
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        sign_in(parts)?.verify().await
    }
}

/// Extracts the verified caller, or `None` from a request without a credential. A request with
/// a rejected credential is denied, and during an outage every request with a credential. For a
/// public page take [`Visitor`].
impl<S, D> OptionalFromRequestParts<S> for Auth<D>
where
    S: Send + Sync,
    D: Send + Sync + 'static,
{
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Denial> {
        match sign_in(parts)?.verify().await {
            Ok(caller) => Ok(Some(caller)),
            Err(Denial::Absent) => Ok(None),
            Err(denial) => Err(denial),
        }
    }
}

/// Extracts the visitor of a public page.
impl<S, D> FromRequestParts<S> for Visitor<D>
where
    S: Send + Sync,
    D: Send + Sync + 'static,
{
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        sign_in(parts)?.visitor().await
    }
}

impl<S, D> FromRequestParts<S> for SignIn<D>
where
    S: Send + Sync,
    D: Send + Sync + 'static,
{
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        Ok(sign_in(parts)?)
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        self.into_http::<Body>()
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        self.into_http::<Body>()
    }
}

impl<D> IntoResponse for TokenResponse<D> {
    fn into_response(self) -> Response {
        let fields = [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ];
        (fields, self.reveal()).into_response()
    }
}
