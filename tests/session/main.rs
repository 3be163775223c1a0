//! Guarantees for users of sessions, beyond the laws of a store.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod steps;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::{Clock, Timestamp};
use statewise::entropy::{Entropy, SystemEntropy};
use statewise::session::{Limit, Removed, SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::{
    ChangeFn, Changed, Created, Handle, Listing, Load, Page, Record, Scope, SessionStore, Swept,
};
use statewise::testkit::{ManualClock, Random, block_on, interleave};
use statewise::{
    Authenticator, DynAuthenticator, Edit, Error, Identity, Issued, Login, Outcome, Refusal,
    Rejection, Result, Revocation,
};

const IDLE: u64 = 1_800;
const ABSOLUTE: u64 = 43_200;

type Sessions = SessionAuthenticator<Arc<MemoryStore>>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn memory(capacity: usize) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_capacity(capacity).unwrap())
}

fn builder<S: SessionStore, D>(store: S, clock: &ManualClock) -> SessionBuilder<S, D> {
    SessionAuthenticator::builder(store)
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
        .with_data()
}

fn sessions() -> (Sessions, ManualClock) {
    let clock = ManualClock::default();
    (builder(memory(1_000), &clock).build().unwrap(), clock)
}

fn secret<D>(issued: &Issued<D>) -> &str {
    issued.credential().reveal()
}

fn login(auth: &impl Authenticator<Data = ()>, subject: &str) -> Issued {
    block_on(auth.issue(Login::new(subject))).unwrap()
}

fn verify(auth: &impl Authenticator<Data = ()>, issued: &Issued) -> Result<Identity> {
    block_on(auth.verify(secret(issued)))
}

fn refresh(auth: &impl Authenticator<Data = ()>, issued: &Issued) -> Result<Issued> {
    block_on(auth.refresh(secret(issued)))
}

#[track_caller]
fn assert_cause<T: std::fmt::Debug>(answer: Result<T>, cause: Rejection) {
    assert_eq!(answer.unwrap_err().rejection(), Some(cause));
}

#[test]
fn a_replaced_credential_from_overlap_to_orphan() {
    let (auth, clock) = sessions();
    let first = login(&auth, "alice");
    clock.advance(seconds(60));
    let second = refresh(&auth, &first).unwrap();
    // Its successor is never used: overlap, grace and then, most likely, a lost answer.
    let mut age = 0;
    for passed in [0, 9, 1, 19, 1, 600] {
        clock.advance(seconds(passed));
        age += passed;
        assert!(verify(&auth, &first).unwrap().refresh_due());
        let again = refresh(&auth, &first).unwrap();
        let in_time = age < 30;
        let expected = if in_time {
            Outcome::Replayed
        } else {
            Outcome::Orphaned
        };
        assert_eq!(again.outcome(), expected, "after {age} s");
        assert_eq!(secret(&again), secret(&second));
    }
    assert!(!verify(&auth, &second).unwrap().refresh_due());
    // Its successor is used now, while requests with it are still in flight.
    clock.advance(seconds(9));
    assert_eq!(verify(&auth, &first).unwrap().subject(), "alice");
    clock.advance(seconds(1));
    assert_cause(verify(&auth, &first), Rejection::Reused);
    assert_cause(verify(&auth, &second), Rejection::Unknown);
}

#[test]
fn reject_orphaned_ends_the_login_after_the_grace() {
    let clock = ManualClock::default();
    let auth = builder::<_, ()>(memory(10), &clock)
        .overlap(seconds(5))
        .grace(seconds(8))
        .reject_orphaned()
        .build()
        .unwrap();
    let first = login(&auth, "alice");
    clock.advance(seconds(60));
    let second = refresh(&auth, &first).unwrap();
    clock.advance(seconds(7));
    assert_eq!(verify(&auth, &first).unwrap().subject(), "alice");
    clock.advance(seconds(1));
    let error = verify(&auth, &first).unwrap_err();
    assert_eq!(error.rejection(), Some(Rejection::Reused));
    assert_eq!(error.theft().unwrap().login(), first.identity().id());
    assert_cause(verify(&auth, &second), Rejection::Unknown);
}

#[test]
fn an_age_counts_from_the_first_use() {
    let clock = ManualClock::default();
    let auth = builder::<_, ()>(memory(10), &clock)
        .rotate_after(seconds(60))
        .build()
        .unwrap();
    let first = login(&auth, "alice");
    clock.advance(seconds(60));
    assert!(verify(&auth, &first).unwrap().refresh_due());
    let second = refresh(&auth, &first).unwrap();
    // The answer was lost and repeated: other requests with the first credential are in flight.
    clock.advance(seconds(300));
    assert!(!verify(&auth, &second).unwrap().refresh_due());
    clock.advance(seconds(59));
    assert!(!verify(&auth, &second).unwrap().refresh_due());
    clock.advance(seconds(1));
    assert!(verify(&auth, &second).unwrap().refresh_due());
}

