//! Logins are found: READ, and lists.

use std::sync::Arc;

use crate::authenticator::{Authenticator, Presented};
use crate::clock::Timestamp;
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::handle::Handle;
use crate::session::Replacement;
use crate::store::contract::{Load, Record, Rotated, Rotation, Scope, SessionStore, Updated};
use crate::testkit::executor::give_up_after;
use crate::testkit::faulty::{Fault, FaultyStore, Method};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    World, assert_accepted, assert_rejected, assert_same, is_unavailable, login, secret,
};

/// What is not there is `None`, not an error. Rejects a store that fails for a missing row.
pub async fn read_01_missing_is_no_error<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    assert!(world.get(&row).await.is_none());
    assert!(world.list("alice", 10).await.is_empty());
    assert_rejected(
        &world.auth(),
        secret(&login(&World::open(fixture).await.auth(), "alice").await),
        Rejection::Unknown,
    )
    .await;
}

/// What is over is `None` before anything swept it: for loads, lists and limits.
/// Rejects a store that leaves expiry to its sweeper.
pub async fn read_02_over_is_none_before_any_sweep<F: StoreFixture>(fixture: &F) {
    for sample in [
        Sample::of("alice").idle(100),
        Sample::of("alice").absolute(100),
    ] {
        let world = World::open(fixture).await;
        let row = sample.at(world.now());
        world.put(&row).await;
        world.advance(101).await;
        assert!(
            world.list("alice", 10).await.is_empty(),
            "what is over is listed"
        );
        let fresh = Sample::of("alice").at(world.now());
        let limit = crate::store::contract::Limit::Reject(1);
        let created = world.store.create(&fresh, limit, world.now()).await;
        let created = created.expect("the store answers a create");
        let stored = matches!(created, crate::store::contract::Created::Stored { .. });
        assert!(stored, "what is over counts for the limit");
        assert!(world.get(&row).await.is_none(), "what is over is found");
    }
}

/// A login that ends exactly now is over, and one that ends a moment later is not, by either
/// limit. Rejects a store that compares with the wrong sign.
pub async fn read_03_exactly_now_is_over<F: StoreFixture>(fixture: &F) {
    for sample in [
        Sample::of("alice").idle(100),
        Sample::of("alice").absolute(100),
    ] {
        let world = World::open(fixture).await;
        let rows = [sample.at(world.now()), sample.at(world.now())];
        world.put(&rows[0]).await;
        world.put(&rows[1]).await;
        // Two seconds of room, as a server's own time passes while the law runs.
        world.advance(98).await;
        assert!(world.get(&rows[0]).await.is_some(), "over before its time");
        world.advance(2).await;
        assert!(
            world.list("alice", 10).await.is_empty(),
            "listed at the very end"
        );
        assert!(world.get(&rows[0]).await.is_none(), "alive at the very end");
        let rotation = Sample::rotation_of(&rows[1]);
        let rotated = world
            .store
            .rotate(rows[1].handle(), &rotation, world.now())
            .await;
        assert!(
            matches!(rotated, Ok(Rotated::Absent)),
            "rotated at the very end"
        );
    }
}

/// A store that cannot answer makes each act *unavailable*: never "no session", never a user.
/// What could not be noted is no reason to refuse one. Rejects a strategy that takes an outage
/// for a logout.
pub async fn read_06_an_error_is_never_no_session<F: StoreFixture>(fixture: &F) {
    for fault in [Fault::Fails, Fault::LosesAnswer, Fault::NeverCompletes] {
        let world = World::open(fixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.auth_over(Arc::clone(&store));
        let issued = login(&auth, "alice").await;
        let fails = |method| {
            store.reset();
            store.fail_nth_of(method, 1, fault);
        };
        // `None`: it was still pending when the client went away.
        let lost = |answer: Option<bool>| match answer {
            Some(unavailable) => unavailable && fault != Fault::NeverCompletes,
            None => fault == Fault::NeverCompletes,
        };
        macro_rules! is_lost {
            ($method:ident: $call:expr) => {{
                fails(Method::$method);
                let answer = give_up_after(1_000, $call).await;
                let what = format!("{} with {fault:?}: {answer:?}", stringify!($call));
                assert!(lost(answer.as_ref().map(is_unavailable)), "{what}");
            }};
        }
        is_lost!(Load: auth.verify(secret(&issued)));
        is_lost!(Load: auth.verify_with(Presented::new(secret(&issued)).authoritative()));
        is_lost!(List: auth.sessions("alice", None));
        is_lost!(List: auth.revoke_id("alice", issued.identity().id()));
        is_lost!(Load: auth.revoke_others(secret(&issued)));
        is_lost!(RemoveSubject: auth.revoke_others(secret(&issued)));
        is_lost!(Update: auth.replace(issued.identity(), Replacement::new().roles(["a"])));
        is_lost!(Create: auth.issue(Login::new("bob")));
        assert_accepted(&auth, secret(&issued), "alice").await;
        is_lost!(Load: auth.revoke(secret(&issued)));
        is_lost!(Rotate: auth.refresh(secret(&issued)));
        assert_accepted(&auth, secret(&issued), "alice").await;
        is_lost!(Remove: auth.revoke(secret(&issued)));
        is_lost!(RemoveSubject: auth.revoke_all("alice"));

        // What is noted on the way may fail.
        store.reset();
        let issued = login(&auth, "carol").await;
        world.advance(60).await;
        let rotated = auth.refresh(secret(&issued)).await.expect("a rotation");
        if fault != Fault::NeverCompletes {
            fails(Method::Confirm);
            store.fail_nth_of(Method::Touch, 1, fault);
            assert_accepted(&auth, secret(&rotated), "carol").await;
        }
    }
}

/// Looking for a login, noting its use, rotating or changing it makes none.
/// Rejects a store that writes what it did not find.
pub async fn read_07_looking_creates_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    assert!(world.use_now(&row).await.is_none());
    let rotation = Sample::rotation_of(&row);
    let rotated = world.store.rotate(row.handle(), &rotation, now).await;
    assert!(matches!(rotated, Ok(Rotated::Absent)));
    assert!(matches!(world.write(&row, 0, b"1").await, Updated::Absent));
    world
        .store
        .confirm(row.handle(), 0, now)
        .await
        .expect("an answer");
    world
        .store
        .touch(&[(row.handle(), now)], now)
        .await
        .expect("an answer");
    assert!(world.get(&row).await.is_none(), "a row was made");
    assert!(world.list("alice", 10).await.is_empty(), "a row was made");
}

