//! Session fixation: a login gets a new credential and ends the credentials of the request.

use statewise::testkit::ManualClock;
use statewise::web::{Cookie, Transport};

use crate::site::{Browser, layer, live, sessions, store, transport};

#[test]
fn a_planted_session_is_never_logged_in() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let (mut thief, mut victim) = (Browser::of(&site), Browser::of(&site));
    thief.log_in("mallory");
    let planted = thief.id();
    victim.plant(&planted);
    victim.log_in("alice");
    assert_ne!(victim.id(), planted);
    assert_eq!(victim.get("/me").body, "alice");
    assert_eq!(thief.get("/me").status, 401);
}

#[test]
fn the_old_session_ends_with_a_new_login_of_the_same_user() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let mut old = browser.clone();
    browser.log_in("alice");
    assert_ne!(browser.id(), old.id());
    assert_eq!(old.get("/me").status, 401);
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn made_up_credentials_are_not_adopted() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    for planted in [
        "A".repeat(64),
        "x".to_owned(),
        "A".repeat(5000),
        "\"".to_owned(),
    ] {
        let mut browser = Browser::of(&site);
        browser.plant(&planted);
        browser.log_in("alice");
        assert_ne!(browser.id(), planted);
        assert_eq!(browser.get("/me").body, "alice");
    }
}

/// Two cookies of one name: neither is accepted, and a login ends both sessions.
#[test]
fn both_of_two_planted_sessions_end() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let (mut one, mut other) = (Browser::of(&site), Browser::of(&site));
    one.log_in("mallory");
    other.log_in("trudy");
    let both = format!("__Host-id={}; __Host-id={}", one.id(), other.id());
    let mut victim = Browser::of(&site);
    let answer = victim.send("GET", "/me", &[("cookie", &both)]);
    assert_eq!((answer.status, answer.set_cookies().len()), (401, 0));
    let answer = victim.post("/login", &[("cookie", &both), ("x-user", "alice")]);
    assert_eq!(answer.status, 200);
    assert_eq!(victim.get("/me").body, "alice");
    assert_eq!((one.get("/me").status, other.get("/me").status), (401, 401));
}

/// An attacker may plant more cookies: all their sessions end. A request with more than eight is
/// denied.
#[test]
fn all_planted_sessions_end_up_to_eight() {
    let clock = ManualClock::default();
    let store = store();
    let auth = sessions(&store, &clock);
    let site = layer(auth.clone(), transport());
    let plant = |count: usize| {
        let ids = (0..count).map(|_| {
            let mut browser = Browser::of(&site);
            browser.log_in("mallory");
            format!("__Host-id={}", browser.id())
        });
        ids.collect::<Vec<_>>().join("; ")
    };
    let live = |user: &str| live(&auth, user);
    for (path, count) in [("/login", 3), ("/logout", 3), ("/login", 8), ("/logout", 8)] {
        let planted = plant(count);
        assert_eq!(live("mallory"), count);
        let fields = [("cookie", &*planted), ("x-user", "alice")];
        assert_eq!(Browser::of(&site).post(path, &fields).status, 200, "{path}");
        assert_eq!(live("mallory"), 0, "{path}");
    }
    let (alice, planted) = (live("alice"), plant(9));
    let calls = store.calls();
    for path in ["/login", "/logout"] {
        let fields = [("cookie", &*planted), ("x-user", "alice")];
        let answer = Browser::of(&site).post(path, &fields);
        assert_eq!((answer.status, answer.set_cookies().len()), (401, 0));
    }
    assert_eq!(store.calls(), calls);
    assert_eq!((live("mallory"), live("alice")), (9, alice));
    // Nine equal values count as one.
    let mut browser = Browser::of(&site);
    browser.log_in("bob");
    let nine = vec![format!("__Host-id={}", browser.id()); 9].join("; ");
    let fields = [("cookie", &*nine)];
    assert_eq!(Browser::of(&site).post("/logout", &fields).status, 200);
    assert_eq!(live("bob"), 0);
}

#[test]
fn a_session_carried_as_a_bearer_token_ends_too() {
    let clock = ManualClock::default();
    let site = layer(
        sessions(&store(), &clock),
        Transport::both(Cookie::default()),
    );
    let mut old = Browser::of(&site);
    old.log_in("alice");
    let bearer = format!("Bearer {}", old.id());
    let mut browser = Browser::of(&site);
    let fields = [("authorization", &*bearer), ("x-user", "alice")];
    assert_eq!(browser.post("/login", &fields).status, 200);
    assert_eq!(old.get("/me").status, 401);
    assert_eq!(browser.get("/me").body, "alice");
}

/// The second login of a request ends the first one.
#[test]
fn of_two_logins_in_one_request_one_stays() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    assert_eq!(browser.post("/login-twice", &[]).status, 200);
    assert_eq!((live(&auth, "first"), live(&auth, "second")), (0, 1));
}
