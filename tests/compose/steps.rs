//! Guarantees for step-ups, on every strategy.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use statewise::clock::{Clock as _, Timestamp};
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::Limit;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::{Handle, Load, Record, SessionStore};
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{TokenAuthenticator, TokenBuffer};
use statewise::{
    Authenticator, DynAuthenticator, Edit, Identity, Issued, Login, Outcome, Presented, Refusal,
    Result,
};

use crate::begin::{strategies, user};
use crate::migrating::{
    ABSOLUTE, Any, NEW_KEY, OLD_KEY, access, memory, refreshable, seconds, session_builder,
    token_builder,
};

const LASTS: Duration = Duration::from_secs(600);

fn step_up(auth: &impl Authenticator<Data = String>, credential: &str) -> Result<Issued<String>> {
    let edit = &mut |login: &mut Edit<String>| login.step_up("aal2", LASTS);
    block_on(auth.update(credential, edit))
}

fn verified(auth: &impl Authenticator<Data = String>, issued: &Issued<String>) -> Identity<String> {
    block_on(auth.verify(access(issued))).unwrap()
}

fn acr(auth: &impl Authenticator<Data = String>, issued: &Issued<String>) -> Option<String> {
    verified(auth, issued).acr().map(str::to_owned)
}

fn now(clock: &ManualClock) -> Timestamp {
    clock.now().unwrap()
}

fn claims(issued: &Issued<String>) -> Value {
    let payload = access(issued).split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn hybrid(clock: &ManualClock) -> HybridAuthenticator<Arc<MemoryStore>, String> {
    let access = token_builder(NEW_KEY, clock);
    HybridAuthenticator::new(access, session_builder(memory(), clock)).unwrap()
}

fn tokens(clock: &ManualClock) -> TokenAuthenticator<String> {
    let tokens = token_builder(NEW_KEY, clock).max_lifetime(seconds(3600));
    tokens.build().unwrap()
}

fn sessions(clock: &ManualClock) -> SessionAuthenticator<Arc<MemoryStore>, String> {
    session_builder(memory(), clock).build().unwrap()
}

/// The row of a login.
fn row(store: &impl SessionStore, issued: &Issued<String>, now: Timestamp) -> Record {
    let text = refreshable(issued).trim_start_matches("rt_");
    let handle = Handle::from_bytes(
        URL_SAFE_NO_PAD.decode(&text[..64]).unwrap()[..16]
            .try_into()
            .unwrap(),
    );
    block_on(store.load(handle, Load::new(), now))
        .unwrap()
        .unwrap()
}

/// STEP-01 on every strategy: subject, id, deadline and everything else of the login stay; the
/// credential that is returned has the class and its time, and the presented one does not.
#[test]
fn step_01_only_the_next_credential_has_the_class() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        for (base, by_refresh) in [(Some("aal1"), false), (None, false), (None, true)] {
            let login = user().role("admin").device("phone");
            let login = if let Some(acr) = base {
                login.acr(acr)
            } else {
                login
            };
            let issued = block_on(auth.issue(login)).unwrap();
            clock.advance(seconds(60));
            let presented = if by_refresh {
                refreshable(&issued)
            } else {
                access(&issued)
            };
            let up = step_up(&auth, presented).unwrap();
            assert_eq!(up.outcome(), Outcome::Rotated, "{name}");
            assert_ne!(access(&up), access(&issued), "{name}");
            assert_eq!(up.identity().deadline(), issued.identity().deadline());
            let began = issued.identity().authenticated_at();
            let caller = verified(&auth, &up);
            for caller in [&caller, up.identity()] {
                assert_eq!(caller.acr(), Some("aal2"), "{name}");
                assert_eq!(caller.authenticated_at(), began + seconds(60), "{name}");
                assert_eq!(caller.id(), issued.identity().id());
                assert!(caller.has_role("admin") && caller.device() == Some("phone"));
            }
            let copy = verified(&auth, &issued);
            assert_eq!(
                (copy.acr(), copy.authenticated_at()),
                (base, began),
                "{name}"
            );
            let presented = Presented::new(access(&up)).authoritative();
            let caller = block_on(auth.verify_with(presented)).unwrap();
            assert_eq!(caller.acr(), Some("aal2"), "{name}, authoritative");
        }
    }
}

