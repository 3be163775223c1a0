//! Guarantees of API keys that no store can break.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use statewise::api_keys::{ApiKeys, ApiKeysBuilder};
use statewise::either::Either;
use statewise::observer::{Act, Event, Observer};
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::MemoryStore;
use statewise::testkit::{Fault, FaultyStore, ManualClock, Method, block_on};
use statewise::{
    Authenticator, Edit, Identity, Issued, Login, Observed, Purpose, Refusal, Rejection,
};

use crate::migrating::{cause, seconds};

const DAY: u64 = 86_400;

type Store = Arc<FaultyStore<MemoryStore>>;

fn store() -> Store {
    Arc::new(FaultyStore::new(MemoryStore::with_capacity(1_000).unwrap()))
}

fn builder(store: &Store, clock: &ManualClock) -> ApiKeysBuilder<Store> {
    let keys = ApiKeys::builder(Arc::clone(store)).prefix("acme_pat");
    keys.longest(seconds(365 * DAY)).clock(clock.clone())
}

fn sessions(store: &Store, clock: &ManualClock) -> SessionAuthenticator<Store> {
    let builder = SessionAuthenticator::builder(Arc::clone(store));
    let builder = builder.idle(seconds(1_800)).absolute(seconds(DAY));
    builder.clock(clock.clone()).build().unwrap()
}

fn text(key: &Issued) -> &str {
    key.credential().reveal()
}

/// BEGIN-03: a key that continues an ended one is refused, whichever call returned the identity.
#[test]
fn begin_03_a_key_does_not_continue_an_ended_one() {
    let (store, clock) = (store(), ManualClock::default());
    let keys = builder(&store, &clock).build().unwrap();
    let key = block_on(keys.issue(Login::new("alice"))).unwrap();
    let rename = &mut |key: &mut Edit| {
        key.device = Some("CI".to_owned());
        Ok(())
    };
    let identities = [
        key.identity().clone(),
        block_on(keys.update(text(&key), rename))
            .unwrap()
            .into_identity(),
        block_on(keys.verify(text(&key))).unwrap(),
    ];
    for identity in &identities {
        let _ = block_on(keys.issue(identity.clone().into_login())).unwrap();
    }
    let _ = block_on(keys.revoke(text(&key))).unwrap();
    for identity in identities {
        let error = block_on(keys.issue(identity.into_login())).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Outdated), "{error}");
    }
}

#[test]
fn a_key_has_a_name_scopes_and_a_last_use() {
    let (store, clock) = (store(), ManualClock::default());
    let keys = builder(&store, &clock).build().unwrap();
    let login = Login::new("alice").role("repo:read").device("CI");
    let key = block_on(keys.issue(login)).unwrap();
    assert_eq!(text(&key).len(), "acme_pat_".len() + 64 + 6);
    assert!(keys.is_well_formed(text(&key)));
    let (made_at, id) = (key.identity().issued_at(), key.identity().id());
    clock.advance(seconds(3_599));
    let caller = block_on(keys.verify(text(&key))).unwrap();
    assert_eq!((caller.subject(), caller.device()), ("alice", Some("CI")));
    assert_eq!((caller.id(), caller.purpose()), (id, Purpose::ApiKey));
    assert!(caller.has_role("repo:read"));
    // The last use is kept to the hour.
    let last_use = || {
        let listed = block_on(keys.keys("alice", None)).unwrap().sessions;
        assert_eq!((listed.len(), listed[0].id()), (1, id));
        listed[0].last_seen_at()
    };
    assert_eq!(last_use(), made_at);
    clock.advance(seconds(1));
    block_on(keys.verify(text(&key))).unwrap();
    assert_eq!(last_use(), made_at + seconds(3_600));
    // The name belongs to the user alone.
    let renamed = block_on(keys.rename("bob", id, "mine")).unwrap();
    assert!(renamed.is_none());
    let renamed = block_on(keys.rename("alice", id, "laptop")).unwrap();
    assert_eq!(renamed.unwrap().device(), Some("laptop"));
    let caller = block_on(keys.verify(text(&key))).unwrap();
    assert_eq!(caller.device(), Some("laptop"));
    assert!(caller.has_role("repo:read"));
    // As a login again, it is that of the user.
    assert_eq!(caller.into_login().subject(), "alice");
}

