//! Keys with a private half elsewhere.

use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::{
    DynSigner, ExternalKey, Interop, Keyring, PublicKey, Signature, Signer, SigningInput,
    SigningKey, TokenAuthenticator,
};
use statewise::{Authenticator, Error, Login, Refusal, Rejection, Result};

use crate::support::*;

/// What a signer does when it is asked.
type Answer = dyn Fn(&SigningKey, SigningInput<'_>) -> Result<Signature> + Send + Sync;

/// A signer that answers after the test has opened its gate.
#[derive(Clone)]
struct Remote {
    pair: SigningKey,
    answer: Arc<Mutex<Arc<Answer>>>,
    is_open: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    /// Calls whose future was dropped before it was answered.
    dropped: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remote")
    }
}

impl Remote {
    fn with(pair: &SigningKey) -> Self {
        Self {
            pair: pair.clone(),
            answer: Arc::new(Mutex::new(Arc::new(sign))),
            is_open: Arc::new(AtomicBool::new(true)),
            calls: Arc::default(),
            dropped: Arc::default(),
        }
    }

    fn answering(
        &self,
        answer: impl Fn(&SigningKey, SigningInput<'_>) -> Result<Signature> + Send + Sync + 'static,
    ) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// The key of this signer, with a deadline that has passed when `time` says so.
    fn key(&self, time: &Arc<AtomicU64>) -> ExternalKey {
        let time = Arc::clone(time);
        let sleep = move |deadline: Duration| {
            let (time, end) = (time.clone(), deadline.as_millis() as u64);
            std::future::poll_fn(move |_| match time.load(SeqCst) >= end {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
        };
        ExternalKey::new(self.pair.public_key(), self.clone(), sleep)
    }
}

fn sign(pair: &SigningKey, input: SigningInput<'_>) -> Result<Signature> {
    pair.sign(input.bytes())
}

/// Counts a call that is dropped before its end.
struct Unanswered<'a>(Option<&'a AtomicUsize>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(dropped) = self.0 {
            dropped.fetch_add(1, SeqCst);
        }
    }
}

impl Signer for Remote {
    async fn sign(&self, input: SigningInput<'_>) -> Result<Signature> {
        self.calls.fetch_add(1, SeqCst);
        let mut unanswered = Unanswered(Some(&self.dropped));
        std::future::poll_fn(|_| match self.is_open.load(SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        unanswered.0 = None;
        let answer = self.answer.lock().unwrap().clone();
        answer(&self.pair, input)
    }
}

fn pairs() -> [SigningKey; 2] {
    [
        SigningKey::generate_es256().unwrap(),
        SigningKey::generate_ed25519().unwrap(),
    ]
}

fn external(pair: &SigningKey) -> (Remote, ExternalKey) {
    let remote = Remote::with(pair);
    let key = remote.key(&Arc::default());
    (remote, key)
}

fn issue(auth: &TokenAuthenticator) -> Result<String> {
    now(auth.issue(Login::new("alice").role("admin"))).map(|issued| token_of(&issued))
}

fn misuse<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.expect_err("was accepted");
    assert!(error.is_misuse(), "{error}");
    error.to_string()
}

fn unavailable<T: std::fmt::Debug>(result: Result<T>) -> Error {
    let error = result.expect_err("was accepted");
    assert!(error.is_unavailable(), "{error}");
    error
}

fn poll<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The claims of a token of the external key are those of the same login under a local one.
#[test]
fn tokens_are_the_same_as_those_of_a_local_key() {
    let clock = Hands::at(START);
    for pair in pairs() {
        let (remote, key) = external(&pair);
        assert_eq!(key.kid(), pair.kid());
        now(key.check()).unwrap();
        assert_eq!(remote.calls(), 1);
        let build = |keys: Keyring| {
            let builder = builder(keys, &clock).entropy(Counting::default());
            builder.build().unwrap()
        };
        let (elsewhere, here) = (build(key.into()), build(pair.clone().into()));
        let (token, local) = (issue(&elsewhere).unwrap(), issue(&here).unwrap());
        let unsigned = |token: &str| token.rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(unsigned(&token), unsigned(&local));
        for auth in [&elsewhere, &here] {
            for token in [&token, &local] {
                assert_eq!(auth.verify_now(token).unwrap().subject(), "alice");
            }
        }
        assert_eq!(
            elsewhere.key_set().unwrap().json(),
            here.key_set().unwrap().json()
        );
        // Verifying never asks it.
        assert_eq!(remote.calls(), 2);
        let refreshed = now(elsewhere.refresh(&token)).unwrap();
        assert!(here.verify_now(refreshed.credential().reveal()).is_ok());
        let edit = &mut |login: &mut statewise::Edit<()>| {
            login.roles.push("auditor".to_owned());
            Ok(())
        };
        let updated = now(elsewhere.update(&token, edit)).unwrap();
        let caller = here.verify_now(updated.credential().reveal()).unwrap();
        assert!(caller.has_role("auditor"));
        assert_eq!(remote.calls(), 4);
        // An update that changes nothing needs no signature.
        let same = now(elsewhere.update(&token, &mut |_| Ok(()))).unwrap();
        assert_eq!((token_of(&same), remote.calls()), (token, 4));
    }
}

#[test]
fn headers_and_ids_are_those_of_our_tokens() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let remote = Remote::with(&pair);
    // With an id that a KMS has given to it.
    let jwk = pair
        .public_key()
        .to_jwk()
        .replace(pair.kid(), "projects/1/keys/2");
    let named = PublicKey::from_jwk(&jwk).unwrap();
    assert_eq!(named.kid(), "projects/1/keys/2");
    let key = ExternalKey::new(named, remote, |_| pending());
    assert_eq!(key.kid(), pair.kid());
    assert_eq!(key.public_key().kid(), pair.kid());
    let auth = builder(key, &clock).access_tokens().client_id("web");
    let auth = auth.build().unwrap();
    let token = issue(&auth).unwrap();
    let service = TokenAuthenticator::verifier(pair.public_key())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .access_tokens()
        .clock(clock.clone())
        .build()
        .unwrap();
    assert!(service.verify_now(&token).is_ok());
}

#[test]
fn a_slow_signer_is_waited_for_until_its_deadline() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (remote, time) = (Remote::with(&pair), Arc::<AtomicU64>::default());
    let key = remote.key(&time).deadline(Duration::from_secs(5));
    let auth = builder(key, &clock).build().unwrap();
    remote.is_open.store(false, SeqCst);
    {
        let mut waiting = pin!(auth.issue(Login::new("alice")));
        assert!(poll(waiting.as_mut()).is_pending());
        time.store(4999, SeqCst);
        assert!(poll(waiting.as_mut()).is_pending());
        // Other tokens are verified meanwhile, and other logins wait beside this one.
        let mut other = pin!(auth.issue(Login::new("bob")));
        assert!(poll(other.as_mut()).is_pending());
        remote.is_open.store(true, SeqCst);
        for waiting in [waiting.as_mut(), other.as_mut()] {
            let Poll::Ready(issued) = poll(waiting) else {
                panic!("the signer has answered")
            };
            assert!(auth.verify_now(&token_of(&issued.unwrap())).is_ok());
        }
    }
    remote.is_open.store(false, SeqCst);
    time.store(0, SeqCst);
    let mut waiting = pin!(auth.issue(Login::new("alice")));
    assert!(poll(waiting.as_mut()).is_pending());
    time.store(5000, SeqCst);
    let Poll::Ready(late) = poll(waiting.as_mut()) else {
        panic!("the deadline has passed")
    };
    let error = unavailable(late);
    assert!(error.to_string().contains("deadline"), "{error}");
    // The call itself is dropped, not left running.
    assert_eq!(remote.dropped.load(SeqCst), 1);
    remote.is_open.store(true, SeqCst);
    assert!(issue(&auth).is_ok());
}

