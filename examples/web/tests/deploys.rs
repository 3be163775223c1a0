//! Deployments that change an attribute of the cookie, in a real browser: users stay logged in.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde_json::json;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::ManualClock;
use statewise::web::{Auth, AuthLayer, Cookie, CookieBuilder, Denial, SameSite, SignIn, Transport};
use statewise::{DynAuthenticator, Login};

#[path = "browser/chromium.rs"]
#[allow(dead_code, reason = "another test presses keys")]
mod chromium;
#[path = "../../../tests/support/mod.rs"]
mod shared;
mod support;

use chromium::Chromium;
use support::Served;

/// Users of each deployment. Each has a host of its own, so a browser keeps their cookies apart.
const USERS: usize = 8;

async fn log_in(sign_in: SignIn, fields: HeaderMap) -> Result<String, Denial> {
    let user = fields["x-user"].to_str().unwrap();
    let caller = sign_in.issue(Login::new(user)).await?;
    Ok(caller.subject().to_owned())
}

async fn me(caller: Auth) -> String {
    caller.subject().to_owned()
}

async fn log_out(sign_in: SignIn) -> Result<(), Denial> {
    sign_in.revoke().await.map(drop)
}

/// Serves one version of the service.
fn serve(auth: &Arc<dyn DynAuthenticator<()>>, transport: Transport) -> Served {
    let router = Router::new()
        .route("/app/page", get(|| async { "a page" }))
        .route("/app/login", post(log_in))
        .route("/app/me", get(me))
        .route("/app/logout", post(log_out));
    Served::new(router.layer(AuthLayer::new(Arc::clone(auth), transport).unwrap()))
}

struct Deployment {
    what: &'static str,
    old: CookieBuilder,
    new: CookieBuilder,
    keeps_both: bool,
}

/// Each attribute. `host` is the domain of the hosts.
fn deployments(domain: &str) -> Vec<Deployment> {
    let new = Cookie::builder;
    let secure = || new().name("__Secure-id");
    let embedded = || new().same_site(SameSite::None);
    let table = [
        ("name", new(), new().name("__Host-sid"), true),
        ("domain", secure(), secure().domain(domain), true),
        ("path", secure(), secure().path("/app"), true),
        ("partitioned", embedded(), embedded().partitioned(), true),
        ("same_site", new(), new().same_site(SameSite::Strict), false),
        (
            "max_age",
            new(),
            new().max_age(Duration::from_secs(86_400)),
            false,
        ),
    ];
    let deployments = table.map(|(what, old, new, keeps_both)| Deployment {
        what,
        old,
        new,
        keeps_both,
    });
    deployments.into()
}

/// Calls a route by a script of a page of that host. Returns the status and the body.
fn call(browser: &Chromium, method: &str, path: &str, user: &str) -> String {
    let script = format!(
        "const done = arguments[arguments.length - 1]; \
         fetch('{path}', {{ method: '{method}', headers: {{ 'x-user': '{user}' }} }}) \
             .then(async answer => done(answer.status + ' ' + await answer.text()))"
    );
    browser.run_async(&script).as_str().unwrap().to_owned()
}

#[test]
fn a_changed_attribute_logs_nobody_out() {
    let Some(browser) = Chromium::start(800, 600) else {
        return;
    };
    let clock = ManualClock::default();
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(1_000).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .rotate_after(Duration::from_secs(60))
        .clock(clock.clone());
    let auth: Arc<dyn DynAuthenticator<()>> = Arc::new(sessions.build().unwrap());
    // Browsers take hosts below localhost for trustworthy, so they keep `Secure` cookies of them.
    for (number, name) in deployments("example.localhost")
        .iter()
        .map(|one| one.what)
        .enumerate()
    {
        let domain = |user: usize| format!("u{user}-{number}.localhost");
        let versions = (0..USERS).map(|user| {
            let Deployment {
                old,
                new,
                keeps_both,
                ..
            } = deployments(&domain(user)).remove(number);
            let (old, new) = (old.build().unwrap(), new.build().unwrap());
            let before = Transport::cookie(old.clone());
            let after = match keeps_both {
                true => Transport::cookie(new).formerly(old).unwrap(),
                false => Transport::cookie(new),
            };
            (serve(&auth, before), serve(&auth, after))
        });
        let versions: Vec<_> = versions.collect();
        let open = |user: usize, server: &Served| {
            let (_, port) = server.origin().rsplit_once(':').unwrap();
            browser.open(&format!("http://www.{}:{port}/app/page", domain(user)));
        };
        let subject = |user: usize| format!("user{user}");
        for (user, (before, _)) in versions.iter().enumerate() {
            open(user, before);
            let answer = call(&browser, "POST", "/app/login", &subject(user));
            assert_eq!(answer, format!("200 {}", subject(user)), "{name}");
        }
        for (user, (_, after)) in versions.iter().enumerate() {
            open(user, after);
            let ask = |method: &str, path: &str| call(&browser, method, path, &subject(user));
            let logged_in = format!("200 {}", subject(user));
            assert_eq!(ask("GET", "/app/me"), logged_in, "{name}");
            match user % 4 {
                0 => assert_eq!(ask("POST", "/app/login"), logged_in),
                1 => {
                    assert_eq!(ask("POST", "/app/logout"), "200 ");
                    assert!(ask("GET", "/app/me").starts_with("401"), "{name}");
                    assert_eq!(ask("POST", "/app/login"), logged_in);
                }
                _ => {}
            }
            // The session of the others is renewed here.
            clock.advance(Duration::from_secs(61));
            assert_eq!(ask("GET", "/app/me"), logged_in, "{name}");
            assert_eq!(ask("GET", "/app/me"), logged_in, "{name}");
        }
        // One cookie is left of each, that of the new version.
        let kept = browser.all_cookies();
        let kept: Vec<_> = kept
            .iter()
            .filter(|cookie| {
                let host = cookie["domain"].as_str().unwrap();
                host.ends_with(&format!("-{number}.localhost"))
            })
            .collect();
        assert_eq!(kept.len(), USERS, "{name}: {kept:?}");
        for cookie in kept {
            let is_new = match name {
                "name" => cookie["name"] == "__Host-sid",
                "domain" => cookie["domain"].as_str().unwrap().starts_with('.'),
                "path" => cookie["path"] == "/app",
                "partitioned" => !cookie["partitionKey"].is_null(),
                "same_site" => cookie["sameSite"] == "Strict" || cookie["sameSite"] == json!("Lax"),
                _ => true,
            };
            assert!(is_new, "{name}: {cookie:?}");
        }
    }
}
