//! Verifies public-key tokens beside jsonwebtoken 12, with the same algorithm and the same crypto crate.
//!
//! The claims are those of the other tokens. jsonwebtoken verifies the signature of each token; we
//! remember the texts that a key has verified.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use statewise::token::{PublicKey, SigningKey, TokenAuthenticator};
use statewise::{Authenticator as _, DynAuthenticator};

use crate::harness::options::Options;
use crate::harness::{Group, Random, Row, now};
use crate::tokens::{AUDIENCE, Claims, ISSUER, LIFE, SUBJECT, claims, login};
use crate::versions::JSONWEBTOKEN;

/// More than three times the texts that a key remembers.
const NEW: usize = 60_000;
/// As in a busy service: all are remembered.
const SEEN: usize = 4_000;

pub fn run(options: &Options) -> Vec<Row> {
    let ed25519 = SigningKey::generate_ed25519().expect("random bytes");
    let pairs = [
        (
            "ES256",
            jsonwebtoken::Algorithm::ES256,
            SigningKey::generate_es256().expect("random bytes"),
        ),
        // jsonwebtoken knows only the older name.
        (
            "Ed25519",
            jsonwebtoken::Algorithm::EdDSA,
            ed25519.with_older_name(),
        ),
    ];
    let rows = pairs.into_iter();
    rows.flat_map(|(name, algorithm, pair)| verify(name, algorithm, &pair, options))
        .collect()
}

fn authenticator(keys: PublicKey) -> Arc<dyn DynAuthenticator<()>> {
    let auth: TokenAuthenticator = TokenAuthenticator::verifier(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(std::time::Duration::from_secs(LIFE))
        .build()
        .expect("a right configuration");
    Arc::new(auth)
}

fn verify(
    name: &str,
    algorithm: jsonwebtoken::Algorithm,
    pair: &SigningKey,
    options: &Options,
) -> Vec<Row> {
    let group = format!("verify a token of {name}");
    if !options.wants(&group) {
        return Vec::new();
    }
    let issuer: TokenAuthenticator = TokenAuthenticator::builder(pair.clone())
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(std::time::Duration::from_secs(LIFE))
        .build()
        .expect("a right configuration");
    let ours: Vec<String> = (0..NEW)
        .map(|_| {
            let issued = now(issuer.issue(login())).expect("issued");
            issued.credential().reveal().to_owned()
        })
        .collect();
    let jwk = pair.public_key().to_jwk();
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&jwk).expect("a key");
    let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let theirs: Vec<String> = (0..SEEN).map(|_| signed(algorithm, pair)).collect();
    let by_jsonwebtoken = |token: &str| {
        let data = jsonwebtoken::decode::<Claims>(token, &decoding, &validation);
        data.expect("verified").claims
    };
    assert_eq!(by_jsonwebtoken(&theirs[0]).sub, SUBJECT);

    // Two views of one key, so that no new token pushes a remembered one out.
    let read = || PublicKey::from_jwk(&pair.public_key().to_jwk()).expect("a key");
    let (fresh, seen) = (authenticator(read()), authenticator(read()));
    for token in &ours[..SEEN] {
        let _ = now(seen.verify(token)).expect("verified");
    }
    let at = Cell::new(0);
    let next = || {
        at.set((at.get() + 1) % NEW);
        &*ours[at.get()]
    };
    let [mut random, mut their_random] = [(); 2].map(|()| Random(options.seed));
    let peer = format!("{JSONWEBTOKEN}, one token");
    let among = format!("{JSONWEBTOKEN}, one of 4,000 at random");
    Group::new(group)
        .add(&*peer, || by_jsonwebtoken(black_box(&theirs[0])))
        .multiples_of(&peer)
        .add(&*among, || {
            by_jsonwebtoken(black_box(&theirs[their_random.below(SEEN)]))
        })
        .add("statewise, a new token", || {
            now(fresh.verify(black_box(next()))).expect("verified")
        })
        .add("statewise, remembered, one token", || {
            now(seen.verify(black_box(&ours[0]))).expect("verified")
        })
        .add("statewise, remembered, one of 4,000 at random", || {
            now(seen.verify(black_box(&ours[random.below(SEEN)]))).expect("verified")
        })
        .run(options)
}

/// Returns a token with the claims of the other tokens. Our key signs it, because jsonwebtoken reads
/// no key of Ed25519 in the form that ring and aws-lc-rs write.
fn signed(algorithm: jsonwebtoken::Algorithm, pair: &SigningKey) -> String {
    let encode = |bytes: &[u8]| {
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
    };
    let header = serde_json::to_vec(&jsonwebtoken::Header::new(algorithm)).expect("JSON");
    let claims = serde_json::to_vec(&claims()).expect("JSON");
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let signature = pair.sign(text.as_bytes()).expect("signed");
    format!("{text}.{}", encode(signature.as_bytes()))
}
