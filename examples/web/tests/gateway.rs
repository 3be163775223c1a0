//! The example `gateway`, driven by curl.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../gateway.rs"]
mod example;
mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use statewise::clock::SystemClock;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Login};

use example::inner::{keys_of, masters, service, tokens};
use example::{Inner, gateway};
use support::{Browser, Example, Served, curl, follow_the_header};

const PASSWORD: &str = "correct horse battery staple";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn called_with(service: &Served, token: &str) -> u16 {
    let bearer = format!("Authorization: Bearer {token}");
    curl(&["-H", &bearer, service.origin()]).status
}

#[tokio::main(flavor = "current_thread")]
async fn token(auth: &impl Authenticator<Data = ()>) -> String {
    let issued = auth.issue(Login::new("alice").role("accountant")).await;
    issued.unwrap().credential().reveal().to_owned()
}

fn kid(token: &str) -> &str {
    token.split_once('.').unwrap().0
}

#[test]
fn the_commands_in_its_header_work() {
    let site = Example::start("gateway");
    follow_the_header(include_str!("../gateway.rs"), site.origin());
}

#[test]
fn inner_services_know_the_caller() {
    let site = Example::start("gateway");
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(204);
    for (path, body) in [
        ("/inner/orders", "orders of alice\n"),
        ("/inner/billing", "billing of alice\n"),
    ] {
        let answer = browser.get(path).expect(200);
        assert_eq!(answer.body, body);
        assert_eq!(answer.field("cache-control"), "no-store");
    }
}

#[test]
fn an_inner_service_accepts_only_tokens_of_its_audience() {
    let (ours, others) = (masters().unwrap(), masters().unwrap());
    let keys = |name| keys_of(name, &ours).unwrap();
    let orders = tokens("orders", keys("orders"), SystemClock).unwrap();
    let site = Served::new(service("orders", orders).unwrap());
    let for_orders = tokens("orders", &ours, SystemClock).unwrap();
    let for_billing = tokens("billing", &ours, SystemClock).unwrap();
    // `billing` knows the name of the other service, but not its key.
    let forged = tokens("orders", keys("billing"), SystemClock).unwrap();
    let foreign = tokens("orders", &others, SystemClock).unwrap();
    assert_eq!(called_with(&site, &token(&for_orders)), 200);
    assert_eq!(
        called_with(&site, &token(&for_billing)),
        401,
        "another audience"
    );
    assert_eq!(
        called_with(&site, &token(&forged)),
        401,
        "a key of another audience"
    );
    assert_eq!(
        called_with(&site, &token(&foreign)),
        401,
        "another master key"
    );
    curl(&[site.origin()]).expect(401);
}

#[test]
fn the_next_key_takes_over_without_a_rejection() {
    let masters = masters().unwrap();
    let clock = ManualClock::new(SystemTime::now().into());
    let keys = keys_of("orders", &masters).unwrap();
    let orders = tokens("orders", keys, clock.clone()).unwrap();
    let site = Served::new(service("orders", orders).unwrap());
    let gateway = tokens("orders", &masters, clock.clone()).unwrap();
    clock.advance(DAY - Duration::from_secs(30));
    let today = token(&gateway);
    assert_eq!(called_with(&site, &today), 200);
    clock.advance(Duration::from_secs(40));
    let tomorrow = token(&gateway);
    assert_ne!(kid(&today), kid(&tomorrow));
    for token in [today, tomorrow] {
        assert_eq!(called_with(&site, &token), 200);
    }
}

#[test]
fn an_unreachable_or_denying_inner_service_is_a_bad_gateway() {
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
        .idle(DAY)
        .absolute(DAY)
        .build();
    let (ours, others) = (masters().unwrap(), masters().unwrap());
    let other = tokens("orders", &others, SystemClock).unwrap();
    let denying = Served::new(service("orders", other).unwrap());
    let address = |origin: &str| origin.strip_prefix("http://").unwrap().parse().unwrap();
    let inner = [
        ("orders", denying.origin()),
        ("billing", "http://127.0.0.1:1"),
    ];
    let inner = inner.map(|(name, origin)| Inner {
        name,
        address: address(origin),
        tokens: tokens(name, &ours, SystemClock).unwrap(),
    });
    let site = Served::new(gateway(Arc::new(sessions.unwrap()), inner.into()).unwrap());
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(204);
    browser.get("/inner/orders").expect(502);
    browser.get("/inner/billing").expect(502);
}

/// Rejects a lifetime of one minute that counts from the login at the gateway.
#[test]
fn a_session_of_hours_ago_still_reaches_the_inner_services() {
    let clock = ManualClock::new(SystemTime::now().into());
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
        .idle(DAY)
        .absolute(DAY)
        .clock(clock.clone())
        .build();
    let masters = masters().unwrap();
    let keys = keys_of("orders", &masters).unwrap();
    let orders = tokens("orders", keys, clock.clone()).unwrap();
    let orders = Served::new(service("orders", orders).unwrap());
    let address = orders.origin().strip_prefix("http://").unwrap();
    let inner = Inner {
        name: "orders",
        address: address.parse().unwrap(),
        tokens: tokens("orders", &masters, clock.clone()).unwrap(),
    };
    let site = Served::new(gateway(Arc::new(sessions.unwrap()), vec![inner]).unwrap());
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(204);
    clock.advance(Duration::from_secs(8 * 3600));
    browser.get("/inner/orders").expect(200);
}