/// The longest life, a shorter one of this key, and the time without a use.
#[test]
fn a_key_ends() {
    let (store, clock) = (store(), ManualClock::default());
    let keys = builder(&store, &clock).unused(seconds(90 * DAY)).build();
    let keys = keys.unwrap();
    let issue = |login| block_on(keys.issue(login)).unwrap();
    let begin = issue(Login::new("alice")).identity().issued_at();
    let (used, unused) = (
        issue(Login::new("alice").remember()),
        issue(Login::new("alice")),
    );
    let short = issue(Login::new("alice").deadline(begin + seconds(10 * DAY)));
    let verify = |key| {
        let answer = block_on(keys.verify(text(key)));
        answer.err().and_then(|error| error.rejection())
    };
    for day in 1..365 {
        clock.advance(seconds(DAY));
        assert_eq!(verify(&used), None, "day {day}");
        if day == 9 || day == 10 {
            let ended = (day == 10).then_some(Rejection::Unknown);
            assert_eq!(verify(&short), ended);
        }
        if day == 90 {
            assert_eq!(verify(&unused), Some(Rejection::Unknown));
        }
    }
    clock.advance(seconds(DAY));
    assert_eq!(verify(&used), Some(Rejection::Unknown));
    // A shorter policy counts at once.
    let key = issue(Login::new("alice").remember());
    let shorter = ApiKeys::builder(Arc::clone(&store)).prefix("acme_pat");
    let shorter = shorter.longest(seconds(DAY)).clock(clock.clone()).build();
    clock.advance(seconds(DAY));
    let answer = block_on(shorter.unwrap().verify(text(&key)));
    assert_eq!(cause(answer), Some(Rejection::Unknown));
}

#[test]
fn a_key_without_an_end_is_an_explicit_choice() {
    let (store, clock) = (store(), ManualClock::default());
    let keys = || {
        ApiKeys::builder(Arc::clone(&store))
            .prefix("acme_pat")
            .without_end()
    };
    let endless = keys().clock(clock.clone()).build().unwrap();
    let key = block_on(endless.issue(Login::new("alice"))).unwrap();
    assert_eq!(key.expires_at().year(), 9999);
    clock.advance(seconds(100 * 365 * DAY));
    assert!(block_on(endless.verify(text(&key))).is_ok());
    let used = keys().unused(seconds(DAY)).clock(clock.clone()).build();
    let used = used.unwrap();
    let key = block_on(used.issue(Login::new("alice"))).unwrap();
    clock.advance(seconds(DAY));
    assert!(block_on(used.verify(text(&key))).is_err());
}

#[test]
fn a_key_is_never_refreshed() {
    let (store, clock) = (store(), ManualClock::default());
    let keys = builder(&store, &clock).build().unwrap();
    let key = block_on(keys.issue(Login::new("alice").role("read"))).unwrap();
    let calls = store.calls();
    let refused = block_on(keys.refresh(text(&key))).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::NotRefreshable));
    assert_eq!(Refusal::NotRefreshable.name(), "not_refreshable");
    assert_eq!(store.calls(), calls);
    let step_up = &mut |key: &mut Edit| key.step_up("aal2", seconds(60));
    let refused = block_on(keys.update(text(&key), step_up)).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::NotRefreshable));
    // Changed scopes make no refresh due, as those of a session do.
    let edit = &mut |key: &mut Edit| {
        assert_eq!(key.subject(), "alice");
        key.roles = vec!["write".to_owned()];
        Ok(())
    };
    let updated = block_on(keys.update(text(&key), edit)).unwrap();
    assert_eq!(text(&updated), text(&key));
    let caller = block_on(keys.verify(text(&key))).unwrap();
    assert!(caller.has_role("write") && !caller.has_role("read"));
    assert!(!caller.refresh_due() && !updated.identity().refresh_due());
    let all = block_on(keys.update_all("alice", &mut |key: &mut Edit| {
        key.roles = Vec::new();
        Ok(())
    }));
    assert_eq!(all.unwrap().count, Some(1));
    let caller = block_on(keys.verify(text(&key))).unwrap();
    assert!(caller.roles().count() == 0 && !caller.refresh_due());
}

