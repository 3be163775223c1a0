//! Memory and time as the number of users grows: `cargo bench --bench scale`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench counts allocations, and fails by panicking"
)]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Affected, Authenticator, Login, Revocation};

mod harness;

use harness::options::Options;
use harness::window::Window;
use harness::{Group, Row, alloc, now, quantile, sorted, thread_time};

/// The clock of the system, moved forward by a number of seconds.
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

fn main() -> ExitCode {
    let Some(options) = Options::of_bench() else {
        return ExitCode::SUCCESS;
    };
    let counts: &[usize] = match (options.quick, options.large) {
        (true, _) => &[10_000],
        (false, false) => &[10_000, 100_000, 1_000_000],
        (false, true) => &[10_000, 100_000, 1_000_000, 10_000_000],
    };
    let mut rows = Vec::new();
    for count in counts {
        rows.extend(sessions(*count, &options));
        rows.extend(tokens(*count, &options));
    }
    let crowds: &[usize] = if options.quick {
        &[10_000]
    } else {
        &[10_000, 100_000]
    };
    for count in crowds {
        rows.extend(one_subject(*count, &options));
    }
    harness::finish(&rows, &options)
}

/// Row for a figure other than a time.
fn figure(group: &str, name: &str, value: f64, unit: &'static str) -> Row {
    println!("  {name:54}{value:>14.1} {unit}");
    Row::figure(group, name, value, unit)
}

/// Calls of one kind, timed one by one.
#[derive(Default)]
struct Calls {
    cpu: Vec<f64>,
    allocs: u64,
}

impl Calls {
    fn time<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let (before, start) = (alloc::counted().0, thread_time());
        let outcome = act();
        let took = thread_time() - start;
        self.allocs += alloc::counted().0 - before;
        self.cpu.push(took.as_nanos() as f64);
        outcome
    }

    fn total(&self) -> f64 {
        self.cpu.iter().sum()
    }

    fn median(&self) -> f64 {
        quantile(&sorted(self.cpu.clone()), 0.5)
    }

    fn longest(&self) -> f64 {
        self.cpu.iter().copied().fold(0.0, f64::max)
    }

    /// Row for a time, with the allocations per call.
    fn row(&self, group: &str, name: &str, ns: f64) -> Row {
        let allocs = self.allocs as f64 / self.cpu.len() as f64;
        println!(
            "  {name:54}{:>14.3} ms of CPU{allocs:>14.1} allocs",
            ns / 1e6
        );
        Row {
            allocs,
            ..Row::time(group, name, ns)
        }
    }
}

type Sessions = SessionAuthenticator<MemoryStore>;

fn user_name(user: usize) -> String {
    format!("user_{user:07}")
}

fn login(user: usize) -> Login {
    Login::new(user_name(user)).roles(["admin", "editor"])
}

