//! Several connections, nodes and processes on one file.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use statewise::session::Limit;
use statewise::store::contract::{Load, Record, SessionStore};
use statewise::store::{Durability, Sqlite, SqliteStore, Survives, sqlite};
use statewise::testkit::Sample;

use super::cases::{self, count, get, is_unavailable, now, patiently, put};
use super::count;
use super::file::{Folder, database, options, pool, store};
use super::late_save;
use super::names;
use super::runtime::block_on;

/// Environment variable of the process to be killed: the file that it writes.
const CHILD: &str = "STATEWISE_TEST_SQLITE_CHILD";

#[test]
fn the_limit_holds_under_concurrent_logins() {
    block_on(async {
        let folder = Folder::new();
        let mut nodes = Vec::new();
        // SQLite reports the lock of the other one at once.
        for busy_timeout in [Duration::from_secs(5), Duration::ZERO] {
            let options = options(&folder.file()).busy_timeout(busy_timeout);
            nodes.push(Arc::new(store(pool(options, 4).await).await));
        }
        cases::the_limit_holds_under_concurrent_logins(nodes).await;
    });
}

#[test]
fn a_pool_of_one_serves_a_hundred() {
    block_on(async {
        let folder = Folder::new();
        let store = store(pool(options(&folder.file()), 1).await).await;
        cases::a_pool_of_one_serves_a_hundred(Arc::new(store)).await;
    });
}

#[test]
fn a_dropped_call_leaves_whole_rows() {
    block_on(async {
        let folder = Folder::new();
        let options = options(&folder.file()).synchronous(SqliteSynchronous::Off);
        let one = store(pool(options.clone(), 1).await).await;
        let other = store(pool(options, 1).await).await;
        cases::a_dropped_call_leaves_whole_rows(&one, &other).await;
    });
}

#[test]
fn count_01_is_the_number_of_logins_that_verify() {
    block_on(async {
        let folder = Folder::new();
        let files = AtomicU32::new(0);
        let open = async || {
            let file = folder
                .file()
                .with_extension(files.fetch_add(1, Ordering::Relaxed).to_string());
            let options = options(&file).synchronous(SqliteSynchronous::Off);
            store(pool(options, 1).await).await
        };
        let count = async |store: &SqliteStore, now| store.count_live(now).await.unwrap();
        count::count_01_is_the_number_of_logins_that_verify(open, count).await;
    });
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    block_on(async {
        let folder = Folder::new();
        let options = options(&folder.file()).synchronous(SqliteSynchronous::Off);
        let one = store(pool(options.clone(), 2).await).await;
        let other = store(pool(options, 2).await).await;
        late_save::a_late_save_does_not_undo_a_logout([one, other]).await;
    });
}

#[test]
fn a_use_during_a_change_is_kept() {
    block_on(async {
        let folder = Folder::new();
        let options = options(&folder.file()).synchronous(SqliteSynchronous::Off);
        let one = store(pool(options.clone(), 4).await).await;
        let other = store(pool(options, 1).await).await;
        cases::a_use_during_a_change_is_kept([Arc::new(one), Arc::new(other)]).await;
    });
}

#[test]
fn concurrent_migrations_succeed() {
    block_on(async {
        let folder = Folder::new();
        let mut migrations = Vec::new();
        for _ in 0..8 {
            let node = database(pool(options(&folder.file()), 1).await);
            migrations.push(async move { node.migrate().await });
        }
        cases::concurrent_migrations_succeed(migrations).await;
        let database = database(pool(options(&folder.file()), 1).await);
        let store = database.sessions();
        let row = Sample::of("alice").at(now());
        put(&store, &row).await;
        database.migrate().await.unwrap();
        assert!(get(&store, &row).await.is_some());
    });
}

