//! Guarantees for a service that changes its strategy while it runs.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use statewise::authenticator::BoxFuture;
use statewise::clock::Clock as _;
use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::log::RevocationLog;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::{Limit, SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::{
    Fault, FaultyStore, ManualClock, Method, YieldingStore, block_on, interleave, seed,
};
use statewise::token::{Interop, Key, Keyring, TokenAuthenticator, TokenBuilder};
use statewise::{
    Affected, Authenticator, DynAuthenticator, Edit, EditFn, Error, Issued, Login, Logout, Outcome,
    Rejection, Result, Revocation,
};

pub(crate) const ABSOLUTE: u64 = 12 * 3600;
pub(crate) const OVERLAP: u64 = 60;

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_capacity(1_000).unwrap())
}

pub(crate) fn session_builder<S: SessionStore>(
    store: S,
    clock: &ManualClock,
) -> SessionBuilder<S, String> {
    SessionAuthenticator::builder(store)
        .idle(seconds(1_800))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
        .with_data()
}

pub(crate) fn token_builder(key: &[u8; 32], clock: &ManualClock) -> TokenBuilder<String> {
    TokenAuthenticator::builder(Key::hs256(key).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(900))
        .clock(clock.clone())
        .with_data()
}

pub(crate) const OLD_KEY: &[u8; 32] = b"the key of the old tokens, 32 by";
pub(crate) const NEW_KEY: &[u8; 32] = b"a key of the new tokens, 32 byte";

/// A view that has read its log and stays fresh for a day.
pub(crate) fn view(log: impl RevocationLog, clock: &ManualClock) -> RevocationView {
    let view = RevocationView::builder(log)
        .max_lifetime(seconds(ABSOLUTE))
        .bound(seconds(ABSOLUTE))
        .clock(clock.clone())
        .build()
        .unwrap();
    block_on(view.follow()).unwrap();
    view
}

/// An erased strategy, and a function that rebuilds it.
pub(crate) type Any = Arc<dyn DynAuthenticator<String>>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Strategy {
    Session,
    Token,
    RevocableToken,
    Hybrid,
}

const ALL: [Strategy; 4] = [
    Strategy::Session,
    Strategy::Token,
    Strategy::RevocableToken,
    Strategy::Hybrid,
];

impl Strategy {
    pub(crate) fn make(self, key: &[u8; 32], clock: &ManualClock) -> Any {
        let log = MemoryLog::new().unwrap();
        self.make_with(key, clock, &view(log, clock))
    }

    pub(crate) fn make_with(
        self,
        key: &[u8; 32],
        clock: &ManualClock,
        view: &RevocationView,
    ) -> Any {
        let sessions = session_builder(memory(), clock);
        let tokens = token_builder(key, clock);
        match self {
            Self::Session => Arc::new(sessions.build().unwrap()),
            Self::Token => Arc::new(tokens.max_lifetime(seconds(ABSOLUTE)).build().unwrap()),
            Self::RevocableToken => {
                let tokens = tokens.max_lifetime(seconds(ABSOLUTE)).revocations(view);
                Arc::new(tokens.build().unwrap())
            }
            Self::Hybrid => Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap()),
        }
    }

    pub(crate) fn can_end_at_once(self) -> bool {
        self != Self::Token
    }
}

/// Both directions between all strategies with distinguishable credentials.
pub(crate) fn pairs() -> impl Iterator<Item = (Strategy, Strategy)> {
    let pairs = |old| ALL.into_iter().map(move |new| (old, new));
    let differ = |pair: &(Strategy, Strategy)| {
        *pair != (Strategy::Session, Strategy::Session)
            && *pair != (Strategy::Hybrid, Strategy::Hybrid)
    };
    ALL.into_iter().flat_map(pairs).filter(differ)
}

pub(crate) struct Service {
    pub(crate) clock: ManualClock,
    pub(crate) old: Any,
    pub(crate) auth: Migrating<Any, Any>,
}

pub(crate) fn service(old: Strategy, new: Strategy) -> Service {
    let clock = ManualClock::default();
    // Both follow one log.
    let view = view(MemoryLog::new().unwrap(), &clock);
    let old = old.make_with(OLD_KEY, &clock, &view);
    let new = new.make_with(NEW_KEY, &clock, &view);
    let auth = Migrating::builder(Arc::clone(&old), new)
        .overlap(seconds(OVERLAP))
        .clock(clock.clone());
    let auth = auth.build().unwrap();
    Service { clock, old, auth }
}

pub(crate) fn alice() -> Login<String> {
    Login::new("alice")
        .role("admin")
        .device("phone")
        .acr("aal2")
        .data("her data".to_owned())
}

pub(crate) fn access(issued: &Issued<String>) -> &str {
    issued.credential().reveal()
}

pub(crate) fn refreshable(issued: &Issued<String>) -> &str {
    issued.refreshable().reveal()
}

pub(crate) fn verify(auth: &impl Authenticator<Data = String>, credential: &str) -> Result<()> {
    block_on(auth.verify(credential)).map(|caller| assert_eq!(caller.subject(), "alice"))
}

pub(crate) fn cause<T: std::fmt::Debug>(answer: Result<T>) -> Option<Rejection> {
    answer.unwrap_err().rejection()
}

