//! Key rotation, which tokens do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use statewise::clock::Clock;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::log::RevocationLog as _;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::Random;
use statewise::token::{Interop, Key, KeyState, Keyring, TokenAuthenticator};
use statewise::{Authenticator, Login, Refusal, Rejection};
use time::OffsetDateTime;

use crate::support::*;

/// The maximum lifetime of a token of `builder`.
const LIFE: u64 = 3600;
/// Additional time for which a key is kept.
const MARGIN: u64 = 60;

fn other(byte: u8) -> Key {
    Key::hs256(&std::array::from_fn::<u8, 32, _>(|at| byte ^ at as u8)).unwrap()
}

fn token(auth: &TokenAuthenticator) -> String {
    token_of(&now(auth.issue(Login::new("alice"))).unwrap())
}

#[test]
fn the_state_of_a_key_follows_from_the_time() {
    let clock = Hands::at(START);
    let (first, second) = (key(), other(1));
    let ring = Keyring::new(first.clone()).then(second.clone(), at(START + 1000));
    let auth = builder(ring, &clock).build().unwrap();
    let states = |seconds: u64| {
        let ring = auth.keyring();
        let state = |key: &Key| ring.state(key.kid(), at(seconds)).unwrap();
        (state(&first), state(&second))
    };
    use KeyState::{Active, Next, Retired, VerifyOnly};
    let end = START + 1000 + LIFE + MARGIN;
    assert_eq!(states(START), (Active, Next));
    assert_eq!(states(START + 999), (Active, Next));
    assert_eq!(states(START + 1000), (VerifyOnly, Active));
    assert_eq!(states(end - 1), (VerifyOnly, Active));
    assert_eq!(states(end), (Retired, Active));
    assert_eq!(auth.keyring().state("no such key", at(START)), None);

    clock.set(START + 999);
    let old = token(&auth);
    assert_eq!(old[..63], token(&plain(&clock))[..63]);
    clock.set(START + 1000);
    let new = token(&auth);
    assert_ne!(old[..63], new[..63]);
    assert!(auth.verify_now(&old).is_ok() && auth.verify_now(&new).is_ok());
}

#[test]
fn a_retired_key_verifies_nothing() {
    let clock = Hands::at(START);
    let ring = Keyring::new(other(1))
        .verify_with(key())
        .retire(key().kid(), at(START + 100));
    let auth = builder(ring, &clock).build().unwrap();
    let old = token(&plain(&clock));
    clock.set(START + 99);
    assert!(auth.verify_now(&old).is_ok());
    clock.set(START + 100);
    assert_eq!(
        rejection(auth.verify_now(&old)),
        Rejection::UnacceptableHeader
    );
}

#[test]
fn no_token_is_signed_that_outlives_its_key() {
    let clock = Hands::at(START);
    let ends = |at_seconds: u64| {
        let ring = Keyring::new(key()).retire(key().kid(), at(START + at_seconds));
        let auth = builder(ring, &clock).build().unwrap();
        now(auth.issue(Login::new("alice")))
    };
    assert!(ends(900).is_ok());
    assert!(ends(899).unwrap_err().is_misuse());
    assert!(ends(0).unwrap_err().is_misuse());
    let ring = Keyring::new(key()).retire("no such key", at(START));
    assert!(builder(ring, &clock).build().unwrap_err().is_misuse());
}

/// Returns the state of a key in the ring of `auth`.
fn state(auth: &TokenAuthenticator, key: &Key, seconds: u64) -> Option<KeyState> {
    auth.keyring().state(key.kid(), at(seconds))
}

