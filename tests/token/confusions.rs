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

/// r and s of ECDSA, and r and n - s, sign the same text. Whoever has a token can write the other one.
#[test]
fn the_other_signature_of_a_text_is_revoked_with_it() {
    const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
        \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let log = view(&clock, 2 * HOUR);
    let auth = builder(key(), &clock).interop(theirs().key(pair.public_key()));
    let auth = auth.revocations(&log).build().unwrap();
    let text = unsigned(&json!({ "alg": "ES256" }));
    let signature = *pair.sign(text.as_bytes()).unwrap().as_bytes();
    let mut other = signature;
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = 256 + i32::from(ORDER[at]) - i32::from(signature[32 + at]) - borrow;
        borrow = i32::from(difference < 256);
        other[32 + at] = difference as u8;
    }
    let tokens = [signature, other].map(|signature| format!("{text}.{}", encode(signature)));
    for token in &tokens {
        assert!(auth.verify_now(token).is_ok());
    }
    let _ = block_on(auth.revoke(&tokens[0])).unwrap();
    for token in &tokens {
        assert_eq!(rejection(auth.verify_now(token)), Rejection::Revoked);
    }
    // Another text of the same user is another login.
    let another = signed_by(&pair, &json!({ "alg": "ES256", "typ": "JWT" }));
    assert!(auth.verify_now(&another).is_ok());
}

/// Keys with which everyone could sign, and keys that no signature fits, on every backend.
#[test]
fn weak_and_impossible_public_keys_are_refused() {
    let read = |jwk: Value| PublicKey::from_jwk(&jwk.to_string());
    let rsa = |bytes: usize, last: u8, e: &[u8]| {
        let mut n = vec![0xc5; bytes];
        n[bytes - 1] = last;
        read(json!({ "kty": "RSA", "n": encode(n), "e": encode(e) }))
    };
    for (bytes, e) in [(256, &[1, 0, 1][..]), (256, &[3]), (1024, &[1, 0, 1])] {
        assert!(rsa(bytes, 1, e).is_ok(), "{bytes} {e:?}");
    }
    for (bytes, last, e) in [
        (64, 1, &[1, 0, 1][..]),
        (128, 1, &[1, 0, 1]),
        (255, 1, &[1, 0, 1]),
        (1025, 1, &[1, 0, 1]),
        (2048, 1, &[1, 0, 1]),
        (256, 2, &[1, 0, 1]),
        (256, 1, &[]),
        (256, 1, &[0]),
        (256, 1, &[1]),
        (256, 1, &[2]),
        (256, 1, &[1, 0, 0]),
        (256, 1, &[1, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        assert!(rsa(bytes, last, e).is_err(), "{bytes} {last} {e:?}");
    }
    let point = |x: u8, y: u8| {
        let [x, y] = [x, y].map(|byte| encode([byte; 32]));
        read(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }))
    };
    for (x, y) in [(0, 0), (7, 9), (0xff, 0xff)] {
        assert!(point(x, y).is_err(), "{x} {y}");
    }
    let order_8 = b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
        \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc";
    let other_8 = order_8.map(|byte| !byte);
    let of = |first: u8, between: u8, last: u8| {
        let mut y = [between; 32];
        (y[0], y[31]) = (first, last);
        y
    };
    let of_order_8 = |low: [u8; 31], first: u8, last: u8| {
        let mut y = [0; 32];
        y[..31].copy_from_slice(&low);
        (y[0], y[31]) = (first, last);
        y
    };
    for y in [
        of(1, 0, 0),
        of(0, 0, 0),
        of(0xec, 0xff, 0x7f),
        of(0xed, 0xff, 0x7f),
        of(0xee, 0xff, 0x7f),
        of(0xff, 0xff, 0x7f),
        of_order_8(*order_8, 0x26, 0x05),
        of_order_8(other_8, 0xc7, 0x7a),
    ] {
        for sign in [0, 0x80] {
            let mut y = y;
            y[31] |= sign;
            let key = read(json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(y) }));
            assert!(key.is_err(), "{y:x?}");
        }
    }
    // A bit string that is no key.
    let pem = "-----BEGIN PUBLIC KEY-----\nMBQwDQYJKoZIhvcNAQEBBQADAwABAg==\n\
               -----END PUBLIC KEY-----";
    assert!(PublicKey::from_pem(pem).unwrap_err().is_misuse());
}

#[test]
fn a_malformed_secret_in_a_key_set_refuses_the_set() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    let view = KeySetView::builder(move || {
        let text = shared.lock().unwrap().clone();
        async move { Ok(text) }
    });
    let view = view.clock(clock).build().unwrap();
    for secret in [
        r#"{"kty":"oct","k":"AAAA","kid":5}"#,
        r#"{"kid":5,"kty":"oct"}"#,
        r#"{"kty":"oct","k":"AAAA","k":"AAAA"}"#,
        r#"{"kty":["oct"],"k":"AAAA"}"#,
        r#"{"kty":"oct","k":"AAAA","key_ops":"sign"}"#,
        r#"{"kty":"EC","crv":"P-256","d":"AA","kid":null}"#,
        r#"{"\u006bty":"o\u0063t"}"#,
    ] {
        *text.lock().unwrap() = format!(r#"{{"keys":[{},{secret}]}}"#, jwk(&pair, "p"));
        let error = block_on(view.fetch()).expect_err(secret);
        assert!(format!("{error:?}").contains("secret"), "{error:?}");
    }
}

