//! The contract of a session store, for those who implement one.

pub use crate::login::handle::{Handle, partition};
pub use crate::login::stamp::Stamp;
pub use crate::store::answer::{Changed, Created, Removed, Rotated, Swept, Updated};
pub use crate::store::ask::{Limit, Load, Rotation, Scope, Update};
pub use crate::store::erased::DynSessionStore;
pub use crate::store::listing::{Cursor, Listing, Page};
pub use crate::store::proof::Proof;
pub use crate::store::record::Record;
pub use crate::store::session_store::{ChangeFn, SessionStore};