#[test]
fn the_replay_limit_stops_one_looping_client_only() {
    let clock = ManualClock::default();
    let auth = builder::<_, ()>(memory(10), &clock)
        .max_replays(3)
        .build()
        .unwrap();
    let first = login(&auth, "alice");
    let other = login(&auth, "alice");
    clock.advance(seconds(60));
    let second = refresh(&auth, &first).unwrap();
    for _ in 0..3 {
        assert_eq!(secret(&refresh(&auth, &first).unwrap()), secret(&second));
    }
    let refused = refresh(&auth, &first).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::RefreshLimit));
    // Neither its successor nor another login nor a made-up credential with the same handle.
    assert_eq!(
        refresh(&auth, &second).unwrap().outcome(),
        Outcome::Replayed
    );
    assert_eq!(refresh(&auth, &other).unwrap().outcome(), Outcome::Rotated);
    let forged = format!("{}{}", &secret(&second)[..22], "A".repeat(42));
    for _ in 0..9 {
        assert_cause(block_on(auth.refresh(&forged)), Rejection::Unknown);
    }
    assert_eq!(verify(&auth, &first).unwrap().subject(), "alice");
    clock.advance(seconds(10));
    assert_eq!(refresh(&auth, &first).unwrap().outcome(), Outcome::Replayed);
}

#[test]
fn use_of_the_successor_ends_the_grace_but_not_the_overlap() {
    for by_refresh in [true, false] {
        let (auth, clock) = sessions();
        let first = login(&auth, "alice");
        clock.advance(seconds(60));
        let second = refresh(&auth, &first).unwrap();
        assert_eq!(verify(&auth, &second).unwrap().subject(), "alice");
        clock.advance(seconds(9));
        assert_eq!(verify(&auth, &first).unwrap().subject(), "alice");
        assert_eq!(secret(&refresh(&auth, &first).unwrap()), secret(&second));
        clock.advance(seconds(1));
        if by_refresh {
            assert_cause(refresh(&auth, &first), Rejection::Reused);
        } else {
            assert_cause(verify(&auth, &first), Rejection::Reused);
        }
        assert_cause(refresh(&auth, &second), Rejection::Unknown);
    }
}

/// Restores the row of an earlier moment, as a store does that lost a write.
#[test]
fn a_credential_ahead_of_the_store_is_rejected_without_a_theft() {
    let (auth, clock) = sessions();
    let first = login(&auth, "alice");
    let page = Page::first(1);
    let rows = block_on(auth.store().list("alice", page, clock.now().unwrap())).unwrap();
    clock.advance(seconds(60));
    let second = refresh(&auth, &first).unwrap();
    clock.advance(seconds(60));
    let third = refresh(&auth, &second).unwrap();
    let now = clock.now().unwrap();
    let row = &rows.records[0];
    let removed = block_on(auth.store().remove(row.handle(), "alice", now)).unwrap();
    assert_eq!(removed.count, 1);
    let created = block_on(auth.store().create(row, Limit::Unlimited, now)).unwrap();
    assert!(matches!(created, Created::Stored { .. }));
    for ahead in [&second, &third] {
        let error = verify(&auth, ahead).unwrap_err();
        // One generation ahead, or more: the family proof recognizes both.
        assert_eq!(error.rejection(), Some(Rejection::Ahead));
        assert!(error.theft().is_none());
        assert_cause(refresh(&auth, ahead), Rejection::Ahead);
    }
    assert_eq!(verify(&auth, &first).unwrap().subject(), "alice");
}

#[test]
fn a_refresh_becomes_due_with_age() {
    let clock = ManualClock::default();
    let auth = builder::<_, ()>(memory(10), &clock)
        .rotate_after(seconds(300))
        .build()
        .unwrap();
    let first = login(&auth, "alice");
    clock.advance(seconds(299));
    assert!(!verify(&auth, &first).unwrap().refresh_due());
    clock.advance(seconds(1));
    assert!(verify(&auth, &first).unwrap().refresh_due());
    let second = refresh(&auth, &first).unwrap();
    assert!(!verify(&auth, &second).unwrap().refresh_due());
    clock.advance(seconds(300));
    assert!(verify(&auth, &second).unwrap().refresh_due());
}

