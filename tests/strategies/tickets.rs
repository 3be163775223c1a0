//! Tickets: each is redeemed once.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::contract::SessionStore;
use statewise::testkit::{
    Fault, FaultyStore, Method, StoreFixture, YieldingStore, give_up_after, yield_now,
};
use statewise::tickets::{Ticket, TicketContent, Tickets};
use statewise::{Authenticator, Login, Rejection, Result};

use super::world::{World, assert_accepted, boxed, is_unavailable, lock, login, rejection, secret};

/// Calls that redeem one ticket at once.
const CALLS: usize = 64;
/// Lifetime of the tickets in the laws, in seconds.
const LIFETIME: u64 = 900;
/// Polls after which a call that never completes is cancelled.
const PATIENCE_POLLS: usize = 1_000;

/// Rounds of [`ticket_01_one_of_64_redeems`]: `STATEWISE_REDEMPTIONS`, or a few.
fn rounds() -> u64 {
    let given = env::var("STATEWISE_REDEMPTIONS").ok();
    given.map_or(10, |given| given.parse().expect("a number of rounds"))
}

impl<F: StoreFixture> World<'_, F> {
    /// Tickets over this store, bound to browsers, of which a subject may have three.
    pub(crate) fn tickets<P>(&self, purpose: &str) -> Tickets<Arc<F::Store>, P> {
        self.tickets_over(Arc::clone(&self.store), purpose)
    }

    fn tickets_over<S: SessionStore, P>(&self, store: S, purpose: &str) -> Tickets<S, P> {
        Tickets::builder(store)
            .purpose(purpose)
            .lifetime(Duration::from_secs(LIFETIME))
            .with_payload()
            .outstanding(3)
            .bound()
            .clock(self.clock.clone())
            .build()
            .expect("a valid configuration")
    }
}

async fn redeem<S, P>(tickets: &Tickets<S, P>, ticket: &Ticket) -> Result<TicketContent<P>>
where
    S: SessionStore,
    P: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let browser = ticket.browser_secret().map(|secret| secret.reveal());
    tickets.redeem(ticket.credential().reveal(), browser).await
}

/// TICKET-01: of 64 calls at once on two nodes, one gets the ticket, with its payload to the bit, and
/// the others learn that it is unknown. After all tickets of the subject are revoked, none is redeemed.
/// Rejects a strategy that loads, checks a mark and writes it.
pub(crate) async fn ticket_01_one_of_64_redeems<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let nodes = [world.tickets("reset"), world.tickets("reset")].map(Arc::new);
    let payload = (f64::MIN_POSITIVE, "\u{0}\u{1F512} tëa".repeat(20));
    let (asked, mut winners) = (rounds(), 0);
    // The tickets of the last rounds are revoked.
    for round in 0..asked + asked.div_ceil(5) {
        let ticket = nodes[0].issue("alice", payload.clone()).await;
        let ticket = ticket.expect("a ticket is issued");
        if round >= asked {
            let revoked = nodes[1].revoke_all("alice").await;
            assert_eq!(revoked.expect("they are revoked").count, Some(1));
        }
        let (won, waiting) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(CALLS)),
        );
        let call = |at: usize| {
            let (node, ticket) = (Arc::clone(&nodes[at % 2]), ticket.clone());
            let (won, waiting) = (Arc::clone(&won), Arc::clone(&waiting));
            let payload = payload.clone();
            boxed(async move {
                waiting.fetch_sub(1, Ordering::SeqCst);
                while waiting.load(Ordering::SeqCst) > 0 {
                    thread::yield_now();
                    yield_now().await;
                }
                match redeem(&node, &ticket).await {
                    Ok(redeemed) => {
                        assert_eq!(redeemed.subject, "alice");
                        assert_eq!(redeemed.payload, payload);
                        won.fetch_add(1, Ordering::SeqCst);
                    }
                    lost => assert_eq!(rejection(&lost), Some(Rejection::Unknown), "{lost:?}"),
                }
            })
        };
        // As the fixture spreads them, and interleaved in a few rounds.
        let order = if round % 10 == 0 { 0 } else { 1 };
        world
            .run(2 * round + order, (0..CALLS).map(call).collect())
            .await;
        let won = won.load(Ordering::SeqCst);
        assert_eq!(won, usize::from(round < asked), "winners in round {round}");
        winners += won;
    }
    println!(
        "{}: {asked} tickets, {CALLS} calls each, {winners} winners",
        std::any::type_name::<F::Store>(),
    );
}

