//! Public-key signatures of tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use statewise::token::{
    Interop, Key, KeySource, Keyring, PublicKey, SigningKey, TokenAuthenticator, TokenBuilder,
};
use statewise::{Authenticator, Login, Rejection};

use crate::support::*;

const ISSUER: &str = "https://auth.example";
const MINUTES: Duration = Duration::from_secs(900);

/// PKCS #8 of OpenSSL, without the public key in that of Ed25519.
const OPENSSL_ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----";

fn pairs() -> [SigningKey; 3] {
    [
        SigningKey::generate_es256().unwrap(),
        SigningKey::generate_ed25519().unwrap(),
        SigningKey::generate_ed25519().unwrap().with_older_name(),
    ]
}

fn issuer(keys: impl Into<KeySource>, clock: &Hands) -> TokenAuthenticator {
    builder(keys, clock).build().unwrap()
}

fn verifier(keys: impl Into<KeySource>, clock: &Hands) -> TokenBuilder {
    TokenAuthenticator::verifier(keys)
        .issuer(ISSUER)
        .audience("api")
        .lifetime(MINUTES)
        .max_lifetime(Duration::from_secs(3600))
        .clock(clock.clone())
}

fn token(auth: &TokenAuthenticator) -> String {
    let login = Login::new("alice").roles(["admin"]).device("phone");
    token_of(&now(auth.issue(login)).unwrap())
}

fn header_of(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    serde_json::from_slice(&header).unwrap()
}

#[test]
fn whoever_has_the_public_key_verifies() {
    let clock = Hands::at(START);
    for (pair, alg) in pairs().into_iter().zip(["ES256", "Ed25519", "EdDSA"]) {
        let auth = issuer(pair.clone(), &clock);
        let token = token(&auth);
        let header = header_of(&token);
        assert_eq!(
            (&header["alg"], &header["typ"]),
            (&json!(alg), &json!("JWT"))
        );
        assert!(pair.kid().starts_with(header["kid"].as_str().unwrap()));
        let public = pair.public_key();
        let jwk: Value = serde_json::from_str(&public.to_jwk()).unwrap();
        assert_eq!((&jwk["alg"], &jwk["use"]), (&json!(alg), &json!("sig")));
        assert_eq!(jwk["kid"], header["kid"]);
        let read = PublicKey::from_jwk(&public.to_jwk()).unwrap();
        let mut sources = vec![public.clone(), read];
        if alg != "EdDSA" {
            sources.push(PublicKey::from_pem(&public.to_pem()).unwrap());
        }
        for key in sources {
            let service = verifier(key, &clock).build().unwrap();
            // The second time it is remembered.
            for _ in 0..2 {
                let caller = service.verify_now(&token).unwrap();
                assert_eq!(
                    (caller.subject(), caller.device()),
                    ("alice", Some("phone"))
                );
                assert!(caller.has_role("admin"));
            }
        }
        // The issuer reads its key again.
        if alg != "EdDSA" {
            let again = SigningKey::from_pem(&pair.reveal()).unwrap();
            assert_eq!(again.kid(), pair.kid());
            assert!(issuer(again, &clock).verify_now(&token).is_ok());
        }
        let refreshed = now(auth.refresh(&token)).unwrap();
        assert!(auth.verify_now(refreshed.credential().reveal()).is_ok());
    }
    let pair = SigningKey::from_pem(OPENSSL_ED25519).unwrap();
    let token = token(&issuer(pair.clone(), &clock));
    let service = verifier(pair.public_key(), &clock).build().unwrap();
    assert!(service.verify_now(&token).is_ok());
}

#[test]
fn access_tokens_have_their_header() {
    let clock = Hands::at(START);
    for pair in pairs() {
        let auth = builder(pair.clone(), &clock)
            .access_tokens()
            .client_id("web");
        let token = token(&auth.build().unwrap());
        let header = header_of(&token);
        assert_eq!(header["typ"], "at+jwt");
        let kid = header["kid"].as_str().unwrap();
        assert!(pair.kid().starts_with(kid) && kid.len() >= 6, "{kid}");
        let service = verifier(pair.public_key(), &clock).access_tokens();
        assert!(service.build().unwrap().verify_now(&token).is_ok());
        let plain = verifier(pair.public_key(), &clock).build().unwrap();
        assert!(plain.verify_now(&token).is_err());
    }
}

