// says: expected `TokenBuilder<_>`, found `TokenAuthenticator`
// page: ``expected `TokenBuilder<_>`, found `TokenAuthenticator` ``
// do: without `build()?`

use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::TokenAuthenticator;

fn both(tokens: TokenAuthenticator, sessions: SessionAuthenticator<MemoryStore>) {
    let _auth = HybridAuthenticator::new(tokens, sessions);
}

fn main() {
    let _ = both;
}
