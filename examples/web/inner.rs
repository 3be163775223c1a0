//! Service behind the gateway, and the configuration that both share.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use statewise::Error;
use statewise::clock::Clock;
use statewise::token::{Key, Keyring, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Require, Transport};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Creates a ring of two keys: one signs today, the other from tomorrow. Both verify now.
pub(crate) fn keys() -> Result<Keyring, Error> {
    let tomorrow = SystemTime::now() + DAY;
    Ok(Keyring::new(Key::generate_hs256()?).then(Key::generate_hs256()?, tomorrow.into()))
}

/// Creates the authenticator of both sides: the gateway issues with it, the inner service verifies.
pub(crate) fn tokens(
    name: &str,
    keys: Keyring,
    clock: impl Clock,
) -> Result<TokenAuthenticator, Error> {
    TokenAuthenticator::builder(keys)
        .issuer("gateway")
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
