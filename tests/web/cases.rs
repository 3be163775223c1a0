//! Header fields, good and bad, each judged by the strict reading of the RFCs.

use std::time::Duration;

use serde_json::Value;
use statewise::web::{Cookie, Found, SameSite, bearer};
use statewise::{Credential, Error, Result};

fn cases(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("tests/data/{file}")).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = file["cases"].take() else {
        panic!("no cases");
    };
    assert!(!cases.is_empty());
    cases
}

/// The lines of one field, as text or as hexadecimal digits.
fn lines(case: &Value, name: &'static str) -> Vec<(&'static str, Vec<u8>)> {
    let text = |line: &Value| line.as_str().unwrap().as_bytes().to_vec();
    let bytes = |line: &Value| {
        let digits = line.as_str().unwrap();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    };
    let lines: Vec<Vec<u8>> = match (&case["headers"], &case["headers_hex"]) {
        (Value::Array(lines), Value::Null) => lines.iter().map(text).collect(),
        (Value::Null, Value::Array(lines)) => lines.iter().map(bytes).collect(),
        _ => panic!("lines are given once: {}", case["name"]),
    };
    lines.into_iter().map(|line| (name, line)).collect()
}

/// What was found, as the cases write it.
fn written(found: Found<'_>) -> Value {
    match found {
        Found::Absent => Value::Null,
        Found::One(value) => value.into(),
        Found::Ambiguous(..) => "ambiguous".into(),
        Found::Malformed => "malformed".into(),
        other => panic!("not known: {other:?}"),
    }
}

/// Whether it is 22 or 43 base64url characters whose unused bits are zero.
fn is_id(value: &str) -> bool {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits: Option<Vec<usize>> = value
        .bytes()
        .map(|byte| ALPHABET.iter().position(|&digit| digit == byte))
        .collect();
    let unused = match value.len() {
        22 => 16,
        43 => 4,
        _ => return false,
    };
    digits.is_some_and(|digits| digits[value.len() - 1] % unused == 0)
}

/// Judges every case, and says which were wrong.
fn judge(file: &str, answer: impl Fn(&Value) -> Value) {
    let wrong: Vec<String> = cases(file)
        .iter()
        .filter_map(|case| {
            let answer = answer(case);
            let (name, strict, reason) = (&case["name"], case.get("strict")?, &case["reason"]);
            (answer != *strict).then(|| format!("{name}: {answer} for {strict} ({reason})"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases(file).iter().all(|case| case.get("strict").is_some()));
}

#[test]
fn every_cookie_line_is_read_as_the_strict_reading_does() {
    judge("cookie_cases.json", |case| {
        let name = case["cookie"].as_str().unwrap();
        let cookie = Cookie::builder().name(name).unprefixed().build().unwrap();
        written(cookie.find(&lines(case, "cookie"), is_id))
    });
}

#[test]
fn every_authorization_line_is_read_as_the_strict_reading_does() {
    judge("bearer_cases.json", |case| {
        written(bearer(&lines(case, "authorization")))
    });
}

/// What a case configures: the value of `Set-Cookie`, or why there is none.
fn set_cookie(cfg: &Value) -> Result<String> {
    let mut builder = Cookie::builder();
    let mut value = "<id>".to_owned();
    let mut removal = false;
    for (key, set) in cfg.as_object().unwrap() {
        let text = || set.as_str().unwrap();
        let truth = || set.as_bool().unwrap();
        builder = match &**key {
            "name" => builder.name(text()),
            "domain" => builder.domain(text()),
            "path" => builder.path(text()),
            "same_site" | "samesite" => builder.same_site(match &*text().to_lowercase() {
                "strict" => SameSite::Strict,
                "lax" => SameSite::Lax,
                "none" => SameSite::None,
                other => panic!("SameSite={other}"),
            }),
            "max_age" => match set.as_u64() {
                Some(seconds) => builder.max_age(Duration::from_secs(seconds)),
                None if set.is_null() => builder,
                // No `Duration` is negative.
                None => return Err(Error::misuse("negative")),
            },
            "partitioned" if truth() => builder.partitioned(),
            "secure" if !truth() => builder.insecure(),
            // There is no way to say it.
            "http_only" | "httponly" if !truth() => return Err(Error::misuse("no HttpOnly")),
            "partitioned" | "secure" | "http_only" | "httponly" => builder,
            "value" => {
                value = text().to_owned();
                builder
            }
            "removal" | "remove" => {
                removal = truth();
                builder
            }
            unknown => panic!("the harness does not know the attribute {unknown}"),
        };
    }
    let cookie = builder.build()?;
    if removal {
        return Ok(cookie.remove().to_owned());
    }
    cookie.set(&Credential::new(value))
}

#[test]
fn every_configuration_emits_or_refuses_what_it_should() {
    let mut judged = (0, 0);
    for case in cases("set_cookie_cases.json") {
        // What goes beside the cookie is not the cookie's.
        if case["cfg"].get("any_session_response").is_some() {
            continue;
        }
        let (name, expected) = (&case["name"], case["expect"].as_str().unwrap());
        match set_cookie(&case["cfg"]) {
            Ok(emitted) => {
                assert_eq!(emitted, expected, "{name}");
                judged.0 += 1;
            }
            Err(error) => {
                assert!(expected.starts_with("config error"), "{name}: {error}");
                assert!(error.is_misuse() || error.is_refused(), "{name}: {error}");
                judged.1 += 1;
            }
        }
    }
    assert!(judged.0 > 0 && judged.1 > 0, "{judged:?}");
}
