//! The served site: `GET /me` answers with the caller, in about 50 bytes of JSON.

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router, serve};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::RevocationView;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::contract::SessionStore;
use statewise::store::{CachedStore, MemoryStore, Redis};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Auth, AuthLayer, Cookie, Transport};
use statewise::{DynAuthenticator, Login};
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use crate::Variant;

/// Number of users. They take turns.
pub const USERS: usize = 1_000;
const ISSUER: &str = "https://auth.example";
const AUDIENCE: &str = "api";
const IDLE: Duration = Duration::from_secs(1_800);
const ABSOLUTE: Duration = Duration::from_secs(43_200);
const ROLES: [&str; 2] = ["admin", "editor"];

/// A router, and the name and the values of the header field that presents each user to it.
struct Site {
    router: Router,
    field: &'static str,
    values: Vec<String>,
}

/// The data that the other libraries keep for a user.
#[derive(Deserialize, Serialize)]
struct User {
    subject: String,
    roles: Vec<String>,
}

#[derive(Serialize)]
struct Me<'a> {
    subject: &'a str,
    roles: Vec<&'a str>,
}

pub fn subject(number: usize) -> String {
    format!("user_{number:07}")
}

fn respond<'a>(subject: &'a str, roles: impl Iterator<Item = &'a str>) -> Response {
    let roles = roles.collect();
    Json(Me { subject, roles }).into_response()
}

/// Serves until the standard input ends, so that no server outlives the bench. Prints the port and
/// the credentials first, then the CPU time of the process for each line of input.
pub fn run(variant: Variant, redis: Option<&str>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let site = site(variant, redis).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || answer_the_bench(port, site.field, &site.values));
        serve(listener, site.router).await.expect("served");
    });
}

fn answer_the_bench(port: u16, field: &str, values: &[String]) {
    let mut out = io::stdout().lock();
    let mut head = format!("{port}\n{field}\n");
    for value in values {
        head.push_str(value);
        head.push('\n');
    }
    let mut sent = out.write_all(head.as_bytes()).and_then(|()| out.flush());
    for _ in io::stdin().lock().lines().map_while(Result::ok) {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let time = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
        sent = sent.and_then(|()| writeln!(out, "{}", time.as_nanos()));
        sent = sent.and_then(|()| out.flush());
    }
    std::process::exit(i32::from(sent.is_err()));
}

async fn site(variant: Variant, redis: Option<&str>) -> Site {
    let memory = || MemoryStore::with_capacity(USERS).expect("a capacity");
    match variant {
        Variant::NoAuth => {
            // The same cookie, ignored: the difference is the work of the authentication.
            let auth = Arc::new(sessions(memory()).build().expect("sessions"));
            Site {
                router: Router::new().route("/me", get(anybody)),
                ..ours(auth, Transport::cookie(Cookie::default())).await
            }
        }
        Variant::Session => {
            let auth = Arc::new(sessions(memory()).build().expect("sessions"));
            ours(auth, Transport::cookie(Cookie::default())).await
        }
        Variant::Bearer => {
            let auth = Arc::new(tokens().build().expect("tokens"));
            ours(auth, Transport::bearer()).await
        }
        Variant::Hybrid => {
            let auth = HybridAuthenticator::new(tokens(), sessions(memory()));
            ours(Arc::new(auth.expect("a hybrid")), Transport::bearer()).await
        }
        Variant::Cached => {
            let store = cached(redis.expect("the URL of a Redis")).await;
            let auth = Arc::new(sessions(store).build().expect("sessions"));
            ours(auth, Transport::cookie(Cookie::default())).await
        }
        Variant::TowerSessions => tower().await,
        Variant::Jsonwebtoken => by_hand(),
    }
}

fn sessions<S: SessionStore>(store: S) -> SessionBuilder<S> {
    let sessions = SessionAuthenticator::builder(store);
    sessions.idle(IDLE).absolute(ABSOLUTE)
}

fn tokens() -> TokenBuilder {
    TokenAuthenticator::builder(Key::generate_hs256().expect("entropy"))
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(IDLE / 3)
}

