//! Public-key tokens: seen for the first time, remembered, forged and issued.
//!
//! With the feature `aws-lc-rs` or `ring`, the crate alone is the floor: it verifies the signature of
//! the same token. New tokens are 60 000, four times as many as a key remembers.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use statewise::token::SigningKey;
use statewise::{Authenticator, DynAuthenticator, Login};

use crate::harness::options::Options;
use crate::harness::{Group, Random, Row, now};
use crate::tokens::{configured, key};

/// More than four times the texts that a key remembers.
const NEW: usize = 60_000;
/// The floor.
const ALONE: &str = "the crate alone, a new token";
/// As in a busy service: all are remembered.
const SEEN: usize = 4_000;

pub fn measure(options: &Options) -> Vec<Row> {
    let groups = [
        ("ES256", SigningKey::generate_es256().unwrap()),
        ("Ed25519", SigningKey::generate_ed25519().unwrap()),
    ];
    let mut rows = Vec::new();
    for (name, pair) in groups {
        rows.extend(verified(name, &pair, options));
    }
    rows
}

fn verified(algorithm: &str, pair: &SigningKey, options: &Options) -> Vec<Row> {
    let name = format!("{algorithm} token verify");
    if !options.wants(&name) {
        return Vec::new();
    }
    let issuer: Arc<dyn DynAuthenticator<()>> =
        Arc::new(configured::<()>(pair.clone()).build().unwrap());
    let secret: Arc<dyn DynAuthenticator<()>> = Arc::new(configured::<()>(key()).build().unwrap());
    let token_of = |auth: &Arc<dyn DynAuthenticator<()>>| {
        let login = Login::new("user_8f3a2c91").roles(["admin", "editor"]);
        let issued = now(auth.issue(login)).unwrap();
        issued.credential().reveal().to_owned()
    };
    let tokens: Vec<String> = (0..NEW).map(|_| token_of(&issuer)).collect();
    let hs256: Vec<String> = (0..SEEN).map(|_| token_of(&secret)).collect();
    let forged: Vec<String> = tokens[..SEEN]
        .windows(2)
        .map(|pair| {
            let (signed, _) = pair[0].rsplit_once('.').unwrap();
            let (_, signature) = pair[1].rsplit_once('.').unwrap();
            format!("{signed}.{signature}")
        })
        .collect();
    assert!(now(issuer.verify(&forged[0])).is_err());
    // A key of its own, so that no new token pushes a remembered one out.
    let again = SigningKey::from_pem(&pair.reveal()).unwrap();
    let seen: Arc<dyn DynAuthenticator<()>> = Arc::new(configured::<()>(again).build().unwrap());
    for token in &tokens[..SEEN] {
        let _ = now(seen.verify(token)).unwrap();
    }
    let in_order = Cell::new(0);
    let next = || {
        in_order.set((in_order.get() + 1) % NEW);
        &*tokens[in_order.get()]
    };
    let mut random = Random(options.seed);
    let mut random_secret = Random(options.seed);
    let mut random_forged = Random(options.seed);
    let one = &*tokens[0];
    let group = Group::new(name)
        .add("HS256, one token", || {
            now(secret.verify(black_box(&hs256[0]))).unwrap()
        })
        .add("HS256, one of 4,000 at random", || {
            now(secret.verify(black_box(&hs256[random_secret.below(SEEN)]))).unwrap()
        })
        .add("remembered, one token", || {
            now(seen.verify(black_box(one))).unwrap()
        });
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    let group = alone::add(group, pair, &tokens);
    group
        .add("a new token", || {
            now(issuer.verify(black_box(next()))).unwrap()
        })
        .add("remembered, one of 4,000 at random", || {
            let token = &tokens[random.below(SEEN)];
            now(seen.verify(black_box(token))).unwrap()
        })
        .add("forged", || {
            let token = &forged[random_forged.below(SEEN - 1)];
            now(issuer.verify(black_box(token))).unwrap_err()
        })
        .add("issue", || token_of(&issuer))
        .multiples_of("HS256, one token")
        .multiples_of(ALONE)
        .run(options)
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod alone {
    #[cfg(feature = "aws-lc-rs")]
    use aws_lc_rs as ring;
    #[cfg(not(feature = "aws-lc-rs"))]
    use ring;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    /// Adds the verification of a signature that is decoded already.
    pub(super) fn add<'a>(group: Group<'a>, pair: &SigningKey, tokens: &'a [String]) -> Group<'a> {
        let pem = pair.public_key().to_pem();
        let digits: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let info = STANDARD.decode(digits).unwrap();
        // The point of a P-256 key takes 65 bytes, a key of Ed25519 32.
        let (algorithm, key): (&'static dyn VerificationAlgorithm, _) = match info.len() {
            91 => (&ECDSA_P256_SHA256_FIXED, info[26..].to_vec()),
            _ => (&ED25519, info[12..].to_vec()),
        };
        let key = UnparsedPublicKey::new(algorithm, key);
        let split: Vec<(&str, Vec<u8>)> = tokens
            .iter()
            .map(|token| {
                let (signed, signature) = token.rsplit_once('.').unwrap();
                (signed, URL_SAFE_NO_PAD.decode(signature).unwrap())
            })
            .collect();
        let mut at = 0;
        group.add(ALONE, move || {
            at = (at + 1) % split.len();
            let (signed, signature) = &split[at];
            key.verify(black_box(signed.as_bytes()), signature).unwrap();
        })
    }
}
