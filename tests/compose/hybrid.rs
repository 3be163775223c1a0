//! Guarantees for users of short access tokens with a refresh session.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use statewise::Observed;
use statewise::hybrid::HybridAuthenticator;
use statewise::observer::{Event, Observer};
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::{Limit, SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::testkit::{Fault, FaultyStore, ManualClock, Method, block_on};
use statewise::token::{
    Interop, Key, KeyState, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder,
};
use statewise::{
    Authenticator, DynAuthenticator, Issued, Login, Outcome, Presented, Refusal, Rejection, Result,
    Revocation,
};

mod remembered;
mod revoked;

const ACCESS: u64 = 600;
const IDLE: u64 = 7 * 86_400;
const ABSOLUTE: u64 = 30 * 86_400;

type Hybrid<D = ()> = HybridAuthenticator<Arc<MemoryStore>, D>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_capacity(1_000).unwrap())
}

fn tokens<D>(key: &Key) -> TokenBuilder<D> {
    TokenAuthenticator::builder(key.clone())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(ACCESS))
        .with_data()
}

fn tokens_for(lifetime: u64) -> TokenBuilder {
    TokenAuthenticator::builder(key())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(lifetime))
}

fn sessions<S: statewise::store::contract::SessionStore, D>(
    store: S,
    clock: &ManualClock,
) -> SessionBuilder<S, D> {
    SessionAuthenticator::builder(store)
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
        .with_data()
}

fn key() -> Key {
    Key::hs256(b"a key of the hybrid's tests, no secret").unwrap()
}

fn hybrid<D>() -> (Hybrid<D>, ManualClock) {
    let clock = ManualClock::default();
    let auth = HybridAuthenticator::new(tokens(&key()), sessions(memory(), &clock));
    (auth.unwrap(), clock)
}

fn access<D>(issued: &Issued<D>) -> &str {
    issued.credential().reveal()
}

fn refresh<D>(issued: &Issued<D>) -> &str {
    issued.refresh_credential().unwrap().reveal()
}

fn login(auth: &impl Authenticator<Data = ()>, subject: &str) -> Issued {
    block_on(auth.issue(Login::new(subject))).unwrap()
}

/// Refreshes with the refresh credential of `issued`.
fn refresh_issued(auth: &impl Authenticator<Data = ()>, issued: &Issued) -> Result<Issued> {
    block_on(auth.refresh(refresh(issued)))
}

fn cause<T: std::fmt::Debug>(answer: Result<T>) -> Option<Rejection> {
    answer.unwrap_err().rejection()
}

#[test]
fn a_day_of_refreshes() {
    let (auth, clock) = hybrid();
    let login = Login::new("alice").role("admin").device("phone");
    let login = login.acr("aal2");
    let mut issued = block_on(auth.issue(login)).unwrap();
    let first = issued.identity().clone();
    assert_eq!(issued.outcome(), Outcome::New);
    assert_eq!(issued.refreshable().reveal(), refresh(&issued));
    for round in 1..=100_u64 {
        let caller = block_on(auth.verify(access(&issued))).unwrap();
        assert_eq!(caller.subject(), "alice");
        assert!(caller.has_role("admin"));
        assert_eq!(caller.device(), Some("phone"));
        assert_eq!(caller.acr(), Some("aal2"));
        assert_eq!(caller.id(), first.id());
        assert_eq!(caller.authenticated_at(), first.authenticated_at());
        assert_eq!(caller.expires_at(), issued.expires_at());
        assert!(!caller.refresh_due());
        clock.advance(seconds(ACCESS));
        assert_eq!(
            cause(auth.verify_now(access(&issued))),
            Some(Rejection::Expired)
        );
        issued = refresh_issued(&auth, &issued).unwrap();
        assert_eq!(issued.outcome(), Outcome::Rotated, "round {round}");
        assert_eq!(issued.identity().deadline(), first.deadline());
        assert_eq!(
            issued.identity().authenticated_at(),
            first.authenticated_at()
        );
        assert_eq!(issued.identity().id(), first.id());
    }
    assert_eq!(
        block_on(auth.sessions("alice", None))
            .unwrap()
            .sessions
            .len(),
        1
    );
}