/// Without a time in the ring, the node cannot know when all others know the new key.
#[test]
fn a_new_key_without_a_time_signs_only_after_a_minute() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock).build().unwrap();
    let ring = Keyring::new(other(1)).verify_with(key());
    let new = builder(other(1), &clock).build().unwrap();
    for passed in [0, 30, 59] {
        // Loaded several times: the minute begins with the first.
        clock.set(START + passed);
        auth.replace_keyring(ring.clone()).unwrap();
        assert_eq!(token(&auth)[..63], token(&plain(&clock))[..63]);
        assert!(auth.verify_now(&token(&new)).is_ok());
        assert_eq!(state(&auth, &key(), START + passed), Some(KeyState::Active));
        assert_eq!(
            state(&auth, &other(1), START + passed),
            Some(KeyState::Next)
        );
    }
    let old = token(&auth);
    clock.set(START + 60);
    assert_eq!(token(&auth)[..63], token(&new)[..63]);
    assert!(auth.verify_now(&old).is_ok());
    auth.replace_keyring(ring).unwrap();
    assert_eq!(token(&auth)[..63], token(&new)[..63]);
    assert!(auth.verify_now(&old).is_ok());
    // A key that all nodes have known for a minute signs at once.
    auth.replace_keyring(
        Keyring::new(other(1))
            .verify_with(key())
            .verify_with(other(2)),
    )
    .unwrap();
    clock.set(START + 120);
    auth.replace_keyring(
        Keyring::new(other(2))
            .verify_with(other(1))
            .verify_with(key()),
    )
    .unwrap();
    assert_eq!(state(&auth, &other(2), START + 120), Some(KeyState::Active));
}

/// A node that reads a ring late is never worse than one that has read it in time.
#[test]
fn a_ring_that_comes_late_is_accepted() {
    let moment = START + 1000;
    let ring = Keyring::new(key()).then(other(1), at(moment));
    for read_at in [moment - 300, moment - 59, moment - 1, moment, moment + 15] {
        let clock = Hands::at(START);
        let auth = builder(key(), &clock).build().unwrap();
        clock.set(read_at);
        let (old, theirs) = (token(&auth), builder(other(1), &clock).build().unwrap());
        auth.replace_keyring(ring.clone()).unwrap();
        assert!(auth.verify_now(&token(&theirs)).is_ok() && auth.verify_now(&old).is_ok());
        let signs_with_new = token(&auth)[..63] == token(&theirs)[..63];
        assert_eq!(signs_with_new, read_at >= moment, "read at {read_at}");
        clock.set(moment);
        assert_eq!(token(&auth)[..63], token(&theirs)[..63]);
        // The old key retires when it does on every node.
        let end = moment + LIFE + MARGIN;
        assert_eq!(state(&auth, &key(), end - 1), Some(KeyState::VerifyOnly));
        assert_eq!(state(&auth, &key(), end), Some(KeyState::Retired));
    }
}

