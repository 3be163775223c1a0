//! A whole server: axum on hyper, on one core, under a load from another core.
//! `cargo run --release --manifest-path benches/compare/Cargo.toml --bin server`. Options:
//! `--quick`, `--json FILE`, `--filter TEXT`, `--seed N`. It needs `wrk` and two cores; the cached sessions need
//! `redis-server`.
//!
//! Each variant answers `GET /me` for 1 000 users in rotation. A round starts a fresh server for
//! each variant, in random order. CPU time is the server's own process clock around a round. It
//! depends least on other programs; latencies depend most on them.

mod load;
#[path = "../../../harness/machine.rs"]
mod machine;
#[path = "../../../harness/options.rs"]
#[allow(dead_code, reason = "this bench has a part of the options")]
mod options;
mod site;
#[path = "../../../../tests/support/mod.rs"]
mod support;
mod table;
#[path = "../versions.rs"]
mod versions;

use std::process::ExitCode;

use load::{Round, Server};
use options::Options;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use support::servers::redis::RedisServer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    NoAuth,
    Session,
    Bearer,
    Hybrid,
    Cached,
    TowerSessions,
    Jsonwebtoken,
}

impl Variant {
    const ALL: [Self; 7] = [
        Self::NoAuth,
        Self::Session,
        Self::Bearer,
        Self::Hybrid,
        Self::Cached,
        Self::TowerSessions,
        Self::Jsonwebtoken,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::NoAuth => "no auth",
            Self::Session => "statewise, session cookie",
            Self::Bearer => "statewise, bearer token",
            Self::Hybrid => "statewise, hybrid, access token",
            Self::Cached => "statewise, cached session over Redis",
            Self::TowerSessions => "tower-sessions 0.15, MemoryStore",
            Self::Jsonwebtoken => versions::EXTRACTOR,
        }
    }

    /// The name on the command line of a server process.
    pub fn key(self) -> &'static str {
        match self {
            Self::NoAuth => "no-auth",
            Self::Session => "session",
            Self::Bearer => "bearer",
            Self::Hybrid => "hybrid",
            Self::Cached => "cached",
            Self::TowerSessions => "tower-sessions",
            Self::Jsonwebtoken => "jsonwebtoken",
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, key, core, redis @ ..] = &*arguments
        && command == "serve"
    {
        let mut variants = Variant::ALL.into_iter();
        let variant = variants.find(|variant| variant.key() == key);
        pin(core.parse().expect("a core"));
        let redis = redis.first().map(String::as_str);
        site::run(variant.expect("a variant"), redis);
        return ExitCode::SUCCESS;
    }
    let options = Options::from_command_line();
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Keeps this process and its future children on one core.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("a core of this machine");
}

/// Two cores of this process: for the server, and for the load.
fn cores() -> Result<[usize; 2], String> {
    let set = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    // First and last, which are seldom two threads of one physical core.
    match (cores.next(), cores.next_back()) {
        (Some(first), Some(last)) => Ok([first, last]),
        _ => Err("the server and its load need two cores".to_owned()),
    }
}

fn measure(options: &Options) -> Result<(), String> {
    load::find_wrk()?;
    let [core, load_core] = cores()?;
    pin(load_core);
    let redis = RedisServer::start();
    let url = redis.as_ref().map(RedisServer::url);
    let mut variants = Variant::ALL.to_vec();
    variants.retain(|variant| match variant {
        // The others are compared with it.
        Variant::NoAuth => true,
        Variant::Cached if url.is_none() => false,
        _ => options.wants(variant.name()),
    });
    let (rounds, seconds) = if options.quick { (3, 1) } else { (15, 2) };
    versions::record(&[
        "axum",
        "hyper",
        "tokio",
        "jsonwebtoken",
        "tower-sessions",
        "redis",
    ]);
    println!(
        "{} variants, {rounds} rounds of {seconds} s each; server on core {core}, load on core \
         {load_core}",
        variants.len()
    );
    let mut measured: Vec<Vec<Round>> = vec![Vec::with_capacity(rounds); variants.len()];
    let mut order: Vec<usize> = (0..variants.len()).collect();
    let mut random = options.seed;
    for _ in 0..rounds {
        shuffle(&mut order, &mut random);
        for &at in &order {
            let mut server = Server::start(variants[at], core, url.as_deref());
            server.check(variants[at]);
            measured[at].push(server.measure(seconds));
        }
    }
    let rows = table::rows(&variants, &measured);
    table::print(&rows);
    if let Some(file) = &options.json {
        std::fs::write(file, table::json(&rows)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn shuffle(items: &mut [usize], random: &mut u64) {
    for at in (1..items.len()).rev() {
        // Knuth's generator, of which the upper half is good enough for an order.
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, (*random >> 33) as usize % (at + 1));
    }
}

/// Quotes a JSON string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text")
}