#[test]
fn neither_credential_is_accepted_as_the_other() {
    let (auth, clock) = hybrid();
    let issued = login(&auth, "alice");
    let (access, refresh) = (access(&issued), refresh(&issued));
    assert!(auth.is_well_formed(access) && auth.is_well_formed(refresh));
    assert_eq!(
        cause(block_on(auth.verify(refresh))),
        Some(Rejection::Malformed)
    );
    assert_eq!(
        cause(block_on(auth.refresh(access))),
        Some(Rejection::Malformed)
    );

    // A refresh credential is not a session credential of the same store, with or without its
    // prefix.
    let plain = sessions(Arc::clone(auth.store()), &clock).build().unwrap();
    let bare = refresh.strip_prefix("rt_").unwrap();
    assert!(!plain.is_well_formed(refresh) && !auth.is_well_formed(bare));
    assert_eq!(
        cause(block_on(plain.verify(refresh))),
        Some(Rejection::Malformed)
    );
    assert_eq!(
        cause(block_on(plain.verify(bare))),
        Some(Rejection::Unknown)
    );
    assert_eq!(
        cause(block_on(plain.refresh(bare))),
        Some(Rejection::Unknown)
    );
    assert_eq!(
        block_on(plain.revoke(bare)).unwrap().effective,
        Revocation::Immediate
    );
    let session = block_on(plain.issue(Login::new("alice"))).unwrap();
    let session = session.credential().reveal();
    assert_eq!(
        cause(block_on(auth.refresh(session))),
        Some(Rejection::Malformed)
    );
    let dressed = format!("rt_{session}");
    assert_eq!(
        cause(block_on(auth.refresh(&dressed))),
        Some(Rejection::Unknown)
    );
    let _ = block_on(auth.revoke(&dressed)).unwrap();
    assert_eq!(block_on(plain.verify(session)).unwrap().subject(), "alice");

    // A service with the same keys verifies access tokens but cannot refresh them.
    let verifier = tokens(&key())
        .max_lifetime(seconds(ABSOLUTE))
        .clock(clock.clone());
    let verifier: TokenAuthenticator = verifier.build().unwrap();
    assert_eq!(verifier.verify_now(access).unwrap().subject(), "alice");
    clock.advance(seconds(ACCESS - 1));
    let carried = block_on(verifier.refresh(access)).unwrap();
    assert_eq!(carried.expires_at(), issued.expires_at());
    clock.advance(seconds(1));
    assert_eq!(
        cause(block_on(verifier.refresh(carried.credential().reveal()))),
        Some(Rejection::Expired)
    );
    // Also long after the login.
    clock.advance(seconds(5 * 86_400));
    let later = refresh_issued(&auth, &issued).unwrap();
    assert!(verifier.verify_now(later.credential().reveal()).is_ok());
    // But not for another audience or another issuer.
    let other = TokenAuthenticator::builder(key())
        .issuer("https://auth.example")
        .audience("billing")
        .lifetime(seconds(ACCESS))
        .clock(clock.clone())
        .build()
        .unwrap();
    assert_eq!(
        cause(other.verify_now(later.credential().reveal())),
        Some(Rejection::WrongAudience)
    );
}

