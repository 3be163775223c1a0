//! Guarantees for a service with two strategies on the same routes.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::observer::{Act, Event, Observer};
use statewise::revocation::MemoryLog;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{Fault, FaultyStore, ManualClock, Method, block_on};
use statewise::token::TokenAuthenticator;
use statewise::{
    Affected, Authenticator, Begun, Edit, EditFn, Error, Identity, Issued, Login, Logout, Observed,
    Place, Presented, Refusal, Rejection, Result, Revocation, Upkeep,
};

use crate::migrating::{
    ABSOLUTE, Any, NEW_KEY, OLD_KEY, Plain, access, alice, cause, refreshable, seconds,
    session_builder, token_builder, view,
};

type Store = Arc<FaultyStore<MemoryStore>>;
type Sessions = Arc<SessionAuthenticator<Store, String>>;
type Hybrid = Arc<HybridAuthenticator<Store, String>>;
type Tokens = Arc<TokenAuthenticator<String>>;

fn store() -> Store {
    Arc::new(FaultyStore::new(MemoryStore::with_capacity(1_000).unwrap()))
}

fn sessions(clock: &ManualClock) -> Sessions {
    Arc::new(session_builder(store(), clock).build().unwrap())
}

fn hybrid(clock: &ManualClock) -> Hybrid {
    let (tokens, sessions) = (
        token_builder(NEW_KEY, clock),
        session_builder(store(), clock),
    );
    Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap())
}

fn tokens(key: &[u8; 32], clock: &ManualClock) -> Tokens {
    Arc::new(token_builder(key, clock).build().unwrap())
}

fn either<A, B>(first: A, second: B) -> Either<A, B>
where
    A: Authenticator<Data = String>,
    B: Authenticator<Data = String>,
{
    Either::builder(first, second).build().unwrap()
}

fn verify_in(
    auth: &impl Authenticator<Data = String>,
    place: Place,
    issued: &Issued<String>,
) -> Result<()> {
    let presented = Presented::new(access(issued)).with_place(place);
    let caller = block_on(auth.verify_with(presented))?;
    assert_eq!(caller.subject(), "alice");
    Ok(())
}

/// Returns the error if the condition does not hold.
fn check(holds: bool, what: impl Into<String>) -> std::result::Result<(), String> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// Each act reaches the strategy of the credential and no other one, and the answer is the answer
/// of that strategy: a rejection with its cause, an outage as an outage.
fn acts_go_by_form<C: Authenticator<Data = String>>(
    compose: impl Fn(Sessions, Hybrid) -> C,
) -> std::result::Result<(), String> {
    for is_first in [true, false] {
        let clock = ManualClock::default();
        let (sessions, hybrid) = (sessions(&clock), hybrid(&clock));
        let auth = compose(Arc::clone(&sessions), Arc::clone(&hybrid));
        let (own, other) = match is_first {
            true => (sessions.store(), hybrid.store()),
            false => (hybrid.store(), sessions.store()),
        };
        let issue = || match is_first {
            true => block_on(sessions.issue(alice())).unwrap(),
            false => block_on(hybrid.issue(alice())).unwrap(),
        };
        let verify = |issued: &Issued<String>| {
            block_on(auth.verify_with(Presented::new(access(issued)).authoritative()))
        };
        let fail = || own.fail_nth(1, Fault::Fails);

        let issued = issue();
        let strategy = if is_first { "first" } else { "second" };
        let is_alice = |caller: &Identity<String>| caller.subject() == "alice";
        let served = verify(&issued).is_ok_and(|caller| is_alice(&caller));
        check(served, format!("the {strategy} is not verified"))?;
        fail();
        let outage = verify(&issued).is_err_and(|error| error.is_unavailable());
        check(
            outage,
            format!("verify: an outage of the {strategy} is hidden"),
        )?;

        fail();
        let outage = block_on(auth.refresh(refreshable(&issued)));
        let outage = outage.is_err_and(|error| error.is_unavailable());
        check(
            outage,
            format!("refresh: an outage of the {strategy} is hidden"),
        )?;
        let refreshed = block_on(auth.refresh(refreshable(&issued)));
        let refreshed = refreshed.map_err(|error| format!("refresh: {error}"))?;
        check(verify(&refreshed).is_ok(), "the refreshed credential")?;

        fail();
        let outage = block_on(auth.revoke(refreshable(&refreshed)));
        let outage = outage.is_err_and(|error| error.is_unavailable());
        check(
            outage,
            format!("revoke: an outage of the {strategy} is hidden"),
        )?;
        let revoked = block_on(auth.revoke(refreshable(&refreshed)));
        let _ = revoked.map_err(|error| format!("revoke: {error}"))?;
        for ended in [
            verify(&refreshed).map(drop),
            block_on(auth.refresh(refreshable(&refreshed))).map(drop),
        ] {
            let cause = ended.err().and_then(|error| error.rejection());
            let is_own = cause == Some(Rejection::Unknown);
            check(is_own, format!("cause of the {strategy}: {cause:?}"))?;
        }
        check(other.calls() == 0, "the other strategy's store was called")?;
    }
    Ok(())
}

