//! Refreshing, and the worth of a replaced credential.

use std::sync::{Arc, Mutex};

use statewise::testkit::{Fault, FaultyStore, StoreFixture, YieldingStore, seed};
use statewise::{Authenticator, Issued, Outcome, Presented, Refusal, Rejection};

use super::family;
use super::world::{
    ABSOLUTE, IDLE, World, assert_accepted, assert_rejected, boxed, is_unavailable, lock, login,
    rejection, secret,
};

/// A refresh answers with another credential of the same login, and the presented one ends with
/// the overlap. Rejects a refresh that leaves both.
pub(crate) async fn refresh_01_replaces_the_credential<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let first = login(&auth, "alice").await;
    world.advance(60).await;
    let second = auth.refresh(secret(&first)).await.expect("a rotation");
    assert_eq!(second.outcome(), Outcome::Rotated);
    assert_ne!(secret(&first), secret(&second));
    assert_eq!(first.identity().id(), second.identity().id());
    assert_accepted(&auth, secret(&second), "alice").await;
    // Within the overlap: the same answer, and no write.
    let same = auth.refresh(secret(&second)).await.expect("a replay");
    assert_eq!(same.outcome(), Outcome::Replayed);
    assert_eq!(secret(&same), secret(&second));
    world.advance(10).await;
    let third = auth.refresh(secret(&second)).await.expect("a rotation");
    assert_eq!(third.outcome(), Outcome::Rotated);
    assert_accepted(&auth, secret(&third), "alice").await;
    world.advance(10).await;
    let answer = auth.refresh(secret(&second)).await;
    assert_eq!(rejection(&answer), Some(Rejection::Reused));

    let auth = world.hybrid();
    let first = login(&auth, "alice").await;
    world.advance(60).await;
    let second = family::exchange(&auth, &first).await.expect("a rotation");
    assert_eq!(second.outcome(), Outcome::Rotated);
    assert_ne!(family::secret(&first), family::secret(&second));
    assert_eq!(first.identity().id(), second.identity().id());
    family::assert_accepted(&auth, &second).await;
    world.advance(10).await;
    let third = family::exchange(&auth, &second).await.expect("a rotation");
    assert_eq!(third.outcome(), Outcome::Rotated);
    family::assert_accepted(&auth, &third).await;
    let answer = family::exchange(&auth, &first).await;
    assert_eq!(rejection(&answer), Some(Rejection::Reused));
}

/// A replaced credential that comes back after its successor was used ends the login, at any
/// method and any age, and the error names the login. Rejects a strategy that only rejects the
/// request.
pub(crate) async fn refresh_02_reuse_ends_the_login<F: StoreFixture>(fixture: &F) {
    for (rotations, by_refresh) in [(1, true), (1, false), (2, true), (3, false), (5, true)] {
        let world = World::open(fixture).await;
        let auth = world.auth();
        let stolen = login(&auth, "alice").await;
        let other = login(&auth, "alice").await;
        let mut current = stolen.clone();
        for _ in 0..rotations {
            world.advance(60).await;
            current = auth.refresh(secret(&current)).await.expect("a rotation");
        }
        assert_accepted(&auth, secret(&current), "alice").await;
        world.advance(60).await;
        let error = if by_refresh {
            auth.refresh(secret(&stolen))
                .await
                .map(Issued::into_identity)
        } else {
            auth.verify(secret(&stolen)).await
        };
        let error = error.expect_err("a stolen credential was accepted");
        assert_eq!(error.rejection(), Some(Rejection::Reused));
        let theft = error.theft().expect("an error that names the login");
        assert_eq!(theft.subject(), "alice");
        assert_eq!(theft.login(), stolen.identity().id());
        for ended in [&current, &stolen] {
            assert_rejected(&auth, secret(ended), Rejection::Unknown).await;
        }
        assert_accepted(&auth, secret(&other), "alice").await;
    }
    // In the hybrid, a refresh credential is used when it refreshes.
    for rotations in [2, 3, 5] {
        let world = World::open(fixture).await;
        let auth = world.hybrid();
        let stolen = login(&auth, "alice").await;
        let other = login(&auth, "alice").await;
        let mut current = stolen.clone();
        for _ in 0..rotations {
            world.advance(60).await;
            current = family::exchange(&auth, &current).await.expect("a rotation");
        }
        world.advance(60).await;
        let error = family::exchange(&auth, &stolen).await;
        let error = error.expect_err("a stolen credential was accepted");
        let theft = error.theft().expect("an error that names the login");
        assert_eq!(theft.subject(), "alice");
        assert_eq!(theft.login(), stolen.identity().id());
        for ended in [&current, &stolen] {
            let answer = family::exchange(&auth, ended).await;
            assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        }
        assert!(family::exchange(&auth, &other).await.is_ok());
    }
}

