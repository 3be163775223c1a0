//! The shape of the book: its pages, their links, their length, and the length of README.
//!
//! A page is read in two places: as a file, on disk or on a forge, and in the documentation. In a file a link
//! leads to another file. In the documentation it leads to a page or an item. So each link is a reference, such
//! as `[logging out][logout.md]`. The end of the page says where it leads in the file, and
//! `src/manual/links.md`, which the documentation shows before each page, says where it leads there: of two
//! definitions, the first one counts.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a page at most.
const MAX_PAGE: usize = 400;
/// Lines of README at most.
const MAX_README: usize = 250;
/// Hidden lines of a block of code at most: a file shows them.
const MAX_HIDDEN: usize = 2;
/// Definitions for the documentation: those of all pages, and those that need the feature `testkit`.
const LINKS: [&str; 2] = ["links.md", "testkit_links.md"];

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

/// Pages with their text: the files of Markdown without the definitions for the documentation.
fn pages() -> Vec<(PathBuf, String)> {
    let is_page = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".md") && !LINKS.contains(&name)
    };
    let pages = files().into_iter().filter(is_page);
    pages
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Returns the text outside of blocks of code, and the blocks, each with its first line.
fn prose_and_code(text: &str) -> (String, Vec<Vec<&str>>) {
    let (mut prose, mut blocks, mut is_code) = (String::new(), Vec::<Vec<&str>>::new(), false);
    for line in text.lines() {
        match (line.starts_with("```"), is_code) {
            (true, false) => blocks.push(vec![line]),
            (false, true) => blocks.last_mut().unwrap().push(line),
            (true, true) => {}
            (false, false) => prose += &format!("{line}\n"),
        }
        is_code ^= line.starts_with("```");
    }
    assert!(!is_code, "a block of code has no end");
    (prose, blocks)
}

/// Returns the label and the destination if the line is the definition of a link.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (label, destination) = line.strip_prefix('[')?.split_once("]: ")?;
    let is_one_word = !destination.contains(' ') && !label.contains(']');
    is_one_word.then_some((label, destination))
}

#[test]
fn each_page_has_one_title() {
    for (path, text) in pages() {
        let (prose, _) = prose_and_code(&text);
        let titles = prose.lines().filter(|line| line.starts_with("# ")).count();
        assert!(
            text.starts_with("# ") && titles == 1,
            "{path:?} has {titles} titles"
        );
    }
}

#[test]
fn blocks_of_code_hide_little() {
    for (path, text) in pages() {
        for block in prose_and_code(&text).1 {
            // gRPC: stands for the code that is generated from your schema.
            if path.ends_with("grpc.md") {
                continue;
            }
            let is_rust = block[0].starts_with("```rust");
            let hidden = block[1..]
                .iter()
                .filter(|line| **line == "#" || line.starts_with("# "));
            let hidden = hidden.count();
            assert!(
                !is_rust || hidden <= MAX_HIDDEN,
                "{path:?}: {hidden} hidden lines: {block:#?}"
            );
        }
    }
}

/// `.ci/links` checks the destinations of the pages, and rustdoc those of the documentation.
#[test]
fn links_lead_to_files_and_to_items() {
    let manual = root().join("src/manual");
    let links = LINKS.map(|name| fs::read_to_string(manual.join(name)).unwrap());
    let shown: Vec<_> = links
        .iter()
        .flat_map(|links| links.lines().filter_map(definition))
        .collect();
    let mut used = Vec::new();
    for (path, text) in pages() {
        let (prose, _) = prose_and_code(&text);
        assert!(
            !prose.contains("](crate::"),
            "{path:?}: a file cannot follow a link to an item: see the first lines of tests/book.rs"
        );
        let body = prose.lines().filter(|line| definition(line).is_none());
        let body = body.collect::<Vec<_>>().join("\n");
        let defined: Vec<_> = prose.lines().filter_map(definition).collect();
        let folder = path.parent().unwrap().strip_prefix(&manual).unwrap();
        for &(label, destination) in &defined {
            let is_used = body.contains(&format!("[{label}]"));
            assert!(is_used, "{path:?} defines {label} and does not use it");
            let is_shown = shown.iter().any(|(shown, _)| *shown == label);
            assert!(is_shown, "{path:?}: add {label} to one of {LINKS:?}");
            if !label.starts_with('`') {
                // The label is the path from the folder of the manual.
                let ups = "../".repeat(folder.components().count());
                let beside = label.strip_prefix(&format!("{}/", folder.display()));
                let wanted = beside.map_or(format!("{ups}{label}"), str::to_owned);
                assert_eq!(destination, wanted, "{path:?}: {label}");
            }
            used.push(label.to_owned());
        }
        let labels = body
            .split("][")
            .skip(1)
            .map(|rest| rest.split(']').next().unwrap());
        let short = body.match_indices("[`").filter_map(|(at, _)| {
            let (label, rest) = body[at + 2..].split_once("`]")?;
            (!rest.starts_with(['[', '('])).then(|| format!("`{label}`"))
        });
        for label in labels.map(str::to_owned).chain(short) {
            let is_defined = defined.iter().any(|(known, _)| **known == label);
            assert!(is_defined, "{path:?} uses {label} and does not define it");
        }
    }
    let unused = shown
        .iter()
        .filter(|(shown, _)| !used.iter().any(|label| label == shown));
    let unused: Vec<_> = unused.collect();
    assert!(unused.is_empty(), "no page uses {unused:?}");
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
            let anchor = rest.split([')', '\n']).next().unwrap();
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
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let headings = headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
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