/// Each refusal leaves the ring as it is, and its advice can be followed.
#[test]
fn a_ring_with_a_mistake_is_refused() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock).build().unwrap();
    let refused = |ring: Keyring, reason: &str| {
        let error = auth.replace_keyring(ring).unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains(reason),
            "{error}"
        );
        assert_eq!(token(&auth)[..63], token(&plain(&clock))[..63]);
    };
    let leaves_out = "add it with `verify_with`";
    refused(other(1).into(), leaves_out);
    refused(Keyring::new(other(1)).then(other(2), at(START)), leaves_out);
    let twice = "begin to sign twice";
    refused(Keyring::new(key()).then(key(), at(START + 600)), twice);
    refused(Keyring::new(key()).spare(key()), twice);
    let missing = "is not in the ring";
    refused(
        Keyring::new(key()).retire(other(1).kid(), at(START)),
        missing,
    );
    let retired = "all keys of the ring that sign are retired";
    refused(Keyring::new(key()).retire(key().kid(), at(START)), retired);
    let long = Key::hs384(&SECRET).unwrap();
    let same = Key::hs512(&SECRET).unwrap();
    let two_ids = "the same secret under two ids";
    refused(
        Keyring::new(key())
            .verify_with(long.clone())
            .verify_with(same.clone()),
        two_ids,
    );
    let ring = Keyring::new(long).verify_with(same);
    assert!(builder(ring, &clock).build().unwrap_err().is_misuse());

    // A leaked key ends at once, on purpose, and can be left out then.
    let old = token(&auth);
    let ring = Keyring::new(other(1)).verify_with(key());
    auth.replace_keyring(ring.retire(key().kid(), at(START)))
        .unwrap();
    assert!(auth.verify_now(&old).is_err() && auth.verify_now(&token(&auth)).is_ok());
    assert_eq!(state(&auth, &other(1), START), Some(KeyState::Active));
    auth.replace_keyring(other(1)).unwrap();

    // A key that verifies for too short a time does not sign for another minute.
    let ending = Keyring::new(other(3)).verify_with(other(1));
    let node = builder(other(1), &clock).build().unwrap();
    node.replace_keyring(ending.retire(other(1).kid(), at(START + 100)))
        .unwrap();
    assert_eq!(state(&node, &other(3), START), Some(KeyState::Active));
    assert!(node.verify_now(&token(&node)).is_ok());

    // A replaced key can be left out when the last of its tokens has expired.
    auth.replace_keyring(Keyring::new(other(1)).then(other(2), at(START + 600)))
        .unwrap();
    let end = START + 600 + LIFE + MARGIN;
    clock.set(end - 1);
    assert!(auth.replace_keyring(other(2)).unwrap_err().is_misuse());
    // Also if it only verifies in between.
    auth.replace_keyring(Keyring::new(other(2)).verify_with(other(1)))
        .unwrap();
    assert!(auth.replace_keyring(other(2)).unwrap_err().is_misuse());
    clock.set(end);
    auth.replace_keyring(other(2)).unwrap();
}

#[test]
fn a_key_that_is_in_the_ring_becomes_the_next_one() {
    let clock = Hands::at(START);
    let known = [
        Keyring::new(key()).verify_with(other(1)),
        Keyring::new(key()).spare(other(1)),
    ];
    for known in known {
        let auth = builder(known, &clock).build().unwrap();
        assert_ne!(state(&auth, &other(1), START), Some(KeyState::Next));
        let next = auth.keyring().then(other(1), at(START + 600));
        auth.replace_keyring(next).unwrap();
        assert_eq!(state(&auth, &other(1), START), Some(KeyState::Next));
        assert_eq!(state(&auth, &other(1), START + 600), Some(KeyState::Active));
    }
}

/// A node of the fleet that follows `log`.
fn node(
    log: &Arc<MemoryLog>,
    ring: Keyring,
    clock: &Hands,
) -> (TokenAuthenticator, RevocationView) {
    let view = RevocationView::builder(Arc::clone(log))
        .max_lifetime(Duration::from_secs(LIFE))
        .bound(Duration::from_secs(100_000))
        .clock(clock.clone())
        .build()
        .unwrap();
    now(view.follow()).unwrap();
    let auth = builder(ring, clock).revocations(&view).build().unwrap();
    (auth, view)
}

/// The spare of each ring takes over at once, on nodes too that have not read the log yet.
#[test]
fn a_spare_replaces_a_leaked_key_in_one_call() {
    let (clock, log) = (Hands::at(START), Arc::new(MemoryLog::new().unwrap()));
    let (leaked, spare) = (key(), other(1));
    let ring = Keyring::new(leaked.clone()).spare(spare.clone());
    let (here, _) = node(&log, ring.clone(), &clock);
    let (there, view) = node(&log, ring, &clock);
    let old = token(&here);
    assert_eq!(old[..63], token(&plain(&clock))[..63]);
    assert_eq!(state(&here, &spare, START), Some(KeyState::Spare));
    assert_eq!(
        state(&here, &leaked, START + 1_000_000),
        Some(KeyState::Active)
    );
    let _ = now(here.retire_key(leaked.kid())).unwrap();
    assert_eq!(rejection(here.verify_now(&old)), Rejection::Revoked);
    assert_eq!(state(&here, &leaked, START), Some(KeyState::Retired));
    assert_eq!(state(&here, &spare, START), Some(KeyState::Active));
    // The other node has not read the log, and reads it before it signs.
    assert!(there.verify_now(&old).is_ok());
    for signed in [token(&here), token(&there)] {
        assert!(here.verify_now(&signed).is_ok() && there.verify_now(&signed).is_ok());
    }
    now(view.follow()).unwrap();
    assert_eq!(rejection(there.verify_now(&old)), Rejection::Revoked);
    // The retired key can be left out, and the spare leads with another one behind it.
    for auth in [&here, &there] {
        auth.replace_keyring(Keyring::new(spare.clone()).spare(other(2)))
            .unwrap();
        assert!(auth.verify_now(&token(&here)).is_ok());
    }
}

