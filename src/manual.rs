//! The manual: what is worth knowing beyond single items.
//!
//! # Choosing a strategy
//!
//! Ask how fast a logout must count. A stolen session dies the moment it is revoked; a stolen token
//! works until it expires, and, where tokens may be refreshed, until its login's deadline:
//! [`Revocation`](crate::Revocation) says so, and the `quickstart` example shows it. Then ask what
//! a request may cost. A session costs a lookup in a store that every node must reach; a token
//! costs arithmetic and nothing else.
//!
//! Choose sessions for people in browsers, unless the store is out of reach. Choose tokens between
//! services, at the edge, and for lifetimes of minutes. Choose both, [short tokens with a refresh
//! session](crate::compose::hybrid), for apps that stay logged in for weeks and whose requests should ask no
//! store. As handlers see only [`Authenticator`](crate::Authenticator), the choice can change.
//!
//! # Changing it
//!
//! [`Migrating`](crate::compose::migrating::Migrating) verifies what the old and the new strategy issued,
//! issues what the new one does, and exchanges an old credential when its client refreshes. Put it
//! in place of the old one on every node; when [`progress`](crate::compose::migrating::Migrating::progress)
//! has seen no old credential on any node for as long as one lives, put the new one in its place.
//! Back again works the same way. What the two issue must differ in shape: new tokens get a key of
//! their own. If both obey a revocation log, it must be the same one.
//!
//! A node that still runs the old strategy alone refuses new credentials: where nodes are replaced
//! one by one, first let all of them verify both, as `Migrating::builder(new, old)` does without
//! issuing anything new, and then turn the two around.
//!
//! # Threats, and what stands against them
//!
//! | threat | answer |
//! |---|---|
//! | a copy of the session table | it holds hashes of 128-bit secrets; nothing in it can be presented |
//! | session fixation | [`Login::replaces`](crate::Login::replaces) ends what was presented before; an id is never taken from a client |
//! | a late write after logout | no write but `create` makes a row, and handles are never reused |
//! | a stolen session credential | where it is rotated in use ([`rotate_after`](crate::session::SessionBuilder::rotate_after)), the second holder is noticed, and the login ends |
//! | a stolen refresh credential | the same, whenever it is presented after its successor was refreshed; [`hybrid`](crate::compose::hybrid) says where the two cannot be told apart |
//! | one kind of credential in the place of another | session, refresh credential and access token differ in shape, in key and in what the store recognises |
//! | `alg` confusion, `none`, `crit`, `jwk`, `jku`, `x5u`, `zip` | the header of our tokens is a constant that is compared, not parsed |
//! | weak keys | [`Key`](crate::token::Key) refuses short, repeated, PEM and JWK input |
//! | an outage | *unavailable*, never "nobody is logged in", never a fresh session |
//! | guessing and timing | 128-bit secrets; proofs and signatures are compared in constant time |
//! | oversized input | refused by length before it is decoded, hashed or looked up |
//! | secrets in logs | credentials and keys have no `Display` and a redacted `Debug` |
//!
//! Not answered here: a credential stolen together with the device, cross-site scripting in the
//! application, and the transport. Use TLS.
//!
//! # Clocks
//!
//! All times are whole seconds of one [`Clock`](crate::clock::Clock). Sessions and our own tokens
//! need no node to agree with another: `iat` is never compared with the time of day. An expiry
//! counts from its very second: what expires at noon is over at noon. A clock that cannot tell the
//! time, such as one before 1970, makes each act *unavailable*.
//!
//! # Writing a store
//!
//! Keep [`Record::encode`](crate::store::contract::Record::encode) under the handle. Every change is a
//! method of [`Record`](crate::store::contract::Record): read, change, and write back only if nobody else
//! wrote in between; on conflict, read again. Index the subject. Then run the laws of the `testkit`
//! feature on it.
//!
//! # Operating
//!
//! Put an [`Observed`](crate::Observed) around the authenticator to see what it does, with
//! the features `tracing` and `metrics` or an observer of your own. Wake somebody for a theft, for a
//! view that is stale, and for rejections as `bad_signature` in numbers.
//!
//! Run [`upkeep`](crate::Authenticator::upkeep) with your runtime's sleep. It gives back the space
//! of sessions that are over; nothing depends on it for safety. A
//! [`MemoryStore`](crate::store::MemoryStore) that is full of live sessions refuses logins and ends
//! none, so size it for the peak.