#[test]
fn every_pair_of_strategies_migrates_without_a_logout() {
    for (from, to) in pairs() {
        let Service { clock, old, auth } = service(from, to);
        let before = block_on(old.issue(alice())).unwrap();
        clock.advance(seconds(100));
        assert!(auth.is_well_formed(access(&before)) && auth.is_well_formed(refreshable(&before)));

        // It continues unchanged and asks to be refreshed.
        let caller = block_on(auth.verify(access(&before))).unwrap();
        assert!(caller.refresh_due(), "{from:?} to {to:?}");
        let seen = auth.progress();
        assert_eq!((seen.verified, seen.upgraded), (1, 0));

        let after = block_on(auth.refresh(refreshable(&before))).unwrap();
        assert_eq!(after.outcome(), Outcome::Rotated);
        assert!(!old.is_well_formed(access(&after)) && !old.is_well_formed(refreshable(&after)));
        let caller = block_on(auth.verify(access(&after))).unwrap();
        assert_eq!(caller.subject(), "alice");
        assert_eq!(caller.roles().collect::<Vec<_>>(), ["admin"]);
        assert_eq!(caller.device(), Some("phone"));
        assert_eq!(caller.acr(), Some("aal2"));
        assert_eq!(caller.data(), "her data");
        assert!(!caller.refresh_due());
        // The upgrade does not extend the login.
        let (was, is) = (before.identity(), after.identity());
        assert_eq!(was.authenticated_at(), is.authenticated_at());
        assert_eq!(was.deadline(), is.deadline(), "{from:?} to {to:?}");

        // Requests in flight are accepted, and later ones are not.
        clock.advance(seconds(OVERLAP - 1));
        verify(&auth, access(&before)).unwrap();
        verify(&auth, access(&after)).unwrap();
        let seen = auth.progress();
        assert_eq!((seen.verified, seen.upgraded), (2, 1));
        clock.advance(seconds(1));
        let _ = block_on(auth.upkeep().tick()).unwrap();
        let ended = verify(&auth, refreshable(&before)).is_err()
            && block_on(auth.refresh(refreshable(&before))).is_err();
        assert_eq!(ended, from.can_end_at_once(), "{from:?} to {to:?}");
        verify(&auth, access(&after)).unwrap();
        let again = block_on(auth.refresh(refreshable(&after))).unwrap();
        verify(&auth, access(&again)).unwrap();

        // New logins are of the new kind.
        let fresh = block_on(auth.issue(alice())).unwrap();
        assert!(!old.is_well_formed(access(&fresh)));
        verify(&auth, access(&fresh)).unwrap();
    }
}

#[test]
fn an_upgraded_credential_ends_without_an_upkeep_too() {
    for old in [Strategy::Session, Strategy::RevocableToken] {
        let Service { clock, old, auth } = service(old, Strategy::Hybrid);
        let before = block_on(old.issue(alice())).unwrap();
        let _ = block_on(auth.refresh(refreshable(&before))).unwrap();
        // A second upgrade does not extend its life.
        clock.advance(seconds(OVERLAP - 10));
        let _ = block_on(auth.refresh(refreshable(&before))).unwrap();
        clock.advance(seconds(10));
        assert_eq!(
            cause(verify(&auth, access(&before))),
            Some(Rejection::Unknown)
        );
        assert!(verify(&old, access(&before)).is_err(), "it is still valid");
    }
}

/// Tabs with tokens that expire at once get one new login, whichever tab comes first.
#[test]
fn parallel_upgrades_make_one_login() {
    for round in 0..50 {
        let clock = ManualClock::default();
        let store = memory();
        let old = session_builder(YieldingStore::new(memory()), &clock);
        let new = session_builder(YieldingStore::new(Arc::clone(&store)), &clock);
        let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap();
        let auth = Migrating::builder(old.build().unwrap(), new).clock(clock.clone());
        let auth = Arc::new(auth.build().unwrap());
        let before = block_on(auth.strategies().0.issue(alice())).unwrap();
        let made = Arc::new(Mutex::new(Vec::new()));
        let upgrade = |_| {
            let (auth, made) = (Arc::clone(&auth), Arc::clone(&made));
            let credential = refreshable(&before).to_owned();
            Box::pin(async move {
                let issued = auth.refresh(&credential).await.unwrap();
                let answer = (issued.outcome(), refreshable(&issued).to_owned());
                made.lock().unwrap().push(answer);
            }) as BoxFuture<'static, ()>
        };
        block_on(interleave(seed() + round, (0..64).map(upgrade).collect()));
        let made = made.lock().unwrap().clone();
        let distinct: HashSet<_> = made.iter().map(|(_, credential)| credential).collect();
        assert_eq!(
            (made.len(), distinct.len()),
            (64, 1),
            "seed {}",
            seed() + round
        );
        let rotated = made
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Rotated);
        assert_eq!(rotated.count(), 1);
        assert_eq!(auth.progress().upgraded, 1);
        let listed = auth.strategies().1.sessions("alice", None);
        assert_eq!(block_on(listed).unwrap().sessions.len(), 1);
    }
}

/// A late tab, after another tab has refreshed the new login: not a thief.
#[test]
fn a_late_tab_does_not_count_as_a_theft() {
    let Service { clock, old, auth } = service(Strategy::Token, Strategy::Session);
    let before = block_on(old.issue(alice())).unwrap();
    let mut current = block_on(auth.refresh(refreshable(&before))).unwrap();
    for _ in 0..5 {
        clock.advance(seconds(11));
        current = block_on(auth.refresh(refreshable(&current))).unwrap();
        let late = block_on(auth.refresh(refreshable(&before))).unwrap();
        verify(&auth, access(&late)).unwrap();
        verify(&auth, access(&current)).unwrap();
    }
}