/// A call that would leave a node without a key to sign with is refused, and its advice works.
#[test]
fn no_key_is_retired_without_another_one() {
    let clock = Hands::at(START);
    let kid = key().kid().to_owned();
    let error = now(plain(&clock).retire_key(&kid)).unwrap_err();
    assert!(error.is_misuse() && error.to_string().contains("revocation view"));

    let log = Arc::new(MemoryLog::new().unwrap());
    let (auth, view) = node(&log, key().into(), &clock);
    // It conflicts with the state, and is no mistake of the code. The message says what to do first.
    let refused = |rule, step: &str| {
        let error = now(auth.retire_key(&kid)).unwrap_err();
        assert_eq!(error.refusal(), Some(rule), "{error}");
        assert!(error.to_string().contains(step), "{error}");
        assert!(auth.verify_now(&token(&auth)).is_ok());
    };
    let step = "`Keyring::new(leaked).then(new, time)`";
    refused(Refusal::LastKey, step);
    auth.replace_keyring(Keyring::new(key()).verify_with(other(1)))
        .unwrap();
    refused(Refusal::LastKey, step);
    auth.replace_keyring(
        Keyring::new(key())
            .then(other(2), at(START + 60))
            .verify_with(other(1)),
    )
    .unwrap();
    refused(Refusal::NextKeyTooNew, "call again in a minute");
    clock.set(START + 120);
    let _ = now(auth.retire_key(&kid)).unwrap();
    let signed = token(&auth);
    assert!(auth.verify_now(&signed).is_ok());

    // Without regard to logins, a key can be retired all the same.
    let _ = now(view.retire_key(other(2).kid())).unwrap();
    assert!(auth.verify_now(&signed).is_err());
    let error = now(auth.issue(Login::new("alice"))).unwrap_err();
    assert!(
        error.is_misuse() && error.to_string().contains("`Keyring::new`"),
        "{error}"
    );
    // Never a key that only verifies.
    let error = auth
        .replace_keyring(Keyring::new(other(2)).verify_with(other(1)))
        .unwrap_err();
    assert!(error.is_misuse(), "{error}");
    auth.replace_keyring(Keyring::new(other(2)).then(other(3), at(START + 1000)))
        .unwrap();
    assert!(auth.verify_now(&token(&auth)).is_ok());
}

/// An issuer that could sign no token gets no requests. A verifier needs no key that signs.
#[test]
fn an_issuer_without_a_key_to_sign_with_is_not_ready() {
    let (clock, log) = (Hands::at(START), Arc::new(MemoryLog::new().unwrap()));
    let (auth, view) = node(&log, Keyring::new(key()).verify_with(other(1)), &clock);
    let logins = SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
        .idle(Duration::from_secs(LIFE))
        .absolute(Duration::from_secs(LIFE));
    let tokens = builder(key(), &clock).revocations(&view);
    let hybrid = HybridAuthenticator::new(tokens, logins.clock(clock.clone())).unwrap();
    now(auth.ready()).unwrap();
    now(hybrid.ready()).unwrap();

    let _ = now(view.retire_key(key().kid())).unwrap();
    for error in [now(auth.ready()), now(hybrid.ready())] {
        let error = error.unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("`Keyring::new`"),
            "{error}"
        );
    }
    // As the error says.
    auth.replace_keyring(other(2)).unwrap();
    hybrid.replace_keyring(other(2)).unwrap();
    now(auth.ready()).unwrap();
    now(hybrid.ready()).unwrap();

    // A key that retires too soon signs no token either.
    let ring = Keyring::new(key()).retire(key().kid(), at(START + 900));
    let auth = builder(ring, &clock).build().unwrap();
    now(auth.ready()).unwrap();
    clock.set(START + 1);
    assert!(now(auth.ready()).unwrap_err().is_misuse());
}