/// STEP-01 by time: the class lapses, and so does the time of its proof. An edit keeps what
/// is left of it, and no longer.
#[test]
fn step_01_lapses_by_time() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let issued = block_on(auth.issue(user().acr("aal1"))).unwrap();
        clock.advance(seconds(100));
        let up = step_up(&auth, access(&issued)).unwrap();
        clock.advance(seconds(300));
        let edited = block_on(auth.update(access(&up), &mut |login: &mut Edit<String>| {
            login.data = "new".to_owned();
            Ok(())
        }));
        let edited = edited.unwrap();
        clock.advance(seconds(299));
        for issued in [&up, &edited] {
            assert_eq!(acr(&auth, issued).as_deref(), Some("aal2"), "{name}");
        }
        clock.advance(seconds(1));
        for lapsed in [&up, &edited] {
            match block_on(auth.verify(access(lapsed))) {
                Ok(caller) => {
                    assert_eq!(caller.acr(), Some("aal1"), "{name}");
                    let began = issued.identity().authenticated_at();
                    assert_eq!(caller.authenticated_at(), began, "{name}");
                }
                // An access token of the hybrid expires with the class.
                Err(error) => assert!(name.starts_with("hybrid"), "{name}: {error:?}"),
            }
        }
    }
}

/// Returns by how many seconds the clock may be set back to before a step-up, so that the class still
/// shows. The step-up was just made, and the clock is where it was in the end.
fn shows_ahead_of_time(clock: &ManualClock, acr: impl Fn() -> Option<String>) -> u64 {
    let shows = |back: &u64| {
        clock.turn_back(seconds(*back));
        let shown = acr();
        clock.advance(seconds(*back));
        shown.as_deref() == Some("aal2")
    };
    let longest = [0, 1, 5, 6, 50].into_iter().take_while(shows).last();
    longest.unwrap()
}

/// STEP-05: a clock that is set back to before a step-up, by more than clocks may differ, does not show
/// its class, and so does not lengthen it. Rejects the rule that looks at its end alone.
#[test]
fn step_05_a_clock_set_back_does_not_lengthen_it() {
    let clock = ManualClock::default();
    let (session, token, hybrid) = (sessions(&clock), tokens(&clock), hybrid(&clock));
    let strategies: [(_, Arc<dyn DynAuthenticator<String>>); 3] = [
        ("session", Arc::new(session)),
        ("token", Arc::new(token)),
        ("hybrid", Arc::new(hybrid)),
    ];
    for (name, auth) in &strategies {
        let issued = block_on(auth.issue(user().acr("aal1"))).unwrap();
        clock.advance(seconds(60));
        let up = step_up(auth, refreshable(&issued)).unwrap();
        let began = issued.identity().authenticated_at();
        let longest = shows_ahead_of_time(&clock, || {
            // An access token of a hybrid has its class until it expires.
            let caller = match *name {
                "hybrid" => block_on(auth.refresh(refreshable(&up)))
                    .unwrap()
                    .into_identity(),
                _ => verified(auth, &up),
            };
            if caller.acr() == Some("aal1") {
                assert_eq!(caller.authenticated_at(), began, "{name}");
            }
            caller.acr().map(str::to_owned)
        });
        assert_eq!(longest, 5, "{name}");
        assert_eq!(
            acr(auth, &up).as_deref(),
            Some("aal2"),
            "{name}, afterwards"
        );
    }
    let until = now(&clock).saturating_add(LASTS.as_secs());
    let by_its_end = || (now(&clock) < until).then(|| "aal2".to_owned());
    assert_eq!(shows_ahead_of_time(&clock, by_its_end), 50);
}

/// A later step-up replaces the one before, also by a weaker class.
#[test]
fn the_latest_step_up_counts() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let issued = block_on(auth.issue(user())).unwrap();
        let strong = step_up(&auth, access(&issued)).unwrap();
        let edit = &mut |login: &mut Edit<String>| {
            login.roles = vec!["editor".to_owned()];
            login.step_up("weak", seconds(60))
        };
        let weak = block_on(auth.update(access(&strong), edit)).unwrap();
        let caller = verified(&auth, &weak);
        assert_eq!(caller.acr(), Some("weak"), "{name}");
        assert!(caller.has_role("editor"));
        clock.advance(seconds(60));
        if !name.starts_with("hybrid") {
            assert_eq!(acr(&auth, &weak), None, "{name}");
        }
    }
}

