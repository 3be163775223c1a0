// says: is not a revocation log
// says: write `?` after a call that returns a `Result`
// says: a backend has its log in `revocations()`
// page: `.. is not a revocation log`
// do: `redis.revocations()`

use statewise::revocation::{MemoryLog, RevocationView};

fn main() {
    let _builder = RevocationView::builder(MemoryLog::new());
}