/// TICKET-02: a ticket that is forged, of another purpose, from another browser or unreadable is
/// refused and not spent. Rejects a strategy that removes it before it has judged and read it.
pub(crate) async fn ticket_02_a_refused_ticket_is_not_spent<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let tickets: Tickets<_, String> = world.tickets("reset");
    let elsewhere: Tickets<_, String> = world.tickets("email");
    let numbers: Tickets<_, u8> = world.tickets("reset");
    let issued = tickets.issue("alice", "tea".to_owned()).await;
    let ticket = issued.expect("a ticket is issued");
    let other = tickets.issue("mallory", String::new()).await;
    let other = other.expect("a ticket is issued");
    let text = ticket.credential().reveal();
    let [own, wrong] = [&ticket, &other].map(|ticket| {
        let secret = ticket.browser_secret().expect("it is bound");
        secret.reveal()
    });
    let last = if text.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &text[..text.len() - 1]);
    for _ in 0..2 {
        let refused = tickets.redeem(&forged, Some(own)).await;
        assert_eq!(rejection(&refused), Some(Rejection::Unknown), "forged");
        let refused = elsewhere.redeem(text, Some(own)).await;
        assert_eq!(
            rejection(&refused),
            Some(Rejection::Unknown),
            "another purpose"
        );
        for browser in [None, Some(""), Some(wrong)] {
            let refused = tickets.redeem(text, browser).await;
            assert_eq!(
                rejection(&refused),
                Some(Rejection::WrongBrowser),
                "{browser:?}"
            );
        }
        let refused = numbers.redeem(text, Some(own)).await;
        assert!(refused.is_err_and(|error| error.is_unreadable()));
    }
    let redeemed = redeem(&tickets, &ticket).await.expect("it is not spent");
    assert_eq!(redeemed.payload, "tea");
}

/// TICKET-03: the fourth ticket of one purpose ends the first of three. The tickets of another purpose
/// and of another subject, and the logins, are untouched, and limits and ends of logins touch no
/// ticket. Rejects one namespace for all.
pub(crate) async fn ticket_03_the_fourth_ends_the_first<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let (tickets, elsewhere) = (world.tickets("reset"), world.tickets("email"));
    let auth = world.builder(Arc::clone(&world.store));
    let auth = auth.limit(Limit::Reject(1)).build();
    let auth = auth.expect("a valid configuration");
    let mut all = Vec::new();
    let kept = elsewhere.issue("alice", ()).await.expect("a ticket");
    let bobs = tickets.issue("bob", ()).await.expect("a ticket");
    let session = login(&auth, "alice").await;
    for _ in 0..4 {
        all.push(tickets.issue("alice", ()).await.expect("a ticket"));
        world.advance(1).await;
    }
    assert_accepted(&auth, secret(&session), "alice").await;
    assert_eq!(world.list("alice").await.len(), 1, "logins in a list");
    let full = auth.issue(Login::new("alice")).await;
    assert!(
        full.is_err_and(|error| error.is_refused()),
        "a ticket counts"
    );
    let first = redeem(&tickets, &all[0]).await;
    assert_eq!(rejection(&first), Some(Rejection::Unknown));
    let _ = redeem(&tickets, &all[1]).await.expect("the second");
    let ended = auth.revoke_all("alice").await.expect("a logout");
    assert_eq!(ended.count, Some(1));
    let _ = redeem(&tickets, &all[2]).await.expect("the third");
    let again = login(&auth, "alice").await;
    let ended = tickets.revoke_all("alice").await.expect("an end");
    assert_eq!(ended.count, Some(1));
    let last = redeem(&tickets, &all[3]).await;
    assert_eq!(rejection(&last), Some(Rejection::Unknown));
    assert_accepted(&auth, secret(&again), "alice").await;
    let _ = redeem(&elsewhere, &kept).await.expect("another purpose");
    let _ = redeem(&tickets, &bobs).await.expect("another subject");
}

