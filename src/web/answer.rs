//! Complete response: status, header fields and body.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::web::denial::Denial;
use crate::web::headers::{HeadersMut, is_token_byte};
use crate::web::transport::Transport;

/// `Retry-After` of an outage or limit that came without one.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Complete response: status, header fields and body, for any framework.
///
/// Return it from [`AuthLayer::on_denial`](crate::web::AuthLayer::on_denial) to answer a denial with
/// your own page:
///
/// ```
/// use statewise::web::{Answer, Denial};
///
/// fn page(denial: &Denial) -> Answer {
///     Answer::html(denial.status(), "<h1>Please log in</h1>")
/// }
///
/// assert_eq!(page(&Denial::Absent).status(), 401);
/// ```
///
/// `Debug` shows neither field values nor the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Vec<u8>,
}

impl Answer {
    /// Creates an answer with a status and without fields and body.
    pub(crate) const fn new(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Creates an answer with plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::of_kind(status, "text/plain; charset=utf-8", text.into())
    }

    /// Creates an answer with an HTML page.
    #[must_use]
    pub fn html(status: u16, page: impl Into<Vec<u8>>) -> Self {
        Self::of_kind(status, "text/html; charset=utf-8", page.into())
    }

    /// Creates an answer with JSON text.
    #[must_use]
    pub fn json(status: u16, json: impl Into<Vec<u8>>) -> Self {
        Self::of_kind(status, "application/json", json.into())
    }

    /// Creates a redirect (303 See Other): the browser gets `location` next. Bytes other than
    /// printable ASCII are percent-encoded.
    ///
    /// Pass only addresses that your service has chosen, or what [`local_path`] returned.
    ///
    /// [`local_path`]: crate::web::local_path
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let mut encoded = String::with_capacity(location.len());
        for byte in location.bytes() {
            if byte.is_ascii_graphic() {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        let mut answer = Self::new(303);
        answer.add("location", encoded);
        answer
    }

    /// Adds a header field. The layer overwrites `Cache-Control` and adds `Vary`, `Set-Cookie`,
    /// `WWW-Authenticate` and `Retry-After` itself.
    ///
    /// # Errors
    ///
    /// *Misuse* if the name is no token or the value has a byte other than printable ASCII and
    /// space (RFC 9110, section 5.5).
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Result<Self> {
        let (name, value) = (name.into(), value.into());
        let is_name = !name.is_empty() && name.bytes().all(|byte| is_token_byte(&byte));
        if !is_name || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::misuse(
                "a header field has a token as name and printable ASCII as value: encode other \
                 characters",
            ));
        }
        self.add(name, value);
        Ok(self)
    }

    fn of_kind(status: u16, kind: &'static str, body: Vec<u8>) -> Self {
        let mut answer = Self::new(status);
        answer.add("content-type", kind);
        answer.body = body;
        answer
    }

    /// Creates an answer from a complete response.
    pub(crate) fn from_parts(status: u16, fields: Vec<(String, String)>, body: Vec<u8>) -> Self {
        let fields = fields.into_iter();
        Self {
            status,
            fields: fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            body,
        }
    }

    /// Adds a header field that is known to be valid.
    pub(crate) fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) {
        self.fields.push((name.into(), value.into()));
    }

    /// Status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Header fields as pairs of name, in lower case, and value. A name may occur several times.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Takes the answer apart into the fields of a response and its body.
    pub(crate) fn write<H: HeadersMut + ?Sized>(self, headers: &mut H) -> Vec<u8> {
        for (name, value) in self.fields {
            headers.append(&name, value);
        }
        self.body
    }
}

/// Names of the other fields of a response that describe its body.
const OF_BODY: [&str; 14] = [
    "accept-ranges",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
    "transfer-encoding",
];