/// A tab must log in again if its old token expired just after another tab upgraded it.
#[test]
fn a_tab_that_is_too_late_ends_no_login() {
    for from in [Strategy::Token, Strategy::RevocableToken] {
        let Service { clock, old, auth } = service(from, Strategy::Hybrid);
        let before = block_on(old.issue(alice())).unwrap();
        clock.advance(seconds(899));
        let after = block_on(auth.refresh(refreshable(&before))).unwrap();
        clock.advance(seconds(1));
        let late = block_on(auth.refresh(refreshable(&before)));
        assert_eq!(cause(late), Some(Rejection::Expired));
        verify(&auth, access(&after)).unwrap();
        assert!(block_on(auth.refresh(refreshable(&after))).is_ok());
    }
}

/// A logout during an upgrade ends the login.
/// The way in which a user logs out while a login is upgraded.
#[derive(Clone, Copy, Debug)]
enum End {
    OneLogin,
    Everywhere,
    /// At a node of the first step, for which the new strategy is the second one.
    EverywhereAtFirstStep,
}

#[test]
fn no_upgrade_outlives_a_logout() {
    for end in [End::OneLogin, End::Everywhere, End::EverywhereAtFirstStep] {
        for round in 0..300 {
            let clock = ManualClock::default();
            let sessions = || session_builder(YieldingStore::new(memory()), &clock);
            let old = Arc::new(sessions().build().unwrap());
            let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), sessions());
            let new = Arc::new(new.unwrap());
            let (first_old, first_new): (Any, Any) = (old.clone(), new.clone());
            let first = Either::builder(first_old, first_new).any_place();
            let first: Any = Arc::new(first.build().unwrap());
            let auth = Migrating::builder(old, new).clock(clock.clone());
            let auth = Arc::new(auth.build().unwrap());
            let before = block_on(auth.strategies().0.issue(alice())).unwrap();
            let made = Arc::new(Mutex::new(None));
            let upgrade = {
                let (auth, made) = (Arc::clone(&auth), Arc::clone(&made));
                let credential = refreshable(&before).to_owned();
                Box::pin(async move {
                    *made.lock().unwrap() = auth.refresh(&credential).await.ok();
                }) as BoxFuture<'static, ()>
            };
            let logout = {
                let (auth, credential) = (Arc::clone(&auth), refreshable(&before).to_owned());
                Box::pin(async move {
                    let _ = match end {
                        End::OneLogin => auth.revoke(&credential).await.unwrap().effective,
                        End::Everywhere => auth.revoke_all("alice").await.unwrap().effective,
                        End::EverywhereAtFirstStep => {
                            first.revoke_all("alice").await.unwrap().effective
                        }
                    };
                }) as BoxFuture<'static, ()>
            };
            block_on(interleave(seed() + round, vec![upgrade, logout]));
            let what = format!("{end:?}, seed {}", seed() + round);
            if let Some(issued) = made.lock().unwrap().take() {
                let refreshed = block_on(auth.refresh(refreshable(&issued)));
                assert!(refreshed.is_err(), "it lives on: {what}");
            }
            let sessions = block_on(auth.strategies().1.sessions("alice", None)).unwrap();
            assert_eq!(sessions.sessions.len(), 0, "{what}");
            assert!(verify(&*auth, access(&before)).is_err(), "{what}");
        }
    }
}

#[test]
fn logouts_end_both_credentials() {
    for (from, to) in pairs() {
        let Service { clock, old, auth } = service(from, to);
        let before = block_on(old.issue(alice())).unwrap();
        let after = block_on(auth.issue(alice())).unwrap();
        let answer = block_on(auth.revoke_all("alice")).unwrap().effective;
        let ends = from.can_end_at_once() && to.can_end_at_once();
        assert_eq!(
            !matches!(answer, Revocation::AtExpiry(_)),
            ends,
            "{from:?} to {to:?}"
        );
        clock.advance(seconds(1));
        if from.can_end_at_once() {
            assert!(block_on(auth.refresh(refreshable(&before))).is_err());
        }
        if to.can_end_at_once() {
            assert!(block_on(auth.refresh(refreshable(&after))).is_err());
        }
    }
    // By either of the two credentials of one login.
    let Service { old, auth, .. } = service(Strategy::Session, Strategy::Hybrid);
    let before = block_on(old.issue(alice())).unwrap();
    let after = block_on(auth.refresh(refreshable(&before))).unwrap();
    assert_eq!(
        block_on(auth.revoke(access(&before))).unwrap().effective,
        Revocation::Within(seconds(900))
    );
    assert!(block_on(auth.refresh(refreshable(&after))).is_err());
    assert!(verify(&auth, access(&before)).is_err());
}

#[test]
fn a_login_replaces_an_old_credential() {
    let clock = ManualClock::default();
    let store = FaultyStore::new(memory());
    let old = session_builder(store, &clock).build().unwrap();
    let new = session_builder(memory(), &clock);
    let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap();
    let auth = Migrating::builder(old, new)
        .clock(clock.clone())
        .build()
        .unwrap();
    let before = block_on(auth.strategies().0.issue(alice())).unwrap();
    // A login that cannot be ended is not replaced.
    auth.strategies()
        .0
        .store()
        .fail_nth_of(Method::Remove, 1, Fault::Fails);
    let answer = block_on(auth.issue(alice().replaces(access(&before))));
    assert!(answer.unwrap_err().is_unavailable());
    verify(&auth, access(&before)).unwrap();
    let left = block_on(auth.strategies().1.sessions("alice", None)).unwrap();
    assert_eq!(left.sessions.len(), 0, "a login that was handed to nobody");
    let after = block_on(auth.issue(alice().replaces(access(&before)))).unwrap();
    assert_eq!(
        cause(verify(&auth, access(&before))),
        Some(Rejection::Unknown)
    );
    for carried in [access(&after), access(&before), "no credential"] {
        verify(
            &auth,
            access(&block_on(auth.issue(alice().replaces(carried))).unwrap()),
        )
        .unwrap();
    }
}