/// Of any number of parallel refreshes with one credential one rotates, and all answers carry the
/// same working successor. Rejects a store that lets two rotations win.
pub(crate) async fn refresh_03_parallel_refreshes_agree<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let auth = Arc::new(world.auth_over(store));
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        let answers = Arc::new(Mutex::new(Vec::new()));
        let refresh = |_| {
            let (auth, answers) = (Arc::clone(&auth), Arc::clone(&answers));
            let first = secret(&first).to_owned();
            boxed(async move {
                let issued = auth.refresh(&first).await.expect("an answer");
                lock(&answers).push((issued.outcome(), secret(&issued).to_owned()));
            })
        };
        world.run(round, (0..16).map(refresh).collect()).await;
        let seed = seed() + round;
        let answers = lock(&answers).clone();
        assert_eq!(answers.len(), 16);
        let rotated = answers
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Rotated);
        assert_eq!(rotated.count(), 1, "rotations that won, seed {seed}");
        let (_, successor) = &answers[0];
        let same = answers.iter().all(|(_, answer)| answer == successor);
        assert!(same, "two successors of one credential, seed {seed}");
        assert_accepted(&auth, successor, "alice").await;
    }
}

/// The grace ends after its time, with the use of the successor, and, on each node, after its
/// number of replays. Rejects a strategy that answers the holder of a replaced credential forever.
pub(crate) async fn refresh_04_the_grace_has_an_end<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let strict = || {
        let builder = world.builder::<_, ()>(Arc::clone(&world.store));
        builder.reject_orphaned().max_replays(3)
    };
    let auth = strict().build().expect("a valid configuration");
    let hybrid = world.hybrid_of(strict());
    for ends_by in ["time", "use", "count"] {
        let (first, other) = (login(&auth, "alice").await, login(&hybrid, "bob").await);
        world.advance(60).await;
        let second = auth.refresh(secret(&first)).await.expect("a rotation");
        let next = family::exchange(&hybrid, &other).await.expect("a rotation");
        world.advance(29).await;
        let again = auth.refresh(secret(&first)).await;
        let again = again.expect("within the grace");
        assert_eq!(secret(&again), secret(&second));
        let again = family::exchange(&hybrid, &other).await;
        let again = again.expect("within the grace");
        assert_eq!(family::secret(&again), family::secret(&next));
        match ends_by {
            "time" => world.advance(1).await,
            "use" => {
                assert_accepted(&auth, secret(&second), "alice").await;
                let _third = family::exchange(&hybrid, &next).await.expect("a rotation");
                // The overlap: requests with the first one are still on their way.
                world.advance(9).await;
                assert!(auth.refresh(secret(&first)).await.is_ok());
                world.advance(1).await;
            }
            _ => {
                for _ in 0..2 {
                    assert!(auth.refresh(secret(&first)).await.is_ok());
                    assert!(family::exchange(&hybrid, &other).await.is_ok());
                }
                let refused = auth.refresh(secret(&first)).await;
                let refused = refused.expect_err("too many replays");
                assert_eq!(refused.refusal(), Some(Refusal::RefreshLimit));
                let refused = family::exchange(&hybrid, &other).await;
                let refused = refused.expect_err("too many replays");
                assert_eq!(refused.refusal(), Some(Refusal::RefreshLimit));
                continue;
            }
        }
        let answer = auth.refresh(secret(&first)).await;
        assert_eq!(rejection(&answer), Some(Rejection::Reused), "by {ends_by}");
        let answer = family::exchange(&hybrid, &other).await;
        assert_eq!(rejection(&answer), Some(Rejection::Reused), "by {ends_by}");
    }
}

