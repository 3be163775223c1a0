//! The three strategies of the page: the same routes, mounted once for each authenticator.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::contract::{Page, SessionStore as _};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Auth, Cookie, Denial, Found, SameSite, SignIn, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Edit, Login, Result};
use tokio::time::sleep;

use crate::reasons::effective;
use crate::store::DemoStore;
use crate::world::{DAY, MINUTE, USER, World};

/// One authenticator, and the credentials that the thief has stolen from it.
struct Mode {
    auth: Arc<dyn DynAuthenticator<()>>,
    transport: Transport,
    /// Cookie of the refresh credential, if the authenticator has one.
    refresh_cookie: Option<Cookie>,
    loot: Mutex<Loot>,
    world: World,
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

/// Data of the strategies, for the page to show.
pub(crate) struct Inside {
    sessions: DemoStore,
    refreshes: DemoStore,
    views: [RevocationView; 2],
    /// Cookie of the session, and cookie of the hybrid's access token.
    cookies: [Cookie; 2],
}

/// Builds the routes of the strategies, and what the page shows of their data.
///
/// # Errors
///
/// An error of one of the builders.
pub(crate) fn routes(world: &World) -> Result<(Router, Inside)> {
    let (sessions, refreshes) = (world.store()?, world.store()?);
    let views = [view(world)?, view(world)?];
    for view in &views {
        tokio::spawn(view.upkeep().run(sleep));
    }
    let by_session = world.sessions(sessions.clone()).build()?;
    let by_token = tokens(15, world)?.build()?;
    let by_logged_token = tokens(15, world)?.revocations(&views[0]).build()?;
    let by_both = HybridAuthenticator::new(
        tokens(5, world)?.revocations(&views[1]),
        // No response is lost on this page, so a replaced credential that comes back was stolen.
        world.sessions(refreshes.clone()).reject_orphaned(),
    )?;
    let access = Cookie::builder().name("__Host-access").build()?;
    let refresh = Cookie::builder()
        .name("__Secure-refresh")
        .path("/hybrid/auth")
        .same_site(SameSite::Strict)
        .build()?;
    let cookie = Transport::cookie(Cookie::default());
    let two_cookies = Transport::cookie(access.clone()).refresh_cookie(refresh.clone())?;
    let mode = |auth, transport, refresh_cookie| mode(auth, transport, refresh_cookie, world);
    let router = Router::new()
        .nest("/session", mode(Arc::new(by_session), cookie, None)?)
        .nest(
            "/token",
            mode(Arc::new(by_token), Transport::bearer(), None)?,
        )
        .nest(
            "/logged",
            mode(Arc::new(by_logged_token), Transport::bearer(), None)?,
        )
        .nest(
            "/hybrid",
            mode(Arc::new(by_both), two_cookies, Some(refresh))?,
        );
    let inside = Inside {
        sessions,
        refreshes,
        views,
        cookies: [Cookie::default(), access],
    };
    Ok((router, inside))
}

fn view(world: &World) -> Result<RevocationView> {
    RevocationView::builder(MemoryLog::new()?)
        .max_lifetime(DAY)
        .clock(world.clock.clone())
        .build()
}

fn tokens(minutes: u32, world: &World) -> Result<TokenBuilder> {
    Ok(TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("https://auth.example")
        .audience("demo")
        .lifetime(minutes * MINUTE)
        .clock(world.clock.clone()))
}

/// Builds the routes of one authenticator. The handlers are the same for all of them; only the
/// token login is a handler of its own, because it returns the token in the body.
fn mode(
    auth: Arc<dyn DynAuthenticator<()>>,
    transport: Transport,
    refresh_cookie: Option<Cookie>,
    world: &World,
) -> Result<Router> {
    let layer = world.layer(Arc::clone(&auth), transport.clone())?;
    let mode = Mode {
        auth,
        transport,
        refresh_cookie,
        loot: Mutex::default(),
        world: world.clone(),
    };
    Ok(Router::new()
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
        .route("/demote", post(demote))
        .with_state(Arc::new(mode))
        .layer(layer))
}

async fn me(caller: Auth) -> Json<Value> {
    let roles: Vec<_> = caller.roles().collect();
    Json(json!({
        "user": caller.subject(),
        "roles": roles,
        "login": caller.id().to_string(),
    }))
}

fn login() -> Login {
    Login::new(USER).role("editor").device("this page")
}

async fn log_in(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let caller = sign_in.issue(login()).await?;
    Ok(Json(json!({ "user": caller.subject() })))
}

async fn log_in_for_token(sign_in: SignIn) -> Result<Response, Denial> {
    Ok(sign_in.issue_token(login()).await?.into_response())
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

/// Takes the role `editor` from the user as an administrator. The logins continue.
async fn demote(State(mode): State<Arc<Mode>>) -> Result<Json<Value>, Denial> {
    let mut edit = |login: &mut Edit| {
        login.roles = vec!["reader".to_owned()];
        Ok(())
    };
    let demoted = mode.auth.update_all(USER, &mut edit).await?;
    Ok(effective(demoted.effective))
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
    let roles: Vec<_> = caller.roles().collect();
    Ok(Json(json!({
        "user": caller.subject(),
        "roles": roles,
        "left": mode.world.rest(&caller),
    })))
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

impl Inside {
    /// Returns what the stores, the logs and the browser hold.
    pub(crate) async fn show(&self, headers: &HeaderMap, world: &World) -> Result<Value> {
        let carries = |cookie: &Cookie| !matches!(cookie.find(headers, |_| true), Found::Absent);
        let facts = |view: &RevocationView| view.health().map(|health| health.facts);
        Ok(json!({
            // The page's script cannot see the cookies, so the server reports them.
            "cookies": { "session": carries(&self.cookies[0]), "hybrid": carries(&self.cookies[1]) },
            "session": rows_of(&self.sessions, world).await?,
            "logged": facts(&self.views[0])?,
            "hybrid": {
                "stored": rows_of(&self.refreshes, world).await?,
                "facts": facts(&self.views[1])?,
            },
        }))
    }

    /// Reads the logs now: the views are stale after the visitor has moved the clock.
    pub(crate) async fn follow(&self) -> Result<()> {
        for view in &self.views {
            view.follow().await?;
        }
        Ok(())
    }
}

/// Returns the number of rows and bytes of the user in a store, or null if it does not answer.
async fn rows_of(store: &DemoStore, world: &World) -> Result<Value> {
    let listed = match store.list(USER, Page::first(100), world.now()).await {
        Err(error) if error.is_unavailable() => return Ok(Value::Null),
        listed => listed?,
    };
    let bytes: usize = listed.records.iter().map(|row| row.encode().len()).sum();
    Ok(json!({ "rows": listed.records.len(), "bytes": bytes }))
}
