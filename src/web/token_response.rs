//! Body of a response that hands out a credential.

use std::fmt;
use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::login::issued::{Credential, Issued};
use crate::web::auth::Auth;

/// Response to a program that has logged in or refreshed: a JSON object with `access_token`,
/// `token_type`, `expires_in` and, if the strategy has one, `refresh_token` (RFC 6749, section
/// 5.1).
///
/// With the features `axum` and `actix` it is a response: return it from your handler. In other frameworks, send
/// [`reveal`](Self::reveal).
///
/// ```
/// use statewise::Login;
/// use statewise::web::{Denial, SignIn, TokenError, TokenResponse};
///
/// async fn token(sign_in: SignIn, user: &str) -> Result<TokenResponse, Denial> {
///     // .. after the password check:
///     sign_in.issue_token(Login::new(user)).await
/// }
///
/// async fn refresh(sign_in: SignIn, refresh_token: &str) -> Result<TokenResponse, TokenError> {
///     sign_in.refresh_token(refresh_token).await
/// }
/// # let _ = (token, refresh);
/// ```
///
/// The errors that belong to it, for OAuth client libraries, are [`TokenError`].
///
/// [`TokenError`]: crate::web::TokenError
#[must_use = "the client needs the credential"]
pub struct TokenResponse<D = ()> {
    credential: Credential,
    refresh: Option<Credential>,
    expires_in_secs: u64,
    caller: Auth<D>,
}

impl<D> TokenResponse<D> {
    pub(crate) fn new(issued: Issued<D>, now: Timestamp, clock: Arc<dyn Clock>) -> Self {
        Self {
            credential: issued.credential().clone(),
            refresh: issued.refresh_credential().cloned(),
            expires_in_secs: Timestamp::from(issued.expires_at()).saturating_since(now),
            caller: Auth::new(issued.into_identity(), clock),
        }
    }

    /// The caller that was logged in or refreshed.
    #[must_use]
    pub fn caller(&self) -> &Auth<D> {
        &self.caller
    }

    /// Returns the body, a JSON object. It is a secret: send it to the client only, as
    /// `application/json` with `Cache-Control: no-store`.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut body = serde_json::json!({
            "access_token": self.credential.reveal(),
            "token_type": "Bearer",
            "expires_in": self.expires_in_secs,
        });
        if let Some(refresh) = &self.refresh {
            body["refresh_token"] = refresh.reveal().into();
        }
        body.to_string()
    }
}

impl<D> fmt::Debug for TokenResponse<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("caller", &self.caller)
            .field("expires_in_secs", &self.expires_in_secs)
            .finish_non_exhaustive()
    }
}
