//! The test client, and callers without a login.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use http::{Method, Request};
use statewise::authenticator::BoxFuture;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::testkit::{
    Fault, FaultyStore, ManualClock, TestClient, as_caller, block_on, caller, caller_at,
};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{
    Auth, AuthLayer, Cookie, Denial, Require, SameSite, SignIn, TokenError, Transport,
};
use statewise::{DynAuthenticator, Login};
use tower_layer::Layer;
use tower_service::Service;

type Store = Arc<FaultyStore<MemoryStore>>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn store() -> Store {
    let memory = MemoryStore::with_capacity(100).unwrap();
    Arc::new(FaultyStore::new(memory))
}

fn sessions(store: &Store, clock: &ManualClock) -> SessionBuilder<Store> {
    SessionAuthenticator::builder(Arc::clone(store))
        .idle(seconds(1800))
        .absolute(seconds(43_200))
        .clock(clock.clone())
}

fn tokens(clock: &ManualClock) -> TokenBuilder {
    TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(600))
        .clock(clock.clone())
}

fn layer(auth: impl DynAuthenticator<()>, transport: Transport, clock: &ManualClock) -> AuthLayer {
    let layer = AuthLayer::new(Arc::new(auth), transport).unwrap();
    layer.clock(clock.clone())
}

/// Handlers of a small application.
#[derive(Clone)]
struct App;

impl App {
    async fn act(request: Request<String>) -> Result<Response, Denial> {
        let (head, body) = request.into_parts();
        let sign_in = SignIn::<()>::of(&head.extensions)?;
        Ok(match head.uri.path() {
            "/me" => sign_in.verify().await?.subject().to_owned().into_response(),
            "/visitor" => {
                let visitor = sign_in.visitor().await?;
                let name = visitor.caller().map_or("nobody", |caller| caller.subject());
                name.to_owned().into_response()
            }
            "/now" => {
                let caller = sign_in.verify_authoritative().await?;
                caller.require_fresh(seconds(60))?;
                caller.subject().to_owned().into_response()
            }
            "/login" => {
                sign_in.issue(Login::new("carol")).await?;
                [("location", "/")].into_response()
            }
            "/logout" => {
                let _ = sign_in.revoke().await?;
                "goodbye".into_response()
            }
            "/logout-all" => {
                let _ = sign_in.revoke_all().await?;
                "goodbye".into_response()
            }
            "/auth/refresh" => sign_in
                .refresh()
                .await?
                .subject()
                .to_owned()
                .into_response(),
            "/echo" => {
                let field = |name| head.headers.get(name).map(|value| value.to_str().unwrap());
                let kind = field("content-type").unwrap_or("none").to_owned();
                let cookie = field("cookie").unwrap_or("none").to_owned();
                format!("{} {kind} {cookie} {body}", head.method).into_response()
            }
            path => {
                // Sets the cookie that the path describes.
                let line = path.trim_start_matches("/a/set/").replace('+', " ");
                [("set-cookie", line)].into_response()
            }
        })
    }
}

impl Service<Request<String>> for App {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async {
            Ok(Self::act(request)
                .await
                .unwrap_or_else(Denial::into_response))
        })
    }
}

fn client<S>(service: S, clock: &ManualClock) -> TestClient<S> {
    TestClient::new(service).clock(clock)
}

#[test]
fn a_session_is_kept_in_the_cookie_until_it_expires() {
    let (clock, store) = (ManualClock::default(), store());
    let auth = sessions(&store, &clock).build().unwrap();
    let site = layer(auth, Transport::cookie(Cookie::default()), &clock);
    let mut client = client(site.layer(App), &clock);
    block_on(async {
        assert_eq!(client.get("/me").send().await.status(), 401);
        let alice = client.log_in(&site, Login::new("alice")).await.unwrap();
        assert_eq!(alice.subject(), "alice");
        assert_eq!(client.get("/me?a=b").send().await.body(), "alice");

        store.fail_nth(1, Fault::Fails);
        let outage = client.get("/me").send().await;
        assert_eq!(outage.status(), 503);
        assert_eq!(outage.body(), "503 Service Unavailable\n");
        assert!(
            outage
                .extensions()
                .get::<Denial>()
                .unwrap()
                .error()
                .is_some()
        );
        assert_eq!(client.get("/me").send().await.body(), "alice");

        client.advance(seconds(1800));
        assert_eq!(client.get("/me").send().await.status(), 401);
        assert_eq!(client.cookie("__Host-id"), None);
    });
}

