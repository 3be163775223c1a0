//! Requests of other origins in a real browser: callbacks of login providers, forms without referrers,
//! and `Secure` cookies over plain HTTP.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::map_request;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{Auth, AuthLayer, Cookie, OriginPolicy, SameSite, SignIn, Transport};
use statewise::{DynAuthenticator, Login};

#[path = "browser/chromium.rs"]
#[allow(dead_code, reason = "another test presses keys")]
mod chromium;
#[path = "../../../tests/support/mod.rs"]
mod shared;
mod support;

use chromium::Chromium;
use shared::servers::wait_until;
use support::Served;

fn layer() -> AuthLayer {
    layer_with(Cookie::default())
}

fn layer_with(cookie: Cookie) -> AuthLayer {
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(100).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .build();
    let auth: Arc<dyn DynAuthenticator<()>> = Arc::new(sessions.unwrap());
    AuthLayer::new(auth, Transport::cookie(cookie)).unwrap()
}

fn except(path: &str) -> AuthLayer {
    layer().origins(OriginPolicy::new().except(path).unwrap())
}

/// Returns the title of the page after a form of `from` was posted to `to`.
fn post_form(browser: &Chromium, from: &str, to: &str) -> String {
    browser.open(from);
    let script = "document.body.innerHTML = \
                  `<form method=post action='${arguments[0]}'><button>go</button></form>`";
    browser.run(script, &[to.into()]);
    browser.click("button");
    // The browser shows a page of its own for an empty response.
    let left = || match browser.run("return location.origin", &[]) {
        origin if origin == from => Err(origin),
        _ => Ok(()),
    };
    wait_until(left).unwrap_or_else(|origin| panic!("the form stays at {origin}"));
    let title = browser.run("return document.title || document.body.textContent", &[]);
    title.as_str().unwrap().to_owned()
}

/// A provider answers with a form that its page posts (`response_mode=form_post`).
#[test]
fn an_excepted_callback_works_where_it_is_nested() {
    let Some(browser) = Chromium::start(800, 600) else {
        return;
    };
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let called = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Html("<title>called</title>") }
    };
    let routes = || {
        Router::new()
            .route("/callback", post(called.clone()))
            .route("/delete", post(called.clone()))
    };
    let nested = |inner: Router| Router::new().nest("/auth", inner);
    // The layer sees the whole path, around the nested router and within it.
    for (place, router, passes) in [
        (
            "outside",
            nested(routes()).layer(except("/auth/callback")),
            true,
        ),
        (
            "inside",
            nested(routes().layer(except("/auth/callback"))),
            true,
        ),
        (
            "the rest, inside",
            nested(routes().layer(except("/callback"))),
            false,
        ),
        (
            "both",
            nested(routes().layer(except("/auth/callback"))).layer(except("/auth/callback")),
            true,
        ),
        ("no exception", nested(routes()).layer(layer()), false),
        (
            "the rest, outside",
            nested(routes()).layer(except("/callback")),
            false,
        ),
        (
            "inside only",
            nested(routes().layer(except("/auth/callback"))).layer(layer()),
            false,
        ),
        (
            "a router of its own",
            Router::new()
                .route("/other", get(|| async {}))
                .layer(layer())
                .merge(nested(routes()).layer(layer().any_origin())),
            true,
        ),
    ] {
        let provider = Router::new().route("/", get(|| async { Html("<title>provider</title>") }));
        let (provider, served) = (Served::new(provider), Served::new(router));
        let of = |host: &str, served: &Served| {
            let (_, port) = served.origin().rsplit_once(':').unwrap();
            format!("http://{host}.localhost:{port}")
        };
        let (from, to) = (of("provider", &provider), of("shop", &served));
        calls.store(0, Ordering::Relaxed);
        let title = post_form(&browser, &from, &format!("{to}/auth/callback"));
        assert_eq!(
            (title == "called", calls.load(Ordering::Relaxed) == 1),
            (passes, passes),
            "{place}: {title}"
        );
        // No other path is open.
        if place != "a router of its own" {
            let title = post_form(&browser, &from, &format!("{to}/auth/delete"));
            assert_ne!(title, "called", "{place}");
        }
    }
}

async fn log_in(sign_in: SignIn) -> StatusCode {
    sign_in.issue(Login::new("alice")).await.unwrap();
    StatusCode::OK
}