#[test]
fn lists_and_ends_sessions_by_their_ids() {
    let (auth, _) = sessions();
    let mut ids = HashSet::new();
    for at in 0..250 {
        let login = Login::new("alice")
            .device(format!("device {at}"))
            .acr("aal2")
            .role("user");
        ids.insert(block_on(auth.issue(login)).unwrap().identity().id());
    }
    let bob = login(&auth, "bob");
    let (mut listed, mut pages, mut after) = (HashSet::new(), 0, None);
    loop {
        let page = block_on(auth.sessions("alice", after)).unwrap();
        pages += 1;
        for session in &page.sessions {
            assert_eq!((session.subject(), session.version()), ("alice", 0));
            assert!(session.device().unwrap().starts_with("device "));
            assert_eq!(session.acr(), Some("aal2"));
            assert_eq!(session.roles().collect::<Vec<_>>(), ["user"]);
            assert!(listed.insert(session.id()));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((pages, &listed), (3, &ids));
    // Also one that is not on the first page.
    for id in ids {
        assert_eq!(block_on(auth.revoke_id("bob", id)).unwrap().count, 0);
        assert_eq!(block_on(auth.revoke_id("alice", id)).unwrap().count, 1);
        assert_eq!(block_on(auth.revoke_id("alice", id)).unwrap().count, 0);
    }
    assert_eq!(verify(&auth, &bob).unwrap().subject(), "bob");
    assert_eq!(auth.store().len(), 1);
}

#[test]
fn updating_meets_the_version_that_was_seen_and_the_end() {
    let clock = ManualClock::default();
    let auth = builder::<_, String>(memory(10), &clock).build().unwrap();
    let login = Login::new("alice").acr("aal2").data("a".to_owned());
    let issued = block_on(auth.issue(login)).unwrap();
    let seen = block_on(auth.verify(secret(&issued))).unwrap();
    let update = |data: &str| {
        block_on(auth.update_id("alice", seen.id(), &mut |session| {
            if session.version() != seen.version() {
                return Err(Error::misuse("another caller has changed the session"));
            }
            session.data = data.to_owned();
            Ok(())
        }))
    };
    assert_eq!(update("b").unwrap().unwrap().version(), 1);
    assert!(update("c").is_err_and(|error| error.is_misuse()));
    let now = block_on(auth.verify(secret(&issued))).unwrap();
    assert_eq!((now.data().as_str(), now.version()), ("b", 1));
    let listed = block_on(auth.sessions("alice", None)).unwrap();
    let id = listed.sessions[0].id();
    let mut promote = |session: &mut Edit<String>| {
        session.roles = vec!["admin".to_owned()];
        Ok(())
    };
    let other = block_on(auth.update_id("bob", id, &mut promote)).unwrap();
    assert!(other.is_none(), "the session of another user");
    let done = block_on(auth.update_id("alice", id, &mut promote)).unwrap();
    assert!(done.is_some_and(|session| session.acr() == Some("aal2")));
    let revoked = block_on(auth.revoke(secret(&issued))).unwrap();
    assert_eq!(revoked.effective, Revocation::Immediate);
    assert!(update("d").unwrap().is_none());
}

#[test]
fn the_limit_refuses_or_evicts() {
    let clock = ManualClock::default();
    let reject = builder::<_, ()>(memory(10), &clock)
        .limit(Limit::Reject(2))
        .build()
        .unwrap();
    let first = login(&reject, "alice");
    let _second = login(&reject, "alice");
    let refused = block_on(reject.issue(Login::new("alice"))).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::SessionLimit));
    let replaces = Login::new("alice").replaces(secret(&first));
    assert!(
        block_on(reject.issue(replaces)).is_ok(),
        "the replaced one makes room"
    );

    let evict = builder::<_, ()>(memory(10), &clock)
        .limit(Limit::EvictOldest(2))
        .build()
        .unwrap();
    let first = login(&evict, "alice");
    clock.advance(seconds(1));
    let second = login(&evict, "alice");
    clock.advance(seconds(1));
    let third = login(&evict, "alice");
    assert_cause(verify(&evict, &first), Rejection::Unknown);
    for kept in [&second, &third] {
        assert_eq!(verify(&evict, kept).unwrap().subject(), "alice");
    }
}

#[test]
fn a_full_store_refuses_until_a_login_expires() {
    let clock = ManualClock::default();
    let auth = builder::<_, ()>(memory(3), &clock).build().unwrap();
    for subject in ["a", "b", "c"] {
        let _ = login(&auth, subject);
    }
    let refused = block_on(auth.issue(Login::new("d"))).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::Capacity));
    clock.advance(seconds(IDLE));
    assert_eq!(login(&auth, "d").identity().subject(), "d");
    assert!(auth.store().len() <= 3);
}

