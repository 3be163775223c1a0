//! Verifies and issues tokens with the same claims in each library.
//!
//! A subject, two roles, `iat`, `exp`, `iss`, `aud` and an id: 267 characters for the others, with
//! an id of 12 characters; ours has an id of 22 and a header that names the key. All check
//! signature, `exp`, `iss` and `aud`, and return a typed result. Keys, validators and options are
//! created once. Checks that a library does not make itself are made by hand, and its name has a mark.

use std::hint::black_box;
use std::sync::Arc;

use hmac12::Mac as _;
use jwt::{SignWithKey as _, VerifyWithKey as _};
use jwt_compact::AlgorithmExt as _;
use jwt_simple::algorithms::MACLike as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use statewise::entropy::Entropy;
use statewise::token::{Key, TokenAuthenticator, TokenBuffer, TokenBuilder};
use statewise::{Authenticator as _, DynAuthenticator, Login};

use crate::floor;
use crate::harness::options::Options;
use crate::harness::{Group, Row, now};
use crate::versions::JSONWEBTOKEN;

pub const ISSUER: &str = "auth.acme.dev";
pub const AUDIENCE: &str = "api";
pub const SUBJECT: &str = "user_8f3a2c91";
const ROLES: [&str; 2] = ["admin", "editor"];
const ID: &str = "k3Jx9QmZ2LpW";
pub const LIFE: u64 = 3600;

const BORROWED: &str = "statewise, borrowed";
const OWNED: &str = "statewise, owned, Arc<dyn>";
const GIVEN: &str = "statewise, the id given";
const DRAWN: &str = "statewise, the id drawn from the system";

const SECRET: [u8; 32] = *b"thirty-two bytes, for benches on";

/// The claims as a typed struct, which every library returns.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    pub sub: String,
    roles: Vec<String>,
    iat: u64,
    exp: u64,
    iss: String,
    aud: String,
    jti: String,
}

/// The same for signing, without owned data.
#[derive(Serialize)]
pub struct ClaimsToSign {
    sub: &'static str,
    roles: [&'static str; 2],
    iat: u64,
    exp: u64,
    iss: &'static str,
    aud: &'static str,
    jti: &'static str,
}

/// The claims that jwt-simple leaves to the application; it models the registered ones itself.
#[derive(Deserialize)]
struct Rest {
    #[allow(dead_code, reason = "read for being read")]
    roles: Vec<String>,
}

#[derive(Serialize)]
struct RestToSign {
    roles: [&'static str; 2],
}

/// The claims that jwt-compact leaves to the application: all but the dates.
#[derive(Clone, Deserialize)]
struct Undated {
    sub: String,
    #[allow(dead_code, reason = "read for being read")]
    roles: Vec<String>,
    iss: String,
    aud: String,
    #[allow(dead_code, reason = "read for being read")]
    jti: String,
}

#[derive(Serialize)]
struct UndatedToSign {
    sub: &'static str,
    roles: [&'static str; 2],
    iss: &'static str,
    aud: &'static str,
    jti: &'static str,
}

/// Application data in one of our tokens, beside the claims above.
#[derive(Debug, Deserialize, Serialize)]
struct Account {
    tenant: String,
    plan: u32,
}

/// No entropy: the others get a fixed id too.
#[derive(Debug)]
struct Given;

impl Entropy for Given {
    fn fill(&self, bytes: &mut [u8]) -> statewise::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

pub fn claims() -> ClaimsToSign {
    let now = seconds();
    ClaimsToSign {
        sub: SUBJECT,
        roles: ROLES,
        iat: now,
        exp: now + LIFE,
        iss: ISSUER,
        aud: AUDIENCE,
        jti: ID,
    }
}

pub fn login() -> Login {
    Login::new(SUBJECT).roles(ROLES)
}

fn configured<D>() -> TokenBuilder<D>
where
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    TokenAuthenticator::builder(Key::hs256(&SECRET).expect("long enough"))
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(std::time::Duration::from_secs(LIFE))
        .with_data()
}

/// The token with another signature.
fn forged(token: &str) -> String {
    let (body, signature) = token.rsplit_once('.').expect("three segments");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{body}.{first}{}", &signature[1..])
}

/// The other libraries, ready to verify and to sign.
struct Peers {
    encoding: jsonwebtoken::EncodingKey,
    decoding: jsonwebtoken::DecodingKey,
    validation: jsonwebtoken::Validation,
    simple: jwt_simple::algorithms::HS256Key,
    simple_options: jwt_simple::prelude::VerificationOptions,
    compact: jwt_compact::alg::Hs256Key,
    times: jwt_compact::TimeOptions,
    life: chrono::Duration,
    pre_keyed: hmac12::Hmac<sha210::Sha256>,
}

impl Peers {
    fn new() -> Self {
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Self {
            encoding: jsonwebtoken::EncodingKey::from_secret(&SECRET).expect("a key"),
            decoding: jsonwebtoken::DecodingKey::from_secret(&SECRET).expect("a key"),
            validation,
            simple: jwt_simple::algorithms::HS256Key::from_bytes(&SECRET),
            simple_options: jwt_simple::prelude::VerificationOptions {
                allowed_issuers: Some([ISSUER.to_owned()].into()),
                allowed_audiences: Some([AUDIENCE.to_owned()].into()),
                ..Default::default()
            },
            compact: jwt_compact::alg::Hs256Key::new(SECRET),
            times: jwt_compact::TimeOptions::default(),
            life: chrono::Duration::seconds(LIFE as i64),
            pre_keyed: hmac12::Hmac::new_from_slice(&SECRET).expect("any length"),
        }
    }