#[test]
fn hostile_table_names_are_refused() {
    block_on(async {
        let folder = Folder::new();
        let pool = pool(options(&folder.file()), 1).await;
        let builder = || Sqlite::over(pool.clone());
        let build = |table: &str, log_table: &str| {
            let built = builder().table(table).log_table(log_table).build();
            built.map(drop)
        };
        names::hostile_table_names_are_refused(build, sqlite::schema);
        for built in [
            builder().deadline(Duration::ZERO),
            builder().log_table("statewise_sessions"),
        ] {
            assert!(built.build().is_err_and(|error| error.is_misuse()));
        }
        // Reserved words are valid names.
        let row = Sample::of("alice").at(now());
        for name in cases::WELCOME.map(|name| format!("main.{name}")) {
            let database = builder().table(&name).deadline(Duration::from_secs(60));
            let database = database.build().unwrap();
            database.migrate().await.unwrap();
            let store = database.sessions();
            put(&store, &row).await;
            assert!(get(&store, &row).await.is_some(), "{name}");
        }
    });
}

#[test]
fn durability_follows_the_configuration() {
    block_on(async {
        use SqliteJournalMode::{Delete, Memory, Persist, Truncate, Wal};
        use SqliteSynchronous::{Extra, Full, Normal, Off};
        for (mode, synchronous, survives) in [
            (Wal, Full, true),
            (Wal, Extra, true),
            (Wal, Normal, false),
            (Wal, Off, false),
            (Truncate, Full, true),
            (Persist, Full, true),
            (Delete, Full, false),
            (Delete, Extra, true),
            (Memory, Extra, false),
        ] {
            let folder = Folder::new();
            let options = options(&folder.file())
                .journal_mode(mode)
                .synchronous(synchronous);
            let builder = Sqlite::over(pool(options, 2).await);
            let builder = builder.deadline(Duration::from_secs(60));
            let database = builder.assume_durable().build().unwrap();
            let crash = if survives {
                Survives::All
            } else {
                Survives::NotAll
            };
            assert_eq!(
                database.durability().await.unwrap(),
                Durability::new(crash, Survives::Unknown),
                "{mode:?}, {synchronous:?}"
            );
            // The operator cannot assume durability that is known to be missing.
            assert_eq!(database.require_durable().await.is_ok(), survives);
            let migrated = database.migrate().await;
            let logged = matches!(mode, Wal | Memory);
            assert_eq!(migrated.is_ok(), logged);
            assert_eq!(migrated.is_err_and(|error| error.is_misuse()), !logged);
        }
    });
}

#[test]
fn a_foreign_transaction_makes_writes_unavailable() {
    block_on(async {
        for busy_timeout in [Duration::ZERO, Duration::from_secs(30)] {
            let folder = Folder::new();
            let options = options(&folder.file());
            let store = store(pool(options.clone(), 2).await).await;
            let row = Sample::of("alice").at(now());
            put(&store, &row).await;
            let patient = options.clone().busy_timeout(busy_timeout);
            let hurried = Sqlite::over(pool(patient, 3).await);
            let hurried = hurried.deadline(Duration::from_millis(300)).build();
            let hurried = hurried.unwrap().sessions();
            let elsewhere = pool(options, 1).await;
            let busy = elsewhere.begin_with("BEGIN IMMEDIATE").await.unwrap();
            let begun = Instant::now();
            let fresh = Sample::of("alice").at(now());
            let handle = row.handle();
            assert!(is_unavailable(
                &hurried.remove(handle, "alice", now()).await
            ));
            for limit in [Limit::Unlimited, Limit::Reject(5)] {
                assert!(is_unavailable(&hurried.create(&fresh, limit, now()).await));
            }
            assert!(begun.elapsed() < Duration::from_secs(10));
            if busy_timeout.is_zero() {
                // Otherwise the dropped calls keep the connections busy until their turn.
                let found = async || hurried.load(handle, Load::new(), now()).await;
                assert!(patiently(found).await.is_some());
            }
            busy.rollback().await.unwrap();
            let _ = store.remove(handle, "alice", now()).await.unwrap();
            assert!(get(&store, &row).await.is_none());
        }
    });
}