/// Answers each load and rotation with the row of another handle.
#[derive(Debug)]
struct MixedUp<S> {
    inner: S,
    other: Handle,
}

impl<S: SessionStore> SessionStore for MixedUp<S> {
    crate::forward_session_store! {
        inner: create, change, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn load(&self, _: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.inner.load(self.other, load, now).await
    }

    async fn rotate(&self, _: Handle, _: &Rotation, now: Timestamp) -> Result<Rotated> {
        let row = self.inner.load(self.other, Load::new(), now).await?;
        Ok(row.map_or(Rotated::Absent, Rotated::Unchanged))
    }
}

/// A store that answers with the row of another login makes the act *unavailable*, ends nobody's
/// login and never lets the one be taken for the other. Rejects a strategy that trusts whatever
/// comes back on a connection.
pub async fn read_09_the_row_of_another_is_never_served<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let alice = login(&auth, "alice").await;
    let bob = login(&auth, "bob").await;
    let mixed_up = world.auth_over(MixedUp {
        inner: Arc::clone(&world.store),
        other: bob.identity().handle,
    });
    assert!(is_unavailable(&mixed_up.verify(secret(&alice)).await));
    assert!(is_unavailable(&mixed_up.refresh(secret(&alice)).await));
    assert!(is_unavailable(&mixed_up.revoke(secret(&alice)).await));
    assert!(is_unavailable(
        &mixed_up.revoke_others(secret(&alice)).await
    ));
    assert_accepted(&auth, secret(&alice), "alice").await;
    assert_accepted(&auth, secret(&bob), "bob").await;
    // The store itself answers with the row that it was asked for.
    for _ in 0..50 {
        let row = Sample::of("carol").at(world.now());
        world.put(&row).await;
        assert_eq!(
            world.get(&row).await.map(|row| row.handle()),
            Some(row.handle())
        );
    }
}

/// Two stores never see each other's rows. Rejects a prefix or a table that is not told apart.
pub async fn read_10_two_stores_share_nothing<F: StoreFixture>(fixture: &F) {
    let one = World::open(fixture).await;
    let other = World::open(fixture).await;
    let row = Sample::of("alice").at(one.now());
    one.put(&row).await;
    assert!(other.get(&row).await.is_none());
    assert!(other.list("alice", 10).await.is_empty());
    let removed = other.store.remove(row.handle(), "alice", one.now()).await;
    assert_eq!(removed.expect("an answer").count, 0);
    let removed = other
        .store
        .remove_subject("alice", Scope::all(), one.now())
        .await;
    assert_eq!(removed.expect("an answer").count, 0);
    other.put(&row).await;
    assert_same(one.get(&row).await.as_ref(), &row);
}

/// A subject with patterns, braces, quotes, zeros or line ends selects itself and nobody else,
/// in lists, limits and removals. Rejects a store that builds keys or statements from it.
pub async fn read_11_hostile_subjects_select_only_themselves<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let subjects = [
        "alice",
        "*",
        "?",
        "alice*",
        "a?ice",
        "[a-z]*",
        "{alice}",
        "}{",
        "alice\0",
        "\0",
        "alice\n",
        "alice ",
        " alice",
        "ALICE",
        "%",
        "_lice",
        "a_ice",
        "'",
        "\"",
        "' OR '1'='1",
        "\\",
        "alice:",
        ":",
        "été",
        "e\u{301}te\u{301}",
        "\u{202e}ecila",
        "alice\u{feff}",
        "ａlice",
    ];
    let rows: Vec<_> = subjects
        .iter()
        .map(|subject| Sample::of(*subject).at(now))
        .collect();
    for row in &rows {
        let created = world
            .store
            .create(row, crate::store::contract::Limit::Reject(1), now)
            .await;
        let created = created.expect("the store answers a create");
        let stored = matches!(created, crate::store::contract::Created::Stored { .. });
        assert!(stored, "{:?} counts for somebody else", row.subject());
    }
    for row in &rows {
        let listed = world.list(row.subject(), 10).await;
        assert_eq!(listed.len(), 1, "what {:?} lists", row.subject());
        assert_same(listed.first(), row);
    }
    for (at, row) in rows.iter().enumerate() {
        let removed = world
            .store
            .remove_subject(row.subject(), Scope::all(), now)
            .await;
        assert_eq!(
            removed.expect("an answer").count,
            1,
            "what {:?} removes",
            row.subject()
        );
        assert!(world.get(row).await.is_none());
        for other in &rows[at + 1..] {
            assert!(
                world.get(other).await.is_some(),
                "{:?} removed another",
                row.subject()
            );
        }
    }
}