/// KEY-03: an update of all logins of a user takes scopes away from a key, and gives it none, whether
/// the sessions are updated too or the keys alone. Rejects keys that get the roles of their user.
#[test]
fn key_03_an_update_of_all_logins_widens_no_key() {
    let (store, clock) = (store(), ManualClock::default());
    let keys = Arc::new(builder(&store, &clock).build().unwrap());
    let auth = Either::builder(sessions(&store, &clock), Arc::clone(&keys));
    let auth = auth.build().unwrap();
    let scopes = ["repo:read", "repo:write", "mail"];
    let key = block_on(keys.issue(Login::new("alice").roles(scopes))).unwrap();
    let session = block_on(auth.issue(Login::new("alice").role("reader"))).unwrap();
    let roles_of = |issued: &Issued| {
        let caller = block_on(auth.verify(text(issued))).unwrap();
        caller.roles().map(str::to_owned).collect::<Vec<_>>()
    };
    let set = |roles: &'static [&'static str]| {
        move |login: &mut Edit| {
            login.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            Ok(())
        }
    };
    let promoted = &["admin", "repo:write", "repo:read"];
    let all = block_on(auth.update_all("alice", &mut set(promoted))).unwrap();
    assert_eq!(all.count, Some(2));
    assert_eq!(roles_of(&session), promoted);
    assert_eq!(roles_of(&key), promoted[1..]);
    let _ = block_on(keys.update_all("alice", &mut set(&["mail", "repo:read"]))).unwrap();
    assert_eq!(roles_of(&key), ["repo:read"]);
    // An edit that knows the keys leaves them their scopes.
    let mut purposes = Vec::new();
    let _ = block_on(auth.update_all("alice", &mut |login| {
        purposes.push(login.purpose());
        if login.purpose() == Purpose::Login {
            login.roles = vec!["reader".to_owned()];
        }
        Ok(())
    }))
    .unwrap();
    assert_eq!(purposes, [Purpose::Login, Purpose::ApiKey]);
    assert_eq!(roles_of(&session), ["reader"]);
    assert_eq!(roles_of(&key), ["repo:read"]);
    // Also for the name, which is no scope.
    let _ = block_on(keys.update_all("alice", &mut |key| {
        key.device = Some("old".to_owned());
        set(&["admin"])(key)
    }))
    .unwrap();
    let caller = block_on(auth.verify(text(&key))).unwrap();
    assert_eq!((caller.device(), caller.roles().count()), (Some("old"), 0));
}

