//! Stores that fail, and a store that answers with the wrong row.

use std::sync::Arc;

use statewise::clock::Timestamp;
use statewise::store::contract::{Handle, Load, Record, Rotated, Rotation, SessionStore};
use statewise::testkit::{
    Fault, FaultyStore, MemoryFixture, Method, block_on, forward_session_store, give_up_after,
};
use statewise::{Authenticator, Edit, Login, Presented, Rejection, Result};

use crate::strategies::world::{
    World, assert_accepted, assert_rejected, is_unavailable, login, secret,
};

/// A missing row rejects the credential as *unknown*.
#[test]
fn read_01_missing_is_no_error() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let foreign = login(&World::open(&MemoryFixture).await.auth(), "alice").await;
        assert_rejected(&world.auth(), secret(&foreign), Rejection::Unknown).await;
    });
}

/// Revoking a login twice is no error.
#[test]
fn delete_02_removing_twice_is_fine() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        let issued = login(&auth, "alice").await;
        for _ in 0..3 {
            let revoked = auth.revoke(secret(&issued)).await;
            let _ = revoked.expect("revoking is idempotent");
            let revoked = auth.revoke_all("alice").await;
            let _ = revoked.expect("revoking is idempotent");
        }
    });
}

/// A store that cannot answer makes each act *unavailable*: never "no session", never a user. A use
/// that could not be noted is no reason to reject. Rejects a strategy that takes an outage for a
/// logout.
#[test]
fn read_06_an_error_is_never_no_session() {
    for fault in [Fault::Fails, Fault::LosesAnswer, Fault::NeverCompletes] {
        block_on(an_error_is_never_no_session(fault));
    }
}

async fn an_error_is_never_no_session(fault: Fault) {
    let world = World::open(&MemoryFixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    let issued = login(&auth, "alice").await;
    let fails = |method| {
        store.reset();
        store.fail_nth_of(method, 1, fault);
    };
    // `None`: still pending when the client gave up.
    let lost = |answer: Option<bool>| match answer {
        Some(unavailable) => unavailable && fault != Fault::NeverCompletes,
        None => fault == Fault::NeverCompletes,
    };
    macro_rules! is_lost {
        ($method:ident: $call:expr) => {{
            fails(Method::$method);
            let answer = give_up_after(1_000, $call).await;
            let context = format!("{} with {fault:?}: {answer:?}", stringify!($call));
            assert!(lost(answer.as_ref().map(is_unavailable)), "{context}");
        }};
    }
    is_lost!(Load: auth.verify(secret(&issued)));
    is_lost!(Load: auth.verify_with(Presented::new(secret(&issued)).authoritative()));
    is_lost!(List: auth.sessions("alice", None));
    is_lost!(List: auth.revoke_id("alice", issued.identity().id()));
    is_lost!(Load: auth.revoke_others(secret(&issued)));
    is_lost!(RemoveSubject: auth.revoke_others(secret(&issued)));
    let promote = &mut |session: &mut Edit| {
        session.roles.push("admin".to_owned());
        Ok(())
    };
    is_lost!(Load: auth.update(secret(&issued), promote));
    is_lost!(Update: auth.update(secret(&issued), promote));
    is_lost!(List: auth.update_all("alice", promote));
    is_lost!(Update: auth.update_all("alice", promote));
    is_lost!(Create: auth.issue(Login::new("bob")));
    assert_accepted(&auth, secret(&issued), "alice").await;
    is_lost!(Load: auth.revoke(secret(&issued)));
    is_lost!(Rotate: auth.refresh(secret(&issued)));
    assert_accepted(&auth, secret(&issued), "alice").await;
    is_lost!(Remove: auth.revoke(secret(&issued)));
    is_lost!(RemoveSubject: auth.revoke_all("alice"));

    // A note on the way may fail.
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

/// Answers each load and rotation with the row of another handle.
#[derive(Debug)]
struct MixedUp<S> {
    inner: S,
    other: Handle,
}

impl<S: SessionStore> SessionStore for MixedUp<S> {
    forward_session_store! {
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

/// A store that answers with the row of another login makes the act *unavailable*. No login ends,
/// and none is taken for the other. Rejects a strategy that trusts any answer of a connection
/// (CVE-2023-28858).
#[test]
fn read_09_the_row_of_another_is_never_served() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        let alice = login(&auth, "alice").await;
        let bob = login(&auth, "bob").await;
        let mixed_up = world.auth_over(MixedUp {
            inner: Arc::clone(&world.store),
            other: world.list("bob").await[0].handle(),
        });
        assert!(is_unavailable(&mixed_up.verify(secret(&alice)).await));
        assert!(is_unavailable(&mixed_up.refresh(secret(&alice)).await));
        assert!(is_unavailable(&mixed_up.revoke(secret(&alice)).await));
        let others = mixed_up.revoke_others(secret(&alice)).await;
        assert!(is_unavailable(&others));
        assert_accepted(&auth, secret(&alice), "alice").await;
        assert_accepted(&auth, secret(&bob), "bob").await;
    });
}
