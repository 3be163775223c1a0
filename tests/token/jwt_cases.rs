//! Several hundred valid and invalid tokens, designed to expose lenient JWT parsing. Each verdict
//! follows the strict reading of the RFCs.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use serde_json::Value;
use statewise::clock::{Clock, Timestamp};
use statewise::token::{Interop, Key, TokenAuthenticator, TokenBuffer};
use statewise::{Error, Result};

#[derive(Debug)]
struct At(u64);

impl Clock for At {
    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_unix(self.0))
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "an odd number of hex digits");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// Accepts everything that the case configures, without leeway unless it does. The maximum lifetime is unlimited, because the RFCs
/// do not limit it.
fn verifier(case: &Value) -> Result<TokenAuthenticator> {
    let longest = Duration::from_secs(Timestamp::MAX.unix());
    let options = case.get("opts").and_then(Value::as_object);
    let mut interop = match options.and_then(|options| options.get("iss")) {
        Some(issuer) => Interop::from_issuer(issuer.as_str().unwrap(), longest),
        None => Interop::from_any_issuer(longest),
    }
    .leeway(Duration::ZERO)
    .subject_or("anyone")
    .allow_missing_issued_at();
    for (name, value) in options.into_iter().flatten() {
        interop = match &**name {
            "iss" => interop,
            "aud" => interop.audience(value.as_str().unwrap()),
            "typ" => interop.typ(value.as_str().unwrap()),
            "leeway" => interop.leeway(Duration::from_secs(value.as_u64().unwrap())),
            unknown => panic!("unknown option of a case: {unknown}"),
        };
    }
    TokenAuthenticator::builder(Key::hs256(&bytes(case["key_hex"].as_str().unwrap()))?)
        .issuer("https://statewise.example")
        .audience("statewise")
        .lifetime(Duration::from_secs(900))
        .max_length(8192)
        .interop(interop)
        .clock(At(case["now"].as_u64().unwrap()))
        .build()
}

/// Returns true if the token is accepted. The owned and the borrowed way must agree.
fn accepted(case: &Value) -> Result<()> {
    let token = match (case["token"].as_str(), case["token_hex"].as_str()) {
        (Some(token), _) => token.to_owned(),
        // Bytes that are not text cannot be presented.
        (None, Some(hex)) => String::from_utf8(bytes(hex)).map_err(|_| not_text())?,
        (None, None) => panic!("a case without a token"),
    };
    let auth = verifier(case)?;
    let owned = auth.verify_now(&token).map(drop);
    let mut buffer = TokenBuffer::new();
    let borrowed = auth.verify_borrowed(&token, &mut buffer).map(drop);
    let cause = |answer: &Result<()>| answer.as_ref().err().and_then(Error::rejection);
    assert_eq!(cause(&owned), cause(&borrowed));
    owned
}

fn not_text() -> Error {
    Error::rejected(statewise::Rejection::Malformed)
}

#[test]
fn every_case_is_judged_as_the_strict_reading_does() {
    let cases = std::fs::read_to_string("tests/data/jwt_cases.json").unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    let (mut wrong, mut good, mut bad) = (Vec::new(), 0, 0);
    for case in cases {
        let expected = match case["strict"].as_str().unwrap() {
            "valid" => true,
            "invalid" => false,
            other => panic!("unknown verdict of a case: {other}"),
        };
        let started = Instant::now();
        let answer = accepted(case);
        let took = started.elapsed();
        if let Err(error) = &answer {
            // A refused configuration also refuses its token. No other error may occur.
            assert!(error.is_rejected() || error.is_misuse(), "{error:?}");
        }
        if answer.is_ok() != expected || took > Duration::from_millis(500) {
            let reason = &case["reason"];
            wrong.push(format!(
                "{}: {answer:?} after {took:?} ({reason})",
                case["name"]
            ));
        }
        *(if answer.is_ok() { &mut good } else { &mut bad }) += 1;
    }
    println!("{good} accepted, {bad} refused");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(good > 0 && bad > 0, "all cases have the same verdict");
}