/// A key is no session, and no key with another prefix, although their rows are in one store.
#[test]
fn a_key_is_accepted_as_nothing_else() {
    let (store, clock) = (store(), ManualClock::default());
    let (keys, sessions) = (
        builder(&store, &clock).build().unwrap(),
        sessions(&store, &clock),
    );
    let key = block_on(keys.issue(Login::new("alice"))).unwrap();
    let session = block_on(sessions.issue(Login::new("alice"))).unwrap();
    let other = ApiKeys::builder(Arc::clone(&store)).prefix("acme_ci");
    let other = other.longest(seconds(DAY)).clock(clock.clone()).build();
    let other = other.unwrap();
    for foreign in [text(&session), text(&key)] {
        assert_eq!(
            cause(block_on(other.verify(foreign))),
            Some(Rejection::Malformed)
        );
    }
    assert_eq!(
        cause(block_on(sessions.verify(text(&key)))),
        Some(Rejection::Malformed)
    );
    assert_eq!(
        cause(block_on(keys.verify(text(&session)))),
        Some(Rejection::Malformed)
    );
    // Its 64 characters alone, as its holder can cut them out.
    let chars = &text(&key)["acme_pat_".len()..][..64];
    assert_eq!(
        cause(block_on(sessions.verify(chars))),
        Some(Rejection::Unknown)
    );
    assert_eq!(
        cause(block_on(sessions.refresh(chars))),
        Some(Rejection::Unknown)
    );
    assert!(block_on(sessions.revoke(chars)).is_ok_and(|ended| ended.login().is_none()));
    // With another prefix and the checksum of that text.
    let renamed = with_checksum(format!("acme_ci_{chars}"));
    assert!(other.is_well_formed(&renamed));
    let answer = block_on(other.verify(&renamed));
    assert_eq!(cause(answer), Some(Rejection::Unknown));
    assert!(block_on(other.leaked(&renamed)).unwrap().is_none());
    assert!(block_on(keys.verify(text(&key))).is_ok());
    let _ = Either::builder(sessions, Either::builder(keys, other).build().unwrap())
        .build()
        .unwrap();
}

#[test]
fn misuse_of_the_builder_fails_at_build() {
    let (store, clock) = (store(), ManualClock::default());
    let prefixed = |prefix: &str| {
        let keys = ApiKeys::builder(Arc::clone(&store)).prefix(prefix);
        keys.longest(seconds(DAY)).build().unwrap_err()
    };
    let zero = seconds(0);
    for (error, remedy) in [
        (prefixed(""), "choose one such as `acme_pat`"),
        (prefixed("acme_"), "choose one such as `acme_pat`"),
        (prefixed("ACME"), "choose one such as `acme_pat`"),
        (
            builder(&store, &clock)
                .unused(seconds(366 * DAY))
                .build()
                .unwrap_err(),
            "shorten `unused`",
        ),
        (
            builder(&store, &clock).unused(zero).build().unwrap_err(),
            "at least one",
        ),
        (
            builder(&store, &clock)
                .limit(Limit::Reject(0))
                .build()
                .unwrap_err(),
            "allow at least one",
        ),
        (
            ApiKeys::builder(Arc::clone(&store))
                .prefix("a")
                .longest(zero)
                .build()
                .unwrap_err(),
            "at least one",
        ),
    ] {
        assert!(
            error.is_misuse() && error.to_string().contains(remedy),
            "{error}"
        );
    }
    // A subject that would be in a namespace.
    let keys = builder(&store, &clock).build().unwrap();
    let subject = "\u{1}key:acme_pat\u{1}alice";
    let sessions = sessions(&store, &clock);
    assert!(
        block_on(sessions.issue(Login::new(subject)))
            .unwrap_err()
            .is_misuse()
    );
    assert!(
        block_on(keys.issue(Login::new(subject)))
            .unwrap_err()
            .is_misuse()
    );
    assert!(
        block_on(keys.issue(Login::new("")))
            .unwrap_err()
            .is_misuse()
    );
    // Fifty keys by default.
    for _ in 0..50 {
        let _ = block_on(keys.issue(Login::new("alice"))).unwrap();
    }
    let refused = block_on(keys.issue(Login::new("alice"))).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::SessionLimit));
}

/// Records what an observer hears of the ends of keys.
#[derive(Debug, Default)]
struct Ends(Mutex<Vec<String>>);

