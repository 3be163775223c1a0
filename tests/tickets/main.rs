//! Tickets: credentials that work once.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod also_ends;
mod redeem;

use std::sync::Arc;
use std::time::Duration;

use statewise::Rejection;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::tickets::{Ticket, TicketContent, Tickets, TicketsBuilder};

const LIFETIME: u64 = 900;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_capacity(1_000).unwrap())
}

fn sessions<S: SessionStore>(store: S, clock: &ManualClock) -> SessionBuilder<S> {
    SessionAuthenticator::builder(store)
        .idle(seconds(1_800))
        .absolute(seconds(43_200))
        .clock(clock.clone())
}

fn builder<S: SessionStore>(store: S, purpose: &str, clock: &ManualClock) -> TicketsBuilder<S> {
    Tickets::builder(store)
        .purpose(purpose)
        .lifetime(seconds(LIFETIME))
        .clock(clock.clone())
}

fn issue<S: SessionStore>(tickets: &Tickets<S>, subject: &str) -> Ticket {
    block_on(tickets.issue(subject, ())).unwrap()
}

fn redeem<S: SessionStore>(tickets: &Tickets<S>, ticket: &Ticket) -> Option<TicketContent<()>> {
    let secret = ticket.browser_secret().map(|secret| secret.reveal());
    match block_on(tickets.redeem(ticket.credential().reveal(), secret)) {
        Ok(redeemed) => Some(redeemed),
        Err(error) => {
            assert_eq!(error.rejection(), Some(Rejection::Unknown), "{error:?}");
            None
        }
    }
}
