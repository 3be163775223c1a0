//! Logout of all other devices from a handler.

use std::sync::{Arc, Mutex};

use statewise::either::Either;
use statewise::migrating::Migrating;
use statewise::observer::{Act, Event, Observer};
use statewise::testkit::{ManualClock, Method, block_on};
use statewise::web::{Denial, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Login, Observed};

use crate::hybrids::two_cookies;
use crate::site::{Browser, hybrid, layer, seconds, sessions, store, tokens, transport};

/// Counts the other logins that ended.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<String>>>);

impl Observer for Ended {
    fn observe(&self, event: &Event<'_>) {
        let mut ended = self.0.lock().unwrap();
        match event {
            Event::RevokedOthers { login, count, .. } => {
                ended.push(format!("{} {count:?}", login.subject()));
            }
            Event::Unavailable {
                act: Act::RevokeOthers,
                ..
            } => ended.push("unavailable".to_owned()),
            _ => {}
        }
    }
}

/// With sessions, a hybrid, and while users move from one to the other. The layer knows the
/// authenticator by its trait alone.
#[test]
fn all_other_devices_are_logged_out_and_reported() {
    let clock = ManualClock::default();
    let moved = Migrating::builder(sessions(&store(), &clock), hybrid(&store(), &clock))
        .clock(clock.clone())
        .build()
        .unwrap();
    let cases: [(Arc<dyn DynAuthenticator<()>>, Transport); 3] = [
        (sessions(&store(), &clock), transport()),
        (hybrid(&store(), &clock), two_cookies()),
        (Arc::new(moved), two_cookies()),
    ];
    for (auth, transport) in cases {
        let ended = Ended::default();
        let auth = Observed::new(auth, Arc::new(ended.clone()));
        let layer = layer(Arc::new(auth), transport);
        let mut browsers = [(); 4].map(|()| Browser::of(&layer));
        for (browser, user) in browsers.iter_mut().zip(["alice", "alice", "alice", "bob"]) {
            browser.post("/auth/login", &[("x-user", user)]);
            assert_eq!(browser.get("/me").body, user);
        }
        let [here, one, other, bob] = &mut browsers;
        assert_eq!(here.post("/logout-others", &[]).body, "Some(2)");
        assert_eq!(here.get("/me").body, "alice");
        assert_eq!(bob.get("/me").body, "bob");
        for browser in [one, other] {
            // The access token of a hybrid without a log lives on. It cannot be refreshed.
            let denied = match browser.cookie("__Secure-refresh") {
                Some(_) => browser.post("/auth/refresh", &[]),
                None => browser.get("/me"),
            };
            assert_eq!(denied.status, 401);
        }
        assert_eq!(here.post("/logout-others", &[]).body, "Some(0)");
        let noted = ended.0.lock().unwrap().clone();
        assert_eq!(noted, ["alice Some(2)", "alice Some(0)"]);
        assert_eq!(Browser::of(&layer).post("/logout-others", &[]).status, 401);
    }
}

/// After a change of the password: the new login of the same request goes on.
#[test]
fn a_login_of_the_same_request_goes_on() {
    let clock = ManualClock::default();
    let layer = layer(sessions(&store(), &clock), transport());
    let (mut here, mut other) = (Browser::of(&layer), Browser::of(&layer));
    here.log_in("alice");
    other.log_in("alice");
    let answer = here.post("/login-logout-others", &[("x-user", "alice")]);
    assert_eq!(answer.body, "Some(1)");
    assert_eq!(here.get("/me").body, "alice");
    assert_eq!(other.get("/me").status, 401);
}

/// Tokens have no rows, so none can be kept: it is a *misuse*, and nothing ends.
#[test]
fn plain_tokens_are_a_misuse() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(tokens(&clock), transport()));
    browser.log_in("alice");
    let answer = browser.post("/logout-others", &[]);
    assert_eq!(answer.status, 500);
    let error = answer.cause.as_ref().and_then(Denial::error).unwrap();
    assert!(
        error.is_misuse() && error.to_string().contains("`revoke_all`"),
        "{error}"
    );
    assert_eq!(browser.get("/me").body, "alice");
}

/// A key is no device: it stays, and it logs out none.
#[test]
fn api_keys_stay_and_log_out_no_device() {
    let (clock, store) = (ManualClock::default(), store());
    let keys = statewise::api_keys::ApiKeys::builder(Arc::clone(&store)).prefix("acme_pat");
    let keys = keys.longest(seconds(86_400)).clock(clock.clone()).build();
    let keys = Arc::new(keys.unwrap());
    let auth = Either::builder(sessions(&store, &clock), Arc::clone(&keys));
    let both = Transport::both(statewise::web::Cookie::default());
    let layer = layer(Arc::new(auth.build().unwrap()), both);
    let key = block_on(keys.issue(Login::new("alice").role("read").device("ci"))).unwrap();
    let field = format!("Bearer {}", key.credential().reveal());
    let field = [("authorization", &*field)];
    let [mut here, mut other] = [(); 2].map(|()| Browser::of(&layer));
    here.log_in("alice");
    other.log_in("alice");
    let mut program = Browser::of(&layer);
    let denied = program.post("/logout-others", &field);
    assert!(
        matches!(denied.cause, Some(Denial::NotALogin)),
        "{denied:?}"
    );
    assert_eq!(other.get("/me").body, "alice");
    assert_eq!(here.post("/logout-others", &[]).body, "Some(1)");
    assert_eq!(other.get("/me").status, 401);
    assert_eq!(program.send("GET", "/me", &field).body, "alice");
}

#[test]
fn an_outage_is_reported_and_can_be_repeated() {
    let (clock, store, ended) = (ManualClock::default(), store(), Ended::default());
    let auth = Observed::new(sessions(&store, &clock), Arc::new(ended.clone()));
    let layer = layer(Arc::new(auth), transport());
    let [mut here, mut other] = [(); 2].map(|()| Browser::of(&layer));
    here.log_in("alice");
    other.log_in("alice");
    let fault = statewise::testkit::Fault::Fails;
    store.fail_nth_of(Method::RemoveSubject, 1, fault);
    assert_eq!(here.post("/logout-others", &[]).status, 503);
    assert_eq!(other.get("/me").body, "alice");
    assert_eq!(here.post("/logout-others", &[]).body, "Some(1)");
    let noted = ended.0.lock().unwrap().clone();
    assert_eq!(noted, ["unavailable", "alice Some(1)"]);
}
