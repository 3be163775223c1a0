//! What outlives its answer hands out no cookie.

use http::Request;
use statewise::Login;
use statewise::testkit::{ManualClock, block_on};
use tower_service::Service;

use crate::site::{Browser, Kept, layer, sessions, store, transport};

/// A login that nobody could hold is none, and ends no other.
#[test]
fn nobody_logs_in_after_the_answer() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.log_in("alice");
    let kept = Kept::default();
    let request = Request::builder()
        .uri("/keep")
        .header("cookie", format!("__Host-id={}", browser.id()))
        .extension(kept.clone())
        .body(axum_core::body::Body::empty())
        .unwrap();
    let _ = block_on(browser.service.call(request)).unwrap();
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    let late = block_on(sign_in.issue(Login::new("bob"))).unwrap_err();
    assert_eq!(late.status(), 500);
    assert_eq!(block_on(sign_in.refresh()).unwrap_err().status(), 500);
    let listed = block_on(auth.sessions("bob", None)).unwrap();
    assert!(listed.sessions.is_empty());
    assert_eq!(browser.get("/me").body, "alice");
}
