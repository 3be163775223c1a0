//! Answer to a denial: status and header fields.
//!
//! The methods of [`Denial`] that build one are here and not beside the type, because they need the
//! [`Transport`], which itself returns denials.

use std::time::Duration;

use crate::error::Error;
use crate::web::denial::Denial;
use crate::web::transport::Transport;

/// `Retry-After` of an outage or limit that came without one.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answer to a [`Denial`]: a status and header fields, with an empty body.
///
/// The `AuthLayer` writes it for you. Use this type in a framework without a layer of this crate:
///
/// ```
/// use statewise::web::{Denial, Transport};
///
/// let answer = Denial::Absent.answer(&Transport::bearer());
/// assert_eq!(answer.status, 401);
/// let fields: Vec<_> = answer.fields().collect();
/// assert_eq!(fields[0], ("cache-control", "no-store".to_owned()));
/// assert_eq!(fields[1], ("vary", "Authorization".to_owned()));
/// assert_eq!(fields[2], ("www-authenticate", "Bearer realm=\"api\"".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Value of `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// Value of `Retry-After`, in whole seconds.
    pub retry_after: Option<Duration>,
    /// Value of `Vary`, as by [`Transport::vary`].
    pub vary: &'static str,
}

impl Answer {
    /// Returns all header fields as pairs of name and value: `Cache-Control: no-store`, `Vary`, and
    /// those of the other fields that are present.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let seconds = |after: Duration| after.as_secs().to_string();
        let fields = [
            ("cache-control", Some("no-store".to_owned())),
            ("vary", Some(self.vary.to_owned())),
            ("www-authenticate", self.challenge.clone()),
            ("retry-after", self.retry_after.map(seconds)),
        ];
        let fields = fields.into_iter();
        fields.filter_map(|(name, value)| Some((name, value?)))
    }
}

impl Denial {
    /// Returns the answer to this denial for clients that use `transport`.
    #[must_use]
    pub fn answer(&self, transport: &Transport) -> Answer {
        let status = self.status();
        let retry_after = matches!(status, 429 | 503).then(|| {
            let after = self.error().and_then(Error::retry_after);
            let after = after.unwrap_or(DEFAULT_RETRY_AFTER);
            // Rounded up: a retry that comes too early is useless.
            let started = u64::from(after.subsec_nanos() > 0);
            Duration::from_secs(after.as_secs().saturating_add(started))
        });
        Answer {
            status,
            challenge: self.parameters().map(|more| transport.challenge() + &more),
            retry_after,
            vary: transport.vary(),
        }
    }

    /// Converts the denial to a response with its status and an empty body. The denial itself is in
    /// the extensions of the response, where the layer and your own middleware find it.
    ///
    /// The layer adds challenge and `Retry-After` on the way out, unless you change the status.
    #[cfg(feature = "tower")]
    #[must_use]
    pub fn into_http<B: Default>(self) -> http::Response<B> {
        use http::StatusCode;

        let mut response = http::Response::new(B::default());
        let status = StatusCode::from_u16(self.status());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }

    /// Returns the parameters of the challenge after scheme and realm, or `None` if this denial has
    /// no challenge.
    fn parameters(&self) -> Option<String> {
        let step_up = "insufficient_user_authentication";
        let (error, detail) = match self {
            Self::Absent | Self::Unproven => return Some(String::new()),
            Self::Malformed | Self::Ambiguous => ("invalid_request", String::new()),
            Self::MissingRole => ("insufficient_scope", String::new()),
            Self::TooOld { max_age } => (step_up, format!(", max_age=\"{}\"", max_age.as_secs())),
            Self::WeakAcr { acr } if is_quotable(acr) => {
                (step_up, format!(", acr_values=\"{acr}\""))
            }
            Self::WeakAcr { .. } => (step_up, String::new()),
            Self::Failed(error) if error.is_rejected() => ("invalid_token", String::new()),
            Self::Failed(_) | Self::CrossOrigin => return None,
        };
        Some(format!(", error=\"{error}\"{detail}"))
    }
}

/// Returns whether a text can stand between quotes without escapes.
fn is_quotable(text: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_graphic() && c != b'"' && c != b'\\';
    text.bytes().all(is_plain)
}