impl Answer {
    /// Replaces the body of a response by that of this answer. Returns the body.
    pub(crate) fn replace<H: HeadersMut + ?Sized>(self, headers: &mut H) -> Vec<u8> {
        for name in OF_BODY {
            headers.remove(name);
        }
        // The response may set cookies and vary for other reasons too.
        let replaced = self.fields().map(|(name, _)| name).filter(|name| {
            !name.eq_ignore_ascii_case("set-cookie") && !name.eq_ignore_ascii_case("vary")
        });
        replaced.for_each(|name| headers.remove(name));
        self.write(headers)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Denial {
    /// Returns the default answer to this denial for clients that use `transport`: the status as
    /// plain text, challenge, `Retry-After`, `Cache-Control` and `Vary`.
    ///
    /// The layer does this for you. Use it in a framework without a layer of this crate:
    ///
    /// ```
    /// use statewise::web::{Denial, Transport};
    ///
    /// let answer = Denial::Absent.answer(&Transport::bearer());
    /// assert_eq!(answer.status(), 401);
    /// assert_eq!(answer.body(), b"401 Unauthorized\n");
    /// let fields: Vec<_> = answer.fields().collect();
    /// assert!(fields.contains(&("cache-control", "no-store")));
    /// assert!(fields.contains(&("vary", "Authorization")));
    /// assert!(fields.contains(&("www-authenticate", "Bearer realm=\"api\"")));
    /// ```
    #[must_use]
    pub fn answer(&self, transport: &Transport) -> Answer {
        let mut answer = self.plain_answer();
        answer.add("cache-control", "no-store");
        answer.add("vary", transport.vary());
        if let Some(challenge) = self.challenge(transport) {
            answer.add("www-authenticate", challenge);
        }
        if let Some(seconds) = self.retry_after_secs() {
            answer.add("retry-after", seconds.to_string());
        }
        answer
    }

    /// Returns status and plain text. In debug builds the text of an error that is a 500 is for the
    /// developer: a *misuse*, or a login that is too large.
    pub(crate) fn plain_answer(&self) -> Answer {
        let status = self.status();
        let mut text = format!("{status} {}\n", reason(status));
        if cfg!(debug_assertions)
            && let Some(error) = self.error().filter(|_| status == 500)
        {
            text.push_str(&format!("\n{error}\n(shown in debug builds only)\n"));
        }
        Answer::text(status, text)
    }

    /// Returns the value of `WWW-Authenticate`.
    pub(crate) fn challenge(&self, transport: &Transport) -> Option<String> {
        self.parameters().map(|more| transport.challenge() + &more)
    }

    /// Returns the value of `Retry-After`, rounded up: a retry that comes too early is useless.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        matches!(self.status(), 429 | 503).then(|| {
            let after = self.error().and_then(Error::retry_after);
            let after = after.unwrap_or(DEFAULT_RETRY_AFTER);
            let started = u64::from(after.subsec_nanos() > 0);
            after.as_secs().saturating_add(started)
        })
    }

    /// Returns the parameters of the challenge after scheme and realm, or `None` if this denial has
    /// no challenge.
    fn parameters(&self) -> Option<String> {
        let step_up = "insufficient_user_authentication";
        let (error, detail) = match self {
            Self::Absent | Self::Unproven => return Some(String::new()),
            Self::Malformed | Self::Ambiguous => ("invalid_request", String::new()),
            Self::MissingRole { .. } | Self::NotALogin | Self::Forbidden => {
                ("insufficient_scope", String::new())
            }
            Self::TooOld { .. } | Self::WeakAcr { .. } => (step_up, self.required_proof()),
            Self::Failed(error) if error.is_rejected() => ("invalid_token", String::new()),
            Self::Failed(_) | Self::CrossOrigin(_) => return None,
        };
        Some(format!(", error=\"{error}\"{detail}"))
    }
}

impl Denial {
    /// Returns the parameters of a challenge that asks for another proof (RFC 9470, section 3).
    fn required_proof(&self) -> String {
        let mut parameters = String::new();
        if let Some(acr) = self.required_acr().filter(|acr| is_quotable(acr)) {
            parameters.push_str(&format!(", acr_values=\"{acr}\""));
        }
        if let Some(max_age) = self.max_age() {
            parameters.push_str(&format!(", max_age=\"{}\"", max_age.as_secs()));
        }
        parameters
    }
}

/// Returns the reason phrase of a status that a denial has.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        409 => "Conflict",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// Returns whether a text can stand between quotes without escapes.
fn is_quotable(text: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_graphic() && c != b'"' && c != b'\\';
    text.bytes().all(is_plain)
}
