//! A service behind the gateway, and what the two agree on.

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

/// One key that signs today, and one that does from tomorrow on. Both verify.
pub(crate) fn keys() -> Result<Keyring, Error> {
    let tomorrow = SystemTime::now() + DAY;
    Ok(Keyring::new(Key::generate_hs256()?).then(Key::generate_hs256()?, tomorrow.into()))
}

/// What both sides agree on: the gateway issues by it, the inner service verifies.
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

/// An inner service: knows its callers by their tokens alone.
pub(crate) fn service(name: &'static str, tokens: TokenAuthenticator) -> Router {
    let guard = match name {
        "billing" => Require::authenticated().role("accountant"),
        _ => Require::authenticated(),
    };
    let about = move |caller: Auth| async move { format!("{name} of {}\n", caller.subject()) };
    Router::new()
        .route("/", get(about))
        .layer(guard)
        .layer(AuthLayer::new(Arc::new(tokens), Transport::bearer()))
}