#[test]
fn tabs_and_lost_responses_are_honest_and_reuse_is_theft() {
    let (auth, clock) = hybrid();
    let first = login(&auth, "alice");
    clock.advance(seconds(ACCESS));
    let second = refresh_issued(&auth, &first).unwrap();
    // The other tabs get the same successor, whichever of the two credentials they hold, and
    // nothing is written.
    for presented in [&first, &second, &first] {
        let again = refresh_issued(&auth, presented).unwrap();
        assert_eq!(again.outcome(), Outcome::Replayed);
        assert_eq!(refresh(&again), refresh(&second));
        assert!(auth.verify_now(access(&again)).is_ok());
    }
    // Using an access token is not a use of the refresh credential: the first one stays acceptable.
    assert!(block_on(auth.verify(access(&second))).is_ok());
    clock.advance(seconds(29));
    assert_eq!(
        refresh_issued(&auth, &first).unwrap().outcome(),
        Outcome::Replayed
    );
    // This was late, so the grace starts again, but not the overlap.
    clock.advance(seconds(19));
    assert_eq!(
        refresh_issued(&auth, &first).unwrap().outcome(),
        Outcome::Replayed
    );
    clock.advance(seconds(20));
    // A client that was offline.
    let orphaned = refresh_issued(&auth, &first).unwrap();
    assert_eq!(orphaned.outcome(), Outcome::Orphaned);
    // The lost one is replaced, as another holder of the first credential may have got it.
    assert_ne!(refresh(&orphaned), refresh(&second));
    let again = refresh_issued(&auth, &first).unwrap();
    assert_eq!(again.outcome(), Outcome::Replayed);
    assert_eq!(refresh(&again), refresh(&orphaned));
    clock.advance(seconds(10));
    // Once the successor was refreshed, the first credential counts as stolen.
    let third = refresh_issued(&auth, &orphaned).unwrap();
    assert_eq!(third.outcome(), Outcome::Rotated);
    clock.advance(seconds(10));
    let theft = refresh_issued(&auth, &first).unwrap_err();
    assert_eq!(theft.rejection(), Some(Rejection::Reused));
    assert_eq!(theft.theft().unwrap().subject(), "alice");
    assert_eq!(theft.theft().unwrap().login(), first.identity().id());
    for ended in [&first, &second, &orphaned, &third] {
        assert_eq!(
            cause(refresh_issued(&auth, ended)),
            Some(Rejection::Unknown)
        );
    }
}

/// A thief has copied the refresh credential, and refreshes as often as the client. The first of the two is
/// flagged at its next refresh. Rejects a service in which both take turns for ever.
#[test]
fn a_thief_that_takes_turns_is_detected() {
    for thief_is_first in [true, false] {
        for turns in [1, 31, 600, ACCESS + 1] {
            let (auth, clock) = hybrid();
            let stolen = login(&auth, "alice");
            let (mut client, mut thief) =
                (refresh(&stolen).to_owned(), refresh(&stolen).to_owned());
            let mut told = Vec::new();
            for turn in 0..6 {
                clock.advance(seconds(turns));
                let is_thief = (turn % 2 == 0) == thief_is_first;
                let held = if is_thief { &mut thief } else { &mut client };
                match block_on(auth.refresh(held)) {
                    Ok(issued) => {
                        *held = refresh(&issued).to_owned();
                        told.push(issued.outcome());
                    }
                    Err(error) => {
                        assert_eq!(error.rejection(), Some(Rejection::Reused));
                        break;
                    }
                }
            }
            let expected: &[Outcome] = match turns {
                // Within the overlap, they look like two tabs.
                1 => continue,
                _ => &[Outcome::Rotated, Outcome::Orphaned],
            };
            assert_eq!(told, expected, "{thief_is_first}, {turns} s");
            assert_eq!(
                cause(block_on(auth.refresh(&client))),
                Some(Rejection::Unknown)
            );
        }
    }
}

/// Any number of answers may be lost one after another: none of them counts as stolen.
#[test]
fn a_client_that_loses_each_answer_stays_logged_in() {
    let (auth, clock) = hybrid();
    let mut held = login(&auth, "alice");
    for late in [5, 15, 31, 60, 3 * ACCESS] {
        for _ in 0..5 {
            clock.advance(seconds(late));
            let _lost = refresh_issued(&auth, &held).unwrap();
        }
        clock.advance(seconds(late));
        held = refresh_issued(&auth, &held).unwrap();
        clock.advance(seconds(ACCESS));
        held = refresh_issued(&auth, &held).unwrap();
        assert_eq!(held.outcome(), Outcome::Rotated, "{late} s");
    }
}

