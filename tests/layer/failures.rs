//! Failures: cookie and store stay consistent (WEB-05).

use std::panic::{AssertUnwindSafe, catch_unwind};

use statewise::testkit::{Fault, ManualClock, Method};
use statewise::web::Denial;

use crate::site::{Browser, layer, live, rotating, seconds, sessions, store, tokens, transport};

#[test]
fn a_login_with_a_failed_response_is_undone() {
    for then in ["500", "503", "599", "error", "panic"] {
        for was_logged_in in [false, true] {
            let clock = ManualClock::default();
            let auth = sessions(&store(), &clock);
            let mut browser = Browser::of(&layer(auth.clone(), transport()));
            if was_logged_in {
                browser.log_in("alice");
            }
            let mut other = browser.clone();
            let fields = [("x-user", "alice"), ("x-then", then)];
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                browser.try_send("POST", "/login", &fields)
            }));
            match outcome {
                Err(panic) => {
                    assert_eq!(then, "panic");
                    // The panic of the handler, not another one.
                    assert_eq!(panic.downcast_ref::<&str>(), Some(&"requested panic"));
                }
                Ok(Err(error)) => assert_eq!((then, &*error), ("error", "requested error")),
                Ok(Ok(answer)) => {
                    assert_eq!(answer.status.to_string(), then);
                    assert!(browser.jar.is_empty(), "{then}");
                }
            }
            assert_eq!(live(&auth, "alice"), 0, "{then}");
            assert_eq!(other.get("/me").status, 401);
        }
    }
}

/// gRPC reports a failure in a field.
#[test]
fn a_failed_grpc_status_undoes_a_login() {
    let grpc = ("content-type", "application/grpc");
    for (code, live_after) in [("13", 0), ("14", 0), ("2", 0), ("0", 1), ("7", 1)] {
        let clock = ManualClock::default();
        let auth = sessions(&store(), &clock);
        let mut browser = Browser::of(&layer(auth.clone(), transport()));
        let then = format!("grpc-{code}");
        let fields = [("x-user", "alice"), ("x-then", &*then), grpc];
        assert_eq!(browser.post("/login", &fields).status, 200);
        assert_eq!(live(&auth, "alice"), live_after, "{code}");
        assert_eq!(browser.jar.len(), live_after, "{code}");
        // For other clients the field has no meaning.
        browser.post("/login", &[("x-user", "bob"), ("x-then", &then)]);
        assert_eq!(live(&auth, "bob"), 1, "{code}");
    }
}

/// The replaced login ends first. If the new one fails, no login remains.
#[test]
fn a_failed_second_login_leaves_no_login() {
    let clock = ManualClock::default();
    let store = store();
    let auth = sessions(&store, &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    store.fail_nth_of(Method::Create, 2, Fault::Fails);
    let answer = browser.post("/login-twice", &[("x-then", "200")]);
    assert_eq!(answer.status, 200);
    assert!(browser.jar.is_empty(), "{answer:?}");
    assert_eq!((live(&auth, "first"), live(&auth, "second")), (0, 0));
}

/// The rest of the handler does not see the caller of a login that was undone.
#[test]
fn after_a_failed_second_login_the_caller_is_anonymous() {
    let clock = ManualClock::default();
    let store = store();
    let auth = sessions(&store, &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    store.fail_nth_of(Method::Create, 2, Fault::Fails);
    let answer = browser.post("/login-twice-me", &[]);
    let (denied, after) = answer.body.split_once(", ").unwrap();
    assert_eq!(after, Denial::Absent.to_string());
    assert_ne!(denied, after);
    assert!(browser.jar.is_empty(), "{answer:?}");
    assert_eq!((live(&auth, "first"), live(&auth, "second")), (0, 0));
}

/// A status below 500 is no failure.
#[test]
fn a_login_with_any_other_status_stays() {
    for then in ["200", "302", "404", "499"] {
        let clock = ManualClock::default();
        let auth = sessions(&store(), &clock);
        let mut browser = Browser::of(&layer(auth, transport()));
        let fields = [("x-user", "alice"), ("x-then", then)];
        assert_eq!(browser.post("/login", &fields).status.to_string(), then);
        assert_eq!(browser.get("/me").body, "alice");
    }
}

#[test]
fn a_logout_with_a_failed_response_stays() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.log_in("alice");
    assert_eq!(browser.post("/logout", &[("x-then", "500")]).status, 500);
    assert!(browser.jar.is_empty());
    assert_eq!(live(&auth, "alice"), 0);
}

#[test]
fn an_outage_is_a_503_and_not_an_anonymous_user() {
    let clock = ManualClock::default();
    let store = store();
    let mut browser = Browser::of(&layer(sessions(&store, &clock), transport()));
    browser.log_in("alice");
    let id = browser.id();
    for path in ["/me", "/maybe"] {
        store.reset();
        store.fail_nth_of(Method::Load, 1, Fault::Fails);
        let answer = browser.get(path);
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.one("retry-after"), Some("1"));
        assert_eq!(answer.one("www-authenticate"), None);
        assert_eq!(answer.one("cache-control"), Some("no-store"));
        assert!(answer.set_cookies().is_empty());
        assert_eq!(answer.body, "503 Service Unavailable\n");
    }
    assert_eq!(browser.id(), id);
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn a_logout_during_an_outage_is_a_503() {
    let clock = ManualClock::default();
    let store = store();
    let mut browser = Browser::of(&layer(sessions(&store, &clock), transport()));
    browser.log_in("alice");
    store.reset();
    store.fail_nth_of(Method::Remove, 1, Fault::Fails);
    let answer = browser.post("/logout", &[]);
    assert_eq!((answer.status, answer.set_cookies().len()), (503, 0));
    assert_eq!(browser.post("/logout", &[]).status, 200);
    assert_eq!(browser.get("/me").status, 401);
}

#[test]
fn a_login_during_an_outage_sets_no_cookie() {
    let clock = ManualClock::default();
    let store = store();
    let mut browser = Browser::of(&layer(sessions(&store, &clock), transport()));
    store.fail_nth_of(Method::Create, 1, Fault::Fails);
    let answer = browser.post("/login", &[("x-user", "alice")]);
    assert_eq!((answer.status, answer.set_cookies().len()), (503, 0));
}

/// A failed rotation changes neither the response nor the credential.
#[test]
fn a_failed_rotation_is_repeated_by_the_next_request() {
    let clock = ManualClock::default();
    let store = store();
    let mut browser = Browser::of(&layer(rotating(&store, &clock), transport()));
    browser.log_in("alice");
    clock.advance(seconds(61));
    store.reset();
    store.fail_nth_of(Method::Rotate, 1, Fault::Fails);
    let answer = browser.get("/me");
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    let answer = browser.get("/me");
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 1));
}

/// A token that is too long for a cookie is refused, and no login exists.
#[test]
fn a_credential_too_long_for_a_cookie_is_refused() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(tokens(&clock), transport()));
    let user = "u".repeat(3500);
    let answer = browser.post("/login", &[("x-user", &user)]);
    assert_eq!((answer.status, answer.set_cookies().len()), (500, 0));
}