#[test]
fn a_cancelled_call_leaves_nothing_behind() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_ed25519().unwrap();
    let (remote, key) = external(&pair);
    let auth = builder(key.clone(), &clock).build().unwrap();
    let held = issue(&auth).unwrap();
    remote.is_open.store(false, SeqCst);
    for _ in 0..3 {
        let mut calls = [
            Box::pin(async { auth.issue(Login::new("alice")).await.map(drop) })
                as statewise::authenticator::BoxFuture<'_, Result<()>>,
            Box::pin(async { auth.refresh(&held).await.map(drop) }),
            Box::pin(async { key.check().await }),
        ];
        for call in &mut calls {
            assert!(poll(call.as_mut()).is_pending());
        }
    }
    assert_eq!(remote.dropped.load(SeqCst), 9);
    // No lock is held, and no token is lost.
    let ring = Keyring::new(key).spare(SigningKey::generate_es256().unwrap());
    auth.replace_keyring(ring).unwrap();
    assert!(auth.verify_now(&held).is_ok());
    remote.is_open.store(true, SeqCst);
    assert!(issue(&auth).is_ok());
}

/// The client is never to blame, whatever the signer says.
#[test]
fn a_signer_that_fails_is_unavailable() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (remote, key) = external(&pair);
    let auth = builder(key.clone(), &clock).build().unwrap();
    let held = issue(&auth).unwrap();
    let errors: [fn() -> Error; 4] = [
        || Error::unavailable("connection refused"),
        || Error::unavailable("throttled").with_retry_after(Duration::from_secs(7)),
        || Error::rejected(Rejection::Expired),
        || Error::refused(Refusal::Capacity),
    ];
    for error in errors {
        remote.answering(move |_, _| Err(error()));
        for failed in [
            issue(&auth).map(drop),
            now(auth.refresh(&held)).map(drop),
            now(key.check()),
        ] {
            let failed = unavailable(failed);
            assert_eq!(failed.retry_after(), error().retry_after());
            assert!(failed.to_string().contains("the signer"), "{failed}");
            assert!(
                !format!("{failed:?}").contains("the store could not"),
                "{failed:?}"
            );
            assert!(format!("{failed:?}").contains("source"), "{failed:?}");
        }
        assert!(auth.verify_now(&held).is_ok());
    }
    remote.answering(|_, _| Err(Error::misuse("no such key: name one of the KMS")));
    assert!(misuse(issue(&auth)).contains("name one of the KMS"));
    remote.answering(sign);
    assert!(issue(&auth).is_ok());
}