/// A replaced credential stays replaced when every process restarts: the store holds all that
/// matters. Rejects a strategy that remembers used credentials in its own memory.
pub(crate) async fn refresh_05_a_restart_revives_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let refresh = async |issued: &Issued| {
        let refreshed = world.auth().refresh(secret(issued)).await;
        refreshed.expect("a rotation or a replay")
    };
    let first = login(&world.auth(), "alice").await;
    world.advance(60).await;
    let second = refresh(&first).await;
    let replayed = refresh(&first).await;
    assert_eq!(
        secret(&replayed),
        secret(&second),
        "another successor after a restart"
    );
    assert_accepted(&world.auth(), secret(&second), "alice").await;
    world.advance(60).await;
    let third = refresh(&second).await;
    assert_accepted(&world.auth(), secret(&third), "alice").await;
    world.advance(60).await;
    assert_rejected(&world.auth(), secret(&first), Rejection::Reused).await;
    assert_rejected(&world.auth(), secret(&third), Rejection::Unknown).await;
}

/// If the store fails, or its answer is lost, between marking a credential as used and handing out
/// its successor, the client tries again and gets the one successor. Rejects a strategy that needs
/// two steps.
pub(crate) async fn refresh_06_a_failed_refresh_is_tried_again<F: StoreFixture>(fixture: &F) {
    for fault in [Fault::Fails, Fault::LosesAnswer] {
        let world = World::open(fixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.hybrid_of(world.builder(Arc::clone(&store)));
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        store.reset();
        store.fail_nth(1, fault);
        assert!(is_unavailable(&family::exchange(&auth, &first).await));
        assert!(!store.has_plans(), "a refresh did not call the store");
        let retried = family::exchange(&auth, &first).await.expect("a second try");
        let again = family::exchange(&auth, &first).await.expect("a third");
        assert_eq!(family::secret(&retried), family::secret(&again));
        assert_eq!(store.calls(), 3, "a refresh is one call");
        let listed = world.list("alice").await;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].generation(), 1, "two successors were issued");
        world.advance(60).await;
        let next = family::exchange(&auth, &retried).await.expect("a rotation");
        assert_eq!(next.outcome(), Outcome::Rotated);
    }
}

/// A credential is not refreshed after the idle timeout, nor after the deadline, and a refresh
/// counts as a use. Rejects a refresh without an end.
pub(crate) async fn refresh_07_has_both_limits<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let idle = login(&auth, "alice").await;
    let mut used = login(&auth, "alice").await;
    let mut passed = 0;
    while passed + 1_700 < ABSOLUTE {
        world.advance(1_700).await;
        passed += 1_700;
        let refreshed = auth.refresh(secret(&used)).await;
        used = refreshed.expect("a rotation counts as a use");
        assert_eq!(used.identity().deadline(), idle.identity().deadline());
        if passed > IDLE {
            let answer = auth.refresh(secret(&idle)).await;
            assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        }
    }
    world.advance(ABSOLUTE - passed).await;
    let answer = auth.refresh(secret(&used)).await;
    assert_eq!(rejection(&answer), Some(Rejection::Unknown));
}

/// A logout, by either credential or of the whole user, also ends the refresh credential.
/// Rejects a logout that forgets only the access token.
pub(crate) async fn refresh_08_a_logout_ends_the_login<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.hybrid();
    for ended_by in [
        "access token",
        "refresh credential",
        "an older one",
        "subject",
    ] {
        let first = login(&auth, "alice").await;
        let other = login(&auth, "bob").await;
        world.advance(60).await;
        let second = family::exchange(&auth, &first).await.expect("a rotation");
        let _ = match ended_by {
            "access token" => auth
                .revoke(second.credential().reveal())
                .await
                .map(|logout| logout.effective),
            "refresh credential" => auth
                .revoke(family::secret(&second))
                .await
                .map(|logout| logout.effective),
            "an older one" => auth
                .revoke(family::secret(&first))
                .await
                .map(|logout| logout.effective),
            _ => auth.revoke_all("alice").await.map(|all| all.effective),
        }
        .expect("a logout");
        for ended in [&first, &second] {
            let answer = family::exchange(&auth, ended).await;
            assert_eq!(
                rejection(&answer),
                Some(Rejection::Unknown),
                "by {ended_by}"
            );
            let asked = Presented::new(ended.credential().reveal()).authoritative();
            let answer = auth.verify_with(asked).await;
            assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        }
        assert!(world.list("alice").await.is_empty());
        assert!(family::exchange(&auth, &other).await.is_ok());
    }
}