/// Changes of each character, and forgeries with all that is public.
#[test]
fn nothing_but_the_signature_of_the_key_is_accepted() {
    let clock = Hands::at(START);
    for pair in pairs() {
        let token = token(&issuer(pair.clone(), &clock));
        let service = verifier(pair.public_key(), &clock).build().unwrap();
        assert!(service.verify_now(&token).is_ok());
        // Although the text is remembered.
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character has two bits that mean nothing, and must be zero.
            // Nor is a text remembered that was refused.
            for _ in 0..2 {
                assert!(service.verify_now(&changed).is_err(), "{at}: {changed}");
            }
        }
        let other = issuer(SigningKey::generate_es256().unwrap(), &clock);
        assert!(service.verify_now(&self::token(&other)).is_err());

        // The public key as the secret of HMAC, under each header.
        let public = pair.public_key();
        let jwk: Value = serde_json::from_str(&public.to_jwk()).unwrap();
        let raw = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        let secrets = [
            public.to_pem().into_bytes(),
            public.to_jwk().into_bytes(),
            raw,
        ];
        let (own, rest) = token.split_once('.').unwrap();
        let payload = rest.split('.').next().unwrap();
        let hs256 = |kid: &str| {
            URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": "JWT", "kid": kid }).to_string())
        };
        let headers = [
            own.to_owned(),
            hs256(pair.kid()),
            hs256(header_of(&token)["kid"].as_str().unwrap()),
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        ];
        for secret in &secrets {
            for header in &headers {
                let forged = signed_with(secret, &format!("{header}.{payload}"));
                assert!(service.verify_now(&forged).is_err(), "{forged}");
            }
        }
        // No such key can be made from its text.
        for text in [public.to_pem(), public.to_jwk()] {
            assert!(Key::hs256(text.as_bytes()).unwrap_err().is_misuse());
        }
        for empty in ["", "AA", &"A".repeat(86)] {
            assert!(
                service
                    .verify_now(&format!("{own}.{payload}.{empty}"))
                    .is_err()
            );
        }
    }
}

#[test]
fn a_remembered_token_expires_and_is_revoked() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let token = token(&issuer(pair.clone(), &clock));
    let view = view(&clock, Duration::from_secs(3600));
    let service = verifier(pair.public_key(), &clock).revocations(&view);
    let service = service.build().unwrap();
    assert!(service.verify_now(&token).is_ok());
    // Without a secret, and without a key that signs.
    let _ = now(service.revoke(&token)).unwrap();
    assert_eq!(rejection(service.verify_now(&token)), Rejection::Revoked);

    let token = self::token(&issuer(pair.clone(), &clock));
    assert!(service.verify_now(&token).is_ok());
    let _ = now(service.retire_key(pair.kid())).unwrap();
    assert_eq!(rejection(service.verify_now(&token)), Rejection::Revoked);

    let ring = Keyring::verifying([pair.public_key()]).retire(pair.kid(), at(START + 10));
    let service = verifier(ring, &clock).build().unwrap();
    assert!(service.verify_now(&token).is_ok());
    clock.set(START + 10);
    assert_eq!(
        rejection(service.verify_now(&token)),
        Rejection::UnacceptableHeader
    );
    let service = verifier(pair.public_key(), &clock).build().unwrap();
    assert!(service.verify_now(&token).is_ok());
    clock.set(START + 900);
    assert_eq!(rejection(service.verify_now(&token)), Rejection::Expired);
    let other = verifier(pair.public_key(), &clock).build().unwrap();
    assert_eq!(rejection(other.verify_now(&token)), Rejection::Expired);
}

/// From a shared secret to a key pair, and from one pair to the next.
#[test]
fn keys_of_all_kinds_rotate_in_one_ring() {
    let clock = Hands::at(START);
    let [one, other, _] = pairs();
    let ring = Keyring::new(key())
        .then(one.clone(), at(START + 1000))
        .then(other.clone(), at(START + 2000));
    let auth = builder(ring, &clock).build().unwrap();
    let services = Keyring::verifying([one.public_key(), other.public_key()]);
    let service = verifier(services, &clock).build().unwrap();
    let mut tokens = vec![token(&auth)];
    for seconds in [1000, 2000] {
        clock.set(START + seconds);
        tokens.push(token(&auth));
        let last = tokens.last().unwrap();
        assert!(service.verify_now(last).is_ok());
        assert!(auth.verify_now(last).is_ok());
    }
    let headers: Vec<Value> = tokens
        .iter()
        .map(|token| header_of(token)["alg"].clone())
        .collect();
    assert_eq!(headers, ["HS256", "ES256", "Ed25519"]);
    let next = Keyring::verifying([other.public_key()]).verify_with(one.public_key());
    service.replace_keyring(next).unwrap();
    assert!(service.verify_now(&tokens[2]).is_ok());
    let error = auth.replace_keyring(other.public_key()).unwrap_err();
    assert!(error.is_misuse(), "{error}");
}

