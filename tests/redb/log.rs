//! The revocation log: its laws, and faults of its file and its device.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use redb::{Database, ReadableTable as _, TableDefinition};
use statewise::Result;
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::revocation::RedbLog;
use statewise::revocation::log::{Draft, Fact, MARGIN, Nonce, Page, RevocationLog};
use statewise::session::Limit;
use statewise::store::contract::{SessionStore as _, Stamp};
use statewise::store::{Redb, Survives};
use statewise::testkit::{
    LogFixture, Random, Sample, block_on, give_up_after, interleave, seed, yield_now,
};

use super::device::{Device, Fault};
use super::folder::Folder;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
/// Nonce, fact, lifetime, and time of expiry of an entry.
type Entry = (&'static [u8; 16], &'static [u8; 26], u64, u64);
/// Incarnation, first and last position, and last nonce.
type Head = (u64, u64, u64, &'static [u8; 16]);
const ENTRIES: TableDefinition<'_, u64, Entry> = TableDefinition::new("statewise.revocations");
const HEAD: TableDefinition<'_, (), Head> = TableDefinition::new("statewise.revocation_log");

/// Opens handles on one log, which share the writing thread.
struct Fixture;

impl LogFixture for Fixture {
    type Log = RedbLog;

    async fn open(&self) -> RedbLog {
        let folder = Folder::in_memory();
        let redb = Redb::open(folder.file()).build();
        redb.expect("a new file is opened").revocations()
    }

    async fn again(&self, log: &RedbLog) -> RedbLog {
        log.clone()
    }

    async fn advance(&self, _: &RedbLog, _: Duration) {}
}

mod laws {
    statewise::testkit::revocation_log_laws!(super::Fixture);
}

/// A log with its own writing thread, in a database that several such logs share.
#[derive(Debug)]
struct Shared {
    log: RedbLog,
    database: Arc<Database>,
}

impl Shared {
    fn of(database: Arc<Database>) -> Self {
        let builder = Redb::over(Arc::clone(&database)).deadline(Duration::from_secs(60));
        let log = builder.build().unwrap().revocations();
        Self { log, database }
    }
}

impl RevocationLog for Shared {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.log.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.log.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.log.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.log.fence(now).await
    }
}

struct SharedFixture;

impl LogFixture for SharedFixture {
    type Log = Shared;

    async fn open(&self) -> Shared {
        let folder = Folder::in_memory();
        Shared::of(Arc::new(Database::create(folder.file()).unwrap()))
    }

    async fn again(&self, log: &Shared) -> Shared {
        Shared::of(Arc::clone(&log.database))
    }

    async fn advance(&self, _: &Shared, _: Duration) {}
}

mod shared_laws {
    statewise::testkit::revocation_log_laws!(super::SharedFixture);
}

fn draft(name: u64, life: u64) -> Draft {
    let mut nonce = [7; 16];
    nonce[8..].copy_from_slice(&name.to_be_bytes());
    Draft::with_nonce(
        Nonce::from_bytes(nonce),
        Fact::Nothing,
        Duration::from_secs(life),
    )
}

fn name(nonce: Nonce) -> u64 {
    u64::from_be_bytes(nonce.as_bytes()[8..].try_into().unwrap())
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T>) {
    assert!(
        answer.as_ref().is_err_and(|error| error.is_unavailable()),
        "{answer:?}"
    );
}

/// A reopened file has the same log, at the same position of the same incarnation, whether the log
/// or the other handles were dropped first. Another file has another log.
#[test]
fn a_reopened_file_has_the_same_log() {
    let folder = Folder::in_memory();
    let mut written = 0;
    let mut incarnation = None;
    for round in 0..3 {
        let redb = Redb::open(folder.file()).build().unwrap();
        let log = redb.revocations();
        let others = (round % 2 == 1).then(|| redb.clone());
        drop(redb);
        let head = block_on(log.head(NOW)).unwrap();
        assert_eq!(head.position(), written);
        assert_eq!(
            *incarnation.get_or_insert(head.incarnation()),
            head.incarnation()
        );
        for name in 0..3 {
            written = block_on(log.append(&[draft(name, 9)], NOW))
                .unwrap()
                .position();
        }
        let page = block_on(log.read(0, 99, NOW)).unwrap();
        assert_eq!(page.entries.len() as u64, written);
        drop(log);
        if let Some(redb) = others {
            block_on(redb.require_durable()).unwrap();
            assert_eq!(block_on(redb.durability()).unwrap().crash, Survives::All);
        }
    }
    let other = Folder::in_memory();
    let log = Redb::open(other.file()).build().unwrap().revocations();
    assert_ne!(
        Some(block_on(log.head(NOW)).unwrap().incarnation()),
        incarnation
    );
}

