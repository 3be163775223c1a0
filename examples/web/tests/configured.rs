//! The example `configured` with a file for each strategy, of which one line differs.

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../configured.rs"]
mod example;
mod support;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use statewise::Authenticator;
use statewise::config::Config;
use statewise::testkit::ManualClock;

use example::passwords::Passwords;
use support::{Browser, Example, Folder, Served, follow_the_header};

const FILE: &str = include_str!("../configured.toml");
const SOURCE: &str = include_str!("../configured.rs");
const KEY: &str = "860cef640b3f5ca17323c277f16fe952a61aa563f6fa83d78a17cb7eea6be87b";
const PASSWORD: &str = "correct horse battery staple";
const STRATEGIES: [&str; 3] = ["sessions", "tokens", "hybrid"];

fn file_of(strategy: &str) -> String {
    let line = r#"strategy = "sessions""#;
    assert_eq!(FILE.matches(line).count(), 1);
    FILE.replace(line, &format!(r#"strategy = "{strategy}""#))
}

#[test]
fn one_program_serves_three_files() {
    for strategy in STRATEGIES {
        let folder = Folder::new();
        let path = folder.path().join("configured.toml");
        fs::write(&path, file_of(strategy)).unwrap();
        let path = path.to_str().unwrap();
        let variables = [("CONFIG", path), ("TOKEN_KEY", KEY)];
        let mut site = Example::start_with("configured", &variables);
        follow_the_header(SOURCE, site.origin());

        let browser = Browser::at(site.origin());
        let fields = [
            "-d",
            "user=alice",
            "--data-urlencode",
            &format!("password={PASSWORD}"),
        ];
        browser.run("/auth/login", &fields).expect(303);
        let mut cookies: Vec<String> = browser
            .cookies()
            .into_iter()
            .map(|fields| fields[5].clone())
            .collect();
        cookies.sort_unstable();
        match strategy {
            "hybrid" => assert_eq!(cookies, ["__Host-id", "__Secure-refresh"]),
            _ => assert_eq!(cookies, ["__Host-id"]),
        }
        // A session has 64 characters, and a token two dots.
        let credential = browser.cookie("__Host-id");
        assert_eq!(credential.matches('.').count() == 2, strategy != "sessions");

        assert!(site.terminate().success());
        assert_eq!(site.printed(), "stopped");
    }
}

/// After the lifetime of an access token, a navigation of a hybrid is refreshed. A session is still
/// alive, and a token has expired.
#[test]
fn a_hybrid_refreshes_without_a_line_of_the_program() {
    const MINUTE: Duration = Duration::from_secs(60);
    for (strategy, leads_to) in [
        ("sessions", "/me"),
        ("tokens", "/auth/login"),
        ("hybrid", "/me"),
    ] {
        let clock = ManualClock::default();
        let text = file_of(strategy).replace(
            "key_env = \"TOKEN_KEY\"",
            &format!("key_in_clear = \"{KEY}\""),
        );
        let config: Config = toml::from_str::<Config>(&text)
            .unwrap()
            .clock(clock.clone());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let auth = runtime.block_on(config.build::<()>()).unwrap();
        let layer = config.layer(Arc::clone(&auth)).unwrap();
        let passwords = Passwords::of(&[("alice", PASSWORD)]).unwrap();
        let site = Served::new(example::router(layer, passwords).unwrap());
        let browser = Browser::at(site.origin());
        let fields = [
            "-d",
            "user=alice",
            "--data-urlencode",
            &format!("password={PASSWORD}"),
        ];
        browser.run("/auth/login", &fields).expect(303);
        clock.advance(11 * MINUTE);
        runtime.block_on(auth.upkeep().tick()).unwrap();
        let mut path = "/me".to_owned();
        let navigation = [
            "-H",
            "Sec-Fetch-Mode: navigate",
            "-H",
            "Sec-Fetch-Dest: document",
        ];
        let mut steps = Vec::new();
        loop {
            let answer = browser.run(&path, &navigation);
            if answer.status == 200 {
                break;
            }
            path = answer.field("location").to_owned();
            steps.push(path.clone());
            assert!(steps.len() < 5, "{strategy}: {steps:?}");
        }
        assert!(path.starts_with(leads_to), "{strategy}: {steps:?}");
        assert_eq!(
            steps.len(),
            [0, 1, 2][STRATEGIES
                .iter()
                .position(|name| *name == strategy)
                .unwrap()],
            "{strategy}: {steps:?}"
        );
    }
}

/// The file in the documentation is one that builds.
#[test]
fn the_documented_file_is_complete() {
    let docs = include_str!("../../../src/config.rs");
    let block = docs.split("//! ```toml\n").nth(1).unwrap();
    let block = block.split("//! ```\n").next().unwrap();
    let lines = block
        .lines()
        .map(|line| line.trim_start_matches("//!").trim_start());
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let config: Config = toml::from_str(&text).unwrap();
    config.check().unwrap();
    let in_memory = text
        .replace("store_env = \"DATABASE_URL\"", "store = \"memory\"")
        .replace(
            "key_env = \"TOKEN_KEY\"",
            &format!("key_in_clear = \"{KEY}\""),
        );
    let config: Config = toml::from_str(&in_memory).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(config.build::<()>()).unwrap();
}

/// A mistake is named when the program starts. A line of the file that may contain a secret is not
/// repeated.
#[test]
fn a_mistake_of_the_file_is_named_without_its_value() {
    for (line, expected) in [
        ("key = \"s3cr3t-s3cr3t\"", "did you mean `key_env`?"),
        ("rotate_after = 30", "`rotate_after` has no unit"),
        ("limit = 2024-01-01", "there is no field `limit."),
        ("limit = [5]", "`limit` is a list"),
    ] {
        let text = format!("{line}\n{FILE}");
        let config: Config = toml::from_str(&text).unwrap();
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cr3t") && !format!("{config:?}").contains("s3cr3t"));
    }
}
