//! Layers of tower, for axum, hyper, tonic and others.

mod body;
mod future;
mod headers;
mod require;
mod service;

pub use body::AuthBody;
pub use future::AuthFuture;
pub use require::RequireService;
pub use service::AuthService;
