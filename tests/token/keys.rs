//! Key rotation, which tokens do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use statewise::testkit::Random;
use statewise::token::{Key, KeyState, Keyring, TokenAuthenticator};
use statewise::{Authenticator, Login, Rejection};

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

#[test]
fn a_new_key_signs_only_after_a_minute() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock).build().unwrap();
    for hasty in [
        Keyring::new(other(1)).verify_with(key()),
        Keyring::new(key()).then(other(1), at(START)),
        Keyring::new(key()).then(other(1), at(START + 59)),
    ] {
        assert!(auth.replace_keyring(hasty).unwrap_err().is_misuse());
    }
    let next = Keyring::new(key()).then(other(1), at(START + 60));
    auth.replace_keyring(next.clone()).unwrap();
    // Loaded again later: the key is known by now.
    clock.set(START + 30);
    auth.replace_keyring(next).unwrap();
    // A leaked key is left out immediately.
    auth.replace_keyring(other(2)).unwrap();
    let old = token(&plain(&clock));
    assert!(auth.verify_now(&old).is_err() && auth.verify_now(&token(&auth)).is_ok());
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
    let stop = AtomicBool::new(false);
    let (verified, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
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
                    let issued = token_of(&issued);
                    for (_, auth, _) in nodes {
                        assert!(
                            auth.verify_now(&issued).is_ok(),
                            "a valid token was refused"
                        );
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
                let before = verified.load(Ordering::Relaxed);
                let ring = Keyring::new(other(rotation - 1)).then(other(rotation), at(from));
                auth.replace_keyring(ring.verify_with(other(rotation.wrapping_sub(2))))
                    .unwrap();
                while verified.load(Ordering::Relaxed) < before + 30 {
                    thread::yield_now();
                }
            }
            for (clock, _, start) in &nodes {
                clock.set(start + passed + 100);
                let before = verified.load(Ordering::Relaxed);
                while verified.load(Ordering::Relaxed) < before + 30 {
                    thread::yield_now();
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(verified.load(Ordering::Relaxed) > 3000);
    assert_eq!(
        refused.load(Ordering::Relaxed),
        0,
        "valid tokens were refused"
    );
}