#[test]
fn a_damaged_row_affects_one_user() {
    block_on(async {
        let folder = Folder::new();
        let pool = pool(options(&folder.file()), 2).await;
        let store = store(pool.clone()).await;
        let damages = [
            "format = 2",
            "fields = x'0201'",
            "fields = 'text'",
            "created_at = -1",
            "version = 'one'",
            "seed = x'00'",
            "stamp = x'00'",
            "current_proof = zeroblob(17)",
            "generation = 4294967296",
            "deadline = 999999999999999",
        ];
        let damage = async |row: &Record, damage: &str| {
            let damaging = format!("UPDATE statewise_sessions SET {damage} WHERE handle = ?");
            let damaging = sqlx::query(sqlx::AssertSqlSafe(damaging));
            let damaging = damaging.bind(&row.handle().as_bytes()[..]);
            damaging.execute(&pool).await.unwrap();
        };
        cases::a_damaged_row_affects_one_user(&store, &damages, damage).await;
    });
}

#[test]
fn a_row_of_a_newer_format_is_not_changed() {
    block_on(async {
        let folder = Folder::new();
        let pool = pool(options(&folder.file()), 2).await;
        let store = store(pool.clone()).await;
        let damage = async |row: &Record| {
            let damaging = "UPDATE statewise_sessions SET format = 2, confirmed = 0 \
                 WHERE handle = ? RETURNING last_seen";
            let handle = row.handle();
            let damaged = sqlx::query_scalar(damaging).bind(&handle.as_bytes()[..]);
            damaged.fetch_all(&pool).await.unwrap()[0]
        };
        cases::a_row_of_a_newer_format_is_not_changed(&store, damage).await;
    });
}

#[test]
fn pending_uses_reach_the_other_node() {
    block_on(async {
        let folder = Folder::new();
        let one = store(pool(options(&folder.file()), 2).await).await;
        let other = store(pool(options(&folder.file()), 2).await).await;
        cases::pending_uses_reach_the_other_node(&one, &other).await;
    });
}

#[test]
fn a_killed_process_keeps_acknowledged_writes() {
    let folder = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shared::to_be_killed", "--nocapture"])
        .env(CHILD, folder.file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Reads the acknowledgements until the process is killed.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 200 {
        let line = lines.next().expect("the child continues").unwrap();
        if let Some(fact) = line.split_once("fact ").map(|(_, fact)| fact.to_owned()) {
            acknowledged.push(fact);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| {
        // Only whole lines: the last one may be cut.
        line.strip_prefix("fact ")
            .filter(|fact| fact.ends_with('.'))
            .map(str::to_owned)
    }));
    block_on(async {
        let store = store(pool(options(&folder.file()), 2).await).await;
        let mut alive = std::collections::BTreeMap::new();
        for fact in &acknowledged {
            let (what, user) = fact.trim_end_matches('.').split_once(' ').unwrap();
            alive.insert(user.to_owned(), what == "created");
        }
        for (user, alive) in &alive {
            assert_eq!(count(&store, user).await, usize::from(*alive), "{user}");
        }
        assert!(alive.values().any(|alive| *alive) && alive.values().any(|alive| !alive));
    });
}

/// Runs only in a child process: creates and removes logins, prints every acknowledgement, and
/// continues until it is killed.
#[test]
fn to_be_killed() {
    let Some(file) = std::env::var_os(CHILD) else {
        return;
    };
    block_on(async {
        let pool = pool(options(std::path::Path::new(&file)), 2).await;
        let store = store(pool).await;
        for user in 0.. {
            let name = format!("user-{user}");
            let row = Sample::of(&name).at(now());
            put(&store, &row).await;
            // For two users in three the answer arrives at once; for the others after the removal
            // below.
            if user % 3 > 0 {
                println!("fact created {name}.");
                continue;
            }
            let _ = store.remove(row.handle(), &name, now()).await.unwrap();
            println!("fact removed {name}.");
        }
    });
}
