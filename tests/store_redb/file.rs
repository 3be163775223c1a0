//! Files that are full, closed to us, damaged, or nothing of ours.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{Created, Load, Page, Record, SessionStore as _};
use statewise::store::{Durability, RedbStore, Survives};
use statewise::testkit::{Random, Sample, block_on, seed};

use super::folder::Folder;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);

fn fill(store: &RedbStore, count: usize) -> Vec<Record> {
    let rows: Vec<_> = (0..count)
        .map(|at| Sample::of(format!("user {at}")).data(vec![7; 200]).at(NOW))
        .collect();
    for row in &rows {
        let created = block_on(store.create(row, Limit::Unlimited, NOW));
        assert!(matches!(created, Ok(Created::Stored { .. })), "{created:?}");
    }
    rows
}

fn load(store: &RedbStore, row: &Record) -> statewise::Result<Option<Record>> {
    block_on(store.load(row.handle(), Load::new(), NOW))
}

#[test]
fn says_what_survives() {
    let folder = Folder::in_memory();
    let store = RedbStore::open(folder.file()).unwrap();
    let durability = block_on(store.durability()).unwrap();
    assert_eq!(
        durability,
        Durability::new(Survives::All, Survives::Unknown)
    );
    block_on(store.require_durable()).unwrap();
}

