//! Status, challenge and body of denials (RFC 6750, section 3; WEB-07).

use statewise::testkit::ManualClock;
use statewise::web::{Denial, OriginPolicy, Transport};

use crate::site::{Browser, IDLE, layer, seconds, sessions, store, tokens, transport};

fn bearer() -> Transport {
    Transport::bearer().realm("shop").unwrap()
}

#[test]
fn challenges_for_bearer_tokens_follow_rfc_6750() {
    let clock = ManualClock::default();
    let mut client = Browser::of(&layer(tokens(&clock), bearer()));
    let absent = client.get("/me");
    assert_eq!(absent.status, 401);
    assert_eq!(
        absent.one("www-authenticate"),
        Some("Bearer realm=\"shop\"")
    );
    assert_eq!(absent.one("vary"), Some("Authorization"));
    assert!(matches!(absent.cause, Some(Denial::Absent)));

    let malformed = client.send("GET", "/me", &[("authorization", "Bearer a b")]);
    assert_eq!(malformed.status, 400);
    let challenge = Some("Bearer realm=\"shop\", error=\"invalid_request\"");
    assert_eq!(malformed.one("www-authenticate"), challenge);

    let invalid = client.send("GET", "/me", &[("authorization", "Bearer abc")]);
    assert_eq!(invalid.status, 401);
    let challenge = Some("Bearer realm=\"shop\", error=\"invalid_token\"");
    assert_eq!(invalid.one("www-authenticate"), challenge);

    // Another scheme is ignored.
    let other = client.send("GET", "/maybe", &[("authorization", "Basic YTpi")]);
    assert_eq!((other.status, &*other.body), (200, "anonymous"));
    // Query strings are not read.
    let query = client.get("/me?access_token=abc");
    assert_eq!(query.one("www-authenticate"), Some("Bearer realm=\"shop\""));
}

/// Unknown, expired, ended and forged credentials have the same response, byte for byte.
#[test]
fn all_rejections_have_the_same_response() {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    let site = layer(auth, Transport::bearer());
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    browser.log_in("alice");
    let mut client = Browser::of(&site);
    let token = client.post("/token", &[("x-user", "alice")]).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let ended = client.post("/token", &[("x-user", "bob")]).json();
    let ended = format!("Bearer {}", ended["access_token"].as_str().unwrap());
    client.post("/logout", &[("authorization", &ended)]);
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    let forged = format!("Bearer {}{last}", &token[..63]);
    let unknown = format!("Bearer {}", "A".repeat(64));
    let shape = "Bearer abc".to_owned();
    let expired = format!("Bearer {token}");
    assert_eq!(
        client
            .send("GET", "/me", &[("authorization", &expired)])
            .status,
        200
    );
    clock.advance(seconds(IDLE + 1));
    let answers = [&expired, &ended, &forged, &unknown, &shape].map(|presented| {
        let answer = client.send("GET", "/me", &[("authorization", presented)]);
        (answer.status, answer.headers, answer.body)
    });
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!((answer.0, &*answer.2), (401, "401 Unauthorized\n"));
    }
}

/// Also a denial that a handler returns without asking for the caller.
#[test]
fn no_cache_stores_a_denial() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    let answer = browser.post("/wrong-password", &[]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.one("cache-control"), Some("no-store"));
    assert_eq!(answer.one("www-authenticate"), Some("Cookie realm=\"api\""));
}

/// A handler may change the response to a denial.
#[test]
fn a_changed_response_to_a_denial_gets_no_challenge() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    let answer = browser.get("/redirect");
    assert_eq!(answer.status, 303);
    assert_eq!(answer.one("www-authenticate"), None);
    assert_eq!(answer.one("cache-control"), Some("no-store"));
}

#[test]
fn a_missing_layer_and_another_data_type_are_misuses() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    let answer = browser.get("/other");
    assert_eq!(answer.status, 500);
    // In debug builds, which tests are, the developer reads the cause in the body.
    assert!(answer.body.contains("of the type `u32`"), "{}", answer.body);
    let cause = answer.cause.unwrap();
    assert!(cause.to_string().contains("AuthLayer"), "{cause}");

    let mut bare = crate::site::bare();
    assert_eq!(bare.get("/me").status, 500);
}

#[test]
fn other_origins_cannot_act_with_cookies() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let foreign = [("sec-fetch-site", "cross-site"), ("x-user", "bob")];
    for path in ["/login", "/logout", "/open"] {
        let answer = browser.post(path, &foreign);
        assert_eq!((answer.status, answer.set_cookies().len()), (403, 0));
        assert!(matches!(answer.cause, Some(Denial::CrossOrigin(_))));
        assert_eq!(answer.one("www-authenticate"), None);
    }
    assert_eq!(browser.send("GET", "/me", &foreign).body, "alice");

    // A WebSocket is unsafe although it starts with a GET.
    let socket = [
        ("sec-fetch-site", "same-site"),
        ("upgrade", "h2c, WebSocket"),
    ];
    assert_eq!(browser.send("GET", "/open", &socket).status, 403);
    let own = [("sec-fetch-site", "same-origin"), ("upgrade", "websocket")];
    assert_eq!(browser.send("GET", "/open", &own).status, 200);
    let other = [("sec-fetch-site", "same-site"), ("upgrade", "h2c")];
    assert_eq!(browser.send("GET", "/open", &other).status, 200);

    // Without `Sec-Fetch-Site`, `Origin` is compared to `Host`.
    let own = [("host", "a.example"), ("origin", "https://a.example")];
    let other = [("host", "a.example"), ("origin", "https://b.example")];
    assert_eq!(browser.post("/open", &own).status, 200);
    assert_eq!(browser.post("/open", &other).status, 403);

    // In HTTP/2 the URI has the host.
    let (url, own) = ("https://a.example/open", "https://a.example");
    let asked = |host| [("host", host), ("origin", own)];
    assert_eq!(browser.post(url, &asked("b.example")).status, 200);
    let other = "https://b.example/open";
    assert_eq!(browser.post(other, &asked("a.example")).status, 403);

    let other = [("host", "a.example"), ("origin", "https://b.example")];
    let policy = OriginPolicy::new().trust("https://b.example").unwrap();
    let trusting = layer(sessions(&store(), &clock), transport()).origins(policy);
    assert_eq!(Browser::of(&trusting).post("/open", &other).status, 200);
    let open = layer(sessions(&store(), &clock), transport()).any_origin();
    assert_eq!(Browser::of(&open).post("/open", &foreign).status, 200);
    // Without cookies, every origin is allowed.
    let tokens = layer(tokens(&clock), Transport::bearer());
    assert_eq!(Browser::of(&tokens).post("/open", &foreign).status, 200);
}

/// WEB-06: fields of proxies are not read, because clients can send them too.
#[test]
fn forwarded_fields_change_nothing() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(sessions(&store(), &clock), transport()));
    let forwarded = [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "b.example"),
        ("forwarded", "proto=http;host=b.example"),
        ("host", "a.example"),
        ("origin", "https://b.example"),
    ];
    assert_eq!(browser.post("/open", &forwarded).status, 403);
    let answer = browser.post(
        "/login",
        &[("x-forwarded-proto", "http"), ("x-user", "alice")],
    );
    assert!(answer.set_cookies()[0].contains("; Secure;"));
}
