//! Tokens of ours and of the crate jsonwebtoken 12, in both directions.
//!
//! The private keys in `keys/` are public, and protect nothing.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use statewise::clock::Clock as _;
use statewise::clock::SystemClock;
use statewise::testkit::block_on;
use statewise::token::{
    Interop, Key, KeySource, Keyring, PublicKey, RingKey, SigningKey, TokenAuthenticator,
};
use statewise::{Authenticator as _, Login, Rejection};

const OURS: &str = "https://auth.example";
const THEIRS: &str = "https://idp.example";
const AUDIENCE: &str = "api";
const HOUR: Duration = Duration::from_secs(3600);
const SECRET: &[u8] = b"thirty-two bytes, for a test onl";

const RSA: &str = include_str!("keys/rsa.pem");
const P256: &str = include_str!("keys/p256.pem");
const ED25519: &str = include_str!("keys/ed25519.pem");

/// Content of a PEM text.
fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

fn ours(keys: impl Into<KeySource>) -> TokenAuthenticator {
    let builder = TokenAuthenticator::builder(keys)
        .issuer(OURS)
        .audience(AUDIENCE);
    builder.lifetime(HOUR).build().unwrap()
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[OURS]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

/// As a service reads our published keys.
fn decoding_key(key: &PublicKey) -> DecodingKey {
    let jwk: Jwk = serde_json::from_str(&key.to_jwk()).unwrap();
    DecodingKey::from_jwk(&jwk).unwrap()
}

#[test]
fn jsonwebtoken_verifies_our_tokens() {
    let es256 = SigningKey::generate_es256().unwrap();
    let ed25519 = SigningKey::generate_ed25519().unwrap().with_older_name();
    let secret = Key::hs256(SECRET).unwrap();
    let kinds: [(Algorithm, RingKey, DecodingKey); 3] = [
        (
            Algorithm::ES256,
            es256.clone().into(),
            decoding_key(&es256.public_key()),
        ),
        (
            Algorithm::EdDSA,
            ed25519.clone().into(),
            decoding_key(&ed25519.public_key()),
        ),
        (
            Algorithm::HS256,
            secret.into(),
            DecodingKey::from_secret(SECRET).unwrap(),
        ),
    ];
    for (algorithm, key, theirs) in kinds {
        let auth = ours(Keyring::new(key));
        let issued = block_on(auth.issue(Login::new("alice").roles(["admin"]))).unwrap();
        let token = issued.credential().reveal();
        let read = decode::<Value>(token, &theirs, &validation(algorithm)).unwrap();
        assert_eq!(read.header.alg, algorithm);
        assert_eq!(read.claims["sub"], "alice");
        assert_eq!(read.claims["roles"], json!(["admin"]));
        let is_refused = |token: &str, key: &DecodingKey, validation: &Validation| {
            assert!(
                decode::<Value>(token, key, validation).is_err(),
                "{algorithm:?}"
            );
        };
        is_refused(
            &token.replacen('.', ".e", 1),
            &theirs,
            &validation(algorithm),
        );
        let other = SigningKey::generate_es256().unwrap().public_key();
        is_refused(token, &decoding_key(&other), &validation(algorithm));
        let mut elsewhere = validation(algorithm);
        elsewhere.set_audience(&["another"]);
        is_refused(token, &theirs, &elsewhere);
    }
}

/// Version 12 knows only the older name, as the manual explains.
#[test]
fn jsonwebtoken_does_not_know_the_newer_name_of_ed25519() {
    let pair = SigningKey::generate_ed25519().unwrap();
    let issued = block_on(ours(pair.clone()).issue(Login::new("alice"))).unwrap();
    let key = decoding_key(&pair.with_older_name().public_key());
    let token = issued.credential().reveal();
    assert!(decode::<Value>(token, &key, &validation(Algorithm::EdDSA)).is_err());
}

struct Peer {
    algorithm: Algorithm,
    signs: EncodingKey,
    /// Our copy of the key, as its owner would publish it.
    verifies: RingKey,
}

fn peers() -> [Peer; 4] {
    let peer = |algorithm, signs: EncodingKey| {
        let jwk = Jwk::from_encoding_key(&signs, algorithm).unwrap();
        let jwk = serde_json::to_string(&jwk).unwrap();
        Peer {
            algorithm,
            signs,
            verifies: PublicKey::from_jwk(&jwk).unwrap().into(),
        }
    };
    [
        peer(Algorithm::ES256, EncodingKey::from_ec_der(&der(P256))),
        peer(Algorithm::EdDSA, EncodingKey::from_ed_der(&der(ED25519))),
        peer(Algorithm::RS256, EncodingKey::from_rsa_der(&der(RSA))),
        Peer {
            algorithm: Algorithm::HS256,
            signs: EncodingKey::from_secret(SECRET).unwrap(),
            verifies: Key::hs256(SECRET).unwrap().into(),
        },
    ]
}

#[test]
fn we_verify_tokens_of_jsonwebtoken() {
    let now = SystemClock.now().unwrap().unix();
    let claims = json!({
        "iss": THEIRS, "aud": [AUDIENCE, "other"], "sub": "bob", "iat": now, "exp": now + 600,
        "roles": ["reader"],
    });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    for peer in peers() {
        let verifier = |key: RingKey| {
            let theirs = Interop::from_issuer(THEIRS, HOUR)
                .audience(AUDIENCE)
                .key(key);
            let builder = TokenAuthenticator::builder(Key::generate_hs256().unwrap());
            let builder = builder.issuer(OURS).audience(AUDIENCE).lifetime(HOUR);
            builder.interop(theirs).build().unwrap() as TokenAuthenticator
        };
        let auth = verifier(peer.verifies.clone());
        let signed =
            |claims: &Value| encode(&Header::new(peer.algorithm), claims, &peer.signs).unwrap();
        let token = signed(&claims);
        let caller = auth.verify_now(&token).unwrap();
        assert_eq!(caller.subject(), "bob", "{:?}", peer.algorithm);
        assert!(caller.has_role("reader"));
        let rejection = |token: &str| auth.verify_now(token).unwrap_err().rejection().unwrap();
        for (wrong, expected) in [
            (with("exp", json!(now - 60)), Rejection::Expired),
            (
                with("iss", json!("https://evil.example")),
                Rejection::WrongIssuer,
            ),
            (with("aud", json!("another")), Rejection::WrongAudience),
            (with("sub", Value::Null), Rejection::WrongClaimType),
        ] {
            assert_eq!(rejection(&signed(&wrong)), expected, "{:?}", peer.algorithm);
        }
        let (signature, unsigned) = {
            let (unsigned, signature) = token.rsplit_once('.').unwrap();
            (signature, unsigned)
        };
        let other = signed(&with("sub", json!("mallory")));
        let (other, _) = other.rsplit_once('.').unwrap();
        assert_eq!(
            rejection(&format!("{other}.{signature}")),
            Rejection::BadSignature
        );
        assert!(auth.verify_now(&format!("{unsigned}.AAAA")).is_err());
        // Each algorithm has its key, and no other one verifies.
        for other in peers()
            .into_iter()
            .filter(|other| other.algorithm != peer.algorithm)
        {
            let auth = verifier(other.verifies);
            assert!(auth.verify_now(&token).is_err(), "{:?}", peer.algorithm);
        }
    }
}

/// The public key is known to everyone, and as a secret it proves nothing.
#[test]
fn a_token_of_jsonwebtoken_with_the_public_key_as_secret_is_refused() {
    let now = SystemClock.now().unwrap().unix();
    let claims = json!({
        "iss": THEIRS, "aud": AUDIENCE, "sub": "admin", "iat": now, "exp": now + 600,
    });
    for pem in [P256, ED25519] {
        let public = SigningKey::from_pem(pem).unwrap().public_key();
        let theirs = Interop::from_issuer(THEIRS, HOUR)
            .audience(AUDIENCE)
            .key(public.clone());
        let builder = TokenAuthenticator::verifier(public_of_another_service());
        let builder = builder.issuer(OURS).audience(AUDIENCE).lifetime(HOUR);
        let auth: TokenAuthenticator = builder.interop(theirs).build().unwrap();
        for secret in [
            public.to_pem(),
            public.to_jwk(),
            public.to_pem().trim().to_owned(),
        ] {
            let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
            for kid in [None, Some(public.kid().to_owned())] {
                let mut header = Header::new(Algorithm::HS256);
                header.kid = kid;
                let forged = encode(&header, &claims, &key).unwrap();
                let error = auth.verify_now(&forged).unwrap_err();
                assert_eq!(error.rejection(), Some(Rejection::UnacceptableHeader));
            }
        }
    }
}

fn public_of_another_service() -> PublicKey {
    SigningKey::generate_es256().unwrap().public_key()
}
