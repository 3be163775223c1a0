//! Tickets: credentials that work once.
//!
//! A ticket is for one act that a client does later, elsewhere, or before it is logged in: a link in
//! an e-mail, a password reset, a WebSocket handshake, the `state` of an OAuth request, a second
//! factor that is still missing. Of any number of calls of [`redeem`](Tickets::redeem), on any node,
//! one gets its payload.
//!
//! A ticket is no login: no authenticator and no guard accepts it.

pub(crate) mod builder;
pub(crate) mod issuer;
pub(crate) mod ticket;

pub use builder::{NeedsLifetime, NeedsPurpose, TicketsBuilder};
pub use issuer::Tickets;
pub use ticket::{Redeemed, Ticket};
