//! Renewal, and what a replaced credential is worth: REFRESH.

use std::sync::{Arc, Mutex, PoisonError};

use crate::authenticator::Authenticator;
use crate::error::Rejection;
use crate::issued::{Issued, Outcome};
use crate::testkit::executor::interleave;
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::world::{
    ABSOLUTE, IDLE, World, assert_accepted, assert_rejected, boxed, login, rejection, secret,
};

/// A refresh answers with another credential of the same login, and the presented one ends with
/// the overlap. Rejects a refresh that leaves both for good.
pub async fn refresh_01_replaces_the_credential<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let first = login(&auth, "alice").await;
    world.advance(60).await;
    let second = auth.refresh(secret(&first)).await.expect("a renewal");
    assert_eq!(second.outcome(), Outcome::Rotated);
    assert_ne!(secret(&first), secret(&second));
    assert_eq!(first.identity().id(), second.identity().id());
    assert_accepted(&auth, secret(&second), "alice").await;
    // Too soon to be replaced again: the same once more, and nothing written.
    let same = auth.refresh(secret(&second)).await.expect("a replay");
    assert_eq!(same.outcome(), Outcome::Replayed);
    assert_eq!(secret(&same), secret(&second));
    world.advance(10).await;
    let third = auth.refresh(secret(&second)).await.expect("a renewal");
    assert_eq!(third.outcome(), Outcome::Rotated);
    assert_accepted(&auth, secret(&third), "alice").await;
    world.advance(10).await;
    let answer = auth.refresh(secret(&second)).await;
    assert_eq!(rejection(&answer), Some(Rejection::Reused));
}

/// A replaced credential that comes back after its successor was used ends the login, wherever it
/// is presented and however old it is, and the error says whose login that was. Rejects a strategy
/// that only refuses.
pub async fn refresh_02_reuse_ends_the_login<F: StoreFixture>(fixture: &F) {
    for (renewals, by_refresh) in [(1, true), (1, false), (2, true), (3, false), (5, true)] {
        let world = World::open(fixture).await;
        let auth = world.auth();
        let stolen = login(&auth, "alice").await;
        let other = login(&auth, "alice").await;
        let mut current = stolen.clone();
        for _ in 0..renewals {
            world.advance(60).await;
            current = auth.refresh(secret(&current)).await.expect("a renewal");
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
}

/// Of any number of parallel refreshes with one credential one rotates, and all answers carry the
/// same successor, which works. Rejects a store that lets two renewals win.
pub async fn refresh_03_parallel_refreshes_agree<F: StoreFixture>(fixture: &F) {
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
                let answer = (issued.outcome(), secret(&issued).to_owned());
                answers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(answer);
            })
        };
        let refreshes = (0..16).map(refresh).collect();
        if round % 2 == 0 {
            interleave(seed() + round, refreshes).await;
        } else {
            fixture.spread(refreshes).await;
        }
        let answers = answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        assert_eq!(answers.len(), 16);
        let rotated = answers
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Rotated);
        assert_eq!(
            rotated.count(),
            1,
            "as many rotated, seed {}",
            seed() + round
        );
        let (_, successor) = &answers[0];
        let same = answers.iter().all(|(_, answer)| answer == successor);
        assert!(
            same,
            "two successors of one credential, seed {}",
            seed() + round
        );
        assert_accepted(&auth, successor, "alice").await;
    }
}

/// What was replaced stays replaced when every process starts anew: all that matters is in the
/// store. Rejects a strategy that remembers in its own memory what was used.
pub async fn refresh_05_a_restart_revives_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let first = login(&world.auth(), "alice").await;
    world.advance(60).await;
    let second = world
        .auth()
        .refresh(secret(&first))
        .await
        .expect("a renewal");
    let replayed = world
        .auth()
        .refresh(secret(&first))
        .await
        .expect("a replay");
    assert_eq!(
        secret(&replayed),
        secret(&second),
        "another successor after a restart"
    );
    assert_accepted(&world.auth(), secret(&second), "alice").await;
    world.advance(60).await;
    let third = world
        .auth()
        .refresh(secret(&second))
        .await
        .expect("a renewal");
    assert_accepted(&world.auth(), secret(&third), "alice").await;
    world.advance(60).await;
    assert_rejected(&world.auth(), secret(&first), Rejection::Reused).await;
    assert_rejected(&world.auth(), secret(&third), Rejection::Unknown).await;
}

/// A credential that was not used for the idle time is not refreshed, nor is one beyond its
/// deadline, and refreshing counts as use. Rejects a refresh without an end.
pub async fn refresh_07_has_both_limits<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let idle = login(&auth, "alice").await;
    let mut used = login(&auth, "alice").await;
    let mut passed = 0;
    while passed + 1_700 < ABSOLUTE {
        world.advance(1_700).await;
        passed += 1_700;
        used = auth
            .refresh(secret(&used))
            .await
            .expect("a renewal counts as use");
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

/// What looks like a token is no session credential, and the other way round.
/// Rejects a strategy that tries whatever it is given.
pub async fn refresh_09_is_no_token<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let issued = login(&auth, "alice").await;
    assert!(auth.accepts(secret(&issued)));
    assert!(
        !secret(&issued).contains('.'),
        "it could be taken for a token"
    );
    let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let tokens = [
        format!("{header}.eyJzdWIiOiJhbGljZSJ9.{}", "A".repeat(43)),
        format!("{header}.e30."),
        // Of the very length of a session credential.
        format!("{header}.e30.{}", "A".repeat(64 - 37 - 4)),
        format!("{}.{}.", &secret(&issued)[..31], &secret(&issued)[..31]),
        format!("{}.", &secret(&issued)[..63]),
    ];
    for token in &tokens {
        assert!(!auth.accepts(token));
        assert_rejected(&auth, token, Rejection::Malformed).await;
        assert_eq!(
            rejection(&auth.refresh(token).await),
            Some(Rejection::Malformed)
        );
        assert_eq!(
            rejection(&auth.revoke(token).await),
            Some(Rejection::Malformed)
        );
    }
    assert_eq!(tokens[2].len(), 64);
}
