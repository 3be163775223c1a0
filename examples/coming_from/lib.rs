//! Services written for other libraries, and their ports to statewise, step by step while they run.
//!
//! Each module has the old service in `before`, the port in `after`, and the deployments between them in
//! `steps`. The pages `coming` of the manual quote them.

pub mod axum_login;
pub mod axum_session;
pub mod express;
pub mod iron_session;
pub mod jsonwebtoken;
pub mod users;
