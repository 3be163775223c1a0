//! The contract of a session store, for implementers.
//!
//! Implement [`SessionStore`] to keep sessions in a database that this crate does not support:
//!
//! 1. Keep the bytes of [`Record::encode`] under [`Record::handle`], and an index of
//!    [`Record::subject`]. [`Record::decode`] reads them back.
//! 2. Implement [`create`](SessionStore::create), [`load`](SessionStore::load),
//!    [`change`](SessionStore::change), [`touch`](SessionStore::touch),
//!    [`remove`](SessionStore::remove), [`remove_subject`](SessionStore::remove_subject),
//!    [`list`](SessionStore::list) and [`sweep`](SessionStore::sweep). Each is one atomic step. In most
//!    databases `change` is a read followed by a compare-and-swap on the bytes, in a loop.
//! 3. Run the laws of the kit against it: `testkit::session_store_laws!`.
//! 4. If your database can rotate, update or confirm a row in one statement, override
//!    [`rotate`](SessionStore::rotate), [`update`](SessionStore::update) and
//!    [`confirm`](SessionStore::confirm). Otherwise keep the provided methods.
//!
//! The example `examples/own_store.rs` of the repository is a complete store with its tests.

pub use crate::login::handle::{Handle, partition};
pub use crate::login::stamp::Stamp;
pub use crate::store::answer::{Changed, Created, Removed, Rotated, Swept, Updated};
pub use crate::store::ask::{Limit, Load, Rotation, Scope, Update};
pub use crate::store::erased::DynSessionStore;
pub use crate::store::listing::{Cursor, Listing, Page};
pub use crate::store::proof::Proof;
pub use crate::store::record::Record;
pub use crate::store::session_store::{ChangeFn, SessionStore};
