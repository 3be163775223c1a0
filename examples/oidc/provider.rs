//! A provider of OpenID Connect that logs in `alice` without asking. It stands in for a real one, so
//! that the example and its tests need no account elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::url::Url;
use openidconnect::{
    CsrfToken, JsonWebKeyId, PkceCodeChallenge, PkceCodeVerifier, PrivateSigningKey as _,
};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) const CLIENT_ID: &str = "shop";
pub(crate) const CLIENT_SECRET: &str = "for-this-example-only";
/// Audience of access tokens.
#[allow(dead_code, reason = "a login needs ID tokens only")]
pub(crate) const API: &str = "orders";
/// Key that signs tokens. It is public, and protects nothing.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIKaYe4tng4mw5EAjt/6Jhsqw4KhG401ukODlzI/Mg+2D\n\
    -----END PRIVATE KEY-----\n";

/// Rewrites the claims of an ID token before it is signed.
type Rewrite = dyn Fn(&mut Value) + Send + Sync;

/// Keys of a provider in PEM, each with its id. One signs.
pub(crate) struct Keys {
    pub(crate) signs: (&'static str, &'static str),
    pub(crate) published: Vec<(&'static str, &'static str)>,
}

impl Keys {
    /// Returns a key that is published and signs.
    pub(crate) fn one() -> Self {
        Self {
            signs: ("one", KEY),
            published: vec![("one", KEY)],
        }
    }

    pub(crate) fn shared(self) -> Arc<RwLock<Self>> {
        Arc::new(RwLock::new(self))
    }
}

struct Provider {
    issuer: String,
    keys: Arc<RwLock<Keys>>,
    rewrite: Box<Rewrite>,
    /// Requests for which a code was handed out, by that code.
    granted: Mutex<HashMap<String, Asked>>,
}

/// Request for a login (OpenID Connect Core, section 3.1.2.1; RFC 7636, section 4.3).
#[derive(Deserialize)]
struct Asked {
    client_id: String,
    redirect_uri: Url,
    response_type: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
}

/// Returns a provider at `issuer`.
pub(crate) fn provider(
    issuer: &str,
    keys: Arc<RwLock<Keys>>,
    rewrite: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Router {
    let provider = Provider {
        issuer: issuer.to_owned(),
        keys,
        rewrite: Box::new(rewrite),
        granted: Mutex::default(),
    };
    let discovery = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    let discovery = async move || Json(discovery.clone());
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .with_state(Arc::new(provider))
}

fn signing_key((kid, pem): (&str, &str)) -> Option<CoreEdDsaPrivateSigningKey> {
    let kid = JsonWebKeyId::new(kid.to_owned());
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, Some(kid)).ok()
}

async fn jwks(State(provider): State<Arc<Provider>>) -> Json<CoreJsonWebKeySet> {
    let keys = provider.keys.read().unwrap_or_else(PoisonError::into_inner);
    let published = keys.published.iter().filter_map(|key| signing_key(*key));
    let published = published.map(|key| key.as_verification_key());
    Json(CoreJsonWebKeySet::new(published.collect()))
}

/// Logs in the user, and leads the browser back with a code.
async fn authorize(State(provider): State<Arc<Provider>>, Query(asked): Query<Asked>) -> Response {
    let is_as_expected = asked.client_id == CLIENT_ID
        && asked.response_type == "code"
        && asked.code_challenge_method == "S256";
    if !is_as_expected {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let code = CsrfToken::new_random().into_secret();
    let mut back = asked.redirect_uri.clone();
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked.state);
    let mut granted = provider
        .granted
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    granted.insert(code, asked);
    Redirect::to(back.as_str()).into_response()
}

#[derive(Deserialize)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
enum Exchange {
    AuthorizationCode {
        code: String,
        redirect_uri: Url,
        code_verifier: String,
    },
    /// A program logs in as itself (RFC 6749, section 4.4).
    ClientCredentials,
}

/// Exchanges a code for an ID token (OpenID Connect Core, section 3.1.3), or the secret of a client for
/// an access token (RFC 9068).
async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Form(given): Form<Exchange>,
) -> Response {
    let secret = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let authorization = headers.get(header::AUTHORIZATION);
    if authorization.is_none_or(|given| given.as_bytes() != format!("Basic {secret}").as_bytes()) {
        let error = Json(json!({ "error": "invalid_client" }));
        return (StatusCode::UNAUTHORIZED, error).into_response();
    }
    let Exchange::AuthorizationCode {
        code,
        redirect_uri,
        code_verifier,
    } = given
    else {
        return match provider.access_token() {
            Some(token) => {
                Json(json!({ "access_token": token, "token_type": "Bearer" })).into_response()
            }
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
    };
    let asked = {
        let granted = provider.granted.lock();
        let mut granted = granted.unwrap_or_else(PoisonError::into_inner);
        granted.remove(&code)
    };
    let verifier = PkceCodeVerifier::new(code_verifier);
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let asked = asked.filter(|asked| {
        asked.redirect_uri == redirect_uri && asked.code_challenge == challenge.as_str()
    });
    match asked.and_then(|asked| provider.id_token(&asked)) {
        Some(id_token) => Json(json!({
            "access_token": CsrfToken::new_random().into_secret(),
            "token_type": "Bearer",
            "id_token": id_token,
        }))
        .into_response(),
        None => {
            let error = Json(json!({ "error": "invalid_grant" }));
            (StatusCode::BAD_REQUEST, error).into_response()
        }
    }
}

impl Provider {
    fn id_token(&self, asked: &Asked) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": "248289761001",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": asked.nonce,
            "preferred_username": "alice",
        });
        (self.rewrite)(&mut claims);
        self.signed("JWT", &claims)
    }

    fn access_token(&self) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": CLIENT_ID,
            "client_id": CLIENT_ID,
            "aud": API,
            "exp": now + 300,
            "iat": now,
            "jti": CsrfToken::new_random().into_secret(),
            "scope": "orders:read",
        });
        (self.rewrite)(&mut claims);
        self.signed("at+jwt", &claims)
    }

    fn signed(&self, typ: &str, claims: &Value) -> Option<String> {
        let signs = self
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .signs;
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": signs.0 });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature =
            signing_key(signs)?.sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes());
        Some(format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(signature.ok()?)
        ))
    }
}
