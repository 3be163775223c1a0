//! Tickets: credentials that work once.
//!
//! A ticket is for one act that a client does later, elsewhere, or before it is logged in: a link in
//! an e-mail, a password reset, a WebSocket handshake, the `state` of an OAuth request, a second
//! factor that is still missing. Of any number of calls of [`redeem`](Tickets::redeem), on any node,
//! one gets its payload. A ticket is no login: no authenticator and no guard accepts it.
//!
//! Tickets are rows of a [store](crate::store), which may also keep the sessions. Limits, lists and
//! logouts of the sessions do not meet them. To end the tickets of a user with a logout everywhere, call
//! `also_ends` of the [sessions](crate::session::SessionBuilder::also_ends) or the
//! [tokens](crate::token::TokenBuilder::also_ends).
//!
//! If visitors without a login can get tickets, give these a store of their own: abandoned ones stay until
//! they expire, and a full store refuses logins.
//!
//! All tickets of one purpose in one store belong together. Two applications in one database have a
//! store each, under a prefix of its own (for Postgres, MySQL and SQLite: tables of its own); they share
//! no ticket. Applications that share a store, because they share the logins of their users, name their
//! purposes apart, such as `shop/password-reset`.
//!
//! # A password reset
//!
//! Programs that check e-mails open the links in them. Answer GET with a page that posts the ticket,
//! and redeem it on POST. Send the page with `Referrer-Policy: no-referrer`.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use statewise::session::SessionAuthenticator;
//! use statewise::store::MemoryStore;
//! use statewise::tickets::Tickets;
//! use statewise::web::Denial;
//! use statewise::{Authenticator, Result};
//!
//! type Store = Arc<MemoryStore>;
//!
//! fn build(store: Store) -> Result<(Arc<Tickets<Store>>, SessionAuthenticator<Store>)> {
//!     let resets = Tickets::builder(Arc::clone(&store))
//!         .purpose("password-reset")
//!         .lifetime(Duration::from_secs(15 * 60))
//!         .outstanding(3)
//!         .build()?;
//!     let resets = Arc::new(resets);
//!     let auth = SessionAuthenticator::builder(store)
//!         .idle(Duration::from_secs(30 * 60))
//!         .absolute(Duration::from_secs(12 * 3600))
//!         .also_ends(Arc::clone(&resets))
//!         .build()?;
//!     Ok((resets, auth))
//! }
//!
//! # async fn send(_: &str, _: String) {}
//! # async fn set_password(_: &str, _: &str) -> Result<()> { Ok(()) }
//! async fn request_reset(resets: &Tickets<Store>, user: &str) -> Result<()> {
//!     let ticket = resets.issue(user, ()).await?;
//!     let ticket = ticket.credential().reveal();
//!     send(user, format!("https://app.example/reset?ticket={ticket}")).await;
//!     Ok(())
//! }
//!
//! /// The handler of POST.
//! async fn reset(
//!     resets: &Tickets<Store>,
//!     auth: &SessionAuthenticator<Store>,
//!     ticket: &str,
//!     password: &str,
//! ) -> Result<(), Denial> {
//!     // Check the new password before: a ticket is redeemed once.
//!     let reset = resets.redeem(ticket, None).await.map_err(Denial::of_ticket)?;
//!     set_password(&reset.subject, password).await?;
//!     // Ends all logins of the user, and the other tickets.
//!     let _ = auth.revoke_all(&reset.subject).await?;
//!     Ok(())
//! }
//! # async fn example() -> Result<(), Denial> {
//! #     let (resets, auth) = build(Arc::new(MemoryStore::with_capacity(100)?))?;
//! #     let ticket = resets.issue("alice", ()).await?;
//! #     request_reset(&resets, "alice").await?;
//! #     reset(&resets, &auth, ticket.credential().reveal(), "correct horse").await
//! # }
//! # use std::{pin::pin, task::{Context, Poll, Waker}};
//! # let mut example = pin!(example());
//! # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
//! ```
//!
//! # A WebSocket handshake
//!
//! A script cannot set header fields of a handshake, and a query is logged. A ticket of a few seconds
//! may be in either place: see [`ticket_in_protocols`](crate::web::ticket_in_protocols) and
//! [`ticket_in_query`](crate::web::ticket_in_query).
//!
//! ```
//! use statewise::store::contract::SessionStore;
//! use statewise::tickets::{Ticket, TicketContent, Tickets};
//! use statewise::web::{Auth, Denial, Found, Headers, ticket_in_protocols};
//!
//! /// The payload: roles of the user.
//! type Sockets<S> = Tickets<S, Vec<String>>;
//!
//! /// An authenticated request asks for a ticket.
//! async fn ticket<S: SessionStore>(sockets: &Sockets<S>, auth: Auth) -> Result<Ticket, Denial> {
//!     let roles = auth.identity().roles().map(str::to_owned).collect();
//!     Ok(sockets.issue(auth.identity().subject(), roles).await?)
//! }
//!
//! /// `new WebSocket(url, ["chat", ticket])`: answer with the protocol `chat`.
//! async fn handshake<S: SessionStore, H: Headers>(
//!     sockets: &Sockets<S>,
//!     headers: &H,
//! ) -> Result<TicketContent<Vec<String>>, Denial> {
//!     match ticket_in_protocols(headers) {
//!         Found::One(ticket) => sockets.redeem(ticket, None).await.map_err(Denial::of_ticket),
//!         _ => Err(Denial::Absent),
//!     }
//! }
//! # let _ = (ticket::<statewise::store::MemoryStore>, handshake::<statewise::store::MemoryStore, Vec<(String, String)>>);
//! ```
//!
//! # A pending second factor
//!
//! After the password, the browser gets a [bound](TicketsBuilder::bound) ticket and no login. Each code
//! first takes a try away from the payload, which [`update`](Tickets::update) does in one step: of any
//! number of guesses at once, no two share a try. The right code redeems the ticket.
//!
//! **Count the wrong codes of each user too**, beside the user in your database, and refuse further codes
//! for a while (RFC 4226, section 7.3). The count in a ticket limits that ticket alone: an attacker with
//! the password enters it again and has fresh tries. The example `two_factor` counts by user.
//!
//! The ticket stays in the store meanwhile. A logout everywhere on any node ends it, if the
//! authenticator [also ends](crate::session::SessionBuilder::also_ends) these tickets. The login begins
//! before the ticket is redeemed, so that a logout everywhere in between makes it
//! [outdated](crate::Refusal::Outdated). Do not redeem the ticket and issue another one: the logout
//! would miss the new one.
//!
//! ```
//! use statewise::store::contract::SessionStore;
//! use statewise::tickets::Tickets;
//! use statewise::web::Denial;
//! use statewise::{Authenticator, Error, Issued, Rejection, Result};
//!
//! # async fn check_code(_: &str, _: &str) -> Result<bool> { Ok(true) }
//! /// Takes one of the tries that are left.
//! fn try_once(left: &mut u8) -> Result<()> {
//!     *left = left.checked_sub(1).ok_or(Error::from(Rejection::Unknown))?;
//!     Ok(())
//! }
//!
//! async fn second_factor<S: SessionStore, A: Authenticator<Data = ()>>(
//!     pending: &Tickets<S, u8>,
//!     auth: &A,
//!     ticket: &str,
//!     cookie: Option<&str>,
//!     code: &str,
//! ) -> Result<Option<Issued>, Denial> {
//!     let waiting = pending.update(ticket, cookie, try_once).await.map_err(Denial::of_ticket)?;
//!     // Refused unread if too many codes of this user were wrong, in whichever tickets.
//!     if !check_code(&waiting.subject, code).await? {
//!         return Ok(None);
//!     }
//!     let redeemed = pending.redeem_login(auth.begin().await?, ticket, cookie).await;
//!     let (_, login) = redeemed.map_err(Denial::of_ticket)?;
//!     Ok(Some(auth.issue(login.acr("aal2")).await?))
//! }
//! # use statewise::store::MemoryStore;
//! # let _ = second_factor::<MemoryStore, statewise::session::SessionAuthenticator<MemoryStore>>;
//! ```
//!
//! # At most once
//!
//! The store decides which call has redeemed a ticket, by the count of the row that it removed. If
//! the answer is lost, the ticket is spent and no client has its payload: let the client ask for another
//! one.
//!
//! A ticket is spent as durably as the store writes. A crash or failover that loses acknowledged writes
//! makes a redeemed ticket work again, until it expires. Call the `require_durable` of the backend at
//! the start of the service (see [durability](crate::store#durability)), and keep lifetimes short.

pub(crate) mod builder;
pub(crate) mod issuer;
pub(crate) mod ticket;

pub use builder::{NeedsLifetime, NeedsPurpose, TicketsBuilder};
pub use issuer::Tickets;
pub use ticket::{Ticket, TicketContent};
