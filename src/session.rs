//! stub
pub use crate::handle::{Handle, partition};
pub use authenticator::SessionAuthenticator;
pub use builder::{NeedsAbsolute, NeedsIdle, SessionBuilder};
pub use change::{Replaced, Replacement};
pub use credential::Proof;
pub use erased::DynSessionStore;
pub use lifetime::Touch;
pub use listed::{Session, SessionRef, Sessions};
pub use record::Record;
pub use step::{
    Change, Created, Cursor, Limit, Listing, Load, Page, Removed, Renewal, Renewed, Scope, Swept,
    Updated,
};
pub use store::SessionStore;

mod authenticator;
mod builder;
mod change;
mod credential;
mod erased;
mod fence;
mod judge;
mod lifetime;
mod listed;
mod record;
mod step;
mod store;
