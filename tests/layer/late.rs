//! What outlives its answer hands out no cookie.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum_core::body::Body;
use http::Request;
use statewise::Login;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::SignIn;
use tower_layer::Layer;
use tower_service::Service;

use crate::site::{Browser, Kept, layer, live, seconds, sessions, store, transport, yielding};

/// A request whose handler leaves its `SignIn` behind, and then answers or never does.
fn keeping(browser: &Browser, path: &str) -> (Request<Body>, Kept) {
    let kept = Kept::default();
    let request = Request::builder()
        .uri(path)
        .header("cookie", format!("__Host-id={}", browser.id()))
        .extension(kept.clone())
        .body(Body::empty())
        .unwrap();
    (request, kept)
}

/// A login that nobody could hold is none, and ends no other.
#[test]
fn nobody_logs_in_after_the_answer() {
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

/// Nor whoever began before: what could not be handed out any more is ended.
#[test]
fn a_login_under_way_ends_with_its_client() {
    let auth = yielding(&ManualClock::default());
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.plant("none");
    let (request, kept) = keeping(&browser, "/keep-for-ever");
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

/// The same where the client went away, and the answer with it.
#[test]
fn nobody_logs_in_for_a_client_that_went_away() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.log_in("alice");
    let (request, kept) = keeping(&browser, "/keep-for-ever");
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

/// A task logs out while the layer rotates: the answer removes the cookie, and sets no dead one.
#[test]
fn a_logout_during_the_rotation_counts() {
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
        assert!(at_once.is_none(), "nothing was waited for");
        for _ in 0..polls {
            if let Poll::Ready(answer) = answering.as_mut().poll(&mut context) {
                // It was through before the logout.
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

/// A service that panics before it has a future.
#[derive(Clone)]
struct Abrupt;

impl Service<Request<Body>> for Abrupt {
    type Response = http::Response<Body>;
    type Error = String;
    type Future = std::future::Ready<Result<Self::Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kept = request.extensions().get::<Kept>().unwrap();
        *kept.0.lock().unwrap() = Some(SignIn::of(request.extensions()).unwrap());
        panic!("as told")
    }
}

#[test]
fn nobody_logs_in_after_a_panic() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::before(layer(auth.clone(), transport()).layer(Abrupt));
    browser.plant("none");
    let kept = Kept::default();
    let request = Request::builder().extension(kept.clone());
    let request = request.body(Body::empty()).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| browser.service.call(request)));
    assert!(outcome.is_err());
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    let late = block_on(sign_in.issue(Login::new("bob"))).unwrap_err();
    assert_eq!(late.status(), 500);
    assert!(
        block_on(auth.sessions("bob", None))
            .unwrap()
            .sessions
            .is_empty()
    );
}
