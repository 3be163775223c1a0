//! The revocation log beside the sessions: its laws, and what a file and a device can do to it.

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
use statewise::store::contract::SessionStore as _;
use statewise::store::contract::Stamp;
use statewise::store::{RedbStore, Survives};
use statewise::testkit::{
    LogFixture, Random, Sample, block_on, give_up_after, interleave, seed, yield_now,
};

use super::device::{Device, Fault};
use super::folder::Folder;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const ENTRIES: TableDefinition<'_, u64, &[u8; 58]> = TableDefinition::new("statewise.revocations");
const OWN: TableDefinition<'_, (), &[u8; 40]> = TableDefinition::new("statewise.revocation_log");

/// Handles on one log, which share the thread that writes.
struct Fixture;

impl LogFixture for Fixture {
    type Log = RedbLog;

    async fn open(&self) -> RedbLog {
        let folder = Folder::in_memory();
        RedbStore::open(folder.file())
            .and_then(|store| store.log())
            .expect("a fresh file is opened")
    }

    async fn again(&self, log: &RedbLog) -> RedbLog {
        log.clone()
    }

    async fn advance(&self, _: &RedbLog, _: Duration) {}
}

mod laws {
    statewise::testkit::revocation_log_laws!(super::Fixture);
}

/// A log of a store of its own, in a database that several share.
#[derive(Debug)]
struct Shared {
    log: RedbLog,
    database: Arc<Database>,
}

impl Shared {
    fn of(database: Arc<Database>) -> Self {
        let builder = RedbStore::builder().deadline(Duration::from_secs(60));
        let store = builder.open_in(Arc::clone(&database)).unwrap();
        let log = store.log().unwrap();
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

/// The log is found again in its file, at the same place of the same incarnation, whichever of
/// store and log was dropped first; another file is another log.
#[test]
fn a_log_is_found_again() {
    let folder = Folder::in_memory();
    let mut written = 0;
    let mut incarnation = None;
    for round in 0..3 {
        let store = RedbStore::open(folder.file()).unwrap();
        let log = store.log().unwrap();
        if round % 2 == 0 {
            drop(store);
        }
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
        block_on(log.require_durable()).unwrap();
        assert_eq!(block_on(log.durability()).unwrap().crash, Survives::All);
    }
    let other = Folder::in_memory();
    let log = RedbStore::open(other.file())
        .and_then(|store| store.log())
        .unwrap();
    assert_ne!(
        Some(block_on(log.head(NOW)).unwrap().incarnation()),
        incarnation
    );
}

/// Appends that come together, and the end of logins, are one transaction; a lonely fence is one
/// too, and a read is none.
#[test]
fn shares_transactions_with_the_sessions() {
    let device = Device::default();
    let store = Arc::new(device.open());
    let log = store.log().unwrap();
    let row = Sample::of("alice").at(NOW);
    let _ = block_on(store.create(&row, Limit::Unlimited, NOW)).unwrap();
    let held = device.hold();
    let before = store.commits();
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
        // All the others wait by now.
        for _ in 0..2_000 {
            yield_now().await;
        }
        device.release();
    }));
    block_on(interleave(seed(), futures));
    drop(held);
    assert_eq!(first.join().unwrap().position(), 1);
    assert_eq!(store.commits() - before, 2);
    assert_eq!(block_on(log.head(NOW)).unwrap().position(), 51);

    let (commits, syncs) = (store.commits(), device.syncs());
    block_on(log.read(1, 99, NOW)).unwrap();
    block_on(log.append(&[], NOW)).unwrap();
    assert_eq!((store.commits(), device.syncs()), (commits, syncs));
    block_on(log.fence(NOW)).unwrap();
    assert_eq!(store.commits(), commits + 1);
    assert!(
        device.syncs() > syncs,
        "a fence that does not reach the device"
    );
}

/// A rush of logins that keeps the device busy leaves room for what revokes them.
#[test]
fn a_rush_of_logins_leaves_room() {
    let device = Device::default();
    let store = device.open();
    let log = store.log().unwrap();
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
    assert!(waits, "a revocation found no room");
    device.release();
    assert_eq!(block_on(append).unwrap().position(), 1);
    drop(held);
}

