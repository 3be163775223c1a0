//! Middleware and extractors of actix-web.

#![allow(
    clippy::future_not_send,
    reason = "actix-web serves each request on one thread"
)]

mod extract;
mod headers;
mod middleware;
mod require;

pub use extract::AuthError;
pub use middleware::AuthMiddleware;
pub use require::RequireMiddleware;

use std::pin::Pin;

/// Future that stays on its thread.
type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
