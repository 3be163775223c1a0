//! The plan of `src`: which part may import which. A part is a file or a folder directly in `src`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each part, and the parts that it may import. Arrows point down only: a part may import parts
/// that stand above it in this table.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("error", &["base"]),
    ("clock", &["error"]),
    ("entropy", &["error"]),
    ("login", &["base", "clock", "entropy", "error"]),
    ("observer", &["base", "error", "login"]),
    ("upkeep", &["base", "clock", "error", "observer"]),
    (
        "authenticator",
        &["base", "error", "login", "observer", "upkeep"],
    ),
    (
        "store",
        &["base", "clock", "entropy", "error", "login", "upkeep"],
    ),
    (
        "revocation",
        &[
            "base", "clock", "entropy", "error", "login", "observer", "upkeep",
        ],
    ),
    (
        "session",
        &[
            "authenticator",
            "base",
            "clock",
            "entropy",
            "error",
            "login",
            "observer",
            "store",
            "upkeep",
        ],
    ),
    (
        "tickets",
        &[
            "authenticator",
            "base",
            "clock",
            "entropy",
            "error",
            "login",
            "observer",
            "session",
            "store",
            "upkeep",
        ],
    ),
    (
        "token",
        &[
            "authenticator",
            "base",
            "clock",
            "entropy",
            "error",
            "login",
            "observer",
            "revocation",
            "upkeep",
        ],
    ),
    (
        "compose",
        &[
            "authenticator",
            "base",
            "clock",
            "entropy",
            "error",
            "login",
            "observer",
            "revocation",
            "session",
            "store",
            "token",
            "upkeep",
        ],
    ),
    (
        // Contracts only: no backend knows a strategy.
        "backend",
        &[
            "base",
            "clock",
            "entropy",
            "error",
            "login",
            "observer",
            "revocation",
            "store",
            "upkeep",
        ],
    ),
    (
        "web",
        &[
            "authenticator",
            "base",
            "clock",
            "error",
            "login",
            "observer",
            "store",
            "upkeep",
        ],
    ),
    (
        // Chooses among all others by a file.
        "config",
        &[
            "authenticator",
            "backend",
            "base",
            "clock",
            "compose",
            "error",
            "login",
            "revocation",
            "session",
            "store",
            "token",
            "web",
        ],
    ),
    (
        // Contracts only, the memory store as the reference, and the web for tests of handlers.
        "testkit",
        &[
            "authenticator",
            "backend",
            "base",
            "clock",
            "entropy",
            "error",
            "login",
            "revocation",
            "store",
            "upkeep",
            "web",
        ],
    ),
    // Prose and re-exports.
    ("manual", &[]),
    ("lib", &["*"]),
];

/// Public pages that list what backends offer. `pub use crate::backend` there is a public path and
/// no import: nothing in the file uses it.
const PAGES: [&str; 2] = ["src/store.rs", "src/revocation.rs"];

/// Exported macros, which live at the root of the crate.
const MACROS: [&str; 4] = [
    "__session_store_method",
    "forward_session_store",
    "revocation_log_laws",
    "session_store_laws",
];

/// Parts that `ls src` may show at most.
const MAX_PARTS: usize = 20;

#[test]
fn imports_point_down_only() {
    let wrong = wrong_imports(&sources());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_circle_and_knows_every_part() {
    let mut above = BTreeSet::new();
    for (part, imports) in ARROWS {
        for import in imports.iter().filter(|import| **import != "*") {
            assert!(above.contains(import), "{part} -> {import} points up");
        }
        above.insert(part);
    }
    let parts: BTreeSet<String> = sources().keys().map(|path| part_of(path)).collect();
    let known: BTreeSet<String> = ARROWS.iter().map(|(part, _)| (*part).to_owned()).collect();
    assert_eq!(parts, known);
    assert!(parts.len() <= MAX_PARTS, "{} parts in src", parts.len());
}

/// The check itself rejects what the plan forbids.
#[test]
fn an_import_that_points_up_is_found() {
    let wrong = |path: &str, text: &str| {
        let sources = BTreeMap::from([(PathBuf::from(path), text.to_owned())]);
        !wrong_imports(&sources).is_empty()
    };
    let strategy = "use crate::session::SessionAuthenticator;";
    assert!(wrong("src/backend/redis/store.rs", strategy));
    assert!(wrong("src/token/jws.rs", strategy));
    assert!(wrong(
        "src/session/judge.rs",
        "use crate::backend::memory::MemoryStore;"
    ));
    assert!(wrong(
        "src/store/record.rs",
        "    let now = crate::session::now();"
    ));
    assert!(wrong(
        "src/login.rs",
        "pub use crate::backend::memory::MemoryStore;"
    ));
    assert!(wrong(
        "src/store.rs",
        "use crate::backend::memory::MemoryStore;"
    ));
    assert!(wrong(
        "src/base/sha256.rs",
        "use crate::{clock, error::Error};"
    ));
    assert!(wrong(
        "src/base/sha256.rs",
        "use super::super::error::Error;"
    ));
    assert!(!wrong(
        "src/store.rs",
        "pub use crate::backend::memory::MemoryStore;"
    ));
    assert!(wrong("src/testkit/laws/rotate.rs", strategy));
    assert!(wrong("src/token.rs", "use super::session::Logins;"));
    assert!(wrong("src/token.rs", "use crate as c;"));
    assert!(wrong("src/token/jws.rs", "use crate :: session::Logins;"));
    assert!(wrong(
        "src/session/judge.rs",
        "use crate::store::MemoryStore;"
    ));
    assert!(!wrong("src/compose/hybrid.rs", strategy));
    assert!(!wrong(
        "src/backend/redis/store.rs",
        "/// See [`crate::session`]."
    ));
}

/// Tests and exported macros may use what they need; the code behind them may not.
#[test]
fn tests_and_exported_macros_are_passed_over_up_to_their_end() {
    let import = "use crate::session::Logins;";
    let wrong = |text: &str| {
        let path = PathBuf::from("src/token/jws.rs");
        wrong_imports(&BTreeMap::from([(path, text.to_owned())]))
    };
    let tests = format!("#[cfg(test)]\nmod tests {{\n    {import}\n    fn f() {{\n    }}\n}}\n");
    assert!(wrong(&tests).is_empty());
    let on_unix = tests.replace("test)", "all(test, unix))");
    assert!(wrong(&on_unix).is_empty());
    assert_eq!(
        wrong(&format!("{tests}{import}\n")),
        ["src/token/jws.rs:7: token imports session"]
    );
    let inner = format!("mod a {{\n    #[cfg(test)]\n    mod b {{\n    }}\n    {import}\n}}\n");
    assert_eq!(wrong(&inner).len(), 1);
    assert_eq!(wrong(&format!("#[cfg(test)]\n{import}\n")).len(), 1);

    let rules = "macro_rules! m {\n    () => { $crate::session::Logins };\n}\n";
    let exported = format!("/// Doc.\n#[macro_export]\n{rules}");
    assert!(wrong(&exported).is_empty());
    assert_eq!(wrong(rules), ["src/token/jws.rs:2: token imports session"]);
    assert_eq!(wrong(&format!("{exported}{rules}")).len(), 1);
}

/// Each source file by its path, without comments and without tests of its own.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
            }
        }
    }
    found
}

