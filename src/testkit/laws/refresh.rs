//! Rotation, and what a replaced credential is worth: REFRESH.

use std::sync::{Arc, Mutex, PoisonError};

use crate::authenticator::{Authenticator, Presented};
use crate::compose::hybrid::HybridAuthenticator;
use crate::error::{Refusal, Rejection};
use crate::login::issued::{Issued, Outcome};
use crate::testkit::executor::interleave;
use crate::testkit::family;
use crate::testkit::faulty::{Fault, FaultyStore, YieldingStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::world::{
    ABSOLUTE, IDLE, World, assert_accepted, assert_rejected, boxed, is_unavailable, login,
    rejection, secret,
};

/// A refresh answers with another credential of the same login, and the presented one ends with
/// the overlap. Rejects a refresh that leaves both for good.
pub async fn refresh_01_replaces_the_credential<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let first = login(&auth, "alice").await;
    world.advance(60).await;
    let second = auth.refresh(secret(&first)).await.expect("a rotation");
    assert_eq!(second.outcome(), Outcome::Rotated);
    assert_ne!(secret(&first), secret(&second));
    assert_eq!(first.identity().id(), second.identity().id());
    assert_accepted(&auth, secret(&second), "alice").await;
    // Too soon to be replaced again: the same once more, and nothing written.
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
    let first = family::login(&auth, "alice").await;
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

/// A replaced credential that comes back after its successor was used ends the login, wherever it
/// is presented and however old it is, and the error says whose login that was. Rejects a strategy
/// that only refuses.
pub async fn refresh_02_reuse_ends_the_login<F: StoreFixture>(fixture: &F) {
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
    // Where access tokens are used instead, used means refreshed.
    for rotations in [2, 3, 5] {
        let world = World::open(fixture).await;
        let auth = world.hybrid();
        let stolen = family::login(&auth, "alice").await;
        let other = family::login(&auth, "alice").await;
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
/// same successor, which works. Rejects a store that lets two rotations win.
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

/// The grace ends with its time, with the use of the successor, and, on each node, with its count.
/// Rejects a strategy that goes on answering whoever holds a replaced credential.
pub async fn refresh_04_the_grace_has_an_end<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let strict = || {
        let builder = world.builder::<_, ()>(Arc::clone(&world.store));
        builder.reject_orphaned().replays(3)
    };
    let auth = strict().build().expect("a configuration that is right");
    let hybrid = world.hybrid_of(strict());
    for ends_by in ["time", "use", "count"] {
        let (first, other) = (
            login(&auth, "alice").await,
            family::login(&hybrid, "bob").await,
        );
        world.advance(60).await;
        let second = auth.refresh(secret(&first)).await.expect("a rotation");
        let next = family::exchange(&hybrid, &other).await.expect("a rotation");
        world.advance(29).await;
        let again = auth
            .refresh(secret(&first))
            .await
            .expect("within the grace");
        assert_eq!(secret(&again), secret(&second));
        let again = family::exchange(&hybrid, &other)
            .await
            .expect("within the grace");
        assert_eq!(family::secret(&again), family::secret(&next));
        match ends_by {
            "time" => world.advance(1).await,
            "use" => {
                assert_accepted(&auth, secret(&second), "alice").await;
                let _third = family::exchange(&hybrid, &next).await.expect("a rotation");
                // For requests with the first one that are under way.
                world.advance(9).await;
                assert!(auth.refresh(secret(&first)).await.is_ok());
                world.advance(1).await;
            }
            _ => {
                for _ in 0..2 {
                    assert!(auth.refresh(secret(&first)).await.is_ok());
                    assert!(family::exchange(&hybrid, &other).await.is_ok());
                }
                let refused = auth.refresh(secret(&first)).await.expect_err("a count");
                assert_eq!(refused.refusal(), Some(Refusal::RefreshLimit));
                let refused = family::exchange(&hybrid, &other)
                    .await
                    .expect_err("a count");
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
        .expect("a rotation");
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
        .expect("a rotation");
    assert_accepted(&world.auth(), secret(&third), "alice").await;
    world.advance(60).await;
    assert_rejected(&world.auth(), secret(&first), Rejection::Reused).await;
    assert_rejected(&world.auth(), secret(&third), Rejection::Unknown).await;
}

/// A store that fails, or whose answer is lost, between marking a credential as used and handing out
/// its successor: the client tries again and gets the one successor that there is. Rejects a
/// strategy that does the two in two steps.
pub async fn refresh_06_a_failed_refresh_is_tried_again<F: StoreFixture>(fixture: &F) {
    for fault in [Fault::Fails, Fault::LosesAnswer] {
        let world = World::open(fixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.hybrid_of(world.builder(Arc::clone(&store)));
        let first = family::login(&auth, "alice").await;
        world.advance(60).await;
        store.reset();
        store.fail_nth(1, fault);
        assert!(is_unavailable(&family::exchange(&auth, &first).await));
        assert!(!store.has_plans(), "a refresh asked the store for nothing");
        let retried = family::exchange(&auth, &first).await.expect("a second try");
        let again = family::exchange(&auth, &first).await.expect("a third");
        assert_eq!(family::secret(&retried), family::secret(&again));
        assert_eq!(store.calls(), 3, "a refresh is one call");
        let listed = world.list("alice", 10).await;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].generation(), 1, "it was issued twice");
        world.advance(60).await;
        let next = family::exchange(&auth, &retried).await.expect("a rotation");
        assert_eq!(next.outcome(), Outcome::Rotated);
    }
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
            .expect("a rotation counts as use");
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

/// A logout, by either credential or of the whole user, ends what refreshes. Rejects a logout that
/// forgets the access token and leaves the rest.
pub async fn refresh_08_a_logout_ends_the_login<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.hybrid();
    for ended_by in [
        "access token",
        "refresh credential",
        "an older one",
        "subject",
    ] {
        let first = family::login(&auth, "alice").await;
        let other = family::login(&auth, "bob").await;
        world.advance(60).await;
        let second = family::exchange(&auth, &first).await.expect("a rotation");
        let _ = match ended_by {
            "access token" => auth.revoke(second.credential().reveal()).await,
            "refresh credential" => auth.revoke(family::secret(&second)).await,
            "an older one" => auth.revoke(family::secret(&first)).await,
            _ => auth.revoke_all("alice").await,
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
            assert_eq!(
                rejection(&auth.verify_with(asked).await),
                Some(Rejection::Unknown)
            );
        }
        assert!(world.list("alice", 10).await.is_empty());
        assert!(family::exchange(&auth, &other).await.is_ok());
    }
}

/// What looks like a token is no session credential, and the other way round.
/// Rejects a strategy that tries whatever it is given.
pub async fn refresh_09_is_no_token<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let issued = login(&auth, "alice").await;
    assert!(auth.is_well_formed(secret(&issued)));
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
        assert!(!auth.is_well_formed(token));
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
    // Nor is what refreshes an access token, or the other way round, or either of them a session.
    let hybrid = world.hybrid();
    let both = family::login(&hybrid, "alice").await;
    let (access, refresh) = (both.credential().reveal(), family::secret(&both));
    let answer = hybrid.verify(refresh).await;
    assert_eq!(rejection(&answer), Some(Rejection::Malformed));
    let answer = hybrid.refresh(access).await;
    assert_eq!(rejection(&answer), Some(Rejection::Malformed));
    for credential in [access, refresh] {
        assert_rejected(&auth, credential, Rejection::Malformed).await;
    }
    let bare = &refresh[refresh.len() - 64..];
    assert_rejected(&auth, bare, Rejection::Unknown).await;
    let answer = hybrid.refresh(secret(&issued)).await;
    assert_eq!(rejection(&answer), Some(Rejection::Malformed));
    let dressed = format!("{}{}", &refresh[..refresh.len() - 64], secret(&issued));
    let answer = hybrid.refresh(&dressed).await;
    assert_eq!(rejection(&answer), Some(Rejection::Unknown));
    assert!(hybrid.refresh(refresh).await.is_ok());
    assert_accepted(&auth, secret(&issued), "alice").await;
}

/// What refreshes tokens for one audience yields none for another, over the same store and with the
/// same key. Rejects a store key that is the whole proof.
pub async fn refresh_10_yields_no_tokens_for_others<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.hybrid();
    let issued = family::login(&auth, "alice").await;
    let refresh = family::secret(&issued);
    for (issuer, audience) in [
        ("https://auth.example", "billing"),
        ("https://other.example", "api"),
    ] {
        let builder = world.builder::<_, ()>(Arc::clone(&world.store));
        let tokens = family::tokens(issuer, audience);
        let other = HybridAuthenticator::new(tokens, builder).expect("a configuration");
        let answer = other.refresh(refresh).await;
        assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        assert!(other.verify(issued.credential().reveal()).await.is_err());
        let _ = other.revoke(refresh).await.expect("an answer");
    }
    assert!(family::exchange(&auth, &issued).await.is_ok());
}

/// What is over is not refreshed, however lately it was replaced. Rejects a grace that is looked at
/// before the end of the login.
pub async fn refresh_11_the_grace_outlives_no_login<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let (auth, hybrid) = (world.auth(), world.hybrid());
    let mut session = login(&auth, "alice").await;
    let mut both = family::login(&hybrid, "alice").await;
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
        assert_eq!(
            rejection(&auth.refresh(credential).await),
            Some(Rejection::Unknown)
        );
        assert_rejected(&auth, credential, Rejection::Unknown).await;
    }
    for presented in [&both, &next_both] {
        let answer = family::exchange(&hybrid, presented).await;
        assert_eq!(rejection(&answer), Some(Rejection::Unknown));
    }
}
