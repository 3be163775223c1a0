//! Acts that were cut short by a fault are done again: RETRY.

use std::sync::Arc;

use crate::authenticator::Authenticator;
use crate::error::Rejection;
use crate::login::Login;
use crate::login::issued::Outcome;
use crate::store::contract::Limit;
use crate::testkit::executor::give_up_after;
use crate::testkit::faulty::{Fault, FaultyStore, Method};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::world::{
    World, assert_accepted, assert_rejected, is_unavailable, login, secret,
};

/// How often a call that never completes is polled.
const PATIENCE: usize = 1_000;

/// A refresh that failed, hung or lost its answer is tried again with the same credential, gets
/// the one successor, and is nobody's theft. Rejects a store that advances twice.
pub async fn retry_01_refreshing_again_is_safe<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        let world = World::open(fixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.auth_over(Arc::clone(&store));
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        store.fail_nth_of(Method::Rotate, 1, fault);
        let lost = give_up_after(PATIENCE, auth.refresh(secret(&first))).await;
        assert!(
            lost.as_ref().is_none_or(is_unavailable),
            "{fault:?}: {lost:?}"
        );
        assert!(!store.has_plans(), "the fault did not happen");
        let again = auth.refresh(secret(&first)).await.expect("a second try");
        let replayed = again.outcome() == Outcome::Replayed;
        assert_eq!(replayed, fault == Fault::LosesAnswer, "{fault:?}");
        for seconds in [0, 5, 20] {
            world.advance(seconds).await;
            let same = auth.refresh(secret(&first)).await.expect("a replay");
            assert_eq!(secret(&same), secret(&again), "another successor");
            assert_eq!(same.outcome(), Outcome::Replayed);
        }
        assert_accepted(&auth, secret(&again), "alice").await;
    }
}

/// A logout that failed, hung or lost its answer is tried again, and then it has taken place.
/// Rejects a strategy that says yes to what may not have happened.
pub async fn retry_02_revoking_again_is_safe<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        for method in [Method::Load, Method::Remove, Method::RemoveSubject] {
            let world = World::open(fixture).await;
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
            let auth = world.auth_over(Arc::clone(&store));
            let issued = login(&auth, "alice").await;
            let other = login(&auth, "bob").await;
            let revoke = async || match method {
                Method::RemoveSubject => auth.revoke_all("alice").await,
                _ => auth.revoke(secret(&issued)).await,
            };
            store.fail_nth_of(method, 1, fault);
            let lost = give_up_after(PATIENCE, revoke()).await;
            assert!(
                lost.as_ref().is_none_or(is_unavailable),
                "{fault:?}: {lost:?}"
            );
            assert!(!store.has_plans(), "the fault did not happen");
            let _ = revoke().await.expect("a second try");
            assert_rejected(&auth, secret(&issued), Rejection::Unknown).await;
            assert_accepted(&auth, secret(&other), "bob").await;
        }
    }
}

/// If the login that is replaced cannot be ended, none is issued; if the new one cannot be stored,
/// the second try issues it. Rejects a strategy that logs in first and cleans up then.
pub async fn retry_03_logging_in_again_is_safe<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        for method in [Method::Load, Method::Remove, Method::Create] {
            let world = World::open(fixture).await;
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
            let auth = world.auth_over(Arc::clone(&store));
            let old = login(&auth, "guest").await;
            store.reset();
            store.fail_nth_of(method, 1, fault);
            let issue = || auth.issue(Login::new("alice").replaces(secret(&old)));
            let lost = give_up_after(PATIENCE, issue()).await;
            assert!(
                lost.as_ref().is_none_or(is_unavailable),
                "{fault:?}: {lost:?}"
            );
            assert!(!store.has_plans(), "the fault did not happen");
            if method != Method::Create {
                assert_eq!(
                    store.calls_of(Method::Create),
                    0,
                    "issued beside the old one"
                );
                assert!(world.list("alice", 10).await.is_empty());
            }
            let issued = issue().await.expect("a second try");
            assert_accepted(&auth, secret(&issued), "alice").await;
            assert_rejected(&auth, secret(&old), Rejection::Unknown).await;
            // At most one that nobody holds, whose create lost its answer.
            let orphans = usize::from(method == Method::Create && fault == Fault::LosesAnswer);
            assert_eq!(world.list("alice", 10).await.len(), 1 + orphans);
        }
    }
}

/// A create that lost its answer is there, and the same record is a duplicate, not a second login,
/// and not the end of another. Rejects a store that counts a row twice.
pub async fn retry_04_creating_again_is_safe<F: StoreFixture>(fixture: &F) {
    use crate::store::contract::{Created, SessionStore};
    let world = World::open(fixture).await;
    let store = FaultyStore::new(Arc::clone(&world.store));
    let now = world.now();
    let other = crate::testkit::sample::Sample::of("alice")
        .absolute(10)
        .at(now);
    world.put(&other).await;
    for limit in [Limit::Reject(2), Limit::EvictOldest(2)] {
        let row = crate::testkit::sample::Sample::of("alice").at(now);
        store.fail_nth(1, Fault::LosesAnswer);
        assert!(is_unavailable(&store.create(&row, limit, now).await));
        let again = store.create(&row, limit, now).await;
        assert!(
            matches!(again, Ok(Created::Duplicate)),
            "{limit:?}: {again:?}"
        );
        assert_eq!(world.list("alice", 10).await.len(), 2);
        assert!(world.get(&row).await.is_some() && world.get(&other).await.is_some());
        let removed = store.remove(row.handle(), "alice", now).await;
        assert_eq!(removed.expect("an answer").count, 1);
    }
}
