//! Glue for actix-web: header fields, responses to denials, and cross-origin protection.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use statewise::web::{Denial, Headers, OriginPolicy};

/// Header fields of an actix request.
pub(crate) struct Fields<'r>(pub(crate) &'r HeaderMap);

impl Headers for Fields<'_> {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        let values = self.0.get_all(name);
        values.for_each(|value| each(value.as_bytes()));
    }
}

/// A denial as an error of actix.
#[derive(Debug)]
pub(crate) struct Denied(pub(crate) Denial);

impl<E: Into<Denial>> From<E> for Denied {
    fn from(cause: E) -> Self {
        Self(cause.into())
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Denied {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let answer = self.0.answer(&super::TRANSPORT);
        let mut response = HttpResponse::build(self.status_code());
        for field in answer.fields() {
            response.insert_header(field);
        }
        response.body(answer.body().to_vec())
    }
}

/// Prevents caches from storing a response for one user.
pub(crate) fn private(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, super::TRANSPORT.vary()))
}

/// Extractor that denies requests sent by pages of other origins.
pub(crate) struct SameOrigin;

impl FromRequest for SameOrigin {
    type Error = Denied;
    type Future = Ready<Result<Self, Denied>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let authority = request.uri().authority();
        let authority = authority.map(|authority| authority.as_str());
        let (method, path) = (request.method().as_str(), request.uri().path());
        let checked = OriginPolicy::new().check(method, path, authority, &Fields(headers));
        ready(
            checked
                .map(|()| Self)
                .map_err(|refused| Denied(refused.into())),
        )
    }
}
