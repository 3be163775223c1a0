//! Error of a route that hands out tokens.

use std::fmt;

use crate::error::Error;
use crate::web::answer::Answer;
use crate::web::denial::Denial;

/// Error response to a program that refreshes, in the form that OAuth client libraries expect: 400
/// with `{"error":"invalid_grant"}` (RFC 6749, section 5.2). Its counterpart is
/// [`TokenResponse`](crate::web::TokenResponse).
///
/// [`SignIn::refresh_token`](crate::web::SignIn::refresh_token) returns it. Declare it as the error of
/// your route, and return a [`Denial`] or an [`Error`] with `?`. With the feature `axum` it is a
/// response, with `actix` an error that becomes one, and with `tower` `into_http` converts it.
/// Elsewhere send [`answer`](Self::answer).
///
/// | cause | status | `error` |
/// |---|---|---|
/// | *rejected*: the refresh token is invalid, expired or revoked | 400 | `invalid_grant` |
/// | [`Unproven`](Denial::Unproven): wrong password | 400 | `invalid_grant` |
/// | [`Absent`](Denial::Absent), [`Malformed`](Denial::Malformed), [`Ambiguous`](Denial::Ambiguous) | 400 | `invalid_request` |
/// | all others, such as *unavailable* (503) | that of the [`Denial`] | none |
///
/// ```
/// use statewise::Login;
/// use statewise::web::{Denial, SignIn, TokenError, TokenResponse};
///
/// # fn password_is_right(_: &str, _: &str) -> bool { true }
/// /// One route for both grants: log in with a password, or refresh.
/// async fn token(
///     sign_in: SignIn,
///     refresh_token: Option<&str>,
///     password: Option<(&str, &str)>,
/// ) -> Result<TokenResponse, TokenError> {
///     match (refresh_token, password) {
///         (Some(refresh_token), None) => sign_in.refresh_token(refresh_token).await,
///         (None, Some((user, password))) if password_is_right(user, password) => {
///             Ok(sign_in.issue_token(Login::new(user)).await?)
///         }
///         (None, Some(_)) => Err(Denial::Unproven.into()),
///         _ => Err(Denial::Absent.into()),
///     }
/// }
/// # let _ = token;
/// ```
#[derive(Clone, Debug)]
pub struct TokenError(Denial);

impl TokenError {
    /// The cause. Log it, or send it as an answer of your own.
    #[must_use]
    pub fn denial(&self) -> &Denial {
        &self.0
    }

    /// Returns the code of RFC 6749, section 5.2, if the error has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match &self.0 {
            Denial::Absent | Denial::Malformed | Denial::Ambiguous => Some("invalid_request"),
            Denial::Unproven => Some("invalid_grant"),
            denial => denial.is_rejected().then_some("invalid_grant"),
        }
    }

    /// Returns the complete answer, with `Cache-Control: no-store`.
    ///
    /// ```
    /// use statewise::web::{Denial, TokenError};
    ///
    /// let answer = TokenError::from(Denial::Unproven).answer();
    /// assert_eq!(answer.status(), 400);
    /// assert_eq!(answer.body(), br#"{"error":"invalid_grant"}"#);
    /// ```
    #[must_use]
    pub fn answer(&self) -> Answer {
        let mut answer = match self.code() {
            Some(code) => Answer::json(400, format!("{{\"error\":\"{code}\"}}")),
            None => self.0.plain_answer(),
        };
        answer.add("cache-control", "no-store");
        if let Some(seconds) = self.0.retry_after_secs() {
            answer.add("retry-after", seconds.to_string());
        }
        answer
    }
}

impl From<Denial> for TokenError {
    fn from(denial: Denial) -> Self {
        Self(denial)
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