/// However many open a log that is not there yet at the same time, it begins once. Rejects one
/// that is begun by each of them, when what the first has written is lost.
#[test]
fn begins_once_however_many_open_it() {
    for _ in 0..5 {
        let database = Device::default().database();
        let store = RedbStore::builder().deadline(Duration::from_secs(60));
        let store = store.open_in(Arc::clone(&database)).unwrap();
        // All find that it is not there, and wait for their turn to write.
        let busy = database.begin_write().unwrap();
        let found: Vec<_> = thread::scope(|scope| {
            let open = |name| {
                let log = store.log().unwrap();
                let appended = block_on(log.append(&[draft(name, 9)], NOW));
                appended.unwrap().incarnation()
            };
            let threads: Vec<_> = (0..4).map(|name| scope.spawn(move || open(name))).collect();
            thread::sleep(Duration::from_millis(20));
            busy.abort().unwrap();
            let found = threads.into_iter().map(|thread| thread.join().unwrap());
            found.collect()
        });
        let log = store.log().unwrap();
        let page = block_on(log.read(0, 9, NOW)).unwrap();
        assert_eq!(found, [page.incarnation; 4]);
        assert_eq!(page.entries.len(), 4);
    }
}

/// One append takes away a bounded number of entries.
#[test]
fn trims_a_little_at_a_time() {
    let device = Device::default();
    let log = device.open().log().unwrap();
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

/// A log whose device fails is *unavailable*, and what it had acknowledged is there when it is
/// opened anew. Rejects a log that answers from memory what is not on the device.
#[test]
fn a_device_that_fails() {
    for fault in [Fault::Sync, Fault::Full] {
        let device = Device::default();
        let log = device.open().log().unwrap();
        let appended = block_on(log.append(&[draft(1, 9), draft(2, 9)], NOW)).unwrap();
        device.fail(fault);
        let large: Vec<_> = (0..9_000).map(|name| draft(name, 9)).collect();
        unavailable(&block_on(log.append(&large, NOW)));
        unavailable(&block_on(log.append(&[draft(3, 9)], NOW)));
        unavailable(&block_on(log.fence(NOW)));
        unavailable(&block_on(log.head(NOW)));
        unavailable(&block_on(log.read(1, 9, NOW)));
        unavailable(&block_on(log.durability()));
        drop(log);
        device.fail(None);
        let log = device.open().log().unwrap();
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

/// Whatever a loss of power leaves of what was not synced, everything acknowledged is there.
#[test]
fn a_loss_of_power() {
    let mut random = Random::new(seed());
    for _ in 0..20 {
        let device = Device::default();
        let log = device.open().log().unwrap();
        let mut last = block_on(log.head(NOW)).unwrap();
        for name in 0..random.below(20) as u64 {
            last = block_on(log.append(&[draft(name, 0), draft(name, 0)], NOW)).unwrap();
        }
        let later = NOW.saturating_add(MARGIN.as_secs() + random.below(2) as u64);
        last = block_on(log.append(&[draft(99, 9)], later)).unwrap_or(last);
        let left = device.after_power_loss(&mut random);
        let found = left.open().log().unwrap();
        assert_eq!(block_on(found.head(NOW)).unwrap(), last);
        let page = block_on(found.read(0, 99, NOW)).unwrap();
        assert_eq!(page, block_on(log.read(0, 99, NOW)).unwrap());
    }
}

fn change(database: &Database, act: impl FnOnce(&redb::WriteTransaction)) {
    let transaction = database.begin_write().unwrap();
    act(&transaction);
    transaction.commit().unwrap();
}

/// What somebody damaged is *unavailable*, and never passed over; a table of another kind is
/// refused at once.
#[test]
fn what_is_damaged_is_not_passed_over() {
    let damages: [fn(&redb::WriteTransaction); 6] = [
        // The one in the middle, the last, and all of the numbers.
        |t| drop(t.open_table(ENTRIES).unwrap().remove(2).unwrap()),
        |t| drop(t.open_table(ENTRIES).unwrap().remove(3).unwrap()),
        |t| drop(t.open_table(OWN).unwrap().remove(()).unwrap()),
        // A fact of a later version, and of none.
        |t| {
            let mut table = t.open_table(ENTRIES).unwrap();
            let mut entry = *table.get(3).unwrap().unwrap().value();
            entry[16] = 77;
            table.insert(3, &entry).unwrap();
        },
        |t| drop(t.open_table(ENTRIES).unwrap().insert(2, &[0; 58]).unwrap()),
        |t| assert!(t.delete_table(ENTRIES).unwrap()),
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        let device = Device::default();
        let database = device.database();
        let store = RedbStore::builder().open_in(Arc::clone(&database)).unwrap();
        let log = store.log().unwrap();
        let drafts: Vec<_> = (0..3).map(|name| draft(name, 9)).collect();
        block_on(log.append(&drafts, NOW)).unwrap();
        change(&database, damage);
        unavailable(&block_on(log.read(0, 9, NOW)));
        if at == 0 {
            // As many as were asked for, and not those.
            unavailable(&block_on(log.read(1, 2, NOW)));
        }
        if at == 2 {
            unavailable(&block_on(log.head(NOW)));
            unavailable(&block_on(log.append(&drafts, NOW)));
            unavailable(&block_on(log.fence(NOW)));
            // Opened anew it is another log, with nothing in it.
            let other = store.log().unwrap();
            assert_eq!(block_on(other.head(NOW)).unwrap().position(), 0);
            let appended = block_on(other.append(&drafts[..1], NOW)).unwrap();
            assert_eq!(appended.position(), 1);
            assert_eq!(block_on(other.read(0, 9, NOW)).unwrap().entries.len(), 1);
            let later = NOW.saturating_add(9 + MARGIN.as_secs());
            assert_eq!(block_on(other.append(&[], later)).unwrap(), appended);
            assert_eq!(block_on(other.read(0, 9, later)).unwrap().first, 2);
        }
        // The sessions go on.
        let row = Sample::of("alice").at(NOW);
        let _ = block_on(store.create(&row, Limit::Unlimited, NOW)).unwrap();
    }
    let database = Device::default().database();
    change(&database, |t| {
        let table: TableDefinition<'_, &str, u64> = TableDefinition::new("statewise.revocations");
        t.open_table(table).unwrap();
    });
    let store = RedbStore::builder().open_in(database).unwrap();
    assert!(store.log().is_err_and(|error| error.is_misuse()));
}

/// Names the file, in the process that is to be killed.
const FILE: &str = "STATEWISE_TEST_REDB_LOG_FILE";
const ROUNDS: usize = 25;

/// Not a test of its own: the process that is killed. Appends pairs, on four threads, and says
/// which were acknowledged.
#[test]
fn the_process_that_is_killed() {
    let Some(file) = env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let log = RedbStore::open(file).and_then(|store| store.log()).unwrap();
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    say("open\n".to_owned());
    let begun = block_on(log.head(NOW)).unwrap().position();
    thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for turn in 0.. {
                    let name = (begun << 32) + (turn << 3) + 2 * thread;
                    let pair = [draft(name, 0), draft(name + 1, 0)];
                    let appended = block_on(log.append(&pair, NOW)).unwrap();
                    say(format!("\nappended {name} {}\n", appended.position()));
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

/// A process is killed at whatever moment, again and again over one file: all that it said was
/// appended is there, at its place, in pairs, without a gap.
#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let mut random = Random::new(seed());
    let folder = Folder::on_disk();
    let (mut acknowledged, mut incarnation) = (Vec::new(), None);
    for round in 0..ROUNDS {
        let mut child = start(&folder);
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.by_ref().any(|line| line.unwrap() == "open"));
        let mut hear = |line: String| {
            if let ["appended", name, place] = *line.split(' ').collect::<Vec<_>>() {
                acknowledged.push([name, place].map(|number| number.parse::<u64>().unwrap()));
            }
        };
        for _ in 0..random.below(60) {
            hear(said.next().unwrap().unwrap());
        }
        child.kill().unwrap();
        // What it said before it died counts as well.
        said.map_while(Result::ok).for_each(&mut hear);
        child.wait().unwrap();
        let log = RedbStore::open(folder.file())
            .and_then(|store| store.log())
            .unwrap();
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
        for (place, entry) in (1..).zip(&page.entries) {
            assert_eq!(entry.position, place);
            assert_eq!(name(entry.nonce) % 2, (place + 1) % 2, "round {round}");
        }
        for [name_of_first, place] in &acknowledged {
            let entry = &page.entries[*place as usize - 1];
            assert_eq!(name(entry.nonce), name_of_first + 1, "round {round}: lost");
        }
    }
    println!("{} appends after {ROUNDS} kills", acknowledged.len());
    assert!(acknowledged.len() > 100);
}
