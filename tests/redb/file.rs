//! Files that are full, damaged, of another kind, or not accessible.

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
use statewise::store::{Durability, Redb, RedbStore, Survives};
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
fn everything_survives_a_crash() {
    let folder = Folder::in_memory();
    let redb = Redb::open(folder.file()).build().unwrap();
    let durability = block_on(redb.durability()).unwrap();
    assert_eq!(
        durability,
        Durability::new(Survives::All, Survives::Unknown)
    );
    block_on(redb.require_durable()).unwrap();
}

/// Rejects a file of user data that other accounts of the machine can read.
#[test]
fn only_its_owner_may_access_the_file() {
    let folder = Folder::in_memory();
    drop(Redb::open(folder.file()).build().unwrap());
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn wrong_paths_prefixes_and_tables_are_a_misuse() {
    let folder = Folder::in_memory();
    let file = folder.file();
    let missing = Redb::open(file.join("no/such/folder")).build().unwrap_err();
    assert!(missing.is_misuse(), "{missing}");
    let directory = Redb::open(file.parent().unwrap()).build().unwrap_err();
    assert!(directory.is_misuse(), "{directory}");
    for prefix in ["", "a b", "a\0", "é", &"x".repeat(65)] {
        let error = Redb::open(&file).prefix(prefix).build().unwrap_err();
        assert!(error.is_misuse(), "{prefix}");
    }
    assert!(!file.exists(), "a wrong prefix created a file");

    let database = redb::Database::create(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let other = redb::TableDefinition::<u64, u64>::new("statewise.sessions");
    drop(transaction.open_table(other).unwrap());
    transaction.commit().unwrap();
    drop(database);
    let taken = Redb::open(&file).build().unwrap_err();
    assert!(taken.is_misuse(), "{taken}");
    drop(Redb::open(&file).prefix("other").build().unwrap());
}

/// A file without write permission is refused when it is opened, not at the first logout.
#[test]
fn a_read_only_file_is_refused() {
    let folder = Folder::in_memory();
    drop(Redb::open(folder.file()).build().unwrap());
    fs::set_permissions(folder.file(), Permissions::from_mode(0o400)).unwrap();
    if OpenOptions::new().write(true).open(folder.file()).is_ok() {
        // The superuser may write to any file, except on a read-only file system.
        let Some(disk) = Mounted::new("size=4m") else {
            return;
        };
        let file = disk.0.join("sessions.redb");
        drop(Redb::open(&file).build().unwrap());
        assert!(disk.remount("ro"));
        let error = Redb::open(&file).build().unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("permissions"),
            "{error}"
        );
        println!("{error}");
        return;
    }
    let error = Redb::open(folder.file()).build().unwrap_err();
    assert!(error.is_misuse(), "{error}");
}

/// A small file system in memory, unmounted when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts the file system. Where mounting is not allowed, prints so and returns `None`.
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
        println!("skipped: only the superuser can mount a file system");
        assert!(
            env::var_os("STATEWISE_REQUIRE_SERVERS").is_none(),
            "STATEWISE_REQUIRE_SERVERS is set, but no file system can be mounted: run as root"
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

/// On a full disk, a change is *unavailable*, and acknowledged rows exist and can be read. When
/// there is room again, the store recovers without a restart. Rejects a store that loses a row,
/// acknowledges a change without room for it, or has to be restarted.
#[test]
fn a_full_disk_loses_nothing_and_the_store_recovers() {
    let Some(disk) = Mounted::new("size=6m") else {
        return;
    };
    let file = disk.0.join("sessions.redb");
    let store = Redb::open(&file).build().unwrap().sessions();
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
    let error = loop {
        let row = Sample::of("alice").data(vec![9; 100_000]).at(NOW);
        match block_on(store.create(&row, Limit::Unlimited, NOW)) {
            Ok(_) => kept.push(row),
            Err(error) => break error,
        }
    };
    println!("after {} creates: {error:?}", kept.len());
    assert!(error.is_unavailable() && error.retry_after().is_some());
    assert!(error.to_string().contains("no room"), "{error}");
    // Lookups fail only while the file is being opened again.
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
    assert_eq!(there, Some(true), "a row was lost");
    assert_eq!(back, Some(false), "a removed row exists");
    // The disk is still full: further changes are unavailable, and do no harm.
    for _ in 0..3 {
        let row = Sample::of("alice").data(vec![9; 1_000_000]).at(NOW);
        let created = block_on(store.create(&row, Limit::Unlimited, NOW));
        assert!(created.is_err_and(|error| error.is_unavailable()));
    }
    drop(room);
    fs::remove_file(ballast).unwrap();
    let row = Sample::of("alice").data(vec![9; 100_000]).at(NOW);
    wait_for("room", || {
        block_on(store.create(&row, Limit::Unlimited, NOW)).is_ok()
    });
    assert!(all_there().unwrap() && load(&store, &ended).unwrap().is_none());
    drop(store);
    let store = Redb::open(&file).build().unwrap().sessions();
    assert!(load(&store, &row).unwrap().is_some());
    assert!(kept.iter().all(|row| load(&store, row).unwrap().is_some()));
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "waited too long for {what}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// Any damage is found when the file is opened, and the file is left as it is. In a file that is
/// opened without the check, damage is an outage and no panic. Rejects a store that serves damaged
/// rows, and one that deletes a damaged file.
#[test]
fn damage_is_found() {
    let folder = Folder::in_memory();
    let store = Redb::open(folder.file()).build().unwrap().sessions();
    let rows = fill(&store, 300);
    drop(store);
    let whole = fs::read(folder.file()).unwrap();
    let mut random = Random::new(seed());
    println!("seed {}, {} bytes", seed(), whole.len());
    let used: Vec<_> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let (mut found, mut harmless, mut outages, mut answers) = (0, 0, 0, 0);
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
        let opened = catch_unwind(|| Redb::open(folder.file()).build());
        match opened.expect("no panic") {
            Err(error) => {
                found += 1;
                assert!(error.is_unavailable() || error.is_misuse(), "{error:?}");
                assert!(folder.file().exists(), "a damaged file was deleted");
                if kind > 0 {
                    let length = fs::metadata(folder.file()).unwrap().len();
                    assert!(length >= damaged.len() as u64, "a damaged file was cut");
                }
            }
            Ok(redb) => {
                // The damaged page is not in use, or redb has repaired it from a second copy.
                let store = redb.sessions();
                harmless += 1;
                for row in &rows {
                    let loaded = load(&store, row).unwrap();
                    assert!(loaded.is_some_and(|loaded| loaded.encode() == row.encode()));
                }
            }
        }
        fs::write(folder.file(), &damaged).unwrap();
        let unchecked = || {
            let redb = Redb::open(folder.file()).check(false).build()?;
            let store = redb.sessions();
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
            drop((redb, store));
            Ok::<(), statewise::Error>(())
        };
        let _ = catch_unwind(AssertUnwindSafe(unchecked)).expect("no panic");
    }
    println!("{found} found, {harmless} harmless; unchecked: {answers} answers, {outages} outages");
    assert!(found > 60);
    for foreign in [&b"not a database"[..], &[0; 100_000], &[0xff; 4096]] {
        fs::write(folder.file(), foreign).unwrap();
        let error = Redb::open(folder.file()).build().unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        assert!(error.to_string().contains("damaged"), "{error}");
        assert!(
            fs::read(folder.file()).unwrap().starts_with(foreign),
            "a foreign file was overwritten"
        );
    }
}
