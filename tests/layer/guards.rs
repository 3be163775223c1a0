//! Requirements beyond a valid credential (RFC 9470, OWASP ASVS 7.5).

use statewise::testkit::{ManualClock, Method, block_on};
use statewise::web::{Auth, Denial, Require, Transport};
use statewise::{Authenticator, Login};

use crate::steps::cases;

use crate::site::{
    Browser, guarded, guarded_twice, layer, rotating, seconds, sessions, store, tokens, transport,
};

fn bearer(issued: &statewise::Issued) -> String {
    format!("Bearer {}", issued.credential().reveal())
}

#[test]
fn role_age_and_acr_are_checked_before_the_service_runs() {
    let clock = ManualClock::default();
    let auth = tokens(&clock);
    let login = Login::new("alice").role("admin").acr("aal2");
    let alice = bearer(&block_on(auth.issue(login)).unwrap());
    let bob = bearer(&block_on(auth.issue(Login::new("bob").role("Admin"))).unwrap());
    let site = layer(auth, Transport::bearer()).clock(clock.clone());
    let client = |require: Require| guarded(&site, &require);
    let get = |client: &mut Browser<_>, token: &str| {
        let answer = client.send("GET", "/open", &[("authorization", token)]);
        let challenge = answer.one("www-authenticate").map(str::to_owned);
        (answer.status, challenge.unwrap_or_default())
    };

    let mut anybody = client(Require::authenticated());
    assert_eq!(anybody.get("/open").status, 401);
    assert_eq!(get(&mut anybody, &bob).0, 200);

    let mut admins = client(Require::authenticated().role("admin"));
    assert_eq!(get(&mut admins, &alice).0, 200);
    let (status, challenge) = get(&mut admins, &bob);
    assert_eq!(status, 403);
    assert_eq!(
        challenge,
        "Bearer realm=\"api\", error=\"insufficient_scope\""
    );

    let mut strong = client(Require::authenticated().acr("aal2"));
    assert_eq!(get(&mut strong, &alice).0, 200);
    let (status, challenge) = get(&mut strong, &bob);
    assert_eq!(status, 401);
    let parameters = "error=\"insufficient_user_authentication\", acr_values=\"aal2\"";
    assert_eq!(challenge, format!("Bearer realm=\"api\", {parameters}"));

    let mut fresh = client(Require::authenticated().fresh(seconds(300)));
    clock.advance(seconds(300));
    assert_eq!(get(&mut fresh, &alice).0, 200);
    clock.advance(seconds(1));
    let (status, challenge) = get(&mut fresh, &alice);
    assert_eq!(status, 401);
    let parameters = "error=\"insufficient_user_authentication\", max_age=\"300\"";
    assert_eq!(challenge, format!("Bearer realm=\"api\", {parameters}"));
    // The credential is still valid, so it was not rejected.
    assert_eq!(get(&mut anybody, &alice).0, 200);
}

/// A transfer at a bank, with a login that is six minutes old, in either order of the builder: the user is
/// asked for the class and never for the password, and is admitted after that. Later the class is too old.
#[test]
fn an_old_login_without_the_class_is_led_to_the_class() {
    let clock = ManualClock::default();
    for (auth, transport) in cases(&clock) {
        let layer = layer(auth, transport)
            .clock(clock.clone())
            .login_page("/form");
        let layer = layer.unwrap();
        for transfers in [
            Require::authenticated().fresh(seconds(300)).acr("aal2"),
            Require::authenticated().acr("aal2").fresh(seconds(300)),
        ] {
            let denied = |browser: &Browser, parameters: &str, page: &str| {
                let mut guarded = guarded(&layer, &transfers);
                guarded.jar = browser.jar.clone();
                let answer = guarded.post("/open", &[]);
                let step_up = "error=\"insufficient_user_authentication\"";
                let challenge = format!("Cookie realm=\"api\", {step_up}, {parameters}");
                assert_eq!(answer.one("www-authenticate"), Some(&*challenge));
                assert_eq!(answer.status, 401);
                let led = guarded.send("GET", "/open", &[("sec-fetch-mode", "navigate")]);
                let address = format!("/form?next=/open&{page}");
                assert_eq!((led.status, led.one("location")), (303, Some(&*address)));
            };
            let admitted = |browser: &Browser| {
                let mut guarded = guarded(&layer, &transfers);
                guarded.jar = browser.jar.clone();
                assert_eq!(guarded.post("/open", &[]).status, 200);
            };
            let weak = ("acr_values=\"aal2\"", "acr_values=aal2");
            let mut browser = Browser::of(&layer);
            browser.post("/auth/login", &[("x-user", "alice")]);
            denied(&browser, weak.0, weak.1);
            clock.advance(seconds(360));
            denied(&browser, weak.0, weak.1);
            browser.post("/step-up", &[]);
            admitted(&browser);
            clock.advance(seconds(300));
            admitted(&browser);
            clock.advance(seconds(1));
            denied(
                &browser,
                "acr_values=\"aal2\", max_age=\"300\"",
                "acr_values=aal2&max_age=300",
            );
            browser.post("/step-up", &[]);
            admitted(&browser);
            // The step-up has expired, and with it a token that has it.
            clock.advance(seconds(600));
            if browser.get("/acr").status == 401 {
                browser.post("/auth/login", &[("x-user", "alice")]);
            }
            denied(&browser, weak.0, weak.1);
            browser.post("/step-up", &[]);
            admitted(&browser);
        }
    }
}