/// A step-up that contradicts itself, or of a login that was not presented, is a mistake
/// of the service. Nothing is changed.
#[test]
fn a_step_up_without_a_meaning_is_refused() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let issued = block_on(auth.issue(user())).unwrap();
        for (class, lasts) in [
            ("", LASTS),
            ("aal2", Duration::ZERO),
            ("aal2", Duration::from_millis(999)),
        ] {
            let edit = &mut |login: &mut Edit<String>| login.step_up(class, lasts);
            let error = block_on(auth.update(refreshable(&issued), edit)).unwrap_err();
            assert!(error.is_misuse(), "{name}: {error:?}");
        }
        let edit = &mut |login: &mut Edit<String>| login.step_up("aal2", LASTS);
        match block_on(auth.update_all("alice", edit)) {
            Err(error) => assert!(error.is_misuse(), "{name}: {error:?}"),
            Ok(affected) => assert_eq!((name, affected.count), ("tokens", None)),
        }
        assert_eq!(acr(&auth, &issued), None, "{name}");
        let long = "x".repeat(5_000);
        let edit = &mut |login: &mut Edit<String>| login.step_up(&*long, LASTS);
        let error = block_on(auth.update(refreshable(&issued), edit)).unwrap_err();
        assert!(error.refusal().is_some(), "{name}: {error:?}");
        assert_eq!(acr(&auth, &issued), None, "{name}");
        let forever = &mut |login: &mut Edit<String>| login.step_up("aal2", Duration::MAX);
        let up = block_on(auth.update(access(&issued), forever)).unwrap();
        assert_eq!(up.identity().deadline(), issued.identity().deadline());
        assert_eq!(acr(&auth, &up).as_deref(), Some("aal2"), "{name}");
    }
    let hybrid = hybrid(&clock);
    let issued = block_on(hybrid.issue(user())).unwrap();
    let edit = &mut |login: &mut Edit<String>| login.step_up("aal2", LASTS);
    let listed = hybrid.update_id("alice", issued.identity().id(), edit);
    assert!(block_on(listed).unwrap_err().is_misuse());
}

/// STEP-04: an access token yields no refresh credential, whatever is edited. Its class is in the
/// access token of the answer alone: no row is written, and the next refresh returns to the class of
/// the login. Rejects a step-up that rotates the refresh credential for an access token.
#[test]
fn step_04_an_access_token_yields_no_refresh_credential() {
    let clock = ManualClock::default();
    let auth = hybrid(&clock);
    let issued = block_on(auth.issue(user().acr("aal1"))).unwrap();
    clock.advance(seconds(60));
    let before = row(auth.store(), &issued, now(&clock)).encode();
    let up = step_up(&auth, access(&issued)).unwrap();
    assert!(up.refresh_credential().is_none());
    assert_eq!(row(auth.store(), &issued, now(&clock)).encode(), before);
    assert_eq!(up.expires_at(), up.identity().authenticated_at() + LASTS);
    // Other services see what they need (RFC 9470), and no claim of ours.
    let (told, now) = (claims(&up), now(&clock).unix());
    assert_eq!(
        (&told["acr"], &told["exp"]),
        (&"aal2".into(), &(now + 600).into())
    );
    assert_eq!((told.get("stp"), told.get("auth_time")), (None, None));

    clock.advance(seconds(60));
    let edit = &mut |login: &mut Edit<String>| {
        login.roles = vec!["editor".to_owned()];
        login.step_up("aal3", LASTS)
    };
    let edited = block_on(auth.update(access(&up), edit)).unwrap();
    assert!(edited.refresh_credential().is_none());
    assert_eq!(acr(&auth, &edited).as_deref(), Some("aal3"));
    clock.advance(seconds(60));
    let refreshed = block_on(auth.refresh(refreshable(&issued))).unwrap();
    assert_eq!(acr(&auth, &refreshed).as_deref(), Some("aal1"));
    assert!(verified(&auth, &refreshed).has_role("editor"));
    let mut buffer = TokenBuffer::new();
    let borrowed = auth.verify_borrowed(access(&edited), &mut buffer).unwrap();
    assert_eq!(borrowed.acr(), Some("aal3"));
}