/// A file of users' business is for its owner alone.
#[test]
fn the_file_is_the_owners_alone() {
    let folder = Folder::in_memory();
    drop(RedbStore::open(folder.file()).unwrap());
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_opened_is_a_misuse() {
    let folder = Folder::in_memory();
    let missing = RedbStore::open(folder.file().join("no/such/folder")).unwrap_err();
    assert!(missing.is_misuse(), "{missing}");
    let directory = RedbStore::open(folder.file().parent().unwrap()).unwrap_err();
    assert!(directory.is_misuse(), "{directory}");
    for name in ["", "a b", "a\0", "é", &"x".repeat(65)] {
        let refused = RedbStore::builder()
            .name(name)
            .open(folder.file())
            .unwrap_err();
        assert!(refused.is_misuse(), "{name}");
    }
    assert!(!folder.file().exists(), "a refused name made a file");

    let database = redb::Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    let other = redb::TableDefinition::<u64, u64>::new("statewise.sessions");
    drop(transaction.open_table(other).unwrap());
    transaction.commit().unwrap();
    drop(database);
    let taken = RedbStore::open(folder.file()).unwrap_err();
    assert!(taken.is_misuse(), "{taken}");
    drop(
        RedbStore::builder()
            .name("other")
            .open(folder.file())
            .unwrap(),
    );
}

/// A file that may only be read is refused when it is opened, not at the first logout.
#[test]
fn a_file_that_may_only_be_read_is_refused() {
    let folder = Folder::in_memory();
    drop(RedbStore::open(folder.file()).unwrap());
    fs::set_permissions(folder.file(), Permissions::from_mode(0o400)).unwrap();
    if OpenOptions::new().write(true).open(folder.file()).is_ok() {
        // The superuser may write to any file, but not to a file system that takes no writes.
        let Some(disk) = Mounted::new("size=4m") else {
            return;
        };
        let file = disk.0.join("sessions.redb");
        drop(RedbStore::open(&file).unwrap());
        assert!(disk.remount("ro"));
        let refused = RedbStore::open(&file).unwrap_err();
        assert!(
            refused.is_misuse() && refused.to_string().contains("permissions"),
            "{refused}"
        );
        println!("{refused}");
        return;
    }
    let refused = RedbStore::open(folder.file()).unwrap_err();
    assert!(refused.is_misuse(), "{refused}");
}

/// A small file system of its own, for as long as it lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, and says so, where that is not allowed.
    fn new(options: &str) -> Option<Self> {
        let name = format!(
            "statewise-mount-{}-{}",
            std::process::id(),
            options.replace('=', "-")
        );
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&folder)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        let _ = fs::remove_dir(&folder);
        println!("skipped: no file system can be mounted here (it takes a superuser)");
        assert!(
            env::var_os("STATEWISE_REQUIRE_SERVERS").is_none(),
            "a file system must be mounted"
        );
        None
    }

    fn remount(&self, options: &str) -> bool {
        let option = format!("remount,{options}");
        let mounted = Command::new("mount")
            .args(["-o", &option])
            .arg(&self.0)
            .status();
        mounted.is_ok_and(|status| status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

/// A full disk: what does not fit is unavailable, what was acknowledged is there and can be read,
/// and when there is room again, the store goes on by itself. Rejects a store that loses, that
/// lies, or that has to be restarted.
#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(disk) = Mounted::new("size=6m") else {
        return;
    };
    let file = disk.0.join("sessions.redb");
    let store = RedbStore::open(&file).unwrap();
    let mut kept = fill(&store, 50);
    let ended = kept.pop().unwrap();
    assert_eq!(
        block_on(store.remove(ended.handle(), ended.subject(), NOW))
            .unwrap()
            .count,
        1
    );
    let ballast = disk.0.join("ballast");
    let mut room = fs::File::create(&ballast).unwrap();
    while room.write_all(&[1; 4096]).is_ok() {}
    let refused = loop {
        let row = Sample::of("alice").data(vec![9; 100_000]).at(NOW);
        match block_on(store.create(&row, Limit::Unlimited, NOW)) {
            Ok(_) => kept.push(row),
            Err(error) => break error,
        }
    };
    println!("after {} creates: {refused:?}", kept.len());
    assert!(refused.is_unavailable() && refused.retry_after().is_some());
    assert!(refused.to_string().contains("no room"), "{refused}");
    // Read as soon as the file is open again, and until it is opened once more.
    let all_there = || {
        let found = kept.iter().map(|row| load(&store, row));
        let found: statewise::Result<Vec<_>> = found.collect();
        found.map(|found| found.iter().all(Option::is_some))
    };
    let (mut there, mut back) = (None, None);
    wait_for("lookups on a full disk", || {
        there = there.or(all_there().ok());
        back = back.or(load(&store, &ended).ok().map(|row| row.is_some()));
        there.is_some() && back.is_some()
    });
    assert_eq!(there, Some(true), "lost");
    assert_eq!(back, Some(false), "came back");
    // Still full: still unavailable, and nothing is broken by trying.
    for _ in 0..3 {
        let row = Sample::of("alice").data(vec![9; 1_000_000]).at(NOW);
        let refused = block_on(store.create(&row, Limit::Unlimited, NOW));
        assert!(refused.is_err_and(|error| error.is_unavailable()));
    }
    drop(room);
    fs::remove_file(ballast).unwrap();
    let row = Sample::of("alice").data(vec![9; 100_000]).at(NOW);
    wait_for("room", || {
        block_on(store.create(&row, Limit::Unlimited, NOW)).is_ok()
    });
    assert!(all_there().unwrap() && load(&store, &ended).unwrap().is_none());
    drop(store);
    let store = RedbStore::open(&file).unwrap();
    assert!(load(&store, &row).unwrap().is_some());
    assert!(kept.iter().all(|row| load(&store, row).unwrap().is_some()));
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{what}: never came"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// A damaged file is told when it is opened, whatever the damage, and is left as it is. Where it
/// is opened unchecked, damage is an outage and no panic. Rejects a store that serves what it
/// cannot trust, and one that clears up by deleting.
#[test]
fn damage_is_told() {
    let folder = Folder::in_memory();
    let store = RedbStore::open(folder.file()).unwrap();
    let rows = fill(&store, 300);
    drop(store);
    let whole = fs::read(folder.file()).unwrap();
    let mut random = Random::new(seed());
    println!("seed {}, {} bytes", seed(), whole.len());
    let used: Vec<_> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let (mut told, mut harmless, mut outages, mut answers) = (0, 0, 0, 0);
    for round in 0..120 {
        let mut damaged = whole.clone();
        let kind = round % 6;
        match kind {
            0 => damaged.truncate(1 + random.below(whole.len() - 1)),
            1 => damaged[..64].fill(0xa5),
            2 => damaged[random.below(320)] ^= 1 << random.below(8),
            _ => {
                for _ in 0..1 + random.below(4) {
                    damaged[used[random.below(used.len())]] ^= 1 << random.below(8);
                }
            }
        }
        fs::write(folder.file(), &damaged).unwrap();
        let opened = catch_unwind(|| RedbStore::open(folder.file()));
        match opened.expect("no panic comes out") {
            Err(error) => {
                told += 1;
                assert!(error.is_unavailable() || error.is_misuse(), "{error:?}");
                assert!(folder.file().exists(), "a damaged file was deleted");
                if kind > 0 {
                    let length = fs::metadata(folder.file()).unwrap().len();
                    assert!(length >= damaged.len() as u64, "a damaged file was cut");
                }
            }
            Ok(store) => {
                // In a page that is not in use, or mended by what the file has twice.
                harmless += 1;
                for row in &rows {
                    let found = load(&store, row).unwrap();
                    assert!(found.is_some_and(|found| found.encode() == row.encode()));
                }
            }
        }
        fs::write(folder.file(), &damaged).unwrap();
        let unchecked = || {
            let store = RedbStore::builder().check(false).open(folder.file())?;
            for row in &rows {
                match load(&store, row) {
                    Ok(_) => answers += 1,
                    Err(error) => {
                        outages += 1;
                        assert!(error.is_unavailable() || error.is_rejected(), "{error:?}");
                    }
                }
            }
            for row in &rows[..5] {
                let _ = block_on(store.list(row.subject(), Page::first(3), NOW));
                let _ = block_on(store.remove(row.handle(), row.subject(), NOW));
            }
            let _ = block_on(store.create(&rows[0], Limit::Reject(3), NOW));
            let _ = block_on(store.sweep(100, NOW));
            drop(store);
            Ok::<(), statewise::Error>(())
        };
        let _ = catch_unwind(AssertUnwindSafe(unchecked)).expect("no panic comes out");
    }
    println!("{told} told, {harmless} harmless; unchecked: {answers} answers, {outages} outages");
    assert!(told > 60);
    for foreign in [&b"not a database"[..], &[0; 100_000], &[0xff; 4096]] {
        fs::write(folder.file(), foreign).unwrap();
        let error = RedbStore::open(folder.file()).unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        assert!(error.to_string().contains("damaged"), "{error}");
        assert!(
            fs::read(folder.file()).unwrap().starts_with(foreign),
            "written over"
        );
    }
}
