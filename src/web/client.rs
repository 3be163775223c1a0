//! Kinds of clients, as far as they change a response.

use crate::web::headers::{Headers, Single, first, single};

/// Properties of the client that sent a request.
#[derive(Clone, Copy)]
pub(crate) struct ClientKind {
    /// The client speaks gRPC, so denials take its form.
    pub(crate) is_grpc: bool,
    /// A script of a page sent the request, according to the browser.
    pub(crate) is_script: bool,
    /// The request is no use of its login, according to the application.
    pub(crate) is_passive: bool,
}

impl ClientKind {
    pub(crate) fn of<H: Headers + ?Sized>(method: &str, headers: &H) -> Self {
        Self {
            is_grpc: method == "POST" && first(headers, "content-type").is_some_and(is_grpc),
            is_script: first(headers, "sec-fetch-mode").is_some_and(|mode| mode != b"navigate"),
            is_passive: false,
        }
    }
}

/// Returns whether the browser shows the response as a page. A client that does not send
/// `Sec-Fetch-Mode` navigates if it accepts HTML by name, as all browsers do.
pub(crate) fn is_navigation<H: Headers + ?Sized>(headers: &H) -> bool {
    match single(headers, "sec-fetch-mode") {
        Single::One(mode) => mode == b"navigate",
        Single::Several => false,
        Single::Absent => {
            let html = b"text/html";
            let accept = first(headers, "accept").unwrap_or_default();
            accept.windows(html.len()).any(|part| part == html)
        }
    }
}

/// Returns whether a content type is gRPC with any message encoding. `grpc-web` is a different
/// protocol.
fn is_grpc(kind: &[u8]) -> bool {
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}
