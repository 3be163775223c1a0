// says: type mismatch resolving `<SessionAuthenticator<MemoryStore, Vec<String>> as Authenticator>::Data == ()`
// page: `type mismatch resolving <.. as Authenticator>::Data == ()`
// do: `Arc<dyn DynAuthenticator<Profile>>`

use std::sync::Arc;

use statewise::DynAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;

fn any(auth: SessionAuthenticator<MemoryStore, Vec<String>>) -> Arc<dyn DynAuthenticator<()>> {
    Arc::new(auth)
}

fn main() {
    let _ = any;
}
