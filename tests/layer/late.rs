//! What outlives its answer hands out no cookie.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use axum_core::body::Body;
use http::Request;
use statewise::Login;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, YieldingStore, block_on};
use tower_service::Service;

use crate::site::{ABSOLUTE, Browser, IDLE, Kept, layer, seconds, sessions, store, transport};

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
    let listed = block_on(auth.sessions("bob", None)).unwrap();
    assert!(listed.sessions.is_empty());
    assert_eq!(browser.get("/me").body, "alice");
}

/// Nor whoever began before: what could not be handed out any more is ended.
#[test]
fn a_login_under_way_ends_with_its_client() {
    let memory = MemoryStore::with_capacity(10).unwrap();
    let auth = SessionAuthenticator::builder(YieldingStore::new(memory))
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE));
    let auth: Arc<SessionAuthenticator<_>> = Arc::new(auth.build().unwrap());
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
    let listed = block_on(auth.sessions("bob", None)).unwrap();
    assert!(listed.sessions.is_empty());
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
    let listed = block_on(auth.sessions("bob", None)).unwrap();
    assert!(listed.sessions.is_empty());
    assert_eq!(browser.get("/me").body, "alice");
}
