//! Confusions of keys and algorithms that other libraries have allowed, each as a test of its name.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use statewise::testkit::block_on;
use statewise::token::{
    Interop, Key, KeySetView, Keyring, PublicKey, SigningKey, TokenAuthenticator,
};
use statewise::{Authenticator, Login, Rejection};

use crate::support::*;

const ISSUER: &str = "https://idp.example";
const HOUR: Duration = Duration::from_secs(3600);

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Header and claims of a token of the other issuer.
fn unsigned(header: &Value) -> String {
    let claims = json!({
        "iss": ISSUER, "aud": "api", "sub": "admin", "iat": START, "exp": START + 600,
    });
    format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    )
}

fn signed_by(pair: &SigningKey, header: &Value) -> String {
    let text = unsigned(header);
    let signature = pair.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", encode(signature.as_bytes()))
}

fn theirs() -> Interop {
    Interop::from_issuer(ISSUER, HOUR).audience("api")
}

/// A service that reads the header of other issuers' tokens, with this key for them.
fn reading(public: &PublicKey) -> TokenAuthenticator {
    let auth = builder(key(), &Hands::at(START));
    auth.interop(theirs().key(public.clone())).build().unwrap()
}

/// A view of a set that the test changes.
fn follow(clock: &Hands) -> (Arc<Mutex<Value>>, KeySetView, TokenAuthenticator) {
    let set = Arc::new(Mutex::new(json!({ "keys": [] })));
    let shared = Arc::clone(&set);
    let view = KeySetView::builder(move || {
        let text = shared.lock().unwrap().to_string();
        async move { Ok(text) }
    });
    let view = view.clock(clock.clone()).build().unwrap();
    let auth = builder(key(), clock).interop(theirs().follow(&view));
    (set, view, auth.build().unwrap())
}

fn jwk(pair: &SigningKey, kid: &str) -> Value {
    let mut jwk: Value = serde_json::from_str(&pair.public_key().to_jwk()).unwrap();
    jwk["kid"] = json!(kid);
    jwk
}

/// RFC 8725, section 2.1. The key is known to everyone.
#[test]
fn hs256_with_the_public_key_as_secret_is_refused() {
    for pair in [
        SigningKey::generate_es256().unwrap(),
        SigningKey::generate_ed25519().unwrap(),
    ] {
        let public = pair.public_key();
        let auth = reading(&public);
        let alg = if public.to_jwk().contains("ES256") {
            "ES256"
        } else {
            "EdDSA"
        };
        let good = signed_by(&pair, &json!({ "alg": alg, "kid": public.kid() }));
        assert_eq!(auth.verify_now(&good).unwrap().subject(), "admin");
        let jwk: Value = serde_json::from_str(&public.to_jwk()).unwrap();
        let raw = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        for secret in [public.to_pem().into(), public.to_jwk().into(), raw] {
            for header in [
                json!({ "alg": "HS256" }),
                json!({ "alg": "HS256", "kid": public.kid() }),
                json!({ "alg": alg, "kid": public.kid() }),
                json!({ "alg": "none" }),
            ] {
                let forged = signed_with(&secret, &unsigned(&header));
                assert!(auth.verify_now(&forged).is_err(), "{header}");
            }
        }
    }
}

/// The payload and tag of a token of a shared secret, behind the header of a public key, and the other
/// way round.
#[test]
fn parts_of_tokens_of_two_kinds_of_keys_are_refused() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let hs512 = Key::hs512(&SECRET).unwrap();
    let ring = Keyring::new(pair.clone())
        .verify_with(key())
        .verify_with(hs512.clone());
    let auth = builder(ring, &clock).build().unwrap();
    let token = |key: Keyring| {
        let auth = builder(key, &clock).build().unwrap();
        token_of(&now(auth.issue(Login::new("alice"))).unwrap())
    };
    let tokens = [token(pair.into()), token(key().into()), token(hs512.into())];
    for (at, one) in tokens.iter().enumerate() {
        assert!(auth.verify_now(one).is_ok());
        for other in tokens.iter().enumerate().filter(|(other, _)| *other != at) {
            let (header, _) = one.split_once('.').unwrap();
            let (_, rest) = other.1.split_once('.').unwrap();
            let mixed = format!("{header}.{rest}");
            let expected = [Rejection::Malformed, Rejection::BadSignature];
            assert!(
                expected.contains(&rejection(auth.verify_now(&mixed))),
                "{mixed}"
            );
        }
    }
}

