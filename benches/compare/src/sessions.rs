//! Verifies a session in memory: from the value of the cookie to a typed user.
//!
//! Each library runs in its usual way, with the least configuration. `axum_session` works only
//! inside a router, so the whole call is measured beside a router without it.
//!
//! The names say how a library keys its sessions: by a hash, so that a copy of the store does not
//! let anyone log in, or by the id in the cookie.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_session::SessionStore as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::{Authenticator as _, Login};
use tokio::runtime::Runtime;
use tower_service::Service as _;
use tower_sessions_moka_store::MokaStore;

use crate::floor;
use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, alloc, now};

const FLOOR: &str = "floor, by hand (hashed)";
const OURS: &str = "statewise (hashed)";
const TOWER: &str = "tower-sessions 0.15, MemoryStore (id itself)";
const MOKA: &str = "tower-sessions-moka-store 0.15, core 0.14 (id itself)";
const ASYNC: &str = "async-session 3, MemoryStore (hashed)";
const BARE: &str = "[bare axum 0.8 Router]";
const ROUTED: &str = "[axum 0.8 Router with axum_session 0.22]";
const AXUM: &str = "axum_session 0.22, less the bare router (id itself)";
const AXUM_HEAP: &str = "axum_session 0.22 (id itself)";

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct User {
    pub sub: String,
    pub roles: Vec<String>,
}

pub fn user(number: usize) -> User {
    User {
        sub: format!("user_{number:07}"),
        roles: vec!["admin".to_owned(), "editor".to_owned()],
    }
}

fn heap_group(count: usize) -> String {
    format!("heap for a session, of {count}")
}

/// Memory for that many sessions, without their cookies.
fn heap_of<T>(
    name: &str,
    count: usize,
    rows: &mut Vec<Row>,
    fill: impl FnOnce(&mut Vec<String>) -> T,
) -> (T, Vec<String>) {
    let mut cookies = Vec::with_capacity(count);
    let before = alloc::live();
    let filled = fill(&mut cookies);
    let text: usize = cookies.iter().map(String::capacity).sum();
    let bytes = (alloc::live() - before - text as isize) as f64 / count as f64;
    println!("  {name:54}{bytes:>10.1} bytes of heap for a session");
    rows.push(Row::figure(&heap_group(count), name, bytes, "bytes"));
    (filled, cookies)
}

pub type Ours = SessionAuthenticator<MemoryStore>;

pub fn ours(count: usize, cookies: &mut Vec<String>) -> Ours {
    let auth: Ours =
        SessionAuthenticator::builder(MemoryStore::with_capacity(count).expect("some"))
            .idle(Duration::from_secs(1800))
            .absolute(Duration::from_secs(43_200))
            .build()
            .expect("a right configuration");
    for number in 0..count {
        let User { sub, roles } = user(number);
        let issued = now(auth.issue(Login::new(sub).roles(roles))).expect("issued");
        cookies.push(issued.credential().reveal().to_owned());
    }
    auth
}

pub fn tower(count: usize, cookies: &mut Vec<String>) -> Arc<tower_sessions::MemoryStore> {
    let store = Arc::new(tower_sessions::MemoryStore::default());
    let expiry = tower_sessions::Expiry::OnInactivity(time::Duration::seconds(1800));
    for number in 0..count {
        let session = tower_sessions::Session::new(None, store.clone(), Some(expiry));
        now(session.insert("user", user(number))).expect("inserted");
        now(session.save()).expect("saved");
        cookies.push(session.id().expect("saved").to_string());
    }
    store
}

async fn by_tower(store: &Arc<tower_sessions::MemoryStore>, cookie: &str) -> User {
    let id = cookie.parse().expect("an id");
    let session = tower_sessions::Session::new(Some(id), store.clone(), None);
    session.get("user").await.expect("loaded").expect("a user")
}

fn moka(count: usize, cookies: &mut Vec<String>) -> Arc<MokaStore> {
    let store = Arc::new(MokaStore::new(None));
    let expiry = core014::Expiry::OnInactivity(time::Duration::seconds(1800));
    for number in 0..count {
        let session = core014::Session::new(None, store.clone(), Some(expiry));
        now(session.insert("user", user(number))).expect("inserted");
        now(session.save()).expect("saved");
        cookies.push(session.id().expect("saved").to_string());
    }
    store
}

