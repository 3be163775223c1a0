//! Two cookies: a short token for every request, and what refreshes it for one path.

use std::sync::Arc;

use statewise::migrating::Migrating;
use statewise::testkit::ManualClock;
use statewise::web::{Cookie, Denial, SameSite, Transport};

use crate::site::{Browser, IDLE, hybrid, layer, seconds, sessions, store, transport};

fn two_cookies() -> Transport {
    let refresh = Cookie::builder()
        .name("__Secure-refresh")
        .path("/auth")
        .same_site(SameSite::Strict)
        .build()
        .unwrap();
    Transport::cookie(Cookie::default())
        .refresh_cookie(refresh)
        .unwrap()
}

fn browser() -> (Browser, ManualClock) {
    let clock = ManualClock::default();
    let auth = hybrid(&store(), &clock);
    (Browser::of(&layer(auth, two_cookies())), clock)
}

#[test]
fn both_are_set_and_each_is_sent_where_it_belongs() {
    let (mut browser, _) = browser();
    let answer = browser.post("/auth/login", &[("x-user", "alice")]);
    let lines = answer.set_cookies();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with("__Secure-refresh=rt_"), "{lines:?}");
    assert!(lines[1].ends_with("; Path=/auth; Secure; HttpOnly; SameSite=Strict"));
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn refreshing_sets_both_anew() {
    let (mut browser, clock) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let before = browser.jar.clone();
    clock.advance(seconds(601));
    assert_eq!(
        browser
            .send("GET", "/me", &[("sec-fetch-mode", "cors")])
            .status,
        401
    );
    let answer = browser.post("/auth/refresh", &[]);
    assert_eq!((answer.status, &*answer.body), (200, "alice"));
    assert_eq!(answer.set_cookies().len(), 2);
    for (name, value) in &before {
        assert_ne!(browser.jar[name], *value, "{name}");
    }
    assert_eq!(browser.get("/me").body, "alice");
}

/// A rejected access token leaves the refresh credential alone.
#[test]
fn an_expired_access_token_can_still_be_refreshed() {
    let (mut browser, clock) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(601));
    assert_eq!(browser.get("/me").status, 401);
    assert_eq!(browser.cookie("__Host-id"), None);
    assert_eq!(browser.post("/auth/refresh", &[]).body, "alice");
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn a_rejected_refresh_credential_goes() {
    let (mut browser, _) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut other = browser.clone();
    assert_eq!(browser.post("/auth/logout", &[]).status, 200);
    assert!(browser.jar.is_empty());
    assert_eq!(other.post("/auth/refresh", &[]).status, 401);
    assert!(other.jar.is_empty());
    assert_eq!(other.post("/auth/refresh", &[]).status, 401);
}

/// The old login ends with the new one, by whichever credential is carried.
#[test]
fn logging_in_again_ends_the_old_login() {
    let (mut browser, clock) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut old = browser.clone();
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(60));
    assert_eq!(old.post("/auth/refresh", &[]).status, 401);
    assert_eq!(browser.post("/auth/refresh", &[]).body, "alice");

    // Outside of the path of the refresh credential too, by the access token.
    let mut old = browser.clone();
    assert_eq!(browser.post("/login", &[("x-user", "alice")]).status, 200);
    assert_eq!(old.post("/auth/refresh", &[]).status, 401);
}

/// Where nothing but the refresh credential is left, or a stranger has planted it, it ends too.
#[test]
fn a_refresh_credential_alone_ends_with_a_login_or_a_logout() {
    for path in ["/auth/login", "/auth/logout"] {
        let (mut browser, clock) = browser();
        browser.post("/auth/login", &[("x-user", "mallory")]);
        clock.advance(seconds(601));
        browser.jar.remove("__Host-id");
        let mut old = browser.clone();
        assert_eq!(browser.post(path, &[("x-user", "alice")]).status, 200);
        assert_eq!(old.post("/auth/refresh", &[]).status, 401, "{path}");
    }
}

/// A page elsewhere may be the one that sends the request without it: nothing is lost.
#[test]
fn without_the_refresh_credential_there_is_nothing_to_refresh() {
    let (mut browser, _) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let kept = browser.jar.clone();
    browser.jar.remove("__Secure-refresh");
    let answer = browser.post("/auth/refresh", &[]);
    assert!(matches!(answer.cause, Some(Denial::Absent)), "{answer:?}");
    assert!(answer.set_cookies().is_empty());
    browser.jar = kept;
    assert_eq!(browser.get("/me").body, "alice");
    assert_eq!(browser.post("/auth/refresh", &[]).body, "alice");
}

/// Back from the hybrid to sessions: what refreshed is of no use any more, and goes.
#[test]
fn a_refresh_credential_goes_with_its_strategy() {
    for (path, user) in [("/auth/login", "bob"), ("/auth/refresh", "alice")] {
        let clock = ManualClock::default();
        let old = hybrid(&store(), &clock);
        let mut browser = Browser::of(&layer(old.clone(), two_cookies()));
        browser.post("/auth/login", &[("x-user", "alice")]);
        let both = Migrating::builder(old, sessions(&store(), &clock)).clock(clock.clone());
        let site = layer(Arc::new(both.build().unwrap()), two_cookies());
        let mut moved = Browser::of(&site);
        moved.jar = browser.jar.clone();
        assert_eq!(moved.post(path, &[("x-user", user)]).status, 200);
        assert_eq!(moved.cookie("__Secure-refresh"), None);
        clock.advance(seconds(599));
        assert_eq!(moved.post("/auth/refresh", &[]).body, user, "{path}");
        assert_eq!(moved.get("/me").body, user);
    }
}

/// What was not sent was not rejected.
#[test]
fn a_rejected_session_takes_no_refresh_credential_along() {
    let clock = ManualClock::default();
    let sessions = sessions(&store(), &clock);
    let both = Migrating::builder(sessions.clone(), hybrid(&store(), &clock)).clock(clock.clone());
    let site = layer(Arc::new(both.build().unwrap()), two_cookies());
    let mut old = Browser::of(&layer(sessions, transport()));
    old.log_in("alice");
    let sent = format!("__Host-id={}", old.id());
    clock.advance(seconds(IDLE + 1));
    let answer = Browser::of(&site).post("/auth/refresh", &[("cookie", &sent)]);
    assert!(answer.cause.is_some_and(|cause| cause.is_rejected()));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 1);
}

#[test]
fn a_hybrid_without_a_cookie_for_its_refresh_credential_is_a_mistake() {
    let clock = ManualClock::default();
    let auth = hybrid(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), Transport::cookie(Cookie::default())));
    let answer = browser.post("/login", &[("x-user", "alice")]);
    assert_eq!((answer.status, answer.set_cookies().len()), (500, 0));
    let listed = statewise::testkit::block_on(auth.sessions("alice", None));
    assert!(listed.unwrap().sessions.is_empty());
}

/// Another tab may have logged in meanwhile.
#[test]
fn a_script_whose_refresh_is_rejected_removes_no_cookie() {
    let (mut browser, _) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut other = browser.clone();
    browser.post("/auth/logout", &[]);
    let fields = [
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ];
    let answer = other.post("/auth/refresh", &fields);
    assert_eq!((answer.status, answer.set_cookies().len()), (401, 0));
}
