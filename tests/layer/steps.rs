//! Step-ups of the caller's login from a handler.

use std::sync::Arc;

use statewise::testkit::ManualClock;
use statewise::web::{Denial, Require, Transport};
use statewise::{Authenticator as _, DynAuthenticator};

use crate::hybrids::two_cookies;
use crate::site::{
    Browser, guarded, hybrid, layer, live, rotating, seconds, sessions, store, tokens, transport,
};

type Case = (Arc<dyn DynAuthenticator<()>>, Transport);

/// Each kind of login in cookies.
pub(crate) fn cases(clock: &ManualClock) -> [Case; 3] {
    [
        (sessions(&store(), clock), transport()),
        (tokens(clock), transport()),
        (hybrid(&store(), clock), two_cookies()),
    ]
}

/// A denied request names the class (RFC 9470). The step-up sets the access cookie alone; a copy of
/// the former one never has the class, and the class lapses.
#[test]
fn a_step_up_sets_the_cookie() {
    let clock = ManualClock::default();
    for (auth, transport) in cases(&clock) {
        let has_refresh = auth.has_refresh_credentials();
        let layer = layer(auth, transport).clock(clock.clone());
        let mut browser = Browser::of(&layer);
        browser.post("/auth/login", &[("x-user", "alice")]);
        clock.advance(seconds(60));
        let denied = browser.post("/sensitive", &[]);
        assert!(matches!(denied.cause, Some(Denial::WeakAcr { .. })));
        assert_eq!(denied.status, 401);
        let mut copy = browser.clone();
        let before = browser.jar.clone();
        let answer = browser.post("/step-up", &[]);
        assert_eq!((&*answer.body, answer.set_cookies().len()), ("alice", 1));
        assert_ne!(browser.jar["__Host-id"], before["__Host-id"]);
        let refresh = "__Secure-refresh";
        assert_eq!(browser.jar.get(refresh), before.get(refresh));
        assert_eq!(browser.post("/sensitive", &[]).body, "alice");
        assert_eq!(copy.get("/acr").body, "none");
        assert_eq!(copy.post("/sensitive", &[]).status, 401);
        let required = Require::authenticated().acr("aal2").fresh(seconds(60));
        for (jar, status) in [(&browser.jar, 200), (&copy.jar, 401)] {
            let mut guarded = guarded(&layer, &required);
            guarded.jar = jar.clone();
            assert_eq!(guarded.get("/open").status, status);
        }
        clock.advance(seconds(599));
        assert_eq!(browser.get("/acr").body, "aal2");
        clock.advance(seconds(1));
        let lapsed = browser.send("GET", "/acr", &[("sec-fetch-mode", "cors")]);
        match has_refresh {
            // The access token expires with its class.
            true => {
                assert_eq!(lapsed.status, 401);
                assert_eq!(browser.post("/auth/refresh", &[]).status, 200);
                assert_eq!(browser.get("/acr").body, "none");
            }
            false => assert_eq!(lapsed.body, "none"),
        }
    }
}

/// After a step-up, a failed response keeps the login and sets the cookie: the former credential has
/// no successor that it could be refreshed to.
#[test]
fn a_failed_response_keeps_the_login_and_sets_the_cookie() {
    let clock = ManualClock::default();
    for (auth, transport) in cases(&clock) {
        for then in ["500", "503"] {
            let mut browser = Browser::of(&layer(Arc::clone(&auth), transport.clone()));
            browser.post("/auth/login", &[("x-user", "alice")]);
            let answer = browser.post("/step-up", &[("x-then", then)]);
            assert_eq!(answer.status.to_string(), then);
            assert_eq!(answer.set_cookies().len(), 1);
            assert_eq!(browser.get("/acr").body, "aal2");
        }
        // The answer is lost: the browser has its login, and proves the factor again.
        let mut browser = Browser::of(&layer(auth, transport));
        browser.post("/auth/login", &[("x-user", "alice")]);
        let lost = browser.clone().post("/step-up", &[]);
        assert_eq!(lost.status, 200);
        clock.advance(seconds(300));
        let answer = browser.get("/acr");
        assert_eq!((&*answer.body, answer.set_cookies().len()), ("none", 0));
        browser.post("/step-up", &[]);
        assert_eq!(browser.get("/acr").body, "aal2");
    }
}

/// The layer does not rotate a credential that the step-up has just made, and a session that is due
/// for rotation keeps the class.
#[test]
fn a_rotation_keeps_the_class() {
    let clock = ManualClock::default();
    let auth = rotating(&store(), &clock);
    let mut browser = Browser::of(&layer(auth.clone(), transport()));
    browser.log_in("alice");
    clock.advance(seconds(100));
    let answer = browser.post("/step-up-promote", &[]);
    assert_eq!(answer.set_cookies().len(), 1);
    let stepped = browser.id();
    // The first use of the credential, and one after its overlap.
    for passed in [100, 10] {
        clock.advance(seconds(passed));
        assert_eq!(browser.get("/acr").body, "aal2");
    }
    assert_ne!(browser.id(), stepped);
    assert_eq!(browser.get("/acr").body, "aal2");
    assert_eq!(browser.get("/roles").body, "admin");
    assert_eq!(live(&auth, "alice"), 1);
    assert_eq!(browser.post("/step-up-logout", &[]).status, 200);
    assert!(browser.jar.is_empty());
    assert_eq!(live(&auth, "alice"), 0);
}

/// A program gets its next token in the body. A step-up with a credential that would not reach the client
/// is a mistake of the service, and changes nothing; so is one without a class.
#[test]
fn a_step_up_reaches_its_client() {
    let clock = ManualClock::default();
    let auths: [Arc<dyn DynAuthenticator<()>>; 3] = [
        sessions(&store(), &clock),
        tokens(&clock),
        hybrid(&store(), &clock),
    ];
    for auth in auths {
        let layer = layer(auth, Transport::bearer());
        let mut program = Browser::of(&layer);
        let issued = program.post("/token", &[("x-user", "alice")]).json();
        let bearer =
            |body: &serde_json::Value| format!("Bearer {}", body["access_token"].as_str().unwrap());
        let first = bearer(&issued);
        for act in ["/step-up", "/step-up-promote"] {
            assert_eq!(program.post(act, &[("authorization", &first)]).status, 500);
        }
        let answer = program.post("/step-up-token", &[("authorization", &first)]);
        assert_eq!(answer.one("cache-control"), Some("no-store"));
        let up = answer.json();
        assert!(up.get("refresh_token").is_none(), "{up}");
        let up = bearer(&up);
        assert_ne!(up, first);
        for (token, acr) in [(&first, "none"), (&up, "aal2")] {
            let answer = program.send("GET", "/acr", &[("authorization", token)]);
            assert_eq!(answer.body, acr);
        }
    }
    for (auth, transport) in cases(&clock) {
        let mut browser = Browser::of(&layer(auth, transport));
        assert_eq!(browser.post("/step-up", &[]).status, 401);
        browser.post("/auth/login", &[("x-user", "alice")]);
        let before = browser.jar.clone();
        assert_eq!(browser.post("/step-up-token", &[]).status, 500);
        assert_eq!(browser.post("/step-up", &[("x-token", "")]).status, 500);
        assert_eq!(browser.jar, before);
        assert_eq!(browser.get("/acr").body, "none");
    }
}
