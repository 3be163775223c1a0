//! Small service behind the layer, and a browser that calls it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use statewise::authenticator::BoxFuture;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::{FaultyStore, ManualClock, YieldingStore, block_on};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Auth, AuthLayer, AuthService, Cookie, Denial, SignIn, Transport, Visitor};
use statewise::{DynAuthenticator, Login, Revocation};
use tower_layer::Layer;
use tower_service::Service;

pub(crate) const IDLE: u64 = 1800;
pub(crate) const ABSOLUTE: u64 = 43_200;

pub(crate) type Store = Arc<FaultyStore<MemoryStore>>;

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn store() -> Store {
    let memory = MemoryStore::with_capacity(1_000).unwrap();
    Arc::new(FaultyStore::new(memory))
}

fn sessions_of<S: SessionStore>(store: S, clock: &ManualClock) -> SessionBuilder<S, ()> {
    SessionAuthenticator::builder(store)
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
}

pub(crate) fn sessions(store: &Store, clock: &ManualClock) -> Arc<SessionAuthenticator<Store>> {
    Arc::new(sessions_of(Arc::clone(store), clock).build().unwrap())
}

pub(crate) type Yielding = Arc<SessionAuthenticator<YieldingStore<MemoryStore>>>;

/// Sessions in a store that yields once at each call. The credential is due for rotation after a
/// minute.
pub(crate) fn yielding(clock: &ManualClock) -> Yielding {
    let memory = MemoryStore::with_capacity(100).unwrap();
    let sessions = sessions_of(YieldingStore::new(memory), clock).rotate_after(seconds(60));
    Arc::new(sessions.build().unwrap())
}

/// Returns the number of live sessions of a user.
pub(crate) fn live<S: SessionStore>(auth: &SessionAuthenticator<S>, user: &str) -> usize {
    block_on(auth.sessions(user, None)).unwrap().sessions.len()
}

/// Sessions with a credential that is due for rotation after a minute.
pub(crate) fn rotating(store: &Store, clock: &ManualClock) -> Arc<SessionAuthenticator<Store>> {
    let sessions = sessions_of(Arc::clone(store), clock).rotate_after(seconds(60));
    Arc::new(sessions.build().unwrap())
}

fn tokens_for(lifetime: u64, clock: &ManualClock) -> TokenBuilder {
    let key = Key::hs256(&(1..=32).collect::<Vec<u8>>()).unwrap();
    TokenAuthenticator::builder(key)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(lifetime))
        .clock(clock.clone())
}

pub(crate) fn tokens(clock: &ManualClock) -> Arc<TokenAuthenticator> {
    Arc::new(tokens_for(900, clock).build().unwrap())
}

pub(crate) fn hybrid(store: &Store, clock: &ManualClock) -> Arc<HybridAuthenticator<Store>> {
    let (access, refresh) = (
        tokens_for(600, clock),
        sessions_of(Arc::clone(store), clock),
    );
    Arc::new(HybridAuthenticator::new(access, refresh).unwrap())
}

/// Place where a handler leaves its `SignIn` for a task that outlives it.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Arc<Mutex<Option<SignIn>>>);

/// Service with one act per path; see [`Handler::act`].
#[derive(Clone)]
pub(crate) struct Handler;

