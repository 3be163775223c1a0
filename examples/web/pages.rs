//! HTML pages.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, Response};

pub(crate) const FORM: &str = "<form method=post action=/login>\
    <p><label>User <input name=user autocomplete=username required></label>\
    <p><label>Password <input name=password type=password autocomplete=current-password required></label>\
    <p><button>Log in</button></form>";

/// Puts the login form into every response with status 401. The layer outside adds the challenge.
pub(crate) async fn with_form(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        *response.body_mut() = Body::from(page(FORM).0);
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, html);
    }
    response
}

pub(crate) fn page(body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><title>Sessions</title>{body}\n"
    ))
}

/// Escapes text for HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            _ => escaped.push(c),
        }
    }
    escaped
}