/// An answer was lost. Two tabs refresh at the end of the grace, one just before it and one after it, and the
/// answer to the second one is lost too. Rejects a grace that counts from the rotation alone.
#[test]
fn tabs_at_the_end_of_the_grace_get_one_successor() {
    for before in 11..30 {
        let (auth, clock) = hybrid();
        let first = login(&auth, "alice");
        clock.advance(seconds(ACCESS));
        let _lost = refresh_issued(&auth, &first).unwrap();
        clock.advance(seconds(before));
        let one = refresh_issued(&auth, &first).unwrap();
        clock.advance(seconds(19));
        let other = refresh_issued(&auth, &first).unwrap();
        assert_eq!(refresh(&one), refresh(&other), "{before} s");
        // The grace does not become an overlap: the successor is rotated at once.
        let next = refresh_issued(&auth, &one).unwrap();
        assert_eq!(next.outcome(), Outcome::Rotated, "{before} s");
    }
}

#[test]
fn reject_orphaned_ends_the_login() {
    let clock = ManualClock::default();
    let strict = sessions(memory(), &clock).reject_orphaned();
    let auth: Hybrid = HybridAuthenticator::new(tokens(&key()), strict).unwrap();
    let first = login(&auth, "alice");
    clock.advance(seconds(ACCESS));
    let second = refresh_issued(&auth, &first).unwrap();
    clock.advance(seconds(30));
    assert_eq!(
        cause(refresh_issued(&auth, &first)),
        Some(Rejection::Reused)
    );
    assert_eq!(
        cause(refresh_issued(&auth, &second)),
        Some(Rejection::Unknown)
    );
}

/// With overlap and grace of zero, one refresh succeeds.
#[test]
fn without_a_grace_one_refresh_succeeds() {
    let clock = ManualClock::default();
    let closed = sessions(memory(), &clock)
        .overlap(seconds(0))
        .grace(seconds(0))
        .reject_orphaned();
    let auth: Hybrid = HybridAuthenticator::new(tokens(&key()), closed).unwrap();
    let first = login(&auth, "alice");
    assert_eq!(
        refresh_issued(&auth, &first).unwrap().outcome(),
        Outcome::Rotated
    );
    assert_eq!(
        cause(refresh_issued(&auth, &first)),
        Some(Rejection::Reused)
    );
}

/// A replaced key is needed for the lifetime of an access token, not for that of a login.
#[test]
fn a_removed_key_ends_its_tokens() {
    let clock = ManualClock::default();
    let now = statewise::clock::Clock::now(&clock).unwrap();
    let next = Key::hs256(b"the key that comes after it, at noon").unwrap();
    let noon = time::OffsetDateTime::from(now) + seconds(3600);
    let ring = Keyring::new(key()).then(next, noon);
    let access = TokenAuthenticator::builder(ring)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(ACCESS));
    let auth: Hybrid = HybridAuthenticator::new(access, sessions(memory(), &clock)).unwrap();
    let state = |at| auth.keyring().state(key().kid(), at);
    assert_eq!(state(noon + seconds(ACCESS)), Some(KeyState::VerifyOnly));
    assert_eq!(state(noon + seconds(2 * ACCESS)), Some(KeyState::Retired));
}

#[test]
fn a_login_expires_without_a_refresh_and_at_its_deadline() {
    let (auth, clock) = hybrid();
    let idle = login(&auth, "alice");
    let mut used = login(&auth, "alice");
    clock.advance(seconds(IDLE - 1));
    used = refresh_issued(&auth, &used).unwrap();
    clock.advance(seconds(1));
    assert_eq!(
        cause(refresh_issued(&auth, &idle)),
        Some(Rejection::Unknown)
    );
    for _ in 0..3 {
        clock.advance(seconds(IDLE - 2));
        used = refresh_issued(&auth, &used).unwrap();
    }
    // The last access token does not outlive the login.
    let left = used.identity().deadline() - used.identity().issued_at();
    clock.advance(seconds(left.whole_seconds() as u64 - 5));
    used = refresh_issued(&auth, &used).unwrap();
    assert_eq!(used.expires_at(), used.identity().deadline());
    assert!(auth.verify_now(access(&used)).is_ok());
    clock.advance(seconds(5));
    assert_eq!(
        cause(auth.verify_now(access(&used))),
        Some(Rejection::Expired)
    );
    assert_eq!(
        cause(refresh_issued(&auth, &used)),
        Some(Rejection::Unknown)
    );
}