#[test]
fn contradictory_configurations_are_misuse() {
    let clock = ManualClock::default();
    let misuse = |change: fn(SessionBuilder<Arc<MemoryStore>, ()>) -> _| {
        let built: Result<Sessions> = SessionBuilder::build(change(builder(memory(1), &clock)));
        let error = built.unwrap_err();
        assert!(error.is_misuse(), "{error:?}");
    };
    misuse(|builder| builder.grace(seconds(9)));
    misuse(|builder| builder.overlap(seconds(31)));
    misuse(|builder| builder.grace(seconds(ABSOLUTE)));
    misuse(|builder| builder.rotate_after(seconds(ABSOLUTE)));
    misuse(|builder| builder.rotate_after(Duration::from_millis(10)));
    misuse(|builder| builder.limit(Limit::Reject(0)));
    misuse(|builder| builder.limit(Limit::EvictOldest(0)));
    for (idle, absolute) in [(0, 10), (10, 0), (11, 10)] {
        let built: Result<Sessions> = SessionAuthenticator::builder(memory(1))
            .idle(seconds(idle))
            .absolute(seconds(absolute))
            .build();
        assert!(built.unwrap_err().is_misuse());
    }
    assert!(MemoryStore::with_capacity(0).unwrap_err().is_misuse());
    let auth = sessions().0;
    assert!(
        block_on(auth.issue(Login::new("")))
            .unwrap_err()
            .is_misuse()
    );
}

#[derive(Clone, Debug, Default)]
struct Switch(Arc<AtomicBool>);

impl Entropy for Switch {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Error::unavailable("no entropy"));
        }
        SystemEntropy.fill(bytes)
    }
}

