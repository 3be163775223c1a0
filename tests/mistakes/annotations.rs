// says: type annotations needed for `Require<_>`
// page: `type annotations needed for Require<_>`
// do: `Require::with_data::<Profile>()`

use statewise::web::Require;

fn main() {
    let admins = Require::with_data().role("admin");
    drop(admins);
}