/// Rejects a call that answers a typing error on the day of a leak with success.
#[test]
fn only_a_known_key_is_retired() {
    let (clock, log) = (Hands::at(START), Arc::new(MemoryLog::new().unwrap()));
    let ring = Keyring::new(key()).spare(other(1));
    let (auth, view) = node(&log, ring.clone(), &clock);
    let before = now(log.head(statewise::clock::Timestamp::from_unix(START))).unwrap();
    let unknown = other(2);
    for kid in [unknown.kid(), "", "no key", "AAAAAAAAAAA", "AAAAAAAAAAA\n"] {
        let error = now(auth.retire_key(kid)).unwrap_err();
        let text = error.to_string();
        assert!(error.is_misuse(), "{error}");
        // The message says which keys there are, and what to do for another one.
        for known in [key().kid(), other(1).kid(), "`RevocationView::retire_key`"] {
            assert!(text.contains(known), "{text}");
        }
    }
    let after = now(log.head(statewise::clock::Timestamp::from_unix(START))).unwrap();
    assert_eq!(before, after);

    // A retired key is no mistake, with and without it in the ring, and on each node that knows it.
    let _ = now(auth.retire_key(key().kid())).unwrap();
    let _ = now(auth.retire_key(key().kid())).unwrap();
    auth.replace_keyring(Keyring::new(other(1)).spare(other(3)))
        .unwrap();
    let _ = now(auth.retire_key(key().kid())).unwrap();
    // A ring that has lost the key, of a node that has not heard of it.
    let _ = now(view.retire_key(unknown.kid())).unwrap();
    let _ = now(auth.retire_key(unknown.kid())).unwrap();
    let (late, view) = node(&log, Keyring::new(other(1)).spare(other(3)), &clock);
    now(view.follow()).unwrap();
    let _ = now(late.retire_key(unknown.kid())).unwrap();
    assert!(late.verify_now(&token(&late)).is_ok());
}

/// The ids of a ring, for a person: which key signs now, and which one is next.
#[test]
fn a_node_tells_which_key_signs() {
    let (clock, log) = (Hands::at(START), Arc::new(MemoryLog::new().unwrap()));
    let ring = Keyring::new(key())
        .then(other(1), at(START + 600))
        .verify_with(other(2))
        .spare(other(3));
    let kids = [key(), other(1), other(2), other(3)].map(|key| key.kid().to_owned());
    assert!(ring.kids().eq(&kids));
    let (auth, _) = node(&log, ring.clone(), &clock);
    let states = || auth.key_states().unwrap();
    use KeyState::{Active, Next, Retired, Spare, VerifyOnly};
    let expected = |states: [KeyState; 4]| kids.clone().into_iter().zip(states).collect::<Vec<_>>();
    assert_eq!(states(), expected([Active, Next, VerifyOnly, Spare]));
    clock.set(START + 600);
    assert_eq!(states(), expected([VerifyOnly, Active, VerifyOnly, Spare]));
    let _ = now(auth.retire_key(&kids[1])).unwrap();
    assert_eq!(
        states(),
        expected([VerifyOnly, Retired, VerifyOnly, Active])
    );
    // After a restart, the node has only its ring until it has read the log.
    let view = RevocationView::builder(Arc::clone(&log))
        .max_lifetime(Duration::from_secs(LIFE))
        .clock(clock.clone())
        .build()
        .unwrap();
    let restarted = builder(ring, &clock).revocations(&view).build().unwrap();
    let states = || restarted.key_states().unwrap();
    assert_eq!(states(), expected([VerifyOnly, Active, VerifyOnly, Spare]));
    now(view.follow()).unwrap();
    assert_eq!(
        states(),
        expected([VerifyOnly, Retired, VerifyOnly, Active])
    );
}

