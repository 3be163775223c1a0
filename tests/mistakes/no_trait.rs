// says: no method named `issue` found for struct `SessionAuthenticator<S, D>`
// says: use statewise::Authenticator;
// page: ``no method named `issue` ``
// do: `use statewise::Authenticator;`

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::{Issued, Login};

async fn log_in(auth: SessionAuthenticator<MemoryStore>) -> statewise::Result<Issued> {
    auth.issue(Login::new("alice")).await
}

fn main() {
    let _ = log_in;
}