/// The age of an authentication counts from the login, whatever was rotated since.
#[test]
fn a_rotation_is_no_authentication() {
    let clock = ManualClock::default();
    let site = layer(rotating(&store(), &clock), transport()).clock(clock.clone());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let require = Require::authenticated().fresh(seconds(100));
    let mut guarded = guarded(&site, &require);
    guarded.jar = browser.jar.clone();
    for (later, status) in [(90, 200), (20, 401)] {
        clock.advance(seconds(later));
        // The cookie stays and is rotated even if the guard denies the request.
        let answer = guarded.get("/open");
        assert_eq!(answer.status, status);
        assert!(!guarded.jar.is_empty());
    }
}

#[test]
fn guards_put_the_caller_into_the_extensions() {
    let clock = ManualClock::default();
    let auth = tokens(&clock);
    let alice = bearer(&block_on(auth.issue(Login::new("alice"))).unwrap());
    let mut client = guarded(&layer(auth, Transport::bearer()), &Require::authenticated());
    let answer = client.send("GET", "/admitted", &[("authorization", &alice)]);
    assert_eq!(answer.body, "alice");
}

/// Several handlers and guards of one request share one verification.
#[test]
fn the_caller_is_verified_once_unless_authoritatively() {
    let clock = ManualClock::default();
    let store = store();
    let site = layer(sessions(&store, &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let loads = |require: Require| {
        let mut guarded = guarded(&site, &require);
        guarded.jar = browser.jar.clone();
        store.reset();
        let before = store.calls_of(Method::Load);
        assert_eq!(guarded.get("/me").body, "alice");
        store.calls_of(Method::Load) - before
    };
    assert_eq!(loads(Require::authenticated()), 1);
    // Later calls get the result of the authoritative verification.
    assert_eq!(loads(Require::authenticated().authoritative()), 1);
    // An authoritative guard verifies again although the caller is known.
    let (outer, inner) = (
        Require::authenticated(),
        Require::authenticated().authoritative(),
    );
    let mut guarded = guarded_twice(&site, &outer, &inner);
    guarded.jar = browser.jar.clone();
    store.reset();
    let before = store.calls_of(Method::Load);
    assert_eq!(guarded.get("/me").body, "alice");
    assert_eq!(store.calls_of(Method::Load) - before, 2);
    store.reset();
    let before = store.calls_of(Method::Load);
    assert_eq!(browser.get("/open").status, 200);
    assert_eq!(store.calls_of(Method::Load), before);
}

#[test]
fn guards_in_a_handler_deny_like_those_of_a_router() {
    let caller = |login: Login| {
        let now = time::OffsetDateTime::now_utc();
        let later = now + time::Duration::hours(1);
        Auth::from(statewise::Identity::unverified(login, now, later).unwrap())
    };
    let alice = caller(Login::new("alice").role("admin").acr("aal2"));
    assert!(alice.require_role("admin").is_ok());
    assert!(alice.require_acr("aal2").is_ok());
    assert!(alice.require_fresh(seconds(60)).is_ok());
    let denied = alice.require_role("owner").unwrap_err();
    assert!(matches!(denied, Denial::MissingRole { .. }));
    assert!(alice.require_fresh_acr("aal2", seconds(60)).is_ok());
    let weak = alice.require_fresh_acr("aal3", seconds(60)).unwrap_err();
    assert!(matches!(weak, Denial::WeakAcr { .. }));
    assert_eq!(weak.required_acr(), Some("aal3"));
    assert_eq!(denied.required_acr(), None);
    let weak = alice.require_acr("aal\"3").unwrap_err();
    let answer = weak.answer(&Transport::bearer());
    // A class that cannot be quoted is omitted from the challenge.
    let challenge = "Bearer realm=\"api\", error=\"insufficient_user_authentication\"";
    let mut fields = answer.fields();
    assert!(fields.any(|field| field == ("www-authenticate", challenge)));
}
