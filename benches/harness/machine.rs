//! The machine and the compiler, recorded with the figures.

use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, thread};

use super::quoted;

/// Values that are known only when a run begins.
struct Beginning {
    seed: u64,
    load: String,
}

static BEGINNING: OnceLock<Beginning> = OnceLock::new();

/// Records the state of the machine and the seed of the run.
pub(super) fn begin(seed: u64) {
    let load = load();
    BEGINNING.get_or_init(|| Beginning { seed, load });
}

/// The members of a JSON object that describe the run.
pub(super) fn described() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("unknown", |cpu| cpu.trim_start_matches([':', ' ', '\t']));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let (seed, before) = BEGINNING
        .get()
        .map_or((0, "unknown"), |begun| (begun.seed, &*begun.load));
    format!(
        "\"cpu\": {}, \"cores\": {cores}, \"compiler\": {}, \"seed\": {seed},\n\
         \"load_before\": {}, \"load_after\": {}",
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