/// RFC 8725, section 3.1: a key has one algorithm.
#[test]
fn another_algorithm_than_that_of_the_key_is_refused() {
    let pair = SigningKey::generate_es256().unwrap();
    let auth = reading(&pair.public_key());
    for alg in [
        "RS256", "EdDSA", "Ed25519", "ES384", "HS256", "es256", "none", "None", "",
    ] {
        let token = signed_by(&pair, &json!({ "alg": alg }));
        assert_eq!(
            rejection(auth.verify_now(&token)),
            Rejection::UnacceptableHeader,
            "{alg}"
        );
    }
}

#[test]
fn a_key_in_the_header_is_never_used() {
    let (pair, own) = (
        SigningKey::generate_es256().unwrap(),
        SigningKey::generate_es256().unwrap(),
    );
    let auth = reading(&pair.public_key());
    let key = jwk(&own, "mine");
    for header in [
        json!({ "alg": "ES256", "jwk": key }),
        json!({ "alg": "ES256", "jwk": key, "kid": pair.kid() }),
        json!({ "alg": "ES256", "jku": "https://evil.example/jwks", "kid": "mine" }),
        json!({ "alg": "ES256", "x5u": "https://evil.example/cert" }),
        json!({ "alg": "ES256", "x5c": ["MIIB"] }),
    ] {
        let forged = signed_by(&own, &header);
        assert_eq!(
            rejection(auth.verify_now(&forged)),
            Rejection::BadSignature,
            "{header}"
        );
    }
}

/// CVE-2022-21449: r and s of zero satisfied the equation of ECDSA.
#[test]
fn a_signature_of_zeros_is_refused() {
    let pair = SigningKey::generate_es256().unwrap();
    let auth = reading(&pair.public_key());
    for signature in [[0; 64], [0xff; 64]] {
        let text = unsigned(&json!({ "alg": "ES256" }));
        let forged = format!("{text}.{}", encode(signature));
        assert_eq!(rejection(auth.verify_now(&forged)), Rejection::BadSignature);
    }
}

#[test]
fn a_symmetric_key_in_a_key_set_refuses_the_set() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (set, view, auth) = follow(&clock);
    let secret = json!({ "kty": "oct", "k": encode(&SECRET[..32]), "alg": "HS256", "kid": "s" });
    for keys in [json!([secret]), json!([jwk(&pair, "p"), secret])] {
        *set.lock().unwrap() = json!({ "keys": keys });
        assert!(block_on(view.fetch()).unwrap_err().is_unavailable());
    }
    let forged = signed_with(
        &SECRET[..32],
        &unsigned(&json!({ "alg": "HS256", "kid": "s" })),
    );
    assert!(auth.verify_now(&forged).unwrap_err().is_unavailable());
    *set.lock().unwrap() = json!({ "keys": [jwk(&pair, "p")] });
    block_on(view.fetch()).unwrap();
    assert_eq!(
        rejection(auth.verify_now(&forged)),
        Rejection::UnacceptableHeader
    );
}

/// Its kind decides, and a token that names another algorithm is refused.
#[test]
fn a_key_without_alg_has_the_algorithm_of_its_kind() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (set, view, auth) = follow(&clock);
    let mut key = jwk(&pair, "p");
    key.as_object_mut().unwrap().remove("alg");
    *set.lock().unwrap() = json!({ "keys": [key] });
    block_on(view.fetch()).unwrap();
    let token = |alg| signed_by(&pair, &json!({ "alg": alg, "kid": "p" }));
    assert!(auth.verify_now(&token("ES256")).is_ok());
    assert_eq!(
        rejection(auth.verify_now(&token("EdDSA"))),
        Rejection::UnacceptableHeader
    );
}

#[test]
fn two_keys_of_one_id_refuse_the_set() {
    let clock = Hands::at(START);
    let [one, other] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let (set, view, auth) = follow(&clock);
    *set.lock().unwrap() = json!({ "keys": [jwk(&one, "p")] });
    block_on(view.fetch()).unwrap();
    *set.lock().unwrap() = json!({ "keys": [jwk(&other, "p"), jwk(&one, "p")] });
    assert!(block_on(view.fetch()).unwrap_err().is_unavailable());
    let token = |pair| signed_by(pair, &json!({ "alg": "ES256", "kid": "p" }));
    assert!(auth.verify_now(&token(&one)).is_ok());
    assert_eq!(
        rejection(auth.verify_now(&token(&other))),
        Rejection::BadSignature
    );
}