/// The browser drops the cookie, and the transport knows it.
#[test]
fn a_secure_cookie_over_plain_http_is_lost_and_recognized() {
    let Some(browser) = Chromium::start(800, 600) else {
        return;
    };
    let lost = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&lost);
    let note = move |request: Request| {
        let lost = Transport::cookie(Cookie::default()).loses_cookies(request.headers());
        if request.uri().path() == "/login" {
            noted.lock().unwrap().push(lost);
        }
        std::future::ready(request)
    };
    let router = Router::new()
        .route("/", get(|| async { "a page" }))
        .route("/login", post(log_in))
        .route(
            "/me",
            get(|caller: Auth| async move { caller.subject().to_owned() }),
        );
    let served = Served::new(router.layer(layer()).layer(map_request(note)));
    let (_, port) = served.origin().rsplit_once(':').unwrap();
    for (host, is_lost) in [
        ("box.lan", true),
        ("localhost", false),
        ("127.0.0.1", false),
    ] {
        browser.open(&format!("http://{host}:{port}/"));
        let call = |method: &str, path: &str| {
            let script = format!(
                "const done = arguments[arguments.length - 1]; \
                 fetch('{path}', {{ method: '{method}' }}).then(answer => done(answer.status))"
            );
            browser.run_async(&script).as_u64().unwrap()
        };
        assert_eq!(call("POST", "/login"), 200);
        assert_eq!(
            call("GET", "/me"),
            if is_lost { 401 } else { 200 },
            "{host}"
        );
        assert_eq!(lost.lock().unwrap().pop(), Some(is_lost), "{host}");
    }
}

/// Over plain HTTP, forms of a page without referrers have no origin. The documented field helps.
#[test]
fn a_page_with_forms_may_restrict_its_referrers_to_its_origin() {
    let Some(browser) = Chromium::start(800, 600) else {
        return;
    };
    for (policy, passes) in [("no-referrer", false), ("same-origin", true)] {
        let page = move || async move {
            let page = Html("<title>form</title><form method=post><button>go</button></form>");
            ([("referrer-policy", policy)], page)
        };
        let called = || async { Html("<title>called</title>") };
        let router = Router::new().route("/", get(page).post(called));
        let served = Served::new(router.layer(layer()));
        let (_, port) = served.origin().rsplit_once(':').unwrap();
        browser.open(&format!("http://box.lan:{port}/"));
        browser.click("button");
        let left = || match browser.run("return document.title", &[]) {
            title if title == "form" => Err(title),
            _ => Ok(()),
        };
        wait_until(left).unwrap_or_else(|title| panic!("the page stays {title}"));
        let title = browser.run("return document.title", &[]);
        assert_eq!(title == "called", passes, "{policy}: {title}");
    }
}

/// After the redirect of a provider, the browser sends a `Lax` cookie and no `Strict` one.
#[test]
fn a_strict_cookie_is_missing_after_the_redirect_of_a_provider() {
    let Some(browser) = Chromium::start(800, 600) else {
        return;
    };
    for (same_site, expected) in [(SameSite::Lax, "alice"), (SameSite::Strict, "anonymous")] {
        let cookie = Cookie::builder().same_site(same_site).build().unwrap();
        let callback = |sign_in: SignIn| async move {
            sign_in.issue(Login::new("alice")).await.unwrap();
            Redirect::to("/home")
        };
        let home = |caller: Option<Auth>| async move {
            let name = caller.map_or("anonymous".to_owned(), |caller| caller.subject().to_owned());
            Html(format!("<title>{name}</title>"))
        };
        let router = Router::new()
            .route("/callback", get(callback))
            .route("/home", get(home));
        let served = Served::new(router.layer(layer_with(cookie)));
        let (_, port) = served.origin().rsplit_once(':').unwrap();
        let shop = format!("http://shop.localhost:{port}");
        let link = format!("<title>provider</title><a href='{shop}/callback'>go on</a>");
        let provider = Served::new(Router::new().route("/", get(|| async { Html(link) })));
        let (_, port) = provider.origin().rsplit_once(':').unwrap();
        browser.open(&format!("http://provider.localhost:{port}/"));
        browser.click("a");
        let title = || browser.run("return document.title", &[]);
        let left = || match title() {
            title if title == "provider" => Err(title),
            _ => Ok(()),
        };
        wait_until(left).unwrap_or_else(|title| panic!("the page stays {title}"));
        assert_eq!(title(), expected);
        // At the next click the user is logged in.
        browser.run("location.href = '/home?again'", &[]);
        let logged_in = || match title() {
            title if title == "alice" => Ok(()),
            title => Err(title),
        };
        wait_until(logged_in).unwrap_or_else(|title| panic!("not logged in: {title}"));
    }
}
