//! A session in a cookie and a bearer token on the same routes.

use std::sync::Arc;

use statewise::api_keys::ApiKeys;
use statewise::either::Either;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::{AuthLayer, Cookie, Denial, Require, Transport};
use statewise::{Authenticator, Login, Rejection};

use crate::site::{
    Browser, guarded, hybrid, layer, live, rotating, seconds, sessions, store, tokens, transport,
};

fn both(first: impl Authenticator<Data = ()>, second: impl Authenticator<Data = ()>) -> AuthLayer {
    let auth = Either::builder(first, second).build().unwrap();
    layer(Arc::new(auth), Transport::both(Cookie::default()))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn browsers_and_programs_are_served_on_the_same_routes() {
    let clock = ManualClock::default();
    let (sessions, tokens) = (rotating(&store(), &clock), tokens(&clock));
    let site = both(Arc::clone(&sessions), Arc::clone(&tokens)).clock(clock.clone());
    let (mut browser, mut program) = (Browser::of(&site), Browser::of(&site));

    // `issue` sets the cookie of a session, and `issue_token` returns a token.
    browser.log_in("alice");
    assert!(sessions.is_well_formed(&browser.id()));
    let answer = program.post("/token", &[("x-user", "bob")]);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert!(tokens.is_well_formed(&token) && answer.set_cookies().is_empty());
    let field = [("authorization", &*bearer(&token))];
    assert_eq!(browser.get("/me").body, "alice");
    assert_eq!(program.send("GET", "/me", &field).body, "bob");

    // Each is refreshed as the strategy does it.
    clock.advance(seconds(61));
    let before = browser.id();
    assert_eq!(browser.get("/me").set_cookies().len(), 1);
    assert!(browser.id() != before && sessions.is_well_formed(&browser.id()));
    let refreshed = program
        .post("/refresh-token", &[("x-token", &token)])
        .json();
    assert!(tokens.is_well_formed(refreshed["access_token"].as_str().unwrap()));

    // The logout of one ends the login of one.
    assert_eq!(browser.post("/logout", &[]).body, "Immediate");
    assert_eq!(
        (browser.get("/me").status, live(&sessions, "alice")),
        (401, 0)
    );
    assert_eq!(program.send("GET", "/me", &field).body, "bob");
}

#[test]
fn a_credential_in_the_place_of_the_other_is_rejected() {
    let clock = ManualClock::default();
    let (sessions, tokens) = (sessions(&store(), &clock), tokens(&clock));
    let site = both(Arc::clone(&sessions), Arc::clone(&tokens));
    let token = block_on(tokens.issue(Login::new("mallory"))).unwrap();
    let mut browser = Browser::of(&site);

    // A planted token is no login, and its cookie is removed.
    browser.plant(token.credential().reveal());
    let refreshed = browser.clone().post("/auth/refresh", &[]);
    assert_eq!(refreshed.status, 401);
    let answer = browser.get("/me");
    let cause = |denial: Option<Denial>| denial.unwrap().error().unwrap().rejection();
    assert_eq!((answer.status, &*answer.body), (401, "401 Unauthorized\n"));
    assert_eq!(cause(answer.cause), Some(Rejection::WrongPlace));
    assert!(browser.jar.is_empty());

    // A session id in `Authorization` does not bypass the check of the origin.
    browser.log_in("alice");
    let field = bearer(&browser.id());
    let mut script = Browser::of(&site);
    let cross_site = [("authorization", &*field), ("sec-fetch-site", "cross-site")];
    let answer = script.send("POST", "/me", &cross_site);
    assert_eq!(cause(answer.cause), Some(Rejection::WrongPlace));
    let refreshed = script.post("/refresh-token", &[("x-token", &browser.id())]);
    assert_eq!(cause(refreshed.cause), Some(Rejection::WrongPlace));
    assert_eq!(browser.get("/me").body, "alice");
}

/// A login of one strategy ends what the request carries of the other.
#[test]
fn a_login_ends_the_login_of_the_other_strategy() {
    let clock = ManualClock::default();
    let sessions = sessions(&store(), &clock);
    let site = both(Arc::clone(&sessions), hybrid(&store(), &clock)).clock(clock.clone());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let answer = browser.post("/token", &[("x-user", "alice")]);
    assert_eq!((browser.jar.len(), live(&sessions, "alice")), (0, 0));
    // The refresh token of the second strategy is refreshed from the body.
    let refresh = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let refreshed = browser.post("/refresh-token", &[("x-token", &refresh)]);
    assert_eq!(refreshed.status, 200);
}

/// With a cookie only, the second strategy serves no request.
#[test]
fn a_transport_without_bearer_tokens_serves_the_first_strategy_only() {
    let clock = ManualClock::default();
    let tokens = tokens(&clock);
    let auth = Either::builder(sessions(&store(), &clock), Arc::clone(&tokens));
    let site = layer(Arc::new(auth.build().unwrap()), transport());
    let token = block_on(tokens.issue(Login::new("bob"))).unwrap();
    let field = bearer(token.credential().reveal());
    let mut browser = Browser::of(&site);
    let answer = browser.send("GET", "/me", &[("authorization", &field)]);
    assert!(matches!(answer.cause, Some(Denial::Absent)));
    browser.log_in("alice");
    assert_eq!(browser.get("/me").body, "alice");
}

/// Browsers have a session in a cookie, and programs a key of the same user in the same store. A key
/// is good for its scopes, and not for what only the user may do.
#[test]
fn a_key_is_a_bearer_token_beside_a_session_in_a_cookie() {
    let (clock, store) = (ManualClock::default(), store());
    let sessions = rotating(&store, &clock);
    let keys = ApiKeys::builder(Arc::clone(&store)).prefix("acme_pat");
    let keys = keys.longest(seconds(86_400)).clock(clock.clone()).build();
    let keys = Arc::new(keys.unwrap());
    let site = both(Arc::clone(&sessions), Arc::clone(&keys)).clock(clock.clone());
    let (mut browser, mut program) = (Browser::of(&site), Browser::of(&site));
    browser.log_in("alice");
    let key = Login::new("alice").role("read").replaces(browser.id());
    let key = block_on(keys.issue(key)).unwrap();
    let key = key.credential().reveal();
    let field = [("authorization", &*bearer(key))];
    // Making a key keeps the session, which is rotated; a key is not.
    clock.advance(seconds(61));
    let session = browser.id();
    assert_eq!(browser.get("/me").body, "alice");
    assert_ne!(browser.id(), session);
    let answer = program.send("GET", "/me", &field);
    assert_eq!((&*answer.body, answer.set_cookies().len()), ("alice", 0));
    let refreshed = program.post("/refresh-token", &[("x-token", key)]);
    assert_eq!(refreshed.status, 403);

    // In a handler, and in a guard before it.
    assert_eq!(browser.get("/account").body, "alice");
    let answer = program.send("GET", "/account", &field);
    assert_eq!(answer.status, 403);
    assert!(matches!(answer.cause, Some(Denial::NotALogin)));
    for (guard, status) in [
        (Require::authenticated().login(), 403),
        (Require::authenticated().fresh(seconds(600)), 403),
        (Require::authenticated().role("write"), 403),
        (Require::authenticated().role("read"), 200),
    ] {
        let answer = guarded(&site, &guard).send("GET", "/open", &field);
        assert_eq!(answer.status, status, "{guard:?}");
    }
    let mut logged_in = guarded(&site, &Require::authenticated().login());
    logged_in.jar = browser.jar.clone();
    assert_eq!(logged_in.get("/open").body, "open");

    // Each one is rejected in the place of the other.
    let id = bearer(&browser.id());
    let answer = program.send("GET", "/me", &[("authorization", &id)]);
    assert_eq!(answer.status, 401);
    let mut planted = Browser::of(&site);
    planted.plant(key);
    assert_eq!(planted.get("/me").status, 401);

    // The logout of the browser keeps the key. A logout everywhere ends both.
    browser.post("/logout", &[]);
    assert_eq!(
        (browser.get("/me").status, live(&sessions, "alice")),
        (401, 0)
    );
    assert_eq!(program.send("GET", "/me", &field).body, "alice");
    browser.log_in("alice");
    browser.post("/logout-all", &[]);
    assert_eq!(program.send("GET", "/me", &field).status, 401);
}
