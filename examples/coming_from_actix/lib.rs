//! A service that logs users in with actix-identity, its port to statewise, and the nodes between.
//!
//! The page `coming::actix` of the manual quotes it. `before` is the old service and `after` the port.
//! `steps` has the deployments between them, in which no user is logged out. `actix_port` runs them all.

#![cfg(feature = "actix")]

pub mod after;
pub mod before;
pub mod browser;
pub mod deployment;
pub mod steps;
pub mod store;

/// Form of the login page.
pub const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<button>Log in</button></form>";

/// Form of a login.
#[derive(serde::Deserialize)]
pub struct Given {
    pub user: String,
    pub password: String,
}

impl Given {
    /// Stands for the comparison with the hash of the password in the database.
    #[must_use]
    pub fn is_right(&self) -> bool {
        ["alice", "bob"].contains(&&*self.user) && self.password == "open sesame"
    }
}

/// Form of a change of language.
#[derive(serde::Deserialize)]
pub struct Choice {
    pub language: String,
}
