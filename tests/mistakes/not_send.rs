// says: Handler<_, _>` is not satisfied
// says: Consider using `#[axum::debug_handler]`
// page: `Rc`
// do: drop it before

use std::rc::Rc;

use axum::{Router, routing::post};
use statewise::Login;
use statewise::web::{Denial, SignIn};

async fn log_in(sign_in: SignIn) -> Result<String, Denial> {
    let user = Rc::new("alice");
    sign_in.issue(Login::new(*user)).await?;
    Ok(user.to_string())
}

fn main() {
    let _router: Router = Router::new().route("/login", post(log_in));
}
