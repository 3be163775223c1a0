//! A file that cannot be written, and a full disk.

use std::process::Command;

use statewise::session::Limit;
use statewise::store::Sqlite;
use statewise::store::contract::{Created, Load, Rotated, Scope, SessionStore, Updated};
use statewise::testkit::Sample;

use super::cases::{count, get, is_unavailable, later, now, put};
use super::file::{Folder, database, options, pool, store};
use super::runtime::block_on;

/// A folder on a separate disk of half a mebibyte.
struct SmallDisk(Folder);

impl SmallDisk {
    /// `None`, after printing the reason, without root rights.
    fn mount() -> Option<Self> {
        let folder = Folder::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "statewise"]);
        let mounted = mount.arg(folder.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a small disk cannot be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_read_only_file_finds_live_sessions() {
    block_on(async {
        let folder = Folder::new();
        let writing = store(pool(options(&folder.file()), 1).await).await;
        let row = Sample::of("alice").idle(100).data(b"0").at(now());
        put(&writing, &row).await;
        // Opened without options: a read-only connection could not set them again.
        let reading = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.file())
            .read_only(true);
        let reading = database(pool(reading, 2).await).sessions();
        let handle = row.handle();
        assert!(get(&reading, &row).await.is_some());
        assert_eq!(count(&reading, "alice").await, 1);
        let fresh = Sample::of("alice").at(now());
        for limit in [Limit::Unlimited, Limit::Reject(5), Limit::EvictOldest(1)] {
            assert!(is_unavailable(&reading.create(&fresh, limit, now()).await));
        }
        let rotation = Sample::rotation_of(&row);
        assert!(is_unavailable(
            &reading.rotate(handle, &rotation, now()).await
        ));
        let change = Sample::update(b"1");
        assert!(is_unavailable(
            &reading.update(handle, 0, &change, now()).await
        ));
        assert!(is_unavailable(
            &reading.remove(handle, "alice", now()).await
        ));
        let all = reading.remove_subject("alice", Scope::all(), now()).await;
        assert!(is_unavailable(&all));
        assert!(is_unavailable(
            &reading.touch(&[(handle, later(9))], later(9)).await
        ));
        assert!(is_unavailable(&reading.confirm(handle, 0, now()).await));
        // The lookup finds an expired row that it cannot remove: it rejects the caller but does not
        // report the row as absent.
        let over = reading.load(handle, Load::new(), later(100)).await;
        assert!(is_unavailable(&over));
        assert_eq!(get(&writing, &row).await.unwrap().encode(), row.encode());
        assert_eq!(count(&writing, "alice").await, 1);
    });
}

/// Rejects a check that passes where no write succeeds.
#[test]
fn a_database_without_writes_is_named() {
    block_on(async {
        let folder = Folder::new();
        let writing = pool(options(&folder.file()), 1).await;
        let misuse = |answer: statewise::Result<()>, named: &str| {
            let error = answer.expect_err("it accepts no writes");
            assert!(
                error.is_misuse() && error.to_string().contains(named),
                "{error:?}"
            );
        };
        misuse(database(writing.clone()).check().await, "call `migrate`");
        database(writing.clone()).migrate().await.unwrap();
        database(writing).check().await.unwrap();
        let read_only = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.file())
            .read_only(true);
        let query_only = options(&folder.file()).pragma("query_only", "1");
        let read_only = database(pool(read_only, 1).await);
        misuse(read_only.check().await, "`query_only`");
        read_only.migrate().await.unwrap();
        let query_only = pool(query_only, 1).await;
        misuse(database(query_only.clone()).check().await, "`query_only`");
        let other = Sqlite::over(query_only).table("other").build().unwrap();
        misuse(other.migrate().await, "`query_only`");
        let fresh = Folder::new();
        let exclusive = options(&fresh.file()).pragma("locking_mode", "EXCLUSIVE");
        misuse(
            database(pool(exclusive, 1).await).check().await,
            "`locking_mode`",
        );
    });
}

