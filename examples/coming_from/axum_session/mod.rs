//! A site with a login form, written for axum_session.

pub mod after;
pub mod before;
pub mod old_sessions;
pub mod pool;
pub mod steps;

use serde::Deserialize;

/// Form of both services.
pub const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<input name=remember type=checkbox><button>Log in</button></form>";

/// Language of a user without a choice.
pub const DEFAULT_LANGUAGE: &str = "en";

/// Fields of the form.
#[derive(Deserialize)]
pub struct Given {
    pub user: String,
    pub password: String,
    /// `on` if the box is checked.
    pub remember: Option<String>,
}

/// Page that the user wanted to see before the login.
#[derive(Deserialize)]
pub struct Wanted {
    pub next: Option<String>,
}

/// Form of the language.
#[derive(Deserialize)]
pub struct Choice {
    pub language: String,
}
