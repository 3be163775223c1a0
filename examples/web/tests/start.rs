//! The first program of README, and the longer ones of the manual: each text is that of an example, and
//! the commands beside the first one are run.

mod support;

use std::path::Path;

use support::{Answer, Example, Folder, follow_the_header};

const README: &str = include_str!("../../../README.md");
const AXUM: &str = include_str!("../../../src/manual/axum.md");
const ACTIX: &str = include_str!("../../../src/manual/actix.md");
const PROGRAM: &str = include_str!("../../../src/manual/deploying/program.md");

#[test]
fn the_commands_in_its_header_work() {
    let site = Example::start("start");
    follow_the_header(include_str!("../start.rs"), site.origin());
}

/// Returns an example without its header.
fn program(source: &str) -> String {
    let lines = source.lines().skip_while(|line| line.starts_with("//!"));
    lines.skip(1).flat_map(|line| [line, "\n"]).collect()
}

/// Returns the first program of a page, without hidden lines.
fn printed(page: &str) -> String {
    let (_, rest) = page.split_once("```rust,no_run\n").expect("a program");
    let (text, _) = rest.split_once("```\n").expect("its end");
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_programs_of_the_pages_are_the_examples() {
    let start = program(include_str!("../start.rs"));
    assert!(start.lines().count() <= 60, "too long for one screen");
    assert_eq!(printed(README), start);
    assert_eq!(printed(AXUM), start);
    assert_eq!(printed(ACTIX), program(include_str!("../actix_start.rs")));
    let production = program(include_str!("../production.rs"));
    assert_eq!(printed(PROGRAM), production);
}

/// Runs each `$ curl` line of a page against an example, and compares its status, or its answer, with
/// the comment.
fn follow(page: &str, example: &str) {
    let site = Example::start(example);
    let address = site.origin().strip_prefix("http://").expect("an address");
    let folder = Folder::new();
    let lines = page.lines().filter_map(|line| line.strip_prefix("$ curl "));
    let mut followed = 0;
    for line in lines {
        let (command, comment) = line.rsplit_once(" # ").expect("an answer");
        let command = command.replace("localhost:3000", address);
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("curl -sS {command}")])
            .current_dir(folder.path())
            .env("CURL_HOME", folder.path())
            .env("no_proxy", "*")
            .output()
            .expect("sh starts");
        let text = String::from_utf8(output.stdout).expect("text");
        let status = comment.split([' ', ',', ':']).next();
        match status.and_then(|status| status.parse::<u16>().ok()) {
            Some(status) => assert_eq!(Answer::parse(&text).status, status, "{line}\n{text}"),
            None => assert!(text.contains(comment.trim()), "{line}\n{text}"),
        }
        followed += 1;
    }
    assert!(followed > 5, "too few commands: {followed}");
}

#[test]
fn the_commands_of_readme_work() {
    follow(README, "start");
}

#[test]
fn the_commands_of_the_page_on_axum_work() {
    follow(AXUM, "start");
}

#[cfg(feature = "actix")]
#[test]
fn they_have_the_same_answers_in_actix_web() {
    follow(AXUM, "actix_start");
}

/// Each relative link of README leads to a file.
#[test]
fn the_links_of_readme_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let links = README.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    let broken: Vec<_> = links
        .filter(|link| !link.starts_with("http") && !root.join(link).exists())
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}
