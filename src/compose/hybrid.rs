//! Access tokens and sessions combined: every node verifies short access tokens without I/O, and a
//! refresh credential in a store keeps the login. The [manual](crate::manual::hybrid) has a picture, and
//! the cookies of browsers.
//!
//! | | access token | refresh credential |
//! |---|---|---|
//! | form | a JWT, as in [`token`](crate::token) | `rt_` and 64 characters, with a row as in [`session`](crate::session) |
//! | presented to | [`verify`](crate::Authenticator::verify), with each request | [`refresh`](crate::Authenticator::refresh) only |
//! | valid for | minutes | the idle timeout after each refresh, and at most the absolute timeout |
//! | ends | when it expires, or within the bound of a [revocation log](crate::revocation) | at once |
//!
//! One is never accepted as the other (RFC 8725, section 3.12): they differ in form, in key and in
//! the proof that the store keeps. A session of the same store is no refresh credential either.
//!
//! # Refreshing
//!
//! Each refresh replaces the refresh credential (RFC 9700, section 4.14.2), in the same way as for
//! sessions: there is one row for the whole login and one successor for all parallel refreshes, and
//! only the first of them writes. A credential counts as *used* when it is refreshed. The row does
//! not know which access tokens are used, as their verification does not read it.
//!
//! | presented | judged | answer |
//! |---|---|---|
//! | the current credential | | its successor, and an access token |
//! | the current credential, within the overlap (10 s) of the refresh that made it | other tabs, at the same moment | the same credential again, and an access token |
//! | the previous credential, within the grace (30 s) | the response is on its way, or lost | the current credential again, and an access token; it stays in the grace for 20 s more (the grace minus the overlap) |
//! | the previous credential, later | orphaned: the response was lost, or another party has it | a new successor, as [`Orphaned`](crate::Outcome::Orphaned), and an access token, or the end of the login ([`reject_orphaned`]) |
//! | an older credential, or a successor that was replaced so | **reused**: two parties hold the login | the login ends ([`Error::theft`]) |
//! | a newer credential | ahead: the store lost a write | rejected |
//!
//! An honest client is never flagged as a thief if a response and the next request together take
//! less time than the overlap. It is not flagged either if it waits for its access token to expire before it
//! refreshes, and a request and its response take less than the grace minus the overlap (20 s). Responses may
//! be lost then, unless you choose [`reject_orphaned`]. Tabs that share a refresh credential should share the
//! access token too.
//!
//! # A stolen refresh credential
//!
//! Thief and client hold the same credential. The first of them to refresh gets a successor. The other one
//! then looks like a client that lost a response: it gets an answer too, which is
//! [`Orphaned`](crate::Outcome::Orphaned), and an [`Observer`](crate::observer::Observer) is notified. But its
//! successor is a new one, and that of the first is replaced. When the first refreshes again, two parties hold
//! the login, and it ends.
//!
//! - With [`reject_orphaned`], the login ends as stolen at the first refresh after the grace, also where there
//!   is no thief and a response was really lost. The grace counts from the rotation then.
//! - A thief who refreshes within the grace after each refresh of the client looks like another tab.
//!
//! # Roles and data
//!
//! An access token has the roles and data of the row at the time it was signed, and the version of
//! the row as the claim `ver`. With a [revocation log](crate::token::TokenBuilder::revocations),
//! an [`update`](crate::Authenticator::update) of roles, and
//! [`update_all`](crate::Authenticator::update_all), make older access tokens
//! [outdated](crate::Rejection::Outdated) within the bound of the log. Their clients refresh, and
//! the logins continue. Otherwise a change counts from the next refresh on. An
//! [authoritative](crate::Presented::authoritative) verification reads the row, and sees it at
//! once.
//!
//! If a version of the service cannot read the data, verification and refresh fail as
//! [unreadable](crate::Error::is_unreadable), and neither credential is lost: a refresh reads the
//! data before it rotates the row. See
//! [`data_or_else`](crate::session::SessionBuilder::data_or_else).
//!
//! # Services that only verify
//!
//! They need no store. Configure a [`TokenAuthenticator`](crate::token::TokenAuthenticator) with
//! the same keys, issuer, audience and lifetime. Leave out its
//! [`max_lifetime`](crate::token::TokenBuilder::max_lifetime): the page on
//! [services](crate::manual::services#revocations-without-a-secret) says why. Such a service cannot refresh
//! an access token, as the token does not carry the deadline of its login. A shorter lifetime counts there
//! for tokens that are signed from then on.
//!
//! [`reject_orphaned`]: crate::session::SessionBuilder::reject_orphaned
//! [`Error::theft`]: crate::Error::theft

mod authenticator;

pub use authenticator::HybridAuthenticator;
