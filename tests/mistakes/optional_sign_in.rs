// says: Handler<_, _>` is not satisfied
// says: Consider using `#[axum::debug_handler]`
// page: takes `Option<SignIn>` or `Option<Visitor>`
// do: take `SignIn` or `Visitor` itself

use axum::{Router, routing::get};
use statewise::web::SignIn;

async fn home(_sign_in: Option<SignIn>) {}

fn main() {
    let _router: Router = Router::new().route("/", get(home));
}
