//! Logout for tokens, and sessions that are verified from memory on every node.
//!
//! A revocation log is an append-only list of small facts, such as "this login has ended". Each
//! fact expires when every credential that it revokes has expired. Every node follows the log into
//! a [`RevocationView`] in its memory, and checks each request against it without I/O.
//!
//! 1. Choose a log from the table below.
//! 2. Build a [`RevocationView`] on it, once per process.
//! 3. Spawn the [`upkeep`](RevocationView::upkeep) of the view. Without it, the view becomes stale
//!    and refuses all logins.
//! 4. Hand the view to a [`TokenAuthenticator`](crate::token::TokenAuthenticator), a
//!    [`HybridAuthenticator`](crate::hybrid::HybridAuthenticator) or a
//!    [`CachedStore`](crate::store::CachedStore).
//!
//! | log | use it for |
//! |---|---|
//! | [`MemoryLog`] | one node, and tests |
//! | `RedbLog` (feature `redb`) | one node, with a file that survives restarts |
//! | `RedisLog` (feature `redis`) | nodes that share a Redis or a Redis Cluster |
//! | `MySqlLog` (feature `sqlx-mysql`) | nodes that share a MySQL or MariaDB |
//! | `PostgresLog` (feature `sqlx-postgres` or `tokio-postgres`) | nodes that share a Postgres |
//! | `SqliteLog` (feature `sqlx-sqlite`) | processes on one machine that share a file |
//!
//! [`manual::revocation`](crate::manual::revocation) explains the protocol, its terms and its
//! bound. [`log`] is the contract for implementers of a log.
//!
//! # Connections that stay open
//!
//! A WebSocket, a stream of events or a long job is verified once and then goes on after its login
//! has ended. [`RevocationView::revoked`] completes when that login ends. Select on it with the
//! tools of your runtime:
//!
//! ```
//! use std::future::poll_fn;
//! use std::pin::{Pin, pin};
//! use std::task::Poll;
//! use statewise::revocation::RevocationView;
//! use statewise::{Error, Identity};
//!
//! /// Serves a connection until it closes or the login of its caller ends.
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
//! // Alice is logged out while she is connected.
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
mod cursor;
pub(crate) mod fact;
mod filter;
mod follower;
mod incidents;
mod known;
mod news;
mod revoked;
mod settings;
mod view;
mod waiters;
mod writer;

pub use crate::backend::memory::MemoryLog;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use crate::backend::redb::RedbLog;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use crate::backend::redis::RedisLog;
#[cfg(feature = "sqlx-mysql")]
pub use crate::backend::sql::mysql::MySqlLog;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub use crate::backend::sql::postgres::PostgresLog;
#[cfg(feature = "sqlx-sqlite")]
pub use crate::backend::sql::sqlite::SqliteLog;
pub use builder::{NeedsMaxLifetime, ViewBuilder};
pub(crate) use known::LoginStatus;
pub use revoked::Revoked;
pub use view::{Health, RevocationView};
