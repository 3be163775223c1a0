//! What grows with users, and what does not: `cargo bench --bench scale`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench counts allocations, and fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::session::{SessionAuthenticator, SessionStore};
use statewise::store::MemoryStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Login};

mod harness;

use harness::options::Options;
use harness::{Row, alloc, now, quantile, sorted, thread_time};

/// The system's clock, and as many seconds more.
#[derive(Clone, Debug, Default)]
struct Later(Arc<AtomicU64>);

impl Clock for Later {
    fn now(&self) -> Option<Timestamp> {
        Some(
            SystemClock
                .now()?
                .saturating_add(self.0.load(Ordering::Relaxed)),
        )
    }
}

fn main() {
    let options = Options::from_command_line();
    let counts: &[usize] = match (options.quick, options.large) {
        (true, _) => &[10_000],
        (false, false) => &[10_000, 100_000, 1_000_000],
        (false, true) => &[10_000, 100_000, 1_000_000, 10_000_000],
    };
    let mut rows = Vec::new();
    for count in counts {
        rows.extend(sessions(*count));
        rows.extend(tokens(*count));
    }
    if let Some(file) = &options.json {
        std::fs::write(file, harness::json(&rows)).expect("the JSON file can be written");
    }
}

/// A figure that is measured once.
fn row(group: &str, name: &str, value: f64) -> Row {
    println!("  {name:54}{value:>14.1}");
    Row::figure(group, name, value)
}

fn login(user: usize) -> Login {
    Login::new(format!("user_{user:07}")).roles(["admin", "editor"])
}

/// Acts of a batch, so that reading the clock does not count.
const BATCH: usize = 50;

/// Nanoseconds of thread CPU of one act: median over the batches of `times` acts.
fn median(times: usize, mut act: impl FnMut(usize)) -> f64 {
    let batches = (0..times).step_by(BATCH).map(|first| {
        let start = thread_time();
        (first..first + BATCH).for_each(&mut act);
        (thread_time() - start).as_nanos() as f64 / BATCH as f64
    });
    quantile(&sorted(batches.collect()), 0.5)
}

fn sessions(count: usize) -> Vec<Row> {
    let group = format!("{count} sessions");
    println!("\n{group}");
    let clock = Later::default();
    let (heap, resident) = (alloc::live(), resident());
    let store = MemoryStore::with_capacity(count + 20_000).unwrap();
    let auth: SessionAuthenticator<MemoryStore> = SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .clock(clock.clone())
        .build()
        .unwrap();
    for user in 0..count {
        drop(now(auth.issue(login(user))).unwrap());
    }
    let per_session = |bytes: isize| bytes as f64 / count as f64;
    let mut rows = vec![
        row(
            &group,
            "heap, bytes each",
            per_session(alloc::live() - heap),
        ),
        row(
            &group,
            "resident, bytes each",
            per_session(self::resident() - resident),
        ),
    ];
    let mut credentials = Vec::new();
    let create = median(2_000, |turn| {
        let issued = now(auth.issue(login(count + turn))).unwrap();
        credentials.push(issued.credential().reveal().to_owned());
    });
    rows.push(row(&group, "create, ns", create));
    let renew = median(credentials.len(), |turn| {
        drop(now(auth.refresh(&credentials[turn])).unwrap());
    });
    rows.push(row(&group, "renew, ns", renew));
    for _ in 0..1_000 {
        drop(now(auth.issue(Login::new("crowd"))).unwrap());
    }
    let start = Instant::now();
    let _ = now(auth.revoke_all("crowd")).unwrap();
    let took = start.elapsed().as_nanos() as f64;
    rows.push(row(
        &group,
        "revoke_all of one with 1 000 sessions, ns",
        took,
    ));

    clock.0.store(2_000, Ordering::Relaxed);
    let later = clock.now().unwrap();
    let (mut cpu, mut longest, mut removed) = (Duration::ZERO, Duration::ZERO, 0);
    loop {
        // About one shard at a time, and so about one lock.
        let start = thread_time();
        let swept = now(auth.store().sweep(250, later)).unwrap();
        let step = thread_time() - start;
        cpu += step;
        longest = longest.max(step);
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    let millis = |time: Duration| time.as_nanos() as f64 / 1e6;
    rows.push(row(&group, "swept", removed as f64));
    rows.push(row(&group, "expiry of all, ms", millis(cpu)));
    rows.push(row(
        &group,
        "longest step of it, ms of CPU (no lock held longer)",
        millis(longest),
    ));
    rows.push(row(
        &group,
        "heap afterwards, bytes each",
        per_session(alloc::live() - heap),
    ));
    rows
}

fn tokens(count: usize) -> Vec<Row> {
    let group = format!("{count} tokens");
    println!("\n{group}");
    let heap = alloc::live();
    let auth: TokenAuthenticator = TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("auth.acme.dev")
        .audience("api")
        .lifetime(Duration::from_secs(3600))
        .build()
        .unwrap();
    for user in 0..count {
        drop(now(auth.issue(login(user))).unwrap());
    }
    vec![row(
        &group,
        "heap in all, bytes",
        (alloc::live() - heap) as f64,
    )]
}

/// Resident bytes of this process, if the system tells.
fn resident() -> isize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<isize>().ok());
    kibibytes.unwrap_or(0) * 1024
}