#[test]
fn without_a_log_access_tokens_stay_valid_until_they_expire() {
    for by_access_token in [true, false] {
        let (auth, clock) = hybrid();
        let issued = login(&auth, "alice");
        let presented = if by_access_token {
            access(&issued)
        } else {
            refresh(&issued)
        };
        let answer = block_on(auth.revoke(presented)).unwrap();
        assert_eq!(answer.effective, Revocation::Within(seconds(ACCESS)));
        assert_eq!(
            cause(refresh_issued(&auth, &issued)),
            Some(Rejection::Unknown)
        );
        assert!(auth.verify_now(access(&issued)).is_ok());
        // A caller that asks the store is informed at once.
        let sensitive = Presented::new(access(&issued)).authoritative();
        assert_eq!(
            cause(block_on(auth.verify_with(sensitive))),
            Some(Rejection::Unknown)
        );
        clock.advance(seconds(ACCESS));
        assert!(auth.verify_now(access(&issued)).is_err());
        // A second logout changes nothing, and its answer never claims less than is true.
        assert_eq!(
            block_on(auth.revoke(presented)).unwrap().effective,
            answer.effective
        );
    }
}

#[test]
fn a_forged_credential_ends_nothing() {
    let (auth, _) = hybrid();
    let issued = login(&auth, "alice");
    let mut forged = refresh(&issued).to_owned();
    let last = if forged.ends_with('A') { "B" } else { "A" };
    forged.replace_range(66.., last);
    let _ = block_on(auth.revoke(&forged)).unwrap();
    assert_eq!(
        cause(block_on(auth.refresh(&forged))),
        Some(Rejection::Unknown)
    );
    let mut forged = access(&issued).to_owned();
    let at = forged.len() - 10;
    let other = if &forged[at..=at] == "A" { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    assert_eq!(
        cause(block_on(auth.revoke(&forged))),
        Some(Rejection::BadSignature)
    );
    for garbage in [
        "",
        "rt_",
        ".",
        "..",
        "rt_!",
        &"A".repeat(64),
        &"x".repeat(100_000),
    ] {
        for answer in [
            block_on(auth.revoke(garbage)).err(),
            block_on(auth.refresh(garbage)).err(),
        ] {
            let cause = answer.unwrap().rejection();
            assert!(matches!(
                cause,
                Some(Rejection::Malformed | Rejection::UnacceptableHeader)
            ));
        }
    }
    assert!(refresh_issued(&auth, &issued).is_ok());
}

#[test]
fn a_login_replaces_the_credential_of_the_request() {
    for by_access_token in [true, false] {
        let (auth, _) = hybrid();
        let old = login(&auth, "alice");
        let presented = if by_access_token {
            access(&old)
        } else {
            refresh(&old)
        };
        let new = block_on(auth.issue(Login::new("bob").replaces(presented))).unwrap();
        assert_eq!(cause(refresh_issued(&auth, &old)), Some(Rejection::Unknown));
        assert!(refresh_issued(&auth, &new).is_ok());
    }
    let (auth, _) = hybrid();
    for garbage in ["", "no credential", "a.b.c", "rt_"] {
        assert!(block_on(auth.issue(Login::new("alice").replaces(garbage))).is_ok());
    }
}

#[test]
fn an_authoritative_verification_reads_the_row() {
    let (auth, clock) = hybrid::<String>();
    let login = Login::new("alice").role("admin").data("old".to_owned());
    let issued = block_on(auth.issue(login)).unwrap();
    let asked = || block_on(auth.verify_with(Presented::new(access(&issued)).authoritative()));
    let caller = asked().unwrap();
    assert_eq!(caller.expires_at(), issued.expires_at());
    assert_eq!(caller.deadline(), issued.identity().deadline());

    let updated = block_on(auth.update(access(&issued), &mut |login| {
        login.roles = vec!["user".to_owned()];
        login.data = "new".to_owned();
        Ok(())
    }));
    assert!(updated.unwrap().refresh_credential().is_none());
    // The token has the data of its signing, the row has the current data.
    assert!(auth.verify_now(access(&issued)).unwrap().has_role("admin"));
    let now = asked().unwrap();
    assert!(!now.has_role("admin") && now.has_role("user"));
    assert_eq!(now.data(), "new");
    assert_eq!(now.version(), 1);
    clock.advance(seconds(ACCESS));
    let refreshed = block_on(auth.refresh(refresh(&issued))).unwrap();
    let caller = auth.verify_now(access(&refreshed)).unwrap();
    assert!(!caller.has_role("admin") && caller.has_role("user"));
    assert_eq!(caller.data(), "new");
    assert_eq!(refreshed.identity().data(), "new");
}

#[test]
fn devices_are_listed_and_ended() {
    let (auth, _) = hybrid();
    let phone = login(&auth, "alice");
    let laptop = login(&auth, "alice");
    let tablet = login(&auth, "alice");
    let bob = login(&auth, "bob");
    let id = phone.identity().id();
    assert_eq!(block_on(auth.revoke_id("bob", id)).unwrap().count, 0);
    assert_eq!(block_on(auth.revoke_id("alice", id)).unwrap().count, 1);
    assert_eq!(
        cause(refresh_issued(&auth, &phone)),
        Some(Rejection::Unknown)
    );
    let removed = block_on(auth.revoke_others(access(&laptop))).unwrap();
    assert_eq!(
        (removed.count, removed.effective),
        (1, Revocation::Within(seconds(ACCESS)))
    );
    assert_eq!(
        cause(refresh_issued(&auth, &tablet)),
        Some(Rejection::Unknown)
    );
    assert_eq!(
        block_on(auth.revoke_others(refresh(&laptop)))
            .unwrap()
            .count,
        0
    );
    // An ended credential cannot end another login.
    assert!(block_on(auth.revoke_others(access(&tablet))).is_err());
    assert!(block_on(auth.revoke_others(refresh(&tablet))).is_err());
    assert!(refresh_issued(&auth, &laptop).is_ok());
    assert!(refresh_issued(&auth, &bob).is_ok());
    let _ = block_on(auth.revoke_all("alice")).unwrap();
    assert_eq!(
        cause(refresh_issued(&auth, &laptop)),
        Some(Rejection::Unknown)
    );
    assert!(refresh_issued(&auth, &bob).is_ok());
}

#[test]
fn a_store_that_fails_is_unavailable_and_never_asked_to_verify() {
    let clock = ManualClock::default();
    let store = FaultyStore::new(memory());
    let auth = HybridAuthenticator::new(tokens::<()>(&key()), sessions(store, &clock)).unwrap();
    let issued = login(&auth, "alice");
    auth.store().reset();
    assert!(block_on(auth.verify(access(&issued))).is_ok());
    assert!(auth.verify_now(access(&issued)).is_ok());
    assert_eq!(auth.store().calls(), 0);

    let fails = |method| auth.store().fail_nth_of(method, 1, Fault::Fails);
    fails(Method::Load);
    let presented = Presented::new(access(&issued)).authoritative();
    assert!(
        block_on(auth.verify_with(presented))
            .unwrap_err()
            .is_unavailable()
    );
    fails(Method::Load);
    assert!(
        block_on(auth.revoke(refresh(&issued)))
            .unwrap_err()
            .is_unavailable()
    );
    for credential in [access(&issued), refresh(&issued)] {
        fails(Method::Remove);
        assert!(
            block_on(auth.revoke(credential))
                .unwrap_err()
                .is_unavailable()
        );
    }
    fails(Method::RemoveSubject);
    assert!(
        block_on(auth.revoke_all("alice"))
            .unwrap_err()
            .is_unavailable()
    );
    fails(Method::Create);
    assert!(
        block_on(auth.issue(Login::new("bob")))
            .unwrap_err()
            .is_unavailable()
    );
    fails(Method::Rotate);
    clock.advance(seconds(ACCESS));
    assert!(refresh_issued(&auth, &issued).unwrap_err().is_unavailable());
    assert!(!auth.store().has_plans());

    // The answer to a rotation is lost: the retry gets the same answer.
    auth.store()
        .fail_nth_of(Method::Rotate, 1, Fault::LosesAnswer);
    assert!(refresh_issued(&auth, &issued).unwrap_err().is_unavailable());
    auth.store().reset();
    let retried = refresh_issued(&auth, &issued).unwrap();
    assert_eq!(retried.outcome(), Outcome::Replayed);
    assert_eq!(
        auth.store().calls(),
        1,
        "a refresh is one call of the store"
    );
    clock.advance(seconds(10));
    assert_eq!(
        refresh_issued(&auth, &retried).unwrap().outcome(),
        Outcome::Rotated
    );
    assert_eq!(auth.store().calls(), 2);
}

#[test]
fn a_login_with_too_long_a_token_is_not_stored() {
    let clock = ManualClock::default();
    let auth: Hybrid = HybridAuthenticator::new(
        tokens(&key()).max_length(400),
        sessions(memory(), &clock).limit(Limit::EvictOldest(1)),
    )
    .unwrap();
    let old = login(&auth, "alice");
    let long = Login::new("alice")
        .roles((0..40).map(|n| format!("role {n}")))
        .replaces(refresh(&old));
    let refused = block_on(auth.issue(long)).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
    assert!(
        refresh_issued(&auth, &old).is_ok(),
        "it ended for a login that never was"
    );
}

#[test]
fn an_impossible_configuration_is_misuse() {
    let clock = ManualClock::default();
    let build = |tokens: TokenBuilder, sessions| HybridAuthenticator::new(tokens, sessions);
    let fine = || sessions::<_, ()>(memory(), &clock);
    let refused = [
        build(tokens_for(IDLE), fine()),
        build(tokens(&key()).max_lifetime(seconds(ABSOLUTE - 1)), fine()),
        build(
            tokens(&key()).interop(
                Interop::from_issuer("https://other.example", seconds(60)).audience("api"),
            ),
            fine(),
        ),
        build(tokens(&key()), fine().rotate_after(seconds(60))),
        build(tokens(&key()), fine().grace(seconds(1))),
        build(tokens(&key()).max_length(1), fine()),
        build(
            tokens(&key()).revocations(
                &RevocationView::builder(MemoryLog::new().unwrap())
                    .max_lifetime(seconds(ABSOLUTE - 1))
                    .build()
                    .unwrap(),
            ),
            fine(),
        ),
    ];
    for (case, refused) in refused.into_iter().enumerate() {
        assert!(refused.unwrap_err().is_misuse(), "case {case}");
    }
}

/// The longest login that is accepted, and the longest update, can be refreshed.
#[test]
fn every_issued_login_can_be_refreshed() {
    let (auth, clock) = hybrid::<String>();
    let issue = |length| block_on(auth.issue(Login::new("alice").data("x".repeat(length))));
    let longest = (0..4096).rev().find(|length| issue(*length).is_ok());
    let issued = issue(longest.unwrap()).unwrap();
    clock.advance(seconds(ACCESS));
    let refreshed = block_on(auth.refresh(refresh(&issued))).unwrap();
    for large in [true, false] {
        let answer = block_on(auth.update(access(&refreshed), &mut |login| {
            match large {
                true => login.data = "x".repeat(4096),
                false => login.roles = vec!["r".repeat(3000)],
            }
            Ok(())
        }));
        assert_eq!(answer.unwrap_err().refusal(), Some(Refusal::TooLarge));
    }
    let shorter = block_on(auth.update(access(&refreshed), &mut |login| {
        login.data = "short".to_owned();
        Ok(())
    }));
    assert_eq!(shorter.unwrap().identity().data(), "short");
    clock.advance(seconds(ACCESS));
    let refreshed = block_on(auth.refresh(refresh(&refreshed))).unwrap();
    assert_eq!(refreshed.identity().data(), "short");
}

/// A client refreshes as late as it may, after a faster tab: never too late.
#[test]
fn no_login_expires_while_its_access_token_is_valid() {
    let clock = ManualClock::default();
    let build = |idle| {
        let sessions = SessionAuthenticator::builder(memory())
            .idle(seconds(idle))
            .absolute(seconds(ABSOLUTE))
            .clock(clock.clone());
        HybridAuthenticator::new(tokens(&key()), sessions)
    };
    assert!(build(ACCESS + 10).unwrap_err().is_misuse());
    let auth = build(ACCESS + 11).unwrap();
    let mut current = login(&auth, "alice");
    for _ in 0..3 {
        current = refresh_issued(&auth, &current).unwrap();
        clock.advance(seconds(9));
        current = refresh_issued(&auth, &current).unwrap();
        assert_eq!(current.outcome(), Outcome::Replayed);
        clock.advance(seconds(ACCESS));
    }
}

#[test]
fn the_hybrid_is_an_authenticator() {
    let (auth, clock) = hybrid();
    let auth: Arc<dyn DynAuthenticator<()>> = Arc::new(auth);
    let issued = login(&auth, "alice");
    assert!(block_on(auth.verify(access(&issued))).is_ok());
    clock.advance(seconds(ACCESS));
    let refreshed = block_on(auth.refresh(issued.refreshable().reveal())).unwrap();
    assert!(block_on(auth.verify(access(&refreshed))).is_ok());

    let (auth, _) = hybrid::<()>();
    let issued = login(&auth, "alice");
    let mut buffer = TokenBuffer::new();
    let caller = auth.verify_borrowed(access(&issued), &mut buffer).unwrap();
    assert_eq!(caller.subject(), "alice");
    let now = issued.identity().issued_at();
    assert_eq!(
        auth.keyring().state(key().kid(), now),
        Some(KeyState::Active)
    );
    let shown = format!("{auth:?} {issued:?}");
    for secret in [access(&issued), refresh(&issued), &key().reveal()] {
        assert!(!shown.contains(secret));
    }
}

/// Counts events that deserve an alarm.
#[derive(Debug, Default)]
struct Alarm {
    told: std::sync::Mutex<Vec<&'static str>>,
}

impl Observer for Alarm {
    fn observe(&self, event: &Event<'_>) {
        self.told.lock().unwrap().push(match event {
            Event::Issued { .. } => "issued",
            Event::Rotated { .. } => "rotated",
            Event::Replayed { .. } => "replayed",
            Event::Orphaned { .. } => "orphaned",
            Event::Theft { .. } => "theft",
            _ => "other",
        });
    }
}

#[test]
fn an_observer_is_notified_of_orphans_and_thefts() {
    let (auth, clock) = hybrid();
    let alarm = Arc::new(Alarm::default());
    let auth = Observed::new(auth, alarm.clone());
    let first = login(&auth, "alice");
    clock.advance(seconds(ACCESS));
    let second = refresh_issued(&auth, &first).unwrap();
    let _ = refresh_issued(&auth, &first).unwrap();
    clock.advance(seconds(600));
    let orphaned = refresh_issued(&auth, &first).unwrap();
    clock.advance(seconds(600));
    let _ = refresh_issued(&auth, &orphaned).unwrap();
    assert!(refresh_issued(&auth, &second).is_err());
    let told = alarm.told.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            "issued", "rotated", "replayed", "orphaned", "rotated", "theft"
        ]
    );
}

