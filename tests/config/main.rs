//! Authenticators from a configuration: every field, every contradiction, and no secret in any output.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod builds;
mod fields;
#[cfg(all(
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
mod first_start;
#[cfg(all(
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
mod servers;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Map, Value, json};
use statewise::config::Config;

/// A complete file of all strategies.
fn complete(strategy: &str) -> Value {
    json!({
        "strategy": strategy,
        "store": "memory",
        "idle": "30m",
        "absolute": "12h",
        "issuer": "https://auth.example",
        "audience": "api",
        "token_lifetime": "10m",
        "key_in_clear": "tP9eBg20PXaMsuUr4SxqNlKc3IyMJmEwkN1a2a+XfDw=",
    })
}

/// The file with other values; `null` removes a field.
fn with(mut file: Value, changes: &Value) -> Config {
    let fields: &mut Map<String, Value> = file.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => fields.remove(name),
            value => fields.insert(name.clone(), value.clone()),
        };
    }
    serde_json::from_value(file).unwrap()
}

/// The text of a mistake.
#[track_caller]
fn misuse<T>(result: statewise::Result<T>) -> String {
    let error = result.err().expect("was accepted");
    assert!(error.is_misuse(), "{error}");
    error.to_string()
}