#[test]
fn without_entropy_or_time_nothing_is_issued() {
    let (clock, broken) = (ManualClock::default(), Switch::default());
    let auth = builder::<_, ()>(memory(10), &clock)
        .entropy(broken.clone())
        .build()
        .unwrap();
    let issued = login(&auth, "alice");
    broken.0.store(true, Ordering::SeqCst);
    assert!(
        block_on(auth.issue(Login::new("bob")))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(refresh(&auth, &issued).unwrap_err().is_unavailable());
    assert_eq!(auth.store().len(), 1);
    assert_eq!(verify(&auth, &issued).unwrap().subject(), "alice");
    broken.0.store(false, Ordering::SeqCst);

    let before = clock.now().unwrap();
    clock.stop();
    assert!(verify(&auth, &issued).unwrap_err().is_unavailable());
    assert!(refresh(&auth, &issued).unwrap_err().is_unavailable());
    assert!(
        block_on(auth.issue(Login::new("bob")))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        block_on(auth.revoke(secret(&issued)))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        block_on(auth.revoke_all("alice"))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        block_on(auth.revoke_others(secret(&issued)))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        block_on(auth.sessions("alice", None))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(block_on(auth.upkeep().tick()).unwrap_err().is_unavailable());
    clock.set(before);
    assert_eq!(auth.store().len(), 1);
    assert_eq!(verify(&auth, &issued).unwrap().subject(), "alice");
}

#[test]
fn sessions_at_the_first_and_the_last_timestamp() {
    for start in [0, 1, Timestamp::MAX.unix() - 1, Timestamp::MAX.unix()] {
        let clock = ManualClock::at(Timestamp::from_unix(start));
        let auth = builder::<_, ()>(memory(10), &clock).build().unwrap();
        let Ok(issued) = block_on(auth.issue(Login::new("alice"))) else {
            assert_eq!(start, Timestamp::MAX.unix());
            continue;
        };
        assert_eq!(verify(&auth, &issued).unwrap().subject(), "alice");
        let rotated = refresh(&auth, &issued).unwrap();
        assert_eq!(verify(&auth, &rotated).unwrap().subject(), "alice");
        clock.advance(seconds(u64::MAX));
        assert_cause(verify(&auth, &rotated), Rejection::Unknown);
        clock.turn_back(seconds(u64::MAX));
        assert_cause(verify(&auth, &rotated), Rejection::Unknown);
    }
}

#[test]
fn random_strings_are_malformed_or_unknown() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (auth, _) = sessions();
    let _ = login(&auth, "alice");
    let mut random = Random::new(7);
    for at in 0..20_000 {
        let length = if at % 2 == 0 { 64 } else { random.below(200) };
        let text: String = (0..length)
            .map(|_| match at % 3 {
                0 => char::from(ALPHABET[random.below(64)]),
                1 => char::from(random.below(128) as u8),
                _ => char::from_u32(random.below(0x11_0000) as u32).unwrap_or('.'),
            })
            .collect();
        let expected = if auth.is_well_formed(&text) {
            Rejection::Unknown
        } else {
            Rejection::Malformed
        };
        assert_cause(block_on(auth.verify(&text)), expected);
        assert_cause(block_on(auth.refresh(&text)), expected);
        match block_on(auth.revoke(&text)) {
            Ok(_) => assert_eq!(expected, Rejection::Unknown),
            refused => assert_cause(refused, Rejection::Malformed),
        }
    }
    assert_eq!(auth.store().len(), 1);
}

#[test]
fn a_forged_secret_under_a_live_handle_does_nothing() {
    let (auth, clock) = sessions();
    let first = login(&auth, "alice");
    let other = login(&auth, "alice");
    clock.advance(seconds(60));
    let second = refresh(&auth, &first).unwrap();
    assert_eq!(verify(&auth, &second).unwrap().subject(), "alice");
    let forgeries = [
        // Slightly wrong secrets of the current, the replaced and another login.
        format!("{}{}", &secret(&second)[..43], "A".repeat(21)),
        format!("{}{}", &secret(&first)[..43], "A".repeat(21)),
        // The handle of one login with the rest of another: a handle takes just over 21 characters.
        format!("{}{}", &secret(&second)[..20], &secret(&other)[20..]),
        format!("{}{}", &secret(&second)[..24], &secret(&other)[24..]),
        format!("{}{}", &secret(&second)[..22], "_".repeat(42)),
    ];
    for wait in [0, 60] {
        clock.advance(seconds(wait));
        for forged in &forgeries {
            assert!(auth.is_well_formed(forged));
            assert_cause(block_on(auth.verify(forged)), Rejection::Unknown);
            assert_cause(block_on(auth.refresh(forged)), Rejection::Unknown);
            assert_cause(block_on(auth.revoke_others(forged)), Rejection::Unknown);
            let _ = block_on(auth.revoke(forged)).unwrap();
            let replaces = Login::new("mallory").replaces(forged);
            assert!(block_on(auth.issue(replaces)).is_ok());
            assert_eq!(verify(&auth, &second).unwrap().subject(), "alice");
            assert_eq!(verify(&auth, &other).unwrap().subject(), "alice");
        }
    }
}

#[test]
fn a_hundred_refreshes_move_neither_authentication_time_nor_deadline() {
    let (auth, clock) = sessions();
    let first = login(&auth, "alice");
    let mut current = first.clone();
    let mut seen = HashSet::from([secret(&first).to_owned()]);
    for _ in 0..100 {
        clock.advance(seconds(400));
        current = refresh(&auth, &current).unwrap();
        assert_eq!(current.outcome(), Outcome::Rotated);
        assert!(seen.insert(secret(&current).to_owned()));
        let caller = verify(&auth, &current).unwrap();
        assert_eq!(
            caller.authenticated_at(),
            first.identity().authenticated_at()
        );
        assert_eq!(caller.deadline(), first.identity().deadline());
        assert_eq!(caller.issued_at(), first.identity().issued_at());
        assert!(caller.expires_at() <= caller.deadline());
    }
}

#[test]
fn a_login_may_state_an_earlier_authentication_and_deadline() {
    let (auth, clock) = sessions();
    let now = clock.now().unwrap();
    let earlier = now.saturating_sub(3_600);
    let issued =
        block_on(auth.issue(Login::new("alice").authenticated_at(earlier.into()))).unwrap();
    let caller = verify(&auth, &issued).unwrap();
    assert_eq!(Timestamp::from(caller.authenticated_at()), earlier);
    let deadline = earlier.saturating_add(ABSOLUTE);
    assert_eq!(Timestamp::from(caller.deadline()), deadline);
    let future = now.saturating_add(3_600);
    let issued = block_on(auth.issue(Login::new("alice").authenticated_at(future.into()))).unwrap();
    assert_eq!(Timestamp::from(issued.identity().authenticated_at()), now);
    // A deadline may be shortened but never extended.
    for (asked, given) in [(100, 100), (ABSOLUTE + 1, ABSOLUTE)] {
        let login = Login::new("alice").deadline(now.saturating_add(asked).into());
        let issued = block_on(auth.issue(login)).unwrap();
        let deadline = Timestamp::from(issued.identity().deadline());
        assert_eq!(deadline, now.saturating_add(given));
    }
}

#[test]
fn a_continued_login_keeps_its_authentication_time_and_deadline() {
    let (auth, clock) = sessions();
    let login = Login::new("alice").role("admin").device("phone");
    let first = block_on(auth.issue(login.acr("aal2"))).unwrap();
    clock.advance(seconds(1_000));
    let caller = verify(&auth, &first).unwrap();
    let next = block_on(auth.issue(caller.clone().into_login().replaces(secret(&first)))).unwrap();
    let next = next.into_identity();
    assert_ne!(next.id(), caller.id());
    assert_eq!(next.authenticated_at(), caller.authenticated_at());
    assert_eq!(next.deadline(), caller.deadline());
    assert!(next.has_role("admin") && next.device() == Some("phone"));
    assert_eq!(next.acr(), Some("aal2"));
    assert_cause(verify(&auth, &first), Rejection::Unknown);
}

#[test]
fn rotation_keeps_the_acr_of_the_login() {
    let (auth, clock) = sessions();
    for acr in [None, Some("aal2"), Some("")] {
        let login = Login::new("alice");
        let login = match acr {
            Some(acr) => login.acr(acr),
            None => login,
        };
        let mut issued = block_on(auth.issue(login)).unwrap();
        assert_eq!(issued.identity().acr(), acr);
        for _ in 0..3 {
            clock.advance(seconds(60));
            issued = refresh(&auth, &issued).unwrap();
            assert_eq!(issued.identity().acr(), acr);
            assert_eq!(verify(&auth, &issued).unwrap().acr(), acr);
        }
    }
    // It counts toward the size like the other texts of a login.
    let large = block_on(auth.issue(Login::new("alice").acr("c".repeat(5_000))));
    assert_eq!(large.unwrap_err().refusal(), Some(Refusal::TooLarge));
}

#[test]
fn erased_authenticators_behave_the_same() {
    fn use_every_method(auth: &impl Authenticator<Data = ()>, clock: &ManualClock) {
        let first = login(auth, "alice");
        assert!(auth.is_well_formed(secret(&first)) && !auth.is_well_formed("junk"));
        clock.advance(seconds(60));
        let second = refresh(auth, &first).unwrap();
        assert_eq!(second.outcome(), Outcome::Rotated);
        assert!(verify(auth, &first).unwrap().refresh_due());
        assert!(!verify(auth, &second).unwrap().refresh_due());
        assert!(!auth.upkeep().is_none());
        assert!(block_on(auth.upkeep().tick()).unwrap().is_some());
        let revoked = block_on(auth.revoke(secret(&second))).unwrap();
        assert_eq!(revoked.effective, Revocation::Immediate);
        assert_cause(verify(auth, &second), Rejection::Unknown);
        let third = login(auth, "alice");
        let _ = block_on(auth.revoke_all("alice")).unwrap();
        assert_cause(refresh(auth, &third), Rejection::Unknown);
    }
    let (auth, clock) = sessions();
    use_every_method(&auth, &clock);
    let shared: Arc<dyn DynAuthenticator<()>> = Arc::new(auth);
    use_every_method(&shared, &clock);
    let boxed: Box<dyn DynAuthenticator<()>> = Box::new(sessions().0);
    let (auth, clock) = sessions();
    let boxed_here: Box<dyn DynAuthenticator<()>> = Box::new(auth);
    use_every_method(&boxed_here, &clock);
    drop(boxed);
}

#[test]
fn parallel_logins_stay_within_the_limit() {
    let clock = ManualClock::default();
    let auth = builder::<_, ()>(memory(100), &clock)
        .limit(Limit::Reject(5))
        .build()
        .unwrap();
    let issue = |_| Box::pin(auth.issue(Login::new("alice"))) as BoxFuture<'_, Result<Issued>>;
    let answers = block_on(interleave(3, (0..40).map(issue).collect()));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    assert_eq!(auth.store().len(), 5);
}

/// Keeps nothing, and reports success.
#[derive(Debug)]
struct Nowhere;

impl SessionStore for Nowhere {
    async fn create(&self, _: &Record, _: Limit, _: Timestamp) -> Result<Created> {
        Ok(Created::Stored {
            evicted: Vec::new(),
        })
    }
    async fn load(&self, _: Handle, _: Load, _: Timestamp) -> Result<Option<Record>> {
        Ok(None)
    }
    async fn change(&self, _: Handle, _: Timestamp, _: ChangeFn<'_>) -> Result<Option<Changed>> {
        Ok(None)
    }
    async fn touch(&self, _: &[(Handle, Timestamp)], _: Timestamp) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, _: Handle, _: &str, _: Timestamp) -> Result<Removed> {
        Ok(Removed::at_once(0))
    }
    async fn remove_subject(&self, _: &str, _: Scope, _: Timestamp) -> Result<Removed> {
        Ok(Removed::at_once(0))
    }
    async fn list(&self, _: &str, _: Page, _: Timestamp) -> Result<Listing> {
        Ok(Listing::default())
    }
    async fn sweep(&self, _: usize, _: Timestamp) -> Result<Swept> {
        Ok(Swept::default())
    }
}