/// STEP-04 forbids the effect of a rotation: presented with the refresh credential, the class
/// outlives the access token. So the law rejects a step-up by access token that rotates.
#[test]
fn step_04_rejects_a_rotation_by_access_token() {
    let clock = ManualClock::default();
    let auth = hybrid(&clock);
    for by_access_token in [true, false] {
        let issued = block_on(auth.issue(user().acr("aal1"))).unwrap();
        let presented = match by_access_token {
            true => access(&issued),
            false => refreshable(&issued),
        };
        let up = step_up(&auth, presented).unwrap();
        let latest = match up.refresh_credential() {
            Some(credential) => credential.reveal(),
            None => refreshable(&issued),
        };
        let refreshed = block_on(auth.refresh(latest)).unwrap();
        let outlives = acr(&auth, &refreshed).as_deref() == Some("aal2");
        let yields = up.refresh_credential().is_some();
        assert_eq!((yields, outlives), (!by_access_token, !by_access_token));
    }
}

/// A token says its step-up in a claim of its own: `acr` and `auth_time` stay those of the login, for
/// other services and for older nodes. A refresh keeps it until it lapses, and then drops it.
#[test]
fn a_token_says_its_step_up_in_a_claim_of_its_own() {
    let clock = ManualClock::default();
    let auth = tokens(&clock);
    let issued = block_on(auth.issue(user().acr("aal1"))).unwrap();
    let began = now(&clock).unix();
    clock.advance(seconds(60));
    let up = step_up(&auth, access(&issued)).unwrap();
    clock.advance(seconds(60));
    let refreshed = block_on(auth.refresh(access(&up))).unwrap();
    for issued in [&up, &refreshed] {
        let told = claims(issued);
        let stp = serde_json::json!({"acr": "aal2", "at": began + 60, "exp": began + 660});
        assert_eq!(
            (&told["acr"], &told["auth_time"]),
            (&"aal1".into(), &began.into())
        );
        assert_eq!(told["stp"], stp);
        let mut buffer = TokenBuffer::new();
        let borrowed = auth.verify_borrowed(access(issued), &mut buffer).unwrap();
        assert_eq!(borrowed.acr(), Some("aal2"));
        assert_eq!(
            Timestamp::from(borrowed.authenticated_at()).unix(),
            began + 60
        );
    }
    clock.advance(seconds(540));
    let mut buffer = TokenBuffer::new();
    let borrowed = auth
        .verify_borrowed(access(&refreshed), &mut buffer)
        .unwrap();
    assert_eq!(
        (borrowed.acr(), acr(&auth, &refreshed).as_deref()),
        (Some("aal1"), Some("aal1"))
    );
    let later = block_on(auth.refresh(access(&refreshed))).unwrap();
    assert_eq!(claims(&later).get("stp"), None);
}

