//! The service behind the page: one router, mounted once for each way to know who is calling.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::{Page, SessionAuthenticator, SessionBuilder, SessionStore};
use statewise::store::MemoryStore;
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Auth, AuthLayer, Cookie, Denial, Found, SameSite, SignIn, Transport};
use statewise::{Authenticator, DynAuthenticator, Login, Result, Revocation};
use tokio::time::sleep;

const USER: &str = "alice";
const MINUTE: u64 = 60;

/// The clock of the machine, and what the visitor has let pass on top.
#[derive(Clone, Debug, Default)]
struct DemoClock {
    passed: Arc<AtomicU64>,
}

impl Clock for DemoClock {
    fn now(&self) -> Option<Timestamp> {
        let passed = self.passed.load(Ordering::Relaxed);
        Some(SystemClock.now()?.saturating_add(passed))
    }
}

/// One of the ways, with the thief that goes with it.
struct Mode {
    auth: Arc<dyn DynAuthenticator<()>>,
    transport: Transport,
    /// What the thief has.
    loot: Mutex<Option<String>>,
}

struct Demo {
    clock: DemoClock,
    sessions: Arc<MemoryStore>,
    refreshes: Arc<MemoryStore>,
    views: [RevocationView; 2],
    /// Of the session, and of the access token of both.
    cookies: [Cookie; 2],
}

/// All of it.
///
/// # Errors
///
/// What a builder refuses.
pub fn router() -> Result<Router> {
    let clock = DemoClock::default();
    let (sessions, refreshes) = (memory()?, memory()?);
    let views = [view(&clock)?, view(&clock)?];
    let access = Cookie::builder().name("__Host-access").build()?;
    let demo = Arc::new(Demo {
        clock: clock.clone(),
        sessions: Arc::clone(&sessions),
        refreshes: Arc::clone(&refreshes),
        views: views.clone(),
        cookies: [Cookie::default(), access.clone()],
    });
    for view in &views {
        tokio::spawn(view.upkeep().run(sleep));
    }

    let by_session: SessionAuthenticator<_> = rows(sessions, &clock).build()?;
    let by_token = tokens(15, &clock)?.build()?;
    let by_logged_token = tokens(15, &clock)?.revocations(&views[0]).build()?;
    let by_both = HybridAuthenticator::new(
        tokens(5, &clock)?.revocations(&views[1]),
        rows(refreshes, &clock),
    )?;
    let refresh = Cookie::builder()
        .name("__Secure-refresh")
        .path("/hybrid/auth")
        .same_site(SameSite::Strict)
        .build()?;
    let two_cookies = Transport::cookie(access).refresh_cookie(refresh)?;

    Ok(Router::new()
        .route("/demo/state", get(state))
        .route("/demo/wait", post(wait))
        .with_state(demo)
        .nest(
            "/session",
            mode(
                Arc::new(by_session),
                Transport::cookie(Cookie::default()),
                &clock,
            ),
        )
        .nest(
            "/token",
            mode(Arc::new(by_token), Transport::bearer(), &clock),
        )
        .nest(
            "/logged",
            mode(Arc::new(by_logged_token), Transport::bearer(), &clock),
        )
        .nest("/hybrid", mode(Arc::new(by_both), two_cookies, &clock))
        .route(
            "/",
            get(|| page("text/html; charset=utf-8", include_str!("page.html"))),
        )
        .route(
            "/page.css",
            get(|| page("text/css", include_str!("page.css"))),
        )
        .route(
            "/icon.svg",
            get(|| page("image/svg+xml", include_str!("icon.svg"))),
        )
        .route(
            "/page.js",
            get(|| page("text/javascript", include_str!("page.js"))),
        ))
}

fn memory() -> Result<Arc<MemoryStore>> {
    Ok(Arc::new(MemoryStore::with_capacity(10_000)?))
}

fn view(clock: &DemoClock) -> Result<RevocationView> {
    RevocationView::builder(MemoryLog::new()?)
        .longest(Duration::from_secs(24 * 3600))
        .clock(clock.clone())
        .build()
}

fn rows(store: Arc<MemoryStore>, clock: &DemoClock) -> SessionBuilder<Arc<MemoryStore>, ()> {
    SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(15 * MINUTE))
        .absolute(Duration::from_secs(8 * 3600))
        .clock(clock.clone())
}

fn tokens(minutes: u64, clock: &DemoClock) -> Result<TokenBuilder<()>> {
    Ok(TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("https://auth.example")
        .audience("demo")
        .lifetime(Duration::from_secs(minutes * MINUTE))
        .clock(clock.clone()))
}

