//! Tasks that outlive the response cannot log in with a cookie.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum_core::body::Body;
use http::Request;
use statewise::Login;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::Denial;
use tower_service::Service;

use crate::site::{Browser, Kept, layer, live, seconds, sessions, store, transport, yielding};

/// Builds a request for a handler that leaves its `SignIn` behind and then responds or never does.
pub(crate) fn keeping(browser: &Browser, path: &str) -> (Request<Body>, Kept) {
    let kept = Kept::default();
    let request = Request::builder()
        .uri(path)
        .header("cookie", format!("__Host-id={}", browser.id()))
        .extension(kept.clone())
        .body(Body::empty())
        .unwrap();
    (request, kept)
}

/// A login after the response fails, and does not end the login of the request.
#[test]
fn a_login_after_the_response_fails() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.log_in("alice");
    let (request, kept) = keeping(&browser, "/keep");
    let _ = block_on(browser.service.call(request)).unwrap();
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    let late = block_on(sign_in.issue(Login::new("bob"))).unwrap_err();
    assert_eq!(late.status(), 500);
    assert_eq!(block_on(sign_in.refresh()).unwrap_err().status(), 500);
    assert_eq!(live(&auth, "bob"), 0);
    assert_eq!(browser.get("/me").body, "alice");
}

/// After a failed response, a task of the handler is anonymous as soon as the layer begins to undo
/// the login, and cannot act for its user.
#[test]
fn a_task_that_outlives_an_undone_login_is_anonymous() {
    let auth = yielding(&ManualClock::default());
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    let mut elsewhere = browser.clone();
    elsewhere.log_in("bob");
    browser.log_in("alice");
    let (mut request, kept) = keeping(&browser, "/login-keep");
    let failed = http::HeaderValue::from_static("500");
    request.headers_mut().insert("x-then", failed);
    let mut context = Context::from_waker(Waker::noop());
    let mut answering = Box::pin(browser.service.call(request));
    while kept.0.lock().unwrap().is_none() {
        assert!(answering.as_mut().poll(&mut context).is_pending());
    }
    // The layer waits for the store to remove the login.
    assert_eq!(live(&auth, "bob"), 2);
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    let is_anonymous = || {
        for asked in [
            block_on(sign_in.verify()).map(drop),
            block_on(sign_in.verify_authoritative()).map(drop),
            block_on(sign_in.revoke_all()).map(drop),
        ] {
            assert!(matches!(asked, Err(Denial::Absent)), "{asked:?}");
        }
    };
    is_anonymous();
    let answer = block_on(answering).unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
    is_anonymous();
    assert_eq!(elsewhere.get("/me").body, "bob");
    assert_eq!((live(&auth, "bob"), live(&auth, "alice")), (1, 0));
}

/// A login that is in progress when the client disconnects is revoked.
#[test]
fn a_login_in_progress_ends_when_its_client_disconnects() {
    let auth = yielding(&ManualClock::default());
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.plant("none");
    let (request, kept) = keeping(&browser, "/keep-forever");
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting = Box::pin(browser.service.call(request));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    let mut login = Box::pin(sign_in.issue(Login::new("bob")));
    assert!(login.as_mut().poll(&mut context).is_pending());
    drop(waiting);
    assert_eq!(block_on(login).unwrap_err().status(), 500);
    assert_eq!(live(&auth, "bob"), 0);
}

#[test]
fn a_login_after_the_client_disconnected_fails() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.log_in("alice");
    let (request, kept) = keeping(&browser, "/keep-forever");
    {
        let mut waiting = pin!(browser.service.call(request));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    let late = block_on(sign_in.issue(Login::new("bob"))).unwrap_err();
    assert_eq!(late.status(), 500);
    assert_eq!(live(&auth, "bob"), 0);
    assert_eq!(browser.get("/me").body, "alice");
}

/// If a task logs out while the layer rotates, the response removes the cookie.
#[test]
fn a_logout_during_the_rotation_wins() {
    for polls in 0.. {
        let clock = ManualClock::default();
        let auth = yielding(&clock);
        let mut browser = Browser::of(&layer(auth.clone(), transport()));
        browser.log_in("alice");
        clock.advance(seconds(61));
        let (request, kept) = keeping(&browser, "/me-keep");
        let mut context = Context::from_waker(Waker::noop());
        let mut answering = Box::pin(browser.service.call(request));
        let mut at_once = None;
        while kept.0.lock().unwrap().is_none() {
            if let Poll::Ready(answer) = answering.as_mut().poll(&mut context) {
                at_once = Some(answer);
            }
        }
        assert!(at_once.is_none(), "the request never waited");
        for _ in 0..polls {
            if let Poll::Ready(answer) = answering.as_mut().poll(&mut context) {
                // The rotation was complete before the logout.
                assert!(polls > 1);
                assert!(answer.unwrap().headers().contains_key("set-cookie"));
                return;
            }
        }
        let sign_in = kept.0.lock().unwrap().take().unwrap();
        let _ = block_on(sign_in.revoke()).unwrap();
        let answer = block_on(answering).unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("Max-Age=0"), "{polls}: {cookie}");
    }
}
