//! What is written into responses.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use crate::web::denial::Denial;
use crate::web::exchange::SetCookie;
use crate::web::transport::Transport;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// How a client wants to be answered.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    is_grpc: bool,
    is_script: bool,
}

impl Style {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let field = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
        Self {
            is_grpc: request.method() == Method::POST && field(CONTENT_TYPE).is_some_and(is_grpc),
            is_script: field(SEC_FETCH_MODE).is_some_and(|mode| mode != b"navigate"),
        }
    }

    /// Whether a rejected cookie may be removed: the request of a script may have been under way
    /// when the cookie was set anew.
    pub(crate) fn may_forget(self) -> bool {
        !self.is_script
    }
}

/// Whether a content type is one of gRPC itself, whatever encodes its messages: `grpc-web` has
/// another form.
fn is_grpc(kind: &[u8]) -> bool {
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// The answer to a request that the service does not see.
pub(crate) fn denied<B: Default>(
    denial: Denial,
    transport: &Transport,
    style: Style,
) -> Response<B> {
    let mut response = denial.into_http();
    complete(&mut response, transport, style);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a response says that the service has failed: by its status or, in gRPC's form, by the
/// code of one without a body (those that gRPC maps to a status 5xx).
pub(crate) fn has_failed<B>(response: &Response<B>, style: Style) -> bool {
    let code = || {
        response
            .headers()
            .get(GRPC_STATUS)
            .map(HeaderValue::as_bytes)
    };
    let failed_in_grpc = || matches!(code(), Some(b"2" | b"4" | b"12" | b"13" | b"14" | b"15"));
    response.status().is_server_error() || style.is_grpc && failed_in_grpc()
}

impl Denial {
    /// The bare answer: a status and an empty body. The layer adds challenge and `Retry-After`,
    /// and finds the cause in the response's extensions, where others may look for it too.
    #[must_use]
    pub fn into_http<B: Default>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// Adds what a denial wants to say, if the response is the one to it.
pub(crate) fn complete<B: Default>(
    response: &mut Response<B>,
    transport: &Transport,
    style: Style,
) {
    let Some(denial) = response.extensions().get::<Denial>() else {
        return;
    };
    let answer = denial.answer(transport);
    if response.status().as_u16() != answer.status {
        // Somebody has answered in another way.
        return;
    }
    if style.is_grpc {
        return in_grpc(response, answer.status);
    }
    let headers = response.headers_mut();
    let challenge = answer.challenge.map(HeaderValue::try_from);
    if let Some(Ok(challenge)) = challenge {
        headers.entry(WWW_AUTHENTICATE).or_insert(challenge);
    }
    if let Some(after) = answer.retry_after {
        headers.entry(RETRY_AFTER).or_insert(after.into());
    }
}

/// A denial as gRPC has it: a response of trailers only, whose status is in a field of its own.
fn in_grpc<B: Default>(response: &mut Response<B>, status: u16) {
    let (code, message) = match status {
        400 | 401 => (16, "unauthenticated"),
        403 => (7, "permission denied"),
        409 | 429 => (8, "resource exhausted"),
        503 => (14, "unavailable"),
        _ => (13, "internal"),
    };
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = B::default();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    // Only lower case letters and spaces, which need no escape.
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
}

/// Sets the cookies, each once, and keeps caches away from an answer that depends on a credential.
pub(crate) fn finish<B>(
    response: &mut Response<B>,
    cookies: Vec<SetCookie>,
    transport: &Transport,
) {
    let headers = response.headers_mut();
    if !cookies.is_empty() || !says_private(headers) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    remove_targeted(headers);
    if transport.access().is_some() {
        vary(headers, "Cookie");
    }
    if transport.reads_bearer() {
        vary(headers, "Authorization");
    }
    if cookies.is_empty() {
        return;
    }
    let others: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|line| !cookies.iter().any(|cookie| sets(line, &cookie.name)))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    let ours = cookies.into_iter().filter_map(|cookie| {
        let mut line = HeaderValue::try_from(cookie.value).ok()?;
        line.set_sensitive(true);
        Some(line)
    });
    for line in others.into_iter().chain(ours) {
        headers.append(SET_COOKIE, line);
    }
}

/// Whether a line of `Set-Cookie` is about the cookie of this name.
fn sets(line: &HeaderValue, name: &str) -> bool {
    let rest = line
        .as_bytes()
        .trim_ascii_start()
        .strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
}

/// Whether an answer is marked as one for its user only, whose browser may keep it.
fn says_private(headers: &HeaderMap) -> bool {
    // Quoted arguments may hold commas, and narrow what is private.
    let mut lines = headers.get_all(CACHE_CONTROL).iter();
    if lines.any(|line| line.as_bytes().contains(&b'"')) {
        return false;
    }
    listed(headers, CACHE_CONTROL).any(|directive| {
        directive.eq_ignore_ascii_case(b"private") || directive.eq_ignore_ascii_case(b"no-store")
    })
}

/// Removes what caches of one kind obey instead of `Cache-Control`: shared ones, all of them (RFC
/// 9213, section 2, and what is older than it).
fn remove_targeted(headers: &mut HeaderMap) {
    let is_targeted = |name: &HeaderName| {
        let name = name.as_str();
        name.ends_with("-cache-control")
            || matches!(
                name,
                "surrogate-control" | "edge-control" | "x-accel-expires"
            )
    };
    while let Some(name) = headers.keys().find(|name| is_targeted(name)).cloned() {
        headers.remove(name);
    }
}

/// Says that the answer depends on a field of the request, once.
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let said = listed(headers, VARY)
        .any(|other| other == b"*" || other.eq_ignore_ascii_case(name.as_bytes()));
    if !said {
        headers.append(VARY, HeaderValue::from_static(name));
    }
}

/// The members of a field that is a list (RFC 9110, section 5.6.1), on however many lines.
fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|c| *c == b','));
    members.map(<[u8]>::trim_ascii)
}