impl Observer for Ends {
    fn observe(&self, event: &Event<'_>) {
        let line = match event {
            Event::Revoked { act, login, .. } => {
                let user = login.map(|login| login.subject());
                format!("{} {user:?}", act.name())
            }
            Event::Rejected { act, cause, .. } => format!("{} {}", act.name(), cause.name()),
            Event::Updated { act, login, .. } => format!("{} {}", act.name(), login.subject()),
            Event::Issued { login, .. } | Event::Verified { login } => login.subject().to_owned(),
            Event::Unavailable { act, .. } => format!("{} unavailable", act.name()),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn a_leaked_key_ends_and_its_user_is_named() {
    let (store, clock) = (store(), ManualClock::default());
    let ends = Arc::new(Ends::default());
    let keys = builder(&store, &clock).build().unwrap();
    let keys = Observed::new(keys, Arc::clone(&ends) as Arc<dyn Observer>);
    let heard = || std::mem::take(&mut *ends.0.lock().unwrap());
    let key = block_on(keys.issue(Login::new("alice").device("CI"))).unwrap();
    block_on(keys.verify(text(&key))).unwrap();
    let id = key.identity().id();
    block_on(keys.rename("alice", id, "laptop")).unwrap();
    assert_eq!(heard(), ["alice", "alice", "update_id alice"]);
    // A text that is no key, and a right checksum over another secret of this very key.
    let calls = store.calls();
    let damaged = format!("{}x", text(&key));
    for wrong in ["", "acme_pat_", "a page that mentions acme_pat_", &damaged] {
        assert!(block_on(keys.leaked(wrong)).unwrap().is_none());
    }
    assert_eq!(store.calls(), calls);
    assert_eq!(heard(), ["leaked unknown"; 4]);
    let forged = forged(text(&key));
    assert!(keys.is_well_formed(&forged));
    assert_eq!(
        cause(block_on(keys.verify(&forged))),
        Some(Rejection::Unknown)
    );
    assert!(block_on(keys.leaked(&forged)).unwrap().is_none());
    assert!(block_on(keys.verify(text(&key))).is_ok());
    heard();
    // An outage is no answer.
    store.fail_nth_of(Method::Load, 1, Fault::Fails);
    assert!(
        block_on(keys.leaked(text(&key)))
            .unwrap_err()
            .is_unavailable()
    );
    let ended = block_on(keys.leaked(text(&key))).unwrap().unwrap();
    let ended = ended.login().unwrap();
    assert_eq!(
        (ended.subject(), ended.device(), ended.id()),
        ("alice", Some("laptop"), id)
    );
    assert_eq!(heard(), ["leaked unavailable", "leaked Some(\"alice\")"]);
    assert_eq!(
        cause(block_on(keys.verify(text(&key)))),
        Some(Rejection::Unknown)
    );
    assert!(block_on(keys.leaked(text(&key))).unwrap().is_none());
    assert_eq!(Act::Leaked.name(), "leaked");
    // The other ends name the user too.
    heard();
    let [one, two] = [(); 2].map(|()| block_on(keys.issue(Login::new("bob"))).unwrap());
    let _ = block_on(keys.revoke(text(&one))).unwrap();
    let _ = block_on(keys.revoke_id("bob", two.identity().id())).unwrap();
    assert_eq!(
        heard()[2..],
        ["revoke Some(\"bob\")", "revoke_id Some(\"bob\")"]
    );
}

/// Changes the secret of a key, and writes another checksum.
fn forged(key: &str) -> String {
    let (text, _) = key.split_at(key.len() - 7);
    let last = if key.starts_with(&format!("{text}A")) {
        "B"
    } else {
        "A"
    };
    with_checksum(text.to_owned() + last)
}

/// Appends the checksum: CRC-32 bit by bit, in base 62.
fn with_checksum(text: String) -> String {
    let crc = text.bytes().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    });
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |place: u32| char::from(digits[((!crc / 62u32.pow(place)) % 62) as usize]);
    text + &(0..6).rev().map(digit).collect::<String>()
}

/// The purpose of an identity is that of its authenticator, whatever the subject looks like.
#[test]
fn a_purpose_is_no_matter_of_the_subject() {
    let now = time::OffsetDateTime::now_utc();
    let caller = Identity::unverified(Login::new("alice"), now, now).unwrap();
    assert_eq!(caller.purpose(), Purpose::Login);
    let caller = caller.with_purpose(Purpose::ApiKey);
    assert_eq!(
        (caller.subject(), caller.purpose()),
        ("alice", Purpose::ApiKey)
    );
}