/// No such token ever leaves the service.
#[test]
fn a_wrong_signature_is_misuse_and_no_token() {
    let clock = Hands::at(START);
    for pair in pairs() {
        let (remote, key) = external(&pair);
        let auth = builder(key.clone(), &clock).build().unwrap();
        let other = SigningKey::generate_es256().unwrap();
        let of_another_key =
            move |_: &SigningKey, input: SigningInput<'_>| other.sign(input.bytes());
        let flipped = |pair: &SigningKey, input: SigningInput<'_>| {
            let mut bytes = *pair.sign(input.bytes())?.as_bytes();
            bytes[40] ^= 1;
            Signature::from_raw(&bytes)
        };
        let of_the_hash = |pair: &SigningKey, input: SigningInput<'_>| pair.sign(&input.sha256());
        let of_another_text = |pair: &SigningKey, _: SigningInput<'_>| pair.sign(b"e30.e30");
        let zeros = |_: &SigningKey, _: SigningInput<'_>| Signature::from_raw(&[0; 64]);
        let short = |pair: &SigningKey, input: SigningInput<'_>| {
            Signature::from_raw(&pair.sign(input.bytes())?.as_bytes()[..63])
        };
        let in_der = |pair: &SigningKey, input: SigningInput<'_>| {
            Signature::from_raw(&der(pair.sign(input.bytes())?.as_bytes()))
        };
        let raw_as_der = |pair: &SigningKey, input: SigningInput<'_>| {
            Signature::from_der(pair.sign(input.bytes())?.as_bytes())
        };
        let empty = |_: &SigningKey, _: SigningInput<'_>| Signature::from_raw(&[]);
        let wrongs: [(&str, Box<Answer>, &str); 9] = [
            ("another key", Box::new(of_another_key), "does not verify"),
            ("one bit", Box::new(flipped), "does not verify"),
            ("the hash", Box::new(of_the_hash), "does not verify"),
            ("another text", Box::new(of_another_text), "does not verify"),
            ("zeros", Box::new(zeros), "does not verify"),
            ("a short one", Box::new(short), "has 64"),
            ("DER as raw", Box::new(in_der), "from_der"),
            ("raw as DER", Box::new(raw_as_der), "from_raw"),
            ("an empty one", Box::new(empty), "has 64"),
        ];
        for (what, wrong, remedy) in wrongs {
            remote.answering(wrong);
            for text in [misuse(issue(&auth)), misuse(now(key.check()))] {
                assert!(text.contains(remedy), "{what}: {text}");
                assert!(!text.contains("eyJ"), "{what}: {text}");
            }
        }
        remote.answering(sign);
        assert!(issue(&auth).is_ok());
    }
}

/// Encodes r and s as a DER sequence.
fn der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(32);
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut content = bytes[zeros..].to_vec();
        if content.first().is_none_or(|byte| *byte >= 0x80) {
            content.insert(0, 0);
        }
        [vec![2, content.len() as u8], content].concat()
    };
    let numbers = [number(r), number(s)].concat();
    [vec![0x30, numbers.len() as u8], numbers].concat()
}

