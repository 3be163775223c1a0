//! Versions of the compared libraries, from the lock file of this package.

#![allow(dead_code, reason = "each binary uses a part of it")]

use crate::machine;

const LOCK: &str = include_str!("../Cargo.lock");

/// jsonwebtoken with the crypto backend of this build, and the same in an extractor.
pub const JSONWEBTOKEN: &str = JSONWEBTOKENS.0;
pub const EXTRACTOR: &str = JSONWEBTOKENS.1;

const JSONWEBTOKENS: (&str, &str) = if cfg!(feature = "rust_crypto") {
    (
        "jsonwebtoken 12 (rust_crypto)",
        "jsonwebtoken 12 (rust_crypto), by hand",
    )
} else {
    (
        "jsonwebtoken 12 (aws_lc_rs)",
        "jsonwebtoken 12 (aws_lc_rs), by hand",
    )
};

/// Prints the versions of these packages, and records them for the JSON file.
pub fn record(names: &[&'static str]) {
    let versions: Vec<_> = names.iter().map(|name| (*name, version(name))).collect();
    let text = versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    println!("versions: {}", text.collect::<Vec<_>>().join(", "));
    machine::record_versions(versions);
}

/// Returns the version of a package. If the lock file has several, the entry of this package says
/// which one it uses.
fn version(name: &str) -> &'static str {
    let find = |name| {
        let mut entries = LOCK.split("[[package]]");
        entries.find(|entry| member(entry, "name") == Some(name))
    };
    let own = find("compare").expect("an entry of this package");
    let chosen = own.lines().find_map(|line| {
        let line = line.trim().strip_prefix('"')?.strip_suffix("\",")?;
        line.strip_prefix(name)?.strip_prefix(' ')
    });
    let version = chosen.or_else(|| member(find(name)?, "version"));
    version.unwrap_or_else(|| panic!("{name} is not in the lock file"))
}

/// Returns a text member of an entry.
fn member<'l>(entry: &'l str, name: &str) -> Option<&'l str> {
    entry.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(" = \"")?
            .strip_suffix('"')
    })
}