impl Handler {
    async fn act(request: Request<Body>) -> Result<Response, String> {
        let (mut parts, _) = request.into_parts();
        let header = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (user, then, sent) = (header("x-user"), header("x-then"), header("x-token"));
        let path = parts.uri.path().to_owned();
        let sign_in = || SignIn::<()>::of(&parts.extensions);
        let answer = match &*path {
            "/open" => Ok("open".into_response()),
            "/fields" => Ok(format!("{:?}", parts.headers).into_response()),
            "/private" | "/private-last" | "/private-quoted" => {
                caller::<()>(&mut parts).await.map(|caller| {
                    let (cache, vary) = match &*path {
                        "/private" => ("private, max-age=60", "Cookie"),
                        "/private-quoted" => ("max-age=60, ext=\"a, private, b\"", "Cookie"),
                        _ => ("max-age=60, private", "Accept, cookie"),
                    };
                    let fields = [("cache-control", cache), ("vary", vary)];
                    (fields, caller.subject().to_owned()).into_response()
                })
            }
            "/targeted" => caller::<()>(&mut parts).await.map(|_| {
                let fields = [
                    ("cache-control", "private, max-age=60"),
                    ("cdn-cache-control", "public, max-age=60"),
                    ("example-cache-control", "max-age=60"),
                    ("edge-control", "max-age=60"),
                    ("surrogate-control", "max-age=60"),
                    ("x-accel-expires", "60"),
                    ("x-cache", "kept"),
                ];
                fields.into_response()
            }),
            "/me" | "/auth/me" => caller::<()>(&mut parts).await.map(|caller| named(&caller)),
            "/maybe" => {
                let caller: Result<Option<Auth>, Denial> =
                    <Auth as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &())
                        .await;
                caller.map(|caller| match caller {
                    Some(caller) => named(&caller),
                    None => "anonymous".into_response(),
                })
            }
            "/visitor" | "/form" => {
                Visitor::from_request_parts(&mut parts, &())
                    .await
                    .map(|visitor: Visitor| match visitor.caller() {
                        Some(caller) => named(caller),
                        None if visitor.was_logged_in() => "former".into_response(),
                        None => "anonymous".into_response(),
                    })
            }
            "/other" => caller::<u32>(&mut parts).await.map(|caller| named(&caller)),
            "/login" => Self::log_in(sign_in(), &user.unwrap_or_default()).await,
            "/keep" | "/keep-forever" | "/me-keep" | "/login-keep" => {
                match &*path {
                    "/me-keep" => drop(sign_in().unwrap().verify().await.unwrap()),
                    "/login-keep" => drop(Self::log_in(sign_in(), "bob").await.unwrap()),
                    _ => {}
                }
                let kept = parts.extensions.get::<Kept>().unwrap();
                *kept.0.lock().unwrap() = Some(sign_in().unwrap());
                if path == "/keep-forever" {
                    std::future::pending::<()>().await;
                }
                Ok("kept".into_response())
            }
            "/login-twice" => match Self::log_in(sign_in(), "first").await {
                Ok(_) => Self::log_in(sign_in(), "second").await,
                denied => denied,
            },
            "/login-twice-me" => {
                Self::log_in(sign_in(), "first").await.unwrap();
                let denied = Self::log_in(sign_in(), "second").await.unwrap_err();
                let after = sign_in().unwrap().verify().await.unwrap_err();
                Ok(format!("{denied}, {after}").into_response())
            }
            "/login-refresh" => match Self::log_in(sign_in(), "second").await {
                Ok(_) => {
                    let caller = sign_in().unwrap().refresh().await;
                    caller.map(|caller| named(&caller))
                }
                denied => denied,
            },
            "/login-logout" => match Self::log_in(sign_in(), "first").await {
                Ok(_) => sign_in().unwrap().revoke().await.map(printed),
                denied => denied,
            },
            "/login-logout-all" => match Self::log_in(sign_in(), "first").await {
                Ok(_) => sign_in()
                    .unwrap()
                    .revoke_all()
                    .await
                    .map(|all| printed(all.effective)),
                denied => denied,
            },
            "/me-logout-me" => {
                let sign_in = sign_in().unwrap();
                let before = sign_in.verify().await.unwrap().subject().to_owned();
                let _ = sign_in.revoke().await.unwrap();
                let after = sign_in.verify().await.unwrap_err().to_string();
                Ok(format!("{before}, {after}").into_response())
            }
            "/wrong-password" => Err(Denial::Unproven),
            "/redirect" => {
                let denied = sign_in().unwrap().verify().await.unwrap_err();
                let mut response = denied.into_response();
                *response.status_mut() = StatusCode::SEE_OTHER;
                Ok(response)
            }
            "/login-with-fields" => Self::log_in(sign_in(), "alice").await.map(|response| {
                let fields = [
                    ("cache-control", "private, max-age=60"),
                    ("set-cookie", "__Host-id=planted; Path=/; Secure"),
                    ("set-cookie", "__Host-id2=other; Path=/"),
                ];
                let fields = fields.map(|(name, value)| {
                    let name = http::HeaderName::from_static(name);
                    (name, http::HeaderValue::from_static(value))
                });
                let mut response = response;
                for (name, value) in fields {
                    response.headers_mut().append(name, value);
                }
                response
            }),
            "/token" => {
                let issued = sign_in()
                    .unwrap()
                    .issue_token(Login::new(user.unwrap()))
                    .await;
                issued.map(IntoResponse::into_response)
            }
            "/refresh-token" => {
                let issued = sign_in().unwrap().refresh_token(&sent.unwrap()).await;
                Ok(issued.map_or_else(IntoResponse::into_response, IntoResponse::into_response))
            }
            "/auth/refresh" => {
                let caller = sign_in().unwrap().refresh().await;
                caller.map(|caller| named(&caller))
            }
            "/login-clearing-itself" => {
                Self::log_in(sign_in(), &user.unwrap())
                    .await
                    .map(|response| {
                        let line = sent.unwrap();
                        ([("set-cookie", line)], response).into_response()
                    })
            }
            "/auth/logout" | "/logout" => sign_in().unwrap().revoke().await.map(printed),
            "/auth/login" => Self::log_in(sign_in(), &user.unwrap()).await,
            "/logout-all" => sign_in()
                .unwrap()
                .revoke_all()
                .await
                .map(|all| printed(all.effective)),
            _ => Ok(StatusCode::NOT_FOUND.into_response()),
        };
        match then.as_deref() {
            Some("panic") => panic!("requested panic"),
            Some(code) if code.starts_with("grpc-") => {
                let status = [("grpc-status", code.trim_start_matches("grpc-"))];
                Ok(status.into_response())
            }
            Some("error") => Err("requested error".to_owned()),
            Some(status) => {
                let status = status.parse::<u16>().unwrap();
                Ok(StatusCode::from_u16(status).unwrap().into_response())
            }
            None => Ok(answer.unwrap_or_else(IntoResponse::into_response)),
        }
    }

    async fn log_in(sign_in: statewise::Result<SignIn>, user: &str) -> Result<Response, Denial> {
        let caller = sign_in?.issue(Login::new(user)).await?;
        Ok(named(&caller))
    }
}

