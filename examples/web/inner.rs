//! Service behind the gateway, and the configuration that both share.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use statewise::Error;
use statewise::clock::Clock;
use statewise::token::{KeySource, Keyring, MasterKey, MasterRing, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Require, Transport};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Name of the gateway in its tokens.
const ISSUER: &str = "gateway";

/// Creates the master keys of the gateway: keys of the first one sign today, those of the other one
/// from tomorrow. Both verify now.
pub(crate) fn masters() -> Result<MasterRing, Error> {
    let tomorrow = SystemTime::now() + DAY;
    Ok(MasterRing::new(MasterKey::generate()?).then(MasterKey::generate()?, tomorrow.into()))
}

/// Derives the keys of one inner service. In production a deployment does this once, and writes the
/// texts of `Key::reveal` to where the service keeps its secrets.
pub(crate) fn keys_of(name: &str, masters: &MasterRing) -> Result<Keyring, Error> {
    masters.for_audience(ISSUER, name)
}

/// Creates the authenticator of both sides. The gateway passes its master keys and issues; the inner
/// service passes its own keys and verifies.
pub(crate) fn tokens(
    name: &str,
    keys: impl Into<KeySource>,
    clock: impl Clock,
) -> Result<TokenAuthenticator, Error> {
    TokenAuthenticator::builder(keys)
        .issuer(ISSUER)
        .audience(name)
        .lifetime(MINUTE)
        .clock(clock)
        .build()
}

/// Creates an inner service, which knows its callers only from their tokens.
pub(crate) fn service(name: &'static str, tokens: TokenAuthenticator) -> Result<Router, Error> {
    let guard = match name {
        "billing" => Require::authenticated().role("accountant"),
        _ => Require::authenticated(),
    };
    let about = move |caller: Auth| async move { format!("{name} of {}\n", caller.subject()) };
    Ok(Router::new()
        .route("/", get(about))
        .layer(guard)
        .layer(AuthLayer::new(Arc::new(tokens), Transport::bearer())?))
}
