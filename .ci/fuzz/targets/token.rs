//! Presented tokens. The first byte chooses what the rest is:
//!
//! - `T`: the whole token.
//! - `E`: edits of an issued token, four bytes each.
//! - `C`: a claims set, which is signed under the library's own header.
//! - `F`: header and claims set of another issuer, with a line break between them. They are signed with its key.
//!
//! Oracle: a token is accepted if and only if its signature is right and a reader over `serde_json` accepts its
//! claims. Both give the same login, and so do `verify_now` and `verify_borrowed`.
#![no_main]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;
use statewise::clock::Timestamp;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Interop, Key, TokenAuthenticator, TokenBuffer};
use statewise::{Authenticator as _, Login};

const START: u64 = 1_700_000_000;
const LAST_SECOND: f64 = 253_402_300_799.0;
const MAX_LIFETIME: u64 = 3600;
const LEEWAY: u64 = 5;
/// Difference of clocks up to which a step-up may be in the future.
const SKEW: u64 = 5;
const OWN_SECRET: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";
const FOREIGN_SECRET: [u8; 32] = *b"vutsrqponmlkjihgfedcba9876543210";
const ISSUER: &str = "https://a.example";
const OTHER_ISSUER: &str = "https://b.example";
const AUDIENCE: &str = "api";
/// Levels of nesting that the library reads, with the object itself.
const MAX_DEPTH: usize = 32;

/// Accepts our own tokens alone, with a token of it; and also those of another issuer.
struct World {
    own: TokenAuthenticator,
    both: TokenAuthenticator,
    token: String,
    header: String,
}

/// The parts of a login that both readers must give.
#[derive(Debug, PartialEq)]
struct Read {
    subject: String,
    roles: Vec<String>,
    device: Option<String>,
    acr: Option<String>,
    issued_at: u64,
    authenticated_at: u64,
    expires_at: u64,
    deadline: u64,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let builder = || {
            TokenAuthenticator::builder(Key::hs256(&OWN_SECRET).unwrap())
                .issuer(ISSUER)
                .audience(AUDIENCE)
                .lifetime(Duration::from_secs(900))
                .max_lifetime(Duration::from_secs(MAX_LIFETIME))
                .clock(ManualClock::at(Timestamp::from_unix(START)))
        };
        let other = Interop::from_issuer(OTHER_ISSUER, Duration::from_secs(MAX_LIFETIME))
            .key(Key::hs256(&FOREIGN_SECRET).unwrap())
            .audience(AUDIENCE);
        let own = builder().build().unwrap();
        let both = builder().interop(other).build().unwrap();
        let login = Login::new("alice")
            .roles(["admin", "a \"b\""])
            .device("phone");
        let issued = block_on(own.issue(login)).unwrap();
        let token = issued.credential().reveal().to_owned();
        let header = token.split('.').next().unwrap().to_owned();
        World {
            own,
            both,
            token,
            header,
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let world = world();
    match mode {
        b'T' => {
            if let Ok(token) = std::str::from_utf8(rest) {
                check_presented(world, token);
            }
        }
        b'E' => {
            if let Ok(token) = String::from_utf8(edited(&world.token, rest)) {
                check_presented(world, &token);
            }
        }
        b'C' => {
            let token = signed(&OWN_SECRET, &world.header, rest);
            check(&world.own, &token, own_claims(rest));
            check(&world.both, &token, own_claims(rest));
        }
        b'F' => {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return;
            };
            let (header, claims) = (&rest[..end], &rest[end + 1..]);
            let token = signed(&FOREIGN_SECRET, &URL_SAFE_NO_PAD.encode(header), claims);
            let expected = header_is_ours(header).and_then(|()| foreign_claims(claims));
            check(&world.both, &token, expected);
            // An authenticator without the issuer accepts none of its tokens.
            check(&world.own, &token, None);
        }
        _ => {}
    }
});