async fn by_moka(store: &Arc<MokaStore>, cookie: &str) -> User {
    let id = cookie.parse().expect("an id");
    let session = core014::Session::new(Some(id), store.clone(), None);
    session.get("user").await.expect("loaded").expect("a user")
}

fn asynchronous(count: usize, cookies: &mut Vec<String>) -> async_session::MemoryStore {
    let store = async_session::MemoryStore::new();
    for number in 0..count {
        let mut session = async_session::Session::new();
        session.expire_in(Duration::from_secs(1800));
        session.insert("user", user(number)).expect("inserted");
        let cookie = now(store.store_session(session)).expect("stored");
        cookies.push(cookie.expect("a cookie"));
    }
    store
}

async fn by_async(store: &async_session::MemoryStore, cookie: &str) -> User {
    let session = store.load_session(cookie.to_owned()).await;
    let session = session.expect("loaded").expect("there");
    let session = session.validate().expect("alive");
    session.get("user").expect("a user")
}

type AxumSession = axum_session::Session<axum_session::SessionNullPool>;

/// Returns true if there was a user, and keeps the user from being optimized away.
async fn whoami(session: AxumSession) -> StatusCode {
    match black_box(session.get::<User>("user")) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::UNAUTHORIZED,
    }
}

pub async fn nobody() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// In a runtime, because the layer spawns its sweeper.
pub fn axum(count: usize, cookies: &mut Vec<String>) -> Router {
    let config =
        axum_session::SessionConfig::default().with_lifetime(time::Duration::seconds(1800));
    let store = axum_session::SessionStore::new(None, config);
    let store: axum_session::SessionStore<axum_session::SessionNullPool> =
        now(store).expect("a store without a database");
    let mut router = Router::new()
        .route("/", get(whoami))
        .route("/ignored", get(nobody))
        .route("/login/{number}", get(log_in))
        .layer(axum_session::SessionLayer::new(store))
        // With a state, as when serving: without one, each request would rebuild the layer.
        .with_state(());
    for number in 0..count {
        let request = Request::get(format!("/login/{number}")).body(Body::empty());
        let response = now(router.call(request.expect("a request"))).expect("infallible");
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let pairs: Vec<&str> = set
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect();
        cookies.push(pairs.join("; "));
    }
    router
}

async fn log_in(
    session: AxumSession,
    axum::extract::Path(number): axum::extract::Path<usize>,
) -> StatusCode {
    session.set("user", user(number));
    StatusCode::NO_CONTENT
}

fn by_router(router: &mut Router, cookie: &str) -> StatusCode {
    call(router, "/", &header::COOKIE, cookie)
}

/// A request without a socket, with a session in one of its header fields.
pub fn call(
    router: &mut Router,
    path: &str,
    field: &header::HeaderName,
    presented: &str,
) -> StatusCode {
    // A slice of a shared buffer, as a server provides it: cloning it does not allocate.
    let buffer = Bytes::copy_from_slice(presented.as_bytes());
    let presented = HeaderValue::from_maybe_shared(buffer.clone()).expect("a field");
    let request = Request::get(path)
        .header(field, presented)
        .body(Body::empty());
    let response = now(router.call(request.expect("a request"))).expect("infallible");
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    response.status()
}

pub fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

