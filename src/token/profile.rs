//! Claims and header that other services expect of our tokens.

use sha2::{Digest as _, Sha256};

use crate::base::base64url::encode_16;
use crate::login::identity::Identity;
use crate::token::canonical::push_text;
use crate::token::payload::Payload;

/// Claims beside those of this crate, for services that expect them. None by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Writes the roles as `scope` too.
    pub(crate) has_scope: bool,
    pub(crate) client_id: Option<String>,
    /// Writes `jti`, under the header of access tokens.
    pub(crate) is_access_token: bool,
}

impl Profile {
    /// Checks if this service writes the claim anew with each token.
    pub(crate) fn writes(&self, claim: &str) -> bool {
        match claim {
            "scope" => self.has_scope,
            "client_id" => self.client_id.is_some(),
            "jti" => self.is_access_token,
            _ => false,
        }
    }

    /// Writes the claims, each after a comma. `data` follow them in the token.
    pub(crate) fn push<D>(&self, json: &mut Payload, login: &Identity<D>, data: Option<&[u8]>) {
        if self.has_scope {
            let roles: Vec<_> = login.roles().collect();
            json.push(b",\"scope\":");
            push_text(json, roles.join(" ").as_bytes());
        }
        if let Some(client_id) = &self.client_id {
            json.push(b",\"client_id\":");
            push_text(json, client_id.as_bytes());
        }
        if self.is_access_token {
            // A hash of everything else: two tokens have the same id only if they are equal.
            let hash = Sha256::new()
                .chain_update(json.as_bytes())
                .chain_update(data.unwrap_or_default());
            let mut id = [0; 16];
            id.copy_from_slice(&hash.finalize()[..16]);
            json.push(b",\"jti\":\"");
            json.push(&encode_16(&id));
            json.push(b"\"");
        }
    }
}
