//! The ends of logins: those that are remembered, the others, and those that are only polled.

use std::sync::Arc;
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::SessionStore;
use statewise::testkit::StoreFixture;
use statewise::{Authenticator, Login, Presented, Rejection};

use super::world::{ABSOLUTE, IDLE, World, assert_rejected, login, rejection, secret};

const DAY: u64 = 86_400;
/// Idle timeout of remembered sessions in the laws, in seconds.
const REMEMBERED_IDLE: u64 = 30 * DAY;
/// Absolute timeout of remembered sessions in the laws, in seconds.
const REMEMBERED_ABSOLUTE: u64 = 90 * DAY;

impl<F: StoreFixture> World<'_, F> {
    /// Sessions over this store, of a service that remembers logins for this long.
    fn remembering(&self, idle: u64, absolute: u64) -> SessionAuthenticator<Arc<F::Store>> {
        let builder = self.builder(Arc::clone(&self.store));
        let [idle, absolute] = [idle, absolute].map(Duration::from_secs);
        let auth = builder.remembered(idle, absolute).build();
        auth.expect("a valid configuration")
    }
}

/// Each login keeps the life that the user chose, whichever node uses or refreshes it: also a node
/// that knows no remembered logins. Rejects a rotation that stores the idle timeout of the node, a
/// lookup that notes the use with it, and a node that judges all logins by one policy.
pub(crate) async fn life_01_a_login_keeps_the_life_it_chose<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let nodes = [
        world.remembering(REMEMBERED_IDLE, REMEMBERED_ABSOLUTE),
        world.auth(),
    ];
    let began = world.now();
    let chosen = nodes[0].issue(Login::new("alice").remember()).await;
    let mut chosen = chosen.expect("a login is issued");
    let mut other = login(&nodes[0], "alice").await;
    let deadline = chosen.identity().deadline();
    assert_eq!(
        Timestamp::from(deadline),
        began.saturating_add(REMEMBERED_ABSOLUTE)
    );
    // Each node in turn, for half of the shorter idle timeout.
    for round in 0..12 {
        world.advance(IDLE / 2).await;
        let node = &nodes[round % 2];
        for (issued, remembered) in [(&mut chosen, true), (&mut other, false)] {
            let refreshed = node.refresh(secret(issued)).await;
            *issued = refreshed.expect("it was used lately");
            assert_eq!(issued.identity().is_remembered(), remembered);
            let idle = if remembered { REMEMBERED_IDLE } else { IDLE };
            let latest = world.now().saturating_add(idle);
            assert_eq!(Timestamp::from(issued.expires_at()), latest);
            for node in &nodes {
                let caller = node.verify(secret(issued)).await;
                let caller = caller.expect("it was just refreshed");
                assert_eq!(caller.is_remembered(), remembered);
                assert_eq!(Timestamp::from(caller.expires_at()), latest);
            }
        }
        assert_eq!(chosen.identity().deadline(), deadline);
    }
    let page = nodes[1].sessions("alice", None).await;
    let listed = page.expect("a list").sessions;
    let remembered = listed.iter().filter(|session| session.is_remembered());
    assert_eq!((remembered.count(), listed.len()), (1, 2));
    // The other one ends after its short idle timeout.
    world.advance(IDLE).await;
    assert_rejected(&nodes[0], secret(&other), Rejection::Unknown).await;
    for days in [1, 29] {
        for node in &nodes {
            world.advance(days * DAY).await;
            let caller = node.verify(secret(&chosen)).await;
            assert!(caller.is_ok(), "after {days} days: {caller:?}");
        }
    }
    world.advance(REMEMBERED_IDLE).await;
    for node in &nodes {
        assert_rejected(node, secret(&chosen), Rejection::Unknown).await;
    }
    // A node without such timeouts issues one with those of all others.
    let short = nodes[1].issue(Login::new("alice").remember()).await;
    let short = short.expect("a login is issued");
    assert!(short.identity().is_remembered());
    assert_eq!(
        Timestamp::from(short.identity().deadline()),
        world.now().saturating_add(ABSOLUTE)
    );
}

