//! Paths on the origin of the service, to which a browser may be redirected.

/// Maximum length of a path that a redirect carries. Longer ones are dropped, so that the request
/// line of the next request stays below the limits of proxies.
const MAX_PATH_BYTES: usize = 2048;

/// Returns `path` if it is a path on the own origin, with or without a query: a safe target for a
/// redirect after login. Returns `None` for everything that a browser might take for an address
/// elsewhere (CWE-601, open redirect).
///
/// Pass it the `next` that [`AuthLayer::login_page`](crate::web::AuthLayer::login_page) has added to
/// the address of the login page, after your framework has decoded the query:
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

/// Returns the address of `page` with `path` as the value of the parameter `next`.
pub(crate) fn with_next(page: &str, path: &str) -> String {
    let separator = if page.contains('?') { '&' } else { '?' };
    let mut address = format!("{page}{separator}next=");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}

/// Returns the decoded parameter `next` of a query, if it is a [local path](local_path).
pub(crate) fn next_of(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("next="))?;
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
