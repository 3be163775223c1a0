//! The cost of a layer: a request through an axum router with the layer, minus the same request
//! without it, without a socket. The cookie or token belongs to a random one of 1 000 sessions.
//!
//! *Ignored*: the handler does not take the caller. *Read*: it reads the caller, subject and roles,
//! in the way of each library.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Cookie, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Login};
use tower_layer::Identity;

use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, now};
use crate::sessions::{self, User, call, nobody, runtime, user};

const COUNT: usize = 1_000;
const BARE: &str = "[bare axum 0.8 Router]";
/// The cost of axum for any layer.
const NOTHING: &str = "a layer that does nothing";
const OURS: &str = "statewise, cookie";
const TOKEN: &str = "statewise, bearer token";
const TOWER: &str = "tower-sessions 0.15, MemoryStore";
const AXUM: &str = "axum_session 0.22";

/// A router whose `/` reads the caller and whose `/ignored` does not, and the header field that
/// presents each session to it.
struct Site {
    router: Router,
    presented: Vec<String>,
    field: header::HeaderName,
}

fn ours() -> Site {
    let mut ids = Vec::with_capacity(COUNT);
    let auth = sessions::ours(COUNT, &mut ids);
    Site {
        router: layered(Arc::new(auth), Transport::cookie(Cookie::default())),
        presented: ids.iter().map(|id| format!("__Host-id={id}")).collect(),
        field: header::COOKIE,
    }
}

fn tokens() -> Site {
    let auth: TokenAuthenticator =
        TokenAuthenticator::builder(Key::generate_hs256().expect("entropy"))
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(1800))
            .build()
            .expect("a right configuration");
    let presented = (0..COUNT).map(|number| {
        let User { sub, roles } = user(number);
        let issued = now(auth.issue(Login::new(sub).roles(roles))).expect("issued");
        format!("Bearer {}", issued.credential().reveal())
    });
    Site {
        presented: presented.collect(),
        router: layered(Arc::new(auth), Transport::bearer()),
        field: header::AUTHORIZATION,
    }
}

fn layered(auth: Arc<dyn DynAuthenticator<()>>, transport: Transport) -> Router {
    async fn whoami(caller: Auth) -> StatusCode {
        black_box((caller.subject().len(), caller.roles().count()));
        StatusCode::NO_CONTENT
    }

    Router::new()
        .route("/", get(whoami))
        .route("/ignored", get(nobody))
        .layer(AuthLayer::new(auth, transport))
        .with_state(())
}

fn tower() -> Site {
    use tower_sessions::{Expiry, Session, SessionManagerLayer};

    async fn whoami(session: Session) -> StatusCode {
        let user: Option<User> = session.get("user").await.expect("loaded");
        black_box(user.expect("a user"));
        StatusCode::NO_CONTENT
    }

    let mut ids = Vec::with_capacity(COUNT);
    let store = sessions::tower(COUNT, &mut ids);
    let expiry = Expiry::OnInactivity(time::Duration::seconds(1800));
    let layer = SessionManagerLayer::new(store.as_ref().clone()).with_expiry(expiry);
    Site {
        router: Router::new()
            .route("/", get(whoami))
            .route("/ignored", get(nobody))
            .layer(layer)
            .with_state(()),
        presented: ids.iter().map(|id| format!("id={id}")).collect(),
        field: header::COOKIE,
    }
}

fn axum() -> Site {
    let mut presented = Vec::with_capacity(COUNT);
    Site {
        router: sessions::axum(COUNT, &mut presented),
        presented,
        field: header::COOKIE,
    }
}

/// Gets our cookies, which it ignores.
fn nothing(cookies: &[String]) -> Site {
    Site {
        router: Router::new()
            .route("/", get(nobody))
            .route("/ignored", get(nobody))
            .layer(Identity::new())
            .with_state(()),
        presented: cookies.to_vec(),
        field: header::COOKIE,
    }
}

pub fn run(options: &Options) -> Vec<Row> {
    let groups = [
        ("a request through a layer, ignored", "/ignored"),
        ("a request through a layer, read", "/"),
    ];
    if !groups.iter().any(|(name, _)| options.wants(name)) {
        return Vec::new();
    }
    let runtime = runtime();
    // In a runtime, because one of the layers spawns its sweeper.
    let _entered = runtime.enter();
    let ours = ours();
    let sites = [
        (NOTHING, nothing(&ours.presented)),
        (OURS, ours),
        (TOKEN, tokens()),
        (TOWER, tower()),
        (AXUM, axum()),
    ];
    let mut rows = Vec::new();
    for (name, path) in groups {
        let mut group = Group::new(name).multiples_of(OURS);
        let mut bare = Router::new().route(path, get(nobody)).with_state(());
        let window = Window::new(&sites[0].1.presented, options.seed ^ 1);
        group = group.add_over(BARE, window, Window::refill, move |window| {
            call(&mut bare, path, &header::COOKIE, window.next())
        });
        for (seed, (site, behind)) in (2..).zip(&sites) {
            let mut router = behind.router.clone();
            let window = Window::new(&behind.presented, options.seed ^ seed);
            let with = format!("[Router with {site}]");
            group = group
                .add_over(&*with, window, Window::refill, move |window| {
                    call(&mut router, path, &behind.field, window.next())
                })
                .difference(site, &with, BARE);
        }
        // Skips groups that the filter excludes.
        rows.extend(group.run(options));
    }
    rows
}
