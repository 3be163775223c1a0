//! Transports: cookie, bearer token or both, and tokens in the body.

use statewise::testkit::{Fault, ManualClock};
use statewise::web::{Answer, Cookie, Denial, TokenError, Transport};
use statewise::{Error, Rejection};

use crate::site::{
    self, ABSOLUTE, Browser, hybrid, layer, rotating, seconds, sessions, store, tokens,
};

#[test]
fn a_program_logs_in_with_a_token_in_the_body() {
    let clock = ManualClock::default();
    let site = layer(tokens(&clock), Transport::bearer()).clock(clock.clone());
    let mut client = Browser::of(&site);
    let answer = client.post("/token", &[("x-user", "alice")]);
    assert_eq!(answer.one("content-type"), Some("application/json"));
    assert_eq!(answer.one("cache-control"), Some("no-store"));
    assert!(answer.set_cookies().is_empty());
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body.get("refresh_token"), None);
    let bearer = format!("bearer {}", body["access_token"].as_str().unwrap());
    let answer = client.send("GET", "/me", &[("authorization", &bearer)]);
    assert_eq!(answer.body, "alice");
    // A cookie login needs a transport with a cookie.
    assert_eq!(client.post("/login", &[("x-user", "alice")]).status, 500);
}

#[test]
fn a_program_refreshes_with_its_refresh_token() {
    let clock = ManualClock::default();
    let site = layer(hybrid(&store(), &clock), Transport::bearer()).clock(clock.clone());
    let mut client = Browser::of(&site);
    let body = client.post("/token", &[("x-user", "alice")]).json();
    assert_eq!(body["expires_in"], 600);
    let refresh = body["refresh_token"].as_str().unwrap();
    // A failed response ends no login: the next refresh returns the same credential.
    clock.advance(seconds(60));
    let failing = [("x-token", refresh), ("x-then", "500")];
    assert_eq!(client.post("/refresh-token", &failing).status, 500);
    let answer = client.post("/refresh-token", &[("x-token", refresh)]);
    assert_eq!(answer.status, 200);
    let again = answer.json();
    assert_ne!(again["access_token"], body["access_token"]);
    let access = body["access_token"].as_str().unwrap();
    let answer = client.post("/refresh-token", &[("x-token", access)]);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, r#"{"error":"invalid_grant"}"#);
    // A refresh credential is no access token.
    let bearer = format!("Bearer {refresh}");
    assert_eq!(
        client
            .send("GET", "/me", &[("authorization", &bearer)])
            .status,
        401
    );
}

/// The layer sets no cookie for a bearer token. Its client refreshes it.
#[test]
fn a_bearer_token_is_not_rotated_into_a_cookie() {
    let clock = ManualClock::default();
    let site = layer(
        rotating(&store(), &clock),
        Transport::both(Cookie::default()),
    );
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let bearer = format!("Bearer {}", browser.id());
    clock.advance(seconds(61));
    let mut client = Browser::of(&site);
    let answer = client.send("GET", "/me", &[("authorization", &bearer)]);
    assert_eq!((&*answer.body, answer.set_cookies().len()), ("alice", 0));
}

#[test]
fn cookie_and_bearer_token_together_are_denied_unless_one_is_preferred() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let site = layer(auth.clone(), Transport::both(Cookie::default()));
    let (mut alice, mut bob) = (Browser::of(&site), Browser::of(&site));
    alice.log_in("alice");
    bob.log_in("bob");
    let bearer = format!("Bearer {}", bob.id());
    let both = [("authorization", &*bearer)];
    let answer = alice.send("GET", "/me", &both);
    assert_eq!(answer.status, 401);
    assert!(matches!(answer.cause, Some(Denial::Ambiguous)));
    assert!(answer.set_cookies().is_empty());
    assert_eq!(answer.all("vary"), ["Cookie", "Authorization"]);

    let preferring = layer(auth, Transport::both(Cookie::default()).prefer_bearer());
    let mut browser = Browser::of(&preferring);
    browser.jar = alice.jar.clone();
    assert_eq!(browser.send("GET", "/me", &both).body, "bob");
    assert_eq!(browser.get("/me").body, "alice");
    // A request with a bearer token passes from every origin. One without must not.
    let foreign = [
        ("authorization", &*bearer),
        ("sec-fetch-site", "cross-site"),
    ];
    assert_eq!(browser.post("/open", &foreign).status, 200);
    let forged = [
        ("authorization", "Basic YTpi"),
        ("sec-fetch-site", "cross-site"),
    ];
    assert_eq!(browser.post("/open", &forged).status, 403);
}

#[test]
fn a_token_under_the_scheme_of_the_transport_passes_from_every_origin() {
    let clock = ManualClock::default();
    let transport = Transport::both(Cookie::default()).scheme("Token").unwrap();
    let site = layer(sessions(&store(), &clock), transport);
    let mut alice = Browser::of(&site);
    alice.log_in("alice");
    let program = Browser::of(&site);
    for (scheme, status, post) in [("Token", 200, 200), ("Bearer", 401, 403)] {
        let line = format!("{scheme} {}", alice.id());
        let fields = [("authorization", &*line), ("sec-fetch-site", "cross-site")];
        let mut program = program.clone();
        assert_eq!(program.send("GET", "/me", &fields).status, status);
        assert_eq!(program.post("/open", &fields).status, post, "{scheme}");
    }
}

