//! Request that an [`OriginPolicy`](super::OriginPolicy) refuses.

use std::fmt;

use crate::web::headers::{Headers, first};

/// Maximum length of a shown text, in characters. An attacker chooses what is in the fields.
const MAX_CHARS: usize = 256;

/// Request that an [`OriginPolicy`](crate::web::OriginPolicy) refuses, for logs: its method, the
/// origin of the page that sent it, and the host that it was sent to.
///
/// If the origin is that of your own pages, a proxy has changed the host: see the section
/// [Deployment](crate::web::OriginPolicy#deployment). The texts come from the client. They have at
/// most 256 characters each, all of them printable ASCII.
///
/// ```
/// use statewise::web::OriginPolicy;
///
/// let policy = OriginPolicy::new();
/// let fields = [("Host", "shop.example"), ("Origin", "https://evil.example")];
/// let refused = policy.check("POST", "/cart", None, &fields).unwrap_err();
/// assert_eq!(refused.to_string(), "POST from origin https://evil.example to host shop.example");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossOrigin {
    method: Box<str>,
    origin: Option<Box<str>>,
    host: Option<Box<str>>,
}

impl CrossOrigin {
    pub(super) fn new<H: Headers + ?Sized>(
        method: &str,
        authority: Option<&str>,
        headers: &H,
    ) -> Self {
        let host = authority.map(str::as_bytes);
        Self {
            method: shown(method.as_bytes()),
            origin: first(headers, "origin").map(shown),
            host: host.or_else(|| first(headers, "host")).map(shown),
        }
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The field `Origin`, the first one if there are several.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The host of the request's target, with its port unless it is the default one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

impl fmt::Display for CrossOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, host) = (self.origin(), self.host());
        let [origin, host] = [origin, host].map(|text| text.unwrap_or("unknown"));
        write!(f, "{} from origin {origin} to host {host}", self.method)
    }
}

fn shown(text: &[u8]) -> Box<str> {
    let printable = text.iter().filter(|byte| matches!(byte, b' '..=b'~'));
    let printable = printable.map(|&byte| char::from(byte));
    printable.take(MAX_CHARS).collect::<String>().into()
}
