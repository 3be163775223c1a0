//! Properties by which a browser tells cookies apart.

/// Name, domain, path and partition of a cookie: a `Set-Cookie` line replaces the cookie with the
/// same key (RFC 6265bis, section 5.7; CHIPS).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CookieKey<'a> {
    name: &'a [u8],
    /// `None` for the host that sets it.
    domain: Option<Vec<u8>>,
    /// `None` for the folder of the request.
    path: Option<&'a [u8]>,
    partitioned: bool,
}

impl<'a> CookieKey<'a> {
    /// Returns the key of the cookie that a line of `Set-Cookie` sets (RFC 6265bis, section 5.6).
    pub(crate) fn of(line: &'a [u8]) -> Self {
        let mut parts = line.split(|byte| *byte == b';').map(split);
        let (name, _) = parts.next().unwrap_or_default();
        let mut key = Self {
            name,
            domain: None,
            path: None,
            partitioned: false,
        };
        // Of several attributes of one name, the last one counts.
        for (attribute, value) in parts {
            if attribute.eq_ignore_ascii_case(b"domain") {
                let domain = value.strip_prefix(b".").unwrap_or(value);
                key.domain = (!domain.is_empty()).then(|| domain.to_ascii_lowercase());
            } else if attribute.eq_ignore_ascii_case(b"path") {
                key.path = value.starts_with(b"/").then_some(value);
            } else if attribute.eq_ignore_ascii_case(b"partitioned") {
                key.partitioned = true;
            }
        }
        key
    }
}

/// Splits a part of a line at its first `=`.
fn split(part: &[u8]) -> (&[u8], &[u8]) {
    let end = part.iter().position(|byte| *byte == b'=');
    let (name, value) = part.split_at(end.unwrap_or(part.len()));
    (
        name.trim_ascii(),
        value.get(1..).unwrap_or_default().trim_ascii(),
    )
}
