//! The service behind a real nginx: the host that it passes on, and the size of its buffers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{AuthLayer, Cookie, Denial, OriginPolicy, SignIn, Transport};
use statewise::{DynAuthenticator, Login};

#[path = "browser/chromium.rs"]
#[allow(dead_code, reason = "another test presses keys")]
mod chromium;
#[path = "nginx/server.rs"]
mod server;
#[path = "../../../tests/support/mod.rs"]
mod shared;
mod support;

use chromium::Chromium;
use server::Nginx;
use support::{Served, curl};

/// Denials of the service, as a log would have them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap().pop()
    }
}

async fn log_in(sign_in: SignIn, fields: HeaderMap) -> Result<(), Denial> {
    let mut login = Login::new("alice");
    let roles = fields.get("x-roles").and_then(|roles| roles.to_str().ok());
    for number in 0..roles.map_or(0, |roles| roles.parse().unwrap()) {
        login = login.role(format!("role-of-this-user-{number:03}"));
    }
    sign_in.issue(login).await.map(drop)
}

fn serve(layer: AuthLayer, log: &Log) -> Served {
    let log = log.clone();
    let note = move |response: Response| {
        if let Some(Denial::CrossOrigin(refused)) = response.extensions().get() {
            log.0.lock().unwrap().push(refused.to_string());
        }
        std::future::ready(response)
    };
    let router = Router::new()
        .route("/page", get(|| async { "a page" }))
        .route("/login", post(log_in));
    Served::new(router.layer(layer).layer(map_response(note)))
}

fn sessions() -> Arc<dyn DynAuthenticator<()>> {
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(100).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200));
    Arc::new(sessions.build().unwrap())
}

/// Lines of the documentation, over plain HTTP on a port that is not the default one.
#[test]
fn the_host_line_of_the_documentation_lets_forms_pass() {
    let browser = Chromium::start(800, 600);
    let documentation = include_str!("../../../src/web/origin.rs");
    let documented = "proxy_set_header Host $http_host;";
    assert!(documentation.contains(documented));
    let insecure = || Transport::cookie(Cookie::builder().insecure().build().unwrap());
    for (line, trusts, expected) in [
        ("", false, Err("127.0.0.1:UPSTREAM")),
        ("proxy_set_header Host $host;", false, Err("box.lan")),
        (documented, false, Ok(())),
        ("proxy_set_header Host $host;", true, Ok(())),
        ("", true, Ok(())),
    ] {
        let log = Log::default();
        // The port of the proxy is known only when it runs, so a rule compares the rest.
        let policy = OriginPolicy::new()
            .trust_if(move |origin| trusts && origin.starts_with("http://box.lan:"));
        let served = serve(
            AuthLayer::new(sessions(), insecure())
                .unwrap()
                .origins(policy),
            &log,
        );
        let Some(nginx) = Nginx::start(served.origin(), line) else {
            return;
        };
        let host = format!("box.lan:{}", nginx.port);
        let origin = format!("Origin: http://{host}");
        let (resolved, url) = (format!("{host}:127.0.0.1"), format!("http://{host}/login"));
        let post = ["-X", "POST", "--resolve", &resolved, "-H", &origin, &url];
        let status = curl(&post).status;
        assert_eq!(status, if expected.is_ok() { 200 } else { 403 }, "{line:?}");
        // The refusal names all that one needs to see the cause.
        let (_, upstream) = served.origin().rsplit_once(':').unwrap();
        let refused = expected.err().map(|seen| {
            let seen = seen.replace("UPSTREAM", upstream);
            format!("POST from origin http://{host} to host {seen}")
        });
        assert_eq!(log.last(), refused, "{line:?}");
        // A page over TLS has another field, which no proxy changes.
        let fetch = ["-H", "Sec-Fetch-Site: same-origin"];
        assert_eq!(curl(&[&fetch[..], &post].concat()).status, 200);

        if let Some(browser) = &browser {
            browser.open(&format!("http://{host}/page"));
            let script = "const done = arguments[arguments.length - 1]; \
                          fetch('/login', { method: 'POST' }).then(answer => done(answer.status))";
            assert_eq!(browser.run_async(script), status, "{line:?}");
            assert_eq!(log.last(), refused, "{line:?}");
        }
    }
}

/// The largest cookie passes the buffers of nginx. A larger one is refused by the service.
#[test]
fn the_largest_cookie_passes_the_default_buffers() {
    let tokens = || {
        TokenAuthenticator::builder(Key::generate_hs256().unwrap())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
    };
    let attributes = Cookie::builder()
        .name("__Secure-id")
        .path("/a/path/of/the/service");
    let default = attributes.clone().build().unwrap();
    let unlimited = attributes.max_bytes(4096).build().unwrap();
    let log = Log::default();
    let serve = |cookie: Cookie| {
        let auth: Arc<dyn DynAuthenticator<()>> = Arc::new(tokens().build().unwrap());
        serve(
            AuthLayer::new(auth, Transport::cookie(cookie)).unwrap(),
            &log,
        )
    };
    let (default, unlimited) = (serve(default), serve(unlimited));
    let Some(by_default) = Nginx::start(default.origin(), "") else {
        return;
    };
    let behind = Nginx::start(unlimited.origin(), "").unwrap();
    let log_in = |port: u16, roles: usize| {
        let roles = format!("x-roles: {roles}");
        curl(&[
            "-X",
            "POST",
            "-H",
            &roles,
            &format!("http://127.0.0.1:{port}/login"),
        ])
    };
    let accepted = (1..200).take_while(|roles| log_in(by_default.port, *roles).status == 200);
    let most = accepted.last().unwrap();
    let longest = log_in(by_default.port, most).field("set-cookie").len();
    assert!((3_500..3_700).contains(&longest), "{longest}");
    assert_eq!(log_in(by_default.port, most + 1).status, 500);
    // The limit prevents a login that succeeds, and an answer that the proxy drops.
    let statuses: Vec<u16> = (most..most + 30)
        .map(|roles| log_in(behind.port, roles).status)
        .collect();
    assert!(statuses.contains(&502), "{statuses:?}");
}
