//! Service behind the page: the same router, mounted once for each authenticator.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::contract::{Page, SessionStore};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Auth, AuthLayer, Cookie, Denial, Found, SameSite, SignIn, Transport};
use statewise::{Authenticator, DynAuthenticator, Error, Login, Result, Revocation};
use tokio::time::sleep;

use crate::store::DemoStore;

const USER: &str = "alice";
const MINUTE: u64 = 60;

/// Clock of the machine plus the time that the visitor has added.
#[derive(Clone, Debug, Default)]
struct DemoClock {
    added_secs: Arc<AtomicU64>,
}

impl Clock for DemoClock {
    fn now(&self) -> Option<Timestamp> {
        let added = self.added_secs.load(Ordering::Relaxed);
        Some(SystemClock.now()?.saturating_add(added))
    }
}

/// One authenticator, and the credentials that the thief has stolen from it.
struct Mode {
    auth: Arc<dyn DynAuthenticator<()>>,
    transport: Transport,
    /// Cookie of the refresh credential, if the authenticator has one.
    refresh_cookie: Option<Cookie>,
    loot: Mutex<Loot>,
}

/// Credentials that the thief has.
#[derive(Default)]
struct Loot {
    credential: Option<String>,
    refresh: Option<String>,
}

impl Mode {
    fn loot(&self) -> MutexGuard<'_, Loot> {
        self.loot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Demo {
    clock: DemoClock,
    stopped: Arc<AtomicBool>,
    sessions: DemoStore,
    refreshes: DemoStore,
    views: [RevocationView; 2],
    /// Cookie of the session, and cookie of the hybrid's access token.
    cookies: [Cookie; 2],
}

/// Builds the whole service.
///
/// # Errors
///
/// An error of one of the builders.
pub fn router() -> Result<Router> {
    let clock = DemoClock::default();
    let stopped = Arc::default();
    let (sessions, refreshes) = (DemoStore::new(&stopped)?, DemoStore::new(&stopped)?);
    let views = [view(&clock)?, view(&clock)?];
    let access = Cookie::builder().name("__Host-access").build()?;
    let demo = Arc::new(Demo {
        clock: clock.clone(),
        stopped,
        sessions: sessions.clone(),
        refreshes: refreshes.clone(),
        views: views.clone(),
        cookies: [Cookie::default(), access.clone()],
    });
    for view in &views {
        tokio::spawn(view.upkeep().run(sleep));
    }

    let by_session = rows(sessions, &clock).build()?;
    let by_token = tokens(15, &clock)?.build()?;
    let by_logged_token = tokens(15, &clock)?.revocations(&views[0]).build()?;
    let by_both = HybridAuthenticator::new(
        tokens(5, &clock)?.revocations(&views[1]),
        // No response is lost on this page, so a replaced credential that comes back was stolen.
        rows(refreshes, &clock).reject_orphaned(),
    )?;
    let refresh = Cookie::builder()
        .name("__Secure-refresh")
        .path("/hybrid/auth")
        .same_site(SameSite::Strict)
        .build()?;
    let two_cookies = Transport::cookie(access).refresh_cookie(refresh.clone())?;

    Ok(Router::new()
        .route("/demo/state", get(state))
        .route("/demo/wait", post(wait))
        .route("/demo/stop", post(stop))
        .route("/demo/start", post(start))
        .with_state(demo)
        .nest(
            "/session",
            mode(
                Arc::new(by_session),
                Transport::cookie(Cookie::default()),
                None,
                &clock,
            )?,
        )
        .nest(
            "/token",
            mode(Arc::new(by_token), Transport::bearer(), None, &clock)?,
        )
        .nest(
            "/logged",
            mode(Arc::new(by_logged_token), Transport::bearer(), None, &clock)?,
        )
        .nest(
            "/hybrid",
            mode(Arc::new(by_both), two_cookies, Some(refresh), &clock)?,
        )
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

fn view(clock: &DemoClock) -> Result<RevocationView> {
    RevocationView::builder(MemoryLog::new()?)
        .max_lifetime(Duration::from_secs(24 * 3600))
        .clock(clock.clone())
        .build()
}

fn rows(store: DemoStore, clock: &DemoClock) -> SessionBuilder<DemoStore, ()> {
    SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(15 * MINUTE))
        .absolute(Duration::from_secs(8 * 3600))
        .clock(clock.clone())
}

fn tokens(minutes: u64, clock: &DemoClock) -> Result<TokenBuilder> {
    Ok(TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("https://auth.example")
        .audience("demo")
        .lifetime(Duration::from_secs(minutes * MINUTE))
        .clock(clock.clone()))
}

/// Builds the routes of one authenticator. The handlers are the same for all of them; only the
/// token login is a handler of its own, because it returns the token in the body.
fn mode(
    auth: Arc<dyn DynAuthenticator<()>>,
    transport: Transport,
    refresh_cookie: Option<Cookie>,
    clock: &DemoClock,
) -> Result<Router> {
    let mode = Arc::new(Mode {
        auth: Arc::clone(&auth),
        transport: transport.clone(),
        refresh_cookie,
        loot: Mutex::default(),
    });
    let router = Router::new()
        .route("/me", get(me))
        .route("/auth/login", post(log_in))
        .route("/auth/token", post(log_in_for_token))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(log_out))
        .route("/auth/steal", post(steal))
        .route("/auth/steal-refresh", post(steal_refresh))
        .route("/thief", get(thief))
        .route("/thief/refresh", post(thief_refresh))
        .route("/revoke-all", post(revoke_all))
        .with_state(mode)
        .layer(AuthLayer::new(auth, transport)?.clock(clock.clone()))
        .layer(from_fn(add_cause));
    Ok(router)
}

async fn me(caller: Auth) -> Json<Value> {
    Json(json!({ "user": caller.subject(), "login": caller.id().to_string() }))
}

async fn log_in(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let caller = sign_in
        .issue(Login::new(USER).role("member").device("this page"))
        .await?;
    Ok(Json(json!({ "user": caller.subject() })))
}

async fn log_in_for_token(sign_in: SignIn) -> Result<Response, Denial> {
    let login = Login::new(USER).role("member").device("this page");
    Ok(sign_in.issue_token(login).await?.into_response())
}

async fn refresh(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let caller = sign_in.refresh().await?;
    Ok(Json(json!({ "user": caller.subject() })))
}

async fn log_out(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    Ok(effective(sign_in.revoke().await?))
}

/// Logs the user out as an administrator, without a credential of the user.
async fn revoke_all(State(mode): State<Arc<Mode>>) -> Result<Json<Value>, Denial> {
    Ok(effective(mode.auth.revoke_all(USER).await?.effective))
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

/// Steals the credential, as malicious software on the device could: scripts cannot read an
/// `HttpOnly` cookie, but a program that reads the browser's files can.
async fn steal(State(mode): State<Arc<Mode>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    let carried = mode
        .transport
        .read(&headers, |value| mode.auth.is_well_formed(value))?;
    let stolen = carried.credential();
    mode.loot().credential = Some(stolen.to_owned());
    Ok(Json(json!({ "length": stolen.len() })))
}

/// Steals the refresh credential.
async fn steal_refresh(
    State(mode): State<Arc<Mode>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Denial> {
    let cookie = mode.refresh_cookie.as_ref().ok_or(Denial::Absent)?;
    let Found::One(stolen) = cookie.find(&headers, |value| mode.auth.is_well_formed(value)) else {
        return Err(Denial::Absent);
    };
    mode.loot().refresh = Some(stolen.to_owned());
    Ok(Json(json!({ "length": stolen.len() })))
}

/// Calls the service with the stolen credential.
async fn thief(State(mode): State<Arc<Mode>>) -> Result<Json<Value>, Denial> {
    let stolen = mode.loot().credential.clone().ok_or(Denial::Absent)?;
    let caller = mode.auth.verify(&stolen).await?;
    Ok(Json(json!({ "user": caller.subject() })))
}

/// Refreshes with the stolen credential. The thief then has an access token and the next refresh
/// credential.
async fn thief_refresh(State(mode): State<Arc<Mode>>) -> Result<Json<Value>, Denial> {
    let stolen = mode.loot().refresh.clone().ok_or(Denial::Absent)?;
    let issued = mode.auth.refresh(&stolen).await?;
    *mode.loot() = Loot {
        credential: Some(issued.credential().reveal().to_owned()),
        refresh: Some(issued.refreshable().reveal().to_owned()),
    };
    Ok(Json(json!({ "user": issued.identity().subject() })))
}

/// Adds the cause of a denial to the response, for the page to show. A real service logs it
/// instead: the layer leaves it in the extensions of the response.
async fn add_cause(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(denial) = response.extensions().get::<Denial>()
        && let Ok(cause) = HeaderValue::try_from(cause(denial))
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-demo-cause"), cause);
    }
    response
}

fn cause(denial: &Denial) -> String {
    match denial.error().and_then(Error::theft) {
        Some(theft) => format!(
            "{denial}: a theft; this login of {} has ended",
            theft.subject()
        ),
        None => denial.to_string(),
    }
}

async fn state(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    let carries = |cookie: &Cookie| !matches!(cookie.find(&headers, |_| true), Found::Absent);
    let now = demo.clock.now().unwrap_or_default();
    let facts = |view: &RevocationView| view.health().map(|health| health.facts);
    Ok(Json(json!({
        "passed": demo.clock.added_secs.load(Ordering::Relaxed),
        "now": now.unix(),
        "stopped": demo.stopped.load(Ordering::Relaxed),
        // The page's script cannot see the cookies, so the server reports them.
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

/// Returns the number of rows and bytes of the user in a store, or null if it does not answer.
async fn rows_of(store: &DemoStore, now: Timestamp) -> Result<Value> {
    let listed = match store.list(USER, Page::first(100), now).await {
        Err(error) if error.is_unavailable() => return Ok(Value::Null),
        listed => listed?,
    };
    let bytes: usize = listed.records.iter().map(|row| row.encode().len()).sum();
    Ok(json!({ "rows": listed.records.len(), "bytes": bytes }))
}

/// Advances the clock by five minutes.
async fn wait(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.clock
        .added_secs
        .fetch_add(5 * MINUTE, Ordering::Relaxed);
    // The views are stale after this time, so they read their logs now.
    for view in &demo.views {
        view.follow().await?;
    }
    state(State(demo), headers).await
}

/// Stops the store: every call of it fails.
async fn stop(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.stopped.store(true, Ordering::Relaxed);
    state(State(demo), headers).await
}

/// Starts the store again, with all its data.
async fn start(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.stopped.store(false, Ordering::Relaxed);
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
