//! Requests that are no use of their login.

use std::sync::Arc;

use statewise::testkit::ManualClock;
use statewise::web::AuthLayer;

use crate::hybrids::two_cookies;
use crate::remembered::plain_tokens;
use crate::site::{Browser, IDLE, hybrid, layer, rotating, seconds, sessions, store, transport};

/// Marks by path and by a header.
fn with_polls(layer: AuthLayer, clock: &ManualClock) -> Browser {
    let layer = layer.passive(|method, path, fields| {
        let mut is_marked = false;
        fields.each("x-background", &mut |_| is_marked = true);
        is_marked || (method == "GET" && path == "/auth/remaining")
    });
    Browser::of(&layer.clock(clock.clone()))
}

/// PASSIVE-01 in the layer: a poll every minute keeps no session alive, and tells the rest of its time.
/// Rejects a layer that leaves the mark to itself.
#[test]
fn passive_01_a_poll_keeps_nothing_alive() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let mut browser = with_polls(site, &clock);
    browser.log_in("alice");
    for minute in 1..IDLE / 60 {
        clock.advance(seconds(60));
        let left = browser.get("/auth/remaining?at=now").body;
        assert_eq!(left, (IDLE - 60 * minute).to_string());
        let marked = browser.send("GET", "/me", &[("x-background", "1")]);
        assert_eq!(marked.body, "alice");
    }
    // A use, without the mark.
    assert_eq!(browser.post("/auth/remaining", &[]).body, IDLE.to_string());
    clock.advance(seconds(IDLE));
    assert_eq!(browser.get("/auth/remaining").status, 401);
}

/// PASSIVE-02 in the layer: nothing is renewed on account of a poll, and no cookie is set. Rejects a
/// layer that renews a credential that is due for a use.
#[test]
fn passive_02_nothing_is_renewed() {
    let clock = ManualClock::default();
    let auths: [Arc<dyn statewise::DynAuthenticator<()>>; 2] =
        [rotating(&store(), &clock), plain_tokens(&clock)];
    for auth in auths {
        let mut browser = with_polls(layer(auth, transport()), &clock);
        browser.log_in("alice");
        clock.advance(seconds(550));
        for path in ["/auth/remaining", "/auth/remaining?", "/auth/remaining"] {
            let answer = browser.get(path);
            assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
        }
        let answer = browser.get("/me");
        assert_eq!((answer.status, answer.set_cookies().len()), (200, 1));
    }
}

/// A poll with an expired access token is not led to the refresh page.
#[test]
fn a_poll_is_not_led_to_the_refresh_page() {
    let clock = ManualClock::default();
    let site = layer(hybrid(&store(), &clock), two_cookies());
    let site = site.refresh_page("/auth/again").unwrap();
    let mut browser = with_polls(site, &clock);
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(601));
    let navigates = [("sec-fetch-mode", "navigate")];
    let answer = browser.send("GET", "/auth/remaining", &navigates);
    assert_eq!(answer.status, 401);
    let answer = browser.send("GET", "/auth/me", &navigates);
    assert_eq!(answer.status, 303);
}

/// PASSIVE-02 for a poll that changes its login: the change is kept, and nothing is renewed,
/// until the next use. Rejects a layer that renews what an update says is due.
#[test]
fn passive_02_a_poll_that_updates_renews_nothing() {
    let clock = ManualClock::default();
    let site = layer(rotating(&store(), &clock), transport());
    let mut browser = with_polls(site, &clock);
    browser.log_in("alice");
    let poll = [("x-background", "1")];
    clock.advance(seconds(550));
    for path in ["/rename", "/promote"] {
        let answer = browser.send("POST", path, &poll);
        assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    }
    let answer = browser.get("/roles");
    assert_eq!((&*answer.body, answer.set_cookies().len()), ("admin", 1));
    for _ in 1..IDLE / 600 {
        clock.advance(seconds(600));
        let answer = browser.send("POST", "/rename", &poll);
        assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    }
    clock.advance(seconds(600));
    assert_eq!(browser.send("POST", "/rename", &poll).status, 401);
}