/// STEP-03: the row keeps the class of the login beside the step-up, in a field that an older node
/// overlooks: it shows the class of the login, and keeps the field. Rejects a step-up that overwrites
/// the class.
#[test]
fn step_03_an_older_node_shows_the_class_of_the_login() {
    let clock = ManualClock::default();
    let auth = sessions(&clock);
    let issued = block_on(auth.issue(user().acr("aal1"))).unwrap();
    clock.advance(seconds(60));
    let up = step_up(&auth, access(&issued)).unwrap();
    let row = row(auth.store(), &up, now(&clock)).encode();
    let field = b"\x08\x18\0\0\0\x01";
    let at = row.windows(6).position(|bytes| bytes == field).unwrap();
    let end = at + 2 + 0x18;
    assert!(row[at..end].ends_with(b"aal2"));
    assert!(row.windows(6).any(|bytes| bytes == b"\x05\x04aal1"));
    // A tag that this version does not know, as an older one does not know this one.
    let mut older = row.clone();
    older[at] = 100;
    let record = Record::decode(&older).unwrap();
    assert_eq!(record.encode(), older);
    let shown = |record: &Record| {
        let store = memory();
        let created = store.create(record, Limit::Unlimited, now(&clock));
        let _ = block_on(created).unwrap();
        let node = session_builder(store, &clock).build().unwrap();
        acr(&node, &up)
    };
    assert_eq!(shown(&record).as_deref(), Some("aal1"));
    // A step-up that overwrites the class of the login shows there, and would not lapse.
    let class = older.windows(6).position(|bytes| bytes == b"\x05\x04aal1");
    let mut overwritten = older.clone();
    overwritten[class.unwrap() + 5] = b'2';
    let overwritten = Record::decode(&overwritten).unwrap();
    assert_eq!(shown(&overwritten).as_deref(), Some("aal2"));
    // A field that no version has written counts as none.
    let mut cut = row[..at + 2].to_vec();
    cut[at + 1] = 4;
    cut.extend([0; 4]);
    cut.extend(&row[end..]);
    let record = Record::decode(&cut).unwrap();
    assert_eq!(shown(&record).as_deref(), Some("aal1"));
}

/// A copy on another node that has the credential and not yet the step-up shows the class of the
/// login, and the whole one as soon as it has read the log.
#[test]
fn a_copy_without_the_step_up_has_the_class_of_the_login() {
    let clock = ManualClock::default();
    let (log, store) = (Arc::new(MemoryLog::new().unwrap()), memory());
    let nodes = [(), ()].map(|()| {
        let view = RevocationView::builder(Arc::clone(&log))
            .max_lifetime(seconds(ABSOLUTE))
            .bound(seconds(ABSOLUTE))
            .clock(clock.clone());
        let view = view.build().unwrap();
        block_on(view.follow()).unwrap();
        let cached = CachedStore::builder(Arc::clone(&store), &view)
            .build()
            .unwrap();
        (session_builder(cached, &clock).build().unwrap(), view)
    });
    let issued = block_on(nodes[0].0.issue(user().acr("aal1"))).unwrap();
    assert_eq!(acr(&nodes[1].0, &issued).as_deref(), Some("aal1"));
    let up = step_up(&nodes[0].0, access(&issued)).unwrap();
    // Newer than the copy, so that the store is asked.
    assert_eq!(acr(&nodes[1].0, &up).as_deref(), Some("aal2"));
    let again = step_up(&nodes[0].0, access(&up)).unwrap();
    block_on(nodes[1].1.follow()).unwrap();
    assert_eq!(acr(&nodes[1].0, &again).as_deref(), Some("aal2"));
    assert_eq!(acr(&nodes[1].0, &up), Some("aal1".to_owned()));
}