#[test]
fn logins_and_logouts_of_the_service_change_the_cookies() {
    let (clock, store) = (ManualClock::default(), store());
    let auth = sessions(&store, &clock).build().unwrap();
    let site = layer(auth, Transport::cookie(Cookie::default()), &clock);
    let mut client = client(site.layer(App), &clock);
    block_on(async {
        assert_eq!(client.post("/login").send().await.status(), 200);
        let first = client.cookie("__Host-id").unwrap().to_owned();
        assert_eq!(client.get("/me").send().await.body(), "carol");
        client.log_in(&site, Login::new("dave")).await.unwrap();
        assert_ne!(client.cookie("__Host-id").unwrap(), first);
        assert_eq!(client.get("/me").send().await.body(), "dave");
        assert_eq!(client.post("/logout").send().await.body(), "goodbye");
        assert_eq!(client.cookie("__Host-id"), None);

        client.log_in(&site, Login::new("dave")).await.unwrap();
        client.forget();
        assert_eq!(client.get("/me").send().await.status(), 401);
        // A request of another origin.
        client.log_in(&site, Login::new("dave")).await.unwrap();
        let foreign = client
            .post("/logout")
            .header("origin", "https://evil.example");
        assert_eq!(foreign.send().await.status(), 403);
    });
}

#[test]
fn a_token_goes_where_the_transport_reads_it() {
    let clock = ManualClock::default();
    let bearer = Transport::bearer().scheme("Token").unwrap();
    let site = layer(tokens(&clock).build().unwrap(), bearer, &clock);
    let mut client = client(site.layer(App), &clock);
    block_on(async {
        client.log_in(&site, Login::new("alice")).await.unwrap();
        assert_eq!(client.get("/me").send().await.body(), "alice");
        client.advance(seconds(600));
        assert_eq!(client.get("/me").send().await.status(), 401);
    });
    // Of a transport that reads both, each login takes its place.
    let site = layer(
        tokens(&clock).build().unwrap(),
        Transport::both(Cookie::default()).prefer_bearer(),
        &clock,
    );
    let mut client = TestClient::new(site.layer(App));
    block_on(async {
        client.log_in(&site, Login::new("alice")).await.unwrap();
        assert_eq!(client.get("/me").send().await.body(), "alice");
        let issued = client.log_in_with_token(&site, Login::new("bob")).await;
        assert!(issued.is_ok() && client.cookie("__Host-id").is_some());
        assert_eq!(client.get("/me").send().await.body(), "bob");
    });
    let cookies = Transport::cookie(Cookie::default());
    let site = layer(tokens(&clock).build().unwrap(), cookies, &clock);
    let issued = block_on(client.log_in_with_token(&site, Login::new("bob")));
    assert!(issued.unwrap_err().is_misuse());
}

/// The refresh cookie is sent to its path only.
#[test]
fn a_hybrid_keeps_two_cookies() {
    let (clock, store) = (ManualClock::default(), store());
    let auth = HybridAuthenticator::new(tokens(&clock), sessions(&store, &clock)).unwrap();
    let refresh = Cookie::builder().name("__Secure-refresh").path("/auth");
    let refresh = refresh.same_site(SameSite::Strict).build().unwrap();
    let transport = Transport::cookie(Cookie::default()).refresh_cookie(refresh);
    let site = layer(auth, transport.unwrap(), &clock);
    let mut client = client(site.layer(App), &clock);
    block_on(async {
        client.log_in(&site, Login::new("alice")).await.unwrap();
        client.advance(seconds(601));
        assert_eq!(client.get("/me").send().await.status(), 401);
        assert_eq!(client.post("/auth/refresh").send().await.body(), "alice");
        assert_eq!(client.get("/me").send().await.body(), "alice");
    });
}

