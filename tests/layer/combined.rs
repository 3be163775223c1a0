//! Combinations of features in one request or one browser.

use std::sync::Arc;

use statewise::migrating::Migrating;
use statewise::testkit::ManualClock;
use statewise::web::{Cookie, Require, Transport};

use crate::site::{Browser, guarded, layer, rotating, seconds, sessions, store, tokens, transport};

/// A credential that an authoritative guard verifies is rotated as any other.
#[test]
fn a_login_behind_an_authoritative_guard_is_rotated() {
    let clock = ManualClock::default();
    let site = layer(rotating(&store(), &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let guard = Require::authenticated().authoritative();
    let mut guarded = guarded(&site, &guard);
    guarded.jar = browser.jar.clone();
    clock.advance(seconds(61));
    assert_eq!(guarded.get("/open").set_cookies().len(), 1);
}

#[test]
fn a_rejected_cookie_behind_an_authoritative_guard_is_removed() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let guard = Require::authenticated().authoritative();
    let mut guarded = guarded(&site, &guard);
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    guarded.jar = browser.jar.clone();
    browser.post("/logout", &[]);
    assert_eq!(guarded.get("/open").status, 401);
    assert!(guarded.jar.is_empty());
}

/// A token login ends the login of the request, so its cookie must not stay beside the token.
#[test]
fn a_token_login_removes_the_cookie_of_the_login_that_it_ends() {
    let clock = ManualClock::default();
    let site = layer(
        sessions(&store(), &clock),
        Transport::both(Cookie::default()),
    );
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    assert_eq!(browser.post("/token", &[("x-user", "alice")]).status, 200);
    assert!(browser.jar.is_empty());
}

/// After a login, the credential of the request has ended and must not be refreshed.
#[test]
fn a_refresh_after_a_login_keeps_the_login() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    browser.log_in("first");
    browser.post("/login-refresh", &[]);
    assert_eq!(browser.get("/me").body, "second");
}

/// Several `Host` fields count as none.
#[test]
fn an_origin_is_denied_if_there_are_several_hosts() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    let fields = [
        ("x-user", "alice"),
        ("host", "a.example"),
        ("host", "b.example"),
        ("origin", "https://a.example"),
    ];
    assert_eq!(browser.post("/login", &fields).status, 403);
}

/// After a change of the strategy, a visitor has a new cookie after one request. If that response
/// is lost, the old cookie still works.
#[test]
fn a_login_migrates_to_another_strategy() {
    let clock = ManualClock::default();
    let (sessions, tokens) = (sessions(&store(), &clock), tokens(&clock));
    let mut old = Browser::of(&layer(sessions.clone(), transport()));
    old.log_in("alice");
    let both = Migrating::builder(sessions, tokens).clock(clock.clone());
    let site = layer(Arc::new(both.build().unwrap()), transport());
    let mut browser = Browser::of(&site);
    browser.jar = old.jar.clone();
    let moved = browser.get("/me");
    assert_eq!((&*moved.body, moved.set_cookies().len()), ("alice", 1));
    assert_eq!(browser.id().split('.').count(), 3);
    let after = browser.get("/me");
    assert_eq!((&*after.body, after.set_cookies().len()), ("alice", 0));
    let mut lost = Browser::of(&site);
    lost.jar = old.jar.clone();
    assert_eq!(lost.get("/me").body, "alice");
    assert_eq!(lost.id().split('.').count(), 3);
    // A new login uses the new strategy.
    browser.log_in("bob");
    assert_eq!(browser.id().split('.').count(), 3);
    assert_eq!(browser.get("/me").body, "bob");
    clock.advance(seconds(61));
    assert_eq!(old.get("/me").status, 401);
}
