//! Keys of a provider of OpenID Connect, found by its discovery document (OpenID Connect Discovery 1.0,
//! section 4).

use openidconnect::reqwest::Client;
use serde::Deserialize;
use statewise::{Error, Result};

/// Longest answer that is read: that of a key set.
const MAX_BYTES: usize = 64 * 1024;

/// The members of a discovery document that are used.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the key set of an issuer. The address of the set is looked up each time, as it may change.
pub(crate) async fn key_set(http: &Client, issuer: &str) -> Result<String> {
    let base = issuer.trim_end_matches('/');
    let document = get(http, &format!("{base}/.well-known/openid-configuration")).await?;
    let document: Discovery = serde_json::from_str(&document).map_err(Error::unavailable)?;
    // Section 4.3: otherwise the keys of one issuer would count for another one.
    if document.issuer != issuer {
        return Err(Error::unavailable(
            "the discovery document is of another issuer",
        ));
    }
    // An attacker that changes the answer can log in as any user.
    let is_private =
        document.jwks_uri.starts_with("https://") || issuer.starts_with("http://127.0.0.1:");
    if !is_private {
        return Err(Error::unavailable(
            "the keys of the issuer would be fetched without TLS",
        ));
    }
    get(http, &document.jwks_uri).await
}

async fn get(http: &Client, address: &str) -> Result<String> {
    let answer = http.get(address).send().await.map_err(Error::unavailable)?;
    let mut answer = answer.error_for_status().map_err(Error::unavailable)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Error::unavailable)? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(Error::unavailable("the answer is too long"));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(Error::unavailable)
}
