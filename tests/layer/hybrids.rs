//! Two cookies: an access token for every request, and a refresh credential for one path.

use std::sync::Arc;

use statewise::migrating::Migrating;
use statewise::testkit::ManualClock;
use statewise::web::{AuthLayer, Cookie, Denial, SameSite, Transport};

use crate::site::{Browser, IDLE, hybrid, layer, seconds, sessions, store, transport};

pub(crate) fn two_cookies() -> Transport {
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
fn both_cookies_are_set_and_sent_to_their_paths() {
    let (mut browser, _) = browser();
    let answer = browser.post("/auth/login", &[("x-user", "alice")]);
    let lines = answer.set_cookies();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with("__Secure-refresh=rt_"), "{lines:?}");
    assert!(lines[1].ends_with("; Path=/auth; Secure; HttpOnly; SameSite=Strict"));
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn a_refresh_sets_both_cookies() {
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

/// A rejected access token does not remove the refresh credential.
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
fn a_rejected_refresh_credential_is_removed() {
    let (mut browser, _) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut other = browser.clone();
    assert_eq!(browser.post("/auth/logout", &[]).status, 200);
    assert!(browser.jar.is_empty());
    assert_eq!(other.post("/auth/refresh", &[]).status, 401);
    assert!(other.jar.is_empty());
    assert_eq!(other.post("/auth/refresh", &[]).status, 401);
}

/// A new login ends the old one, whether the request carries its access token or its refresh
/// credential.
#[test]
fn a_second_login_ends_the_first_one() {
    let (mut browser, clock) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut old = browser.clone();
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(60));
    assert_eq!(old.post("/auth/refresh", &[]).status, 401);
    assert_eq!(browser.post("/auth/refresh", &[]).body, "alice");

    // Outside of the path of the refresh credential, the access token suffices.
    let mut old = browser.clone();
    assert_eq!(browser.post("/login", &[("x-user", "alice")]).status, 200);
    assert_eq!(old.post("/auth/refresh", &[]).status, 401);
}

/// A refresh credential that is left alone, or that an attacker has planted, ends too.
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

/// A handler below the path of the refresh cookie that refreshes first: the access token may be missing or
/// expired.
#[test]
fn logouts_of_other_devices_work_with_an_expired_access_token() {
    for is_missing in [false, true] {
        let clock = ManualClock::default();
        let layer = layer(hybrid(&store(), &clock), two_cookies());
        let [mut here, mut one, mut other] = [(); 3].map(|()| Browser::of(&layer));
        for browser in [&mut here, &mut one, &mut other] {
            browser.post("/auth/login", &[("x-user", "alice")]);
        }
        clock.advance(seconds(601));
        if is_missing {
            here.jar.remove("__Host-id");
            one.jar.remove("__Host-id");
        } else {
            // Without the refresh, nothing ends.
            assert_eq!(here.clone().post("/logout-others", &[]).status, 401);
            assert_eq!(one.clone().post("/logout-all", &[]).status, 401);
        }
        let mut stolen = one.clone();
        let answer = one.post("/auth/logout-others", &[]);
        assert_eq!((answer.status, &*answer.body), (200, "Some(2)"));
        assert_eq!(answer.set_cookies().len(), 2);
        assert_eq!(one.get("/me").body, "alice");
        assert_eq!(other.post("/auth/refresh", &[]).status, 401);
        assert_eq!(here.post("/auth/logout-all", &[]).status, 401);

        clock.advance(seconds(601));
        let answer = one.post("/auth/logout-all", &[]);
        assert_eq!((answer.status, &*answer.body), (200, "Some(1)"));
        assert!(one.jar.is_empty());
        assert_eq!(stolen.post("/auth/refresh", &[]).status, 401);
    }
}

/// A request from another page may lack the refresh credential. It ends no login.
#[test]
fn a_refresh_without_the_refresh_credential_is_denied() {
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

/// A migration from the hybrid back to sessions removes the refresh credential.
#[test]
fn a_migration_removes_the_refresh_credential_of_the_old_strategy() {
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

/// If only a session was sent and rejected, the refresh cookie stays.
#[test]
fn a_rejected_session_does_not_remove_the_refresh_credential() {
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
fn a_hybrid_without_a_refresh_cookie_is_a_misuse() {
    let auth = hybrid(&store(), &ManualClock::default());
    for cookie in [Transport::cookie, Transport::both] {
        let layer = AuthLayer::new(auth.clone(), cookie(Cookie::default()));
        let error = layer.unwrap_err();
        assert!(error.is_misuse() && error.to_string().contains("refresh_cookie"));
    }
    assert!(AuthLayer::new(auth, Transport::bearer()).is_ok());
}

/// Another tab may have logged in in the meantime.
#[test]
fn a_rejected_refresh_of_a_script_removes_no_cookie() {
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

/// A browser keeps the cookie of an expired access token, and sends it to every path: it ends the login.
#[test]
fn a_logout_beside_the_refresh_cookie_ends_the_login() {
    let (browser, clock) = browser();
    for later in [0, 601, IDLE - 1] {
        let mut browser = browser.clone();
        browser.post("/auth/login", &[("x-user", "alice")]);
        let mut thief = browser.clone();
        clock.advance(seconds(later));
        let answer = browser.post("/logout", &[]);
        assert_eq!((answer.status, answer.set_cookies().len()), (200, 2));
        assert!(browser.jar.is_empty());
        assert_eq!(thief.post("/auth/refresh", &[]).status, 401, "{later}");
    }
}

/// The layer has removed the cookie of an expired access token, and a form of a page from before the hybrid
/// posts to a path without the refresh cookie. The browser is logged out; the login is out of reach.
#[test]
fn a_logout_without_a_credential_removes_the_cookies() {
    let (mut browser, clock) = browser();
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut thief = browser.clone();
    clock.advance(seconds(601));
    let navigation = [("sec-fetch-mode", "navigate")];
    assert_eq!(browser.send("GET", "/me", &navigation).status, 401);
    assert!(browser.jar.keys().eq(["__Secure-refresh"]));
    for _ in 0..2 {
        let answer = browser.post("/logout", &[]);
        assert_eq!(answer.status, 500);
        assert_eq!(answer.set_cookies().len(), 2);
        assert!(browser.jar.is_empty());
    }
    assert_eq!(thief.post("/auth/refresh", &[]).status, 200);
    // Below the path, a second click is no mistake.
    let answer = browser.post("/auth/logout", &[]);
    assert_eq!((answer.status, &*answer.body), (200, "Immediate"));
}

/// A node of the step before a change of strategy gets the cookies of the other nodes.
#[test]
fn the_step_before_a_hybrid_needs_a_refresh_cookie() {
    use statewise::either::Either;
    let clock = ManualClock::default();
    let first = || {
        let old = sessions(&store(), &clock);
        let either = Either::builder(old, hybrid(&store(), &clock)).any_place();
        Arc::new(either.build().unwrap())
    };
    let error = AuthLayer::new(first(), transport()).unwrap_err();
    assert!(error.to_string().contains("refresh_cookie"), "{error}");
    assert!(AuthLayer::new(first(), two_cookies()).is_ok());
}
