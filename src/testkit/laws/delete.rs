//! Logins end: DELETE, and what a removal covers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::authenticator::Authenticator;
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::issued::Issued;
use crate::store::contract::{Created, Limit, Load, Record, Scope, SessionStore, Update, Updated};
use crate::testkit::executor::{interleave, yield_now};
use crate::testkit::faulty::Method;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::model::stamp;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    World, assert_accepted, assert_rejected, boxed, login, rejection, secret,
};
use crate::testkit::wrapping::wrap_every_method;

/// What was removed is gone: for loads, authoritative or not, and for lists and limits.
/// Rejects a store that marks rows and forgets to look.
pub async fn delete_01_removed_is_gone<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    let other = Sample::of("alice").at(now);
    world.put(&row).await;
    world.put(&other).await;
    assert!(world.get(&row).await.is_some());
    let removed = world.store.remove(row.handle(), "alice", now).await;
    assert_eq!(removed.expect("an answer").count, 1);
    for load in [Load::new(), Load::new().authoritative()] {
        let found = world.store.load(row.handle(), load, now).await;
        assert!(
            found.expect("an answer").is_none(),
            "found after its removal"
        );
    }
    let listed = world.list("alice", 10).await;
    assert_eq!(
        listed.iter().map(Record::handle).collect::<Vec<_>>(),
        [other.handle()]
    );
    let third = Sample::of("alice").at(now);
    let created = world.store.create(&third, Limit::Reject(2), now).await;
    let created = created.expect("an answer");
    assert!(
        matches!(created, Created::Stored { .. }),
        "a removed row counts for the limit"
    );
}

/// Removing what is not there is no error, and counts nothing. Rejects a store that fails the
/// second logout.
pub async fn delete_02_removing_twice_is_fine<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let issued = login(&auth, "alice").await;
    let handle = issued.identity().handle;
    for count in [1, 0, 0] {
        let removed = world.store.remove(handle, "alice", world.now()).await;
        assert_eq!(removed.expect("an answer").count, count);
        let _ = auth
            .revoke(secret(&issued))
            .await
            .expect("revoking is idempotent");
        let _ = auth
            .revoke_all("alice")
            .await
            .expect("revoking is idempotent");
    }
    let removed = world
        .store
        .remove_subject("nobody", Scope::all(), world.now())
        .await;
    assert_eq!(removed.expect("an answer").count, 0);
}

/// A load that was under way while a login was removed leaves nothing behind from which a later
/// one could answer. Rejects a cache that is filled late.
pub async fn delete_05_no_late_fill<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    for round in 0..50 {
        let row = Sample::of("alice").at(now);
        world.put(&row).await;
        let handle = row.handle();
        let mut acts: Vec<_> = (0..3)
            .map(|_| {
                let store = Arc::clone(&world.store);
                boxed(async move {
                    for _ in 0..5 {
                        store
                            .load(handle, Load::new(), now)
                            .await
                            .expect("an answer");
                    }
                })
            })
            .collect();
        let store = Arc::clone(&world.store);
        acts.push(boxed(async move {
            let removed = store.remove(handle, "alice", now).await;
            assert_eq!(removed.expect("an answer").count, 1);
            let found = store.load(handle, Load::new(), now).await;
            assert!(
                found.expect("an answer").is_none(),
                "found after its removal"
            );
        }));
        if round % 2 == 0 {
            interleave(seed() + round, acts).await;
        } else {
            fixture.spread(acts).await;
        }
        assert!(world.get(&row).await.is_none(), "found after its removal");
    }
}

/// Holds each create back, before or after it is done, until it is let go.
#[derive(Debug)]
struct Held<S> {
    inner: S,
    before: bool,
    reached: AtomicBool,
    released: AtomicBool,
}

impl<S: Sync> Held<S> {
    async fn wait(&self) {
        self.reached.store(true, Ordering::SeqCst);
        while !self.released.load(Ordering::SeqCst) {
            yield_now().await;
        }
    }

    async fn around<T: Send>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if method != Method::Create {
            return call.await;
        }
        if self.before {
            self.wait().await;
        }
        let answer = call.await;
        if !self.before {
            self.wait().await;
        }
        answer
    }
}

wrap_every_method!(Held);

