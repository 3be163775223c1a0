//! Configuration files. The first byte chooses the format of the rest: `J`, JSON; `T`, TOML.
//!
//! Oracle: reading, checking and building give an error or an authenticator, and show no secret. JSON and TOML with
//! the same content give the same answer, and what `check` accepts can be built in memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use statewise::config::Config;
use statewise::testkit::block_on;
use statewise::{Authenticator as _, Login};

/// Fields with secret values.
const SECRETS: [&str; 8] = [
    "store",
    "store_env",
    "store_file",
    "key_env",
    "key_file",
    "key_in_clear",
    "verify_key_env",
    "verify_key_file",
];
const MARK: &str = "PIANO-SECRET";

fuzz_target!(|input: &[u8]| {
    let Some((format, text)) = input.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let value = match format {
        b'J' => {
            if let Ok(config) = serde_json::from_str::<Config>(text) {
                check(&config);
            }
            serde_json::from_str(text).ok()
        }
        b'T' => {
            let read = toml::from_str::<Config>(text);
            let value = toml::from_str::<toml::Table>(text).ok();
            if let Ok(config) = &read {
                check(config);
            }
            let value = value.filter(|value| value.values().all(is_common));
            value
                .and_then(|value| serde_json::to_value(value).ok())
                .inspect(|value| {
                    let same: Config =
                        serde_json::from_value(value.clone()).expect("JSON of a table");
                    assert_eq!(
                        answer(&same),
                        answer(&read.expect("TOML of a table")),
                        "JSON and TOML"
                    );
                })
        }
        _ => None,
    };
    if let Some(value) = value {
        check_secrets(value, text);
        build(text, *format);
    }
});

/// Calls everything that opens nothing.
fn check(config: &Config) {
    let _ = answer(config);
    let is_valid = config.check().is_ok();
    for (name, value) in config.effective() {
        assert!(!is_valid || !value.is_empty(), "`{name}` is empty");
    }
}

/// Returns the texts that a configuration prints.
fn answer(config: &Config) -> (String, String) {
    let checked = config.check().map_err(|error| {
        assert!(error.is_misuse(), "{error}");
        error.to_string()
    });
    (
        format!("{config:?} {:?}", config.effective()),
        format!("{checked:?}"),
    )
}

/// Checks if JSON has the same value.
fn is_common(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(_) | toml::Value::Integer(_) | toml::Value::Boolean(_) => true,
        toml::Value::Table(table) => table.values().all(is_common),
        _ => false,
    }
}

/// Puts a mark into each secret, and looks for it in all output.
fn check_secrets(mut value: Value, text: &str) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    if text.contains("PIANO") || text.contains('\\') {
        return;
    }
    for name in SECRETS {
        if let Some(Value::String(secret)) = fields.get_mut(name) {
            *secret = match secret.split_once(':') {
                Some((scheme, rest)) => format!("{scheme}:{MARK}{rest}"),
                None => format!("{MARK}{secret}"),
            };
        }
    }
    let Ok(config) = serde_json::from_value::<Config>(value) else {
        return;
    };
    let (shown, checked) = answer(&config);
    let built = match block_on(config.build::<()>()) {
        Ok(_) => String::new(),
        Err(error) => format!("{error} {error:?}"),
    };
    for output in [shown, checked, built] {
        assert!(!output.contains(MARK), "a secret in {output}");
    }
}

/// Builds over memory, if no file is read.
fn build(text: &str, format: u8) {
    let config = match format {
        b'J' => serde_json::from_str::<Config>(text).ok(),
        _ => toml::from_str::<Config>(text).ok(),
    };
    let Some(config) = config.filter(|config| config.check().is_ok()) else {
        return;
    };
    let effective = config.effective();
    let value = |name: &str| {
        effective
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| &**value)
    };
    if effective
        .iter()
        .any(|(name, _)| name.ends_with("_file") || name.ends_with("_env"))
    {
        return;
    }
    match block_on(config.build::<()>()) {
        Ok(auth) => {
            let _ = config
                .layer(std::sync::Arc::clone(&auth))
                .expect("a layer of a checked configuration");
            let issued = block_on(auth.issue(Login::new("alice"))).expect("a login");
            let caller =
                block_on(auth.verify(issued.credential().reveal())).expect("its credential");
            assert_eq!(caller.subject(), "alice");
        }
        Err(error) => {
            assert!(error.is_misuse(), "{error}");
            let is_complete = value("store") == Some("memory")
                && value("strategy") == Some("sessions")
                && value("require_durable") != Some("true");
            assert!(!is_complete, "checked, but not built: {error}");
        }
    }
}
