//! Cookies of remembered logins.

use std::sync::Arc;

use statewise::DynAuthenticator;
use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::testkit::ManualClock;
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Cookie, Transport};

use crate::hybrids::two_cookies;
use crate::site::{ABSOLUTE, Browser, IDLE, Store, layer, seconds, store, transport};

const DAY: u64 = 86_400;

fn remembering(clock: &ManualClock) -> SessionBuilder<Store, ()> {
    SessionAuthenticator::builder(store())
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .remembered(seconds(30 * DAY), seconds(90 * DAY))
        .clock(clock.clone())
}

fn tokens(clock: &ManualClock) -> TokenBuilder {
    let key = Key::hs256(&(1..=32).collect::<Vec<u8>>()).unwrap();
    TokenAuthenticator::builder(key)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(600))
        .clock(clock.clone())
}

fn sessions(clock: &ManualClock) -> Arc<SessionAuthenticator<Store>> {
    let sessions = remembering(clock).rotate_after(seconds(60));
    Arc::new(sessions.build().unwrap())
}

pub(crate) fn plain_tokens(clock: &ManualClock) -> Arc<TokenAuthenticator> {
    let tokens = tokens(clock)
        .max_lifetime(seconds(ABSOLUTE))
        .remembered(seconds(90 * DAY));
    Arc::new(tokens.build().unwrap())
}

/// The ages that the browser keeps the cookies for.
fn ages(lines: &[&str]) -> Vec<Option<u64>> {
    let age = |line: &&str| {
        let mut attributes = line.split("; ");
        let age = attributes.find_map(|one| one.strip_prefix("Max-Age="));
        age.map(|age| age.parse().unwrap())
    };
    lines.iter().map(age).collect()
}

/// LIFE-03: a cookie keeps its kind over a thousand renewals, as the user has chosen at login, also
/// where two transports of one site differ in their template. Rejects a kind by template, and one in
/// the state of a layer.
#[test]
fn life_03_the_cookie_keeps_its_kind_over_a_thousand_renewals() {
    type Strategy = fn(&ManualClock) -> Arc<dyn DynAuthenticator<()>>;
    let strategies: [(&str, Strategy, Transport); 5] = [
        ("sessions", |clock| sessions(clock), transport()),
        ("tokens", |clock| plain_tokens(clock), transport()),
        (
            "hybrid",
            |clock| {
                let hybrid = HybridAuthenticator::new(tokens(clock), remembering(clock));
                Arc::new(hybrid.unwrap())
            },
            two_cookies(),
        ),
        (
            "either",
            |clock| {
                Arc::new(
                    Either::builder(sessions(clock), plain_tokens(clock))
                        .build()
                        .unwrap(),
                )
            },
            transport(),
        ),
        (
            "migrating",
            |clock| {
                let migrating = Migrating::builder(plain_tokens(clock), sessions(clock));
                Arc::new(migrating.clock(clock.clone()).build().unwrap())
            },
            transport(),
        ),
    ];
    for (name, strategy, transport) in strategies {
        for remember in [false, true] {
            let clock = ManualClock::default();
            let site = layer(strategy(&clock), transport.clone()).clock(clock.clone());
            let mut browser = Browser::of(&site);
            let path = if remember {
                "/auth/login-remembered"
            } else {
                "/auth/login"
            };
            let answer = browser.post(path, &[("x-user", "alice")]);
            let (mut left, mut renewals) = (90 * DAY, 0);
            let check = |lines: &[&str], left: u64| {
                let expected = remember.then_some(left);
                assert!(!lines.is_empty(), "{name}: no cookie");
                assert!(
                    ages(lines).iter().all(|age| *age == expected),
                    "{name}: {lines:?}"
                );
            };
            check(&answer.set_cookies(), left);
            let lasts = if remember { 1_000 } else { (ABSOLUTE / 61) - 1 };
            for round in 0..lasts {
                clock.advance(seconds(61));
                left -= 61;
                let answer = match round % 2 {
                    0 => browser.get("/auth/me"),
                    _ => browser.post("/auth/refresh", &[]),
                };
                assert_eq!(answer.status, 200, "{name}: round {round}");
                if !answer.set_cookies().is_empty() {
                    check(&answer.set_cookies(), left);
                    renewals += 1;
                }
            }
            assert!(renewals >= lasts / 2, "{name}: {renewals} renewals");
            // The other class of logins ends after its own time.
            clock.advance(seconds(ABSOLUTE));
            let status = browser.post("/auth/refresh", &[]).status;
            let expected = if remember && name != "tokens" {
                200
            } else {
                401
            };
            assert_eq!(status, expected, "{name}");
        }
    }
}

/// A migration keeps the choice: the session of a remembered token is remembered.
#[test]
fn a_migration_keeps_the_kind_of_the_cookie() {
    for remember in [false, true] {
        let clock = ManualClock::default();
        let old = plain_tokens(&clock);
        let site = layer(old.clone(), transport()).clock(clock.clone());
        let mut browser = Browser::of(&site);
        let path = if remember {
            "/auth/login-remembered"
        } else {
            "/auth/login"
        };
        browser.post(path, &[("x-user", "alice")]);
        let migrating = Migrating::builder(old, sessions(&clock)).clock(clock.clone());
        let site = layer(Arc::new(migrating.build().unwrap()), transport()).clock(clock.clone());
        browser.visit(&site);
        let answer = browser.get("/me");
        assert_eq!(browser.id().len(), 64, "a session credential");
        assert_eq!(ages(&answer.set_cookies()), [remember.then_some(90 * DAY)]);
    }
}

/// The age is the time until the deadline, and browsers cap it at 400 days. The template counts
/// for all others, and for the removal.
#[test]
fn the_age_is_what_is_left_until_the_deadline() {
    let clock = ManualClock::default();
    let auth = SessionAuthenticator::builder(store())
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .remembered(seconds(30 * DAY), seconds(1_000 * DAY))
        .clock(clock.clone());
    let cookie = Cookie::builder().max_age(seconds(DAY)).build().unwrap();
    let site = layer(Arc::new(auth.build().unwrap()), Transport::cookie(cookie));
    let mut browser = Browser::of(&site.clock(clock.clone()));
    let answer = browser.post("/auth/login-remembered", &[("x-user", "alice")]);
    assert_eq!(ages(&answer.set_cookies()), [Some(400 * DAY)]);
    let answer = browser.post("/login", &[("x-user", "alice")]);
    assert_eq!(ages(&answer.set_cookies()), [Some(DAY)]);
    let answer = browser.post("/logout", &[]);
    assert_eq!(ages(&answer.set_cookies()), [Some(0)]);
}
