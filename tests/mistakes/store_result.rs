// says: is not a session store
// says: write `?` after a call that returns a `Result`
// says: a backend has its store in `sessions()`
// page: `.. is not a session store`
// do: `redis.sessions()`

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;

fn main() {
    let _builder = SessionAuthenticator::builder(MemoryStore::with_capacity(100));
}