/// TICKET-04: a call that fails, hangs, is dropped or loses its answer is tried again, and at most one
/// of all calls gets the ticket: none, if the answer was lost after the removal. Rejects a retry that
/// counts a ticket that it does not find.
pub(crate) async fn ticket_04_a_lost_answer_gives_it_to_nobody<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        for method in [Method::Load, Method::Remove] {
            let world = World::open(fixture).await;
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
            let tickets = world.tickets_over(Arc::clone(&store), "reset");
            let ticket = tickets.issue("alice", ()).await.expect("a ticket");
            store.fail_nth_of(method, 1, fault);
            let lost = give_up_after(PATIENCE_POLLS, redeem(&tickets, &ticket)).await;
            assert!(lost.as_ref().is_none_or(is_unavailable), "{lost:?}");
            assert!(!store.has_plans(), "the fault did not happen");
            let mut won = 0;
            for _ in 0..3 {
                won += usize::from(redeem(&tickets, &ticket).await.is_ok());
            }
            let is_spent = method == Method::Remove && fault == Fault::LosesAnswer;
            assert_eq!(won, usize::from(!is_spent), "{method:?} {fault:?}");
        }
    }
    // The answer is lost while another call has loaded the ticket.
    for round in 0..20 {
        let world = World::open(fixture).await;
        let store = YieldingStore::new(Arc::clone(&world.store));
        let store = Arc::new(FaultyStore::new(store));
        let tickets = Arc::new(world.tickets_over(Arc::clone(&store), "reset"));
        let ticket = tickets.issue("alice", ()).await.expect("a ticket");
        store.fail_nth_of(Method::Remove, 1, Fault::LosesAnswer);
        let won = Arc::new(AtomicUsize::new(0));
        let call = |_| {
            let (tickets, ticket) = (Arc::clone(&tickets), ticket.clone());
            let won = Arc::clone(&won);
            boxed(async move {
                let redeemed = redeem(&tickets, &ticket).await;
                won.fetch_add(usize::from(redeemed.is_ok()), Ordering::SeqCst);
            })
        };
        world.run(2 * round, (0..3).map(call).collect()).await;
        let won = won.load(Ordering::SeqCst);
        assert!(won <= 1, "{won} winners beside the lost answer");
    }
    // Dropped at each step.
    for polls in 1.. {
        let world = World::open(fixture).await;
        let tickets = world.tickets("reset");
        let ticket = tickets.issue("alice", ()).await.expect("a ticket");
        let first = give_up_after(polls, redeem(&tickets, &ticket)).await;
        let mut won = usize::from(matches!(first, Some(Ok(_))));
        for _ in 0..3 {
            won += usize::from(redeem(&tickets, &ticket).await.is_ok());
        }
        assert!(won <= 1, "{won} winners after {polls} polls");
        if first.is_some() {
            break;
        }
    }
}

/// TICKET-05: a logout everywhere, on another node and at any moment, ends a ticket that waits for
/// another try, and no try is lost. Rejects a ticket that is redeemed and issued again, and a store whose
/// update inserts.
pub(crate) async fn ticket_05_a_logout_ends_a_pending_ticket<F: StoreFixture>(fixture: &F) {
    assert_eq!(outlives_a_logout(fixture, false).await, None);
    let world = World::open(fixture).await;
    let tickets = Arc::new(world.tickets::<u8>("factor"));
    let ticket = tickets.issue("alice", 3).await.expect("a ticket");
    let tries = Arc::new(AtomicUsize::new(0));
    let call = |_| {
        let (tickets, ticket) = (Arc::clone(&tickets), ticket.clone());
        let tries = Arc::clone(&tries);
        boxed(async move {
            let tried = try_once(&tickets, &ticket, false).await;
            tries.fetch_add(usize::from(tried.is_ok()), Ordering::SeqCst);
        })
    };
    world.run(1, (0..8).map(call).collect()).await;
    assert_eq!(tries.load(Ordering::SeqCst), 3, "tries of eight at once");
    let content = redeem(&tickets, &ticket).await.expect("it is there");
    assert_eq!(content.payload, 0);
    let spent = try_once(&tickets, &ticket, false).await;
    assert_eq!(rejection(&spent), Some(Rejection::Unknown));
}

/// Takes one of the tries that are left. Returns the ticket for the next one: it is the same one, or
/// another one that is issued after the first was redeemed.
async fn try_once<S: SessionStore>(
    tickets: &Tickets<S, u8>,
    ticket: &Ticket,
    issues_another: bool,
) -> Result<Ticket> {
    let left = |left: &mut u8| -> Result<()> {
        *left = left.checked_sub(1).ok_or(Rejection::Unknown)?;
        Ok(())
    };
    match issues_another {
        false => {
            let browser = ticket.browser_secret().map(|secret| secret.reveal());
            let text = ticket.credential().reveal();
            tickets.update(text, browser, left).await?;
            Ok(ticket.clone())
        }
        true => {
            let mut content = redeem(tickets, ticket).await?;
            left(&mut content.payload)?;
            tickets.issue(&content.subject, content.payload).await
        }
    }
}

