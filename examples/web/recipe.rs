//! What is to be brought to actix-web: its header fields, its answer to a denial, and cross-origin
//! protection.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use statewise::web::{Denial, Headers, OriginPolicy};

/// The header fields of a request.
pub(crate) struct Fields<'r>(pub(crate) &'r HeaderMap);

impl Headers for Fields<'_> {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        let values = self.0.get_all(name);
        values.for_each(|value| each(value.as_bytes()));
    }
}

/// A denial, as an error of the framework.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Denial);

impl<E: Into<Denial>> From<E> for Refused {
    fn from(cause: E) -> Self {
        Self(cause.into())
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for field in self.0.answer(&super::TRANSPORT).fields() {
            response.insert_header(field);
        }
        response.finish()
    }
}

/// Says that an answer is for one user only.
pub(crate) fn private(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, super::TRANSPORT.vary()))
}

/// A request that no page of another origin has sent.
pub(crate) struct SameOrigin;

impl FromRequest for SameOrigin {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let authority = request.uri().authority();
        let authority = authority.map(|authority| authority.as_str());
        let method = request.method().as_str();
        let allowed = OriginPolicy::new().allows(method, authority, &Fields(headers));
        ready(allowed.then_some(Self).ok_or(Refused(Denial::CrossOrigin)))
    }
}
