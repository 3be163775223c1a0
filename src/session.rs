//! Sessions: the server remembers the user. [`manual::basics`](crate::manual::basics) explains them from
//! the beginning.
//!
//! A login is one [`Record`](crate::store::contract::Record) in a
//! [`SessionStore`](crate::store::contract::SessionStore). The client holds a credential of 64
//! characters: a [`Handle`](crate::store::contract::Handle) that finds the record, and secrets of
//! which the record has hashes only. Reading the store does not let anyone log in, and knowing a
//! handle proves nothing.
//!
//! # Two timeouts
//!
//! A session expires when it was not used for its *idle* timeout, or at its *absolute* deadline,
//! whichever comes first. You configure both (OWASP ASVS 7.3.1, 7.3.2). A verification notes the
//! use, at most once in an eighth of the idle timeout or in an hour, so a session may expire that much
//! early and never late. Nothing moves the deadline. A [passive](crate::Presented::passive)
//! verification is no use.
//!
//! [Remembered](crate::Login::remember) logins may have
//! [timeouts of their own](SessionBuilder::remembered). A [`Preset`](crate::Preset) sets and enforces the
//! timeouts of NIST SP 800-63B-4 or OWASP ASVS.
//!
//! # Rotation
//!
//! [`refresh`](crate::Authenticator::refresh) replaces the credential in place: the record and the
//! deadline stay, and all parallel calls get one successor. Every client that refreshes with the
//! replaced credential gets that same successor, on any node and any number of times. A refresh credential of
//! a [hybrid](crate::hybrid#a-stolen-refresh-credential) gets another one after the grace. The successor
//! is derived from the replaced secret and a seed in the record; the seed alone reveals nothing.
//!
//! A replaced credential is judged by when it comes back:
//!
//! | presented | judged | answer |
//! |---|---|---|
//! | within the overlap (10 s) of the rotation, or of the successor's first use | honest: requests in flight, other tabs | accepted |
//! | within the grace (30 s), successor not used yet | honest: the response is on its way, or lost | accepted |
//! | later, successor never used | orphaned: the response was lost | accepted, or the login ends ([`reject_orphaned`]) |
//! | successor used | **reused**: two parties hold the login | the login ends ([`Error::theft`]) |
//!
//! While it is accepted, [`Identity::refresh_due`] asks the caller to refresh. No
//! overlap can distinguish two parties that both refresh within it. A wrong secret with the right
//! handle ends nothing, so that no attacker can log a user out.
//!
//! A [step-up](crate::Edit::step_up) replaces the credential by one that is derived from none. The
//! replaced one never has the new class. It stays valid until the new one was used and the overlap
//! has passed, also if the response was lost, and a refresh returns it as it is.
//!
//! # Stores
//!
//! [`store`](crate::store) lists the stores of this crate. To write your own, implement
//! [`SessionStore`](crate::store::contract::SessionStore) and run the laws of the `testkit` feature
//! on it.
//!
//! [`reject_orphaned`]: SessionBuilder::reject_orphaned
//! [`Error::theft`]: crate::Error::theft
//! [`Identity::refresh_due`]: crate::Identity::refresh_due

pub(crate) mod authenticator;
pub(crate) mod builder;
pub(crate) mod credential;
pub(crate) mod judge;
pub(crate) mod listed;
pub(crate) mod logins;
pub(crate) mod namespace;
pub(crate) mod policy;
pub(crate) mod replay_limit;
pub(crate) mod sweeper;

pub use crate::store::contract::{Cursor, Limit, Removed};
pub use authenticator::SessionAuthenticator;
pub use builder::{NeedsAbsolute, NeedsIdle, SessionBuilder};
pub use listed::{Session, SessionPage};
