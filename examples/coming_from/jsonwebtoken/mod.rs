//! An API that signs and verifies its tokens by hand, with jsonwebtoken.

pub mod after;
pub mod before;
pub mod steps;

use serde::{Deserialize, Serialize};

/// The secret of the old service. A [`Key`](statewise::token::Key) needs 32 bytes.
pub const OLD_SECRET: &[u8] = b"secret of the service";

/// Body of a login.
#[derive(Deserialize)]
pub struct Given {
    pub user: String,
    pub password: String,
}

/// Body of `/me`.
#[derive(Serialize)]
pub struct Me {
    pub user: String,
    pub company: String,
}
