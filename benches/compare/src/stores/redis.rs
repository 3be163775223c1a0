//! On one Redis.

use std::hint::black_box;
use std::sync::Arc;

use actix_session::storage::{RedisSessionStore, SessionKey, SessionStore as _};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode, header};
use axum::routing::get;
use axum_session::{Session, SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::SessionRedisPool;
use fred::interfaces::ClientLike as _;
use fred::types::config::{Config, ServerConfig};
use statewise::store::Redis;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::{Aim, Feed, Line, Served, runtime};
use crate::site::{DUE, NOTED, Site};
use crate::support::servers::redis::RedisServer;
use crate::{EACH, ONE_OF_EIGHT, SESSIONS, User, tower, user};

const GROUP: &str = "redis, sliding verify";
const TOWER: &str = "tower-sessions-redis-store 0.16 (core 0.14)";
const ACTIX: &str = "actix-session 0.11, RedisSessionStore";
const AXUM: &str = "axum_session 0.22, in an axum 0.8 Router";
const BARE: &str = "[bare axum 0.8 Router, without a session]";
/// As in the documentation of tower-sessions' store.
const CONNECTIONS: usize = 6;
const IDLE: time::Duration = time::Duration::seconds(1_800);

type Tower = tower_sessions_redis_store::RedisStore<fred::clients::Pool>;
type AxumSession = Session<SessionRedisPool>;

async fn tower(server: &RedisServer) -> Tower {
    let config = Config {
        server: ServerConfig::new_unix_socket(server.socket()),
        ..Config::default()
    };
    let pool = fred::clients::Pool::new(config, None, None, None, CONNECTIONS);
    let pool = pool.expect("some connections");
    pool.init().await.expect("connected");
    Tower::new(pool)
}

/// As its middleware does if each request extends the session.
async fn by_actix(store: &RedisSessionStore, cookie: &str) -> User {
    let key = || SessionKey::try_from(cookie.to_owned()).expect("a key");
    let state = store.load(&key()).await.expect("loaded").expect("there");
    let user = serde_json::from_str(&state["user"]).expect("a user");
    store.update_ttl(&key(), &IDLE).await.expect("carried on");
    user
}

async fn actix_logins(store: &RedisSessionStore) -> Vec<String> {
    let mut cookies = Vec::new();
    for number in 0..SESSIONS {
        let user = serde_json::to_string(&user(number)).expect("JSON");
        let state = [("user".to_owned(), user)].into_iter().collect();
        let key = store.save(state, &IDLE).await.expect("saved");
        cookies.push(key.into());
    }
    cookies
}

async fn whoami(session: AxumSession) -> StatusCode {
    match black_box(session.get::<User>("user")) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::UNAUTHORIZED,
    }
}

async fn log_in(session: AxumSession, Path(number): Path<usize>) -> StatusCode {
    session.set("user", user(number));
    StatusCode::NO_CONTENT
}

/// Without its cache in memory, in which a logout on another node would stay unnoticed for an hour.
async fn axum(server: &RedisServer) -> Router {
    let config = SessionConfig::default()
        .with_lifetime(IDLE)
        .with_memory_lifetime(time::Duration::ZERO);
    let client = redis::Client::open(server.url()).expect("an address");
    let pool = SessionRedisPool::from(redis_pool::RedisPool::from(client));
    let store = SessionStore::new(Some(pool), config)
        .await
        .expect("a store");
    Router::new()
        .route("/", get(whoami))
        .route("/login/{number}", get(log_in))
        .layer(SessionLayer::new(store))
        .with_state(())
}

async fn axum_logins(router: &mut Router) -> Vec<String> {
    let mut cookies = Vec::new();
    for number in 0..SESSIONS {
        let request = Request::get(format!("/login/{number}")).body(Body::empty());
        let response = router.call(request.expect("a request")).await;
        let response = response.expect("infallible");
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let pairs: Vec<&str> = set
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect();
        cookies.push(pairs.join("; "));
    }
    cookies
}

async fn by_router(mut router: Router, cookie: &str) {
    let request = Request::get("/")
        .header(header::COOKIE, cookie)
        .body(Body::empty());
    let response = router.call(request.expect("a request")).await;
    let status = response.expect("infallible").status();
    assert_eq!(status, StatusCode::NO_CONTENT);
}

fn routed<'a>(group: Served<'a>, name: &str, router: Router, cookies: Feed<Line>) -> Served<'a> {
    group.add(name, move || {
        let (router, cookies) = (router.clone(), cookies.clone());
        async move { by_router(router, cookies.next()).await }
    })
}

pub fn run(options: &Options) -> Vec<Row> {
    if !options.wants(GROUP) {
        return Vec::new();
    }
    let Some(server) = RedisServer::start() else {
        return Vec::new();
    };
    let runtime = runtime();
    let feed = |cookies: Vec<String>| {
        let lines = cookies.iter().map(|text| Line::new(text));
        Feed::shuffled(lines.collect(), options.seed)
    };
    let client = redis::Client::open(server.url()).expect("an address");
    let site = |logins, runtime: &Runtime| {
        let connection = runtime.block_on(client.get_connection_manager());
        let redis = Redis::over(connection.expect("connected")).build();
        Site::new(redis.expect("a backend").sessions(), logins, runtime)
    };

    let actix = runtime.block_on(RedisSessionStore::new(server.url()));
    let actix = actix.expect("connected");
    let cookies = feed(runtime.block_on(actix_logins(&actix)));
    let mut group = Served::new(GROUP, &runtime).add(ACTIX, move || {
        let (actix, cookies) = (actix.clone(), cookies.clone());
        async move {
            black_box(by_actix(&actix, cookies.next()).await);
        }
    });
    let tower = Arc::new(runtime.block_on(tower(&server)));
    let cookies = feed(tower::log_in(&tower, &runtime));
    group = group.add(TOWER, move || {
        let (tower, cookies) = (Arc::clone(&tower), cookies.clone());
        async move {
            black_box(tower::verify(tower, cookies.next()).await);
        }
    });
    let mut router = runtime.block_on(axum(&server));
    let cookies = feed(runtime.block_on(axum_logins(&mut router)));
    let nobody = || async { StatusCode::NO_CONTENT };
    let bare = Router::new().route("/", get(nobody)).with_state(());
    group = routed(group, AXUM, router, cookies.clone());
    group = routed(group, BARE, bare, cookies);
    group = site(DUE * NOTED, &runtime).noting(group, EACH, 1, None, &runtime);
    group = site(DUE, &runtime).noting(group, ONE_OF_EIGHT, NOTED, None, &runtime);
    for peer in [ACTIX, TOWER, AXUM] {
        group = group.target(EACH, Aim::Throughput(2.0), peer);
    }
    group.run(options)
}
