//! Interoperation of our tokens with PyJWT and jose, in both directions.
//!
//! `tests/run` installs both and passes their locations. Run alone, each test prints that it is
//! skipped.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::testkit::block_on;
use statewise::token::{Algorithm, Interop, Key, MasterKey, TokenAuthenticator, TokenBuilder};
use statewise::{Authenticator, Login, Rejection};

const ISSUER: &str = "https://auth.example";
const AUDIENCE: &str = "api";
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn pyjwt() {
    let Some(python) = std::env::var_os("STATEWISE_INTEROP_PYTHON") else {
        println!("skipped: STATEWISE_INTEROP_PYTHON names no python that has PyJWT");
        return;
    };
    let mut command = Command::new(python);
    command.arg(beside_this("pyjwt.py"));
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    public_keys::both_directions(again(&command));
    both_directions(command);
}

#[test]
fn jose() {
    let Some(folder) = std::env::var_os("STATEWISE_INTEROP_JOSE") else {
        println!("skipped: STATEWISE_INTEROP_JOSE names no folder that has jose");
        return;
    };
    let mut command = Command::new("node");
    command.arg(beside_this("jose.mjs")).arg(folder);
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    public_keys::both_directions(again(&command));
    both_directions(command);
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    again
}

fn beside_this(script: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/token/interop")
        .join(script)
}