/// A ring would verify with one of them alone.
#[test]
fn two_keys_of_one_id_are_no_ring() {
    let clock = Hands::at(START);
    let [one, other] = [(); 2].map(|()| {
        let pair = SigningKey::generate_es256().unwrap();
        PublicKey::from_jwk(&jwk(&pair, "1").to_string()).unwrap()
    });
    let ring = Keyring::verifying([one.clone(), other.clone()]);
    let auth = TokenAuthenticator::verifier(ring).issuer(ISSUER);
    let error = auth.audience("api").lifetime(HOUR).build().unwrap_err();
    assert!(error.to_string().contains("one id"), "{error}");
    let auth = builder(key(), &clock).interop(theirs().key(one.clone()).key(other));
    let error = auth.build().unwrap_err();
    assert!(error.to_string().contains("one id"), "{error}");
    let again = builder(key(), &clock).interop(theirs().key(one.clone()).key(one));
    assert!(again.build().is_ok());
}

/// Otherwise the call would succeed, and the leaked key verify as before.
#[test]
fn a_key_is_retired_by_the_id_that_its_issuer_has_given_to_it() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    for kid in ["key-2026-01", "leaked"] {
        let public = PublicKey::from_jwk(&jwk(&pair, kid).to_string()).unwrap();
        let token = signed_by(&pair, &json!({ "alg": "ES256", "kid": kid }));
        let log = view(&clock, 2 * HOUR);
        let auth = builder(key(), &clock).interop(theirs().key(public));
        let auth = auth.revocations(&log).build().unwrap();
        assert!(auth.verify_now(&token).is_ok());
        let _ = block_on(auth.retire_key(kid)).unwrap();
        assert_eq!(
            rejection(auth.verify_now(&token)),
            Rejection::UnacceptableHeader
        );
        let (set, follows, auth) = {
            let (set, follows, _) = follow(&clock);
            let auth = builder(key(), &clock).interop(theirs().follow(&follows));
            (
                set,
                follows,
                auth.revocations(&view(&clock, 2 * HOUR)).build().unwrap(),
            )
        };
        *set.lock().unwrap() = json!({ "keys": [jwk(&pair, kid)] });
        block_on(follows.fetch()).unwrap();
        assert!(auth.verify_now(&token).is_ok());
        let _ = block_on(auth.retire_key(kid)).unwrap();
        assert_eq!(
            rejection(auth.verify_now(&token)),
            Rejection::UnacceptableHeader
        );
    }
    let ed = SigningKey::generate_ed25519().unwrap();
    let public = PublicKey::from_jwk(&ed.public_key().to_jwk()).unwrap();
    let ring = Keyring::new(key()).verify_with(public.clone());
    let auth = builder(ring, &clock).revocations(&view(&clock, 2 * HOUR));
    let auth = auth.build().unwrap();
    let token = block_on(builder(ed, &clock).build().unwrap().issue(Login::new("a"))).unwrap();
    assert!(auth.verify_now(token.credential().reveal()).is_ok());
    let _ = block_on(auth.retire_key(public.kid())).unwrap();
    let rejected = auth.verify_now(token.credential().reveal());
    assert_eq!(rejection(rejected), Rejection::Revoked);
}

/// Its public keys are known to everyone, and a set may contain them.
#[test]
fn an_issuer_that_publishes_the_key_of_another_one_ends_none_of_its_tokens() {
    let clock = Hands::at(START);
    let [one, other] = [(); 2].map(|()| SigningKey::generate_es256().unwrap());
    let (copied, first, _) = follow(&clock);
    let (set, second, _) = follow(&clock);
    *copied.lock().unwrap() = json!({ "keys": [jwk(&one, "a"), jwk(&other, "b")] });
    *set.lock().unwrap() = json!({ "keys": [jwk(&other, "b")] });
    let copier = Interop::from_issuer("https://other.example", HOUR).audience("api");
    let auth = builder(key(), &clock).interop(copier.follow(&first));
    let auth = auth.interop(theirs().follow(&second)).build().unwrap();
    for view in [&first, &second] {
        block_on(view.fetch()).unwrap();
    }
    for header in [
        json!({ "alg": "ES256", "kid": "b" }),
        json!({ "alg": "ES256" }),
    ] {
        let token = signed_by(&other, &header);
        assert_eq!(auth.verify_now(&token).unwrap().subject(), "admin");
    }
    let forged = signed_by(&one, &json!({ "alg": "ES256", "kid": "a" }));
    assert_eq!(rejection(auth.verify_now(&forged)), Rejection::WrongIssuer);
}