#[test]
fn a_verifier_issues_nothing() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let token = token(&issuer(pair.clone(), &clock));
    let service = verifier(pair.public_key(), &clock).build().unwrap();
    let issued = now(service.issue(Login::new("mallory"))).unwrap_err();
    let refreshed = now(service.refresh(&token)).unwrap_err();
    for error in [issued, refreshed] {
        assert!(error.is_misuse(), "{error}");
        assert!(error.to_string().contains("public keys"), "{error}");
    }
    now(service.ready()).unwrap();
    let misuse = |build: statewise::Result<TokenAuthenticator>, part: &str| {
        let error = build.unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains(part),
            "{error}"
        );
    };
    let public = || pair.public_key();
    misuse(
        builder(public(), &clock).build(),
        "no key of the ring signs",
    );
    misuse(
        verifier(pair.clone(), &clock).build(),
        "a verifier has a key that signs",
    );
    misuse(
        verifier(key(), &clock).build(),
        "a verifier has a key that signs",
    );
    misuse(
        builder(Keyring::new(public()), &clock).build(),
        "a public key cannot sign",
    );
    let other = SigningKey::generate_es256().unwrap().public_key();
    let next = Keyring::new(pair.clone()).then(other, at(START));
    misuse(builder(next, &clock).build(), "a public key cannot sign");
    misuse(verifier(Keyring::verifying([]), &clock).build(), "no key");
    let twice =
        Keyring::new(pair.clone()).verify_with(SigningKey::from_pem(&pair.reveal()).unwrap());
    assert!(
        builder(twice, &clock).build().is_ok(),
        "the same key under the same id"
    );
}

