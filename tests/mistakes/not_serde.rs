// says: the trait bound `Profile: serde::Serialize` is not satisfied
// says: consider adding `#[derive(serde::Serialize)]` to your `Profile` type
// page: ``the trait bound `Profile: serde::Serialize` is not satisfied``
// do: `#[derive(serde::Serialize, serde::Deserialize)]`

use std::sync::Arc;

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Transport};

struct Profile;

fn layer(auth: SessionAuthenticator<MemoryStore, Profile>) -> statewise::Result<AuthLayer<Profile>> {
    AuthLayer::new(Arc::new(auth), Transport::bearer())
}

fn main() {
    let _ = layer;
}
