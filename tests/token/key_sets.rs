//! Key sets that a service follows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use statewise::token::{
    Interop, Key, KeySetView, Keyring, PublicKey, SigningKey, TokenAuthenticator,
};
use statewise::{Authenticator, Error, Login, Rejection, Upkeep};

use crate::support::*;

const ISSUER: &str = "https://auth.example";
const MINUTE: Duration = Duration::from_secs(60);

/// Answer of the issuer, and the number of requests.
#[derive(Clone, Default)]
struct Site {
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Site {
    fn answering(text: impl Into<String>) -> Self {
        let site = Self::default();
        site.set(text);
        site
    }

    fn set(&self, text: impl Into<String>) {
        *self.answer.lock().unwrap() = Some(text.into());
    }

    fn fail(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn view(&self, clock: &Hands) -> KeySetView {
        let site = self.clone();
        let fetch = move || {
            site.asked.fetch_add(1, Ordering::Relaxed);
            let answer = site.answer.lock().unwrap().clone();
            async move { answer.ok_or_else(|| Error::unavailable("the site is down")) }
        };
        let builder = KeySetView::builder(fetch)
            .every(5 * MINUTE)
            .bound(60 * MINUTE);
        builder.clock(clock.clone()).build().unwrap()
    }
}

fn service(view: &KeySetView, clock: &Hands) -> TokenAuthenticator {
    TokenAuthenticator::verifier(view)
        .issuer(ISSUER)
        .audience("api")
        .lifetime(15 * MINUTE)
        .clock(clock.clone())
        .build()
        .unwrap()
}

fn issuer(ring: impl Into<Keyring>, clock: &Hands) -> TokenAuthenticator {
    TokenAuthenticator::builder(ring.into())
        .issuer(ISSUER)
        .audience("api")
        .lifetime(15 * MINUTE)
        .propagation(10 * MINUTE)
        .clock(clock.clone())
        .build()
        .unwrap()
}

fn token(auth: &TokenAuthenticator) -> String {
    token_of(&now(auth.issue(Login::new("alice"))).unwrap())
}

fn set_of(keys: &[&PublicKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.to_jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn tick(upkeep: &Upkeep) {
    let _ = now(upkeep.tick());
}

/// Through a rotation and the end of the old key, with an upkeep that runs once a second.
#[test]
fn a_service_that_follows_refuses_no_token() {
    let clock = Hands::at(START);
    let (old, new) = (
        SigningKey::generate_es256().unwrap(),
        SigningKey::generate_ed25519().unwrap(),
    );
    let auth = issuer(old.clone(), &clock);
    let site = Site::answering(auth.key_set().unwrap().json());
    let view = site.view(&clock);
    let service = service(&view, &clock);
    let upkeep = service.upkeep().clock(Arc::new(clock.clone()));
    let first = token(&auth);
    assert!(service.verify_now(&first).unwrap_err().is_unavailable());
    assert!(now(service.ready()).unwrap_err().is_unavailable());
    now(view.fetch()).unwrap();
    now(service.ready()).unwrap();
    let mut held = Vec::new();
    for seconds in 0..5000_u64 {
        clock.set(START + seconds);
        if seconds == 1000 {
            let ring = Keyring::new(old.clone()).then(new.clone(), at(START + 1600));
            auth.replace_keyring(ring).unwrap();
        }
        // As a cache of the answer would show it.
        let set = auth.key_set().unwrap();
        if seconds.is_multiple_of(set.max_age().as_secs().max(1)) {
            site.set(set.json());
        }
        tick(&upkeep);
        if seconds % 7 == 0 {
            held.push((seconds, token(&auth)));
        }
        held.retain(|(since, _)| seconds - since < 900);
        for (since, token) in &held {
            assert!(service.verify_now(token).is_ok(), "of {since} at {seconds}");
        }
    }
    assert!(
        !auth
            .key_set()
            .unwrap()
            .json()
            .contains(&old.public_key().to_jwk())
    );
    assert!(site.asked() <= 20, "{}", site.asked());
    assert!(
        service
            .replace_keyring(Keyring::verifying([new.public_key()]))
            .is_err()
    );
}

/// A flood of invented key ids, while the set is complete, empty, broken or gone. Rejects a fetch for
/// each of them, and a key set's outage that is blamed on the tokens.
#[test]
fn unknown_keys_ask_at_most_once_in_30_seconds() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let good = set_of(&[&pair.public_key()]);
    let flood = SigningKey::generate_es256().unwrap();
    let invented = token(&issuer(flood.clone(), &clock));
    for (what, answer) in [
        ("complete", Some(good.clone())),
        ("empty", Some(r#"{"keys":[]}"#.to_owned())),
        ("broken", Some("<html>".to_owned())),
        ("gone", None),
    ] {
        clock.set(START);
        let site = Site::answering(&*good);
        let view = site.view(&clock);
        let service = service(&view, &clock);
        let upkeep = service.upkeep().clock(Arc::new(clock.clone()));
        now(view.fetch()).unwrap();
        match answer {
            Some(text) => site.set(text),
            None => site.fail(),
        }
        let (mut unavailable, mut rejected) = (0, 0);
        for seconds in 1..=600 {
            clock.set(START + seconds);
            for _ in 0..10 {
                let error = service.verify_now(&invented).unwrap_err();
                match error.rejection() {
                    Some(Rejection::UnacceptableHeader) => rejected += 1,
                    None if error.is_unavailable() => {
                        assert!(error.retry_after().is_some());
                        unavailable += 1;
                    }
                    _ => panic!("{error}"),
                }
            }
            tick(&upkeep);
            assert!(
                service
                    .verify_now(&token(&issuer(pair.clone(), &clock)))
                    .is_ok(),
                "{what}"
            );
        }
        println!(
            "{what}: asked {} times, {unavailable} unavailable, {rejected} rejected",
            site.asked()
        );
        assert!(
            (20..=21).contains(&site.asked()),
            "{what}: {}",
            site.asked()
        );
        // A key may exist that a set which cannot be fetched does not show.
        let (most, rest) = match what {
            "complete" => (rejected, unavailable),
            _ => (unavailable, rejected),
        };
        assert!(most > 5000 && rest < 300, "{what}");
    }
}

/// A view has no store: its errors name the key set, also if the client's error is one of
/// `Error::unavailable`.
#[test]
fn an_outage_of_the_issuer_is_not_blamed_on_a_store() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let site = Site::answering("no set");
    let view = site.view(&clock);
    let service = service(&view, &clock);
    let token = token(&issuer(pair, &clock));
    let unusable = now(view.fetch()).unwrap_err();
    site.fail();
    let failed = now(view.fetch()).unwrap_err();
    let unknown = service.verify_now(&token).unwrap_err();
    for (error, text) in [
        (unusable, "unavailable: the fetched key set is not usable"),
        (failed, "unavailable: the key set could not be fetched"),
        (
            unknown,
            "unavailable: the key set of the issuer has not been fetched yet",
        ),
    ] {
        assert!(error.is_unavailable());
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

/// A key that was published after the last fetch: the token waits, and is not rejected. Within 30 s after
/// a fetch it is rejected.
#[test]
fn a_token_of_a_new_key_is_unavailable_until_the_set_is_fetched() {
    let clock = Hands::at(START);
    let [old, new] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let site = Site::answering(set_of(&[&old.public_key()]));
    let view = site.view(&clock);
    let service = service(&view, &clock);
    now(view.fetch()).unwrap();
    site.set(set_of(&[&new.public_key()]));
    clock.set(START + 29);
    let early = service.verify_now(&token(&issuer(new.clone(), &clock)));
    assert!(early.unwrap_err().is_rejected());
    clock.set(START + 30);
    let (old, new) = (token(&issuer(old, &clock)), token(&issuer(new, &clock)));
    assert!(service.is_well_formed(&new));
    let error = service.verify_now(&new).unwrap_err();
    assert!(
        error.is_unavailable() && !error.to_string().contains("the store"),
        "{error}"
    );
    assert!(error.to_string().contains("not in the key set"), "{error}");
    assert!(service.verify_now(&old).is_ok());
    tick(&service.upkeep().clock(Arc::new(clock.clone())));
    assert!(service.verify_now(&new).is_ok());
    // The key that is gone.
    assert_eq!(
        rejection(service.verify_now(&old)),
        Rejection::UnacceptableHeader
    );
}

#[test]
fn errors_keep_the_keys_until_the_bound() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let site = Site::answering(set_of(&[&pair.public_key()]));
    let view = site.view(&clock);
    let service = service(&view, &clock);
    let upkeep = service.upkeep().clock(Arc::new(clock.clone()));
    now(view.fetch()).unwrap();
    site.fail();
    for seconds in (0..=3600).step_by(60) {
        clock.set(START + seconds);
        tick(&upkeep);
        assert!(
            service
                .verify_now(&token(&issuer(pair.clone(), &clock)))
                .is_ok()
        );
    }
    clock.set(START + 3601);
    let token = token(&issuer(pair.clone(), &clock));
    assert!(service.verify_now(&token).unwrap_err().is_unavailable());
    assert!(now(service.ready()).is_err());
    site.set(set_of(&[&pair.public_key()]));
    clock.set(START + 3700);
    tick(&upkeep);
    assert!(service.verify_now(&token).is_ok());
    // A clock that was set back.
    clock.set(START);
    assert!(service.verify_now(&token).unwrap_err().is_unavailable());
}

#[test]
fn a_set_that_no_issuer_should_publish_is_refused_as_a_whole() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let key: Value = serde_json::from_str(&pair.public_key().to_jwk()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut other = SigningKey::generate_es256()
            .map(|pair| serde_json::from_str::<Value>(&pair.public_key().to_jwk()).unwrap())
            .unwrap();
        change(&mut other);
        json!({ "keys": [key, other] }).to_string()
    };
    let many: Vec<Value> = (0..101)
        .map(|_| {
            let pair = SigningKey::generate_ed25519().unwrap();
            serde_json::from_str(&pair.public_key().to_jwk()).unwrap()
        })
        .collect();
    let site = Site::answering(with(&|_| ()));
    let view = site.view(&clock);
    let service = service(&view, &clock);
    now(view.fetch()).unwrap();
    let token = token(&issuer(pair.clone(), &clock));
    for (what, answer) in [
        (
            "symmetric",
            with(&|key| *key = json!({ "kty": "oct", "k": "AAAA", "kid": "a" })),
        ),
        ("private", with(&|key| key["d"] = json!("AAAA"))),
        (
            "one id for two keys",
            with(&|other| other["kid"] = key["kid"].clone()),
        ),
        (
            "ten megabytes",
            format!(r#"{{"keys":[{key}],"x":"{}"}}"#, "a".repeat(10 << 20)),
        ),
        ("101 keys", json!({ "keys": many }).to_string()),
        ("no usable key", with(&|_| ()).replace("ES256", "HS256")),
        ("empty", r#"{"keys":[]}"#.to_owned()),
        ("no set", key.to_string()),
        (
            "two members",
            format!(r#"{{"keys":[{key}],"keys":[{key}]}}"#),
        ),
        ("no list", r#"{"keys":{}}"#.to_owned()),
        ("a text in the list", format!(r#"{{"keys":[{key},"a"]}}"#)),
        ("cut off", with(&|_| ())[..300].to_owned()),
        ("no JSON", "<html>".to_owned()),
    ] {
        site.set(answer);
        let error = now(view.fetch()).expect_err(what);
        assert!(error.is_unavailable(), "{what}: {error}");
        assert!(
            service.verify_now(&token).is_ok(),
            "{what}: the keys are gone"
        );
    }
    for (what, answer) in [
        ("for encryption", with(&|key| key["use"] = json!("enc"))),
        ("another curve", with(&|key| key["crv"] = json!("P-521"))),
        (
            "another algorithm",
            with(&|key| key["alg"] = json!("PS256")),
        ),
        ("another kind", with(&|key| *key = json!({ "kty": "AKP" }))),
        ("malformed", with(&|key| key["x"] = json!("AA"))),
        (
            "without algorithm",
            with(&|key| key["alg"] = Value::Null).replace(r#""alg":null,"#, ""),
        ),
        ("with spaces", with(&|_| ()).replace([','], " ,\n ")),
        ("other members", with(&|key| key["x5c"] = json!(["AAAA"]))),
    ] {
        site.set(answer);
        now(view.fetch()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(service.verify_now(&token).is_ok(), "{what}");
    }
}

/// Tokens of other libraries are accepted in `interop`.
#[test]
fn an_interop_follows_its_issuer_and_nobody_else() {
    let clock = Hands::at(START);
    let [theirs, others] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let site = Site::answering(set_of(&[&theirs.public_key()]));
    let view = site.view(&clock);
    let idp = Interop::from_issuer("https://idp.example", 60 * MINUTE).audience("api");
    let auth = builder(key(), &clock)
        .interop(idp.follow(&view))
        .build()
        .unwrap();
    let ours = token_of(&now(auth.issue(Login::new("bob"))).unwrap());
    let token = sample(&theirs.public_key());
    assert!(
        auth.verify_now(&token).unwrap_err().is_unavailable(),
        "not fetched yet"
    );
    assert!(
        auth.verify_now(&ours).is_ok(),
        "other tokens are not concerned"
    );
    now(auth.ready()).unwrap();
    tick(&auth.upkeep().clock(Arc::new(clock.clone())));
    assert_eq!(site.asked(), 1);
    assert_eq!(rejection(auth.verify_now(&token)), Rejection::BadSignature);
    // A token that names no key may be of each of them.
    let nameless = header_with(&json!({ "alg": "ES256" }));
    assert_eq!(
        rejection(auth.verify_now(&nameless)),
        Rejection::BadSignature
    );
    let other = sample(&others.public_key());
    assert_eq!(
        rejection(auth.verify_now(&other)),
        Rejection::UnacceptableHeader
    );
    clock.set(START + 30);
    assert!(auth.verify_now(&other).unwrap_err().is_unavailable());
}

/// A token with the header that other libraries write, and no valid signature.
fn sample(key: &PublicKey) -> String {
    header_with(&json!({ "alg": "ES256", "kid": key.kid(), "typ": "JWT" }))
}

/// A token with this header, and no valid signature.
fn header_with(header: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string().replace(r#""alg""#, r#" "alg""#));
    format!(
        "{header}.{}.{}",
        URL_SAFE_NO_PAD.encode("{}"),
        "A".repeat(86)
    )
}

#[test]
fn contradictions_fail_at_build() {
    let clock = Hands::at(START);
    let site = Site::answering("");
    let build = |every: u64, bound: u64| {
        let builder = KeySetView::builder(|| async { Ok(String::new()) });
        let builder = builder.every(Duration::from_secs(every));
        builder.bound(Duration::from_secs(bound)).build()
    };
    for (every, bound) in [(29, 3600), (60, 60), (3600, 60), (0, 60)] {
        assert!(
            build(every, bound).unwrap_err().is_misuse(),
            "{every} {bound}"
        );
    }
    assert!(build(30, 31).is_ok());
    let view = site.view(&clock);
    let idp = || Interop::from_issuer("https://idp.example", 60 * MINUTE).audience("api");
    let public = || SigningKey::generate_es256().unwrap().public_key();
    let misuse = |interops: Vec<Interop>| {
        let all = interops.into_iter();
        let builder = all.fold(builder(key(), &clock), |builder, one| builder.interop(one));
        let error = builder.build().unwrap_err();
        assert!(error.is_misuse(), "{error}");
        error.to_string()
    };
    assert!(misuse(vec![idp().key(public()).follow(&view)]).contains("choose one"));
    assert!(misuse(vec![idp().follow(&view).key(public())]).contains("choose one"));
    let other = Interop::from_issuer("https://other.example", MINUTE).audience("api");
    let text = misuse(vec![idp().follow(&view), other.follow(&view)]);
    assert!(text.contains("each could sign for the other"), "{text}");
    let error = TokenAuthenticator::builder(&view)
        .issuer(ISSUER)
        .audience("api");
    assert!(error.lifetime(MINUTE).build().unwrap_err().is_misuse());
    assert!(Key::hs256(set_of(&[&public()]).as_bytes()).is_err());
}

/// The fetch is not over, or it failed: the key may exist.
#[test]
fn a_token_of_an_unknown_key_is_not_rejected_while_no_fetch_succeeds() {
    let clock = Hands::at(START);
    let [old, new] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let site = Site::answering(set_of(&[&old.public_key()]));
    let view = site.view(&clock);
    let service = service(&view, &clock);
    let upkeep = service.upkeep().clock(Arc::new(clock.clone()));
    now(view.fetch()).unwrap();
    site.fail();
    let token = token(&issuer(new.clone(), &clock));
    for seconds in 30..=600 {
        clock.set(START + seconds);
        let error = service.verify_now(&token).unwrap_err();
        assert!(error.is_unavailable(), "{seconds}: {error}");
        tick(&upkeep);
    }
    // It has succeeded, and there is no such key.
    site.set(set_of(&[&old.public_key()]));
    clock.set(START + 660);
    tick(&upkeep);
    assert_eq!(
        rejection(service.verify_now(&token)),
        Rejection::UnacceptableHeader
    );
    // Cancelled.
    clock.set(START + 700);
    let never = KeySetView::builder(std::future::pending)
        .clock(clock.clone())
        .build()
        .unwrap();
    let service = self::service(&never, &clock);
    let mut fetch = Box::pin(never.fetch());
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    assert!(fetch.as_mut().poll(&mut context).is_pending());
    drop(fetch);
    assert!(service.verify_now(&token).unwrap_err().is_unavailable());
}

/// Of an answer that was asked for earlier, after one that was asked for later.
#[test]
fn an_answer_that_is_overtaken_counts_for_nothing() {
    let clock = Hands::at(START);
    let [old, new] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let sets = [&old, &new].map(|pair| set_of(&[&pair.public_key()]));
    let (asked, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::clone(&is_open);
    let view = KeySetView::builder(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let (text, gate) = (sets[number].clone(), Arc::clone(&gate));
        std::future::poll_fn(move |_| match number <= gate.load(Ordering::Relaxed) {
            true if number == 0 && gate.load(Ordering::Relaxed) == 0 => Poll::Pending,
            _ => Poll::Ready(Ok(text.clone())),
        })
    });
    let view = view.clock(clock.clone()).build().unwrap();
    let service = service(&view, &clock);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut slow = Box::pin(view.fetch());
    assert!(slow.as_mut().poll(&mut context).is_pending());
    clock.set(START + 40);
    now(view.fetch()).unwrap();
    is_open.store(1, Ordering::Relaxed);
    assert!(matches!(
        slow.as_mut().poll(&mut context),
        Poll::Ready(Ok(()))
    ));
    let [old, new] = [old, new].map(|pair| token(&issuer(pair, &clock)));
    assert!(service.verify_now(&new).is_ok());
    assert_eq!(
        rejection(service.verify_now(&old)),
        Rejection::UnacceptableHeader
    );
}

/// A correction of the clock, or a thread that has read it before the fetch of another thread.
#[test]
fn a_clock_that_is_a_little_behind_the_fetch_is_no_outage() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let site = Site::answering(set_of(&[&pair.public_key()]));
    let view = site.view(&clock);
    let service = service(&view, &clock);
    clock.set(START + 5);
    now(view.fetch()).unwrap();
    clock.set(START);
    assert!(service.verify_now(&token(&issuer(pair, &clock))).is_ok());
    tick(&service.upkeep().clock(Arc::new(clock.clone())));
    assert_eq!(site.asked(), 1);
    clock.set(START - 1);
    assert!(now(service.ready()).unwrap_err().is_unavailable());
}

#[test]
fn a_bound_of_any_length_is_stale_before_the_first_fetch() {
    let clock = Hands::at(START);
    let view = KeySetView::builder(|| async { Ok(String::new()) }).bound(Duration::MAX);
    let view = view.clock(clock.clone()).build().unwrap();
    let service = service(&view, &clock);
    assert!(now(service.ready()).unwrap_err().is_unavailable());
}

/// Not a failure of each verification.
#[test]
fn a_set_with_a_key_twice_or_with_a_key_of_another_issuer_ends_no_login() {
    let clock = Hands::at(START);
    let [ours, theirs] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let named = |pair: &SigningKey, kid: &str| {
        let mut key: Value = serde_json::from_str(&pair.public_key().to_jwk()).unwrap();
        key["kid"] = json!(kid);
        key
    };
    let rsa =
        json!({ "kty": "RSA", "kid": "r", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xc5; 256]) });
    let set = json!({ "keys": [named(&ours, "1"), named(&ours, "2"), named(&theirs, "3"), rsa] });
    let site = Site::answering(set.to_string());
    let view = site.view(&clock);
    let build = || {
        TokenAuthenticator::verifier(&view)
            .issuer(ISSUER)
            .audience("api")
            .lifetime(15 * MINUTE)
            .clock(clock.clone())
    };
    let key = theirs.public_key();
    let idp = || Interop::from_issuer("https://idp.example", 60 * MINUTE).key(key.clone());
    let service = build().interop(idp()).build().unwrap();
    now(view.fetch()).unwrap();
    assert!(
        service
            .verify_now(&token(&issuer(ours.clone(), &clock)))
            .is_ok()
    );
    let stolen = token(&issuer(theirs, &clock));
    assert!(service.verify_now(&stolen).unwrap_err().is_rejected());
    // Also if it was fetched before.
    let ours = token(&issuer(ours, &clock));
    let service = build().build().unwrap();
    assert!(service.verify_now(&ours).is_ok());
    let service = build().interop(idp()).build().unwrap();
    assert!(service.verify_now(&ours).is_ok());
    assert!(service.verify_now(&stolen).unwrap_err().is_rejected());
}

/// Tokens of other issuers, whatever their header looks like, and however old our own set is.
#[test]
fn a_set_of_one_issuer_makes_no_token_of_another_one_unavailable() {
    let clock = Hands::at(START);
    let [ours, theirs, next] = [(); 3].map(|()| SigningKey::generate_es256().unwrap());
    let site = Site::answering(set_of(&[&ours.public_key()]));
    let view = site.view(&clock);
    let idp = || Interop::from_issuer("https://idp.example", 60 * MINUTE).audience("api");
    let service = TokenAuthenticator::verifier(&view)
        .issuer(ISSUER)
        .audience("api")
        .lifetime(15 * MINUTE)
        .clock(clock.clone())
        .interop(idp().key(theirs.public_key()))
        .build()
        .unwrap();
    let of = |pair: &SigningKey, header: &str| {
        let claims = json!({
            "iss": "https://idp.example", "aud": "api", "sub": "a", "iat": START, "exp": START + 600,
        });
        let [header, claims] = [header.to_owned(), claims.to_string()];
        let [header, claims] = [header, claims].map(|text| URL_SAFE_NO_PAD.encode(text));
        let text = format!("{header}.{claims}");
        let signature = pair.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_bytes()))
    };
    // The form of our own headers.
    let token = of(
        &theirs,
        r#"{"alg":"ES256","typ":"JWT","kid":"key-2026-01"}"#,
    );
    let own = self::token(&issuer(ours.clone(), &clock));
    for seconds in [0, 40, 80] {
        clock.set(START + seconds);
        assert!(service.verify_now(&token).is_ok(), "after {seconds} s");
        let is_fetched = service.verify_now(&own).is_ok();
        assert_eq!(is_fetched, seconds > 0);
        let error = service.verify_now(&self::token(&issuer(next.clone(), &clock)));
        assert!(error.unwrap_err().is_unavailable());
        now(view.fetch()).unwrap();
    }

    // A set that is never fetched hides no new key of another one.
    let down = Site::default();
    let (first, second) = (down.view(&clock), site.view(&clock));
    now(second.fetch()).unwrap();
    let other = Interop::from_issuer("https://other.example", MINUTE).audience("api");
    let service = builder(key(), &clock).interop(other.follow(&first));
    let service = service.interop(idp().follow(&second)).build().unwrap();
    let upkeep = service.upkeep().clock(Arc::new(clock.clone()));
    tick(&upkeep);
    site.set(set_of(&[&ours.public_key(), &next.public_key()]));
    clock.set(START + 120);
    let token = of(
        &next,
        &format!(r#"{{"alg":"ES256","kid":"{}"}}"#, next.kid()),
    );
    assert!(service.verify_now(&token).unwrap_err().is_unavailable());
    tick(&upkeep);
    assert!(service.verify_now(&token).is_ok());
}

#[test]
fn a_verifier_follows_from_its_build_on_and_never_begins_to_sign() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let view = Site::default().view(&clock);
    let service = TokenAuthenticator::verifier(pair.public_key())
        .issuer(ISSUER)
        .audience("api")
        .lifetime(15 * MINUTE)
        .clock(clock.clone())
        .build()
        .unwrap();
    let error = service.replace_keyring(&view).unwrap_err();
    assert!(error.is_misuse() && error.to_string().contains("verifier"));
    let error = service.replace_keyring(pair.clone()).unwrap_err();
    assert!(error.is_misuse() && error.to_string().contains("verifier"));
    assert!(service.verify_now(&token(&issuer(pair, &clock))).is_ok());
}