/// A migration carries the class of the login and the rest of a step-up. In the overlap, a
/// step-up of the old credential does not reach the new one: a copy of the old one leads there.
#[test]
fn a_migration_carries_a_step_up_to_its_end() {
    type Pair = (&'static str, Any, Any);
    let clock = ManualClock::default();
    let old_tokens = token_builder(OLD_KEY, &clock).max_lifetime(seconds(3600));
    let old_hybrid = HybridAuthenticator::new(
        token_builder(OLD_KEY, &clock),
        session_builder(memory(), &clock),
    );
    let pairs: [Pair; 4] = [
        (
            "sessions to tokens",
            Arc::new(sessions(&clock)),
            Arc::new(tokens(&clock)),
        ),
        (
            "tokens to sessions",
            Arc::new(old_tokens.build().unwrap()),
            Arc::new(sessions(&clock)),
        ),
        (
            "sessions to hybrid",
            Arc::new(sessions(&clock)),
            Arc::new(hybrid(&clock)),
        ),
        (
            "hybrid to sessions",
            Arc::new(old_hybrid.unwrap()),
            Arc::new(sessions(&clock)),
        ),
    ];
    for (name, old, new) in pairs {
        let auth = Migrating::builder(Arc::clone(&old), new).overlap(seconds(60));
        let auth = auth.clock(clock.clone()).build().unwrap();
        let issued = block_on(old.issue(user().acr("aal1"))).unwrap();
        clock.advance(seconds(60));
        let up = step_up(&auth, refreshable(&issued)).unwrap();
        assert_eq!(acr(&auth, &up).as_deref(), Some("aal2"), "{name}");
        let moved = block_on(auth.refresh(refreshable(&up))).unwrap();
        assert!(!old.is_well_formed(access(&moved)), "{name}");
        let caller = verified(&auth, &moved);
        let proven_at = up.identity().authenticated_at();
        assert_eq!(
            (caller.acr(), caller.authenticated_at()),
            (Some("aal2"), proven_at),
            "{name}"
        );
        clock.advance(LASTS);
        let later = match block_on(auth.verify(access(&moved))) {
            Ok(caller) => caller,
            // An access token.
            Err(_) => block_on(auth.refresh(refreshable(&moved)))
                .unwrap()
                .into_identity(),
        };
        let began = issued.identity().authenticated_at();
        assert_eq!(
            (later.acr(), later.authenticated_at()),
            (Some("aal1"), began),
            "{name}"
        );

        // A thief with a copy of the old credential upgrades it, and waits.
        let issued = block_on(old.issue(Login::new("bob").data(String::new()))).unwrap();
        clock.advance(seconds(60));
        let stolen = block_on(auth.refresh(refreshable(&issued))).unwrap();
        let up = step_up(&auth, refreshable(&issued)).unwrap();
        assert_eq!(acr(&auth, &up).as_deref(), Some("aal2"), "{name}");
        assert_eq!(acr(&auth, &stolen), None, "{name}");
        let goes_on = block_on(auth.refresh(refreshable(&stolen))).unwrap();
        assert_eq!(goes_on.outcome(), Outcome::Rotated, "{name}");
        assert_eq!(acr(&auth, &goes_on), None, "{name}");
        if let Ok(again) = block_on(auth.refresh(refreshable(&issued))) {
            assert_eq!(acr(&auth, &again), None, "{name}");
        }

        // The same, and the user steps up the new credential: the copy leads to no class.
        let issued = block_on(old.issue(Login::new("carol").data(String::new()))).unwrap();
        clock.advance(seconds(60));
        let moved = block_on(auth.refresh(refreshable(&issued))).unwrap();
        let up = step_up(&auth, refreshable(&moved)).unwrap();
        for _ in 0..2 {
            assert_eq!(acr(&auth, &up).as_deref(), Some("aal2"), "{name}");
            if let Ok(again) = block_on(auth.refresh(refreshable(&issued))) {
                assert_eq!(acr(&auth, &again), None, "{name}");
            }
            let _ = block_on(auth.refresh(refreshable(&up))).unwrap();
        }
    }
}

/// An update that does not fit into an access token beside the step-up in force is refused before it is
/// written: otherwise no refresh of the login would succeed. Rejects a check without the step-up.
#[test]
fn an_update_fits_beside_a_step_up() {
    let acr = "a class with a name of fifty characters or more, in all";
    let (mut written, mut refused) = (0, 0);
    for length in 200..500 {
        let clock = ManualClock::default();
        let tokens = token_builder(NEW_KEY, &clock).max_length(900);
        let auth = HybridAuthenticator::new(tokens, session_builder(memory(), &clock)).unwrap();
        let issued = block_on(auth.issue(user())).unwrap();
        clock.advance(seconds(60));
        let step = &mut |login: &mut Edit<String>| login.step_up(acr, seconds(1_000));
        let stepped = block_on(auth.update(refreshable(&issued), step)).unwrap();
        let edit = &mut |login: &mut Edit<String>| {
            login.roles = vec!["x".repeat(length)];
            Ok(())
        };
        match block_on(auth.update(refreshable(&stepped), edit)) {
            Ok(_) => written += 1,
            Err(error) => {
                assert_eq!(error.refusal(), Some(Refusal::TooLarge));
                refused += 1;
            }
        }
        clock.advance(seconds(60));
        let refreshed = block_on(auth.refresh(refreshable(&stepped)));
        assert!(refreshed.is_ok(), "{length}: {refreshed:?}");
    }
    assert!(
        written > 0 && refused > 0,
        "{written} written, {refused} refused"
    );
}