pub fn run(count: usize, options: &Options) -> Vec<Row> {
    let name = format!("verify a session, of {count}");
    let in_two = format!("{name}, in each of two threads");
    let heap = options.wants(&heap_group(count));
    if !heap && !options.wants(&name) && !options.wants(&in_two) {
        return Vec::new();
    }
    println!("\n{count} sessions");
    let mut rows = Vec::new();
    let spawner = runtime();
    let _entered = spawner.enter();

    let (auth, cookies) = heap_of(OURS, count, &mut rows, |cookies| ours(count, cookies));
    let floor = floor::session::Floor::new();
    for (number, cookie) in cookies.iter().enumerate() {
        floor.insert(cookie, &user(number).sub);
    }
    let (tower, tower_cookies) = heap_of(TOWER, count, &mut rows, |cookies| tower(count, cookies));
    let (moka, moka_cookies) = heap_of(MOKA, count, &mut rows, |cookies| moka(count, cookies));
    let (asynchronous, async_cookies) = heap_of(ASYNC, count, &mut rows, |cookies| {
        asynchronous(count, cookies)
    });
    let (mut routed, axum_cookies) =
        heap_of(AXUM_HEAP, count, &mut rows, |cookies| axum(count, cookies));
    let mut bare = Router::new().route("/", get(nobody)).with_state(());

    if !heap {
        rows.clear();
    }

    let window = |cookies, seed| Window::new(cookies, options.seed ^ seed);
    rows.extend(
        Group::new(&*name)
            .multiples_of(OURS)
            .add_over(FLOOR, window(&cookies, 1), Window::refill, |window| {
                let line = floor.verify(window.next()).expect("verified");
                line.subject().len()
            })
            .add_over(OURS, window(&cookies, 2), Window::refill, |window| {
                now(auth.verify(window.next())).expect("verified")
            })
            .add_over(ASYNC, window(&async_cookies, 3), Window::refill, |window| {
                now(by_async(&asynchronous, window.next()))
            })
            .add_over(TOWER, window(&tower_cookies, 4), Window::refill, |window| {
                now(by_tower(&tower, window.next()))
            })
            .add_over(MOKA, window(&moka_cookies, 5), Window::refill, |window| {
                now(by_moka(&moka, window.next()))
            })
            .add_over(BARE, window(&axum_cookies, 6), Window::refill, |window| {
                by_router(&mut bare, window.next())
            })
            .add_over(ROUTED, window(&axum_cookies, 7), Window::refill, |window| {
                by_router(&mut routed, window.next())
            })
            .difference(AXUM, ROUTED, BARE)
            .run(options),
    );

    // Waiting for another thread must cost as much as in a server: use a runtime.
    let in_runtime = |cookies, seed| (window(cookies, seed), runtime());
    let refill = |(window, _): &mut (Window<'_>, Runtime)| window.refill();
    let by_ours = |(window, runtime): &mut (Window<'_>, Runtime), count: usize| {
        runtime.block_on(async {
            for _ in 0..count {
                black_box(auth.verify(window.next()).await.expect("verified"));
            }
        });
    };
    let by_tower = |(window, runtime): &mut (Window<'_>, Runtime), count: usize| {
        runtime.block_on(async {
            for _ in 0..count {
                black_box(by_tower(&tower, window.next()).await);
            }
        });
    };
    let by_async = |(window, runtime): &mut (Window<'_>, Runtime), count: usize| {
        runtime.block_on(async {
            for _ in 0..count {
                black_box(by_async(&asynchronous, window.next()).await);
            }
        });
    };
    let by_moka = |(window, runtime): &mut (Window<'_>, Runtime), count: usize| {
        runtime.block_on(async {
            for _ in 0..count {
                black_box(by_moka(&moka, window.next()).await);
            }
        });
    };
    let two = |cookies, seed| [in_runtime(cookies, seed), in_runtime(cookies, seed + 100)];
    let alone = |name: &str| format!("{name}, one thread");
    drop(_entered);
    rows.extend(
        Group::new(in_two)
            .multiples_of(OURS)
            .add_batches(alone(OURS), in_runtime(&cookies, 11), refill, by_ours)
            .add_twice(OURS, two(&cookies, 12), refill, by_ours)
            .add_batches(
                alone(ASYNC),
                in_runtime(&async_cookies, 13),
                refill,
                by_async,
            )
            .add_twice(ASYNC, two(&async_cookies, 14), refill, by_async)
            .add_batches(
                alone(TOWER),
                in_runtime(&tower_cookies, 15),
                refill,
                by_tower,
            )
            .add_twice(TOWER, two(&tower_cookies, 16), refill, by_tower)
            .add_batches(alone(MOKA), in_runtime(&moka_cookies, 17), refill, by_moka)
            .add_twice(MOKA, two(&moka_cookies, 18), refill, by_moka)
            .run(options),
    );
    rows
}
