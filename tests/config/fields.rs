//! Fields: unknown, missing, of another form, contradictory.

use serde_json::{Value, json};
use statewise::config::Config;
use statewise::testkit::block_on;

use crate::{complete, misuse, with};

#[test]
fn a_complete_file_serves_all_strategies() {
    for strategy in ["sessions", "tokens", "hybrid"] {
        with(complete(strategy), &json!({})).check().unwrap();
    }
}

/// The example of the documentation, of which only the strategy changes.
#[test]
fn the_example_of_the_documentation_serves_all_strategies() {
    let docs = include_str!("../../src/config.rs");
    let example = docs.split("//! ```toml\n").nth(1).unwrap();
    let example = example.split("//! ```\n").next().unwrap();
    for strategy in ["sessions", "tokens", "hybrid"] {
        let mut file = json!({});
        let mut table = String::new();
        for line in example.lines() {
            let line = line.trim_start_matches("//!").split('#').next().unwrap();
            if let Some((name, value)) = line.split_once('=') {
                let value: Value = serde_json::from_str(value.trim()).unwrap();
                file[format!("{table}{}", name.trim())] = value;
            } else if let Some(name) = line.trim().strip_prefix('[') {
                table = format!("{}.", name.trim_end_matches(']'));
            }
        }
        assert_eq!(file["strategy"], "hybrid");
        assert_eq!(file["cookie.same_site"], "Strict");
        let config = with(file, &json!({"strategy": strategy}));
        if let Err(error) = config.check() {
            panic!("{strategy}: {error}");
        }
    }
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_known_one() {
    for (unknown, nearest) in [
        ("absolut", "absolute"),
        ("Idle", "idle"),
        ("token_livetime", "token_lifetime"),
        ("lifetime", "token_lifetime"),
        ("key", "key_env"),
        ("redis_store", "store"),
        ("stratgy", "strategy"),
        ("\u{1b}[31m", ""),
    ] {
        let config = with(complete("sessions"), &json!({ unknown: "s3cr3t-s3cr3t" }));
        let text = misuse(config.check());
        assert!(text.contains(&format!("did you mean `{nearest}")), "{text}");
        assert!(text.contains("key_env, key_file, key_in_clear"), "{text}");
        assert!(
            !text.contains("s3cr3t") && !text.contains('\u{1b}'),
            "{text}"
        );
        assert!(!format!("{config:?}").contains("s3cr3t"));
        // The same in a build.
        assert_eq!(misuse(block_on(config.build::<()>())), text);
    }
    let config = with(
        complete("sessions"),
        &json!({"cookie": {"samesite": "Lax"}}),
    );
    let text = misuse(config.check());
    assert!(
        text.contains("`cookie.samesite`: did you mean `cookie.same_site`?"),
        "{text}"
    );
}

#[test]
fn values_of_another_form_are_refused_by_name() {
    for (changes, expected) in [
        (json!({"idle": 30}), "`idle` has no unit: write \"30m\""),
        (json!({"idle": "30"}), "`idle` is no time"),
        (json!({"idle": "0m"}), "`idle` is no time"),
        (json!({"idle": "-5m"}), "`idle` is no time"),
        (json!({"idle": "+5m"}), "`idle` is no time"),
        (json!({"idle": "1.5h"}), "`idle` is no time"),
        (json!({"idle": "5\u{fc}"}), "`idle` is no time"),
        (json!({"idle": "m"}), "`idle` is no time"),
        (json!({"idle": ""}), "`idle` is no time"),
        (
            json!({"idle": "999999999999999999999d"}),
            "`idle` is no time",
        ),
        (json!({"idle": "9999999999999999999d"}), "`idle` is no time"),
        (json!({"idle": true}), "`idle` has no unit"),
        (json!({"idle": ["30m"]}), "`idle` is a list: give one value"),
        (
            json!({"strategy": "session"}),
            "`strategy` is none of: sessions, tokens, hybrid",
        ),
        (
            json!({"strategy": null}),
            "`strategy` is missing: name sessions, tokens or hybrid",
        ),
        (
            json!({"preset": "AAL2"}),
            "`preset` is none of: aal1, aal2, aal3, asvs",
        ),
        (json!({"limit": 0}), "`limit` is no whole number"),
        (json!({"limit": 2.5}), "`limit` is no whole number"),
        (json!({"limit": -1}), "`limit` is no whole number"),
        (
            json!({"limit": 5_000_000_000_u64}),
            "`limit` is no whole number",
        ),
        (
            json!({"reject_orphaned": "yes"}),
            "`reject_orphaned` is neither true nor false",
        ),
        (json!({"issuer": ""}), "`issuer` is not a text, or empty"),
        (json!({"issuer": 5}), "`issuer` is not a text, or empty"),
        (
            json!({"store": {"url": "memory"}}),
            "there is no field `store.url`",
        ),
        (
            json!({"cookie": "id"}),
            "there is no field `cookie`: did you mean `cookie.",
        ),
        (json!({"revocations": "5"}), "`revocations` is no time"),
        (
            json!({"cookie": {"same_site": "lax"}}),
            "`cookie.same_site` is none of: Lax, Strict, None",
        ),
    ] {
        let text = misuse(with(complete("hybrid"), &changes).check());
        assert!(text.contains(expected), "{changes}: {text}");
    }
}

/// Sources such as the environment have texts only.
#[test]
fn flags_and_counts_may_be_texts() {
    let texts = json!({"limit": "5", "reject_orphaned": "true"});
    with(complete("hybrid"), &texts).check().unwrap();
}

#[test]
fn contradictions_are_refused_by_name() {
    for (strategy, changes, expected) in [
        (
            "sessions",
            json!({"idle": "13h"}),
            "`idle` is longer than `absolute`",
        ),
        (
            "sessions",
            json!({"rotate_after": "13h"}),
            "`rotate_after` is longer than `absolute`",
        ),
        (
            "sessions",
            json!({"remembered_idle": "30d"}),
            "need each other",
        ),
        (
            "sessions",
            json!({"remembered_idle": "20m", "remembered_absolute": "30d"}),
            "`idle` is longer than `remembered_idle`",
        ),
        (
            "sessions",
            json!({"remembered_idle": "1d", "remembered_absolute": "11h"}),
            "`absolute` is longer than `remembered_absolute`",
        ),
        (
            "hybrid",
            json!({"idle": "19m"}),
            "`idle` is less than twice `token_lifetime`",
        ),
        (
            "tokens",
            json!({"token_lifetime": "31m"}),
            "`token_lifetime` is longer than `idle`",
        ),
        ("sessions", json!({"idle": null}), "`idle` is missing"),
        ("tokens", json!({"absolute": null}), "`absolute` is missing"),
        ("tokens", json!({"issuer": null}), "`issuer` is missing"),
        ("hybrid", json!({"audience": null}), "`audience` is missing"),
        (
            "hybrid",
            json!({"token_lifetime": null}),
            "`token_lifetime` is missing",
        ),
        (
            "tokens",
            json!({"limit": 5}),
            "`limit` cannot be honoured by tokens",
        ),
        (
            "tokens",
            json!({"reject_orphaned": true}),
            "`reject_orphaned` cannot be honoured by tokens",
        ),
        (
            "sessions",
            json!({"preset": "aal2", "absolute": "25h"}),
            "the `absolute` is longer than 1440 minutes: shorten it (NIST SP 800-63B-4, section 2.2.3 (SHOULD))",
        ),
        (
            "hybrid",
            json!({"preset": "aal3"}),
            "the `idle` is longer than 15 minutes",
        ),
        (
            "sessions",
            json!({"preset": "aal2", "cookie": {"domain": "example.com"}}),
            "`cookie`: weaker than the preset aal2",
        ),
        (
            "sessions",
            json!({"cookie": {"name": "__Host-id", "domain": "example.com"}}),
            "`cookie`: browsers refuse __Host-",
        ),
        (
            "hybrid",
            json!({"cookie": {"refresh_path": "/"}}),
            "`cookie`: the browser would send the refresh credential",
        ),
        (
            "hybrid",
            json!({"cookie": {"refresh_path": "auth"}}),
            "`cookie.refresh_path`: a cookie's path starts with /",
        ),
        ("sessions", json!({"store": null}), "`store` is missing"),
        ("hybrid", json!({"store": null}), "`store` is missing"),
        ("tokens", json!({"store": null}), "`store` is missing"),
        (
            "sessions",
            json!({"require_durable": true}),
            "`require_durable`: a store in memory ends with the process; name another `store`",
        ),
        (
            "sessions",
            json!({"store_env": "NO_SUCH_VARIABLE_OF_STATEWISE"}),
            "exclude each other",
        ),
        (
            "tokens",
            json!({"key_in_clear": null}),
            "`key_env` is missing: name the variable",
        ),
        (
            "hybrid",
            json!({"key_env": "TOKEN_KEY"}),
            "`key_env`, `key_file` and the value itself exclude each other: give one of them",
        ),
        (
            "hybrid",
            json!({"key_file": "/no/such/file"}),
            "exclude each other",
        ),
        (
            "tokens",
            json!({"key_in_clear": null, "key_env": "TOKEN_KEY", "verify_key_env": "TOKEN_KEY"}),
            "`verify_key_env` names the key of `key_env`: name the next or the previous key",
        ),
        (
            "hybrid",
            json!({"key_in_clear": null, "key_file": "/keys/a", "verify_key_file": "/keys/a"}),
            "`verify_key_file` names the key of `key_file`",
        ),
        (
            "hybrid",
            json!({"preset": "aal2", "revocations": "none"}),
            "weaker than the preset aal2: `revocations` is none, so that a logout would not end tokens: set a time",
        ),
        (
            "tokens",
            json!({"preset": "aal2", "revocations": "none", "store": null}),
            "weaker than the preset aal2: `revocations` is none",
        ),
        (
            "sessions",
            json!({"limit_reached": "reject"}),
            "`limit_reached` has no effect without `limit`: set a `limit`",
        ),
        (
            "tokens",
            json!({"limit_reached": "reject"}),
            "`limit_reached` cannot be honoured by tokens",
        ),
        (
            "sessions",
            json!({"transport": "bearer", "cookie": {"name": "__Host-id"}}),
            "`cookie.name` has no effect with the bearer transport: remove it",
        ),
        (
            "hybrid",
            json!({"transport": "bearer", "cookie": {"refresh_path": "/auth"}}),
            "`cookie.refresh_path` has no effect with the bearer transport",
        ),
    ] {
        let config = with(complete(strategy), &changes);
        let text = misuse(config.check());
        assert!(text.contains(expected), "{changes}: {text}");
        // The same in a build.
        assert_eq!(misuse(block_on(config.build::<()>())), text);
    }
    for (strategy, changes, expected) in [
        (
            "sessions",
            json!({"store": "mongodb://host"}),
            "`store` is none of: memory, redis://",
        ),
        (
            "sessions",
            json!({"store": null, "store_env": "NO_SUCH_VARIABLE_OF_STATEWISE"}),
            "`store_env` names a variable of the environment that is not set",
        ),
        (
            "sessions",
            json!({"store": null, "store_file": "/no/such/file"}),
            "`store_file` names a file that cannot be read",
        ),
        (
            "hybrid",
            json!({"key_in_clear": "s3cr3t"}),
            "`key`: the text of the key",
        ),
        (
            "hybrid",
            json!({"algorithm": "HS512"}),
            "`openssl rand -base64 64`",
        ),
        (
            "hybrid",
            json!({"verify_key_file": "/no/such/file"}),
            "`verify_key_file` names a file",
        ),
        (
            "hybrid",
            json!({"revocations": "1s"}),
            "`revocations`: the bound of a revocation view",
        ),
    ] {
        let text = misuse(block_on(with(complete(strategy), &changes).build::<()>()));
        assert!(text.contains(expected), "{changes}: {text}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn a_field_twice_is_refused() {
    let text = r#"{"strategy": "sessions", "idle": "5m", "idle": "30d", "absolute": "12h"}"#;
    let config: Config = serde_json::from_str(text).unwrap();
    assert!(misuse(config.check()).contains("`idle` is given twice"));
    // Also as a field of a table and with a dot in its name.
    let text = r#"{"cookie.name": "a", "cookie": {"name": "b"}}"#;
    let config: Config = serde_json::from_str(text).unwrap();
    assert!(misuse(config.check()).contains("`cookie.name` is given twice"));
    assert!(serde_json::from_str::<Config>("[]").is_err());
}

/// No output has a possible secret: the key, the password of an address, or a value that
/// stands in the wrong field.
#[test]
fn no_output_has_a_secret() {
    const SECRET: &str = "tP9eBg20PXaMsuUr4SxqNlKc3IyMJmEwkN1a2a";
    let address = format!("postgres://app:{SECRET}@db/app?password={SECRET}");
    for changes in [
        json!({"store": address, "key_in_clear": SECRET}),
        json!({"key_in_clear": null, "key_env": SECRET, "store_env": SECRET}),
        json!({"verify_key_file": SECRET, "store": null, "store_file": SECRET}),
        json!({"key": SECRET}),
        json!({"idle": SECRET}),
        json!({"strategy": SECRET}),
        json!({"store": format!("{SECRET}://host")}),
        json!({"store": format!("rediss://:{SECRET}@ho st:port")}),
    ] {
        let config = with(complete("hybrid"), &changes);
        let printed = [
            format!("{config:?}"),
            format!("{config:#?}"),
            config
                .check()
                .err()
                .map(|error| format!("{error} {error:?}"))
                .unwrap_or_default(),
        ];
        let is_valued = changes.get("idle").is_some() || changes.get("strategy").is_some();
        for text in &printed[usize::from(is_valued) * 2..] {
            assert!(!text.contains(&SECRET[..12]), "{changes}: {text}");
        }
        // Without a runtime, a client can only refuse the address.
        if !address
            .as_str()
            .eq(changes["store"].as_str().unwrap_or_default())
        {
            let error = block_on(config.build::<()>()).expect_err("was built");
            let text = format!("{error} {error:?}");
            assert!(!text.contains(&SECRET[..12]), "{changes}: {text}");
        }
        if !is_valued {
            let effective = format!("{:?}", config.effective());
            assert!(!effective.contains(&SECRET[..12]), "{effective}");
        }
    }
}

/// Each field of the code is in the table of the documentation, with its default.
#[test]
fn the_documentation_has_every_field() {
    let docs = include_str!("../../src/config.rs");
    let table = docs.split("//! | field | default |").nth(1).unwrap();
    let table = table.split("//!\n").next().unwrap();
    // The first cell is the comment itself.
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(" | ").collect())
        .collect();
    let text = misuse(with(json!({}), &json!({"unknown": "x"})).check());
    let known = text.split("The fields are ").nth(1).unwrap();
    let effective = with(json!({}), &json!({})).effective();
    for field in known.split(", ") {
        let name = format!("`{field}`");
        let row = rows
            .iter()
            .find(|row| row.get(1).is_some_and(|cell| cell.contains(&name)));
        let row = row.unwrap_or_else(|| panic!("{field} is not in the table"));
        match effective.iter().find(|(name, _)| *name == field) {
            Some((_, default)) => assert_eq!(row[2], default, "{field}"),
            None => {
                let has_none = [
                    "required",
                    "one is required",
                    "none",
                    "never",
                    "unlimited",
                    "as all",
                    "those of",
                ];
                assert!(
                    has_none.iter().any(|start| row[2].starts_with(start)),
                    "{field}: {row:?}"
                );
            }
        }
    }
    let documented: usize = rows
        .iter()
        .map(|row| row.get(1).map_or(0, |cell| cell.matches('`').count() / 2))
        .sum();
    assert_eq!(documented, known.split(", ").count());
}