/// The first name below `src`, without an extension.
fn part_of(path: &Path) -> String {
    let name = path.iter().nth(1).expect("a path below src");
    let name = name.to_str().unwrap();
    name.strip_suffix(".rs").unwrap_or(name).to_owned()
}

fn wrong_imports(sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        let part = part_of(path);
        let allowed = ARROWS.iter().find(|(name, _)| *name == part);
        let allowed = allowed.map_or(&[][..], |(_, imports)| *imports);
        if allowed == ["*"] {
            continue;
        }
        let is_page = PAGES.iter().any(|page| path == Path::new(page));
        for (number, line) in code_of(text) {
            for import in imports_of(path, line) {
                let is_public_path = is_page && line.starts_with("pub use crate::backend");
                if import != part && !allowed.contains(&import.as_str()) && !is_public_path {
                    let path = path.display();
                    wrong.push(format!("{path}:{number}: {part} imports {import}"));
                }
            }
        }
    }
    wrong
}

/// The lines of a file with their numbers, without comments, tests and exported macros. In an
/// exported macro, `$crate::` is a public path for the crate that uses the macro.
fn code_of(text: &str) -> Vec<(usize, &str)> {
    let mut code = Vec::new();
    let (mut attribute, mut end) = ("", None);
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(last) = &end {
            if line == last {
                end = None;
            }
            continue;
        }
        if trimmed.starts_with("//") {
            continue;
        }
        let is_test = attribute == "#[cfg(test)]" || attribute.starts_with("#[cfg(all(test,");
        let skipped = is_test && trimmed.starts_with("mod ")
            || attribute == "#[macro_export]" && trimmed.starts_with("macro_rules!");
        if skipped && trimmed.ends_with('{') {
            end = Some(line.replace(trimmed, "}"));
        } else {
            code.push((index + 1, trimmed));
        }
        attribute = trimmed;
    }
    code
}

/// The parts that a line of code names: each name behind `crate::`, and spellings that hide one.
fn imports_of(path: &Path, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for hidden in ["crate ::", "crate as ", "::statewise", "{super::super"] {
        if line.contains(hidden) {
            found.push(format!("`{hidden}`: name the part by `crate::`"));
        }
    }
    // In a file directly in `src`, `super` is the root of the crate.
    if path.iter().count() == 2 && line.contains("super::") {
        found.push("`super::` at the top: name the part by `crate::`".into());
    }
    // A public page leads to a backend: only the kit, which stands above it, may go that way.
    for backend in [
        "store::MemoryStore",
        "store::CachedStore",
        "revocation::MemoryLog",
    ] {
        if line.contains(&format!("crate::{backend}")) {
            found.push("backend".into());
        }
    }
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        if rest.starts_with('{') {
            found.push("several parts in one `use crate::{..}`: write one line for each".into());
            continue;
        }
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        // Items at the root, such as `crate::Result`, are re-exports: whatever they stand for is
        // imported by its own path.
        if MACROS.contains(&name.as_str()) {
            continue;
        }
        // The macros of `base` write signatures of traits above it, which answer with this.
        if name == "Result" && line[..at].ends_with('$') {
            continue;
        }
        if name.starts_with(|c: char| c.is_lowercase()) {
            found.push(name);
        } else {
            found.push(format!(
                "`crate::{name}`, a public path: import it from its own part"
            ));
        }
    }
    if line.contains("super::super") {
        found.push("`super::super`: name the part by `crate::`".into());
    }
    found
}
