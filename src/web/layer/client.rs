//! Kinds of clients, as far as they change a response.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Properties of the client that sent a request.
#[derive(Clone, Copy)]
pub(crate) struct ClientKind {
    /// The client speaks gRPC, so denials take its form.
    pub(crate) is_grpc: bool,
    /// A script of a page sent the request, according to the browser.
    pub(crate) is_script: bool,
}

impl ClientKind {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let field = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
        Self {
            is_grpc: request.method() == Method::POST && field(CONTENT_TYPE).is_some_and(is_grpc),
            is_script: field(SEC_FETCH_MODE).is_some_and(|mode| mode != b"navigate"),
        }
    }
}

/// Returns whether a content type is gRPC with any message encoding. `grpc-web` is a different
/// protocol.
fn is_grpc(kind: &[u8]) -> bool {
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}
