// says: expected `Arc<dyn DynAuthenticator<()>>`, found `SessionAuthenticator<MemoryStore>`
// page: ``expected `Arc<dyn DynAuthenticator<..>>`, found ..``
// do: `AuthLayer::new(Arc::new(auth), transport)?`

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Transport};

fn layer(auth: SessionAuthenticator<MemoryStore>) -> statewise::Result<AuthLayer> {
    AuthLayer::new(auth, Transport::bearer())
}

fn main() {
    let _ = layer;
}
