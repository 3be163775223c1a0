//! The contract of a session store, for implementers.
//!
//! Implement [`SessionStore`] to keep sessions in a database that this crate does not support:
//!
//! 1. Keep the bytes of [`Record::encode`] under [`Record::handle`], and an index of
//!    [`Record::subject`]. [`Record::decode`] reads them back.
//! 2. Implement [`create`](SessionStore::create), [`load`](SessionStore::load),
//!    [`change`](SessionStore::change), [`touch`](SessionStore::touch),
//!    [`remove`](SessionStore::remove), [`remove_subject`](SessionStore::remove_subject),
//!    [`list`](SessionStore::list) and [`sweep`](SessionStore::sweep). Each is one atomic step,
//!    except `touch`, `remove_subject` and `sweep`, which may act row by row. In most databases
//!    `change` is a read followed by a compare-and-swap on the bytes, in a loop.
//! 3. Run the laws of the kit against it: `testkit::session_store_laws!`.
//! 4. Keep the provided [`begin`](SessionStore::begin), [`check_new`](SessionStore::check_new),
//!    [`outdate`](SessionStore::outdate), [`staleness`](SessionStore::staleness),
//!    [`max_lifetime`](SessionStore::max_lifetime) and [`upkeep`](SessionStore::upkeep), unless your
//!    store serves cached rows or writes in the background.
//! 5. If your database can rotate, update or confirm a row in one statement, override
//!    [`rotate`](SessionStore::rotate), [`update`](SessionStore::update) and
//!    [`confirm`](SessionStore::confirm). Otherwise keep the provided methods.
//!
//! `examples/own_store.rs` in the repository is a complete store with its tests, in under 200
//! lines.
//!
//! # Example
//!
//! To override one method of another store, forward the rest with
//! `testkit::forward_session_store!`.
//!
//! A `change` for a database that has compare-and-swap and no transactions:
//!
//! ```
//! use statewise::Result;
//! use statewise::clock::Timestamp;
//! use statewise::store::contract::{ChangeFn, Changed, Handle, Record};
//!
//! # struct Database;
//! # impl Database {
//! #     async fn read(&self, _: Handle) -> Result<Option<Record>> { Ok(None) }
//! #     async fn delete(&self, _: Handle) -> Result<()> { Ok(()) }
//! #     async fn compare_and_swap(&self, _: &Record, _: &Record) -> Result<bool> { Ok(true) }
//! # }
//! async fn change(
//!     database: &Database,
//!     handle: Handle,
//!     now: Timestamp,
//!     change: ChangeFn<'_>,
//! ) -> Result<Option<Changed>> {
//!     loop {
//!         let Some(row) = database.read(handle).await? else {
//!             return Ok(None);
//!         };
//!         if !row.is_alive(now) {
//!             // So that it stays expired if the clock is set back.
//!             database.delete(handle).await?;
//!             return Ok(None);
//!         }
//!         let mut next = row.clone();
//!         if !change(&mut next) {
//!             return Ok(Some(Changed::new(false, row)));
//!         }
//!         // If another call wrote first, loop and apply the change to its row.
//!         if database.compare_and_swap(&row, &next).await? {
//!             return Ok(Some(Changed::new(true, next)));
//!         }
//!     }
//! }
//! ```

pub use crate::login::handle::{Handle, partition};
pub use crate::login::stamp::Stamp;
pub use crate::store::answer::{Changed, Created, Peeked, Removed, Rotated, Swept, Updated};
pub use crate::store::ask::{Limit, Load, Rotation, Scope, Update};
pub use crate::store::erased::DynSessionStore;
pub use crate::store::listing::{Cursor, Listing, Page};
pub use crate::store::proof::Proof;
pub use crate::store::record::Record;
pub use crate::store::record_ref::RecordRef;
pub use crate::store::session_store::{ChangeFn, SessionStore};
