//! How a denial is answered.

use crate::error::Error;
use crate::web::denial::Denial;
use crate::web::transport::Transport;

/// When it is worth trying again, where nobody has said.
const RETRY_AFTER: u64 = 1;

/// How a denial is answered: a status and header fields, and an empty body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// The value of `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The value of `Vary`, as of [`Transport::vary`].
    pub vary: &'static str,
}

impl Answer {
    /// All header fields, name and value: those above, and `Cache-Control: no-store`.
    ///
    /// ```
    /// use statewise::web::{Denial, Transport};
    ///
    /// let answer = Denial::Absent.answer(&Transport::bearer());
    /// let fields: Vec<_> = answer.fields().collect();
    /// assert_eq!(fields[0], ("cache-control", "no-store".to_owned()));
    /// assert_eq!(fields[1], ("vary", "Authorization".to_owned()));
    /// assert_eq!(fields[2], ("www-authenticate", "Bearer realm=\"api\"".to_owned()));
    /// ```
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let always = [
            ("cache-control", "no-store".to_owned()),
            ("vary", self.vary.to_owned()),
        ];
        let challenge = self.challenge.clone();
        let retry_after = self.retry_after.map(|after| after.to_string());
        always
            .into_iter()
            .chain(challenge.map(|challenge| ("www-authenticate", challenge)))
            .chain(retry_after.map(|after| ("retry-after", after)))
    }
}

impl Denial {
    /// How it is answered where credentials travel like that.
    #[must_use]
    pub fn answer(&self, transport: &Transport) -> Answer {
        let status = self.status();
        let retry_after = matches!(status, 429 | 503).then(|| {
            let said = self.error().and_then(Error::retry_after);
            // Rounded up: too early is of no use.
            said.map_or(RETRY_AFTER, |after| {
                let started = u64::from(after.subsec_nanos() > 0);
                after.as_secs().saturating_add(started)
            })
        });
        Answer {
            status,
            challenge: self.parameters().map(|more| transport.challenge() + &more),
            retry_after,
            vary: transport.vary(),
        }
    }

    /// What a challenge says beyond scheme and realm, where there is one.
    fn parameters(&self) -> Option<String> {
        let error = match self {
            Self::Absent | Self::Unproven => return Some(String::new()),
            Self::Malformed | Self::Ambiguous => "invalid_request",
            Self::MissingRole => "insufficient_scope",
            Self::TooOld { .. } | Self::WeakAcr { .. } => "insufficient_user_authentication",
            Self::Failed(error) if error.is_rejected() => "invalid_token",
            Self::Failed(_) | Self::CrossOrigin => return None,
        };
        let mut more = format!(", error=\"{error}\"");
        match self {
            Self::TooOld { max_age } => {
                more += &format!(", max_age=\"{}\"", max_age.as_secs());
            }
            Self::WeakAcr { acr } if is_plain(acr) => {
                more += &format!(", acr_values=\"{acr}\"");
            }
            _ => {}
        }
        Some(more)
    }
}

/// Whether a text may stand between quotes as it is.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_graphic() && c != b'"' && c != b'\\';
    text.bytes().all(is_plain)
}
