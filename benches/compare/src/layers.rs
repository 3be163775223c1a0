//! What a layer costs: a request through a router of axum with it, less the same through one
//! without, driven without a socket. The cookie or token is of a random one of 1 000 sessions.
//!
//! *Ignored*: the handler does not ask who is calling. *Read*: it takes the caller, subject and
//! roles, as each library offers it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Cookie, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Login};
use tower_service::Service as _;

use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, now};

const COUNT: usize = 1_000;
const BARE: &str = "[bare axum 0.8 Router]";
const OURS: &str = "statewise, cookie";
const TOKEN: &str = "statewise, bearer token";
const TOWER: &str = "tower-sessions 0.15, MemoryStore";
const AXUM: &str = "axum_session 0.22";

#[derive(Clone, Debug, Deserialize, Serialize)]
struct User {
    sub: String,
    roles: Vec<String>,
}

fn user(number: usize) -> User {
    User {
        sub: format!("user_{number:07}"),
        roles: vec!["admin".to_owned(), "editor".to_owned()],
    }
}

fn login(number: usize) -> Login {
    let User { sub, roles } = user(number);
    Login::new(sub).roles(roles)
}

async fn nobody() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// A router, and the field with which each session is presented to it.
struct Site {
    ignoring: Router,
    reading: Router,
    presented: Vec<String>,
    field: header::HeaderName,
}

fn ours(
    auth: Arc<dyn DynAuthenticator<()>>,
    transport: Transport,
    field: header::HeaderName,
    prefix: &str,
) -> Site {
    async fn whoami(caller: Auth) -> StatusCode {
        black_box((caller.subject().len(), caller.roles().count()));
        StatusCode::NO_CONTENT
    }

    let presented = (0..COUNT).map(|number| {
        let issued = now(auth.issue(login(number))).expect("issued");
        format!("{prefix}{}", issued.credential().reveal())
    });
    let presented = presented.collect();
    let layer = AuthLayer::new(auth, transport);
    let router = |route| {
        Router::new()
            .route("/", route)
            .layer(layer.clone())
            .with_state(())
    };
    Site {
        ignoring: router(get(nobody)),
        reading: router(get(whoami)),
        presented,
        field,
    }
}

fn tower() -> Site {
    use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

    async fn whoami(session: Session) -> StatusCode {
        let user: Option<User> = session.get("user").await.expect("loaded");
        black_box(user.expect("a user"));
        StatusCode::NO_CONTENT
    }

    let store = Arc::new(MemoryStore::default());
    let expiry = Expiry::OnInactivity(time::Duration::seconds(1800));
    let presented = (0..COUNT).map(|number| {
        let session = Session::new(None, store.clone(), Some(expiry));
        now(session.insert("user", user(number))).expect("inserted");
        now(session.save()).expect("saved");
        format!("id={}", session.id().expect("saved"))
    });
    let presented = presented.collect();
    let layer = SessionManagerLayer::new(store.as_ref().clone()).with_expiry(expiry);
    let router = |route| {
        Router::new()
            .route("/", route)
            .layer(layer.clone())
            .with_state(())
    };
    Site {
        ignoring: router(get(nobody)),
        reading: router(get(whoami)),
        presented,
        field: header::COOKIE,
    }
}

fn axum() -> Site {
    use axum_session::{SessionConfig, SessionLayer, SessionNullPool, SessionStore};

    type Session = axum_session::Session<SessionNullPool>;

    async fn whoami(session: Session) -> StatusCode {
        black_box(session.get::<User>("user").expect("a user"));
        StatusCode::NO_CONTENT
    }

    async fn log_in(
        session: Session,
        axum::extract::Path(number): axum::extract::Path<usize>,
    ) -> StatusCode {
        session.set("user", user(number));
        StatusCode::NO_CONTENT
    }

    let config = SessionConfig::default().with_lifetime(time::Duration::seconds(1800));
    let store: SessionStore<SessionNullPool> =
        now(SessionStore::new(None, config)).expect("a store without a database");
    let layer = SessionLayer::new(store);
    let router = |route| {
        Router::new()
            .route("/", route)
            .route("/login/{number}", get(log_in))
            .layer(layer.clone())
            .with_state(())
    };
    let mut reading = router(get(whoami));
    let presented = (0..COUNT).map(|number| {
        let request = Request::get(format!("/login/{number}")).body(Body::empty());
        let response = now(reading.call(request.expect("a request"))).expect("infallible");
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let pairs: Vec<&str> = set
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect();
        pairs.join("; ")
    });
    let presented = presented.collect();
    Site {
        ignoring: router(get(nobody)),
        reading,
        presented,
        field: header::COOKIE,
    }
}

fn call(router: &mut Router, field: &header::HeaderName, presented: &str) -> StatusCode {
    let request = Request::get("/")
        .header(field, presented)
        .body(Body::empty());
    let response = now(router.call(request.expect("a request"))).expect("infallible");
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    response.status()
}

fn sessions() -> Arc<dyn DynAuthenticator<()>> {
    let store = MemoryStore::with_capacity(COUNT).expect("some");
    let auth: SessionAuthenticator<_> = SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .build()
        .expect("a right configuration");
    Arc::new(auth)
}

fn tokens() -> Arc<dyn DynAuthenticator<()>> {
    let auth: TokenAuthenticator =
        TokenAuthenticator::builder(Key::generate_hs256().expect("entropy"))
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(1800))
            .build()
            .expect("a right configuration");
    Arc::new(auth)
}

pub fn run(options: &Options) -> Vec<Row> {
    let names = [
        "a request through a layer, ignored",
        "a request through a layer, read",
    ];
    if !names.iter().any(|name| options.wants(name)) {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    // In a runtime, as one of the layers wants to spawn its sweeper.
    let _entered = runtime.enter();
    let cookie = Transport::cookie(Cookie::default());
    let sites = [
        (OURS, ours(sessions(), cookie, header::COOKIE, "__Host-id=")),
        (
            TOKEN,
            ours(
                tokens(),
                Transport::bearer(),
                header::AUTHORIZATION,
                "Bearer ",
            ),
        ),
        (TOWER, tower()),
        (AXUM, axum()),
    ];
    let mut rows = Vec::new();
    for (name, reads) in names.into_iter().zip([false, true]) {
        if !options.wants(name) {
            continue;
        }
        let mut group = Group::new(name).multiples_of(OURS);
        let mut bare = Router::new().route("/", get(nobody)).with_state(());
        let presented = &sites[0].1.presented;
        let window = Window::new(presented, options.seed ^ 1);
        group = group.add_over(BARE, window, Window::refill, move |window| {
            call(&mut bare, &header::COOKIE, window.next())
        });
        for (seed, (site, behind)) in (2..).zip(&sites) {
            let mut router = match reads {
                true => behind.reading.clone(),
                false => behind.ignoring.clone(),
            };
            let window = Window::new(&behind.presented, options.seed ^ seed);
            let with = format!("[Router with {site}]");
            group = group
                .add_over(&*with, window, Window::refill, move |window| {
                    call(&mut router, &behind.field, window.next())
                })
                .difference(site, &with, BARE);
        }
        rows.extend(group.run(options));
    }
    rows
}