#[test]
fn either_01_acts_go_by_form() {
    acts_go_by_form(either).unwrap();
    acts_go_by_form(|first, second| either(second, first)).unwrap();
    // Type-erased, and behind an observer.
    let composed = acts_go_by_form(|first, second| {
        let (first, second): (Any, Any) = (first, second);
        let auth: Any = Arc::new(either(first, second));
        Observed::new(auth, Arc::new(()))
    });
    composed.unwrap();
}

/// The law rejects a composition that tries one strategy after the other.
#[test]
fn either_01_rejects_trying_one_after_the_other() {
    let broken = acts_go_by_form(OneAfterTheOther);
    assert!(broken.unwrap_err().contains("an outage"));
}

/// Asks the second strategy for whatever the first one denies.
#[derive(Debug)]
struct OneAfterTheOther(Sessions, Hybrid);

impl Authenticator for OneAfterTheOther {
    type Data = String;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.0.is_well_formed(credential) || self.1.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        let mut samples = self.0.sample_credentials();
        samples.extend(self.1.sample_credentials());
        samples
    }

    async fn issue(&self, login: Login<String>) -> Result<Issued<String>> {
        self.0.issue(login).await
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<String>> {
        match self.0.verify_with(presented).await {
            Err(_) => self.1.verify_with(presented).await,
            verified => verified,
        }
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<String>> {
        match self.0.refresh_with(presented).await {
            Err(_) => self.1.refresh_with(presented).await,
            refreshed => refreshed,
        }
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        match self.0.revoke(credential).await {
            Err(_) => self.1.revoke(credential).await,
            revoked => revoked,
        }
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.0.revoke_all(subject).await
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, String>) -> Result<Issued<String>> {
        self.0.update(credential, edit).await
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, String>) -> Result<Affected> {
        self.0.update_all(subject, edit).await
    }

    fn upkeep(&self) -> Upkeep {
        self.0.upkeep()
    }
}

#[test]
fn either_01_refuses_overlapping_forms() {
    let clock = ManualClock::default();
    let sessions = || -> Any { sessions(&clock) };
    let hybrid = || -> Any { hybrid(&clock) };
    let tokens = |key| -> Any { tokens(key, &clock) };
    let nested = || -> Any { Arc::new(either(sessions(), tokens(NEW_KEY))) };
    let refused =
        |first: Any, second: Any| -> Error { Either::builder(first, second).build().unwrap_err() };
    for (case, pair) in [
        [sessions(), sessions()],
        [hybrid(), hybrid()],
        [tokens(OLD_KEY), tokens(OLD_KEY)],
        [tokens(NEW_KEY), hybrid()],
        [nested(), sessions()],
        [nested(), tokens(NEW_KEY)],
        [Arc::new(Plain(sessions(), Vec::new())), tokens(OLD_KEY)],
    ]
    .into_iter()
    .enumerate()
    {
        let [first, second] = pair;
        let error = refused(Arc::clone(&first), Arc::clone(&second));
        assert!(error.is_misuse(), "case {case}");
        assert!(refused(second, first).is_misuse(), "case {case}, swapped");
    }
    // The message says what to change.
    let message = refused(tokens(OLD_KEY), tokens(OLD_KEY)).to_string();
    assert!(message.contains("a key of their own"), "{message}");
    let message = refused(Arc::new(Plain(sessions(), Vec::new())), hybrid()).to_string();
    assert!(message.contains("implement `Authenticator::sample_credentials`"));
}

#[test]
fn a_credential_is_accepted_only_in_its_place() {
    let clock = ManualClock::default();
    let (sessions, tokens) = (sessions(&clock), tokens(OLD_KEY, &clock));
    let session = block_on(sessions.issue(alice())).unwrap();
    let token = block_on(tokens.issue(alice())).unwrap();
    let auth = either(Arc::clone(&sessions), Arc::clone(&tokens));
    verify_in(&auth, Place::Cookie, &session).unwrap();
    verify_in(&auth, Place::Bearer, &token).unwrap();
    sessions.store().reset();
    for (place, issued) in [(Place::Bearer, &session), (Place::Cookie, &token)] {
        let presented = Presented::new(access(issued)).with_place(place);
        let at_once = auth.try_verify_now(presented).unwrap().map(drop);
        for answer in [
            verify_in(&auth, place, issued),
            block_on(auth.refresh_with(presented)).map(drop),
            at_once,
        ] {
            assert_eq!(cause(answer), Some(Rejection::WrongPlace));
        }
    }
    assert_eq!(sessions.store().calls(), 0);
    // Without a place, and where both places are allowed.
    let anywhere = Either::builder(sessions, tokens).any_place().build();
    let anywhere = anywhere.unwrap();
    for issued in [&session, &token] {
        assert!(block_on(auth.verify(access(issued))).is_ok());
        for place in [Place::Cookie, Place::Bearer] {
            verify_in(&anywhere, place, issued).unwrap();
        }
    }
    for garbage in ["", "a", "a.b.c"] {
        assert!(!auth.is_well_formed(garbage));
        assert_eq!(
            cause(block_on(auth.verify(garbage))),
            Some(Rejection::Malformed)
        );
        assert_eq!(
            cause(block_on(auth.revoke(garbage))),
            Some(Rejection::Malformed)
        );
    }
}

#[test]
fn a_login_is_issued_for_its_place() {
    let clock = ManualClock::default();
    let (sessions, tokens) = (sessions(&clock), tokens(OLD_KEY, &clock));
    let auth = either(Arc::clone(&sessions), Arc::clone(&tokens));
    let anywhere = Either::builder(Arc::clone(&sessions), tokens).any_place();
    let anywhere = anywhere.build().unwrap();
    for (auth, login, is_session) in [
        (&auth, alice(), true),
        (&auth, alice().place(Place::Cookie), true),
        (&auth, alice().place(Place::Bearer), false),
        (&anywhere, alice().place(Place::Bearer), true),
    ] {
        let issued = block_on(auth.issue(login)).unwrap();
        assert_eq!(sessions.is_well_formed(access(&issued)), is_session);
    }
}

/// The outer composition decides by the place, and the inner one by the form.
#[test]
fn nesting_gives_three_strategies() {
    let clock = ManualClock::default();
    let sessions = sessions(&clock);
    let (ours, partners) = (tokens(OLD_KEY, &clock), tokens(NEW_KEY, &clock));
    let session = block_on(sessions.issue(alice())).unwrap();
    let [our, partner] = [&ours, &partners].map(|tokens| block_on(tokens.issue(alice())).unwrap());
    let auth = either(
        Arc::clone(&sessions),
        either(Arc::clone(&ours), Arc::clone(&partners)),
    );
    verify_in(&auth, Place::Cookie, &session).unwrap();
    for token in [&our, &partner] {
        verify_in(&auth, Place::Bearer, token).unwrap();
        let planted = verify_in(&auth, Place::Cookie, token);
        assert_eq!(cause(planted), Some(Rejection::WrongPlace));
    }
    let issued = block_on(auth.issue(alice().place(Place::Bearer))).unwrap();
    assert!(ours.is_well_formed(access(&issued)));
    // An outer composition for any place leaves the decision to the inner one.
    let auth = Either::builder(either(sessions, ours), partners).any_place();
    let auth = auth.build().unwrap();
    verify_in(&auth, Place::Cookie, &partner).unwrap();
    verify_in(&auth, Place::Bearer, &partner).unwrap();
    let planted = verify_in(&auth, Place::Cookie, &our);
    assert_eq!(cause(planted), Some(Rejection::WrongPlace));
}

/// A login of one strategy ends the login of the other that it replaces, or is not handed out.
#[test]
fn a_login_replaces_a_credential_of_the_other_strategy() {
    let clock = ManualClock::default();
    let (sessions, hybrid) = (sessions(&clock), hybrid(&clock));
    let auth = either(Arc::clone(&sessions), Arc::clone(&hybrid));
    for (from, to, store) in [
        (Place::Cookie, Place::Bearer, sessions.store()),
        (Place::Bearer, Place::Cookie, hybrid.store()),
    ] {
        let before = block_on(auth.issue(alice().place(from))).unwrap();
        let after = || alice().place(to).replaces(refreshable(&before));
        store.fail_nth_of(Method::Remove, 1, Fault::Fails);
        assert!(block_on(auth.issue(after())).unwrap_err().is_unavailable());
        assert!(block_on(auth.refresh(refreshable(&before))).is_ok());
        let live = || {
            let of_sessions = block_on(sessions.sessions("alice", None)).unwrap().sessions;
            let of_hybrid = block_on(hybrid.sessions("alice", None)).unwrap().sessions;
            of_sessions.len() + of_hybrid.len()
        };
        assert_eq!(live(), 1, "a login that was handed to no client");
        let issued = block_on(auth.issue(after())).unwrap();
        assert_eq!(live(), 1);
        verify_in(&auth, to, &issued).unwrap();
        let _ = block_on(auth.revoke_all("alice")).unwrap();
    }
}

#[test]
fn a_logout_everywhere_ends_the_logins_of_both() {
    let clock = ManualClock::default();
    let (sessions, hybrid) = (sessions(&clock), hybrid(&clock));
    let auth = either(Arc::clone(&sessions), Arc::clone(&hybrid));
    let issue = || {
        let places = [Place::Cookie, Place::Bearer];
        places.map(|place| block_on(auth.issue(alice().place(place))).unwrap())
    };
    let all = issue();
    // The later of both answers: an access token lives for its lifetime.
    assert_eq!(
        block_on(auth.revoke_all("alice")).unwrap(),
        Affected::new(Some(2), Revocation::Within(seconds(900)))
    );
    for issued in &all {
        assert!(block_on(auth.refresh(refreshable(issued))).is_err());
    }
    // An outage of one strategy is reported, and keeps no login of the other.
    for (failing, ended) in [(sessions.store(), 1), (hybrid.store(), 0)] {
        let all = issue();
        failing.fail_nth_of(Method::RemoveSubject, 1, Fault::Fails);
        let answer = block_on(auth.revoke_all("alice"));
        assert!(answer.unwrap_err().is_unavailable());
        let after = block_on(auth.refresh(refreshable(&all[ended])));
        assert_eq!(cause(after), Some(Rejection::Unknown));
        let _ = block_on(auth.revoke_all("alice")).unwrap();
    }
}

/// An outage of one strategy is reported, and keeps no role of the other.
#[test]
fn an_update_of_all_reaches_the_logins_of_both() {
    let clock = ManualClock::default();
    let (sessions, hybrid) = (sessions(&clock), hybrid(&clock));
    let auth = either(Arc::clone(&sessions), Arc::clone(&hybrid));
    let demote: &mut (dyn FnMut(&mut Edit<String>) -> Result<()> + Send) = &mut |login| {
        login.roles = vec!["reader".to_owned()];
        Ok(())
    };
    for (failing, changed) in [(sessions.store(), 1), (hybrid.store(), 0)] {
        let places = [Place::Cookie, Place::Bearer];
        let all = places.map(|place| block_on(auth.issue(alice().place(place))).unwrap());
        failing.fail_nth_of(Method::Update, 1, Fault::Fails);
        let failed = block_on(auth.update_all("alice", &mut *demote)).unwrap_err();
        assert!(failed.is_unavailable());
        let refreshed = block_on(auth.refresh(refreshable(&all[changed]))).unwrap();
        assert!(refreshed.identity().roles().eq(["reader"]));
        let affected = block_on(auth.update_all("alice", &mut *demote)).unwrap();
        assert_eq!(
            affected,
            Affected::new(Some(2), Revocation::Within(seconds(900)))
        );
        let _ = block_on(auth.revoke_all("alice")).unwrap();
    }
}

/// BEGIN-02 beside a strategy of the application that notes no beginnings: a login of the other one
/// may take as long as any other login. Rejects a beginning that is older than everything.
#[test]
fn a_login_begins_beside_a_strategy_without_beginnings() {
    let clock = ManualClock::default();
    let silent = || OneAfterTheOther(sessions(&clock), hybrid(&clock));
    let first = either(tokens(OLD_KEY, &clock), silent());
    let second = either(silent(), tokens(OLD_KEY, &clock));
    let begin = || {
        let (first, second) = (block_on(first.begin()), block_on(second.begin()));
        (first.unwrap(), second.unwrap())
    };
    let issue = |begun: (Begun, Begun)| {
        let cookie = alice().place(Place::Cookie).begun(begun.0);
        let bearer = alice().place(Place::Bearer).begun(begun.1);
        [
            block_on(first.issue(cookie)),
            block_on(second.issue(bearer)),
        ]
    };
    let (begun, old) = (begin(), begin());
    clock.advance(seconds(3_599));
    for issued in issue(begun) {
        assert!(issued.is_ok(), "{issued:?}");
    }
    clock.advance(seconds(1));
    for issued in issue(old) {
        assert_eq!(issued.unwrap_err().refusal(), Some(Refusal::Outdated));
    }
}

#[test]
fn it_is_ready_if_both_are() {
    let clock = ManualClock::default();
    let (sessions, hybrid) = (sessions(&clock), hybrid(&clock));
    let auth = either(Arc::clone(&sessions), Arc::clone(&hybrid));
    block_on(auth.ready()).unwrap();
    for store in [sessions.store(), hybrid.store()] {
        store.fail_nth(1, Fault::Fails);
        assert!(block_on(auth.ready()).unwrap_err().is_unavailable());
    }
}

#[test]
fn its_upkeep_is_that_of_both() {
    let clock = ManualClock::default();
    let sessions = sessions(&clock);
    let _ = block_on(sessions.issue(alice())).unwrap();
    // Tokens without a log have no work, so the clock is that of the sessions. It shows an earlier
    // time than that of the system.
    let auth = either(tokens(OLD_KEY, &clock), Arc::clone(&sessions));
    for (rows, pause) in [(1, seconds(ABSOLUTE)), (0, seconds(0))] {
        let _ = block_on(auth.upkeep().tick()).unwrap();
        assert_eq!(sessions.store().inner().len(), rows);
        clock.advance(pause);
    }

    let view = view(MemoryLog::new().unwrap(), &clock);
    let tokens = token_builder(OLD_KEY, &clock).revocations(&view);
    let both = either(sessions, tokens.build().unwrap()).upkeep();
    let printed = format!("{both:?}");
    assert!(
        printed.contains("Sweep") && printed.contains("Follow"),
        "{printed}"
    );
}

/// Records rejections.
#[derive(Debug, Default)]
struct Rejections(Mutex<Vec<(Act, Rejection)>>);

impl Observer for Rejections {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Rejected { act, cause, .. } = event {
            self.0.lock().unwrap().push((*act, *cause));
        }
    }
}