fn store_of(capacity: usize, clock: &Later) -> Sessions {
    SessionAuthenticator::builder(MemoryStore::with_capacity(capacity).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .clock(clock.clone())
        .build()
        .unwrap()
}

/// Maximum number of sessions that are verified, and of sessions that are rotated.
const MAX_SAMPLE: usize = 16_384;

fn sessions(count: usize, options: &Options) -> Vec<Row> {
    let [group, acts] = [
        format!("{count} sessions"),
        format!("create and rotate, {count} sessions"),
    ];
    if !options.wants(&group) && !options.wants(&acts) {
        return Vec::new();
    }
    println!("\n{group}");
    let clock = Later::default();
    // Filled now, so that this memory is resident before the memory of the sessions is measured.
    let picked = MAX_SAMPLE.min(count / 2);
    let mut credentials = vec!["-".repeat(64); 2 * picked];
    let (heap, resident) = (alloc::live(), resident());
    // With room for the sessions that the `create` measurement adds.
    let auth = store_of(count + 100_000, &clock);
    for user in 0..count {
        let issued = now(auth.issue(login(user))).unwrap();
        // The sample is spread over all sessions.
        let turn = user * 2 * picked / count;
        credentials[turn].replace_range(.., issued.credential().reveal());
    }
    let each = |bytes: isize| bytes as f64 / count as f64;
    let mut rows = vec![
        figure(&group, "heap of one", each(alloc::live() - heap), "bytes"),
        figure(
            &group,
            "resident of one",
            each(self::resident() - resident),
            "bytes",
        ),
    ];
    for (turn, credential) in credentials.iter().enumerate().step_by(97) {
        let caller = now(auth.verify(credential)).unwrap();
        // The last of the users that share a place in the sample.
        let user = ((turn + 1) * count).div_ceil(2 * picked) - 1;
        assert_eq!(caller.subject(), user_name(user));
    }
    let (verified, rotated) = credentials.split_at_mut(picked);
    let times = create_and_rotate(acts, &auth, verified, rotated, options);
    if !options.wants(&group) {
        return times;
    }
    println!("\n{group}");
    rows.extend(revoke_all(&group, &auth));
    clock.0.store(2_000, Ordering::Relaxed);
    rows.extend(expire(&group, &auth, clock.now().unwrap()));
    let left = each(alloc::live() - heap);
    rows.push(figure(&group, "heap of one, afterwards", left, "bytes"));
    rows.extend(times);
    rows
}

/// Measured next to `verify`, the most frequent operation of a service.
fn create_and_rotate(
    group: String,
    auth: &Sessions,
    verified: &[String],
    rotated: &mut [String],
    options: &Options,
) -> Vec<Row> {
    let mut random = harness::Random(options.seed);
    let created: Vec<[u8; 64]> = Vec::new();
    Group::new(group)
        .add_over(
            "verify",
            Window::new(verified, options.seed),
            Window::refill,
            |window| now(auth.verify(window.next())).unwrap(),
        )
        .add_over(
            "create",
            (created, String::with_capacity(16), 0),
            // Each run starts with the same number of sessions.
            |(created, ..)| {
                for credential in created.drain(..) {
                    let credential = std::str::from_utf8(&credential).unwrap();
                    let _ = now(auth.revoke(credential)).unwrap();
                }
                created.reserve(1 << 15);
            },
            |(created, name, user)| {
                // Only the library allocates here.
                *user += 1;
                name.clear();
                write!(name, "user_{user:07}").unwrap();
                let login = Login::new(name.as_str()).roles(["admin", "editor"]);
                let issued = now(auth.issue(login)).unwrap();
                created.push(issued.credential().reveal().as_bytes().try_into().unwrap());
                issued
            },
        )
        .add("rotate", || {
            let credential = &mut rotated[random.below(rotated.len())];
            let issued = now(auth.refresh(credential)).unwrap();
            credential.replace_range(.., issued.credential().reveal());
            issued
        })
        .run(options)
}

/// Revokes all sessions of one subject among many others.
fn revoke_all(group: &str, auth: &Sessions) -> Vec<Row> {
    let mut calls = Calls::default();
    for _ in 0..21 {
        for _ in 0..1_000 {
            drop(now(auth.issue(Login::new("crowd"))).unwrap());
        }
        let before = auth.store().len();
        let affected = calls.time(|| now(auth.revoke_all("crowd")).unwrap());
        assert_eq!(affected, Affected::new(Some(1_000), Revocation::Immediate));
        assert_eq!(before - auth.store().len(), 1_000);
    }
    vec![calls.row(
        group,
        "revoke_all of one with 1 000 sessions",
        calls.median(),
    )]
}

fn expire(group: &str, auth: &Sessions, later: Timestamp) -> Vec<Row> {
    let (mut calls, mut removed) = (Calls::default(), 0);
    let before = auth.store().len();
    loop {
        // The limit is about the size of one shard, and therefore of one lock.
        let swept = calls.time(|| now(auth.store().sweep(250, later)).unwrap());
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    assert_eq!((removed, auth.store().len()), (before as u64, 0));
    vec![
        figure(group, "swept", removed as f64, "sessions"),
        calls.row(group, "expiry of all, 250 at a time", calls.total()),
        calls.row(
            group,
            "expiry, the longest step (no lock is held longer)",
            calls.longest(),
        ),
    ]
}

/// Locks when one subject has very many sessions: all of them are in one shard.
fn one_subject(count: usize, options: &Options) -> Vec<Row> {
    let group = format!("one subject with {count} sessions");
    if !options.wants(&group) {
        return Vec::new();
    }
    println!("\n{group}");
    let clock = Later::default();
    let auth = store_of(count + 1, &clock);
    let (mut create, mut list, mut revoke) = <(Calls, Calls, Calls)>::default();
    for _ in 0..5 {
        for _ in 0..count {
            let login = Login::new("crowd").roles(["admin", "editor"]);
            drop(create.time(|| now(auth.issue(login)).unwrap()));
        }
        let mut after = None;
        for _ in 0..21 {
            let page = list.time(|| now(auth.sessions("crowd", after)).unwrap());
            assert_eq!(page.sessions.len(), 100);
            after = page.next;
        }
        assert_eq!(auth.store().len(), count);
        let affected = revoke.time(|| now(auth.revoke_all("crowd")).unwrap());
        assert_eq!(affected.effective, Revocation::Immediate);
        assert_eq!(auth.store().len(), 0);
    }
    let mut rows = vec![
        create.row(&group, "create, median", create.median()),
        create.row(&group, "create, the longest", create.longest()),
        list.row(&group, "a page of the list, median", list.median()),
        list.row(&group, "a page of the list, the longest", list.longest()),
        revoke.row(&group, "revoke_all under one lock, median", revoke.median()),
        revoke.row(
            &group,
            "revoke_all under one lock, the longest",
            revoke.longest(),
        ),
    ];
    for _ in 0..count {
        drop(now(auth.issue(Login::new("crowd"))).unwrap());
    }
    clock.0.store(2_000, Ordering::Relaxed);
    rows.extend(expire(&group, &auth, clock.now().unwrap()));
    rows
}

fn tokens(count: usize, options: &Options) -> Vec<Row> {
    let group = format!("{count} tokens");
    if !options.wants(&group) {
        return Vec::new();
    }
    println!("\n{group}");
    let heap = alloc::live();
    let auth = TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("auth.acme.dev")
        .audience("api")
        .lifetime(Duration::from_secs(3600))
        .build()
        .unwrap();
    for user in 0..count {
        let issued = now(auth.issue(login(user))).unwrap();
        let caller = auth.verify_now(issued.credential().reveal()).unwrap();
        assert_eq!(caller.subject(), issued.identity().subject());
    }
    let heap = (alloc::live() - heap) as f64;
    vec![figure(&group, "heap in all", heap, "bytes")]
}

/// Resident bytes of this process, or 0 if the system does not report them.
fn resident() -> isize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<isize>().ok());
    kibibytes.unwrap_or(0) * 1024
}
