// says: could not find `testkit` in `statewise`
// says: feature = "testkit"
// page: ``could not find `testkit` in `statewise` ``
// do: `[dev-dependencies]`

use statewise::testkit::TestClient;

fn main() {}