/// The number that a debug build reaches in a few seconds.
#[test]
fn a_quarter_of_a_million_credentials_are_unique_and_uniform() {
    const LOGINS: usize = 250_000;
    let auth = builder::<_, ()>(Nowhere, &ManualClock::default())
        .build()
        .unwrap();
    let mut seen = HashSet::with_capacity(LOGINS);
    let mut counts = vec![[0_u32; 256]; 64];
    for _ in 0..LOGINS {
        let issued = login(&auth, "alice");
        for (place, byte) in secret(&issued).bytes().enumerate() {
            counts[place][usize::from(byte)] += 1;
        }
        assert!(seen.insert(secret(&issued).to_owned()));
    }
    // The first two are the partition; the third begins with the bit of remembered logins. The 24 bits after
    // its three random ones are zero, as no upgrade has made the login.
    for (place, counts) in counts.iter().enumerate().skip(2) {
        let values = match place {
            2 => 8,
            3..=5 => 1,
            6 => 4,
            _ => 64,
        };
        let used = counts.iter().filter(|count| **count > 0);
        assert_eq!(used.count(), values);
        let expected = LOGINS as f64 / values as f64;
        let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
        let chi: f64 = counts.iter().filter(|count| **count > 0).map(square).sum();
        // 63 degrees of freedom: beyond 160 once in a hundred million times.
        assert!(chi < 160.0, "{chi}");
    }
}