    fn by_jwt(&self, token: &str) -> Option<Claims> {
        let claims: Claims = token.verify_with_key(&self.pre_keyed).ok()?;
        let right = claims.exp > seconds() && claims.iss == ISSUER && claims.aud == AUDIENCE;
        right.then_some(claims)
    }

    fn by_jsonwebtoken(&self, token: &str) -> Option<Claims> {
        let data = jsonwebtoken::decode(token, &self.decoding, &self.validation);
        Some(data.ok()?.claims)
    }

    fn by_compact(&self, token: &str) -> Option<Undated> {
        let untrusted = jwt_compact::UntrustedToken::new(token).ok()?;
        // It only borrows the key, so nothing is prepared.
        let validator = jwt_compact::alg::Hs256.validator::<Undated>(&self.compact);
        let (_, claims) = validator.validate(&untrusted).ok()?.into_parts();
        claims.validate_expiration(&self.times).ok()?;
        let custom = claims.custom;
        (custom.iss == ISSUER && custom.aud == AUDIENCE).then_some(custom)
    }

    /// Takes its options by value: one clone per token.
    fn by_simple(&self, token: &str) -> Option<jwt_simple::prelude::JWTClaims<Rest>> {
        let options = self.simple_options.clone();
        self.simple.verify_token(token, Some(options)).ok()
    }

    fn sign_jwt(&self) -> String {
        claims().sign_with_key(&self.pre_keyed).expect("signed")
    }

    fn sign_jsonwebtoken(&self) -> String {
        let header = jsonwebtoken::Header::default();
        jsonwebtoken::encode(&header, &claims(), &self.encoding).expect("signed")
    }

    fn sign_compact(&self) -> String {
        let claims = jwt_compact::Claims::new(UndatedToSign {
            sub: SUBJECT,
            roles: ROLES,
            iss: ISSUER,
            aud: AUDIENCE,
            jti: ID,
        });
        let claims = claims.set_duration_and_issuance(&self.times, self.life);
        let header = jwt_compact::Header::empty().with_token_type("JWT");
        let token = jwt_compact::alg::Hs256.token(&header, &claims, &self.compact);
        token.expect("signed")
    }

