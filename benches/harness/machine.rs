//! The machine and the compiler, for whoever reads the figures later.

use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, thread};

use super::quoted;

/// What is only known when a run begins.
struct Beginning {
    seed: u64,
    load: String,
}

static BEGINNING: OnceLock<Beginning> = OnceLock::new();

/// Notes how the machine is now, and with which seed the run begins.
pub(super) fn begin(seed: u64) {
    let load = load();
    BEGINNING.get_or_init(|| Beginning { seed, load });
}

/// The members of a JSON object that say where and how a run was.
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

/// The one that Cargo would take here and now.
fn compiler() -> String {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").output();
    let version = output
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok());
    version.map_or("unknown".to_owned(), |version| version.trim().to_owned())
}

/// Averages over 1, 5 and 15 minutes, and more.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.trim().to_owned()
}