#[test]
fn an_observer_sees_a_credential_in_the_wrong_place() {
    let clock = ManualClock::default();
    let observer = Arc::new(Rejections::default());
    let auth: Any = Arc::new(Observed::new(
        either(sessions(&clock), tokens(OLD_KEY, &clock)),
        Arc::clone(&observer) as Arc<dyn Observer>,
    ));
    let token = block_on(auth.issue(alice().place(Place::Bearer))).unwrap();
    verify_in(&auth, Place::Bearer, &token).unwrap();
    assert!(verify_in(&auth, Place::Cookie, &token).is_err());
    let seen = std::mem::take(&mut *observer.0.lock().unwrap());
    assert_eq!(seen, [(Act::Verify, Rejection::WrongPlace)]);
    assert_eq!(Rejection::WrongPlace.name(), "wrong_place");
}

/// A migration to two strategies upgrades a credential to the strategy of its place.
#[test]
fn a_migration_upgrades_to_the_strategy_of_the_place() {
    let clock = ManualClock::default();
    let new = sessions(&clock);
    for (place, to_session) in [(Place::Cookie, true), (Place::Bearer, false)] {
        let old = tokens(OLD_KEY, &clock);
        let before = block_on(old.issue(alice())).unwrap();
        let new = either(Arc::clone(&new), tokens(NEW_KEY, &clock));
        let auth = Migrating::builder(old, new).clock(clock.clone());
        let auth = auth.build().unwrap();
        let presented = Presented::new(access(&before)).with_place(place);
        let after = block_on(auth.refresh_with(presented)).unwrap();
        let (_, both) = auth.strategies();
        let is_session = both.strategies().0.is_well_formed(access(&after));
        assert_eq!((is_session, auth.progress().upgraded), (to_session, 1));
        verify_in(&auth, place, &after).unwrap();
        let again = block_on(auth.refresh_with(presented)).unwrap();
        assert_eq!(access(&again), access(&after));
        let issued = block_on(auth.issue(alice().place(place))).unwrap();
        assert!(!auth.strategies().0.is_well_formed(access(&issued)));
        verify_in(&auth, place, &issued).unwrap();
    }
}

#[test]
fn a_presented_credential_is_printed_with_its_place_only() {
    let presented = Presented::new("secret").with_place(Place::Cookie);
    assert_eq!(presented.place(), Some(Place::Cookie));
    let printed = format!("{presented:?}");
    assert!(printed.contains("Cookie") && !printed.contains("secret"));
    let parts = alice().place(Place::Bearer).into_parts();
    assert_eq!(parts.place, Some(Place::Bearer));
}
