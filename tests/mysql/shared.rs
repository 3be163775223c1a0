//! Several connections and nodes on one server, and broken connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use statewise::store::contract::{Load, Page, Record, SessionStore};
use statewise::store::{MySqlStore, Survives};
use statewise::testkit::Sample;

use super::cases::{self, count, get, is_unavailable, later, now, patiently, put};
use super::late_save;
use super::runtime::block_on;
use super::server::{Shared, pool, shared, store, table};
use super::support::servers::mariadb::MariaDb;

/// Runs a test if there is a server.
pub(crate) fn with_server(test: impl AsyncFnOnce(&'static Shared)) {
    if let Some(shared) = shared() {
        block_on(test(shared));
    }
}

/// Stores of several nodes on one table.
async fn nodes<const N: usize>(shared: &Shared, connections: u32) -> [MySqlStore; N] {
    let table = table();
    let nodes = [(); N].map(|()| {
        MySqlStore::sqlx(pool(&shared.server, connections))
            .table(&table)
            .deadline(Duration::from_secs(60))
            .build()
            .unwrap()
    });
    nodes[0].migrate().await.unwrap();
    nodes
}

#[test]
fn the_limit_holds_under_fifty_logins_at_once() {
    with_server(async |shared| {
        let nodes = nodes::<2>(shared, 6).await.map(Arc::new);
        cases::keeps_the_limit(nodes.into()).await;
    });
}

#[test]
fn a_pool_of_one_serves_a_hundred() {
    with_server(async |shared| {
        let [store] = nodes(shared, 1).await;
        cases::serves_a_hundred(Arc::new(store)).await;
    });
}

#[test]
fn may_be_given_up_at_every_step() {
    with_server(async |shared| {
        let [one, other] = nodes(shared, 1).await;
        cases::may_be_given_up(&one, &other).await;
    });
}

#[test]
fn a_use_during_a_change_is_kept() {
    with_server(async |shared| {
        let nodes = nodes::<2>(shared, 4).await.map(Arc::new);
        cases::keeps_a_use_during_a_change(nodes).await;
    });
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    with_server(async |shared| {
        let nodes = nodes(shared, 2).await;
        late_save::a_late_save_does_not_undo_a_logout(nodes).await;
    });
}

#[test]
fn nodes_migrate_at_once_and_again() {
    with_server(async |shared| {
        let table = table();
        let mut migrations = Vec::new();
        for _ in 0..8 {
            let builder = MySqlStore::sqlx(pool(&shared.server, 1)).table(&table);
            let store = builder.deadline(Duration::from_secs(60)).build().unwrap();
            migrations.push(async move { store.migrate().await });
        }
        cases::migrates_at_once(migrations).await;
    });
}

#[test]
fn names_that_could_escape_are_refused() {
    with_server(async |shared| {
        for name in cases::HOSTILE {
            let built = MySqlStore::sqlx(shared.pool.clone()).table(name).build();
            assert!(built.is_err_and(|error| error.is_misuse()), "{name:?}");
        }
        let builder = MySqlStore::sqlx(shared.pool.clone());
        let built = builder.deadline(Duration::ZERO).build();
        assert!(built.is_err_and(|error| error.is_misuse()));
        // Reserved words are valid names.
        let row = Sample::of("alice").at(now());
        for name in cases::WELCOME.map(|name| format!("statewise.{name}")) {
            let store = MySqlStore::sqlx(shared.pool.clone()).table(&name);
            let store = store.deadline(Duration::from_secs(60)).build().unwrap();
            store.migrate().await.unwrap();
            store.migrate().await.unwrap();
            put(&store, &row).await;
            assert!(get(&store, &row).await.is_some(), "{name}");
        }
    });
}

#[test]
fn a_newer_format_is_left_alone() {
    with_server(async |shared| {
        let table = table();
        let builder = MySqlStore::sqlx(shared.pool.clone()).table(&table);
        let store = builder.deadline(Duration::from_secs(60)).build().unwrap();
        store.migrate().await.unwrap();
        let damage = async |row: &Record| {
            let handle = row.handle();
            let damaging = format!("UPDATE {table} SET format = 2, confirmed = 0 WHERE handle = ?");
            let damaging = sqlx::query(AssertSqlSafe(damaging)).bind(&handle.as_bytes()[..]);
            damaging.execute(&shared.pool).await.unwrap();
            let seen = format!("SELECT last_seen FROM {table} WHERE handle = ?");
            let seen = sqlx::query_scalar(AssertSqlSafe(seen)).bind(&handle.as_bytes()[..]);
            seen.fetch_one(&shared.pool).await.unwrap()
        };
        cases::leaves_a_newer_format_alone(&store, damage).await;
    });
}

#[test]
fn a_row_that_does_not_decode_is_one_users_trouble() {
    with_server(async |shared| {
        let table = table();
        let builder = MySqlStore::sqlx(shared.pool.clone()).table(&table);
        let store = builder.deadline(Duration::from_secs(60)).build().unwrap();
        store.migrate().await.unwrap();
        for damage in [
            "fields = x'0201'",
            "created_at = -1",
            "generation = 4294967296",
        ] {
            let rows = [(); 3].map(|()| Sample::of("alice").at(now()));
            for row in &rows {
                put(&store, row).await;
            }
            let handle = rows[1].handle();
            let damaging = format!("UPDATE {table} SET {damage} WHERE handle = ?");
            let damaging = sqlx::query(AssertSqlSafe(damaging)).bind(&handle.as_bytes()[..]);
            damaging.execute(&shared.pool).await.unwrap();
            let found = store.load(handle, Load::new(), now()).await;
            assert!(found.is_err_and(|error| error.is_rejected()), "{damage}");
            assert_eq!(count(&store, "alice").await, 2, "{damage}");
            let first = store.list("alice", Page::first(1), now()).await.unwrap();
            assert!(first.next.is_some());
            let scope = statewise::store::contract::Scope::all();
            let removed = store.remove_subject("alice", scope, now()).await.unwrap();
            assert_eq!(removed.count, 3);
        }
    });
}

#[test]
fn uses_behind_the_read_reach_the_other_node() {
    with_server(async |shared| {
        let [one, other] = nodes(shared, 2).await;
        let rows: Vec<_> = (0..300)
            .map(|user| Sample::of(format!("user {user}")).idle(100).at(now()))
            .collect();
        for row in &rows {
            put(&one, row).await;
        }
        let upkeep = one.upkeep();
        upkeep.tick().await.unwrap();
        let uses: Vec<_> = rows.iter().map(|row| (row.handle(), later(60))).collect();
        one.touch(&uses, later(60)).await.unwrap();
        let seen_by = async |store: &MySqlStore| {
            let mut seen = 0;
            for row in &rows {
                let found = get(store, row).await.unwrap();
                seen += usize::from(found.last_seen() == later(60));
            }
            seen
        };
        assert_eq!(seen_by(&one).await, 300, "what waits counts here");
        while upkeep.tick().await.unwrap() < Some(Duration::from_millis(100)) {}
        assert_eq!(seen_by(&other).await, 300);
        for late in [later(160), later(30)] {
            let uses: Vec<_> = rows.iter().map(|row| (row.handle(), late)).collect();
            other.touch(&uses, late).await.unwrap();
        }
        assert_eq!(seen_by(&other).await, 300, "revived or shortened");
    });
}

/// Ids of connections with an unanswered statement that contains this text.
async fn running(shared: &Shared, text: &str) -> Vec<u64> {
    let listing = "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist \
         WHERE info LIKE CONCAT('%', ?, '%') AND id <> CONNECTION_ID()";
    let listing = sqlx::query_scalar(listing).bind(text);
    listing.fetch_all(&shared.pool).await.unwrap()
}

#[test]
fn a_connection_killed_in_mid_answer_is_unavailable_and_no_more() {
    with_server(async |shared| {
        let table = table();
        let pool = pool(&shared.server, 2);
        let builder = MySqlStore::sqlx(pool.clone()).table(&table);
        let store = builder.deadline(Duration::from_secs(60)).build().unwrap();
        store.migrate().await.unwrap();
        let row = Sample::of("alice").at(now());
        put(&store, &row).await;
        // A lock on the row makes the removal wait.
        let mut holder = shared.pool.acquire().await.unwrap();
        let mut holding = holder.begin().await.unwrap();
        let hold = format!("SELECT handle FROM {table} FOR UPDATE");
        holding.execute(AssertSqlSafe(hold)).await.unwrap();
        let waiting = {
            let (store, handle) = (store.clone(), row.handle());
            tokio::spawn(async move { store.remove(handle, "alice", now()).await })
        };
        let victim = loop {
            let delete = format!("DELETE FROM `{table}`");
            match running(shared, &delete).await.first() {
                Some(id) => break *id,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {victim}")));
        kill.execute(&shared.pool).await.unwrap();
        assert!(is_unavailable(&waiting.await.unwrap()));
        holding.rollback().await.unwrap();
        assert!(
            get(&store, &row).await.is_some(),
            "it was said to be unavailable"
        );
        // All idle connections of the pool are killed; a lookup opens another.
        let ids = "SELECT CAST(CONNECTION_ID() AS UNSIGNED)";
        let mut connections = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
        for connection in &mut connections {
            let id: u64 = sqlx::query_scalar(ids)
                .fetch_one(&mut **connection)
                .await
                .unwrap();
            let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")));
            kill.execute(&shared.pool).await.unwrap();
        }
        drop(connections);
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(store.load(row.handle(), Load::new(), now()).await);
        }
        assert!(matches!(answers.last(), Some(Ok(Some(_)))), "{answers:?}");
        let removed = store.remove(row.handle(), "alice", now()).await.unwrap();
        assert_eq!(removed.count, 1);
    });
}

#[test]
fn a_lock_that_is_held_too_long_makes_it_unavailable() {
    with_server(async |shared| {
        let table = table();
        let builder = MySqlStore::sqlx(pool(&shared.server, 2)).table(&table);
        let store = builder
            .deadline(Duration::from_millis(300))
            .build()
            .unwrap();
        let wait = MySqlStore::sqlx(shared.pool.clone()).table(&table);
        wait.deadline(Duration::from_secs(60))
            .build()
            .unwrap()
            .migrate()
            .await
            .unwrap();
        let row = Sample::of("alice").at(now());
        patiently(async || store.create(&row, Default::default(), now()).await).await;
        let mut holder = shared.pool.acquire().await.unwrap();
        let mut holding = holder.begin().await.unwrap();
        let hold = format!("SELECT handle FROM {table} FOR UPDATE");
        holding.execute(AssertSqlSafe(hold)).await.unwrap();
        let begun = Instant::now();
        let rotation = Sample::rotation_of(&row);
        assert!(is_unavailable(
            &store.rotate(row.handle(), &rotation, now()).await
        ));
        assert!(begun.elapsed() < Duration::from_secs(5));
        // Readers do not wait.
        patiently(async || store.load(row.handle(), Load::new(), now()).await).await;
        holding.rollback().await.unwrap();
        patiently(async || store.rotate(row.handle(), &rotation, now()).await).await;
    });
}

/// A server that syncs, and a store on it.
async fn durable(options: &[&str]) -> Option<(MariaDb, MySqlStore)> {
    let server = MariaDb::with(options)?;
    let builder = MySqlStore::sqlx(pool(&server, 4));
    let store = builder.deadline(Duration::from_secs(60)).build().unwrap();
    store.migrate().await.unwrap();
    Some((server, store))
}

#[test]
fn what_a_killed_server_acknowledged_is_there() {
    block_on(async {
        let Some((server, store)) = durable(&[]).await else {
            return;
        };
        store.require_durable().await.unwrap();
        let rows: Vec<_> = (0..20).map(|_| Sample::of("alice").at(now())).collect();
        for row in &rows {
            put(&store, row).await;
        }
        for row in rows.iter().step_by(2) {
            let _ = store.remove(row.handle(), "alice", now()).await.unwrap();
        }
        let rotation = Sample::rotation_of(&rows[1]);
        store
            .rotate(rows[1].handle(), &rotation, now())
            .await
            .unwrap();
        server.kill9();
        let hurried = MySqlStore::sqlx(pool(&server, 2));
        let hurried = hurried.deadline(Duration::from_secs(2)).build().unwrap();
        let begun = Instant::now();
        for row in &rows {
            let found = hurried.load(row.handle(), Load::new(), now()).await;
            assert!(
                is_unavailable(&found),
                "a server that is gone is not an empty one"
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        server.restart();
        let found = async || store.list("alice", Page::first(100), now()).await;
        let listing = patiently(found).await;
        assert_eq!(listing.records.len(), 10);
        for (at, row) in rows.iter().enumerate() {
            let found = get(&store, row).await;
            assert_eq!(found.is_some(), at % 2 == 1);
        }
        let rotated = get(&store, &rows[1]).await.unwrap();
        assert_eq!(rotated.generation(), 1);
    });
}

#[test]
fn a_paused_server_is_unavailable_within_the_deadline() {
    block_on(async {
        let Some((server, patient)) = durable(&["--innodb-flush-log-at-trx-commit=0"]).await else {
            return;
        };
        let row = Sample::of("alice").at(now());
        put(&patient, &row).await;
        let builder = MySqlStore::sqlx(pool(&server, 4));
        let store = builder
            .deadline(Duration::from_millis(500))
            .build()
            .unwrap();
        patiently(async || store.load(row.handle(), Load::new(), now()).await).await;
        server.pause();
        let begun = Instant::now();
        let tasks: Vec<_> = (0..20)
            .map(|at| {
                let (store, row) = (store.clone(), row.clone());
                tokio::spawn(async move {
                    let handle = row.handle();
                    let fresh = Sample::of("alice").at(now());
                    let limit = statewise::session::Limit::Reject(9);
                    match at % 4 {
                        0 => is_unavailable(&store.load(handle, Load::new(), now()).await),
                        1 => is_unavailable(&store.create(&fresh, limit, now()).await),
                        2 => is_unavailable(&store.remove(handle, "alice", now()).await),
                        _ => is_unavailable(&store.list("alice", Page::first(9), now()).await),
                    }
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the deadline was half a second"
        );
        server.resume();
        let fresh = Sample::of("bob").at(now());
        patiently(async || store.create(&fresh, Default::default(), now()).await).await;
        assert!(get(&patient, &fresh).await.is_some());
    });
}

#[test]
fn says_what_survives() {
    for (options, survives) in [
        (&["--innodb-flush-log-at-trx-commit=1"][..], Survives::All),
        (&["--innodb-flush-log-at-trx-commit=2"], Survives::NotAll),
        (
            &["--log-bin", "--server-id=1", "--sync-binlog=0"],
            Survives::NotAll,
        ),
        (
            &["--log-bin", "--server-id=1", "--sync-binlog=1"],
            Survives::All,
        ),
    ] {
        block_on(async {
            let Some((server, store)) = durable(options).await else {
                return;
            };
            let crash = store.durability().await.unwrap().crash;
            assert_eq!(crash, survives, "{options:?}");
            let required = store.require_durable().await;
            assert_eq!(required.is_ok(), survives == Survives::All);
            if survives == Survives::All {
                // For a missing table the store cannot know the durability; the operator can assume
                // it.
                let other = || {
                    let builder = MySqlStore::sqlx(pool(&server, 1)).table("nowhere");
                    builder.deadline(Duration::from_secs(60))
                };
                assert!(other().build().unwrap().require_durable().await.is_err());
                let vouched = other().assume_durable().build().unwrap();
                vouched.require_durable().await.unwrap();
                // An engine without a log loses data.
                let pool = pool(&server, 1);
                let change = "ALTER TABLE statewise_sessions ENGINE = Aria";
                pool.execute(change).await.unwrap();
                let crash = store.durability().await.unwrap().crash;
                assert_eq!(crash, Survives::NotAll);
            }
        });
    }
}

#[test]
fn no_error_quotes_a_row_or_an_address() {
    with_server(async |shared| {
        let store = store(&shared.pool).await;
        let row = Sample::of("alice").data(b"confidential").at(now());
        put(&store, &row).await;
        let nowhere = MySqlStore::sqlx(shared.pool.clone()).table("nowhere");
        let nowhere = nowhere.deadline(Duration::from_secs(60)).build().unwrap();
        let failed = nowhere.create(&row, Default::default(), now()).await;
        let text = format!("{failed:?} {store:?}");
        assert!(failed.is_err_and(|error| error.is_unavailable()));
        let socket = shared.server.socket();
        for secret in ["confidential", "alice", "root", socket.to_str().unwrap()] {
            assert!(!text.contains(secret), "{text}");
        }
    });
}
