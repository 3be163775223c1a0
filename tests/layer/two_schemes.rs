//! A session in a cookie and a bearer token on the same routes.

use std::sync::Arc;

use statewise::either::Either;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::{AuthLayer, Cookie, Denial, Transport};
use statewise::{Authenticator, Login, Rejection};

use crate::site::{
    Browser, hybrid, layer, live, rotating, seconds, sessions, store, tokens, transport,
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

    // A planted token logs nobody in, and its cookie is removed.
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
