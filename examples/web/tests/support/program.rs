//! Programs of the examples, built if necessary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Returns the program of an example. Builds it if `cargo test` did not (with `--test` it does
/// not), or if a source is newer.
pub(crate) fn example(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // target/PROFILE/deps/this-test
    let this = std::env::current_exe().expect("a path");
    let output = this.ancestors().nth(2).expect("a folder of a profile");
    let program = output.join("examples").join(name);
    if !is_fresh(&program) {
        build(name, output);
        assert!(program.is_file(), "no {}", program.display());
    }
    program
}

/// Returns whether a program is newer than all its sources, as listed by cargo.
fn is_fresh(program: &Path) -> bool {
    let Ok(built) = modified(program) else {
        return false;
    };
    let Ok(sources) = fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources);
    // cargo escapes spaces within a path.
    let sources = sources.trim().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|path| path.replace('\0', " "));
    sources.all(|source| modified(Path::new(&source)).is_ok_and(|changed| changed <= built))
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

fn build(name: &str, output: &Path) {
    let profile = output.file_name().and_then(|name| name.to_str());
    let profile = match profile.expect("a profile") {
        "debug" => "dev",
        other => other,
    };
    let features = match name {
        "actix" | "actix_start" => "actix",
        "oidc_api" => "ring",
        "production" => "redis",
        _ => "",
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile, "--example", name])
        .args(["--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", output.parent().expect("target"))
        .status();
    assert!(
        built.expect("cargo starts").success(),
        "building {name} failed"
    );
}
