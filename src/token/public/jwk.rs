//! Public keys as JSON (RFC 7517, 7518 section 6, 8037).

use crate::base::base64url;
use crate::token::json::{self, Text};
use crate::token::public::{Scheme, der};

/// A public key that was read from JSON.
pub(super) struct Jwk {
    pub(super) scheme: Scheme,
    pub(super) key: Vec<u8>,
    pub(super) kid: Option<String>,
}

/// Reason why a JSON object is no public key that can verify tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It contains a secret, with which all its readers could sign.
    Secret,
    /// It is for another use or another algorithm. A set may contain such keys.
    Other,
    /// It is no JSON object, or its members are wrong.
    Malformed,
}

/// Members of a key, as they are written.
#[derive(Default)]
struct Members<'a> {
    kty: Option<Text<'a>>,
    crv: Option<Text<'a>>,
    alg: Option<Text<'a>>,
    used_for: Option<Text<'a>>,
    kid: Option<Text<'a>>,
    x: Option<Text<'a>>,
    y: Option<Text<'a>>,
    n: Option<Text<'a>>,
    e: Option<Text<'a>>,
    /// `false` if `key_ops` does not contain `verify`.
    verifies: bool,
}

impl Jwk {
    /// Reads a key. Unknown members are ignored.
    pub(super) fn read(text: &str) -> Result<Self, NoKey> {
        if has_secret(text) {
            return Err(NoKey::Secret);
        }
        let members = Members::read(text).ok_or(NoKey::Malformed)?;
        let is = |member: Option<Text<'_>>, name| member.is_some_and(|member| member.is(name));
        if !members.verifies || members.used_for.is_some_and(|used| !used.is("sig")) {
            return Err(NoKey::Other);
        }
        let decoded = |member: Option<Text<'_>>| {
            let text = member.ok_or(NoKey::Malformed)?.decode();
            base64url::decode(&*text).ok_or(NoKey::Malformed)
        };
        let (scheme, key) = if is(members.kty, "EC") && is(members.crv, "P-256") {
            let (x, y) = (decoded(members.x)?, decoded(members.y)?);
            if (x.len(), y.len()) != (32, 32) {
                return Err(NoKey::Malformed);
            }
            (Scheme::Es256, [&[4], &*x, &*y].concat())
        } else if is(members.kty, "OKP") && is(members.crv, "Ed25519") {
            let is_older_name = is(members.alg, "EdDSA");
            (Scheme::Ed25519 { is_older_name }, decoded(members.x)?)
        } else if is(members.kty, "RSA") {
            let (modulus, exponent) = (decoded(members.n)?, decoded(members.e)?);
            (Scheme::Rs256, der::rsa_public_key(&modulus, &exponent))
        } else {
            return Err(NoKey::Other);
        };
        if members
            .alg
            .is_some_and(|alg| !scheme.has_name(&alg.decode()))
        {
            return Err(NoKey::Other);
        }
        let kid = members.kid.map(|kid| kid.decode().into_owned());
        Ok(Self { scheme, key, kid })
    }
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut members = Self {
            verifies: true,
            ..Self::default()
        };
        json::object(text, |name, value| {
            let place = match &*name.decode() {
                "kty" => &mut members.kty,
                "crv" => &mut members.crv,
                "alg" => &mut members.alg,
                "use" => &mut members.used_for,
                "kid" => &mut members.kid,
                "x" => &mut members.x,
                "y" => &mut members.y,
                "n" => &mut members.n,
                "e" => &mut members.e,
                "key_ops" => {
                    let mut operations = json::texts(value.texts()?);
                    members.verifies = operations.any(|operation| operation.is("verify"));
                    return Some(());
                }
                _ => return Some(()),
            };
            *place = Some(value.text()?);
            Some(())
        })?;
        Some(members)
    }
}

/// Checks if a key is symmetric or has a private member, also if it is malformed otherwise.
fn has_secret(text: &str) -> bool {
    let mut has_secret = false;
    // What comes behind a second member of one name is not read, but that name was.
    let _ = json::object(text, |name, value| {
        has_secret |= match &*name.decode() {
            "kty" => value.text().is_some_and(|kty| kty.is("oct")),
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => true,
            _ => false,
        };
        Some(())
    });
    has_secret
}

/// Writes a key as a JWK.
pub(super) fn write(scheme: Scheme, key: &[u8], kid: &str) -> String {
    let members = match (scheme, key) {
        (Scheme::Es256, [_, point @ ..]) => {
            let (x, y) = point.split_at(point.len() / 2);
            let (x, y) = (base64url::encode(x), base64url::encode(y));
            format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#)
        }
        (Scheme::Rs256, key) => {
            let [n, e] = der::two_numbers(key).unwrap_or_default();
            let (n, e) = (base64url::encode(n), base64url::encode(e));
            format!(r#""kty":"RSA","n":"{n}","e":"{e}""#)
        }
        (_, key) => {
            let x = base64url::encode(key);
            format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#)
        }
    };
    let (alg, kid) = (scheme.name(), serde_json::Value::from(kid));
    format!(r#"{{{members},"alg":"{alg}","use":"sig","kid":{kid}}}"#)
}
