//! A credential in the body of an answer.

use std::fmt;
use std::time::Duration;

use crate::issued::Credential;
use crate::web::auth::Auth;

/// The answer to a program that has logged in or refreshed: `access_token`, `token_type`,
/// `expires_in` and, where there is one, `refresh_token` (RFC 6749, section 5.1).
#[must_use = "the client needs the credential"]
pub struct TokenResponse<D = ()> {
    credential: Credential,
    refresh: Option<Credential>,
    expires_in: Duration,
    caller: Auth<D>,
}

impl<D> TokenResponse<D> {
    pub(crate) fn new(
        credential: Credential,
        refresh: Option<Credential>,
        expires_in: Duration,
        caller: Auth<D>,
    ) -> Self {
        Self {
            credential,
            refresh,
            expires_in,
            caller,
        }
    }

    /// Who has been logged in, or refreshed.
    #[must_use]
    pub fn caller(&self) -> &Auth<D> {
        &self.caller
    }

    /// The body, a JSON object. A secret: to be sent as `application/json`, with `Cache-Control:
    /// no-store`, to the client and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut body = serde_json::json!({
            "access_token": self.credential.reveal(),
            "token_type": "Bearer",
            "expires_in": self.expires_in.as_secs(),
        });
        if let (Some(refresh), Some(members)) = (&self.refresh, body.as_object_mut()) {
            members.insert("refresh_token".to_owned(), refresh.reveal().into());
        }
        body.to_string()
    }
}

impl<D> fmt::Debug for TokenResponse<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("caller", &self.caller)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}