/// A service without the store accepts an access token until it expires, however old its login is. With a
/// maximum lifetime of its own, it accepts none of an older login.
#[test]
fn a_verifier_needs_no_maximum_lifetime() {
    let (auth, clock): (Hybrid, _) = hybrid();
    let verifier = |max: Option<u64>| {
        let tokens = tokens_for(ACCESS).clock(clock.clone());
        let tokens = match max {
            Some(max) => tokens.max_lifetime(seconds(max)),
            None => tokens,
        };
        tokens.build().unwrap()
    };
    let (plain, long, short) = (
        verifier(None),
        verifier(Some(ABSOLUTE)),
        verifier(Some(ACCESS)),
    );
    let mut held = block_on(auth.issue(Login::new("alice"))).unwrap();
    for _ in 0..4 {
        clock.advance(seconds(IDLE - 60));
        held = block_on(auth.refresh(held.refreshable().reveal())).unwrap();
    }
    let token = held.credential().reveal();
    assert!(block_on(plain.verify(token)).is_ok());
    assert!(block_on(long.verify(token)).is_ok());
    let expired = block_on(short.verify(token)).unwrap_err();
    assert_eq!(expired.rejection(), Some(Rejection::Expired));
    clock.advance(seconds(ACCESS));
    assert!(block_on(plain.verify(token)).is_err());
}
