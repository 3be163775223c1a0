//! The machine and the compiler, recorded with the figures.

use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, thread};

use super::quoted;

/// Values that are known only when a run begins.
struct Beginning {
    seed: u64,
    /// Number of cores, before a bench keeps itself on one of them.
    cores: usize,
    load: String,
}

static BEGINNING: OnceLock<Beginning> = OnceLock::new();

/// Names and versions of the libraries that a bench compares.
static VERSIONS: OnceLock<Vec<(&str, &str)>> = OnceLock::new();

/// Records the versions of the libraries that a bench compares.
pub fn record_versions(versions: Vec<(&'static str, &'static str)>) {
    VERSIONS.get_or_init(|| versions);
}

/// Records the state of the machine and the seed of the run.
pub(super) fn begin(seed: u64) {
    let load = load();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    BEGINNING.get_or_init(|| Beginning { seed, cores, load });
}

/// The members of a JSON object that describe the run.
pub(super) fn described() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("unknown", |cpu| cpu.trim_start_matches([':', ' ', '\t']));
    let (seed, cores, before) = BEGINNING.get().map_or((0, 0, "unknown"), |begun| {
        (begun.seed, begun.cores, &*begun.load)
    });
    let versions = VERSIONS.get().map_or(&[][..], Vec::as_slice);
    let versions = versions.iter();
    let versions = versions.map(|(name, version)| format!("{}: {}", quoted(name), quoted(version)));
    let versions = versions.collect::<Vec<_>>().join(", ");
    format!(
        "\"cpu\": {}, \"cores\": {cores}, \"compiler\": {}, \"seed\": {seed},\n\
         \"load_before\": {}, \"load_after\": {},\n\"versions\": {{{versions}}}",
        quoted(cpu),
        quoted(&compiler()),
        quoted(before),
        quoted(&load()),
    )
}

/// The compiler that Cargo would use here.
fn compiler() -> String {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").output();
    let version = output
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok());
    version.map_or("unknown".to_owned(), |version| version.trim().to_owned())
}

/// Load averages over 1, 5 and 15 minutes, and further values.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.trim().to_owned()
}