#[test]

fn revoking_a_session_expired_by_one_policy_ends_it_for_all() {
    let (loose, clock) = sessions();
    let tight: Sessions = SessionAuthenticator::builder(Arc::clone(loose.store()))
        .idle(seconds(60))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
        .build()
        .unwrap();
    let issued = login(&loose, "alice");
    clock.advance(seconds(61));
    let revoked = block_on(tight.revoke(secret(&issued))).unwrap();
    assert_eq!(revoked.effective, Revocation::Immediate);
    assert_cause(verify(&loose, &issued), Rejection::Unknown);
}

#[test]

fn updated_roles_must_fit_into_a_login() {
    let (auth, _) = sessions();
    let issued = login(&auth, "alice");
    let refused = block_on(auth.update(secret(&issued), &mut |session| {
        session.roles = vec!["admin".to_owned(); 100_000];
        Ok(())
    }));
    assert_eq!(refused.unwrap_err().refusal(), Some(Refusal::TooLarge));
}

#[test]

fn data_that_cannot_be_read_back_are_not_issued() {
    let auth = builder::<_, serde_json::Value>(memory(10), &ManualClock::default())
        .build()
        .unwrap();
    let nested = (0..200).fold(serde_json::Value::from(1), |inner, _| vec![inner].into());
    if let Ok(issued) = block_on(auth.issue(Login::new("alice").data(nested))) {
        assert!(block_on(auth.verify(secret(&issued))).is_ok());
    }
}

#[test]

fn a_login_that_cannot_be_issued_revokes_nothing() {
    let (auth, clock) = sessions();
    let issued = login(&auth, "alice");
    let past = clock.now().unwrap().saturating_sub(1);
    for impossible in [
        Login::new(""),
        Login::new("a".repeat(5_000)),
        Login::new("alice").deadline(past.into()),
    ] {
        let answer = block_on(auth.issue(impossible.replaces(secret(&issued))));
        assert!(answer.is_err());
        assert_eq!(verify(&auth, &issued).unwrap().subject(), "alice");
    }
}

#[test]
fn a_looser_idle_policy_keeps_active_sessions() {
    let (tight, clock) = sessions();
    let loose: Sessions = SessionAuthenticator::builder(Arc::clone(tight.store()))
        .idle(seconds(IDLE * 10))
        .absolute(seconds(ABSOLUTE * 10))
        .clock(clock.clone())
        .build()
        .unwrap();
    let issued = login(&tight, "alice");
    for _ in 0..30 {
        clock.advance(seconds(IDLE / 4));
        assert!(verify(&loose, &issued).is_ok());
    }
}

/// A session that one policy has found expired is gone for all: its row is removed, so that neither
/// a looser policy nor a clock that is set back makes it valid again.
#[test]
fn a_session_expired_by_a_tightened_policy_never_comes_back() {
    for [idle, absolute] in [[60, ABSOLUTE], [60, 60]] {
        for refreshes in [false, true] {
            let (loose, clock) = sessions();
            let tight: Sessions = SessionAuthenticator::builder(Arc::clone(loose.store()))
                .idle(seconds(idle))
                .absolute(seconds(absolute))
                .clock(clock.clone())
                .build()
                .unwrap();
            let issued = login(&loose, "alice");
            clock.advance(seconds(60));
            let rejected = if refreshes {
                refresh(&tight, &issued).map(drop)
            } else {
                verify(&tight, &issued).map(drop)
            };
            assert_cause(rejected, Rejection::Unknown);
            assert!(loose.store().is_empty(), "the row is still there");
            clock.turn_back(seconds(60));
            assert_cause(verify(&loose, &issued), Rejection::Unknown);
        }
    }
}

#[test]
fn a_tighter_absolute_policy_counts_at_once() {
    let (loose, clock) = sessions();
    let tight: Sessions = SessionAuthenticator::builder(Arc::clone(loose.store()))
        .idle(seconds(100))
        .absolute(seconds(100))
        .clock(clock.clone())
        .build()
        .unwrap();
    let issued = login(&loose, "alice");
    clock.advance(seconds(99));
    assert!(verify(&tight, &issued).is_ok());
    assert_eq!(
        block_on(tight.sessions("alice", None))
            .unwrap()
            .sessions
            .len(),
        1
    );
    clock.advance(seconds(1));
    assert_cause(verify(&tight, &issued), Rejection::Unknown);
    assert!(
        block_on(tight.sessions("alice", None))
            .unwrap()
            .sessions
            .is_empty()
    );
}