#[test]
fn signatures_in_der_are_converted() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (remote, key) = external(&pair);
    remote.answering(|pair, input| Signature::from_der(&der(pair.sign(input.bytes())?.as_bytes())));
    let auth = builder(key, &clock).build().unwrap();
    // r and s have leading zeros, or a sign byte, in each combination.
    for _ in 0..200 {
        assert!(auth.verify_now(&issue(&auth).unwrap()).is_ok());
    }
    let mut raw = [0; 64];
    for (r, s) in [(0, 0), (31, 31), (1, 30), (5, 0)] {
        raw.fill(0);
        (raw[r], raw[32 + s]) = (0x80, 0x7f);
        assert_eq!(Signature::from_der(&der(&raw)).unwrap().as_bytes(), &raw);
    }
    raw.fill(0xff);
    let good = der(&raw);
    assert_eq!(Signature::from_der(&good).unwrap().as_bytes(), &raw);
    let mut wrongs: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    wrongs.push([&good[..], &[0]].concat());
    // P-384.
    let long = [&[2, 0x30][..], &[7; 48]].concat();
    wrongs.push([&[0x30, 100][..], &long, &long].concat());
    for tag in [0, 2] {
        let mut wrong = good.clone();
        wrong[tag] ^= 1;
        wrongs.push(wrong);
    }
    for wrong in wrongs {
        let text = misuse(Signature::from_der(&wrong));
        assert!(text.contains("from_raw"), "{text}");
    }
}

/// From a local key to an external one, and back.
#[test]
fn a_ring_rotates_to_an_external_key_and_back() {
    let clock = Hands::at(START);
    let [one, other] = pairs();
    let last = SigningKey::generate_es256().unwrap();
    let (remote, key) = external(&other);
    let ring = Keyring::new(one.clone())
        .then(key.clone(), at(START + 1000))
        .then(last.clone(), at(START + 2000));
    let auth = builder(ring, &clock).build().unwrap();
    let published = auth.key_set().unwrap();
    assert!(published.json().contains(&key.public_key().to_jwk()));
    let public = [&one, &other, &last].map(|pair| pair.public_key());
    let service = TokenAuthenticator::verifier(Keyring::verifying(public))
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut held: Vec<(u64, String)> = Vec::new();
    let mut calls = 0;
    for seconds in (0..3000).step_by(10) {
        clock.set(START + seconds);
        held.push((seconds, issue(&auth).unwrap()));
        held.retain(|(since, _)| seconds - since < 900);
        for (since, token) in &held {
            assert!(service.verify_now(token).is_ok(), "of {since} at {seconds}");
            assert!(auth.verify_now(token).is_ok(), "of {since} at {seconds}");
        }
        calls += usize::from((1000..2000).contains(&seconds));
        assert_eq!(remote.calls(), calls, "at {seconds}");
    }
    // From a secret, and into a ring that is replaced.
    let auth = builder(crate::support::key(), &clock).build().unwrap();
    let before = issue(&auth).unwrap();
    let ring = Keyring::new(crate::support::key()).then(key, at(START + 4000));
    auth.replace_keyring(ring).unwrap();
    clock.set(START + 4000);
    assert!(issue(&auth).is_ok() && remote.calls() == calls + 1);
    assert_eq!(rejection(auth.verify_now(&before)), Rejection::Expired);
}

/// The log retires a key while its signer works: the next key signs, so that the client gets a token
/// that is accepted.
#[test]
fn a_key_that_is_retired_meanwhile_hands_out_no_token() {
    let clock = Hands::at(START);
    let [leaked, spare] = pairs();
    let (remote, key) = external(&leaked);
    let view = view(&clock, Duration::from_secs(3600));
    let ring = Keyring::new(key).spare(spare);
    let auth = builder(ring, &clock).revocations(&view).build().unwrap();
    remote.is_open.store(false, SeqCst);
    let mut waiting = pin!(auth.issue(Login::new("alice")));
    assert!(poll(waiting.as_mut()).is_pending());
    let _ = now(auth.retire_key(leaked.kid())).unwrap();
    remote.is_open.store(true, SeqCst);
    let Poll::Ready(issued) = poll(waiting.as_mut()) else {
        panic!("the spare is here")
    };
    assert!(auth.verify_now(&token_of(&issued.unwrap())).is_ok());
    assert_eq!(remote.calls(), 1);
}