/// Concurrent appends and removals of logins share one transaction. A fence is a transaction, and a
/// read is none.
#[test]
fn log_and_sessions_share_transactions() {
    let device = Device::default();
    let redb = device.open();
    let (store, log) = (redb.sessions(), redb.revocations());
    let row = Sample::of("alice").at(NOW);
    let _ = block_on(store.create(&row, Limit::Unlimited, NOW)).unwrap();
    let held = device.hold();
    let before = redb.commits();
    let first = log.clone();
    let first = thread::spawn(move || block_on(first.append(&[draft(0, 9)], NOW)).unwrap());
    device.wait_until_held();
    let mut futures: Vec<BoxFuture<'_, ()>> = Vec::new();
    for name in 1..=50 {
        let log = &log;
        futures.push(Box::pin(async move {
            log.append(&[draft(name, 9)], NOW).await.unwrap();
        }));
    }
    futures.push(Box::pin(async {
        let removed = store.remove(row.handle(), "alice", NOW).await.unwrap();
        assert_eq!(removed.count, 1);
    }));
    futures.push(Box::pin(async {
        // By then, all the others wait.
        for _ in 0..2_000 {
            yield_now().await;
        }
        device.release();
    }));
    block_on(interleave(seed(), futures));
    drop(held);
    assert_eq!(first.join().unwrap().position(), 1);
    assert_eq!(redb.commits() - before, 2);
    assert_eq!(block_on(log.head(NOW)).unwrap().position(), 51);

    let (commits, syncs) = (redb.commits(), device.syncs());
    block_on(log.read(1, 99, NOW)).unwrap();
    block_on(log.append(&[], NOW)).unwrap();
    assert_eq!((redb.commits(), device.syncs()), (commits, syncs));
    block_on(log.fence(NOW)).unwrap();
    assert_eq!(redb.commits(), commits + 1);
    assert!(device.syncs() > syncs, "the fence did not reach the device");
}

/// A rush of logins leaves room in the queue for revocations.
#[test]
fn a_rush_of_logins_leaves_room_for_revocations() {
    let device = Device::default();
    let redb = device.open();
    let (store, log) = (redb.sessions(), redb.revocations());
    let held = device.hold();
    let mut waiting = 0;
    loop {
        let row = Sample::of("rush").at(NOW);
        let create = store.create(&row, Limit::Unlimited, NOW);
        if let Some(answer) = block_on(give_up_after(1, create)) {
            unavailable(&answer);
            break;
        }
        waiting += 1;
        assert!(waiting < 10_000, "an unbounded queue");
    }
    let drafts = [draft(1, 9)];
    let mut append = Box::pin(log.append(&drafts, NOW));
    let waits = block_on(give_up_after(1, &mut append)).is_none();
    assert!(waits, "there was no room for a revocation");
    device.release();
    assert_eq!(block_on(append).unwrap().position(), 1);
    drop(held);
}

/// Four handles that are opened at the same time begin a new log once. Rejects handles that each
/// begin it, which loses the entries of the first one.
#[test]
fn concurrent_opens_begin_a_log_once() {
    for _ in 0..5 {
        let database = Device::default().database();
        let builder = Redb::over(Arc::clone(&database)).deadline(Duration::from_secs(60));
        // All of them find no log, and wait for this transaction.
        let busy = database.begin_write().unwrap();
        let found: Vec<_> = thread::scope(|scope| {
            let open = |name| {
                let log = builder.clone().build().unwrap().revocations();
                let appended = block_on(log.append(&[draft(name, 9)], NOW));
                appended.unwrap().incarnation()
            };
            let threads: Vec<_> = (0..4).map(|name| scope.spawn(move || open(name))).collect();
            thread::sleep(Duration::from_millis(20));
            busy.abort().unwrap();
            let found = threads.into_iter().map(|thread| thread.join().unwrap());
            found.collect()
        });
        let log = builder.build().unwrap().revocations();
        let page = block_on(log.read(0, 9, NOW)).unwrap();
        assert_eq!(found, [page.incarnation; 4]);
        assert_eq!(page.entries.len(), 4);
    }
}