async fn cached(url: &str) -> impl SessionStore {
    let client = redis::Client::open(url).expect("a URL");
    let connection = client.get_connection_manager().await.expect("connected");
    let redis = Redis::over(connection).build().expect("a Redis");
    let view = RevocationView::builder(redis.revocations())
        .max_lifetime(ABSOLUTE)
        .build()
        .expect("a view");
    view.follow().await.expect("followed");
    tokio::spawn(view.upkeep().run(tokio::time::sleep));
    let store = CachedStore::builder(redis.sessions(), &view).build();
    store.expect("a store")
}

async fn anybody() -> Response {
    respond(&subject(0), ROLES.into_iter())
}

async fn ours(auth: Arc<dyn DynAuthenticator<()>>, transport: Transport) -> Site {
    async fn me(caller: Auth) -> Response {
        respond(caller.subject(), caller.roles())
    }

    let field = transport.vary();
    let prefix = match field {
        "Cookie" => "__Host-id=",
        _ => "Bearer ",
    };
    let mut values = Vec::with_capacity(USERS);
    for number in 0..USERS {
        let issued = auth
            .issue_dyn(Login::new(subject(number)).roles(ROLES))
            .await;
        let issued = issued.expect("issued");
        values.push(format!("{prefix}{}", issued.credential().reveal()));
    }
    Site {
        router: Router::new()
            .route("/me", get(me))
            .layer(AuthLayer::new(auth, transport).expect("a layer")),
        field,
        values,
    }
}

async fn tower() -> Site {
    async fn me(session: Session) -> Response {
        match session.get::<User>("user").await {
            Ok(Some(user)) => respond(&user.subject, user.roles.iter().map(String::as_str)),
            Ok(None) => StatusCode::UNAUTHORIZED.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    let store = Arc::new(tower_sessions::MemoryStore::default());
    let expiry = Expiry::OnInactivity(time::Duration::seconds(IDLE.as_secs() as i64));
    let mut values = Vec::with_capacity(USERS);
    for number in 0..USERS {
        let session = Session::new(None, store.clone(), Some(expiry));
        let user = User {
            subject: subject(number),
            roles: ROLES.map(str::to_owned).to_vec(),
        };
        session.insert("user", user).await.expect("inserted");
        session.save().await.expect("saved");
        values.push(format!("id={}", session.id().expect("saved")));
    }
    let layer = SessionManagerLayer::new(store.as_ref().clone()).with_expiry(expiry);
    Site {
        router: Router::new().route("/me", get(me)).layer(layer),
        field: "Cookie",
        values,
    }
}

#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    roles: Vec<String>,
    iat: u64,
    exp: u64,
    iss: String,
    aud: String,
    jti: String,
}

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

/// The extractor that an application writes by hand.
struct Caller(Claims);

impl FromRequestParts<Arc<Verifier>> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(
        parts: &mut Parts,
        verifier: &Arc<Verifier>,
    ) -> Result<Self, StatusCode> {
        let token = parts.headers.get(header::AUTHORIZATION);
        let token = token.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
        match decode(token, &verifier.key, &verifier.validation) {
            Ok(data) => Ok(Self(data.claims)),
            Err(_) => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

fn by_hand() -> Site {
    async fn me(Caller(claims): Caller) -> Response {
        respond(&claims.sub, claims.roles.iter().map(String::as_str))
    }

    let secret = b"thirty-two bytes, for benches on";
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let key = DecodingKey::from_secret(secret).expect("a key");
    let encoding = EncodingKey::from_secret(secret).expect("a key");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock").as_secs();
    let token = |number| {
        let claims = Claims {
            sub: subject(number),
            roles: ROLES.map(str::to_owned).to_vec(),
            iat: now,
            exp: now + IDLE.as_secs(),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            jti: format!("k3Jx9QmZ{number:04}"),
        };
        let token = encode(&Header::default(), &claims, &encoding).expect("signed");
        format!("Bearer {token}")
    };
    Site {
        values: (0..USERS).map(token).collect(),
        router: Router::new()
            .route("/me", get(me))
            .with_state(Arc::new(Verifier { key, validation })),
        field: "Authorization",
    }
}