/// What cannot be signed is refused before the signer is asked.
#[test]
fn the_signer_is_asked_only_for_tokens_that_may_exist() {
    let clock = Hands::at(START);
    let (remote, key) = external(&SigningKey::generate_es256().unwrap());
    let auth = builder(key, &clock).max_length(512).build().unwrap();
    let long = Login::new("alice").roles(["x".repeat(400)]);
    assert_eq!(
        now(auth.issue(long)).unwrap_err().refusal(),
        Some(Refusal::TooLarge)
    );
    let past = Login::new("alice").authenticated_at(at(START - 4000));
    assert_eq!(rejection(now(auth.issue(past))), Rejection::Expired);
    let token = issue(&auth).unwrap();
    clock.set(START + 900);
    assert_eq!(rejection(now(auth.refresh(&token))), Rejection::Expired);
    assert!(now(auth.refresh("x")).is_err());
    assert_eq!(remote.calls(), 1);
}

/// While the signer fails, no refresh credential is spent.
#[test]
fn a_hybrid_rotates_nothing_while_its_signer_fails() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (remote, key) = external(&pair);
    let access = TokenAuthenticator::builder(key)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(600));
    let logins = SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
        .idle(Duration::from_secs(86_400))
        .absolute(Duration::from_secs(864_000))
        .clock(clock.clone());
    let auth = HybridAuthenticator::new(access, logins).unwrap();
    let issued = now(auth.issue(Login::new("alice"))).unwrap();
    let refresh = |held: &str| now(auth.refresh(held));
    // A login that is refused before it is stored.
    remote.answering(|_, _| Err(Error::unavailable("down")));
    unavailable(now(auth.issue(Login::new("bob"))).map(drop));
    let held = issued.refreshable().reveal().to_owned();
    // For longer than any replay of an old credential.
    for seconds in (60..6000).step_by(60) {
        clock.set(START + seconds);
        unavailable(refresh(&held).map(drop));
    }
    remote.answering(sign);
    let next = refresh(&held).unwrap();
    assert_eq!(next.outcome(), statewise::Outcome::Rotated);
    assert!(auth.verify_now(next.credential().reveal()).is_ok());
    // The first failure comes after the rotation; the credential is replayed at once.
    clock.set(START + 7000);
    let held = next.refreshable().reveal().to_owned();
    remote.answering(|_, _| Err(Error::unavailable("down")));
    unavailable(refresh(&held).map(drop));
    remote.answering(sign);
    let next = refresh(&held).unwrap();
    assert!(auth.verify_now(next.credential().reveal()).is_ok());
    let logins = now(auth.sessions("alice", None)).unwrap();
    assert_eq!(logins.sessions.len(), 1);
}

#[test]
fn a_signer_is_chosen_at_run_time_and_is_redacted() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let remote: Arc<dyn DynSigner> = Arc::new(Remote::with(&pair));
    let key = ExternalKey::new(pair.public_key(), remote, |_| ready(()));
    let auth = builder(key.clone(), &clock).build().unwrap();
    let token = issue(&auth).unwrap();
    let signature = pair.sign(b"e30.e30").unwrap();
    for text in [
        format!("{key:?}"),
        format!("{auth:?}"),
        format!("{signature:?}"),
    ] {
        assert!(!text.contains(token.rsplit_once('.').unwrap().1), "{text}");
        assert!(
            !text.contains(&format!("{:?}", &signature.as_bytes()[..4])[1..8]),
            "{text}"
        );
    }
    assert!(format!("{key:?}").contains(key.kid()));
}

#[test]
fn contradictions_fail_at_build() {
    let clock = Hands::at(START);
    let (_, key) = external(&SigningKey::generate_es256().unwrap());
    let verifier = TokenAuthenticator::verifier(key.clone())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900));
    assert!(misuse(verifier.build()).contains("a verifier has a key that signs"));
    let theirs = Interop::from_issuer("https://idp.example", Duration::from_secs(900));
    let both = builder(key.clone(), &clock).interop(theirs.key(key.public_key()));
    assert!(misuse(both.build()).contains("take it out of the ring"));
    let file = include_str!("../data/wycheproof_jws_public_key.json");
    let cases: serde_json::Value = serde_json::from_str(file).unwrap();
    let mut groups = cases["testGroups"].as_array().unwrap().iter();
    let rsa =
        groups.find(|group| group["public"]["kty"] == "RSA" && group["public"]["alg"] == "RS256");
    let rsa = PublicKey::from_jwk(&rsa.unwrap()["public"].to_string()).unwrap();
    let remote = Remote::with(&SigningKey::generate_es256().unwrap());
    let rsa = ExternalKey::new(rsa, remote, |_| pending());
    assert!(misuse(builder(rsa, &clock).build()).contains("RSA"));
}
