// says: `SessionBuilder<MemoryStore>` is not an authenticator
// says: a builder becomes one by `build()?`
// page: `.. is not an authenticator`
// do: `build()?`

use std::sync::Arc;

use statewise::session::SessionBuilder;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Transport};

fn layer(auth: SessionBuilder<MemoryStore>) -> statewise::Result<AuthLayer> {
    AuthLayer::new(Arc::new(auth), Transport::bearer())
}

fn main() {
    let _ = layer;
}
