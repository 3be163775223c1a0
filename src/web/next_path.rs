//! Paths on the origin of the service, to which a browser may be redirected.

/// Maximum length of a path that a redirect carries. Longer ones are dropped, so that the request
/// line of the next request stays below the limits of proxies.
const MAX_PATH_BYTES: usize = 2048;

/// Returns `path` if it is a path on the own origin, with or without a query: a safe target for a
/// redirect after login. Returns `None` for everything that a browser might take for an address
/// elsewhere (CWE-601, open redirect).
///
/// Pass it the `next` that [`AuthLayer::login_page`](crate::web::AuthLayer::login_page) or
/// [`with_next`] has added to the address of the login page, after your framework has decoded the
/// query:
///
/// ```
/// use statewise::web::local_path;
///
/// assert_eq!(local_path("/orders?page=2"), Some("/orders?page=2"));
/// assert_eq!(local_path("https://evil.example/"), None);
/// assert_eq!(local_path("//evil.example/"), None);
/// assert_eq!(local_path("/\\evil.example/"), None);
/// ```
///
/// A path begins with one `/`, and has at most 2048 bytes of printable ASCII without backslashes.
/// Browsers treat a backslash as a slash and drop tabs and line breaks (WHATWG URL, section 4.4).
#[must_use]
pub fn local_path(path: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= MAX_PATH_BYTES
        && path.bytes().all(is_plain);
    is_local.then_some(path)
}

/// Parameter of the login page and of the refresh page: the page to which they lead back.
pub(crate) const NEXT: &str = "next";

/// Returns the address of your login page with `path` as the parameter `next`, percent-encoded: for a
/// link "log in" on a public page. [`AuthLayer::login_page`](crate::web::AuthLayer::login_page)
/// makes the same address when it redirects. After the login, check `next` with [`local_path`].
///
/// Returns `page` alone if `path` is not a [`local_path`].
///
/// ```
/// use statewise::web::{local_path, with_next};
///
/// let link = with_next("/login", "/orders?page=2&sort=date");
/// assert_eq!(link, "/login?next=/orders%3Fpage%3D2%26sort%3Ddate");
/// assert_eq!(with_next("/login?lang=en", "/orders"), "/login?lang=en&next=/orders");
/// assert_eq!(with_next("/login", "https://evil.example/"), "/login");
///
/// // On the way back, decoded by the framework:
/// assert_eq!(local_path("/orders?page=2&sort=date"), Some("/orders?page=2&sort=date"));
/// ```
///
/// A page of axum that links to the login and back to itself. `OriginalUri` has the whole path, also in a
/// nested router:
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::extract::OriginalUri;
/// use statewise::web::{Visitor, with_next};
///
/// async fn article(visitor: Visitor, OriginalUri(uri): OriginalUri) -> String {
///     let path = uri.path_and_query().map_or("/", |path| path.as_str());
///     match visitor.caller() {
///         Some(_) => "<form method=post action=/comment>..</form>".to_owned(),
///         None => format!("<a href='{}'>Log in to comment</a>", with_next("/login", path)),
///     }
/// }
/// # let _: axum::routing::MethodRouter = axum::routing::get(article);
/// # }
/// ```
///
/// The value has only ASCII letters, digits and the characters `-._~/%`, so it needs no escaping in
/// HTML.
#[must_use]
pub fn with_next(page: &str, path: &str) -> String {
    match local_path(path) {
        Some(path) => with_parameter(page, NEXT, path),
        None => page.to_owned(),
    }
}

/// Returns an address with another parameter in its query. Encodes the value.
pub(crate) fn with_parameter(address: &str, name: &str, value: &str) -> String {
    let (address, fragment) = match address.find('#') {
        Some(start) => address.split_at(start),
        None => (address, ""),
    };
    let separator = if address.contains('?') { '&' } else { '?' };
    let mut address = format!("{address}{separator}{name}=");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address.push_str(fragment);
    address
}

/// Returns the decoded parameter `next` of a query, if it is a [local path](local_path).
pub(crate) fn next_of(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == NEXT).then_some(value))?;
    let path = percent_decoded(value)?;
    local_path(&path).is_some().then_some(path)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}