/// A logout everywhere with a bearer token neither ends the login of a cookie beside it nor removes
/// that cookie.
#[test]
fn a_logout_everywhere_keeps_the_cookie_of_another_user() {
    let clock = ManualClock::default();
    let transport = Transport::both(Cookie::default()).prefer_bearer();
    let site = layer(sessions(&store(), &clock), transport);
    let (mut alice, mut bob) = (Browser::of(&site), Browser::of(&site));
    alice.log_in("alice");
    bob.log_in("bob");
    let bearer = format!("Bearer {}", alice.id());
    let answer = bob.post("/logout-all", &[("authorization", &bearer)]);
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    assert_eq!(
        (alice.get("/me").status, &*bob.get("/me").body),
        (401, "bob")
    );
    // A login in the same request has ended the cookie's login, so the cookie is removed.
    alice.log_in("alice");
    let bearer = format!("Bearer {}", alice.id());
    let answer = bob.post("/login-logout-all", &[("authorization", &bearer)]);
    assert_eq!((answer.status, bob.jar.len()), (200, 0), "{answer:?}");
}

/// A rejected bearer token does not remove the cookie beside it.
#[test]
fn a_rejected_token_keeps_the_cookie() {
    let clock = ManualClock::default();
    let transport = Transport::both(Cookie::default()).prefer_bearer();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport));
    browser.log_in("alice");
    let answer = browser.send("GET", "/me", &[("authorization", "Bearer abc")]);
    assert_eq!((answer.status, answer.set_cookies().len()), (401, 0));
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn contradictory_transports_are_refused() {
    let cookie = |name: &str, path: &str| Cookie::builder().name(name).path(path).build().unwrap();
    let hybrid = || Transport::cookie(Cookie::default());
    assert!(
        hybrid()
            .refresh_cookie(cookie("__Secure-rt", "/auth"))
            .is_ok()
    );
    assert!(hybrid().refresh_cookie(cookie("__Secure-rt", "/")).is_err());
    let same = Transport::cookie(cookie("__Secure-rt", "/"));
    assert!(same.refresh_cookie(cookie("__Secure-rt", "/auth")).is_err());
    let bearer = Transport::bearer();
    assert!(
        bearer
            .refresh_cookie(cookie("__Secure-rt", "/auth"))
            .is_err()
    );
    for realm in ["", "a\"b", "a\\b", "a\nb", "é", &"r".repeat(129)] {
        assert!(Transport::bearer().realm(realm).is_err(), "{realm}");
    }
    assert!(Transport::bearer().realm("r".repeat(128)).is_ok());
}

/// The form of RFC 6749, section 5.2, also where pages for denials are configured.
#[test]
fn a_program_that_refreshes_gets_the_errors_of_oauth() {
    let (clock, store) = (ManualClock::default(), store());
    let site = layer(hybrid(&store, &clock), Transport::bearer()).clock(clock.clone());
    let site = site.login_page("/login").unwrap();
    let site = site.on_denial(|denial, _| Some(Answer::html(denial.status(), "page")));
    let mut client = Browser::of(&site);
    let body = client.post("/token", &[("x-user", "alice")]).json();
    let refresh = body["refresh_token"].as_str().unwrap();
    let refused = |answer: site::Answer, cause: &str| {
        assert_eq!(
            (answer.status, &*answer.body),
            (400, r#"{"error":"invalid_grant"}"#)
        );
        assert_eq!(answer.one("content-type"), Some("application/json"));
        assert_eq!(answer.one("cache-control"), Some("no-store"));
        assert_eq!(answer.one("www-authenticate"), None);
        assert_eq!(answer.cause.unwrap().to_string(), cause);
    };
    for (token, cause) in [
        ("x", "malformed"),
        (&*format!("rt_{}", "a".repeat(64)), "unknown"),
    ] {
        let fields = [("x-token", token), ("accept", "text/html")];
        let cause = format!("credential rejected: {cause}");
        refused(client.post("/refresh-token", &fields), &cause);
    }
    // An outage is none of the client's.
    store.fail_nth(1, Fault::Fails);
    let answer = client.post("/refresh-token", &[("x-token", refresh)]);
    assert_eq!((answer.status, answer.one("retry-after")), (503, Some("1")));
    assert_eq!(answer.one("cache-control"), Some("no-store"));
    assert_eq!(
        client
            .post("/refresh-token", &[("x-token", refresh)])
            .status,
        200
    );
    clock.advance(seconds(ABSOLUTE));
    let answer = client.post("/refresh-token", &[("x-token", refresh)]);
    refused(answer, "credential rejected: unknown");
}

#[test]
fn each_denial_has_an_error_of_oauth_or_its_own_status() {
    let unavailable = Error::unavailable("down");
    for (denial, status, body) in [
        (Denial::Absent, 400, r#"{"error":"invalid_request"}"#),
        (Denial::Malformed, 400, r#"{"error":"invalid_request"}"#),
        (Denial::Ambiguous, 400, r#"{"error":"invalid_request"}"#),
        (Denial::Unproven, 400, r#"{"error":"invalid_grant"}"#),
        (
            Error::from(Rejection::Expired).into(),
            400,
            r#"{"error":"invalid_grant"}"#,
        ),
        (Denial::missing_role("admin"), 403, "403 Forbidden\n"),
        (unavailable.into(), 503, "503 Service Unavailable\n"),
    ] {
        let error = TokenError::from(denial);
        let answer = error.answer();
        assert_eq!((answer.status(), answer.body()), (status, body.as_bytes()));
        assert_eq!(error.code().is_some(), status == 400);
        assert!(
            answer
                .fields()
                .any(|field| field == ("cache-control", "no-store"))
        );
    }
}