/// Checks a token that was not signed here: it is accepted only if it is exactly what the key signs.
fn check_presented(world: &World, token: &str) {
    for auth in [&world.own, &world.both] {
        if auth.verify_now(token).is_err() {
            // With no claims expected, both ways to verify must reject it.
            check(auth, token, None);
            continue;
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts[..] else {
            panic!("accepted without three parts: {token}")
        };
        let claims = URL_SAFE_NO_PAD
            .decode(claims)
            .expect("accepted without base64url");
        assert_eq!(header, world.header, "accepted with another header");
        assert_eq!(
            token,
            signed(&OWN_SECRET, header, &claims),
            "accepted with another signature"
        );
        check(auth, token, own_claims(&claims));
    }
}

fn check(auth: &TokenAuthenticator, token: &str, expected: Option<Read>) {
    let mut buffer = TokenBuffer::new();
    let owned = auth.verify_now(token);
    let borrowed = auth.verify_borrowed(token, &mut buffer);
    let seconds = |time: time::OffsetDateTime| u64::try_from(time.unix_timestamp()).unwrap();
    let (owned, borrowed) = match (&owned, &borrowed) {
        (Ok(owned), Ok(borrowed)) => {
            assert_eq!(owned.id(), borrowed.id());
            let owned = Read {
                subject: owned.subject().to_owned(),
                roles: owned.roles().map(str::to_owned).collect(),
                device: owned.device().map(str::to_owned),
                acr: owned.acr().map(str::to_owned),
                issued_at: seconds(owned.issued_at()),
                authenticated_at: seconds(owned.authenticated_at()),
                expires_at: seconds(owned.expires_at()),
                deadline: seconds(owned.deadline()),
            };
            let borrowed = Read {
                subject: borrowed.subject().to_owned(),
                roles: borrowed.roles().map(|role| role.into_owned()).collect(),
                device: borrowed.device().map(str::to_owned),
                acr: borrowed.acr().map(str::to_owned),
                issued_at: seconds(borrowed.issued_at()),
                authenticated_at: seconds(borrowed.authenticated_at()),
                expires_at: seconds(borrowed.expires_at()),
                deadline: seconds(borrowed.deadline()),
            };
            (Some(owned), Some(borrowed))
        }
        (Err(owned), Err(borrowed)) => {
            assert_eq!(owned.to_string(), borrowed.to_string());
            assert!(owned.is_rejected(), "{owned}");
            assert!(!auth.is_well_formed(token) || owned.rejection().is_some());
            (None, None)
        }
        (owned, borrowed) => panic!("verify_now {owned:?}, verify_borrowed {borrowed:?}"),
    };
    assert_eq!(owned, borrowed, "verify_now and verify_borrowed");
    assert!(owned.is_none() || auth.is_well_formed(token));
    if token.len() <= 4096 {
        assert_eq!(owned, expected, "the library and the oracle");
    } else {
        assert_eq!(owned, None, "longer than the maximum");
    }
}

fn signed(secret: &[u8], header: &str, claims: &[u8]) -> String {
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(input.as_bytes());
    format!(
        "{input}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

/// Each edit has a position of two bytes, a kind and a byte.
fn edited(token: &str, edits: &[u8]) -> Vec<u8> {
    let mut token = token.as_bytes().to_vec();
    for [high, low, kind, byte] in edits.as_chunks().0.iter().take(8) {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (token.len() + 1);
        match kind % 4 {
            0 if at < token.len() => token[at] = *byte,
            1 if at < token.len() => drop(token.remove(at)),
            2 => token.truncate(at),
            _ => token.insert(at, *byte),
        }
    }
    token
}

/// Members of an object, as they are written. Reading it fails if a name occurs twice.
struct Members(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

fn members(json: &[u8]) -> Option<BTreeMap<String, Value>> {
    let Members(members) = serde_json::from_slice(json).ok()?;
    let members = members.into_iter().map(|(name, raw)| {
        let value = serde_json::from_str(raw.get()).ok()?;
        (depth(&value) < MAX_DEPTH).then_some((name, value))
    });
    members.collect()
}

/// Reads a step-up: time of the proof, end, and class.
fn step_of(claims: &[u8]) -> Option<(u64, u64, String)> {
    let Members(claims) = serde_json::from_slice(claims).ok()?;
    let step = members(claims.get("stp")?.get().as_bytes())?;
    let (acr, at, until) = (
        text(&step, "acr")??,
        date(&step, "at")??,
        date(&step, "exp")??,
    );
    Some((at.floor(), until.floor(), acr))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value
        .as_array()?
        .iter()
        .map(|text| Some(text.as_str()?.to_owned()));
    texts.collect()
}

/// A date in seconds. The library reads microseconds.
#[derive(Clone, Copy)]
struct Date(f64);

impl Date {
    fn of(value: &Value) -> Option<Self> {
        let seconds = value.as_f64()?;
        (0.0..=LAST_SECOND)
            .contains(&seconds)
            .then_some(Self(seconds))
    }

    fn floor(self) -> u64 {
        self.0 as u64
    }

    fn ceil(self) -> u64 {
        self.microseconds().div_ceil(1_000_000)
    }

    fn microseconds(self) -> u64 {
        self.floor() * 1_000_000 + (self.0.fract() * 1e6).round() as u64
    }
}

/// The claims of RFC 7519 and `acr`, each with its type. `None` if one has another type.
struct Registered {
    iss: Option<String>,
    sub: Option<String>,
    acr: Option<String>,
    aud: Option<Vec<String>>,
    exp: Option<Date>,
    nbf: Option<Date>,
    iat: Option<Date>,
    auth_time: Option<Date>,
}

fn text(claims: &BTreeMap<String, Value>, name: &str) -> Option<Option<String>> {
    claims
        .get(name)
        .map_or(Some(None), |value| Some(Some(value.as_str()?.to_owned())))
}

fn date(claims: &BTreeMap<String, Value>, name: &str) -> Option<Option<Date>> {
    claims
        .get(name)
        .map_or(Some(None), |value| Some(Some(Date::of(value)?)))
}

fn registered(claims: &BTreeMap<String, Value>) -> Option<Registered> {
    text(claims, "jti")?;
    Some(Registered {
        iss: text(claims, "iss")?,
        sub: text(claims, "sub")?,
        acr: text(claims, "acr")?,
        aud: match claims.get("aud") {
            None => None,
            Some(Value::String(one)) => Some(vec![one.clone()]),
            Some(many) => Some(texts(many)?),
        },
        exp: date(claims, "exp")?,
        nbf: date(claims, "nbf")?,
        iat: date(claims, "iat")?,
        auth_time: date(claims, "auth_time")?,
    })
}

/// Reads one of our own claims sets. `None` if it must be rejected.
fn own_claims(json: &[u8]) -> Option<Read> {
    let claims = members(json)?;
    let known = registered(&claims)?;
    for id in ["sid", "rev"] {
        if let Some(value) = claims.get(id) {
            let bytes = URL_SAFE_NO_PAD.decode(value.as_str()?).ok()?;
            (bytes.len() == 16).then_some(())?;
        }
    }
    date(&claims, "ver")?;
    let abs = date(&claims, "abs")?;
    let device = text(&claims, "device")?;
    let roles = claims.get("roles").map_or(Some(Vec::new()), texts)?;
    let has_all = claims.contains_key("sid") && !claims.contains_key("crit");
    let (exp, iat) = (known.exp?.floor(), known.iat?.ceil());
    let authenticated_at = known.auth_time.map_or(iat, Date::floor);
    let is_ours = known.iss? == ISSUER && known.aud?.iter().any(|aud| aud == AUDIENCE);
    let subject = known.sub.filter(|subject| !subject.is_empty())?;
    let has_begun = known.nbf.is_none_or(|nbf| nbf.ceil() <= START);
    let deadline = abs
        .map_or(exp, Date::floor)
        .min((authenticated_at + MAX_LIFETIME).min(LAST_SECOND as u64));
    let expires_at = exp.min(deadline);
    let is_valid = has_all && is_ours && has_begun && authenticated_at <= iat && expires_at > START;
    let mut read = Read {
        subject,
        roles,
        device,
        acr: known.acr,
        issued_at: iat,
        authenticated_at,
        expires_at,
        deadline,
    };
    if claims.contains_key("stp") {
        let (at, until, acr) = step_of(json)?;
        if START < until && at <= START + SKEW {
            (read.acr, read.authenticated_at) = (Some(acr), at);
        }
    }
    is_valid.then_some(read)
}

/// Reads the claims set of the other issuer. `None` if it must be rejected.
fn foreign_claims(json: &[u8]) -> Option<Read> {
    let claims = members(json)?;
    let known = registered(&claims)?;
    (known.iss? == OTHER_ISSUER && known.aud?.iter().any(|aud| aud == AUDIENCE)).then_some(())?;
    let (exp, iat) = (known.exp?.floor(), known.iat?);
    (exp.saturating_sub(iat.ceil()) <= MAX_LIFETIME).then_some(())?;
    let has_begun = |date: Date| date.microseconds() <= (START + LEEWAY) * 1_000_000;
    (has_begun(iat) && known.nbf.is_none_or(has_begun)).then_some(())?;
    let roles = match claims.get("roles") {
        None => Vec::new(),
        Some(Value::String(words)) => words.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(roles) => texts(roles)?,
    };
    let expires_at = exp + LEEWAY;
    let issued_at = iat.floor();
    let read = Read {
        subject: known.sub.filter(|subject| !subject.is_empty())?,
        roles,
        device: None,
        acr: known.acr,
        issued_at,
        authenticated_at: known
            .auth_time
            .map_or(issued_at, Date::floor)
            .min(issued_at),
        expires_at,
        deadline: expires_at,
    };
    (expires_at > START).then_some(read)
}

/// Checks the header of the other issuer: RFC 7515, section 4.1, and RFC 8725, section 3.1.
fn header_is_ours(json: &[u8]) -> Option<()> {
    let header = members(json)?;
    let is_extended = ["crit", "b64", "zip", "enc"]
        .iter()
        .any(|name| header.contains_key(*name));
    text(&header, "typ")?;
    let kid = text(&header, "kid")?;
    let own = Key::hs256(&OWN_SECRET).unwrap();
    let names_ours = kid.as_deref() == Some(own.kid());
    let is_hs256 = header.get("alg")?.as_str()? == "HS256";
    (is_hs256 && !is_extended && !names_ours).then_some(())
}
