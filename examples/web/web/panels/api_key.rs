//! An API key with a scope, which leaks.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::api_keys::ApiKeys;
use statewise::web::{Auth, Denial, Transport};
use statewise::{Authenticator as _, Issued, Login, Result};

use crate::reasons::effective;
use crate::store::DemoStore;
use crate::thief::Thief;
use crate::world::{DAY, USER, World};

struct Panel {
    keys: Arc<ApiKeys<DemoStore>>,
    /// The key, as it stands in Alice's script.
    key: Mutex<Option<Issued>>,
    thief: Thief,
    /// The routes that the script uses.
    service: Router,
}

pub(crate) fn routes(world: &World) -> Result<Router> {
    let keys = ApiKeys::builder(world.store()?)
        .prefix("demo_pat")
        .longest(365 * DAY)
        .clock(world.clock.clone())
        .build()?;
    let keys = Arc::new(keys);
    let service = Router::new()
        .route("/articles", get(read).post(write))
        .route("/account", get(account))
        .layer(world.layer(keys.clone(), Transport::bearer())?);
    let panel = Panel {
        keys,
        key: Mutex::default(),
        thief: Thief::default(),
        service,
    };
    Ok(Router::new()
        .route("/make", post(make))
        .route("/leak", post(leak))
        .route("/revoke", post(revoke))
        .route("/thief/read", post(thief_reads))
        .route("/thief/write", post(thief_writes))
        .route("/thief/account", post(thief_opens_account))
        .with_state(Arc::new(panel)))
}

async fn read(caller: Auth) -> Result<Json<Value>, Denial> {
    caller.require_role("read")?;
    Ok(Json(json!({ "user": caller.subject() })))
}

async fn write(caller: Auth) -> Result<(), Denial> {
    caller.require_role("write")
}

/// Page of the account. A key is no login, so it never opens this page.
async fn account(caller: Auth) -> Result<(), Denial> {
    caller.require_login()
}

/// Makes a key for a script. In a real service Alice is logged in: see the example `api_keys`.
async fn make(State(panel): State<Arc<Panel>>) -> Result<(), Denial> {
    let key = Login::new(USER).role("read").device("backup script");
    let made = panel.keys.issue(key).await?;
    *panel.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    Ok(())
}

/// Publishes the key by mistake, and the thief reads it.
async fn leak(State(panel): State<Arc<Panel>>) -> Result<(), Denial> {
    let key = panel.key.lock().unwrap_or_else(PoisonError::into_inner);
    let key = key.as_ref().ok_or(Denial::Absent)?;
    panel.thief.copy_key(key.credential())
}

async fn revoke(State(panel): State<Arc<Panel>>) -> Result<Json<Value>, Denial> {
    let id = {
        let key = panel.key.lock().unwrap_or_else(PoisonError::into_inner);
        key.as_ref().ok_or(Denial::Absent)?.identity().id()
    };
    Ok(effective(panel.keys.revoke_id(USER, id).await?.effective))
}

async fn thief_reads(State(panel): State<Arc<Panel>>) -> Result<Response, Denial> {
    let service = panel.service.clone();
    panel.thief.send(service, Method::GET, "/articles").await
}

async fn thief_writes(State(panel): State<Arc<Panel>>) -> Result<Response, Denial> {
    let service = panel.service.clone();
    panel.thief.send(service, Method::POST, "/articles").await
}

async fn thief_opens_account(State(panel): State<Arc<Panel>>) -> Result<Response, Denial> {
    let service = panel.service.clone();
    panel.thief.send(service, Method::GET, "/account").await
}
