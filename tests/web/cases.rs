//! Valid and invalid header fields from the case files, with the results that the RFCs demand.

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

/// Returns the lines of one field, which a case has as text or as hexadecimal digits.
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
        _ => panic!(
            "a case has either text or hexadecimal lines: {}",
            case["name"]
        ),
    };
    lines.into_iter().map(|line| (name, line)).collect()
}

/// Converts a result to the notation of the cases.
fn written(found: Found<'_>) -> Value {
    match found {
        Found::Absent => Value::Null,
        Found::One(value) => value.into(),
        Found::Ambiguous(..) => "ambiguous".into(),
        Found::Malformed => "malformed".into(),
        other => panic!("no notation for {other:?}"),
    }
}

/// Returns whether a value has 22 or 43 base64url characters and zeros in the unused bits.
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

/// Checks every case, and lists the wrong ones.
fn judge(file: &str, answer: impl Fn(&Value) -> Value) {
    let wrong: Vec<String> = cases(file)
        .iter()
        .filter_map(|case| {
            let answer = answer(case);
            let (name, strict, reason) = (&case["name"], case.get("strict")?, &case["reason"]);
            (answer != *strict).then(|| format!("{name}: {answer}, expected {strict} ({reason})"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases(file).iter().all(|case| case.get("strict").is_some()));
}

#[test]
fn every_cookie_line_is_read_strictly() {
    judge("cookie_cases.json", |case| {
        let name = case["cookie"].as_str().unwrap();
        let cookie = Cookie::builder().name(name).unprefixed().build().unwrap();
        written(cookie.find(&lines(case, "cookie"), is_id))
    });
}

#[test]
fn every_authorization_line_is_read_strictly() {
    judge("bearer_cases.json", |case| {
        written(bearer(&lines(case, "authorization")))
    });
}

/// Returns the value of `Set-Cookie` for the configuration of a case, or the error.
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
            // The builder has no method for this.
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
            unknown => panic!("unknown attribute {unknown}"),
        };
    }
    let cookie = builder.build()?;
    if removal {
        return Ok(cookie.remove().to_owned());
    }
    cookie.set(&Credential::new(value))
}

#[test]
fn every_cookie_configuration_is_built_or_refused_correctly() {
    let mut judged = (0, 0);
    for case in cases("set_cookie_cases.json") {
        // These cases are about other fields of the response.
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