#[test]
fn texts_that_are_no_keys_are_refused() {
    let pair = SigningKey::generate_es256().unwrap();
    let ed = SigningKey::generate_ed25519().unwrap();
    let pem = pair.public_key().to_pem();
    for text in [
        "",
        "hunter2",
        &pem[..60],
        &pem.replace("PUBLIC", "PRIVATE"),
        &pem.replace("MFkw", "MFkx"),
        &pair.reveal(),
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----",
    ] {
        assert!(PublicKey::from_pem(text).unwrap_err().is_misuse(), "{text}");
    }
    for text in [
        "",
        &pem,
        &pair.reveal()[..80],
        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
    ] {
        assert!(
            SigningKey::from_pem(text).unwrap_err().is_misuse(),
            "{text}"
        );
    }
    let jwk = |change: &dyn Fn(&mut Value)| {
        let mut jwk: Value = serde_json::from_str(&pair.public_key().to_jwk()).unwrap();
        change(&mut jwk);
        PublicKey::from_jwk(&jwk.to_string())
    };
    let jwk = |change: &dyn Fn(&mut Value)| jwk(change).map(|key| key.kid().to_owned());
    assert!(jwk(&|_| ()).is_ok());
    assert!(jwk(&|key| key["key_ops"] = json!(["verify"])).is_ok());
    assert_eq!(
        jwk(&|key| key["kid"] = json!("a \"b\"")).unwrap(),
        "a \"b\""
    );
    let refused: [&dyn Fn(&mut Value); 12] = [
        &|key| key["d"] = json!("AA"),
        &|key| key["k"] = json!("AA"),
        &|key| key["kty"] = json!("oct"),
        &|key| key["kty"] = json!("EC2"),
        &|key| key["crv"] = json!("P-384"),
        &|key| key["alg"] = json!("HS256"),
        &|key| key["alg"] = json!("RS256"),
        &|key| key["use"] = json!("enc"),
        &|key| key["key_ops"] = json!(["sign"]),
        &|key| key["x"] = json!("AAAA"),
        &|key| key["x"] = json!(7),
        &|key| key["y"] = Value::Null,
    ];
    for (number, change) in refused.iter().enumerate() {
        assert!(jwk(change).unwrap_err().is_misuse(), "{number}");
    }
    assert!(PublicKey::from_jwk("[]").unwrap_err().is_misuse());
    let twice = ed
        .public_key()
        .to_jwk()
        .replace(r#""crv""#, r#""kty":"OKP","crv""#);
    assert!(PublicKey::from_jwk(&twice).unwrap_err().is_misuse());
    // RSA of 1024 bits.
    let short = json!({ "kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xc5; 128]) });
    let service = PublicKey::from_jwk(&short.to_string());
    if let Ok(key) = service {
        // This backend checks the length when it verifies.
        let forged = format!("{}.{}.{}", "e30", "e30", "A".repeat(171));
        let auth = builder(self::key(), &Hands::at(START)).interop(other_issuer(key));
        assert!(auth.build().unwrap().verify_now(&forged).is_err());
    }
}

/// The set has what may sign now or next, and nothing that may not be published.
#[test]
fn a_key_is_published_before_it_signs() {
    let clock = Hands::at(START);
    let [one, other, spare] = pairs();
    let ring = Keyring::new(one.clone())
        .then(other.clone(), at(START + 1000))
        .spare(spare.clone())
        .verify_with(key());
    let auth = builder(ring, &clock).propagation(Duration::from_secs(600));
    let auth = auth.build().unwrap();
    let published = || {
        let set = auth.key_set().unwrap();
        let json: Value = serde_json::from_str(set.json()).unwrap();
        let keys = json["keys"].as_array().unwrap().clone();
        let read = keys
            .iter()
            .map(|key| PublicKey::from_jwk(&key.to_string()).unwrap());
        (
            read.collect::<Vec<_>>(),
            set.max_age().as_secs(),
            set.cache_control(),
        )
    };
    let (keys, max_age, field) = published();
    assert_eq!((keys.len(), max_age), (3, 300));
    assert_eq!(field, "public, max-age=300");
    // A service that fetched the set early verifies later tokens.
    let service = verifier(Keyring::verifying(keys), &clock).build().unwrap();
    clock.set(START + 1000);
    assert!(service.verify_now(&token(&auth)).is_ok());
    let text = auth.key_set().unwrap().json().to_owned();
    for secret in [&one, &other, &spare].map(SigningKey::reveal) {
        let line = secret.lines().nth(1).unwrap().to_owned();
        assert!(!text.contains(&line[20..40]));
    }
    assert!(!text.contains("oct") && !text.contains(&key().reveal()));
    // The first key retires when its last token has expired, and the set says when.
    let end = START + 1000 + 3600 + 600;
    clock.set(end - 100);
    assert_eq!((published().0.len(), published().1), (3, 100));
    clock.set(end);
    assert_eq!((published().0.len(), published().1), (2, 300));
    let secret = issuer(key(), &clock).key_set().unwrap_err();
    assert!(secret.is_misuse() && secret.to_string().contains("SigningKey"));
}

fn other_issuer(key: PublicKey) -> Interop {
    Interop::from_issuer("https://idp.example", MINUTES).key(key)
}

#[test]
fn secrets_are_redacted() {
    for pair in pairs() {
        let lines = pair.reveal();
        let secret = lines.lines().nth(1).unwrap();
        let ring = Keyring::new(pair.clone());
        for text in [
            format!("{pair:?}"),
            format!("{ring:?}"),
            format!("{:?}", pair.public_key()),
        ] {
            assert!(text.contains(pair.kid()), "{text}");
            assert!(!text.contains(&secret[20..40]), "{text}");
        }
    }
}

/// An RSA key verifies tokens of its issuer, and is in no ring.
#[test]
fn rsa_keys_are_for_other_issuers() {
    let file = include_str!("../data/wycheproof_jws_public_key.json");
    let cases: Value = serde_json::from_str(file).unwrap();
    let clock = Hands::at(START);
    let mut counts = [0, 0, 0];
    for group in cases["testGroups"].as_array().unwrap() {
        let key = PublicKey::from_jwk(&group["public"].to_string());
        let is_ours = |alg: &Value| ["RS256", "ES256"].iter().any(|ours| alg == ours);
        let Ok(key) = key else {
            // Keys for encryption, and algorithms that are not supported.
            let public = &group["public"];
            let is_other = public["alg"].is_string() && !is_ours(&public["alg"]);
            let is_for_other_use =
                public["use"] == "enc" || public["key_ops"] == json!(["encrypt"]);
            assert!(is_other || is_for_other_use, "{public}");
            counts[2] += group["tests"].as_array().unwrap().len();
            continue;
        };
        let theirs = Interop::from_any_issuer(MINUTES).key(key.clone());
        let auth = builder(self::key(), &clock)
            .interop(theirs)
            .max_length(8192);
        let auth = auth.build().unwrap();
        for case in group["tests"].as_array().unwrap() {
            let text = case["jws"].as_str().unwrap();
            let rejection = rejection(auth.verify_now(text));
            // The payloads are no claims, which is found after the signature.
            let has_empty_payload = text.contains("..");
            let is_valid = case["result"] == "valid";
            let is_signed = rejection == Rejection::InvalidClaims
                || is_valid && has_empty_payload && rejection == Rejection::Malformed;
            assert_eq!(is_signed, is_valid, "{rejection:?}: {case}");
            counts[usize::from(is_valid)] += 1;
        }
        if group["public"]["kty"] == "RSA" {
            let ring = Keyring::new(self::key()).verify_with(key);
            let error = builder(ring, &clock).build().unwrap_err();
            assert!(error.to_string().contains("RSA"), "{error}");
        }
    }
    println!("invalid, valid, of other algorithms: {counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 288);
}

/// A node that had the public key only, and gets the pair.
#[test]
fn a_public_key_of_the_ring_becomes_the_one_that_signs() {
    let clock = Hands::at(START);
    let [one, other, _] = pairs();
    let ring = Keyring::new(one)
        .verify_with(other.public_key())
        .then(other.clone(), at(START + 100));
    let auth = issuer(ring, &clock);
    clock.set(START + 100);
    let token = token(&auth);
    assert!(
        other
            .kid()
            .starts_with(header_of(&token)["kid"].as_str().unwrap())
    );
}

/// Whatever the JWK says from which the issuer has read it.
#[test]
fn a_published_key_has_the_id_that_its_tokens_name() {
    let clock = Hands::at(START);
    for pair in pairs() {
        let mut jwk: Value = serde_json::from_str(&pair.public_key().to_jwk()).unwrap();
        jwk["kid"] = json!("of the KMS");
        let named = PublicKey::from_jwk(&jwk.to_string()).unwrap();
        let ring = Keyring::new(SigningKey::generate_es256().unwrap()).verify_with(named);
        for is_access_token in [false, true] {
            let [issuer, other] =
                [KeySource::from(ring.clone()), pair.clone().into()].map(|keys| {
                    let builder = builder(keys, &clock);
                    let builder = match is_access_token {
                        true => builder.access_tokens(),
                        false => builder,
                    };
                    builder.build().unwrap()
                });
            let token = token(&other);
            assert!(issuer.verify_now(&token).is_ok());
            let set: Value = serde_json::from_str(issuer.key_set().unwrap().json()).unwrap();
            assert_eq!(set["keys"][1]["kid"], header_of(&token)["kid"]);
        }
    }
}

#[test]
fn a_verifier_reads_the_older_name_from_pem_if_it_is_told() {
    let clock = Hands::at(START);
    for pair in pairs() {
        let pem = pair.public_key().to_pem();
        let key = PublicKey::from_pem(&pem).unwrap().with_older_name();
        let token = token(&issuer(pair.with_older_name(), &clock));
        assert!(
            verifier(key, &clock)
                .build()
                .unwrap()
                .verify_now(&token)
                .is_ok()
        );
    }
}

/// Services ask at most once in 30 s, for an answer that is cached for half of the propagation.
#[test]
fn a_published_key_has_a_minute_to_reach_the_services() {
    let clock = Hands::at(START);
    let pair = SigningKey::generate_es256().unwrap();
    let seconds = Duration::from_secs;
    let build = |keys: KeySource, time| builder(keys, &clock).propagation(seconds(time)).build();
    let error = build(pair.clone().into(), 59).unwrap_err();
    assert!(
        error.is_misuse() && error.to_string().contains("a minute"),
        "{error}"
    );
    assert!(build(pair.clone().into(), 60).is_ok());
    let auth = build(key().into(), 59).unwrap();
    let next = Keyring::new(key()).then(pair, at(START + 100));
    assert!(auth.replace_keyring(next).unwrap_err().is_misuse());
}
