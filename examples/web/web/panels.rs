//! Panels of the page: each shows one more capability, and the thief beside it.

mod api_key;
mod audience;
mod link;
mod remember;
mod step_up;

use axum::Router;
use statewise::Result;

use crate::world::World;

/// Builds the routes of all panels.
pub(crate) fn routes(world: &World) -> Result<Router> {
    Ok(Router::new()
        .nest("/step-up", step_up::routes(world)?)
        .nest("/link", link::routes(world)?)
        .nest("/api-key", api_key::routes(world)?)
        .nest("/audience", audience::routes(world)?)
        .nest("/remember", remember::routes(world)?))
}
