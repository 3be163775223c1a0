// says: Handler<_, _>` is not satisfied
// says: Consider using `#[axum::debug_handler]`
// page: returns another error, such as `Box<dyn Error>` or `statewise::Error`
// do: return `Result<_, Denial>`

use axum::{Router, routing::get};
use statewise::web::Auth;

async fn account(caller: Auth) -> statewise::Result<String> {
    Ok(caller.subject().to_owned())
}

fn main() {
    let _router: Router = Router::new().route("/account", get(account));
}