/// Returns the first round in which a ticket is redeemed after a logout everywhere on another node.
pub(crate) async fn outlives_a_logout<F: StoreFixture>(
    fixture: &F,
    issues_another: bool,
) -> Option<u64> {
    let world = World::open(fixture).await;
    let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
    let nodes = [(); 2].map(|()| Arc::new(world.tickets_over(Arc::clone(&store), "factor")));
    let auth = world
        .builder(Arc::clone(&store))
        .also_ends(Arc::clone(&nodes[1]));
    let auth: SessionAuthenticator<_> = auth.build().expect("a valid configuration");
    let auth = Arc::new(auth);
    for round in 0..20 {
        let subject = format!("user {round}");
        let ticket = nodes[0].issue(&subject, 3).await.expect("a ticket");
        let held = Arc::new(Mutex::new(ticket));
        let (node, own) = (Arc::clone(&nodes[0]), Arc::clone(&held));
        let client = boxed(async move {
            for _ in 0..2 {
                let ticket = lock(&own).clone();
                if let Ok(next) = try_once(&node, &ticket, issues_another).await {
                    *lock(&own) = next;
                }
            }
        });
        let auth = Arc::clone(&auth);
        let logout = boxed(async move {
            let _ = auth.revoke_all(&subject).await.expect("a logout");
        });
        world.run(2 * round, vec![client, logout]).await;
        let ticket = lock(&held).clone();
        for node in &nodes {
            match redeem(node, &ticket).await {
                Ok(_) => return Some(round),
                lost => assert_eq!(rejection(&lost), Some(Rejection::Unknown)),
            }
        }
    }
    None
}

/// TICKET-06: a login from a ticket does not survive a logout everywhere that begins after the ticket
/// was issued, at whatever moment. Rejects a login that begins after the ticket was redeemed.
pub(crate) async fn ticket_06_a_logout_ends_a_login_from_a_ticket<F: StoreFixture>(fixture: &F) {
    assert_eq!(logs_in_after_a_logout(fixture, true).await, None);
}

/// Returns the first round in which a login from a ticket outlives a logout everywhere. The login
/// begins before the ticket is redeemed, or when it is issued.
pub(crate) async fn logs_in_after_a_logout<F: StoreFixture>(
    fixture: &F,
    begins_before: bool,
) -> Option<u64> {
    let world = World::open(fixture).await;
    let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
    let tickets = Arc::new(world.tickets_over::<_, ()>(Arc::clone(&store), "link"));
    let auth = world.builder(store).also_ends(Arc::clone(&tickets));
    let auth: SessionAuthenticator<_> = auth.build().expect("a valid configuration");
    let auth = Arc::new(auth);
    for round in 0..20 {
        let subject = format!("user {round}");
        let ticket = tickets.issue(&subject, ()).await.expect("a ticket");
        let held = Arc::new(Mutex::new(None));
        let (tickets, login_auth) = (Arc::clone(&tickets), Arc::clone(&auth));
        let own = Arc::clone(&held);
        let client = boxed(async move {
            let browser = ticket.browser_secret().map(|secret| secret.reveal());
            let text = ticket.credential().reveal();
            let begun = login_auth.begin().await.expect("a beginning");
            let redeemed = tickets.redeem_login(begun, text, browser).await;
            let Ok((content, mut login)) = redeemed else {
                return;
            };
            if !begins_before {
                login = Login::new(&content.subject);
            }
            *lock(&own) = login_auth.issue(login).await.ok();
        });
        let logout_auth = Arc::clone(&auth);
        let logout = boxed(async move {
            let _ = logout_auth.revoke_all(&subject).await.expect("a logout");
        });
        world.run(2 * round, vec![client, logout]).await;
        let issued = lock(&held).take();
        if let Some(issued) = issued
            && auth.verify(secret(&issued)).await.is_ok()
        {
            return Some(round);
        }
    }
    None
}

/// TICKET-07, KEY-03: two applications in one database, each with a prefix of its own, share no ticket of
/// one purpose and no key of one prefix, and limits and ends of one do not meet those of the other.
/// Rejects a store that ignores its prefix.
pub(crate) async fn ticket_07_two_applications_share_nothing<F: StoreFixture>(fixture: &F) {
    let (shop, blog) = (World::open(fixture).await, World::open(fixture).await);
    let tickets = [shop.tickets("reset"), blog.tickets("reset")];
    let keys = [&shop, &blog].map(|app| app.keys(Arc::clone(&app.store)));
    let ticket = tickets[0].issue("alice", ()).await.expect("a ticket");
    let key = login(&keys[0], "alice").await;
    let elsewhere = redeem(&tickets[1], &ticket).await;
    assert_eq!(rejection(&elsewhere), Some(Rejection::Unknown));
    let elsewhere = keys[1].verify(secret(&key)).await;
    assert_eq!(rejection(&elsewhere), Some(Rejection::Unknown));
    for _ in 0..3 {
        let _ = tickets[1].issue("alice", ()).await.expect("a ticket");
    }
    let ended = tickets[1].revoke_all("alice").await.expect("an end");
    assert_eq!(ended.count, Some(3));
    let ended = keys[1].revoke_all("alice").await.expect("an end");
    assert_eq!(ended.count, Some(0));
    let _ = redeem(&tickets[0], &ticket).await.expect("its own");
    assert!(keys[0].verify(secret(&key)).await.is_ok());
}
