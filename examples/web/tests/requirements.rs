//! The example `requirements`: its pages for several configurations. Each test that they name exists.

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../requirements.rs"]
mod example;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const FILE: &str = include_str!("../configured.toml");

fn page(text: &str, preset: Option<&str>) -> (String, bool) {
    example::report(text, preset).unwrap()
}

fn file_of(strategy: &str, more: &str) -> String {
    let file = FILE.replace("\"sessions\"", &format!("\"{strategy}\""));
    // Bearer tokens are in no cookie.
    let file = match file.split_once("[cookie]") {
        Some((rest, _)) if more.contains("bearer") => rest,
        _ => &file,
    };
    format!("{more}\n{file}")
}

/// Pages for presets, strategies and transports.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for preset in ["aal1", "aal2", "aal3", "asvs"] {
        pages.push(
            page(
                "strategy = \"sessions\"\nstore = \"memory\"\n",
                Some(preset),
            )
            .0,
        );
    }
    for strategy in ["sessions", "tokens", "hybrid"] {
        for more in ["", "transport = \"bearer\""] {
            pages.push(page(&file_of(strategy, more), None).0);
        }
    }
    pages
}

#[test]
fn each_test_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let pages = pages().concat();
    let named: BTreeSet<&str> = pages
        .lines()
        .filter_map(|line| line.trim().strip_prefix("test: "))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for test in named {
        let (path, name) = test.split_once("::").unwrap();
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|_| panic!("no {path}"));
        let is_law = path.starts_with("src/testkit/laws/");
        // A test, or a law of the kit, which the tests of each store run.
        let is_there = match is_law {
            true => text.contains(&format!("fn {name}")),
            false => {
                text.contains(&format!("#[test]\nfn {name}()"))
                    || text.contains(&format!("]\nfn {name}()"))
                    || text.contains(&format!("    fn {name}()"))
            }
        };
        assert!(is_there, "{test}");
    }
}

#[test]
fn each_requirement_says_who_meets_it() {
    for page in pages() {
        let rows = page.split("\n\nNIST").nth(1).unwrap();
        let rows: Vec<&str> = rows.lines().collect();
        let is_row = |line: &&&str| line.starts_with("  ") && !line.starts_with("   ");
        let count = rows.iter().filter(is_row).count();
        let marks = ["met: ", "yours: ", "DEVIATES: ", "BROKEN: "];
        let said = |line: &&&str| marks.iter().any(|mark| line.trim().starts_with(mark));
        assert!(count > 25, "{page}");
        assert_eq!(rows.iter().filter(said).count(), count, "{page}");
    }
}

#[test]
fn the_numbers_are_those_of_the_level() {
    for (level, lines) in [
        (
            "aal1",
            [
                "SHOULD be no more than 30 days",
                "absolute = 720h",
                "MAY be applied",
            ],
        ),
        (
            "aal2",
            [
                "SHOULD be no more than 24 hours",
                "absolute = 24h",
                "SHOULD be no more than 1 hour",
            ],
        ),
        (
            "aal3",
            [
                "SHALL be no more than 12 hours",
                "absolute = 12h",
                "SHOULD be no more than 15 minutes",
            ],
        ),
        ("asvs", ["no level named", "absolute = 8h", "idle = 30m"]),
    ] {
        let (page, is_met) = page("strategy = \"sessions\"\nstore = \"memory\"\n", Some(level));
        for line in lines {
            assert!(page.contains(line), "{line}: {page}");
        }
        assert!(is_met);
    }
}

#[test]
fn a_broken_requirement_fails() {
    for (text, expected) in [
        (
            FILE.replace("preset = \"aal2\"", "")
                .replace("\"sessions\"", "\"tokens\"")
                .replace("\"5s\"", "\"none\""),
            "BROKEN: tokens live until they expire",
        ),
        (
            FILE.replace("preset = \"aal2\"", "")
                .replace("[cookie]", "[cookie]\ninsecure = true"),
            "BROKEN: remove cookie.insecure",
        ),
    ] {
        let (page, is_met) = page(&text, None);
        assert!(!is_met && page.contains(expected), "{page}");
    }
    let deviates = FILE
        .replace("preset = \"aal2\"", "")
        .replace("[cookie]", "[cookie]\nmax_age = \"1d\"");
    let (page, is_met) = page(&deviates, None);
    assert!(
        is_met && page.contains("DEVIATES: remove cookie.max_age"),
        "{page}"
    );
    // A setting that the preset forbids is refused before there is a page.
    let refused = example::report(FILE, Some("aal3")).unwrap_err().to_string();
    assert!(
        refused.contains("the `idle` is longer than 15 minutes"),
        "{refused}"
    );
    let refused = example::report("strategy = \"sessions\"", None)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("`idle` is missing"), "{refused}");
}
