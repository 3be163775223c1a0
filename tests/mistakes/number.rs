// says: expected `Duration`, found integer
// page: ``expected `Duration`, found integer``
// do: `Duration::from_secs(30 * 60)`

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;

fn main() -> statewise::Result<()> {
    let _builder = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?).idle(30 * 60);
    Ok(())
}
