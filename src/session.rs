//! The stateful strategy: the server remembers the user.
//!
//! A login is one [`Record`](crate::store::contract::Record) in a [`SessionStore`](crate::store::contract::SessionStore). Its client holds a credential of 64 characters:
//! the [`Handle`](crate::store::contract::Handle) by which the record is found, and secrets of which the record holds only hashes.
//! Who reads the store can log in as nobody, and who knows a handle proves nothing with it.
//!
//! # Two clocks
//!
//! A session ends when it was not used for its *idle* lifetime, or at its *absolute* deadline,
//! whichever comes first. Both must be configured (OWASP ASVS 7.3.1, 7.3.2). Verifying notes the
//! use, at most once in an eighth of the idle lifetime, so that a session may end that much early
//! and never late. Nothing moves the deadline.
//!
//! # Rotation
//!
//! [`refresh`](crate::Authenticator::refresh) replaces the credential in place: the same record,
//! the same deadline, one successor for any number of parallel calls. Each client that asks with
//! the replaced credential gets that same successor, whoever made it and however often, because it
//! follows from the replaced secret and a seed in the record, which alone reveal nothing.
//!
//! What a replaced credential is worth afterwards:
//!
//! | presented | judged | answer |
//! |---|---|---|
//! | within the overlap (10 s) of the rotation, or of the successor's first use | honest: requests in flight, other tabs | works |
//! | within the grace (30 s), successor not used yet | honest: the answer is on its way or lost | works |
//! | later, successor never used | orphaned: the answer was lost | works, or ends the login ([`reject_orphaned`]) |
//! | successor used | **reused**: somebody holds a copy | the login ends ([`Error::theft`]) |
//!
//! In all cases that work, [`Identity::refresh_due`] asks the caller to refresh. Two holders who
//! both refresh inside every overlap are never told apart: the price of any such window.
//! A wrong secret under a right handle ends nothing, so that nobody can log out another.
//!
//! # Stores
//!
//! [`store`](crate::store) lists what there is. A store of your own implements [`SessionStore`](crate::store::contract::SessionStore);
//! the `testkit` feature puts it to the test.
//!
//! [`reject_orphaned`]: SessionBuilder::reject_orphaned
//! [`Error::theft`]: crate::Error::theft
//! [`Identity::refresh_due`]: crate::Identity::refresh_due

pub(crate) mod authenticator;
pub(crate) mod builder;
pub(crate) mod change;
pub(crate) mod credential;
pub(crate) mod fence;
pub(crate) mod judge;
pub(crate) mod lifetime;
pub(crate) mod listed;
pub(crate) mod policy;
pub(crate) mod replays;

pub use crate::store::contract::{Cursor, Limit, Removed};
pub use authenticator::SessionAuthenticator;
pub use builder::{NeedsAbsolute, NeedsIdle, SessionBuilder};
pub use change::{Replaced, Replacement};
pub use listed::{Session, SessionRef, Sessions};
