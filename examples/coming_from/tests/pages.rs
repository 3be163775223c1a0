//! The code on the pages of the manual is that of the programs here.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

/// The pages, each with the folders of its programs.
const PAGES: [(&str, &[&str]); 5] = [
    ("axum_login", &["axum_login"]),
    ("axum_session", &["axum_session"]),
    ("express", &["express"]),
    ("iron_session", &["iron_session", "express"]),
    ("jsonwebtoken", &["jsonwebtoken"]),
];

/// Returns code without its indentation.
fn flat(code: &str) -> String {
    let lines = code.lines().map(str::trim_start);
    lines.fold(String::new(), |all, line| all + line + "\n")
}

/// Returns the blocks of code, cut at the lines `// ..`.
fn quoted(page: &str) -> Vec<String> {
    let page = page.replace("```js\n", "```rust\n");
    let blocks = page.split("```rust\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let parts = blocks.flat_map(|block| block.split("// ..\n"));
    parts.map(flat).collect()
}

#[test]
fn each_quoted_block_is_in_a_program() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (page, folders) in PAGES {
        let file = here.join(format!("../../src/manual/coming/{page}.md"));
        let blocks = quoted(&fs::read_to_string(file).unwrap());
        assert!(blocks.len() > 3, "{page}: {blocks:?}");
        let programs = folders.iter().map(|folder| here.join(folder));
        let programs = programs.flat_map(|folder| fs::read_dir(folder).unwrap());
        let programs =
            programs.map(|entry| flat(&fs::read_to_string(entry.unwrap().path()).unwrap()));
        let programs: Vec<_> = programs.collect();
        for block in blocks {
            let is_there = programs.iter().any(|program| program.contains(&block));
            assert!(is_there, "{page} quotes what is in no program:\n{block}");
        }
    }
}
