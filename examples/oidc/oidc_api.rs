//! An API that accepts the access tokens of a provider of OpenID Connect (RFC 9068). It finds the keys
//! of the provider by the discovery document, and follows them through each rotation.
//!
//! ```text
//! cargo run --features ring --example oidc_api
//! ```
//!
//! Without settings, a small provider in this program gives tokens to the client `shop`. For a real one,
//! set OIDC_ISSUER and OIDC_AUDIENCE. Try it with curl:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/ | tee about                           # 200
//! curl -si http://127.0.0.1:3000/orders                                 # 401
//! curl -si -u shop:guess -d grant_type=client_credentials "$(sed -n 's/^tokens of //p' about)/token"   # 401
//! curl -si -u shop:for-this-example-only -d grant_type=client_credentials "$(sed -n 's/^tokens of //p' about)/token" | tee answer   # 200
//! sed -n 's/.*"access_token":"\([^"]*\)".*/Authorization: Bearer \1/p' answer > bearer
//! curl -si -H @bearer http://127.0.0.1:3000/orders                      # 200
//! curl -si -H @bearer -X POST http://127.0.0.1:3000/orders              # 403
//! ```

mod discovery;
pub(crate) mod provider;
#[path = "../web/serve.rs"]
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use openidconnect::reqwest;
use statewise::Authenticator as _;
use statewise::clock::{Clock, SystemClock};
use statewise::token::{Interop, Key, KeySetView, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Require, Transport};
use tokio::net::TcpListener;

const MINUTE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (issuer, audience) = match std::env::var("OIDC_ISSUER") {
        Ok(issuer) => (issuer, std::env::var("OIDC_AUDIENCE")?),
        Err(_) => (run_a_provider().await?, provider::API.to_owned()),
    };
    let (keys, auth) = tokens_of(&issuer, &audience, SystemClock)?;
    // The first tokens are verified at once; the upkeep follows the keys from here on.
    keys.fetch().await?;
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    Ok(serve::serve(api(auth, issuer)?).await?)
}

async fn run_a_provider() -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let router = provider::provider(&issuer, provider::Keys::one().shared(), |_| {});
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(issuer)
}

/// Creates the authenticator of an issuer's access tokens, and the view of its keys.
pub(crate) fn tokens_of(
    issuer: &str,
    audience: &str,
    clock: impl Clock + Clone,
) -> Result<(KeySetView, TokenAuthenticator), Failure> {
    // Following redirects would let the provider choose addresses in this network.
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()?;
    let named = issuer.to_owned();
    let keys = KeySetView::builder(move || {
        let (http, issuer) = (http.clone(), named.clone());
        async move { discovery::key_set(&http, &issuer).await }
    });
    let keys = keys.clock(clock.clone()).build()?;
    let theirs = Interop::from_issuer(issuer, 60 * MINUTE)
        .audience(audience)
        .typ("at+jwt")
        .roles_from("scope")
        .follow(&keys);
    // This service issues no tokens of its own: no client has this key.
    let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("orders")
        .audience("orders")
        .lifetime(MINUTE)
        .interop(theirs)
        .clock(clock)
        .build()?;
    Ok((keys, auth))
}

pub(crate) fn api(auth: TokenAuthenticator, issuer: String) -> Result<Router, Failure> {
    let write = Router::new()
        .route("/orders", post(async || "ordered\n"))
        .layer(Require::authenticated().role("orders:write"));
    let list = async |caller: Auth| format!("orders for {}\n", caller.subject());
    Ok(Router::new()
        .route("/", get(async move || format!("tokens of {issuer}\n")))
        .route("/orders", get(list))
        .merge(write)
        .layer(AuthLayer::new(Arc::new(auth), Transport::bearer())?))
}
