//! Handlers of an application on axum, tested without a server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::{Deserialize, Serialize};
use statewise::Login;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{Fault, FaultyStore, ManualClock, TestClient, as_caller, caller};
use statewise::web::{
    Auth, AuthLayer, Cookie, Denial, Require, SignIn, Transport, Visitor, local_path,
};

// The application.

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    display_name: String,
}

type Caller = Auth<Profile>;

async fn home(visitor: Visitor<Profile>) -> String {
    let name = visitor.caller().map(|caller| &*caller.data().display_name);
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(caller: Caller) -> Result<Json<Profile>, Denial> {
    caller.require_fresh(Duration::from_secs(300))?;
    Ok(Json(caller.data().clone()))
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
    next: Option<String>,
}

async fn log_in(
    sign_in: SignIn<Profile>,
    Form(given): Form<Credentials>,
) -> Result<Redirect, Denial> {
    if given.password != "open sesame" {
        return Err(Denial::Unproven);
    }
    sign_in.issue(alice().role(given.user)).await?;
    let next = given.next.as_deref().and_then(local_path);
    Ok(Redirect::to(next.unwrap_or("/")))
}

fn router() -> Router {
    let staff = Require::with_data::<Profile>();
    let staff = staff.any_role(["admin", "editor"]);
    let staff = Router::new().route("/staff", get(home)).layer(staff);
    Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/login", post(log_in))
        .merge(staff)
}

// Its tests.

fn alice() -> Login<Profile> {
    Login::new("alice").data(Profile {
        display_name: "Alice".to_owned(),
    })
}

struct Site {
    clock: ManualClock,
    store: Arc<FaultyStore<MemoryStore>>,
    layer: AuthLayer<Profile>,
}

fn site() -> Site {
    let clock = ManualClock::default();
    let memory = MemoryStore::with_capacity(100).unwrap();
    let store = Arc::new(FaultyStore::new(memory));
    let auth = SessionAuthenticator::builder(Arc::clone(&store))
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(12 * 3600))
        .with_data::<Profile>()
        .clock(clock.clone())
        .build()
        .unwrap();
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default())).unwrap();
    let layer = layer.clock(clock.clone()).login_page("/login").unwrap();
    Site {
        clock,
        store,
        layer,
    }
}

impl Site {
    fn client(&self) -> TestClient<Router> {
        TestClient::new(router().layer(self.layer.clone())).clock(&self.clock)
    }
}

#[tokio::test]
async fn a_user_logs_in_and_comes_back_to_the_page() {
    let mut client = site().client();
    let denied = client.get("/account?a=b").header("accept", "text/html");
    let denied = denied.send().await;
    assert_eq!(denied.status(), 303);
    assert_eq!(denied.headers()["location"], "/login?next=/account%3Fa%3Db");
    let fields = [("user", "editor"), ("password", "guess")];
    assert_eq!(
        client.post("/login").form(&fields).send().await.status(),
        401
    );
    let fields = [
        ("user", "editor"),
        ("password", "open sesame"),
        ("next", "/account?a=b"),
    ];
    let logged_in = client.post("/login").form(&fields).send().await;
    assert_eq!(logged_in.headers()["location"], "/account?a=b");
    let account = client.get("/account?a=b").send().await;
    assert_eq!(account.body(), r#"{"display_name":"Alice"}"#);
    assert_eq!(client.get("/staff").send().await.body(), "hello Alice");
}

#[tokio::test]
async fn a_given_user_is_logged_in_until_the_clock_says_otherwise() {
    let site = site();
    let mut client = site.client();
    client.log_in(&site.layer, alice()).await.unwrap();
    assert_eq!(client.get("/").send().await.body(), "hello Alice");
    assert_eq!(client.get("/staff").send().await.status(), 403);
    client.advance(Duration::from_secs(301));
    assert_eq!(client.get("/account").send().await.status(), 401);
    assert_eq!(client.get("/").send().await.body(), "hello Alice");
    client.advance(Duration::from_secs(1800));
    assert_eq!(client.get("/").send().await.body(), "hello stranger");
}

#[tokio::test]
async fn an_outage_is_a_503_and_logs_nobody_out() {
    let site = site();
    let mut client = site.client();
    client.log_in(&site.layer, alice()).await.unwrap();
    site.store.fail_nth(1, Fault::Fails);
    assert_eq!(client.get("/").send().await.status(), 503);
    assert_eq!(client.get("/").send().await.body(), "hello Alice");
}

/// With the layer of the application or without one.
#[tokio::test]
async fn a_router_runs_as_a_given_user() {
    let as_editor = as_caller(caller(alice().role("editor")));
    for app in [router(), router().layer(site().layer)] {
        let mut client = TestClient::new(app.layer(as_editor.clone()));
        assert_eq!(client.get("/staff").send().await.body(), "hello Alice");
        assert_eq!(client.get("/account").send().await.status(), 200);
    }
}

/// A second layer by mistake, over another store: the inner one serves, and each cookie is set once.
#[tokio::test]
async fn of_two_layers_the_inner_one_serves() {
    let (inner, outer) = (site(), site());
    let app = router().layer(inner.layer).layer(outer.layer);
    let mut client = TestClient::new(app).clock(&inner.clock);
    // A form that loses `next` leads to the first page.
    let fields = [("user", "editor"), ("password", "open sesame")];
    let logged_in = client.post("/login").form(&fields).send().await;
    assert_eq!(logged_in.headers()["location"], "/");
    assert_eq!(logged_in.headers().get_all("set-cookie").iter().count(), 1);
    assert_eq!(client.get("/staff").send().await.body(), "hello Alice");
    outer.store.fail_nth(1, Fault::Fails);
    assert_eq!(client.get("/account").send().await.status(), 200);
    inner.store.fail_nth(1, Fault::Fails);
    assert_eq!(client.get("/account").send().await.status(), 503);
}

#[tokio::test]
async fn a_handler_is_a_function() {
    let Json(profile) = account(caller(alice())).await.unwrap();
    assert_eq!(profile.display_name, "Alice");
}