/// The same routes for each way: no handler knows which one it is, but for where a program wants
/// its token.
fn mode(auth: Arc<dyn DynAuthenticator<()>>, transport: Transport, clock: &DemoClock) -> Router {
    let mode = Arc::new(Mode {
        auth: Arc::clone(&auth),
        transport: transport.clone(),
        loot: Mutex::default(),
    });
    Router::new()
        .route("/me", get(me))
        .route("/auth/login", post(log_in))
        .route("/auth/token", post(log_in_for_token))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(log_out))
        .route("/auth/steal", post(steal))
        .route("/thief", get(thief))
        .route("/revoke-all", post(revoke_all))
        .with_state(mode)
        .layer(AuthLayer::new(auth, transport).clock(clock.clone()))
        .layer(from_fn(tell_why))
}

async fn me(caller: Auth) -> Json<Value> {
    Json(json!({ "who": caller.subject(), "login": caller.id().to_string() }))
}

async fn log_in(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let caller = sign_in
        .issue(Login::new(USER).role("member").device("this page"))
        .await?;
    Ok(Json(json!({ "who": caller.subject() })))
}

async fn log_in_for_token(sign_in: SignIn) -> Result<Response, Denial> {
    let login = Login::new(USER).role("member").device("this page");
    Ok(sign_in.issue_token(login).await?.into_response())
}

async fn refresh(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let caller = sign_in.refresh().await?;
    Ok(Json(json!({ "who": caller.subject() })))
}

async fn log_out(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    Ok(effective(sign_in.revoke().await?))
}

/// What an administrator does, who knows the user and no credential.
async fn revoke_all(State(mode): State<Arc<Mode>>) -> Result<Json<Value>, Denial> {
    Ok(effective(mode.auth.revoke_all(USER).await?))
}

fn effective(revocation: Revocation) -> Json<Value> {
    let text = match revocation {
        Revocation::Immediate => "takes effect at once".to_owned(),
        Revocation::Within(time) => format!("takes effect within {} s", time.as_secs()),
        Revocation::AtExpiry(_) => "takes effect when the token expires".to_owned(),
        _ => "takes effect later".to_owned(),
    };
    Json(json!({ "effective": text }))
}

/// What malicious software on the device would do: no script can read a cookie that is `HttpOnly`,
/// but whoever reads the files of the browser can.
async fn steal(State(mode): State<Arc<Mode>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    let carried = mode
        .transport
        .read(&headers, |value| mode.auth.accepts(value))?;
    let stolen = carried.credential().to_owned();
    let length = stolen.len();
    *mode.loot.lock().unwrap_or_else(PoisonError::into_inner) = Some(stolen);
    Ok(Json(json!({ "length": length })))
}

/// A call with what the thief has.
async fn thief(State(mode): State<Arc<Mode>>) -> Result<Json<Value>, Denial> {
    let loot = mode
        .loot
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let caller = mode.auth.verify(&loot.ok_or(Denial::Absent)?).await?;
    Ok(Json(json!({ "who": caller.subject() })))
}

/// Says why a request was denied, which no service should tell its callers, and this one does for
/// the page to show: the layer leaves the cause in the extensions of the response, for logs.
async fn tell_why(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(denial) = response.extensions().get::<Denial>()
        && let Ok(why) = HeaderValue::try_from(denial.to_string())
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-demo-why"), why);
    }
    response
}

async fn state(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    let carries = |cookie: &Cookie| !matches!(cookie.find(&headers, |_| true), Found::Absent);
    let now = demo.clock.now().unwrap_or_default();
    let facts = |view: &RevocationView| view.health().map(|health| health.facts);
    Ok(Json(json!({
        "passed": demo.clock.passed.load(Ordering::Relaxed),
        "now": now.unix(),
        // A script cannot tell which cookies there are: only who is sent them can.
        "cookies": { "session": carries(&demo.cookies[0]), "hybrid": carries(&demo.cookies[1]) },
        "session": rows_of(&demo.sessions, now).await?,
        "token": { "rows": 0, "bytes": 0 },
        "logged": { "rows": 0, "bytes": 0, "facts": facts(&demo.views[0])? },
        "hybrid": {
            "stored": rows_of(&demo.refreshes, now).await?,
            "facts": facts(&demo.views[1])?,
        },
    })))
}

/// How many rows the user has in a store, and of how many bytes.
async fn rows_of(store: &MemoryStore, now: Timestamp) -> Result<Value> {
    let listed = store.list(USER, Page::first(100), now).await?;
    let bytes: usize = listed.records.iter().map(|row| row.encode().len()).sum();
    Ok(json!({ "rows": listed.records.len(), "bytes": bytes }))
}

/// Lets five minutes pass.
async fn wait(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.clock.passed.fetch_add(5 * MINUTE, Ordering::Relaxed);
    // A node that has not read its log for so long knows nothing: it reads now.
    for view in &demo.views {
        view.follow().await?;
    }
    state(State(demo), headers).await
}

async fn page(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let fields = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, text).into_response()
}
