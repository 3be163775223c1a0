//! The shape of the book: its pages, their length, and the length of README.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a page at most.
const MAX_PAGE: usize = 400;
/// Lines of README at most.
const MAX_README: usize = 250;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the manual, in its folders too.
fn files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join("src/manual")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn each_file_of_the_manual_is_shown_and_short() {
    let manual = fs::read_to_string(root().join("src/manual.rs")).unwrap();
    let files = files();
    assert!(files.len() > 20, "{files:?}");
    for path in files {
        let name = path.strip_prefix(root().join("src")).unwrap();
        let shown = format!("include_str!(\"{}\")", name.display());
        let is_readme_only = name.ends_with("overview.svg");
        assert!(manual.contains(&shown) || is_readme_only, "{name:?}");
        let text = fs::read_to_string(&path).unwrap();
        let is_page = name.extension().is_some_and(|extension| extension == "md");
        let lines = text.lines().count();
        assert!(!is_page || lines <= MAX_PAGE, "{name:?} has {lines} lines");
    }
}

/// Markdown takes a picture for HTML from an empty line to the next one.
#[test]
fn pictures_have_no_empty_line_and_stand_between_two() {
    let manual = fs::read_to_string(root().join("src/manual.rs")).unwrap();
    let lines: Vec<_> = manual.lines().collect();
    for around in lines.windows(3).filter(|lines| lines[1].contains(".svg")) {
        assert_eq!((around[0], around[2]), ("#[doc = \"\"]", "#[doc = \"\"]"));
    }
    for path in files() {
        if path.extension().is_some_and(|extension| extension == "svg") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.lines().all(|line| !line.trim().is_empty()), "{path:?}");
        }
    }
}

#[test]
fn each_page_is_in_the_table_of_contents() {
    let manual = fs::read_to_string(root().join("src/manual.rs")).unwrap();
    let pages = manual.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?;
        name.strip_suffix(" {}")
    });
    let pages: Vec<_> = pages.collect();
    assert!(pages.len() > 15, "{pages:?}");
    for page in pages {
        assert!(manual.contains(&format!("//! | [{page}] |")), "{page}");
    }
}

#[test]
fn readme_is_one_sitting() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= MAX_README);
}

/// Each link to a section of a page leads to a heading there. rustdoc checks the page alone.
#[test]
fn links_to_sections_of_pages_lead_to_headings() {
    let mut checked = 0;
    for (path, text) in sources() {
        for rest in text.split("crate::manual::").skip(1) {
            let Some((page, rest)) = rest.split_once('#') else {
                continue;
            };
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            if !page.chars().all(is_name) {
                continue;
            }
            let anchor = rest.split(')').next().unwrap();
            let pages = files().into_iter().filter(|file| {
                let file = file.strip_prefix(root().join("src/manual")).unwrap();
                file.starts_with(page) || file == Path::new(&format!("{page}.md"))
            });
            let mut anchors = pages.flat_map(|page| anchors(&fs::read_to_string(page).unwrap()));
            assert!(
                anchors.any(|known| known == anchor),
                "{path:?}: no section {anchor} on the page {page}"
            );
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}

/// All sources of the library, with the pages.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut sources, mut folders) = (Vec::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

/// Returns the anchors that rustdoc makes of the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("# "));
    let anchor = |heading: &str| {
        let chars = heading.to_lowercase();
        let chars = chars.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
            _ => None,
        });
        chars.collect()
    };
    headings.map(anchor).collect()
}
