// says: `Upkeep` is not a future
// page: `` `Upkeep` is not a future``
// do: `tokio::spawn(auth.upkeep().run(tokio::time::sleep))`

use statewise::Authenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;

fn start(auth: &SessionAuthenticator<MemoryStore>) {
    tokio::spawn(auth.upkeep());
}

fn main() {
    let _ = start;
}