    fn sign_simple(&self) -> String {
        let life = jwt_simple::prelude::Duration::from_secs(LIFE);
        let rest = RestToSign { roles: ROLES };
        let claims = jwt_simple::prelude::Claims::with_custom_claims(rest, life)
            .with_issuer(ISSUER)
            .with_audience(AUDIENCE)
            .with_subject(SUBJECT)
            .with_jwt_id(ID);
        self.simple.authenticate(claims).expect("signed")
    }
}

pub fn run(options: &Options) -> Vec<Row> {
    let auth: TokenAuthenticator = configured().build().expect("a right configuration");
    let token = now(auth.issue(login())).expect("issued");
    let token = token.credential().reveal().to_owned();
    let floor = floor::token::Floor::new(&SECRET, &token.as_bytes()[..64], ISSUER, AUDIENCE);
    let peers = Peers::new();
    let theirs = peers.sign_jsonwebtoken();
    println!(
        "tokens: {} characters, the others {}",
        token.len(),
        theirs.len()
    );
    // Checks that each verifies the tokens of the others.
    for theirs in [
        &theirs,
        &peers.sign_jwt(),
        &peers.sign_compact(),
        &peers.sign_simple(),
    ] {
        assert_eq!(peers.by_jwt(theirs).expect("verified").sub, SUBJECT);
        assert_eq!(peers.by_jsonwebtoken(theirs).expect("verified").jti, ID);
        assert_eq!(peers.by_compact(theirs).expect("verified").sub, SUBJECT);
        let by_simple = peers.by_simple(theirs).expect("verified");
        assert_eq!(by_simple.subject.as_deref(), Some(SUBJECT));
    }
    let mut rows = verify(&auth, &floor, &peers, &token, &theirs, options);
    let (wrong, theirs_wrong) = (forged(&token), forged(&theirs));
    rows.extend(
        Group::new("refuse a forged token")
            .add("floor, by hand", || floor.is_proven(black_box(&wrong)))
            .multiples_of("statewise")
            .add("statewise", || auth.verify_now(black_box(&wrong)).is_err())
            .add("jwt 0.16", || {
                peers.by_jwt(black_box(&theirs_wrong)).is_none()
            })
            .add(JSONWEBTOKEN, || {
                peers.by_jsonwebtoken(black_box(&theirs_wrong)).is_none()
            })
            .add("jwt-compact 0.8", || {
                peers.by_compact(black_box(&theirs_wrong)).is_none()
            })
            .add("jwt-simple 0.15", || {
                peers.by_simple(black_box(&theirs_wrong)).is_none()
            })
            .run(options),
    );
    let given: TokenAuthenticator = configured().entropy(Given).build().expect("as before");
    rows.extend(
        Group::new("issue a token")
            .add("floor, by hand", || {
                floor.sign("AAAAAAAAAAAAAAAAAAAAAA", SUBJECT, ROLES, LIFE)
            })
            .multiples_of(GIVEN)
            .multiples_of(DRAWN)
            .add(GIVEN, || now(given.issue(login())).expect("issued"))
            .add(DRAWN, || now(auth.issue(login())).expect("issued"))
            .add("jwt 0.16", || peers.sign_jwt())
            .add(JSONWEBTOKEN, || peers.sign_jsonwebtoken())
            .add("jwt-compact 0.8", || peers.sign_compact())
            .add("jwt-simple 0.15", || peers.sign_simple())
            .run(options),
    );
    rows
}

fn verify(
    auth: &TokenAuthenticator,
    floor: &floor::token::Floor,
    peers: &Peers,
    token: &str,
    theirs: &str,
    options: &Options,
) -> Vec<Row> {
    let mixed = floor::token::reordered(token, &SECRET);
    let erased = configured().build().expect("a right configuration");
    let erased = Arc::new(erased) as Arc<dyn DynAuthenticator<()>>;
    let with_data = configured().build().expect("a right configuration");
    let with_data = Arc::new(with_data) as Arc<dyn DynAuthenticator<Account>>;
    let account = Account {
        tenant: "acme".to_owned(),
        plan: 3,
    };
    let token_with_data = now(with_data.issue(login().data(account))).expect("issued");
    let token_with_data = token_with_data.credential().reveal().to_owned();
    let caller = now(with_data.verify(&token_with_data)).expect("verified");
    assert_eq!((&*caller.data().tenant, caller.data().plan), ("acme", 3));
    let mut scratch = floor::token::Scratch::new();
    let mut buffers = [TokenBuffer::new(), TokenBuffer::new()];
    let [buffer, another] = &mut buffers;
    Group::new("verify a token")
        .add("floor, by hand", || {
            black_box(
                &floor
                    .verify(black_box(token), &mut scratch)
                    .expect("verified"),
            );
        })
        .multiples_of(BORROWED)
        .multiples_of(OWNED)
        .add(BORROWED, || {
            let claims = auth.verify_borrowed(black_box(token), buffer);
            black_box(&claims.expect("verified"));
        })
        .add(OWNED, || {
            now(erased.verify(black_box(token))).expect("verified")
        })
        .add("statewise, the same with data of two fields", || {
            now(with_data.verify(black_box(&*token_with_data))).expect("verified")
        })
        .add("statewise, borrowed, another claim order", || {
            let claims = auth.verify_borrowed(black_box(&mixed), another);
            black_box(&claims.expect("verified"));
        })
        .add("jwt 0.16 (exp, iss, aud by hand)", || {
            peers.by_jwt(black_box(theirs)).expect("verified")
        })
        .add(JSONWEBTOKEN, || {
            peers.by_jsonwebtoken(black_box(theirs)).expect("verified")
        })
        .add("jwt-compact 0.8 (iss, aud by hand)", || {
            peers.by_compact(black_box(theirs)).expect("verified")
        })
        .add("jwt-simple 0.15", || {
            peers.by_simple(black_box(theirs)).expect("verified")
        })
        .run(options)
}