/// A key may have been replaced because it has leaked.
#[test]
fn a_replaced_key_never_signs_again() {
    let (clock, log) = (Hands::at(START), Arc::new(MemoryLog::new().unwrap()));
    let ring = Keyring::new(key()).then(other(1), at(START));
    let (auth, view) = node(&log, ring, &clock);
    assert_eq!(state(&auth, &key(), START), Some(KeyState::VerifyOnly));
    let error = now(auth.retire_key(other(1).kid())).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::LastKey));
    let _ = now(view.retire_key(other(1).kid())).unwrap();
    let error = now(auth.issue(Login::new("alice"))).unwrap_err();
    assert!(error.is_misuse(), "{error}");
}

/// The clocks of the nodes are two seconds apart, and they load the next key at different times,
/// while all of them issue and verify without a pause. No valid token is rejected.
#[test]
fn rotation_under_load_rejects_no_valid_token() {
    let nodes: Vec<_> = [START - 2, START, START + 2]
        .into_iter()
        .map(|start| {
            let clock = Hands::at(start);
            let auth = builder(other(0), &clock).build().unwrap();
            (clock, Arc::new(auth), start)
        })
        .collect();
    // Stops the workers if the test fails, too.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let (verified, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = || verified.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for worker in 0..4 {
            let (nodes, stop) = (&nodes, &stop);
            let (verified, refused) = (&verified, &refused);
            scope.spawn(move || {
                let mut random = Random::new(worker);
                while !stop.load(Ordering::Relaxed) {
                    let Ok(issued) = now(nodes[random.below(3)].1.issue(Login::new("alice")))
                    else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let expires_at = issued.identity().expires_at();
                    let issued = token_of(&issued);
                    for (clock, auth, _) in nodes {
                        // A worker may pause for longer than a token is valid on these clocks.
                        let is_refused = auth.verify_now(&issued).is_err();
                        if is_refused && OffsetDateTime::from(clock.now().unwrap()) < expires_at {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        verified.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for rotation in 1..=20u8 {
            let passed = u64::from(rotation) * 600;
            // All nodes switch at the same moment, and load the ring at different times.
            let from = START + passed + 100;
            for (_, auth, _) in &nodes {
                let before = progress();
                let ring = Keyring::new(other(rotation - 1)).then(other(rotation), at(from));
                // The keys of all tokens that may be valid.
                let old = (0..rotation.saturating_sub(1)).rev().take(8);
                let ring = old.fold(ring, |ring, old| ring.verify_with(other(old)));
                auth.replace_keyring(ring).unwrap();
                while progress() < before + 30 {
                    thread::yield_now();
                }
            }
            for (clock, _, start) in &nodes {
                clock.set(start + passed + 100);
                let before = progress();
                while progress() < before + 30 {
                    thread::yield_now();
                }
            }
        }
    });
    assert!(verified.load(Ordering::Relaxed) > 3000);
    assert_eq!(
        refused.load(Ordering::Relaxed),
        0,
        "valid tokens were refused"
    );
}

/// Its tokens may be accepted forever, so that their key stays in the ring.
#[test]
fn a_ring_of_an_issuer_whose_tokens_have_no_iat_is_replaced() {
    let clock = Hands::at(START);
    let theirs = Interop::from_any_issuer(Duration::from_secs(600)).allow_missing_issued_at();
    let auth = builder(other(1), &clock).interop(theirs).build().unwrap();
    let ring = Keyring::new(other(1)).then(other(2), at(START + 120));
    auth.replace_keyring(ring).unwrap();
    clock.set(START + 1_000_000);
    let error = auth.replace_keyring(other(2)).unwrap_err();
    assert!(error.to_string().contains("leaves out the key"), "{error}");
}
