//! Services of tower that panic before they return a future.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use axum_core::body::Body;
use http::Request;
use statewise::Login;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::SignIn;
use tower_layer::Layer;
use tower_service::Service;

use crate::site::{Browser, Kept, layer, sessions, store, transport};

/// Service that panics before it returns a future.
#[derive(Clone)]
struct PanicInCall;

impl Service<Request<Body>> for PanicInCall {
    type Response = http::Response<Body>;
    type Error = String;
    type Future = std::future::Ready<Result<Self::Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kept = request.extensions().get::<Kept>().unwrap();
        *kept.0.lock().unwrap() = Some(SignIn::of(request.extensions()).unwrap());
        panic!("requested panic")
    }
}

#[test]
fn a_login_after_a_panic_fails() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::before(layer(auth.clone(), transport()).layer(PanicInCall));
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
