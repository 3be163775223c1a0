//! Remember me: the life of the cookie, and the power of a thief who has it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::web::{Auth, Cookie, Denial, SignIn, Transport};
use statewise::{Login, Result};

use crate::reasons::effective;
use crate::thief::Thief;
use crate::world::{DAY, USER, World};

struct Panel {
    cookie: Cookie,
    thief: Thief,
    /// The routes that Alice uses.
    service: Router,
}

pub(crate) fn routes(world: &World) -> Result<Router> {
    let cookie = Cookie::builder().name("__Host-remember").build()?;
    let auth = world
        .sessions(world.store()?)
        .remembered(30 * DAY, 90 * DAY)
        .build()?;
    let service = Router::new()
        .route("/login", post(log_in))
        .route("/login/remember", post(log_in_and_remember))
        .route("/me", get(me))
        .route("/logout", post(log_out))
        .with_state(world.clone())
        .layer(world.layer(Arc::new(auth), Transport::cookie(cookie.clone()))?);
    let panel = Panel {
        cookie,
        thief: Thief::default(),
        service: service.clone(),
    };
    Ok(Router::new()
        .route("/steal", post(steal))
        .route("/thief", post(thief))
        .with_state(Arc::new(panel))
        .merge(service))
}

async fn log_in(State(world): State<World>, sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let caller = sign_in.issue(Login::new(USER)).await?;
    Ok(Json(ends(&world, &caller)))
}

async fn log_in_and_remember(
    State(world): State<World>,
    sign_in: SignIn,
) -> Result<Json<Value>, Denial> {
    let caller = sign_in.issue(Login::new(USER).remember()).await?;
    Ok(Json(ends(&world, &caller)))
}

async fn me(State(world): State<World>, caller: Auth) -> Json<Value> {
    Json(ends(&world, &caller))
}

/// Seconds until the login ends if it is not used, and until it ends in any case.
fn ends(world: &World, caller: &Auth) -> Value {
    json!({
        "user": caller.subject(),
        "remembered": caller.is_remembered(),
        "unused": world.rest(caller),
        "left": world.deadline(caller),
    })
}

async fn log_out(sign_in: SignIn) -> Result<Json<Value>, Denial> {
    Ok(effective(sign_in.revoke().await?))
}

async fn steal(State(panel): State<Arc<Panel>>, headers: HeaderMap) -> Result<(), Denial> {
    panel.thief.copy_cookie(&headers, &panel.cookie)
}

async fn thief(State(panel): State<Arc<Panel>>) -> Result<Response, Denial> {
    let service = panel.service.clone();
    panel.thief.send(service, Method::GET, "/me").await
}
