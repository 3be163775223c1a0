//! Both at once: short access tokens that every node verifies without I/O, and a refresh credential
//! that is a session.
//!
//! | | access token | refresh credential |
//! |---|---|---|
//! | what it is | a JWT, as [`token`](crate::token) makes them | `rt_` and 64 characters, a row as [`session`](crate::session) keeps them |
//! | presented to | [`verify`](crate::Authenticator::verify), with each request | [`refresh`](crate::Authenticator::refresh), and nowhere else |
//! | lives | minutes | until it is not refreshed for the idle lifetime, or the absolute one is over |
//! | ends | with its time, or within the bound of a [revocation log](crate::revocation) | at once |
//!
//! Neither is ever taken for the other (RFC 8725, section 3.12): they differ in shape, in key and in
//! what the store recognises. A session of the same store is no refresh credential either.
//!
//! # Refreshing
//!
//! Each refresh replaces the refresh credential (RFC 9700, section 4.14.2), by the mechanism of
//! sessions: one row for the whole login, one successor for any number of parallel refreshes, and
//! nothing written by the ones that come second. *Used* means refreshed here, as a row cannot know
//! of access tokens that nobody asks it about:
//!
//! | presented | judged | answer |
//! |---|---|---|
//! | the current one | | its successor, and an access token |
//! | the current one, within the overlap (10 s) of the refresh that made it | other tabs, at the same moment | itself again, and an access token |
//! | the one before, within the grace (30 s) | the answer is on its way, or lost | the current one again, and an access token |
//! | the one before, later | orphaned: the answer was lost | the same, as [`Orphaned`](crate::Outcome::Orphaned), or the end of the login ([`reject_orphaned`]) |
//! | an older one, whose successor was refreshed | **reused**: somebody holds a copy | the login ends ([`Error::theft`]) |
//! | a younger one | ahead: the store lost a write | refused |
//!
//! No honest client is taken for a thief as long as a request and the answer before it together take
//! less time than the overlap, or if it keeps each refresh credential for longer than a request is
//! under way before it refreshes again, as one does that waits for its access token to expire. Tabs
//! that share a refresh credential should share the access token too.
//!
//! Whoever holds a copy and comes back before its successor was refreshed cannot be told from a
//! client that the answer did not reach, and is answered, however often the two take turns; but
//! each time as [`Orphaned`](crate::Outcome::Orphaned), which an
//! [`Observer`](crate::observer::Observer) is told of. With [`reject_orphaned`] the second to come
//! after the grace ends the login instead, also where an answer was lost.
//!
//! # Roles and data
//!
//! An access token says what the row said when it was signed. What
//! [`replace`](HybridAuthenticator::replace) changes counts from the next refresh on, and at once
//! for who asks [`authoritative`](crate::Presented::authoritative)ly, which reads the row.
//!
//! # Services that only verify
//!
//! They need a [`TokenAuthenticator`](crate::token::TokenAuthenticator) with the same keys, issuer,
//! audience and lifetime, the absolute lifetime of the login as its
//! [`max_lifetime`](crate::token::TokenBuilder::max_lifetime), and no store. An access token cannot
//! be refreshed there, as it does not say how long its login lasts. A lifetime that is shortened
//! counts there for the tokens that are signed from then on.
//!
//! [`reject_orphaned`]: crate::session::SessionBuilder::reject_orphaned
//! [`Error::theft`]: crate::Error::theft

mod authenticator;

pub use authenticator::HybridAuthenticator;