#[test]
fn forms_and_json_are_sent_as_browsers_do() {
    let as_alice = as_caller(caller(Login::new("alice")));
    let mut client = TestClient::new(as_alice.layer(App));
    block_on(async {
        let form = client.post("/echo").form(&[("a b", "ü&="), ("c", "*-._")]);
        let form = form.send().await;
        let kind = "application/x-www-form-urlencoded";
        let pairs = "a%20b=%C3%BC%26%3D&c=*-._";
        assert_eq!(*form.body(), format!("POST {kind} none {pairs}"));
        let json = client.request(Method::PUT, "/echo").json(r#"{"a":1}"#);
        let json = json.send().await;
        assert_eq!(json.body(), "PUT application/json none {\"a\":1}");
    });
}

/// Below and above a layer, with guards, extractors and acts.
#[test]
fn every_request_comes_from_the_given_caller() {
    let clock = ManualClock::default();
    let alice = caller_at(Login::new("alice").role("admin"), clock.clone());
    let as_alice = as_caller(alice);
    let site = layer(
        tokens(&clock).build().unwrap(),
        Transport::cookie(Cookie::default()),
        &clock,
    );
    let admins = Require::authenticated().role("admin").authoritative();
    let owners = Require::authenticated().role("owner");
    block_on(async {
        let mut bare = client(as_alice.layer(App), &clock);
        let mut layered = client(as_alice.layer(site.layer(App)), &clock);
        for client in [&mut bare as &mut dyn Calls, &mut layered] {
            for path in ["/me", "/visitor", "/now", "/auth/refresh"] {
                assert_eq!(client.call(path).body(), "alice", "{path}");
            }
            for path in ["/login", "/logout", "/logout-all", "/me"] {
                assert_eq!(client.call(path).status(), 200, "{path}");
            }
        }
        let mut guarded = client(as_alice.layer(admins.layer(App)), &clock);
        assert_eq!(guarded.call("/me").body(), "alice");
        let mut guarded = client(as_alice.layer(site.layer(owners.layer(App))), &clock);
        assert_eq!(guarded.call("/me").status(), 403);
        clock.advance(seconds(61));
        assert_eq!(bare.call("/now").status(), 401);
        // Without the layer of the test there is no such caller.
        let mut stranger = client(site.layer(App), &clock);
        assert_eq!(stranger.call("/me").status(), 401);
    });
}

/// Clients of different services.
trait Calls {
    fn call(&mut self, path: &str) -> http::Response<String>;
}

impl<S, R> Calls for TestClient<S>
where
    S: Service<Request<String>, Response = http::Response<R>, Error = Infallible>,
    R: http_body::Body<Error: std::fmt::Debug>,
{
    fn call(&mut self, path: &str) -> http::Response<String> {
        block_on(self.get(path).send())
    }
}

#[test]
fn a_handler_is_called_with_its_caller() {
    struct Profile(u32);
    async fn handler(caller: Auth<Profile>) -> Result<u32, Denial> {
        caller.require_any_role(["owner", "admin"])?;
        caller.require_fresh(seconds(60))?;
        Ok(caller.data().0)
    }
    let clock = ManualClock::default();
    let user = |role| {
        caller_at(
            Login::new("alice").role(role).data(Profile(7)),
            clock.clone(),
        )
    };
    let owner = user("owner");
    assert_eq!(block_on(handler(owner.clone())).unwrap(), 7);
    let denied = block_on(handler(user("guest"))).unwrap_err();
    assert!(matches!(denied, Denial::MissingRole { .. }));
    clock.advance(seconds(61));
    let denied = block_on(handler(owner)).unwrap_err();
    assert!(matches!(denied, Denial::TooOld { .. }));
    let _: TokenError = denied.into();
}

/// Each line, and the rule by which browsers ignore it.
#[test]
fn cookies_follow_the_rules_of_browsers() {
    let as_alice = as_caller(caller(Login::new("alice")));
    let clock = ManualClock::default();
    let new = |origin: &str| client(as_alice.layer(App), &clock).origin(origin);
    let set = |client: &mut TestClient<_>, line: &str| {
        let path = format!("/a/set/{}", line.replace(' ', "+"));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.call(&path)));
        caught.is_ok()
    };
    let https = "https://www.example.com";
    for (origin, line, is_kept) in [
        (https, "__Host-id=1; Path=/; Secure", true),
        (
            https,
            "__host-id=1; Path=/; Secure; Domain=example.com",
            false,
        ),
        (https, "__Host-id=1; Path=/a; Secure", false),
        (https, "__Host-id=1; Secure", false),
        (https, "__Host-id=1; Path=/", false),
        (https, "__Secure-id=1", false),
        (https, "__Http-id=1; Secure", false),
        (https, "__Host-Http-id=1; Secure; Path=/", false),
        (https, "__Host-Http-id=1; Secure; Path=/; HttpOnly", true),
        (https, "id=1; Domain=.EXAMPLE.com", true),
        (https, "id=1; Domain=ample.com", false),
        (https, "id=1; Domain=other.example", false),
        (https, "id=1; SameSite=None", false),
        (https, "id=1; Partitioned", false),
        (https, "id=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
        (https, "=1", false),
        ("http://box.lan:8080", "id=1; Secure", false),
        ("http://box.lan:8080", "id=1", true),
        ("http://localhost:8080", "id=1; Secure", true),
    ] {
        assert_eq!(set(&mut new(origin), line), is_kept, "{line}");
    }

    let mut client = new(https);
    let sent = |client: &mut TestClient<_>| {
        let answer = client.call("/echo");
        let words: Vec<&str> = answer.body().trim().splitn(3, ' ').collect();
        words[2].to_owned()
    };
    for line in [
        "a=1; Path=/",
        "b=2; Path=/echo",
        "c=3",
        "d=4; Path=/ec",
        "e=5; Path=/; Secure",
    ] {
        assert!(set(&mut client, line));
    }
    assert!(set(
        &mut client,
        "f=6; Path=/; Max-Age=60; Domain=example.com"
    ));
    assert_eq!(sent(&mut client), "b=2; a=1; e=5; f=6");
    // A host that is not the one, and plain HTTP.
    let mut client = client.origin("https://api.example.com");
    assert_eq!(sent(&mut client), "f=6");
    let mut client = client.origin("http://www.example.com");
    assert_eq!(sent(&mut client), "b=2; a=1; f=6");
    let mut client = client.origin(https);
    clock.advance(seconds(60));
    assert_eq!(sent(&mut client), "b=2; a=1; e=5");
    // Same name with another path or partition is another cookie.
    assert!(set(&mut client, "a=7; Path=/echo"));
    assert!(set(&mut client, "a=8; Path=/; Secure; Partitioned"));
    assert_eq!(sent(&mut client), "b=2; a=7; a=1; e=5; a=8");
    assert!(set(&mut client, "a=; Path=/; Max-Age=0"));
    assert!(set(&mut client, "a=; Path=/echo; Max-Age=-1"));
    assert_eq!(sent(&mut client), "b=2; e=5; a=8");
}
