//! Fields of a response that the layer completes or replaces.

use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::Response;
use http::{HeaderName, HeaderValue, Request};
use statewise::authenticator::BoxFuture;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::Answer;
use tower_layer::Layer;
use tower_service::Service;

use crate::site::{Browser, Handler, layer, sessions, store, transport};

/// Adds fields to every response of the service behind it.
#[derive(Clone)]
struct WithFields(&'static [(&'static str, &'static [u8])]);

impl Service<Request<Body>> for WithFields {
    type Response = Response;
    type Error = String;
    type Future = BoxFuture<'static, Result<Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (response, fields) = (Handler.call(request), self.0);
        Box::pin(async move {
            let mut response = response.await?;
            for (name, value) in fields {
                let value = HeaderValue::from_bytes(value).unwrap();
                response.headers_mut().append(*name, value);
            }
            Ok(response)
        })
    }
}

#[test]
fn an_answer_of_the_application_keeps_no_field_of_the_body_that_it_replaces() {
    const FIELDS: &[(&str, &[u8])] = &[
        ("content-encoding", b"gzip"),
        ("content-length", b"999"),
        ("content-range", b"bytes 0-1/2"),
        ("content-disposition", b"attachment"),
        ("content-digest", b"sha-256=:AA==:"),
        ("etag", b"\"a\""),
        ("last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        ("content-security-policy", b"default-src 'self'"),
        ("set-cookie", b"theme=dark; Path=/"),
        ("vary", b"accept-language"),
    ];
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport()).on_denial(|denial, _| {
        let answer = Answer::json(denial.status(), "{}").header("set-cookie", "flash=1; Path=/");
        Some(answer.unwrap().header("vary", "accept").unwrap())
    });
    let answer = Browser::before(site.layer(WithFields(FIELDS))).get("/me");
    let mut names: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "cache-control",
        "content-security-policy",
        "content-type",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];
    assert_eq!(names, expected);
    // The application may set cookies and vary for other reasons too.
    let cookies = ["theme=dark; Path=/", "flash=1; Path=/"];
    assert_eq!(answer.set_cookies(), cookies);
    assert_eq!(answer.all("vary"), ["accept-language", "accept", "Cookie"]);
}

/// Cookies of other applications may have any bytes.
#[test]
fn other_cookies_are_sent_as_they_are() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let mut service = site.layer(WithFields(&[("set-cookie", b"name=Andr\xe9")]));
    let request = Request::post("/login").header("x-user", "alice");
    let request = request.body(Body::empty()).unwrap();
    let response = block_on(service.call(request)).unwrap();
    let cookies = response.headers().get_all("set-cookie").iter();
    let cookies: Vec<_> = cookies.map(HeaderValue::as_bytes).collect();
    assert_eq!((cookies.len(), cookies[0]), (2, &b"name=Andr\xe9"[..]));
}