/// Logging out everywhere ends each login that began before, also one that is just being stored:
/// nobody gets a credential of it that works. What begins after it lives. Rejects a strategy that
/// removes what it sees and lets the rest slip through.
pub async fn delete_06_ends_logins_under_way<F: StoreFixture>(fixture: &F) {
    for before in [true, false] {
        let world = World::open(fixture).await;
        let store = Arc::new(Held {
            inner: Arc::clone(&world.store),
            before,
            reached: AtomicBool::new(false),
            released: AtomicBool::new(true),
        });
        let auth = world.auth_over(Arc::clone(&store));
        let earlier = login(&auth, "alice").await;
        let other = login(&auth, "bob").await;
        store.reached.store(false, Ordering::SeqCst);
        store.released.store(false, Ordering::SeqCst);
        let issue = async { Some(auth.issue(Login::new("alice")).await) };
        let revoke_all = async {
            while !store.reached.load(Ordering::SeqCst) {
                yield_now().await;
            }
            let _ = auth.revoke_all("alice").await.expect("an answer");
            store.released.store(true, Ordering::SeqCst);
            None
        };
        let answers: Vec<Option<Result<Issued>>> =
            interleave(0, vec![boxed(issue), boxed(revoke_all)]).await;
        let issued = answers.into_iter().flatten().next().expect("an answer");
        match issued {
            Ok(issued) => assert_rejected(&auth, secret(&issued), Rejection::Unknown).await,
            refused => assert_eq!(rejection(&refused), Some(Rejection::Revoked)),
        }
        assert!(
            world.list("alice", 10).await.is_empty(),
            "a login outlived its end"
        );
        assert_rejected(&auth, secret(&earlier), Rejection::Unknown).await;
        assert_accepted(&auth, secret(&other), "bob").await;
        let later = login(&auth, "alice").await;
        assert_accepted(&auth, secret(&later), "alice").await;
    }
}

/// Ending all others keeps the caller's own, and nobody else's are touched.
/// Rejects a removal of everything.
pub async fn delete_07_keeps_the_callers_own<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let mine = login(&auth, "alice").await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(login(&auth, "alice").await);
    }
    let bob = login(&auth, "bob").await;
    let removed = auth.revoke_others(secret(&mine)).await;
    assert_eq!(removed.expect("an answer").count, 5);
    assert_accepted(&auth, secret(&mine), "alice").await;
    assert_accepted(&auth, secret(&bob), "bob").await;
    for other in &others {
        assert_rejected(&auth, secret(other), Rejection::Unknown).await;
        let revoked = auth.revoke_others(secret(other)).await;
        assert_eq!(rejection(&revoked), Some(Rejection::Unknown));
    }
    assert_eq!(
        auth.revoke_others(secret(&mine))
            .await
            .expect("an answer")
            .count,
        0
    );
    let removed = auth.revoke_id("bob", mine.identity().id()).await;
    assert_eq!(
        removed.expect("an answer").count,
        0,
        "ended by another user"
    );
    let removed = auth.revoke_id("alice", mine.identity().id()).await;
    assert_eq!(removed.expect("an answer").count, 1);
    assert_rejected(&auth, secret(&mine), Rejection::Unknown).await;
}

/// A removal covers what its scope says: all, all but one, or those stamped before a place in the
/// log; unknown places and those of another incarnation count as before. Rejects a store that
/// compares positions of different logs.
pub async fn scope_01_covers_what_it_says<F: StoreFixture>(fixture: &F) {
    for case in 0..6 {
        let world = World::open(fixture).await;
        let now = world.now();
        let rows = [
            Sample::of("alice").at(now),
            Sample::of("alice").stamp(1, 5).at(now),
            Sample::of("alice").stamp(1, 9).at(now),
            Sample::of("alice").stamp(1, 10).at(now),
            Sample::of("alice").stamp(2, 1).at(now),
            Sample::of("alice").stamp(0, 99).at(now),
        ];
        for row in &rows {
            world.put(row).await;
        }
        let bob = Sample::of("bob").at(now);
        world.put(&bob).await;
        let at_nine = stamp(9).expect("a place");
        let keep = rows[1].handle();
        let (scope, left): (_, &[usize]) = match case {
            0 => (Scope::all(), &[]),
            1 => (Scope::others(keep), &[1]),
            2 => (Scope::all().before(at_nine), &[2, 3]),
            3 => (Scope::others(keep).before(at_nine), &[1, 2, 3]),
            4 => (Scope::others(bob.handle()), &[]),
            _ => {
                // What was stamped anew stands where it was stamped last.
                let update = Update {
                    stamp: stamp(12),
                    ..Update::default()
                };
                let updated = world.store.update(keep, 0, &update, now).await;
                assert!(matches!(updated, Ok(Updated::Done(_))));
                (Scope::all().before(at_nine), &[1, 2, 3])
            }
        };
        let removed = world.store.remove_subject("alice", scope, now).await;
        let count = removed.expect("an answer").count;
        assert_eq!(count, (rows.len() - left.len()) as u64, "case {case}");
        for (at, row) in rows.iter().enumerate() {
            let found = world.get(row).await.is_some();
            assert_eq!(found, left.contains(&at), "row {at} of case {case}");
        }
        assert!(
            world.get(&bob).await.is_some(),
            "another subject was touched"
        );
    }
}