/// After an outage or a refusal of the new strategy, every client keeps its old credential.
#[test]
fn if_the_new_strategy_fails_the_old_one_refreshes() {
    let clock = ManualClock::default();
    let old = session_builder(memory(), &clock).build().unwrap();
    let new = session_builder(FaultyStore::new(memory()), &clock).limit(Limit::Reject(1));
    let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap();
    let auth = Migrating::builder(old, new)
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut before = block_on(auth.strategies().0.issue(alice())).unwrap();
    for _ in 0..3 {
        let store = auth.strategies().1.store();
        store.fail_nth_of(Method::Create, 1, Fault::Fails);
        before = block_on(auth.refresh(refreshable(&before))).unwrap();
        assert!(auth.strategies().0.is_well_formed(access(&before)));
        verify(&auth, access(&before)).unwrap();
        clock.advance(seconds(120));
    }
    let _taken = block_on(auth.issue(alice())).unwrap();
    let kept = block_on(auth.refresh(refreshable(&before))).unwrap();
    assert!(auth.strategies().0.is_well_formed(access(&kept)));
    assert_eq!(auth.progress().upgraded, 0);
    let _ = block_on(auth.strategies().1.revoke_all("alice")).unwrap();
    clock.advance(seconds(120));
    let moved = block_on(auth.refresh(refreshable(&kept))).unwrap();
    assert!(!auth.strategies().0.is_well_formed(access(&moved)));
}

#[test]
fn a_stolen_old_credential_is_detected() {
    let Service { clock, old, auth } = service(Strategy::Session, Strategy::Hybrid);
    let stolen = block_on(old.issue(alice())).unwrap();
    clock.advance(seconds(60));
    let current = block_on(old.refresh(refreshable(&stolen))).unwrap();
    verify(&old, access(&current)).unwrap();
    clock.advance(seconds(60));
    let theft = block_on(auth.refresh(refreshable(&stolen))).unwrap_err();
    assert_eq!(theft.theft().unwrap().subject(), "alice");
    assert!(verify(&auth, access(&current)).is_err());
    assert_eq!(auth.progress().upgraded, 0);
}

/// A strategy of an application: it has only the required methods, and lists these samples.
#[derive(Debug)]
pub(crate) struct Plain(pub(crate) Any, pub(crate) Vec<String>);

impl Authenticator for Plain {
    type Data = String;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.0.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        self.1.clone()
    }

    async fn issue(&self, login: Login<String>) -> Result<Issued<String>> {
        self.0.issue(login).await
    }

    async fn verify_with(
        &self,
        presented: statewise::Presented<'_>,
    ) -> Result<statewise::Identity<String>> {
        self.0.verify_with(presented).await
    }

    async fn refresh_with(&self, presented: statewise::Presented<'_>) -> Result<Issued<String>> {
        self.0.refresh_with(presented).await
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.0.revoke(credential).await
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

    fn upkeep(&self) -> statewise::Upkeep {
        self.0.upkeep()
    }
}

#[test]
fn ambiguous_credential_forms_are_misuse() {
    let clock = ManualClock::default();
    let session = || Strategy::Session.make(OLD_KEY, &clock);
    let token = |key| Strategy::Token.make(key, &clock);
    let hybrid = |key| Strategy::Hybrid.make(key, &clock);
    let interop: Any = Arc::new(
        token_builder(OLD_KEY, &clock)
            .interop(Interop::from_issuer("https://other.example", seconds(60)).audience("api"))
            .build()
            .unwrap(),
    );
    let ring = Keyring::new(Key::hs256(NEW_KEY).unwrap());
    let both_keys: Any = Arc::new(
        TokenAuthenticator::builder(ring.verify_with(Key::hs256(OLD_KEY).unwrap()))
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(seconds(60))
            .with_data()
            .build()
            .unwrap(),
    );
    let nested: Any = Arc::new(
        Migrating::builder(session(), token(OLD_KEY))
            .build()
            .unwrap(),
    );
    let refused = |old, new| -> Error {
        let answer = Migrating::<Any, Any>::builder(old, new).build();
        answer.unwrap_err()
    };
    for (case, (old, new)) in [
        (session(), session()),
        (token(OLD_KEY), token(OLD_KEY)),
        (token(OLD_KEY), hybrid(OLD_KEY)),
        (hybrid(OLD_KEY), hybrid(NEW_KEY)),
        (interop, token(OLD_KEY)),
        (token(OLD_KEY), both_keys),
        (Arc::clone(&nested), token(OLD_KEY)),
        (nested, session()),
        (Arc::new(Plain(session(), Vec::new())), token(OLD_KEY)),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            refused(Arc::clone(&old), Arc::clone(&new)).is_misuse(),
            "case {case}"
        );
        assert!(
            refused(new, old).is_misuse(),
            "case {case}, the other way round"
        );
    }
    let no_overlap = Migrating::<Any, Any>::builder(session(), token(OLD_KEY)).overlap(seconds(0));
    assert!(no_overlap.build().unwrap_err().is_misuse());
}

