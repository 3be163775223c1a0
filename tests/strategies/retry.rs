//! Acts that a fault cut short are tried again.

use std::sync::Arc;

use statewise::testkit::{Fault, FaultyStore, Method, StoreFixture, give_up_after};
use statewise::{Authenticator, Login, Outcome, Rejection};

use super::world::{World, assert_accepted, assert_rejected, is_unavailable, login, secret};

/// Polls after which a call that never completes is cancelled.
const PATIENCE_POLLS: usize = 1_000;

/// A refresh that failed, hung or lost its answer is tried again with the same credential. It gets
/// the one successor, and no theft is reported. Rejects a store that advances twice.
pub(crate) async fn retry_01_refreshing_again_is_safe<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        let world = World::open(fixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.auth_over(Arc::clone(&store));
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        store.fail_nth_of(Method::Rotate, 1, fault);
        let lost = give_up_after(PATIENCE_POLLS, auth.refresh(secret(&first))).await;
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

/// A logout that failed, hung or lost its answer is tried again, and then it has taken effect.
/// Rejects a strategy that confirms a logout that may not have happened.
pub(crate) async fn retry_02_revoking_again_is_safe<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        for method in [Method::Load, Method::Remove, Method::RemoveSubject] {
            let world = World::open(fixture).await;
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
            let auth = world.auth_over(Arc::clone(&store));
            let issued = login(&auth, "alice").await;
            let other = login(&auth, "bob").await;
            let revoke = async || match method {
                Method::RemoveSubject => auth.revoke_all("alice").await.map(|all| all.effective),
                _ => auth
                    .revoke(secret(&issued))
                    .await
                    .map(|logout| logout.effective),
            };
            store.fail_nth_of(method, 1, fault);
            let lost = give_up_after(PATIENCE_POLLS, revoke()).await;
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

/// If the replaced login cannot be ended, no new one is issued. If the new one cannot be stored,
/// the second try issues it. Rejects a strategy that logs in first and removes the old login later.
pub(crate) async fn retry_03_logging_in_again_is_safe<F: StoreFixture>(fixture: &F) {
    for fault in Fault::ALL {
        for method in [Method::Load, Method::Remove, Method::Create] {
            let world = World::open(fixture).await;
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
            let auth = world.auth_over(Arc::clone(&store));
            let old = login(&auth, "guest").await;
            store.reset();
            store.fail_nth_of(method, 1, fault);
            let issue = || auth.issue(Login::new("alice").replaces(secret(&old)));
            let lost = give_up_after(PATIENCE_POLLS, issue()).await;
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
                assert!(world.list("alice").await.is_empty());
            }
            let issued = issue().await.expect("a second try");
            assert_accepted(&auth, secret(&issued), "alice").await;
            assert_rejected(&auth, secret(&old), Rejection::Unknown).await;
            // A create that lost its answer leaves one login that no client holds.
            let orphans = usize::from(method == Method::Create && fault == Fault::LosesAnswer);
            assert_eq!(world.list("alice").await.len(), 1 + orphans);
        }
    }
}
