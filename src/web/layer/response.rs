//! Header fields of a response that depends on a credential.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::web::denial::Denial;
use crate::web::layer::client::ClientKind;
use crate::web::transport::Transport;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Returns the response to a request of another origin, which the service does not see.
pub(crate) fn cross_origin<B: Default>(transport: &Transport, client: ClientKind) -> Response<B> {
    let mut response = Denial::CrossOrigin.into_http();
    complete(&mut response, transport, client);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Returns whether a response reports a failure of the service: a status 5xx or, for a gRPC client,
/// a `grpc-status` in the head that corresponds to a 5xx.
pub(crate) fn has_failed<B>(response: &Response<B>, client: ClientKind) -> bool {
    let code = response.headers().get(GRPC_STATUS);
    let code = code.map(HeaderValue::as_bytes).filter(|_| client.is_grpc);
    response.status().is_server_error()
        || matches!(code, Some(b"2" | b"4" | b"12" | b"13" | b"14" | b"15"))
}

/// Adds challenge and `Retry-After` to the response of a denial. Leaves the response alone if the
/// application has changed the status, a redirect to the login form for example.
pub(crate) fn complete<B: Default>(
    response: &mut Response<B>,
    transport: &Transport,
    client: ClientKind,
) {
    let Some(denial) = response.extensions().get::<Denial>() else {
        return;
    };
    let answer = denial.answer(transport);
    if response.status().as_u16() != answer.status {
        return;
    }
    if client.is_grpc {
        return convert_to_grpc(response, answer.status);
    }
    let headers = response.headers_mut();
    if let Some(Ok(challenge)) = answer.challenge.map(HeaderValue::try_from) {
        headers.entry(WWW_AUTHENTICATE).or_insert(challenge);
    }
    if let Some(after) = answer.retry_after {
        headers.entry(RETRY_AFTER).or_insert(after.as_secs().into());
    }
}

/// Converts the response of a denial to the gRPC form: trailers only, with the status in a field.
fn convert_to_grpc<B: Default>(response: &mut Response<B>, status: u16) {
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
    // The messages need no percent-encoding: lower-case letters and spaces only.
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
}

/// Sets each cookie once, and prevents caches from storing a response that depends on a credential.
pub(crate) fn finish<B>(response: &mut Response<B>, cookies: Vec<String>, transport: &Transport) {
    let headers = response.headers_mut();
    if !cookies.is_empty() || !is_private(headers) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    remove_targeted(headers);
    for name in transport.vary().split(", ") {
        let is_listed = listed(headers, VARY)
            .any(|other| other == b"*" || other.eq_ignore_ascii_case(name.as_bytes()));
        if !is_listed {
            headers.append(VARY, HeaderValue::from_static(name));
        }
    }
    if cookies.is_empty() {
        return;
    }
    // Other cookies of the application stay.
    let lines: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for line in lines {
        let mut ours = cookies.iter().map(|cookie| name(cookie.as_bytes()));
        if !ours.any(|ours| ours == name(line.as_bytes())) {
            headers.append(SET_COOKIE, line);
        }
    }
    for cookie in cookies {
        if let Ok(mut line) = HeaderValue::try_from(cookie) {
            line.set_sensitive(true);
            headers.append(SET_COOKIE, line);
        }
    }
}

/// Returns the name of the cookie that a line of `Set-Cookie` sets.
fn name(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|&byte| byte == b'=');
    line[..end.unwrap_or(0)].trim_ascii()
}

/// Returns whether only the browser of the user may store the response.
fn is_private(headers: &HeaderMap) -> bool {
    // A quoted argument may contain commas, and restricts `private` to single fields.
    let mut lines = headers.get_all(CACHE_CONTROL).iter();
    if lines.any(|line| line.as_bytes().contains(&b'"')) {
        return false;
    }
    listed(headers, CACHE_CONTROL).any(|directive| {
        directive.eq_ignore_ascii_case(b"private") || directive.eq_ignore_ascii_case(b"no-store")
    })
}

/// Removes the fields that some shared caches obey instead of `Cache-Control` (RFC 9213, section 2,
/// and its predecessors).
fn remove_targeted(headers: &mut HeaderMap) {
    let is_targeted = |name: &HeaderName| {
        let others = ["surrogate-control", "edge-control", "x-accel-expires"];
        name.as_str().ends_with("-cache-control") || others.contains(&name.as_str())
    };
    while let Some(name) = headers.keys().find(|name| is_targeted(name)).cloned() {
        headers.remove(name);
    }
}

/// Returns the members of a field that is a list (RFC 9110, section 5.6.1), from all its lines.
fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|c| *c == b','));
    members.map(<[u8]>::trim_ascii)
}
