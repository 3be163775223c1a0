// says: no method named `build` found for struct `NeedsIdle<S>`
// page: ``no method named `build` found for struct `NeedsIdle<S>` ``
// do: `idle`, then `absolute`

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;

fn main() -> statewise::Result<()> {
    let _auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?).build()?;
    Ok(())
}