/// Extracts the caller as an argument of a handler.
async fn caller<D: Send + Sync + 'static>(parts: &mut Parts) -> Result<Auth<D>, Denial> {
    <Auth<D> as FromRequestParts<()>>::from_request_parts(parts, &()).await
}

fn named<D>(caller: &Auth<D>) -> Response {
    caller.subject().to_owned().into_response()
}

fn printed(revocation: Revocation) -> Response {
    format!("{revocation:?}").into_response()
}

impl Service<Request<Body>> for Handler {
    type Response = Response;
    type Error = String;
    type Future = BoxFuture<'static, Result<Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(Self::act(request))
    }
}

/// Parts of a response that tests check.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) cause: Option<Denial>,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} occurs twice: {all:?}");
        all.first().copied()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.all("set-cookie")
    }
}

pub(crate) fn transport() -> Transport {
    Transport::cookie(Cookie::default())
}

pub(crate) fn layer(auth: Arc<dyn DynAuthenticator<()>>, transport: Transport) -> AuthLayer {
    AuthLayer::new(auth, transport).unwrap()
}

/// Browser that stores cookies by name and path, and sends them back.
#[derive(Clone)]
pub(crate) struct Browser<S = AuthService<Handler>> {
    pub(crate) service: S,
    pub(crate) jar: BTreeMap<String, (String, String)>,
}

impl Browser {
    pub(crate) fn of(layer: &AuthLayer) -> Self {
        Self::before(layer.layer(Handler))
    }
}

impl<S, B> Browser<S>
where
    S: Service<Request<Body>, Response = http::Response<B>, Error = String>,
    B: http_body::Body<Data: AsRef<[u8]>, Error: std::fmt::Debug>,
{
    pub(crate) fn before(service: S) -> Self {
        Self {
            service,
            jar: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[])
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", path, fields)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, fields).unwrap()
    }

    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let sent = self.jar.iter();
        let sent = sent.filter(|(_, (_, under))| path.starts_with(&**under));
        let pairs: Vec<String> = sent
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            request = request.header("cookie", pairs.join("; "));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = block_on(self.service.call(request))?;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: text(body),
            cause: parts.extensions.get::<Denial>().cloned(),
        };
        let mut names = Vec::new();
        for line in answer.set_cookies() {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            assert!(!names.contains(&name), "{name} is set twice");
            names.push(name);
            let attributes: Vec<&str> = parts.collect();
            let path = attributes.iter().find_map(|one| one.strip_prefix("Path="));
            if attributes.contains(&"Max-Age=0") {
                self.jar.remove(name);
            } else {
                let kept = (value.to_owned(), path.unwrap().to_owned());
                self.jar.insert(name.to_owned(), kept);
            }
        }
        Ok(answer)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.get(name).map(|(value, _)| value.clone())
    }

    pub(crate) fn id(&self) -> String {
        self.cookie("__Host-id").unwrap()
    }

    pub(crate) fn plant(&mut self, value: &str) {
        let kept = (value.to_owned(), "/".to_owned());
        self.jar.insert("__Host-id".to_owned(), kept);
    }

    pub(crate) fn log_in(&mut self, user: &str) -> Answer {
        let answer = self.post("/login", &[("x-user", user)]);
        assert_eq!((answer.status, &*answer.body), (200, user));
        answer
    }
}

pub(crate) fn text<B>(body: B) -> String
where
    B: http_body::Body<Data: AsRef<[u8]>, Error: std::fmt::Debug>,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = block_on(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx))) {
        bytes.extend_from_slice(frame.unwrap().data_ref().unwrap().as_ref());
    }
    String::from_utf8(bytes).unwrap()
}
