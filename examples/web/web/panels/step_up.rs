//! A second factor before a dangerous act: a copy that was stolen before never has the class.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::web::{Auth, Cookie, Denial, Require, SignIn, Transport};
use statewise::{Login, Result};

use crate::thief::Thief;
use crate::world::{MINUTE, USER, World};

/// Authentication context class of a login that has proven a second factor.
const STRONG: &str = "aal2";

struct Panel {
    cookie: Cookie,
    thief: Thief,
    /// The routes that Alice uses.
    service: Router,
}

pub(crate) fn routes(world: &World) -> Result<Router> {
    let cookie = Cookie::builder().name("__Host-step-up").build()?;
    let auth = world.sessions(world.store()?).build()?;
    let transfer = Router::new()
        .route("/transfer", post(transfer))
        .layer(Require::authenticated().acr(STRONG));
    let service = Router::new()
        .route("/login", post(log_in))
        .route("/code", post(prove))
        .merge(transfer)
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

async fn log_in(sign_in: SignIn) -> Result<(), Denial> {
    sign_in.issue(Login::new(USER)).await.map(drop)
}

/// Gives the class to the login. A real service checks a code here: see the example `two_factor`.
async fn prove(sign_in: SignIn, _: Auth) -> Result<(), Denial> {
    sign_in.step_up(STRONG, 5 * MINUTE).await.map(drop)
}

async fn transfer(caller: Auth) -> Json<Value> {
    Json(json!({ "user": caller.subject() }))
}

async fn steal(State(panel): State<Arc<Panel>>, headers: HeaderMap) -> Result<(), Denial> {
    panel.thief.copy_cookie(&headers, &panel.cookie)
}

async fn thief(State(panel): State<Arc<Panel>>) -> Result<Response, Denial> {
    let service = panel.service.clone();
    panel.thief.send(service, Method::POST, "/transfer").await
}
