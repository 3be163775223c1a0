//! A site with a login form, written for axum-login and tower-sessions.

pub mod after;
pub mod before;
pub mod old_sessions;
pub mod steps;

use serde::Deserialize;

/// Form of both services.
pub const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<button>Log in</button></form>";

/// Fields of the form.
#[derive(Clone, Deserialize)]
pub struct Given {
    pub user: String,
    pub password: String,
}

/// Page that the user wanted to see before the login.
#[derive(Deserialize)]
pub struct Wanted {
    pub next: Option<String>,
}

/// Form of a new password.
#[derive(Deserialize)]
pub struct NewPassword {
    pub password: String,
}
