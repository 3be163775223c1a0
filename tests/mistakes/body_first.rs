// says: Handler<_, _>` is not satisfied
// says: Consider using `#[axum::debug_handler]`
// page: the body (`Form`, `Json`)
// do: make it the last argument

use axum::{Form, Router, routing::post};
use statewise::web::SignIn;

async fn log_in(Form(_given): Form<Vec<(String, String)>>, _sign_in: SignIn) {}

fn main() {
    let _router: Router = Router::new().route("/login", post(log_in));
}