#[test]
fn a_key_for_encryption_verifies_nothing() {
    let clock = Hands::at(START);
    let [one, other] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let (set, view, auth) = follow(&clock);
    for member in [json!({ "use": "enc" }), json!({ "key_ops": ["deriveKey"] })] {
        let mut key = jwk(&other, "e");
        for (name, value) in member.as_object().unwrap() {
            key[name] = value.clone();
        }
        *set.lock().unwrap() = json!({ "keys": [jwk(&one, "p"), key] });
        block_on(view.fetch()).unwrap();
        let token = signed_by(&other, &json!({ "alg": "ES256", "kid": "e" }));
        assert_eq!(
            rejection(auth.verify_now(&token)),
            Rejection::UnacceptableHeader
        );
        let token = signed_by(&one, &json!({ "alg": "ES256", "kid": "p" }));
        assert!(auth.verify_now(&token).is_ok());
    }
}

#[test]
fn a_set_of_ten_megabytes_is_refused_and_the_keys_stay() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let (set, view, auth) = follow(&clock);
    *set.lock().unwrap() = json!({ "keys": [jwk(&pair, "p")] });
    block_on(view.fetch()).unwrap();
    set.lock().unwrap()["x"] = json!("a".repeat(10 << 20));
    assert!(block_on(view.fetch()).unwrap_err().is_unavailable());
    let token = signed_by(&pair, &json!({ "alg": "ES256", "kid": "p" }));
    assert!(auth.verify_now(&token).is_ok());
}

/// Although its token is remembered.
#[test]
fn a_key_that_has_left_the_set_verifies_nothing() {
    let clock = Hands::at(START);
    let [old, new] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let (set, view, auth) = follow(&clock);
    *set.lock().unwrap() = json!({ "keys": [jwk(&old, "old"), jwk(&new, "new")] });
    block_on(view.fetch()).unwrap();
    let token = signed_by(&old, &json!({ "alg": "ES256", "kid": "old" }));
    assert!(auth.verify_now(&token).is_ok());
    *set.lock().unwrap() = json!({ "keys": [jwk(&new, "new")] });
    block_on(view.fetch()).unwrap();
    assert_eq!(
        rejection(auth.verify_now(&token)),
        Rejection::UnacceptableHeader
    );
    // Nor under the id of the key that is there.
    let token = signed_by(&old, &json!({ "alg": "ES256", "kid": "new" }));
    assert_eq!(rejection(auth.verify_now(&token)), Rejection::BadSignature);
}

/// A miss flushes no good key, a flood of misses asks once in 30 s, and a genuine new key is known after
/// that time, however many invented ones are named.
#[test]
fn a_flood_of_invented_key_ids_flushes_and_delays_no_genuine_key() {
    let clock = Hands::at(START);
    let [old, new] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let (set, view, auth) = follow(&clock);
    let upkeep = auth.upkeep().clock(Arc::new(clock.clone()));
    *set.lock().unwrap() = json!({ "keys": [jwk(&old, "old")] });
    block_on(view.fetch()).unwrap();
    let good = signed_by(&old, &json!({ "alg": "ES256", "kid": "old" }));
    let next = signed_by(&new, &json!({ "alg": "ES256", "kid": "new" }));
    let mut known_at = None;
    for seconds in 1..120 {
        clock.set(START + seconds);
        if seconds == 40 {
            *set.lock().unwrap() = json!({ "keys": [jwk(&old, "old"), jwk(&new, "new")] });
        }
        for number in 0..50 {
            let kid = format!("invented {seconds} {number}");
            let invented = signed_by(&new, &json!({ "alg": "ES256", "kid": kid }));
            assert!(auth.verify_now(&invented).is_err());
        }
        let _ = block_on(upkeep.tick());
        assert!(auth.verify_now(&good).is_ok(), "after {seconds} s");
        if known_at.is_none() && auth.verify_now(&next).is_ok() {
            known_at = Some(seconds);
        }
    }
    assert!(
        known_at.is_some_and(|seconds| seconds <= 40 + 31),
        "{known_at:?}"
    );
}
