//! Data that a version of the service cannot read: the browser keeps its cookies.

use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use statewise::authenticator::BoxFuture;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::testkit::ManualClock;
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{AuthLayer, AuthService, Cookie, Denial, SignIn, Transport};
use statewise::{DynAuthenticator, Login};
use tower_layer::Layer;
use tower_service::Service;

use crate::hybrids::two_cookies;
use crate::site::{Answer, Browser, Store, seconds, store};

/// Service with data of type `D` in its logins.
struct Portal<D>(PhantomData<fn() -> D>);

impl<D> Clone for Portal<D> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

trait Data: Default + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<D: Default + Serialize + DeserializeOwned + Send + Sync + 'static> Data for D {}

impl<D: Data> Service<Request<Body>> for Portal<D> {
    type Response = Response;
    type Error = String;
    type Future = BoxFuture<'static, Result<Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sign_in = SignIn::<D>::of(request.extensions()).unwrap();
        let path = request.uri().path().to_owned();
        Box::pin(async move {
            let answer = match &*path {
                "/me" => sign_in
                    .verify()
                    .await
                    .map(|caller| caller.subject().to_owned()),
                "/fresh" => {
                    let caller = sign_in.verify_authoritative().await;
                    caller.map(|caller| caller.subject().to_owned())
                }
                "/auth/refresh" => {
                    let caller = sign_in.refresh().await;
                    caller.map(|caller| caller.subject().to_owned())
                }
                "/auth/logout" => sign_in.revoke().await.map(|when| format!("{when:?}")),
                _ => {
                    let login = Login::new("alice").data(D::default());
                    let caller = sign_in.issue(login).await;
                    caller.map(|caller| caller.subject().to_owned())
                }
            };
            let answer: Result<String, Denial> = answer;
            Ok(answer.map_or_else(IntoResponse::into_response, IntoResponse::into_response))
        })
    }
}

type Visitor<D> = Browser<AuthService<Portal<D>, D>>;

/// The browser that meets another version of the service.
fn deployed<D: Data, E: Data>(
    browser: &Visitor<E>,
    version: &AuthService<Portal<D>, D>,
) -> Visitor<D> {
    Browser {
        service: version.clone(),
        jar: browser.jar.clone(),
    }
}

fn service<D: Data>(
    auth: impl statewise::Authenticator<Data = D> + 'static,
    transport: &Transport,
) -> AuthService<Portal<D>, D> {
    let auth: Arc<dyn DynAuthenticator<D>> = Arc::new(auth);
    AuthLayer::new(auth, transport.clone())
        .unwrap()
        .layer(Portal(PhantomData))
}

fn sessions<D>(store: &Store, clock: &ManualClock) -> SessionBuilder<Store, D> {
    SessionAuthenticator::builder(Arc::clone(store))
        .idle(seconds(1800))
        .absolute(seconds(43_200))
        .clock(clock.clone())
        .with_data()
}

fn tokens<D>(clock: &ManualClock) -> TokenBuilder<D> {
    TokenAuthenticator::builder(Key::hs256(b"a key of the tests, which is no secret").unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(600))
        .clock(clock.clone())
        .with_data()
}

fn hybrid<D: Data>(store: &Store, clock: &ManualClock) -> HybridAuthenticator<Store, D> {
    HybridAuthenticator::new(tokens(clock), sessions(store, clock)).unwrap()
}

fn assert_blames_the_service(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {answer:?}");
    assert!(answer.set_cookies().is_empty(), "{what}: {answer:?}");
    assert_eq!(answer.one("www-authenticate"), None, "{what}");
    assert_eq!(answer.one("cache-control"), Some("no-store"), "{what}");
    assert!(answer.one("retry-after").is_some(), "{what}");
    assert_eq!(answer.body, "503 Service Unavailable\n", "{what}");
    let denial = answer.cause.as_ref().unwrap();
    assert!(denial.error().unwrap().is_unreadable() && !denial.is_rejected());
}

/// A bad version is deployed while a user is logged in, and is rolled back.
fn survives<G: Data, B: Data>(
    good: &AuthService<Portal<G>, G>,
    bad: &AuthService<Portal<B>, B>,
    clock: &ManualClock,
    what: &str,
) {
    let mut before: Visitor<G> = Browser::before(good.clone());
    assert_eq!(before.post("/auth/login", &[]).status, 200, "{what}");
    let navigation = [
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
    ];
    let mut during = deployed(&before, bad);
    for _ in 0..3 {
        clock.advance(seconds(60));
        for path in ["/me", "/fresh"] {
            assert_blames_the_service(&during.send("GET", path, &navigation), what);
        }
        assert_blames_the_service(&during.send("POST", "/auth/refresh", &navigation), what);
        let grpc = [("content-type", "application/grpc")];
        let answer = during.send("POST", "/me", &grpc);
        assert_eq!(answer.one("grpc-status"), Some("14"), "{what}");
        assert!(answer.set_cookies().is_empty(), "{what}");
    }
    assert_eq!(during.jar, before.jar, "{what}");

    clock.advance(seconds(60));
    let mut after = deployed(&during, good);
    assert_eq!(after.get("/me").body, "alice", "{what}");
    assert_eq!(after.post("/auth/refresh", &[]).body, "alice", "{what}");
    assert_eq!(after.get("/me").body, "alice", "{what}");

    // While the bad version runs, the user can log in again, and log out.
    let mut anew = deployed(&after, bad);
    assert_eq!(anew.post("/auth/login", &[]).status, 200, "{what}");
    assert_eq!(anew.get("/me").body, "alice", "{what}");
    let mut out = deployed(&after, bad);
    assert_eq!(out.post("/auth/logout", &[]).status, 200, "{what}");
    assert!(out.jar.is_empty(), "{what}");
}

/// A version that cannot read the data of a login answers 503 and leaves the cookies alone, so that a
/// rollback brings the user back. Rejects an answer of 401, at which the layer removes the cookie.
#[test]
fn a_bad_deployment_costs_no_cookie() {
    let clock = ManualClock::default();
    let one = Transport::cookie(Cookie::default());
    let store = store();
    survives(
        &service(sessions::<u64>(&store, &clock).build().unwrap(), &one),
        &service(sessions::<String>(&store, &clock).build().unwrap(), &one),
        &clock,
        "sessions",
    );
    survives(
        &service(tokens::<u64>(&clock).build().unwrap(), &one),
        &service(tokens::<String>(&clock).build().unwrap(), &one),
        &clock,
        "tokens",
    );
    survives(
        &service(hybrid::<u64>(&store, &clock), &two_cookies()),
        &service(hybrid::<String>(&store, &clock), &two_cookies()),
        &clock,
        "hybrid",
    );
}