/// One append removes a bounded number of expired entries.
#[test]
fn an_append_trims_a_bounded_number_of_entries() {
    let device = Device::default();
    let log = device.open().revocations();
    let many: Vec<_> = (0..1_000).map(|name| draft(name, 0)).collect();
    block_on(log.append(&many, NOW)).unwrap();
    let later = NOW.saturating_add(MARGIN.as_secs());
    let mut first = 1;
    for count in [1, 0, 10] {
        block_on(log.append(&many[..count], later)).unwrap();
        let page = block_on(log.read(0, 1, later)).unwrap();
        assert_eq!(page.first - first, 2 * count as u64 + 16);
        first = page.first;
    }
}

/// After its device has failed, a log is *unavailable*. Its acknowledged entries exist when it is
/// opened again. Rejects a log that reads entries from memory that are not on the device.
#[test]
fn a_log_on_a_failing_device_is_unavailable() {
    for fault in [Fault::Sync, Fault::Full] {
        let device = Device::default();
        let redb = device.open();
        let log = redb.revocations();
        let appended = block_on(log.append(&[draft(1, 9), draft(2, 9)], NOW)).unwrap();
        device.fail(fault);
        let large: Vec<_> = (0..9_000).map(|name| draft(name, 9)).collect();
        unavailable(&block_on(log.append(&large, NOW)));
        unavailable(&block_on(log.append(&[draft(3, 9)], NOW)));
        unavailable(&block_on(log.fence(NOW)));
        unavailable(&block_on(log.head(NOW)));
        unavailable(&block_on(log.read(1, 9, NOW)));
        unavailable(&block_on(redb.durability()));
        drop((redb, log));
        device.fail(None);
        let log = device.open().revocations();
        let head = block_on(log.head(NOW)).unwrap();
        assert_eq!(head.incarnation(), appended.incarnation());
        assert!(
            head == appended || head.position() >= 9_002,
            "{fault:?}: {head:?}"
        );
        let page = block_on(log.read(1, usize::MAX, NOW)).unwrap();
        assert_eq!(page.entries.len() as u64, head.position());
    }
}

/// A loss of power may keep any part of the unsynced data: all acknowledged entries exist.
#[test]
fn acknowledged_entries_survive_a_loss_of_power() {
    let mut random = Random::new(seed());
    for _ in 0..20 {
        let device = Device::default();
        let log = device.open().revocations();
        let mut last = block_on(log.head(NOW)).unwrap();
        for name in 0..random.below(20) as u64 {
            last = block_on(log.append(&[draft(name, 0), draft(name, 0)], NOW)).unwrap();
        }
        let later = NOW.saturating_add(MARGIN.as_secs() + random.below(2) as u64);
        last = block_on(log.append(&[draft(99, 9)], later)).unwrap_or(last);
        let left = device.after_power_loss(&mut random);
        let found = left.open().revocations();
        assert_eq!(block_on(found.head(NOW)).unwrap(), last);
        let page = block_on(found.read(0, 99, NOW)).unwrap();
        let before = block_on(log.read(0, 99, NOW)).unwrap();
        // Fences count from the opening of the file.
        assert_eq!(page, before.with_fences(page.fences));
    }
}

fn change(database: &Database, act: impl FnOnce(&redb::WriteTransaction)) {
    let transaction = database.begin_write().unwrap();
    act(&transaction);
    transaction.commit().unwrap();
}

