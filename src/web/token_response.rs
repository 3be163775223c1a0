//! A credential in the body of an answer.

use std::fmt;

use crate::clock::Timestamp;
use crate::login::issued::{Credential, Issued};
use crate::web::auth::Auth;

/// The answer to a program that has logged in or refreshed: `access_token`, `token_type`,
/// `expires_in` and, where there is one, `refresh_token` (RFC 6749, section 5.1).
#[must_use = "the client needs the credential"]
pub struct TokenResponse<D = ()> {
    body: TokenBody,
    caller: Auth<D>,
}

/// What is handed out.
pub(crate) struct TokenBody {
    credential: Credential,
    refresh: Option<Credential>,
    /// In seconds.
    expires_in: u64,
}

impl TokenBody {
    pub(crate) fn of<D>(issued: &Issued<D>, now: Timestamp) -> Self {
        Self {
            credential: issued.credential().clone(),
            refresh: issued.refresh_credential().cloned(),
            expires_in: Timestamp::from(issued.expires_at()).saturating_since(now),
        }
    }
}

impl<D> TokenResponse<D> {
    pub(crate) fn new(body: TokenBody, caller: Auth<D>) -> Self {
        Self { body, caller }
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
            "access_token": self.body.credential.reveal(),
            "token_type": "Bearer",
            "expires_in": self.body.expires_in,
        });
        if let (Some(refresh), Some(members)) = (&self.body.refresh, body.as_object_mut()) {
            members.insert("refresh_token".to_owned(), refresh.reveal().into());
        }
        body.to_string()
    }
}

impl<D> fmt::Debug for TokenResponse<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("caller", &self.caller)
            .field("expires_in", &self.body.expires_in)
            .finish_non_exhaustive()
    }
}
