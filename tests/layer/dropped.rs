//! Clients that disconnect at any moment: no request gets another user's identity, and a retry
//! works.

use std::task::{Context, Poll, Waker};

use axum_core::body::Body;
use http::Request;
use statewise::testkit::{ManualClock, block_on};
use statewise::{Authenticator, Login};
use tower_service::Service;

use crate::site::{Browser, Yielding, layer, live, seconds, transport, yielding};

/// Sends a request of alice with a credential that is due for rotation. Drops it after each
/// possible number of polls, and calls `then` to check the result.
fn at_every_step(path: &str, then: impl Fn(&mut Browser, &Yielding)) {
    for polls in 1.. {
        let clock = ManualClock::default();
        let auth = yielding(&clock);
        let mut browser = Browser::of(&layer(auth.clone(), transport()));
        let old = block_on(auth.issue(Login::new("alice"))).unwrap();
        browser.plant(old.credential().reveal());
        clock.advance(seconds(61));
        let request = Request::builder()
            .uri(path)
            .header("cookie", format!("__Host-id={}", browser.id()))
            .header("x-user", "bob")
            .body(Body::empty())
            .unwrap();
        let mut answering = Box::pin(browser.service.call(request));
        let mut context = Context::from_waker(Waker::noop());
        let answer = (0..polls).find_map(|_| match answering.as_mut().poll(&mut context) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        });
        drop(answering);
        if let Some(answer) = answer {
            assert!(answer.unwrap().status().is_success());
            assert!(polls > 2, "{path}: the request never waited");
            return;
        }
        then(&mut browser, &auth);
    }
}

/// If the new credential is lost, a retry with the old one works.
#[test]
fn a_dropped_rotation_can_be_repeated() {
    at_every_step("/me", |browser, _| {
        let answer = browser.get("/me");
        assert_eq!((answer.status, &*answer.body), (200, "alice"));
        assert_eq!(browser.get("/me").body, "alice");
    });
}

/// At most one login without a client remains, and it does not hinder the next login.
#[test]
fn a_dropped_login_can_be_repeated() {
    at_every_step("/login", |browser, auth| {
        let alice = live(auth, "alice");
        assert!(alice + live(auth, "bob") <= 1);
        let answer = browser.get("/maybe");
        match alice {
            1 => assert_eq!((answer.status, &*answer.body), (200, "alice")),
            _ => assert_eq!((answer.status, &*answer.body), (401, "401 Unauthorized\n")),
        }
        browser.log_in("bob");
        assert_eq!(browser.get("/me").body, "bob");
        assert_eq!(live(auth, "alice"), 0);
    });
}

#[test]
fn a_dropped_logout_can_be_repeated() {
    for path in ["/logout", "/logout-all"] {
        at_every_step(path, |browser, auth| {
            let before = live(auth, "alice");
            assert_eq!(
                browser.get("/me").status,
                if before == 1 { 200 } else { 401 }
            );
            browser.post("/logout", &[]);
            assert!(browser.jar.is_empty());
            assert_eq!(live(auth, "alice"), 0);
        });
    }
}
