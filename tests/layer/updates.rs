//! Changes of the caller's login from a handler.

use std::sync::Arc;

use statewise::DynAuthenticator;
use statewise::testkit::ManualClock;
use statewise::web::Transport;

use crate::hybrids::two_cookies;
use crate::site::{Browser, hybrid, layer, seconds, sessions, store, tokens, transport};
use crate::steps::cases;

/// With changed roles, the layer rotates the credential of a session in the same answer. Other
/// changes leave the cookie alone.
#[test]
fn a_promoted_session_gets_another_credential() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    browser.log_in("alice");
    clock.advance(seconds(60));
    let before = browser.id();
    let answer = browser.post("/rename", &[]);
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    let answer = browser.post("/promote", &[]);
    assert_eq!((&*answer.body, answer.set_cookies().len()), ("alice", 1));
    assert_ne!(browser.id(), before);
    assert_eq!(browser.get("/roles").body, "admin");
}

/// A token, and the access token of a hybrid, is replaced in its cookie. The refresh cookie stays.
#[test]
fn an_updated_token_is_set_as_the_cookie() {
    let clock = ManualClock::default();
    let cases: [(Arc<dyn DynAuthenticator<()>>, Transport); 2] = [
        (tokens(&clock), transport()),
        (hybrid(&store(), &clock), two_cookies()),
    ];
    for (auth, transport) in cases {
        let mut browser = Browser::of(&layer(auth, transport));
        browser.post("/auth/login", &[("x-user", "alice")]);
        let before = browser.jar.clone();
        let answer = browser.post("/promote", &[]);
        assert_eq!((&*answer.body, answer.set_cookies().len()), ("alice", 1));
        assert_ne!(browser.jar["__Host-id"], before["__Host-id"]);
        assert_eq!(
            browser.jar.get("__Secure-refresh"),
            before.get("__Secure-refresh")
        );
        assert_eq!(browser.get("/roles").body, "admin");
    }
}

/// The second update of a request acts on the credential that the first one has made: neither change is
/// lost, with any strategy, and one cookie is set.
#[test]
fn several_updates_of_one_request_add_up() {
    let clock = ManualClock::default();
    for (auth, transport) in cases(&clock) {
        let mut browser = Browser::of(&layer(auth, transport));
        browser.post("/auth/login", &[("x-user", "alice")]);
        let answer = browser.post("/promote-rename", &[]);
        assert_eq!(
            (answer.status, &*answer.body, answer.set_cookies().len()),
            (200, "kitchen of admin", 1)
        );
        assert_eq!(browser.get("/roles").body, "admin");
        assert_eq!(browser.get("/device").body, "kitchen of admin");
        let answer = browser.post("/step-up-rename", &[]);
        assert_eq!(
            (answer.status, &*answer.body, answer.set_cookies().len()),
            (200, "aal2", 1)
        );
        assert_eq!(browser.get("/acr").body, "aal2");
        assert_eq!(browser.get("/device").body, "kitchen");
        assert_eq!(browser.get("/roles").body, "admin");
    }
}

/// An administrator changes all logins of a user. A login in progress is a conflict (409), and an
/// update after a login in the same request is a mistake of the service (500).
#[test]
fn all_logins_of_a_user_are_updated() {
    let clock = ManualClock::default();
    let layer = layer(sessions(&store(), &clock), transport());
    let (mut alice, mut other) = (Browser::of(&layer), Browser::of(&layer));
    alice.log_in("alice");
    other.log_in("alice");
    assert_eq!(other.post("/promote-all", &[]).body, "Some(2)");
    for browser in [&mut alice, &mut other] {
        assert_eq!(browser.get("/roles").body, "admin");
    }
    assert_eq!(other.post("/slow-login", &[]).status, 409);
    assert_eq!(other.post("/login-promote", &[]).status, 500);
    assert_eq!(Browser::of(&layer).post("/promote", &[]).status, 401);
}