#[test]
fn a_known_handle_keeps_no_session_alive() {
    let (auth, clock) = sessions();
    let issued = login(&auth, "alice");
    let forged = format!("{}{}", &secret(&issued)[..22], "B".repeat(42));
    for _ in 0..10 {
        clock.advance(seconds(IDLE / 9));
        assert!(block_on(auth.verify(&forged)).is_err());
    }
    assert_cause(verify(&auth, &issued), Rejection::Unknown);
}

#[test]
fn a_sweep_is_bounded_and_reaches_all_rows() {
    let store = MemoryStore::with_capacity(100_000).unwrap();
    let clock = ManualClock::default();
    let auth: SessionAuthenticator<MemoryStore> = SessionAuthenticator::builder(store)
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
        .build()
        .unwrap();
    for count in 0..2_500 {
        // One subject with very many sessions, and many subjects with one.
        let subject = if count % 2 == 0 {
            "crowd".to_owned()
        } else {
            format!("user {count}")
        };
        let _ = block_on(auth.issue(Login::new(subject))).unwrap();
    }
    clock.advance(seconds(IDLE));
    let now = clock.now().unwrap();
    loop {
        let swept = block_on(auth.store().sweep(100, now)).unwrap();
        assert!(swept.removed <= 100, "{} at once", swept.removed);
        if !swept.more {
            break;
        }
    }
    assert_eq!(auth.store().len(), 0);
}

#[test]
fn a_sweep_and_a_search_for_space_run_in_parallel() {
    let store = Arc::new(MemoryStore::with_capacity(512).unwrap());
    let clock = ManualClock::default();
    let auth: SessionAuthenticator<Arc<MemoryStore>> =
        SessionAuthenticator::builder(Arc::clone(&store))
            .idle(seconds(2))
            .absolute(seconds(2))
            .overlap(seconds(0))
            .grace(seconds(0))
            .clock(clock.clone())
            .build()
            .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let now = clock.now().unwrap();
                block_on(store.sweep(1, now)).unwrap();
            }
        });
        for user in 0..20_000 {
            // Always nearly full of expired rows.
            if let Err(error) = block_on(auth.issue(Login::new(format!("user {user}")))) {
                assert_eq!(error.refusal(), Some(Refusal::Capacity), "{error}");
                clock.advance(seconds(2));
            }
            assert!(store.len() <= store.capacity());
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// One session has exactly one credential: no other spelling is accepted.
#[test]
fn a_credential_changed_at_any_character_is_rejected() {
    let auth = SessionAuthenticator::builder(memory(10))
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(3600))
        .build()
        .unwrap();
    let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
    let credential = issued.credential().reveal();
    for at in 0..credential.len() {
        for changed in ["A", "B", "h", "z", "7", "-", "_"] {
            let mut other = credential.to_owned();
            other.replace_range(at..=at, changed);
            if other != credential {
                assert!(block_on(auth.verify(&other)).is_err(), "{at}: {changed}");
            }
        }
    }
    assert!(block_on(auth.verify(credential)).is_ok());
}

/// A tightened policy counts at once for remembered sessions if it names their timeouts, though they
/// be those of all others. If not, it leaves them the timeouts with which they began.
#[test]
fn a_tightened_policy_names_the_timeouts_of_remembered_sessions() {
    for names in [true, false] {
        let (loose, clock) = sessions();
        let mut tight = SessionAuthenticator::builder(Arc::clone(loose.store()))
            .idle(seconds(60))
            .absolute(seconds(60))
            .grace(seconds(30))
            .clock(clock.clone());
        if names {
            tight = tight.remembered(seconds(60), seconds(60));
        }
        let tight = tight.build().unwrap();
        let remembered = block_on(loose.issue(Login::new("alice").remember())).unwrap();
        let other = login(&loose, "alice");
        clock.advance(seconds(60));
        assert_cause(verify(&tight, &other), Rejection::Unknown);
        assert_eq!(verify(&tight, &remembered).is_err(), names);
    }
}

#[test]
fn remembered_timeouts_are_checked() {
    let clock = ManualClock::default();
    for (idle, absolute) in [
        (0, 90 * ABSOLUTE),
        (2 * ABSOLUTE, ABSOLUTE),
        (IDLE - 1, 90 * ABSOLUTE),
        (IDLE, ABSOLUTE - 1),
    ] {
        let builder = builder::<_, ()>(Nowhere, &clock);
        let builder = builder.remembered(seconds(idle), seconds(absolute));
        let error = builder.build().unwrap_err();
        assert!(error.is_misuse(), "{idle}, {absolute}: {error}");
    }
    let builder = builder::<_, ()>(Nowhere, &clock);
    assert!(
        builder
            .remembered(seconds(IDLE), seconds(ABSOLUTE))
            .build()
            .is_ok()
    );
}