/// A token of jsonwebtoken for ten minutes, signed with `secret`.
pub(crate) fn foreign_token(secret: &[u8; 32], clock: &ManualClock, subject: &str) -> String {
    let now = clock.now().unwrap().unix();
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let (iss, exp) = ("https://other.example", now + 600);
    let claims =
        format!(r#"{{"iss":"{iss}","sub":"{subject}","iat":{now},"exp":{exp},"plan":"x"}}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed.as_bytes());
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

/// A service that has signed tokens with another library moves to each of our strategies, and back.
#[test]
fn tokens_of_another_library_are_upgraded() {
    for strategy in ALL {
        let clock = ManualClock::default();
        let theirs = || -> Any {
            let other = Interop::from_issuer("https://other.example", seconds(600));
            let key = Key::hs256(b"the key of the other issuer, 32.").unwrap();
            let tokens = token_builder(OLD_KEY, &clock);
            let tokens = tokens.interop(other.key(key).data_from("plan"));
            Arc::new(tokens.build().unwrap())
        };
        let new = strategy.make(NEW_KEY, &clock);
        let build = |old, new| {
            let builder = Migrating::<Any, Any>::builder(old, new).clock(clock.clone());
            builder.build().unwrap()
        };
        // First every node accepts both, and issues the old kind.
        let before = build(Arc::clone(&new), theirs());
        let auth = build(theirs(), Arc::clone(&new));
        let old = foreign_token(b"the key of the other issuer, 32.", &clock, "alice");
        let caller = block_on(auth.verify(&old)).unwrap();
        assert!(caller.refresh_due(), "{strategy:?}");
        let end = caller.deadline();
        let upgraded = block_on(auth.refresh(&old)).unwrap();
        assert_eq!(upgraded.identity().deadline(), end, "{strategy:?}");
        let caller = block_on(auth.verify(upgraded.credential().reveal())).unwrap();
        assert_eq!((caller.subject(), caller.data().as_str()), ("alice", "x"));
        assert_eq!(auth.progress().upgraded, 1, "{strategy:?}");
        for kind in [&old, upgraded.credential().reveal()] {
            assert_eq!(block_on(before.verify(kind)).unwrap().subject(), "alice");
        }
        // A forged one is neither verified nor upgraded.
        let forged = foreign_token(OLD_KEY, &clock, "alice");
        for answer in [
            verify(&auth, &forged).map(drop),
            block_on(auth.refresh(&forged)).map(drop),
        ] {
            assert_eq!(cause(answer), Some(Rejection::BadSignature), "{strategy:?}");
        }
    }
}

#[test]
fn other_credentials_are_malformed() {
    let Service { auth, .. } = service(Strategy::Session, Strategy::Hybrid);
    for garbage in ["", "a", ".", "a.b.c", &"x".repeat(10_000)] {
        assert!(!auth.is_well_formed(garbage));
        assert_eq!(cause(verify(&auth, garbage)), Some(Rejection::Malformed));
        assert_eq!(
            cause(block_on(auth.refresh(garbage))),
            Some(Rejection::Malformed)
        );
        assert_eq!(
            cause(block_on(auth.revoke(garbage))),
            Some(Rejection::Malformed)
        );
    }
}

/// If the new strategy has shorter lifetimes, logins that are too old for it keep their old
/// credential.
#[test]
fn a_login_too_old_for_the_new_strategy_stays_with_the_old_one() {
    let clock = ManualClock::default();
    let old = session_builder(memory(), &clock).build().unwrap();
    let new = token_builder(NEW_KEY, &clock).max_lifetime(seconds(900));
    let auth = Migrating::builder(old, new.build().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let before = block_on(auth.strategies().0.issue(alice())).unwrap();
    clock.advance(seconds(1_000));
    let kept = block_on(auth.refresh(refreshable(&before))).unwrap();
    assert!(auth.strategies().0.is_well_formed(access(&kept)));
    assert_eq!(auth.progress().upgraded, 0);
    assert!(auth.progress().last_seen_at.is_some());
    // An ended login is rejected nevertheless.
    let _ = block_on(auth.strategies().0.revoke_all("alice")).unwrap();
    assert!(block_on(auth.refresh(refreshable(&kept))).is_err());
}

/// A logout with the upgraded credential ends the old credential too.
#[test]
fn a_logout_by_the_new_credential_ends_the_old_one() {
    for (from, to) in pairs().filter(|(from, _)| from.can_end_at_once()) {
        for (refreshes, replaces) in [(false, false), (true, false), (false, true)] {
            for by_access in [true, false] {
                let Service { clock, old, auth } = service(from, to);
                let before = block_on(old.issue(alice())).unwrap();
                let mut after = block_on(auth.refresh(refreshable(&before))).unwrap();
                if refreshes {
                    clock.advance(seconds(OVERLAP / 2));
                    after = block_on(auth.refresh(refreshable(&after))).unwrap();
                }
                let carried = if by_access {
                    access(&after)
                } else {
                    refreshable(&after)
                };
                if replaces {
                    let _ = block_on(auth.issue(alice().replaces(carried))).unwrap();
                } else {
                    let _ = block_on(auth.revoke(carried)).unwrap();
                }
                let case = format!("{from:?} to {to:?}, {refreshes} {replaces} {by_access}");
                for refreshed in [
                    block_on(auth.refresh(refreshable(&before))),
                    block_on(old.refresh(refreshable(&before))),
                ] {
                    assert!(refreshed.is_err(), "{case}");
                }
            }
        }
    }
}

/// While a deployment runs, requests reach nodes of the first and of the second step in turn. Rejects a
/// first step that turns new logins back into old ones: each turn would be one more login of the user, and
/// the limit would evict another device.
#[test]
fn nodes_of_two_steps_log_no_device_out() {
    for from_sessions in [true, false] {
        let clock = ManualClock::default();
        let limited = || session_builder(memory(), &clock).limit(Limit::EvictOldest(3));
        let sessions: Any = Arc::new(limited().build().unwrap());
        let hybrid = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), limited());
        let hybrid: Any = Arc::new(hybrid.unwrap());
        let (old, new) = match from_sessions {
            true => (sessions, hybrid),
            false => (hybrid, sessions),
        };
        let first = Either::builder(Arc::clone(&old), Arc::clone(&new)).any_place();
        let second = Migrating::builder(Arc::clone(&old), Arc::clone(&new)).clock(clock.clone());
        let second = second.build().unwrap();
        let upkeep = second.upkeep();
        let nodes: [Any; 2] = [Arc::new(first.build().unwrap()), Arc::new(second)];
        let mut devices: Vec<_> = (0..3)
            .map(|_| block_on(old.issue(alice())).unwrap())
            .collect();
        for round in 0..30 {
            for (number, device) in devices.iter_mut().enumerate() {
                let node = &nodes[(round + number) % 2];
                let what = format!("from sessions {from_sessions}, {round}, {number}");
                let caller = block_on(node.verify(access(device)));
                let caller = caller.unwrap_or_else(|error| panic!("{what}: {error}"));
                if caller.refresh_due() || round % 5 == 0 {
                    let refreshed = block_on(node.refresh(refreshable(device)));
                    *device = refreshed.unwrap_or_else(|error| panic!("{what}: {error}"));
                }
            }
            clock.advance(seconds(40));
            block_on(upkeep.tick()).unwrap();
        }
        for device in &devices {
            assert!(new.is_well_formed(refreshable(device)));
        }
    }
}

/// Another node of the same change of strategy.
pub(crate) fn another_node(auth: &Migrating<Any, Any>, clock: &ManualClock) -> Migrating<Any, Any> {
    let (old, new) = auth.strategies();
    let other = Migrating::builder(Arc::clone(old), Arc::clone(new)).overlap(seconds(OVERLAP));
    other.clock(clock.clone()).build().unwrap()
}

/// The node that logs out has not made the upgrade. It ends the old login all the same, so that a copy of
/// the old credential is not upgraded again. Rejects a node that ends what it knows by itself.
#[test]
fn a_logout_on_another_node_ends_the_old_login() {
    let pairs = pairs().filter(|(from, _)| from.can_end_at_once());
    let ways = ["revoke", "replaces", "revoke at a node of the first step"];
    for ((from, to), way) in pairs.flat_map(|pair| ways.map(|way| (pair, way))) {
        let what = format!("{from:?} to {to:?}, {way}");
        let Service { clock, old, auth } = service(from, to);
        let nodes = [another_node(&auth, &clock), another_node(&auth, &clock)];
        let (first_old, first_new) = (Arc::clone(&old), Arc::clone(auth.strategies().1));
        let first = Either::builder(first_old, first_new)
            .any_place()
            .build()
            .unwrap();
        // Other devices stay.
        let kept = block_on(old.issue(alice())).unwrap();
        let kept_new = block_on(auth.issue(alice())).unwrap();
        let before = block_on(old.issue(alice())).unwrap();
        let after = block_on(auth.refresh(refreshable(&before))).unwrap();
        let answer = match way {
            "revoke" => block_on(nodes[0].revoke(refreshable(&after))).unwrap(),
            "replaces" => {
                let login = alice().replaces(refreshable(&after));
                block_on(nodes[0].issue(login))
                    .unwrap()
                    .replaced()
                    .unwrap()
                    .clone()
            }
            _ => block_on(first.revoke(refreshable(&after))).unwrap(),
        };
        let is_bounded = match answer.effective {
            Revocation::Immediate => true,
            // Access tokens, or the bound of the log.
            Revocation::Within(_) => [from, to].iter().any(|one| *one != Strategy::Session),
            _ => to == Strategy::Token,
        };
        assert!(is_bounded, "{what}: {answer:?}");
        if (from, to) == (Strategy::Session, Strategy::RevocableToken) {
            assert_eq!(answer.effective, Revocation::Within(seconds(ABSOLUTE)));
        }
        for node in [&auth, &nodes[0], &nodes[1]] {
            match block_on(node.refresh(refreshable(&before))) {
                Ok(copy) => panic!("{what}: {copy:?}"),
                Err(error) => assert!(error.is_rejected(), "{what}: {error}"),
            }
        }
        assert!(block_on(old.refresh(refreshable(&before))).is_err());
        assert!(verify(&old, access(&kept)).is_ok(), "{what}");
        assert!(verify(&auth, access(&kept_new)).is_ok(), "{what}");
    }
}

/// A thief has upgraded a copy on another node before the user logs out: with the new credential, or
/// with the old one. Rejects a logout that ends one of the two new logins.
#[test]
fn a_logout_ends_every_upgrade_of_the_login() {
    for (from, to) in pairs().filter(|(_, to)| to.can_end_at_once()) {
        for by_new in [true, false] {
            let what = format!("{from:?} to {to:?}, by the new credential: {by_new}");
            let Service { clock, old, auth } = service(from, to);
            let nodes = [another_node(&auth, &clock), another_node(&auth, &clock)];
            let kept = block_on(old.issue(alice())).unwrap();
            let before = block_on(old.issue(alice())).unwrap();
            let users = block_on(auth.refresh(refreshable(&before))).unwrap();
            let thiefs = block_on(nodes[0].refresh(refreshable(&before))).unwrap();
            assert!(
                verify(&auth, access(&users)).is_ok() && verify(&auth, access(&thiefs)).is_ok()
            );
            let presented = if by_new { &users } else { &before };
            let logout = block_on(nodes[1].revoke(refreshable(presented))).unwrap();
            if [from, to]
                .iter()
                .all(|one| matches!(one, Strategy::Session | Strategy::Hybrid))
            {
                assert_eq!(logout.others().count(), 2, "{what}: {logout:?}");
            }
            for (whose, login) in [("user", &users), ("thief", &thiefs)] {
                let refreshed = block_on(auth.refresh(refreshable(login)));
                assert!(refreshed.unwrap_err().is_rejected(), "{what}, {whose}");
            }
            let kept = block_on(auth.refresh(refreshable(&kept))).unwrap();
            assert!(verify(&auth, access(&kept)).is_ok(), "{what}");
        }
    }
}

/// Any number of nodes upgrade one old credential, because answers are lost. The client goes on with any
/// of the new logins.
#[test]
fn a_credential_is_upgraded_on_many_nodes() {
    for (from, to) in pairs() {
        let Service { clock, old, auth } = service(from, to);
        let before = block_on(old.issue(alice())).unwrap();
        let upgrade = |_| {
            let node = another_node(&auth, &clock);
            block_on(node.refresh(refreshable(&before))).unwrap()
        };
        for login in (0..6).map(upgrade).collect::<Vec<_>>() {
            assert!(auth.strategies().1.is_well_formed(access(&login)));
            assert!(verify(&auth, access(&login)).is_ok(), "{from:?} to {to:?}");
            assert!(
                block_on(auth.refresh(refreshable(&login))).is_ok(),
                "{from:?} to {to:?}"
            );
        }
    }
}

/// A new strategy that allows less time than the old one is seen in the progress.
#[test]
fn shortened_logins_are_counted() {
    for (max_lifetime, shortened) in [(None, 1), (Some(3_600), 1), (Some(ABSOLUTE), 0)] {
        let clock = ManualClock::default();
        let old = Strategy::Session.make(OLD_KEY, &clock);
        let mut new = token_builder(NEW_KEY, &clock);
        if let Some(max_lifetime) = max_lifetime {
            new = new.max_lifetime(seconds(max_lifetime));
        }
        let auth = Migrating::builder(old, new.build().unwrap()).clock(clock.clone());
        let auth = auth.build().unwrap();
        let before = block_on(auth.strategies().0.issue(alice())).unwrap();
        clock.advance(seconds(100));
        let _ = block_on(auth.refresh(refreshable(&before))).unwrap();
        assert_eq!(auth.progress().shortened, shortened, "{max_lifetime:?}");
    }
}

/// A strategy of an application does not know the handle of a login. The answer says when it ends.
#[test]
fn a_logout_says_when_an_old_login_ends_that_has_no_handle() {
    let clock = ManualClock::default();
    let old = Strategy::Session.make(OLD_KEY, &clock);
    let samples = old.sample_credentials();
    let old: Any = Arc::new(Plain(old, samples));
    let new = Strategy::Hybrid.make(NEW_KEY, &clock);
    let node = || {
        let auth = Migrating::builder(Arc::clone(&old), Arc::clone(&new)).overlap(seconds(1_000));
        auth.clock(clock.clone()).build().unwrap()
    };
    let (auth, other) = (node(), node());
    let before = block_on(old.issue(alice())).unwrap();
    let after = block_on(auth.refresh(refreshable(&before))).unwrap();
    let answer = block_on(other.revoke(access(&after))).unwrap().effective;
    assert_eq!(answer, Revocation::Within(seconds(1_000)));
    assert!(verify(&old, access(&before)).is_ok());
    clock.advance(seconds(1_000));
    block_on(auth.upkeep().tick()).unwrap();
    assert!(block_on(old.refresh(refreshable(&before))).is_err());
}

/// An administrator takes a role from all logins of a user while one of them is upgraded. Whatever
/// the order of their calls, no login keeps the role. Rejects an upgrade that does not look again.
#[test]
fn no_upgrade_keeps_a_role_that_was_taken() {
    for at_first_step in [false, true] {
        for to_sessions in [false, true] {
            for round in 0..150 {
                let clock = ManualClock::default();
                let stores = [memory(), memory()].map(|store| Arc::new(YieldingStore::new(store)));
                // Each node has strategies of its own, and both share the stores.
                let strategies = || -> (Any, Any) {
                    let [one, other] = stores.clone().map(|store| session_builder(store, &clock));
                    let tokens = token_builder(NEW_KEY, &clock);
                    let hybrid = Arc::new(HybridAuthenticator::new(tokens, one).unwrap());
                    let sessions = Arc::new(other.build().unwrap());
                    match to_sessions {
                        true => (hybrid, sessions),
                        false => (sessions, hybrid),
                    }
                };
                let (old, new) = strategies();
                let auth = Migrating::builder(Arc::clone(&old), new).clock(clock.clone());
                let auth = Arc::new(auth.build().unwrap());
                let (admins_old, admins_new) = strategies();
                let admins: Any = match at_first_step {
                    true => {
                        let first = Either::builder(admins_old, admins_new).any_place();
                        Arc::new(first.build().unwrap())
                    }
                    false => Arc::new(Migrating::builder(admins_old, admins_new).build().unwrap()),
                };
                let before = block_on(old.issue(alice())).unwrap();
                let made = Arc::new(Mutex::new(None));
                let upgrade = {
                    let (auth, made) = (Arc::clone(&auth), Arc::clone(&made));
                    let credential = refreshable(&before).to_owned();
                    Box::pin(async move {
                        let answer = auth.refresh(&credential).await;
                        *made.lock().unwrap() = Some(answer.unwrap());
                    }) as BoxFuture<'static, ()>
                };
                let update = Box::pin(async move {
                    let edit = &mut |login: &mut Edit<String>| {
                        login.roles.clear();
                        login.data = "edited".to_owned();
                        Ok(())
                    };
                    let _ = admins.update_all("alice", edit).await.unwrap().effective;
                }) as BoxFuture<'static, ()>;
                block_on(interleave(seed() + round, vec![upgrade, update]));
                let login = made.lock().unwrap().take().unwrap();
                let what = format!("{at_first_step}, {to_sessions}, seed {}", seed() + round);
                // An access token may be older than the update.
                let login = block_on(auth.refresh(refreshable(&login))).unwrap();
                let caller = block_on(auth.verify(access(&login))).unwrap();
                assert_eq!(caller.roles().count(), 0, "{what}");
                assert_eq!(caller.data(), "edited", "{what}");
            }
        }
    }
}

/// A node that stops would not revoke them later.
#[test]
fn a_node_that_stops_revokes_what_it_has_upgraded() {
    for (from, to) in pairs().filter(|(from, _)| from.can_end_at_once()) {
        let Service { old, auth, .. } = service(from, to);
        let before = block_on(old.issue(alice())).unwrap();
        let kept = block_on(old.issue(alice())).unwrap();
        let after = block_on(auth.refresh(refreshable(&before))).unwrap();
        block_on(auth.upkeep().finish()).unwrap();
        let what = format!("{from:?} to {to:?}");
        assert!(
            block_on(old.refresh(refreshable(&before))).is_err(),
            "{what}"
        );
        assert!(verify(&old, access(&kept)).is_ok(), "{what}");
        assert!(verify(&auth, access(&after)).is_ok(), "{what}");
    }
}

/// An upgrade is dropped at any of its steps while the user logs out on another node.
#[test]
fn a_dropped_upgrade_is_not_returned_after_a_logout() {
    for step in 0..20 {
        let clock = ManualClock::default();
        let old = session_builder(YieldingStore::new(memory()), &clock);
        let new = token_builder(NEW_KEY, &clock).max_lifetime(seconds(ABSOLUTE));
        let auth = Migrating::builder(old.build().unwrap(), new.build().unwrap());
        let auth = auth.clock(clock.clone()).build().unwrap();
        let before = block_on(auth.strategies().0.issue(alice())).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut upgrade = Box::pin(auth.refresh(refreshable(&before)));
        for _ in 0..step {
            if upgrade.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        let _ = block_on(auth.strategies().0.revoke(access(&before))).unwrap();
        // Another tab while the credential still exists, and one after it is gone.
        let mut tab = Box::pin(auth.refresh(refreshable(&before)));
        for _ in 0..100 {
            if let Poll::Ready(answer) = tab.as_mut().poll(&mut context) {
                assert!(answer.is_err(), "step {step}");
                break;
            }
        }
        drop((upgrade, tab));
        let refreshed = block_on(auth.refresh(refreshable(&before)));
        assert!(refreshed.is_err(), "step {step}");
    }
}

/// The number of upgraded logins that could not be ended yet is bounded. Beyond the bound, clients
/// continue with their old credential.
#[test]
fn upgrades_that_cannot_be_ended_are_bounded() {
    const MAX_UPGRADES: usize = 10_000;
    let clock = ManualClock::default();
    let many = MemoryStore::with_capacity(2 * MAX_UPGRADES).unwrap();
    let old = session_builder(FaultyStore::new(many), &clock);
    let new = token_builder(NEW_KEY, &clock).max_lifetime(seconds(ABSOLUTE));
    let auth = Migrating::builder(old.build().unwrap(), new.build().unwrap());
    let auth = auth.clock(clock.clone()).build().unwrap();
    let old = auth.strategies().0;
    let upgrade = || {
        let before = block_on(old.issue(alice())).unwrap();
        old.is_well_formed(access(
            &block_on(auth.refresh(refreshable(&before))).unwrap(),
        ))
    };
    assert!((0..MAX_UPGRADES).all(|_| !upgrade()));
    for _ in 0..3 {
        old.store().fail_nth_of(Method::Remove, 1, Fault::Fails);
        assert!(upgrade(), "one more is remembered");
    }
    assert!(!upgrade());
}

/// Of concurrent upgrades, one ends the expired entries.
#[test]
fn concurrent_refreshes_revoke_an_expired_overlap_once() {
    let clock = ManualClock::default();
    let old = session_builder(FaultyStore::new(YieldingStore::new(memory())), &clock);
    let new = token_builder(NEW_KEY, &clock).max_lifetime(seconds(ABSOLUTE));
    let auth = Migrating::builder(old.build().unwrap(), new.build().unwrap());
    let auth = Arc::new(auth.clock(clock.clone()).build().unwrap());
    let issue = || block_on(auth.strategies().0.issue(alice())).unwrap();
    let _ = block_on(auth.refresh(refreshable(&issue()))).unwrap();
    clock.advance(seconds(OVERLAP));
    let upgrade = |_| {
        let (auth, before) = (Arc::clone(&auth), issue());
        Box::pin(async move {
            let _ = auth.refresh(refreshable(&before)).await.unwrap();
        }) as BoxFuture<'static, ()>
    };
    block_on(interleave(seed(), (0..64).map(upgrade).collect()));
    assert_eq!(auth.strategies().0.store().calls_of(Method::Remove), 1);
}
