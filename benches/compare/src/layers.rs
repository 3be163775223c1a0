//! The cost of a layer: a request through an axum router with the layer, minus the same request
//! without it, without a socket. The cookie or token belongs to a random one of 1 000 sessions.
//!
//! *Ignored*: the handler does not take the caller. *Read*: it reads the caller, subject and roles,
//! in the way of each library. A long line has 500 bytes: the cookies of analytics, then ours.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::routing::get;
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Cookie, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Login};
use tower_layer::Identity;
use tower_service::Service as _;

use crate::by_hand::{ByHand, Verified};
use crate::floor::strict_session::Floor;
use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, now};
use crate::sessions::{self, User, call, nobody, runtime, user};

const COUNT: usize = 1_000;
const BARE: &str = "[bare axum 0.8 Router]";
/// The cost of axum for any layer.
const NOTHING: &str = "a layer that does nothing";
const BY_HAND: &str = "floor, by hand, cookie";
const OURS: &str = "statewise, cookie";
const TOKEN: &str = "statewise, bearer token";
const TOWER: &str = "tower-sessions 0.15, MemoryStore";
const AXUM: &str = "axum_session 0.22";
const LONG: &str = ", long line";
const BARE_LONG: &str = "[bare axum 0.8 Router, long line]";

/// Length of a long `Cookie` line.
const LINE: usize = 500;
const ANALYTICS: &str = "_ga=GA1.2.1093478571.1764288000; _gid=GA1.2.558102937.1764288000; \
    _ga_9XQ2LV7E1B=GS2.1.s1764288000$o3$g1$t1764289174$j60$l0$h0; \
    _fbp=fb.1.1764288000123.1234567890; ajs_anonymous_id=3f8a6c52-1d6b-4c3c-9a64-0c5d4d1f2b11; \
    _hjSessionUser_1234567=eyJpZCI6IjQ1ZTM; OptanonConsent=";

/// A router with `/`, which reads the caller, and `/ignored`, which does not; and the header field that
/// presents each session to it.
struct Site {
    router: Router,
    presented: Vec<String>,
    field: header::HeaderName,
}

impl Site {
    /// Puts the cookies of others before those of the site.
    fn with_long_lines(&self) -> Self {
        let line = |cookie: &String| {
            let width = LINE - ANALYTICS.len() - "; ".len() - cookie.len();
            format!("{ANALYTICS}{:x<width$}; {cookie}", "")
        };
        Self {
            router: self.router.clone(),
            presented: self.presented.iter().map(line).collect(),
            field: self.field.clone(),
        }
    }
}

/// The same sessions as in `cookies`.
fn by_hand(cookies: &[String]) -> Site {
    async fn whoami(Verified(caller): Verified) -> StatusCode {
        black_box((caller.texts.subject().len(), caller.texts.roles().count()));
        StatusCode::NO_CONTENT
    }

    let floor = Floor::new(43_200, 43_200);
    for (number, cookie) in cookies.iter().enumerate() {
        let (_, credential) = cookie.split_once('=').expect("a cookie");
        floor.insert(credential, &user(number).sub, ["admin", "editor"]);
    }
    Site {
        router: Router::new()
            .route("/", get(whoami))
            .route("/ignored", get(nobody))
            .layer(ByHand(Arc::new(floor)))
            .with_state(()),
        presented: cookies.to_vec(),
        field: header::COOKIE,
    }
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
        .layer(AuthLayer::new(auth, transport).expect("a layer"))
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

/// Asserts that a site with cookies does not accept the handle of one session with the secret of
/// another one, nor a request without a cookie.
fn assert_refuses(site: &Site) {
    let [first, second] = [0, 1].map(|at| &site.presented[at]);
    let middle = first.len() - 22;
    let forged = format!("{}{}", &first[..middle], &second[middle..]);
    for cookie in [&*forged, ""] {
        let request = Request::get("/").header(header::COOKIE, cookie);
        let request = request.body(Body::empty()).expect("a request");
        let response = now(site.router.clone().call(request)).expect("infallible");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{cookie}");
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
    let mut sites = vec![
        (NOTHING.to_owned(), nothing(&ours.presented)),
        (BY_HAND.to_owned(), by_hand(&ours.presented)),
        (OURS.to_owned(), ours),
        (TOWER.to_owned(), tower()),
        (TOKEN.to_owned(), tokens()),
        (AXUM.to_owned(), axum()),
    ];
    for at in 0..sites.len() {
        let (name, site) = &sites[at];
        if [BY_HAND, OURS, TOWER].contains(&&**name) {
            sites.push((format!("{name}{LONG}"), site.with_long_lines()));
        }
    }
    for at in [1, 2] {
        assert_refuses(&sites[at].1);
    }
    let mut rows = Vec::new();
    for (name, path) in groups {
        let mut group = Group::new(name).multiples_of(BY_HAND).multiples_of(OURS);
        let (short, long) = (&sites[0].1, &sites[sites.len() - 1].1);
        for (seed, bare, presented) in [(1, BARE, short), (2, BARE_LONG, long)] {
            let mut router = Router::new().route(path, get(nobody)).with_state(());
            let window = Window::new(&presented.presented, options.seed ^ seed);
            group = group.add_over(bare, window, Window::refill, move |window| {
                call(&mut router, path, &header::COOKIE, window.next())
            });
        }
        for (seed, (site, behind)) in (3..).zip(&sites) {
            let mut router = behind.router.clone();
            let window = Window::new(&behind.presented, options.seed ^ seed);
            let with = format!("[Router with {site}]");
            let bare = if site.ends_with(LONG) {
                BARE_LONG
            } else {
                BARE
            };
            group = group
                .add_over(&*with, window, Window::refill, move |window| {
                    call(&mut router, path, &behind.field, window.next())
                })
                .difference(site, &with, bare);
        }
        // Skips groups that the filter excludes.
        rows.extend(group.run(options));
    }
    rows
}