/// A log with missing or unknown entries is *unavailable*: no entry is skipped. A table of another
/// kind is a misuse.
#[test]
fn a_damaged_log_is_unavailable() {
    let damages: [fn(&redb::WriteTransaction); 6] = [
        // The entry in the middle, the last entry, and the head are missing.
        |t| drop(t.open_table(ENTRIES).unwrap().remove(2).unwrap()),
        |t| drop(t.open_table(ENTRIES).unwrap().remove(3).unwrap()),
        |t| drop(t.open_table(HEAD).unwrap().remove(()).unwrap()),
        // A fact of a later version, and an entry that does not decode.
        |t| {
            let mut table = t.open_table(ENTRIES).unwrap();
            let found = table.get(3).unwrap().unwrap();
            let (nonce, fact, life, expires_at) = found.value();
            let (nonce, mut fact) = (*nonce, *fact);
            drop(found);
            fact[0] = 77;
            table.insert(3, (&nonce, &fact, life, expires_at)).unwrap();
        },
        |t| {
            let mut table = t.open_table(ENTRIES).unwrap();
            table.insert(2, (&[0; 16], &[0; 26], 0, 0)).unwrap();
        },
        |t| assert!(t.delete_table(ENTRIES).unwrap()),
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        let device = Device::default();
        let database = device.database();
        let open = || Redb::over(Arc::clone(&database)).build().unwrap();
        let redb = open();
        let log = redb.revocations();
        let drafts: Vec<_> = (0..3).map(|name| draft(name, 9)).collect();
        block_on(log.append(&drafts, NOW)).unwrap();
        change(&database, damage);
        unavailable(&block_on(log.read(0, 9, NOW)));
        if at == 0 {
            // The number of entries is right, their positions are not.
            unavailable(&block_on(log.read(1, 2, NOW)));
        }
        if at == 2 {
            unavailable(&block_on(log.head(NOW)));
            unavailable(&block_on(log.append(&drafts, NOW)));
            unavailable(&block_on(log.fence(NOW)));
            // Opening the database again begins an empty log.
            let other = open().revocations();
            assert_eq!(block_on(other.head(NOW)).unwrap().position(), 0);
            let appended = block_on(other.append(&drafts[..1], NOW)).unwrap();
            assert_eq!(appended.position(), 1);
            assert_eq!(block_on(other.read(0, 9, NOW)).unwrap().entries.len(), 1);
            let later = NOW.saturating_add(9 + MARGIN.as_secs());
            assert_eq!(block_on(other.append(&[], later)).unwrap(), appended);
            assert_eq!(block_on(other.read(0, 9, later)).unwrap().first, 2);
        }
        // The sessions keep working.
        let row = Sample::of("alice").at(NOW);
        let _ = block_on(redb.sessions().create(&row, Limit::Unlimited, NOW)).unwrap();
    }
    let database = Device::default().database();
    change(&database, |t| {
        let table: TableDefinition<'_, &str, u64> = TableDefinition::new("statewise.revocations");
        t.open_table(table).unwrap();
    });
    let opened = Redb::over(database).build();
    assert!(opened.is_err_and(|error| error.is_misuse()));
}

/// Environment variable with the path of the file, for the process that is killed.
const FILE: &str = "STATEWISE_TEST_REDB_LOG_FILE";
const ROUNDS: usize = 25;

/// The process to kill, not a test. Four threads append pairs, and print the acknowledged ones.
#[test]
fn the_process_that_is_killed() {
    let Some(file) = env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let log = Redb::open(file).build().unwrap().revocations();
    let print = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    print("open\n".to_owned());
    let begun = block_on(log.head(NOW)).unwrap().position();
    thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for turn in 0.. {
                    let name = (begun << 32) + (turn << 3) + 2 * thread;
                    let pair = [draft(name, 0), draft(name + 1, 0)];
                    let appended = block_on(log.append(&pair, NOW)).unwrap();
                    print(format!("\nappended {name} {}\n", appended.position()));
                }
            });
        }
    });
}

fn start(folder: &Folder) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "log::the_process_that_is_killed", "--nocapture"])
        .env(FILE, folder.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A process is killed at random moments, many times over one file: every acknowledged pair is in
/// the log, at its position, complete, and without a gap.
#[test]
fn acknowledged_entries_survive_a_kill() {
    let mut random = Random::new(seed());
    let folder = Folder::on_disk();
    let (mut acknowledged, mut incarnation) = (Vec::new(), None);
    for round in 0..ROUNDS {
        let mut child = start(&folder);
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(printed.by_ref().any(|line| line.unwrap() == "open"));
        let mut read = |line: String| {
            if let ["appended", name, position] = *line.split(' ').collect::<Vec<_>>() {
                acknowledged.push([name, position].map(|number| number.parse::<u64>().unwrap()));
            }
        };
        for _ in 0..random.below(60) {
            read(printed.next().unwrap().unwrap());
        }
        child.kill().unwrap();
        // The lines that it printed until it was killed.
        printed.map_while(Result::ok).for_each(&mut read);
        child.wait().unwrap();
        let log = Redb::open(folder.file()).build().unwrap().revocations();
        let page = block_on(log.read(1, usize::MAX, NOW)).unwrap();
        let head = block_on(log.head(NOW)).unwrap();
        assert_eq!(
            *incarnation.get_or_insert(page.incarnation),
            page.incarnation
        );
        assert_eq!(
            (page.first, page.entries.len() as u64),
            (1, head.position())
        );
        for (position, entry) in (1..).zip(&page.entries) {
            assert_eq!(entry.position, position);
            assert_eq!(name(entry.nonce) % 2, (position + 1) % 2, "round {round}");
        }
        for [name_of_first, position] in &acknowledged {
            let entry = &page.entries[*position as usize - 1];
            assert_eq!(
                name(entry.nonce),
                name_of_first + 1,
                "round {round}: a pair was lost"
            );
        }
    }
    println!("{} appends after {ROUNDS} kills", acknowledged.len());
    assert!(acknowledged.len() > 100);
}
