//! HTML pages.

use axum::response::Html;

/// Login form. It carries on the path of the page to which the login leads.
#[allow(dead_code, reason = "not every example asks for a password")]
pub(crate) fn form(next: &str) -> String {
    let next = escaped(next);
    format!(
        "<form method=post action=/login><input type=hidden name=next value='{next}'>\
         <p><label>User <input name=user autocomplete=username required></label>\
         <p><label>Password <input name=password type=password \
         autocomplete=current-password required></label>\
         <p><button>Log in</button></form>"
    )
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