/// A shorter life of remembered logins counts at once, for a verification and for a refresh, and
/// touches no other login. Rejects a node that judges by the row alone.
pub(crate) async fn life_02_a_shorter_life_counts_at_once<F: StoreFixture>(fixture: &F) {
    for refreshes in [false, true] {
        let world = World::open(fixture).await;
        let before = world.remembering(REMEMBERED_IDLE, REMEMBERED_ABSOLUTE);
        let chosen = before.issue(Login::new("alice").remember()).await;
        let chosen = chosen.expect("a login is issued");
        let after = world.remembering(4 * IDLE, REMEMBERED_ABSOLUTE);
        world.advance(4 * IDLE - 1).await;
        assert!(after.sessions("alice", None).await.is_ok());
        world.advance(1).await;
        let other = login(&after, "alice").await;
        let rejected = match refreshes {
            true => rejection(&after.refresh(secret(&chosen)).await),
            false => rejection(&after.verify(secret(&chosen)).await),
        };
        assert_eq!(rejected, Some(Rejection::Unknown));
        // It has ended on all nodes.
        assert_rejected(&before, secret(&chosen), Rejection::Unknown).await;
        assert!(after.verify(secret(&other)).await.is_ok());
    }
}

/// Remembering takes no byte of a row, and no other login is remembered by chance. Rejects a field
/// or a flag in the head of the row, and a handle that is random in all its bits.
pub(crate) async fn life_04_other_logins_are_as_before<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.remembering(IDLE, ABSOLUTE);
    for _ in 0..64 {
        let other = login(&auth, "alice").await;
        assert!(!other.identity().is_remembered());
    }
    let _ = auth.revoke_all("alice").await.expect("an answer");
    let mut rows = Vec::new();
    for remember in [false, true] {
        let login = Login::new("alice").role("reader").device("phone");
        let login = if remember { login.remember() } else { login };
        let issued = auth.issue(login).await.expect("a login is issued");
        assert_eq!(issued.identity().is_remembered(), remember);
        assert!(issued.credential().reveal().len() == 64);
        rows.extend(world.list("alice").await.iter().map(|row| row.encode()));
        let _ = auth.revoke(secret(&issued)).await.expect("an answer");
    }
    let [mut other, mut remembered] = <[Vec<u8>; 2]>::try_from(rows).expect("two rows");
    // All but the handle, the proofs and the stamp.
    for row in [&mut other, &mut remembered] {
        row[64..160].fill(0);
    }
    assert_eq!(other, remembered);
}

/// A poll every minute keeps no session alive, and shows the rest of its time: a minute less each time.
/// Rejects a strategy that lets the store note the use, one that notes it itself, and a store that
/// guesses the last use.
pub(crate) async fn passive_01_a_poll_keeps_nothing_alive<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.remembering(REMEMBERED_IDLE, REMEMBERED_ABSOLUTE);
    let issued = login(&auth, "alice").await;
    let poll = Presented::new(secret(&issued)).passive();
    let is_cached = !world.store.staleness().is_zero();
    for minute in 1..IDLE / 60 {
        world.advance(60).await;
        for (presented, is_exact) in [(poll.authoritative(), true), (poll, !is_cached)] {
            let caller = auth.verify_with(presented).await;
            let caller = caller.expect("it was used lately");
            let expires_at = Timestamp::from(caller.expires_at());
            let left = expires_at.saturating_since(world.now());
            let expected = IDLE - 60 * minute;
            assert!(left == expected || (left < expected && !is_exact), "{left}");
        }
    }
    world.advance(60).await;
    let rejected = rejection(&auth.verify_with(poll).await);
    assert_eq!(rejected, Some(Rejection::Unknown));
}

/// Nothing is due for a refresh on account of a poll, and a poll confirms the credential that it
/// presents. Rejects a strategy that reports a credential that is due for a use.
pub(crate) async fn passive_02_nothing_is_due<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let builder = world.builder::<_, ()>(Arc::clone(&world.store));
    let auth = builder.rotate_after(Duration::from_secs(60)).build();
    let auth = auth.expect("a valid configuration");
    let issued = login(&auth, "alice").await;
    let refresh_due = async |credential: &str| {
        let presented = Presented::new(credential);
        let polled = auth.verify_with(presented.passive()).await;
        let used = auth.verify_with(presented).await;
        [polled, used].map(|caller| caller.expect("it is valid").refresh_due())
    };
    assert_eq!(refresh_due(secret(&issued)).await, [false, false]);
    world.advance(60).await;
    assert_eq!(refresh_due(secret(&issued)).await, [false, true]);
    let refreshed = auth.refresh(secret(&issued)).await;
    let refreshed = refreshed.expect("it is refreshed");
    // The old credential in its overlap, and the new one, which the poll confirms.
    assert_eq!(refresh_due(secret(&issued)).await, [false, true]);
    let poll = Presented::new(secret(&refreshed)).passive();
    let polled = auth.verify_with(poll).await.expect("it is valid");
    assert!(!polled.refresh_due());
    world.advance(31).await;
    let stolen = rejection(&auth.verify(secret(&issued)).await);
    assert_eq!(stolen, Some(Rejection::Reused));
}