/// Sends requests to the peer and returns its answers.
fn ask(mut command: Command, work: &Value) -> Value {
    let mut peer = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = peer.stdin.take().unwrap();
    stdin.write_all(work.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = peer.wait_with_output().unwrap();
    assert!(output.status.success(), "the peer failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[derive(Debug)]
struct HourAgo;

impl Clock for HourAgo {
    fn now(&self) -> Option<Timestamp> {
        Some(SystemClock.now()?.saturating_sub(3600))
    }
}

struct Kind {
    algorithm: Algorithm,
    secret: Vec<u8>,
    key: Key,
}

impl Kind {
    fn name(&self) -> &'static str {
        self.algorithm.name()
    }

    fn hex(&self) -> String {
        self.secret
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn builder(&self) -> TokenBuilder<Value> {
        TokenAuthenticator::builder(self.key.clone())
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .lifetime(Duration::from_secs(900))
            .with_data()
    }

    fn authenticator(&self, clock: impl Clock) -> TokenAuthenticator<Value> {
        let theirs = Interop::from_issuer(ISSUER, HOUR).audience(AUDIENCE);
        self.builder().interop(theirs).clock(clock).build().unwrap()
    }

    /// A request to verify: `change` makes the token or the expectation wrong.
    fn verify(&self, token: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut request = json!({
            "token": token, "key": self.hex(), "alg": self.name(), "iss": ISSUER, "aud": AUDIENCE,
        });
        change(&mut request);
        request
    }

    fn sign(&self, header: &Value, claims: &Value) -> Value {
        json!({ "key": self.hex(), "alg": self.name(), "header": header, "claims": claims })
    }
}

fn kinds() -> Vec<Kind> {
    let secret = |size: u8| (1..=size).map(|n| n.wrapping_mul(73)).collect::<Vec<_>>();
    let kind = |algorithm, size, key: fn(&[u8]) -> statewise::Result<Key>| Kind {
        algorithm,
        secret: secret(size),
        key: key(&secret(size)).unwrap(),
    };
    let master = MasterKey::new(Algorithm::HS256, &secret(32)).unwrap();
    let derived = master.key_for(ISSUER, AUDIENCE).unwrap();
    vec![
        kind(Algorithm::HS256, 32, Key::hs256),
        kind(Algorithm::HS384, 48, Key::hs384),
        kind(Algorithm::HS512, 64, Key::hs512),
        Kind {
            algorithm: derived.algorithm(),
            secret: URL_SAFE_NO_PAD.decode(derived.reveal()).unwrap(),
            key: derived,
        },
    ]
}

fn login() -> Login<Value> {
    Login::new("alice \"Ä\" 😀")
        .roles(["admin", "editor"])
        .device("phone\n")
        .acr("aal2")
        .data(json!({ "plan": "gold", "seats": 7 }))
}

fn both_directions(peer: Command) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": [AUDIENCE, "other"], "sub": "bob", "iat": now, "nbf": now,
        "exp": now + 600, "jti": "a", "roles": ["reader"], "plan": "silver",
    });
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };

    // As a service writes them that has a number for each user, and a clock with fractions.
    let numbered = json!({
        "iss": ISSUER, "aud": AUDIENCE, "user_id": 4711, "scope": "read write",
        "iat": now as f64 + 0.25, "exp": now as f64 + 600.25, "profile": { "plan": "gold" },
    });

    let (mut verify, mut sign) = (Vec::new(), Vec::new());
    for kind in kinds() {
        let access = kind.builder().access_tokens().client_id("web").scope();
        let access = block_on(access.build().unwrap().issue(login())).unwrap();
        let issued = block_on(kind.authenticator(SystemClock).issue(login())).unwrap();
        let token = issued.credential().reveal();
        let expired = block_on(kind.authenticator(HourAgo).issue(login())).unwrap();
        verify.extend([
            kind.verify(token, |_| {}),
            kind.verify(&token.replacen('.', ".e", 1), |_| {}),
            kind.verify(token, |request| request["aud"] = json!("another")),
            kind.verify(token, |request| {
                request["iss"] = json!("https://another.example");
            }),
            kind.verify(expired.credential().reveal(), |_| {}),
            kind.verify(access.credential().reveal(), |_| {}),
        ]);
        sign.extend([
            kind.sign(&json!({}), &claims),
            kind.sign(&json!({ "typ": "JWT", "kid": kind.key.kid() }), &claims),
            kind.sign(&json!({ "typ": "JWT", "kid": "theirs" }), &claims),
            kind.sign(&json!({}), &with("exp", json!(now - 9))),
            kind.sign(&json!({}), &with("nbf", json!(now + 500))),
            kind.sign(&json!({}), &with("iss", json!("https://another.example"))),
            kind.sign(&json!({}), &with("aud", json!("another"))),
            kind.sign(&json!({}), &without("exp")),
            kind.sign(&json!({}), &without("sub")),
            kind.sign(&json!({}), &with("exp", json!(now + 7200))),
            kind.sign(&json!({ "typ": "at+jwt" }), &numbered),
        ]);
    }
    let answers = ask(peer, &json!({ "verify": verify, "sign": sign }));
    let verified = answers["verified"].as_array().unwrap();
    let signed = answers["signed"].as_array().unwrap();

    for (kind, answers) in kinds().iter().zip(verified.chunks(6)) {
        let name = kind.name();
        let read = &answers[0];
        assert_eq!(read["sub"], "alice \"Ä\" 😀", "{name}: {read}");
        assert_eq!(read["roles"], json!(["admin", "editor"]), "{name}");
        assert_eq!(read["device"], "phone\n", "{name}");
        assert_eq!(read["acr"], "aal2", "{name}");
        assert_eq!(
            read["data"],
            json!({ "plan": "gold", "seats": 7 }),
            "{name}"
        );
        assert_eq!(
            (&read["iss"], &read["aud"]),
            (&json!(ISSUER), &json!(AUDIENCE)),
            "{name}"
        );
        for refused in &answers[1..5] {
            assert!(refused["error"].is_string(), "{name}: {refused}");
        }
        let access = &answers[5];
        assert_eq!(access["scope"], "admin editor", "{name}: {access}");
        assert_eq!(access["client_id"], "web", "{name}");
        assert!(access["jti"].is_string(), "{name}");
    }

    for (kind, tokens) in kinds().iter().zip(signed.chunks(11)) {
        let (auth, name) = (kind.authenticator(SystemClock), kind.name());
        let verify = |token: &Value| auth.verify_now(token.as_str().unwrap());
        for accepted in &tokens[..3] {
            let caller = verify(accepted).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(caller.subject(), "bob");
            assert_eq!(caller.roles().collect::<Vec<_>>(), ["reader"]);
            assert_eq!(caller.data()["plan"], "silver");
        }
        let causes = tokens[3..10]
            .iter()
            .map(|token| verify(token).unwrap_err().rejection());
        let expected = [
            Rejection::Expired,
            Rejection::NotYetValid,
            Rejection::WrongIssuer,
            Rejection::WrongAudience,
            Rejection::MissingClaim,
            Rejection::MissingClaim,
            Rejection::LivesTooLong,
        ];
        assert!(causes.eq(expected.map(Some)), "{name}");
        let numbered = Interop::from_issuer(ISSUER, HOUR)
            .audience(AUDIENCE)
            .typ("at+jwt")
            .subject_from("user_id")
            .roles_from("scope")
            .data_from("profile");
        let numbered = kind.builder().interop(numbered).build().unwrap();
        let caller = numbered.verify_now(tokens[10].as_str().unwrap()).unwrap();
        assert_eq!(caller.subject(), "4711");
        assert!(caller.roles().eq(["read", "write"]));
        assert_eq!(caller.data(), &json!({ "plan": "gold" }));
        // Verified, but only its issuer can refresh it.
        let refreshed = block_on(auth.refresh(tokens[0].as_str().unwrap()));
        assert_eq!(
            refreshed.unwrap_err().rejection(),
            Some(Rejection::NotRefreshable)
        );

        // One secret, one algorithm: the other two algorithms reject the token.
        for other in kinds()
            .iter()
            .filter(|other| other.algorithm != kind.algorithm)
        {
            let refused = other
                .authenticator(SystemClock)
                .verify_now(tokens[0].as_str().unwrap());
            assert_eq!(
                refused.unwrap_err().rejection(),
                Some(Rejection::UnacceptableHeader)
            );
        }
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod public_keys {
    use statewise::token::{PublicKey, SigningKey};

    use super::*;

    pub(super) fn both_directions(peer: Command) {
        let pairs = [
            ("ES256", SigningKey::generate_es256().unwrap()),
            // PyJWT and jose know this name, and the newer one in part.
            (
                "EdDSA",
                SigningKey::generate_ed25519().unwrap().with_older_name(),
            ),
        ];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "bob", "iat": now.as_secs(),
            "exp": now.as_secs() + 600, "roles": ["reader"],
        });
        let mut verify = Vec::new();
        for (alg, pair) in &pairs {
            let builder = TokenAuthenticator::builder(pair.clone()).issuer(ISSUER);
            let builder = builder.audience(AUDIENCE).lifetime(HOUR);
            let issued = block_on(builder.build().unwrap().issue(Login::new("alice")));
            let token = issued.unwrap().credential().reveal().to_owned();
            let jwk: Value = serde_json::from_str(&pair.public_key().to_jwk()).unwrap();
            let other = SigningKey::generate_es256().unwrap().public_key();
            let other: Value = serde_json::from_str(&other.to_jwk()).unwrap();
            for (token, jwk) in [
                (token.clone(), &jwk),
                (token.replacen('.', ".e", 1), &jwk),
                (token, &other),
            ] {
                verify.push(json!({
                    "token": token, "jwk": jwk, "alg": alg, "iss": ISSUER, "aud": AUDIENCE,
                }));
            }
        }
        let algorithms = ["ES256", "EdDSA", "RS256"];
        let generate = algorithms.map(|alg| {
            json!({ "alg": alg, "claims": claims, "header": { "typ": "JWT", "kid": "theirs" } })
        });
        let mut generate = generate.to_vec();
        generate.extend(providers(now.as_secs()).iter().flat_map(|provider| {
            ["old", "new"].map(|kid| {
                json!({
                    "alg": "RS256", "claims": provider.claims,
                    "header": { "typ": provider.typ, "kid": kid },
                })
            })
        }));
        let answers = ask(peer, &json!({ "verify": verify, "generate": generate }));
        for answers in answers["verified"].as_array().unwrap().chunks(3) {
            assert_eq!(answers[0]["sub"], "alice", "{answers:?}");
            let refused = answers[1..]
                .iter()
                .all(|answer| answer["error"].is_string());
            assert!(refused, "{answers:?}");
        }
        let (generated, of_providers) = answers["generated"].as_array().unwrap().split_at(3);
        for (provider, pairs) in providers(now.as_secs()).iter().zip(of_providers.chunks(2)) {
            follow(provider, pairs);
        }
        let verifiers: Vec<TokenAuthenticator> = generated
            .iter()
            .map(|theirs| {
                let key = PublicKey::from_jwk(&theirs["jwk"].to_string()).unwrap();
                let theirs = Interop::from_issuer(ISSUER, HOUR)
                    .audience(AUDIENCE)
                    .key(key);
                let builder = TokenAuthenticator::builder(Key::generate_hs256().unwrap());
                let builder = builder.issuer("https://ours.example").audience(AUDIENCE);
                builder.lifetime(HOUR).interop(theirs).build().unwrap()
            })
            .collect();
        for (at, theirs) in generated.iter().enumerate() {
            let token = theirs["token"].as_str().unwrap();
            for (other, verifier) in verifiers.iter().enumerate() {
                let verified = verifier.verify_now(token);
                assert_eq!(verified.is_ok(), at == other, "{verified:?}");
            }
        }
        assert_eq!(of_providers.len(), 6);
    }

    /// Tokens in the shape of an identity provider.
    struct Provider {
        issuer: &'static str,
        audience: &'static str,
        typ: &'static str,
        claims: Value,
        map: fn(Interop) -> Interop,
        subject: &'static str,
        roles: &'static [&'static str],
    }

    fn providers(now: u64) -> [Provider; 3] {
        [
            Provider {
                issuer: "https://sso.example/realms/acme",
                audience: "api",
                typ: "JWT",
                claims: json!({
                    "exp": now + 300, "iat": now, "jti": "onrtac:5f0e", "typ": "Bearer",
                    "iss": "https://sso.example/realms/acme", "aud": ["account", "api"],
                    "sub": "0f2f6a3c-6d0e-4d6c-9d62-2f1d6c6b0a11", "azp": "web", "acr": "1",
                    "sid": "d3b07384-d9a0-4c9b-8f3e-1c2d3e4f5a6b", "allowed-origins": ["https://app.example"],
                    "realm_access": { "roles": ["editor", "offline_access"] },
                    "resource_access": { "account": { "roles": ["view-profile"] } },
                    "scope": "openid email", "preferred_username": "alice",
                }),
                map: |interop| interop.roles_from("realm_access.roles"),
                subject: "0f2f6a3c-6d0e-4d6c-9d62-2f1d6c6b0a11",
                roles: &["editor", "offline_access"],
            },
            Provider {
                issuer: "https://acme.eu.auth0.com/",
                audience: "https://api.example",
                typ: "JWT",
                claims: json!({
                    "iss": "https://acme.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
                    "aud": ["https://api.example", "https://acme.eu.auth0.com/userinfo"],
                    "iat": now, "exp": now + 300, "scope": "openid read:orders", "azp": "my_client",
                    "permissions": ["read:orders"],
                }),
                map: |interop| interop.roles_from("permissions"),
                subject: "auth0|5f7c8ec7c33c6c004bbafe82",
                roles: &["read:orders"],
            },
            Provider {
                issuer: "https://accounts.google.com",
                audience: "1234987819200.apps.googleusercontent.com",
                typ: "JWT",
                claims: json!({
                    "iss": "https://accounts.google.com", "sub": "10769150350006150715113082367",
                    "azp": "1234987819200.apps.googleusercontent.com",
                    "aud": "1234987819200.apps.googleusercontent.com",
                    "email": "jsmith@example.com", "email_verified": true, "hd": "example.com",
                    "iat": now, "exp": now + 300, "nonce": "0394852-3190485-2490358",
                }),
                map: |interop| {
                    interop.map(|claims| {
                        let is_known = claims.read::<bool>("email_verified")?;
                        let login = Login::new(claims.text("sub")?).data(Value::Null);
                        Ok(if is_known { login.role("staff") } else { login })
                    })
                },
                subject: "10769150350006150715113082367",
                roles: &["staff"],
            },
        ]
    }

    /// Follows the key set of a provider through a rotation.
    fn follow(provider: &Provider, pairs: &[Value]) {
        use std::sync::{Arc, Mutex};

        use statewise::testkit::ManualClock;
        use statewise::token::KeySetView;

        let key = |at: usize| {
            let mut jwk = pairs[at]["jwk"].clone();
            jwk["kid"] = json!(["old", "new"][at]);
            jwk["use"] = json!("sig");
            jwk
        };
        let [old, new] = [0, 1].map(|at| pairs[at]["token"].as_str().unwrap());
        let answer = Arc::new(Mutex::new(json!({ "keys": [key(0)] })));
        let shared = Arc::clone(&answer);
        let clock = ManualClock::new(SystemClock.now().unwrap().into());
        let view = KeySetView::builder(move || {
            let text = shared.lock().unwrap().to_string();
            async move { Ok(text) }
        });
        let view = view.clock(clock.clone()).build().unwrap();
        let theirs = Interop::from_issuer(provider.issuer, HOUR);
        let theirs = (provider.map)(theirs.audience(provider.audience).follow(&view));
        let auth: TokenAuthenticator<Value> =
            TokenAuthenticator::builder(Key::generate_hs256().unwrap())
                .issuer("https://ours.example")
                .audience(AUDIENCE)
                .lifetime(HOUR)
                .with_data()
                .interop(theirs)
                .clock(clock.clone())
                .build()
                .unwrap();
        block_on(view.fetch()).unwrap();
        let caller = auth.verify_now(old).unwrap();
        assert_eq!(caller.subject(), provider.subject);
        assert!(caller.roles().eq(provider.roles.iter().copied()));
        *answer.lock().unwrap() = json!({ "keys": [key(1), key(0)] });
        assert_eq!(
            auth.verify_now(new).unwrap_err().rejection(),
            Some(Rejection::UnacceptableHeader)
        );
        clock.advance(Duration::from_secs(30));
        assert!(auth.verify_now(new).unwrap_err().is_unavailable());
        block_on(auth.upkeep().clock(Arc::new(clock.clone())).tick()).unwrap();
        for token in [old, new] {
            assert_eq!(auth.verify_now(token).unwrap().subject(), provider.subject);
        }
        *answer.lock().unwrap() = json!({ "keys": [key(1)] });
        block_on(view.fetch()).unwrap();
        assert!(auth.verify_now(old).is_err());
        assert!(auth.verify_now(new).is_ok());
    }
}