/// Two parties hold one refresh credential, and refresh later than the grace of each other. The successor that
/// the first one got is replaced, also if the store fails or its answer is lost, and its next use ends the
/// login. Rejects a strategy that gives both the same successors, turn by turn.
pub(crate) async fn refresh_13_holders_that_take_turns_are_told_apart<F: StoreFixture>(
    fixture: &F,
) {
    for fault in [None, Some(Fault::Fails), Some(Fault::LosesAnswer)] {
        let world = World::open(fixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.hybrid_of(world.builder(Arc::clone(&store)));
        let shared = login(&auth, "alice").await;
        world.advance(60).await;
        let one = family::exchange(&auth, &shared).await.expect("a rotation");
        world.advance(60).await;
        if let Some(fault) = fault {
            store.reset();
            // The first call finds that the row is not rotated, and the second one changes it.
            store.fail_nth(2, fault);
            assert!(is_unavailable(&family::exchange(&auth, &shared).await));
            assert!(!store.has_plans(), "a refresh did not call the store");
        }
        let other = family::exchange(&auth, &shared).await.expect("an orphan");
        let expected = match fault {
            Some(Fault::LosesAnswer) => Outcome::Replayed,
            _ => Outcome::Orphaned,
        };
        assert_eq!(other.outcome(), expected);
        assert_ne!(family::secret(&one), family::secret(&other));
        family::assert_accepted(&auth, &other).await;
        let mut next = other.clone();
        if fault.is_some() {
            world.advance(60).await;
            next = family::exchange(&auth, &other).await.expect("a rotation");
            assert_eq!(next.outcome(), Outcome::Rotated);
        }
        let error = family::exchange(&auth, &one).await;
        let error = error.expect_err("two parties take turns");
        let theft = error.theft().expect("an error that names the login");
        assert_eq!(theft.login(), shared.identity().id());
        for ended in [&shared, &other, &next] {
            let answer = family::exchange(&auth, ended).await;
            assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        }
    }
}

/// Of any number of parallel refreshes with one orphaned credential one replaces its successor, and all
/// answers carry the same working one. Rejects a strategy that gives each its own.
pub(crate) async fn refresh_14_parallel_orphans_agree<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let auth = Arc::new(world.hybrid_of(world.builder(store)));
        let first = login(&*auth, "alice").await;
        world.advance(60).await;
        let _lost = family::exchange(&auth, &first).await.expect("a rotation");
        world.advance(60).await;
        let answers = Arc::new(Mutex::new(Vec::new()));
        let refresh = |_| {
            let (auth, answers) = (Arc::clone(&auth), Arc::clone(&answers));
            let first = first.clone();
            boxed(async move {
                let issued = family::exchange(&auth, &first).await.expect("an answer");
                lock(&answers).push((issued.outcome(), family::secret(&issued).to_owned()));
            })
        };
        world.run(round, (0..8).map(refresh).collect()).await;
        let seed = seed() + round;
        let answers = lock(&answers).clone();
        assert_eq!(answers.len(), 8);
        let orphaned = answers
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Orphaned);
        assert_eq!(orphaned.count(), 1, "replacements that won, seed {seed}");
        let (_, successor) = &answers[0];
        let same = answers.iter().all(|(_, answer)| answer == successor);
        assert!(same, "two successors of one credential, seed {seed}");
        world.advance(60).await;
        assert!(auth.refresh(successor).await.is_ok());
    }
}

/// An expired login is not refreshed, even within the grace of a rotation. Rejects a strategy that
/// checks the grace before the end of the login.
pub(crate) async fn refresh_11_the_grace_outlives_no_login<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let (auth, hybrid) = (world.auth(), world.hybrid());
    let mut session = login(&auth, "alice").await;
    let mut both = login(&hybrid, "alice").await;
    let mut passed = 0;
    while passed + 1_700 < ABSOLUTE - 5 {
        world.advance(1_700).await;
        passed += 1_700;
        session = auth.refresh(secret(&session)).await.expect("a rotation");
        both = family::exchange(&hybrid, &both).await.expect("a rotation");
    }
    world.advance(ABSOLUTE - 5 - passed).await;
    let next = auth.refresh(secret(&session)).await.expect("a rotation");
    let next_both = family::exchange(&hybrid, &both).await.expect("a rotation");
    world.advance(4).await;
    assert!(auth.refresh(secret(&session)).await.is_ok());
    assert!(family::exchange(&hybrid, &both).await.is_ok());
    world.advance(1).await;
    for credential in [secret(&session), secret(&next)] {
        let answer = auth.refresh(credential).await;
        assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        assert_rejected(&auth, credential, Rejection::Unknown).await;
    }
    for presented in [&both, &next_both] {
        let answer = family::exchange(&hybrid, presented).await;
        assert_eq!(rejection(&answer), Some(Rejection::Unknown));
    }
}
