//! Acts that meet in one request, or in one browser.

use statewise::testkit::ManualClock;
use statewise::web::{Cookie, Require, Transport};
use tower_layer::Layer;

use crate::site::{Browser, Handler, layer, renewing, seconds, sessions, store, transport};

/// A guard that asks the authority is a verification like any other: what is due is renewed.
#[test]
fn behind_an_authoritative_guard_a_login_is_renewed() {
    let clock = ManualClock::default();
    let site = layer(renewing(&store(), &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let guard = Require::authenticated().authoritative();
    let mut guarded = Browser::before(site.layer(guard.layer(Handler)));
    guarded.jar = browser.jar.clone();
    clock.advance(seconds(61));
    assert_eq!(guarded.get("/open").set_cookies().len(), 1);
}

#[test]
fn behind_an_authoritative_guard_a_rejected_cookie_goes() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let guard = Require::authenticated().authoritative();
    let mut guarded = Browser::before(site.layer(guard.layer(Handler)));
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    guarded.jar = browser.jar.clone();
    browser.post("/logout", &[]);
    assert_eq!(guarded.get("/open").status, 401);
    assert!(guarded.jar.is_empty());
}

/// A token in place of a login in a cookie: the cookie of what has ended would stand beside it.
#[test]
fn a_token_takes_the_cookie_of_the_login_that_it_ends() {
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

/// After a login, what the request carried is nobody's business any more.
#[test]
fn a_refresh_after_a_login_keeps_the_login() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    browser.log_in("first");
    browser.post("/login-refresh", &[]);
    assert_eq!(browser.get("/me").body, "second");
}

/// Of two hosts neither is the one that was asked.
#[test]
fn an_origin_is_compared_to_no_host_of_several() {
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