/// Fills a store until it reports that it is full, and then calls everything. With a limit, a login
/// is several statements, and any of them may fail.
async fn fill(store: &statewise::store::SqliteStore, limit: Limit) {
    let mut kept = Vec::new();
    loop {
        let name = format!("user {}", kept.len());
        let row = Sample::of(name).idle(1_000).data(vec![7; 2_000]).at(now());
        match store.create(&row, limit, now()).await {
            Ok(Created::Stored { .. }) => kept.push(row),
            Err(error) if error.is_unavailable() => break,
            created => panic!("{created:?}"),
        }
        assert!(kept.len() < 10_000, "it is never full");
    }
    assert!(kept.len() > 5);
    for row in &kept {
        let found = get(store, row).await.expect("an acknowledged login");
        assert_eq!(found.encode(), row.encode());
        assert_eq!(count(store, row.subject()).await, 1);
    }
    // Acknowledged changes are present; failed ones left everything as it was.
    let mut failed = 0;
    for row in &kept {
        let rotation = Sample::rotation_of(row);
        let rotated = store.rotate(row.handle(), &rotation, now()).await;
        let found = get(store, row).await.unwrap();
        match rotated {
            Ok(Rotated::Done(next)) => assert_eq!(found.encode(), next.encode()),
            rotated => {
                assert!(is_unavailable(&rotated), "{rotated:?}");
                assert_eq!(found.encode(), row.encode());
                failed += 1;
            }
        }
        let change = Sample::update(vec![8; 3_000]);
        let before = found;
        let updated = store.update(row.handle(), 0, &change, now()).await;
        let found = get(store, row).await.unwrap();
        match updated {
            Ok(Updated::Done { record: next, .. }) => assert_eq!(found.encode(), next.encode()),
            updated => {
                assert!(is_unavailable(&updated), "{updated:?}");
                assert_eq!(found.encode(), before.encode());
                failed += 1;
            }
        }
    }
    assert!(failed > 0, "it was not full");
}

#[test]
fn a_full_database_loses_nothing() {
    block_on(async {
        for limit in [Limit::Unlimited, Limit::EvictOldest(3)] {
            let folder = Folder::new();
            let pool = pool(options(&folder.file()).pragma("max_page_count", "60"), 2).await;
            let store = store(pool).await;
            fill(&store, limit).await;
            // A removal frees pages.
            for user in 0..8 {
                let name = format!("user {user}");
                let removed = store
                    .remove_subject(&name, Scope::all(), now())
                    .await
                    .unwrap();
                assert_eq!(removed.count, 1);
                assert_eq!(count(&store, &name).await, 0);
            }
            for _ in 0..4 {
                let row = Sample::of("bob").at(now());
                let created = store.create(&row, limit, now()).await.unwrap();
                assert!(matches!(created, Created::Stored { .. }));
            }
        }
    });
}

#[test]
fn a_full_disk_loses_nothing() {
    block_on(async {
        for limit in [Limit::Unlimited, Limit::EvictOldest(3)] {
            let Some(disk) = SmallDisk::mount() else {
                return;
            };
            let pool = pool(options(&disk.0.file()), 2).await;
            let store = store(pool.clone()).await;
            fill(&store, limit).await;
            // Frees space.
            let mut remount = Command::new("mount");
            remount.args(["-o", "remount,size=4m"]).arg(disk.0.path());
            assert!(remount.status().unwrap().success());
            for _ in 0..4 {
                let row = Sample::of("bob").at(now());
                let created = store.create(&row, limit, now()).await.unwrap();
                assert!(matches!(created, Created::Stored { .. }), "{created:?}");
            }
            let removed = store.remove_subject("user 0", Scope::all(), now()).await;
            assert_eq!(removed.unwrap().count, 1);
            pool.close().await;
        }
    });
}
