//! Logout that works for tokens, and sessions that verify from memory on every node.
//!
//! A [`RevocationLog`](log::RevocationLog) is a list of small facts, such as *this login has ended*, which forget
//! themselves when everything that they end has expired. Every node follows it into a
//! [`RevocationView`], which is asked on each request without any I/O.
//!
//! | log | for |
//! |---|---|
//! | [`MemoryLog`] | one node, and tests |
//! | `RedbLog` (`redb`) | one node, in a file that survives it |
//! | `RedisLog` (`redis`) | nodes that share a Redis, or a Cluster |
//! | `MySqlLog` (feature `sqlx-mysql`) | nodes that share a MySQL or MariaDB |
//! | `PostgresLog` (feature `sqlx-postgres` or `tokio-postgres`) | nodes that share a Postgres |
//! | `SqliteLog` (feature `sqlx-sqlite`) | processes on one machine that share a file |
//!
//! # Connections that stay open
//!
//! A WebSocket, a stream of events or a long job is let in once and goes on, whatever becomes of its
//! login. [`RevocationView::revoked`] waits until that login ends; select on it, with whatever the
//! runtime has for that:
//!
//! ```
//! use std::future::poll_fn;
//! use std::pin::{Pin, pin};
//! use std::task::Poll;
//! use statewise::revocation::RevocationView;
//! use statewise::{Error, Identity};
//!
//! /// Serves a connection to its end, or to that of its caller's login.
//! async fn serve(
//!     connection: impl Future<Output = ()>,
//!     caller: &Identity,
//!     view: &RevocationView,
//! ) -> Result<(), Error> {
//!     let mut connection = pin!(connection);
//!     let mut revoked = view.revoked(caller);
//!     poll_fn(|context| {
//!         if let Poll::Ready(why) = Pin::new(&mut revoked).poll(context) {
//!             return Poll::Ready(Err(why));
//!         }
//!         connection.as_mut().poll(context).map(Ok)
//!     })
//!     .await
//! }
//!
//! # use statewise::revocation::MemoryLog;
//! # use statewise::testkit::{block_on, yield_now};
//! # use statewise::{Login, Rejection};
//! # use time::OffsetDateTime;
//! # block_on(async {
//! # let view = RevocationView::builder(MemoryLog::new()?)
//! #     .max_lifetime(std::time::Duration::from_secs(3600))
//! #     .build()?;
//! # view.follow().await?;
//! # let (now, hour) = (OffsetDateTime::now_utc(), std::time::Duration::from_secs(3600));
//! # let alice = Identity::unverified(Login::new("alice"), now, now + hour)?;
//! # assert!(serve(yield_now(), &alice, &view).await.is_ok());
//! // Somebody logs her out while she is connected.
//! let connection = async {
//!     let _ = view.revoke_subject("alice").await;
//!     std::future::pending().await
//! };
//! let why = serve(connection, &alice, &view).await.unwrap_err();
//! assert_eq!(why.rejection(), Some(Rejection::Revoked));
//! # Ok::<(), Error>(()) }).unwrap();
//! ```

pub mod log;

mod builder;
pub(crate) mod fact;
mod filter;
mod follower;
mod following;
mod known;
mod revoked;
mod settings;
mod view;
mod waiters;

pub use crate::backend::memory::MemoryLog;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use crate::backend::redb::RedbLog;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use crate::backend::redis::RedisLog;
#[cfg(feature = "sqlx-mysql")]
pub use crate::backend::sql::mysql::{MySqlLog, MySqlLogBuilder};
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub use crate::backend::sql::postgres::{PostgresLog, PostgresLogBuilder};
#[cfg(feature = "sqlx-sqlite")]
pub use crate::backend::sql::sqlite::{SqliteLog, SqliteLogBuilder};
pub use builder::{NeedsMaxLifetime, ViewBuilder};
pub(crate) use known::LoginStatus;
pub use revoked::Revoked;
pub use view::{Health, RevocationView};
