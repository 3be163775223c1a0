//! The example `oidc_api`, driven by curl, with a provider in this process.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../oidc_api.rs"]
mod example;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::routing::get;
use serde_json::{Value, json};
use statewise::testkit::ManualClock;
use statewise::token::{KeySetView, TokenAuthenticator};
use statewise::{Authenticator as _, Upkeep};

use example::provider::{API, CLIENT_ID, CLIENT_SECRET, KEY, Keys, provider};
use example::{api, tokens_of};
use support::{Example, Served, curl, follow_the_header};

const NEXT_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIEJernCU1f7x/vtt3YMbGF7rbVak9yHE6DVSt6fNuWJ9\n\
    -----END PRIVATE KEY-----\n";

/// A provider, and an API that follows it.
struct Site {
    provider: Served,
    keys: Arc<RwLock<Keys>>,
    api: Served,
    view: KeySetView,
    upkeep: Upkeep,
    clock: ManualClock,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    fn start(rewrite: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        let keys = Keys::one().shared();
        let shared = Arc::clone(&keys);
        let provider = Served::with(|origin| provider(origin, shared, rewrite));
        let clock = ManualClock::new(SystemTime::now().into());
        let (view, auth) = tokens_of(provider.origin(), API, clock.clone()).unwrap();
        let upkeep = auth.upkeep();
        let issuer = provider.origin().to_owned();
        Self {
            api: Served::new(api(auth, issuer).unwrap()),
            provider,
            keys,
            view,
            upkeep: upkeep.clock(Arc::new(clock.clone())),
            clock,
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn token(&self) -> String {
        let client = format!("{CLIENT_ID}:{CLIENT_SECRET}");
        let address = format!("{}/token", self.provider.origin());
        let grant = "grant_type=client_credentials";
        let answer = curl(&["-u", &client, "-d", grant, &address]).expect(200);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn status(&self, token: &str) -> u16 {
        let bearer = format!("Authorization: Bearer {token}");
        curl(&["-H", &bearer, &format!("{}/orders", self.api.origin())]).status
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        let _ = self.runtime.block_on(self.upkeep.tick());
    }

    fn set(&self, signs: (&'static str, &'static str), published: &[(&'static str, &'static str)]) {
        let published = published.to_vec();
        *self.keys.write().unwrap() = Keys { signs, published };
    }
}

#[test]
fn the_commands_in_its_header_work() {
    let api = Example::start("oidc_api");
    follow_the_header(include_str!("../oidc_api.rs"), api.origin());
}

#[test]
fn the_keys_are_found_and_followed_through_a_rotation() {
    // The clock of the provider is that of the system.
    let site = Site::start(|claims| claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 3000));
    let (old, new) = (("one", KEY), ("two", NEXT_KEY));
    let first = site.token();
    assert_eq!(site.status(&first), 503, "not fetched yet");
    site.pass(0);
    assert_eq!(site.status(&first), 200);
    // Published before it signs: no request notices.
    site.set(old, &[old, new]);
    site.pass(300);
    site.set(new, &[old, new]);
    let second = site.token();
    for token in [&first, &second] {
        assert_eq!(site.status(token), 200);
    }
    // The old key leaves the set.
    site.set(new, &[new]);
    site.runtime.block_on(site.view.fetch()).unwrap();
    assert_eq!(
        [&first, &second].map(|token| site.status(token)),
        [401, 200]
    );
}

/// The provider signs with a key that it has not published before: tokens wait, and are not rejected.
#[test]
fn a_sudden_key_is_fetched_early() {
    let site = Site::start(|_| {});
    site.pass(0);
    site.set(("two", NEXT_KEY), &[("one", KEY), ("two", NEXT_KEY)]);
    let token = site.token();
    assert_eq!(
        site.status(&token),
        401,
        "the last fetch was less than 30 s ago"
    );
    site.clock.advance(Duration::from_secs(30));
    assert_eq!(site.status(&token), 503);
    site.pass(0);
    assert_eq!(site.status(&token), 200);
}

#[test]
fn tokens_for_others_are_refused() {
    let wrongs = [
        ("iss", json!("https://evil.example")),
        ("aud", json!("billing")),
        ("aud", json!(["billing", "crm"])),
        ("sub", Value::Null),
        ("exp", json!(1_000_000_000)),
    ];
    for (claim, wrong) in wrongs {
        let (name, value) = (claim.to_owned(), wrong.clone());
        let site = Site::start(move |claims| claims[&name] = value.clone());
        site.pass(0);
        assert_eq!(site.status(&site.token()), 401, "{claim}: {wrong}");
    }
    // A key that is not published, under the id of one that is.
    let site = Site::start(|_| {});
    site.pass(0);
    site.set(("one", NEXT_KEY), &[("one", KEY)]);
    assert_eq!(site.status(&site.token()), 401);
}

/// OpenID Connect Discovery 1.0, section 4.3.
#[test]
fn a_document_of_another_issuer_is_refused() {
    for (issuer, jwks_uri) in [
        (Some("https://evil.example"), None),
        (None, Some("not an address")),
    ] {
        let real = Site::start(|_| {});
        let keys = format!("{}/jwks", real.provider.origin());
        let served = Served::with(|origin| {
            let document = json!({
                "issuer": issuer.unwrap_or(origin),
                "jwks_uri": jwks_uri.unwrap_or(&keys),
            });
            let document = async move || Json(document.clone());
            axum::Router::new().route("/.well-known/openid-configuration", get(document))
        });
        let clock = ManualClock::new(SystemTime::now().into());
        let (view, _): (_, TokenAuthenticator) = tokens_of(served.origin(), API, clock).unwrap();
        let error = real.runtime.block_on(view.fetch()).unwrap_err();
        assert!(error.is_unavailable(), "{error}");
    }
}
