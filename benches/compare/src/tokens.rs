//! Verifying and issuing a token: what each library takes for the same claims.
//!
//! 267 characters for the others, with `jti`; ours say the same with an id of 22 characters and a
//! header that names the key. All check signature, `exp`, `iss` and `aud`, and give a typed result.

use std::hint::black_box;

use hmac12::Mac as _;
use jwt::{SignWithKey as _, VerifyWithKey as _};
use jwt_compact::AlgorithmExt as _;
use jwt_simple::algorithms::MACLike as _;
use serde::{Deserialize, Serialize};
use statewise::token::{Key, TokenAuthenticator, TokenBuffer};
use statewise::{Authenticator as _, Login};

use crate::floor;
use crate::harness::options::Options;
use crate::harness::{Group, Row, now};

const ISSUER: &str = "auth.acme.dev";
const AUDIENCE: &str = "api";
const SUBJECT: &str = "user_8f3a2c91";
const LIFE: u64 = 3600;

/// The claims as a typed struct, which every library gives.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Claims {
    sub: String,
    roles: Vec<String>,
    iat: u64,
    exp: u64,
    iss: String,
    aud: String,
    jti: String,
}

/// What a library that models the registered claims itself leaves to us.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Rest {
    roles: Vec<String>,
}

/// What jwt-compact leaves to us: all but the dates.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Undated {
    sub: String,
    roles: Vec<String>,
    iss: String,
    aud: String,
    jti: String,
}

fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

fn claims() -> Claims {
    let now = seconds();
    Claims {
        sub: SUBJECT.to_owned(),
        roles: vec!["admin".to_owned(), "editor".to_owned()],
        iat: now,
        exp: now + LIFE,
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        jti: "k3Jx9QmZ2LpW".to_owned(),
    }
}

/// The token with another signature.
fn forged(token: &str) -> String {
    let (body, signature) = token.rsplit_once('.').expect("three segments");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{body}.{first}{}", &signature[1..])
}

pub fn run(options: &Options) -> Vec<Row> {
    let secret: [u8; 32] = std::array::from_fn(|n| n as u8 * 7 + 3);

    let auth: TokenAuthenticator = TokenAuthenticator::builder(Key::hs256(&secret).expect("long"))
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(std::time::Duration::from_secs(LIFE))
        .build()
        .expect("a right configuration");
    let login = || Login::new(SUBJECT).roles(["admin", "editor"]);
    let ours = now(auth.issue(login()))
        .expect("issued")
        .credential()
        .reveal()
        .to_owned();
    let floor = floor::token::Floor::new(&secret, &ours.as_bytes()[..64], ISSUER, AUDIENCE);
    let (mut scratch, mut buffer) = ([0; 6144], TokenBuffer::new());

    let encoding = jsonwebtoken::EncodingKey::from_secret(&secret);
    let decoding = jsonwebtoken::DecodingKey::from_secret(&secret);
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let theirs = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims(), &encoding)
        .expect("encoded");
    let wrong = forged(&theirs);

    let simple = jwt_simple::algorithms::HS256Key::from_bytes(&secret);
    let options_simple = || jwt_simple::prelude::VerificationOptions {
        allowed_issuers: Some([ISSUER.to_owned()].into()),
        allowed_audiences: Some([AUDIENCE.to_owned()].into()),
        ..Default::default()
    };
    let options_kept = options_simple();

    let compact_key = jwt_compact::alg::Hs256Key::new(secret);
    let times = jwt_compact::TimeOptions::default();

    let pre_keyed = hmac12::Hmac::<sha210::Sha256>::new_from_slice(&secret).expect("any length");

    println!(
        "tokens: {} characters, the others {}",
        ours.len(),
        theirs.len()
    );
    let compact = |token: &str| -> Option<Undated> {
        let untrusted = jwt_compact::UntrustedToken::new(token).ok()?;
        let validated = jwt_compact::alg::Hs256
            .validator::<Undated>(&compact_key)
            .validate(&untrusted)
            .ok()?;
        let claims = validated.claims();
        claims.validate_expiration(&times).ok()?;
        let custom = &claims.custom;
        (custom.iss == ISSUER && custom.aud == AUDIENCE).then(|| custom.clone())
    };
    let by_jwt = |token: &str| -> Option<Claims> {
        let claims: Claims = token.verify_with_key(&pre_keyed).ok()?;
        let right = claims.exp > seconds() && claims.iss == ISSUER && claims.aud == AUDIENCE;
        right.then_some(claims)
    };
    assert_eq!(compact(&theirs).expect("verified").sub, SUBJECT);
    assert_eq!(by_jwt(&theirs).expect("verified").sub, SUBJECT);

    let mut rows = Group::new("verify a token")
        .add("floor, by hand", || {
            floor
                .verify(black_box(&ours), &mut scratch)
                .map(|c| c.subject.len())
        })
        .add("statewise, borrowed", || {
            auth.verify_borrowed(black_box(&ours), &mut buffer)
                .map(|c| c.subject().len())
                .ok()
        })
        .add("statewise, owned", || {
            auth.verify_now(black_box(&ours)).expect("verified")
        })
        .add("jwt 0.16 (claims checked by hand)", || {
            by_jwt(black_box(&theirs)).expect("verified")
        })
        .add("jsonwebtoken 11 (rust_crypto)", || {
            jsonwebtoken::decode::<Claims>(black_box(&theirs), &decoding, &validation)
                .expect("verified")
        })
        .add("jwt-compact 0.8 (iss, aud by hand)", || {
            compact(black_box(&theirs)).expect("verified")
        })
        .add("jwt-simple 0.15", || {
            simple
                .verify_token::<Rest>(black_box(&theirs), Some(options_kept.clone()))
                .expect("verified")
        })
        .run(options);
    let ours_wrong = forged(&ours);
    rows.extend(
        Group::new("refuse a forged token")
            .add("floor, by hand", || floor.is_proven(black_box(&ours_wrong)))
            .add("statewise", || {
                auth.verify_now(black_box(&ours_wrong)).is_err()
            })
            .add("jwt 0.16", || by_jwt(black_box(&wrong)).is_none())
            .add("jsonwebtoken 11 (rust_crypto)", || {
                jsonwebtoken::decode::<Claims>(black_box(&wrong), &decoding, &validation).is_err()
            })
            .add("jwt-compact 0.8", || compact(black_box(&wrong)).is_none())
            .add("jwt-simple 0.15", || {
                simple
                    .verify_token::<Rest>(black_box(&wrong), Some(options_kept.clone()))
                    .is_err()
            })
            .run(options),
    );
    rows.extend(
        Group::new("issue a token")
            .add("statewise (with a random id)", || {
                now(auth.issue(login())).expect("issued")
            })
            .add("jwt 0.16", || {
                claims().sign_with_key(&pre_keyed).expect("signed")
            })
            .add("jsonwebtoken 11 (rust_crypto)", || {
                jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims(), &encoding)
                    .expect("encoded")
            })
            .run(options),
    );
    rows
}
