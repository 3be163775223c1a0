//! The text of each *misuse* names the mistake and, behind a colon, the next step.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;

/// Each text of a *misuse* in the library, with its file. Texts of tests are left out.
fn texts() -> Vec<(PathBuf, String)> {
    let (mut texts, mut folders) = (Vec::new(), vec![PathBuf::from("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let code = fs::read_to_string(&path).unwrap();
                let code = code.split("#[cfg(test)]\nmod").next().unwrap();
                let found = code.split("misuse(").skip(1).filter_map(literal);
                texts.extend(found.map(|text| (path.clone(), text)));
            }
        }
    }
    texts
}

/// The literal with which a call begins, on one line.
fn literal(call: &str) -> Option<String> {
    let call = call.trim_start();
    let call = call.strip_prefix("format!(").unwrap_or(call).trim_start();
    let text = call.strip_prefix('"')?.split('"').next()?;
    let lines = text.split("\\\n").map(str::trim_start);
    Some(lines.collect())
}

fn names_a_step(text: &str) -> bool {
    text.split(": ").skip(1).any(|step| {
        let is_begin = |c: char| c.is_ascii_lowercase() || "`{".contains(c);
        step.starts_with(is_begin)
    }) || text
        .split_once(". ")
        .is_some_and(|(_, step)| !step.is_empty())
}

#[test]
fn each_misuse_names_the_next_step() {
    let texts = texts();
    assert!(texts.len() > 120, "{}", texts.len());
    let silent = texts.iter().filter(|(_, text)| !names_a_step(text));
    // The name and the problem of a field, which `tests/config` checks.
    let silent = silent.filter(|(_, text)| text != "`{name}` {problem}");
    let silent: Vec<_> = silent.collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn a_text_without_a_step_is_found() {
    assert!(!names_a_step("this key signs nothing"));
    assert!(!names_a_step("a realm has 1 to 128 characters: "));
    assert!(names_a_step("the issuer is empty: name the service"));
    let call = "\n    format!(\n    \"the key \\\n     is short: {remedy}\",";
    assert_eq!(literal(call).unwrap(), "the key is short: {remedy}");
}

/// The wrong unit in the first builder.
#[test]
fn milliseconds_for_seconds_are_named() {
    let builder = |idle| {
        SessionAuthenticator::builder(MemoryStore::with_capacity(1).unwrap())
            .idle(idle)
            .absolute(Duration::from_secs(60))
            .build()
    };
    assert!(builder(Duration::from_secs(30)).is_ok());
    let error = builder(Duration::from_millis(30)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "misuse: the idle timeout is less than one second: give at least one",
    );
}
