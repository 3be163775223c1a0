//! Two services, and a thief in one of them: with a key per audience he cannot sign
//! for the other one.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::token::{Key, KeySource, MasterKey, TokenAuthenticator};
use statewise::web::Denial;
use statewise::{Authenticator as _, Login, Result};

use crate::world::{MINUTE, USER, World};

const ISSUER: &str = "shop";

struct Panel {
    world: World,
    master: MasterKey,
    /// One key for both services, for comparison.
    shared: Key,
}

impl Panel {
    /// Creates the tokens that `billing` accepts, with a key.
    fn for_billing(&self, keys: impl Into<KeySource>) -> Result<TokenAuthenticator> {
        TokenAuthenticator::builder(keys)
            .issuer(ISSUER)
            .audience("billing")
            .lifetime(MINUTE)
            .clock(self.world.clock.clone())
            .build()
    }
}

pub(crate) fn routes(world: &World) -> Result<Router> {
    let panel = Panel {
        world: world.clone(),
        master: MasterKey::generate()?,
        shared: Key::generate_hs256()?,
    };
    Ok(Router::new()
        .route("/call", post(call))
        .route("/thief", post(forge))
        .route("/thief/shared", post(forge_with_shared_key))
        .with_state(Arc::new(panel)))
}

/// Calls `billing` for Alice: the issuer signs with the key of `billing`.
async fn call(State(panel): State<Arc<Panel>>) -> Result<Json<Value>, Denial> {
    let issuer = panel.for_billing(&panel.master)?;
    let billing = panel.for_billing(panel.master.key_for(ISSUER, "billing")?)?;
    accepted(&issuer, &billing).await
}

/// Signs a token for `billing` with the key that the thief has found in `orders`.
async fn forge(State(panel): State<Arc<Panel>>) -> Result<Json<Value>, Denial> {
    let thief = panel.for_billing(panel.master.key_for(ISSUER, "orders")?)?;
    let billing = panel.for_billing(panel.master.key_for(ISSUER, "billing")?)?;
    accepted(&thief, &billing).await
}

/// The same, if both services had one key.
async fn forge_with_shared_key(State(panel): State<Arc<Panel>>) -> Result<Json<Value>, Denial> {
    let thief = panel.for_billing(panel.shared.clone())?;
    let billing = panel.for_billing(panel.shared.clone())?;
    accepted(&thief, &billing).await
}

async fn accepted(
    signer: &TokenAuthenticator,
    billing: &TokenAuthenticator,
) -> Result<Json<Value>, Denial> {
    let token = signer.issue(Login::new(USER).role("admin")).await?;
    let caller = billing.verify(token.credential().reveal()).await?;
    Ok(Json(json!({ "user": caller.subject() })))
}
