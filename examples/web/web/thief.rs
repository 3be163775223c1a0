//! Thief of the panels: he copies a credential, and sends it with requests of his own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use statewise::Credential;
use statewise::web::{Cookie, Denial, Found};
use tower::ServiceExt as _;

/// Thief, with the header that he has copied.
#[derive(Default)]
pub(crate) struct Thief {
    copy: Mutex<Option<(HeaderName, HeaderValue)>>,
}

impl Thief {
    fn copy(&self) -> MutexGuard<'_, Option<(HeaderName, HeaderValue)>> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a cookie of a request, as malicious software on the device could: scripts cannot read
    /// an `HttpOnly` cookie, but a program that reads the browser's files can.
    pub(crate) fn copy_cookie(&self, headers: &HeaderMap, cookie: &Cookie) -> Result<(), Denial> {
        let Found::One(value) = cookie.find(headers, |_| true) else {
            return Err(Denial::Absent);
        };
        self.keep(COOKIE, &format!("{}={value}", cookie.name()))
    }

    /// Copies a key, for example from a repository in which it was published by mistake.
    pub(crate) fn copy_key(&self, key: &Credential) -> Result<(), Denial> {
        self.keep(AUTHORIZATION, &format!("Bearer {}", key.reveal()))
    }

    fn keep(&self, name: HeaderName, value: &str) -> Result<(), Denial> {
        let value = HeaderValue::from_str(value).map_err(|_| Denial::Malformed)?;
        *self.copy() = Some((name, value));
        Ok(())
    }

    /// Sends a request with the copy, to the routes that Alice uses too.
    pub(crate) async fn send(
        &self,
        service: Router,
        method: Method,
        path: &'static str,
    ) -> Result<Response, Denial> {
        let (name, value) = self.copy().clone().ok_or(Denial::Absent)?;
        let mut request = request(method, path);
        request.headers_mut().insert(name, value);
        Ok(answer(service, request).await)
    }
}

/// Creates a request without a credential.
pub(crate) fn request(method: Method, path: &'static str) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static(path);
    request
}

/// Returns the answer to the thief. Its cookies are for his browser, and not for that of the visitor.
pub(crate) async fn answer(service: Router, request: Request) -> Response {
    let answered = service.oneshot(request).await;
    let mut response = answered.unwrap_or_else(|never| match never {});
    response.headers_mut().remove(SET_COOKIE);
    response
}
