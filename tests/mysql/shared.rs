//! Several connections and nodes on one server, and broken connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use statewise::store::contract::{Load, Page, Record, SessionStore};
use statewise::store::{Durability, MySql, MySqlStore, Survives, mysql};
use statewise::testkit::Sample;

use super::cases::{self, get, is_unavailable, now, patiently, put};
use super::clock_skew;
use super::count;
use super::late_save;
use super::names;
use super::runtime::block_on;
use super::server::{Shared, database, pool, shared, store, store_in, table};
use super::silence::{self, DEADLINE, Silences};
use super::support::servers::mariadb::MariaDbServer;

/// Runs a test if there is a server.
pub(crate) fn with_server(test: impl AsyncFnOnce(&'static Shared)) {
    if let Some(shared) = shared() {
        block_on(test(shared));
    }
}

/// Stores of several nodes on one table.
async fn nodes<const N: usize>(shared: &Shared, connections: u32) -> [MySqlStore; N] {
    let table = table();
    let nodes = [(); N].map(|()| database(&pool(&shared.server, connections), &table));
    nodes[0].migrate().await.unwrap();
    nodes.map(|node| node.sessions())
}

#[test]
fn the_limit_holds_under_concurrent_logins() {
    with_server(async |shared| {
        let nodes = nodes::<2>(shared, 6).await.map(Arc::new);
        cases::the_limit_holds_under_concurrent_logins(nodes.into()).await;
    });
}

#[test]
fn a_pool_of_one_serves_a_hundred() {
    with_server(async |shared| {
        let [store] = nodes(shared, 1).await;
        cases::a_pool_of_one_serves_a_hundred(Arc::new(store)).await;
    });
}

#[test]
fn a_dropped_call_leaves_whole_rows() {
    with_server(async |shared| {
        let [one, other] = nodes(shared, 1).await;
        cases::a_dropped_call_leaves_whole_rows(&one, &other).await;
    });
}

#[test]
fn a_use_during_a_change_is_kept() {
    with_server(async |shared| {
        let nodes = nodes::<2>(shared, 4).await.map(Arc::new);
        cases::a_use_during_a_change_is_kept(nodes).await;
    });
}

#[test]
fn count_01_is_the_number_of_logins_that_verify() {
    with_server(async |shared| {
        let open = async || nodes::<1>(shared, 2).await.map(Arc::new)[0].clone();
        let count = async |store: &Arc<MySqlStore>, now| store.count_live(now).await.unwrap();
        count::count_01_is_the_number_of_logins_that_verify(open, count).await;
    });
}

#[test]
fn a_wrong_clock_is_reported() {
    with_server(async |shared| {
        let [store] = nodes(shared, 2).await;
        clock_skew::a_wrong_clock_is_reported(store).await;
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
fn concurrent_migrations_succeed() {
    with_server(async |shared| {
        let table = table();
        let mut migrations = Vec::new();
        for _ in 0..8 {
            let node = database(&pool(&shared.server, 1), &table);
            migrations.push(async move { node.migrate().await });
        }
        cases::concurrent_migrations_succeed(migrations).await;
    });
}

#[test]
fn hostile_table_names_are_refused() {
    with_server(async |shared| {
        let builder = || MySql::over(shared.pool.clone());
        let build = |table: &str, log_table: &str| {
            let built = builder().table(table).log_table(log_table).build();
            built.map(drop)
        };
        names::hostile_table_names_are_refused(build, mysql::schema);
        for built in [
            builder().deadline(Duration::ZERO),
            builder().log_table("statewise_sessions"),
        ] {
            assert!(built.build().is_err_and(|error| error.is_misuse()));
        }
        // Reserved words are valid names.
        let row = Sample::of("alice").at(now());
        for name in cases::WELCOME.map(|name| format!("statewise.{name}")) {
            for _ in 0..2 {
                store_in(&shared.pool, &name).await;
            }
            let store = store_in(&shared.pool, &name).await;
            put(&store, &row).await;
            assert!(get(&store, &row).await.is_some(), "{name}");
        }
    });
}

#[test]
fn a_row_of_a_newer_format_is_not_changed() {
    with_server(async |shared| {
        let table = table();
        let store = store_in(&shared.pool, &table).await;
        let damage = async |row: &Record| {
            let handle = row.handle();
            let damaging = format!("UPDATE {table} SET format = 2, confirmed = 0 WHERE handle = ?");
            let damaging = sqlx::query(AssertSqlSafe(damaging)).bind(&handle.as_bytes()[..]);
            damaging.execute(&shared.pool).await.unwrap();
            let seen = format!("SELECT last_seen FROM {table} WHERE handle = ?");
            let seen = sqlx::query_scalar(AssertSqlSafe(seen)).bind(&handle.as_bytes()[..]);
            seen.fetch_one(&shared.pool).await.unwrap()
        };
        cases::a_row_of_a_newer_format_is_not_changed(&store, damage).await;
    });
}

#[test]
fn a_damaged_row_affects_one_user() {
    with_server(async |shared| {
        let table = table();
        let store = store_in(&shared.pool, &table).await;
        let damage = async |row: &Record, damage: &str| {
            let damaging = format!("UPDATE {table} SET {damage} WHERE handle = ?");
            let damaging = sqlx::query(AssertSqlSafe(damaging));
            let damaging = damaging.bind(&row.handle().as_bytes()[..]);
            damaging.execute(&shared.pool).await.unwrap();
        };
        let damages = [
            "fields = x'0201'",
            "created_at = -1",
            "generation = 4294967296",
            "deadline = 999999999999999",
        ];
        cases::a_damaged_row_affects_one_user(&store, &damages, damage).await;
    });
}

#[test]
fn pending_uses_reach_the_other_node() {
    with_server(async |shared| {
        let [one, other] = nodes(shared, 2).await;
        cases::pending_uses_reach_the_other_node(&one, &other).await;
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
fn a_killed_connection_fails_one_call() {
    with_server(async |shared| {
        let table = table();
        let pool = pool(&shared.server, 2);
        let store = store_in(&pool, &table).await;
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
            "the removal was unavailable, and has still happened"
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
fn a_foreign_lock_makes_writes_unavailable() {
    with_server(async |shared| {
        let table = table();
        store_in(&shared.pool, &table).await;
        let hurried = MySql::over(pool(&shared.server, 2)).table(&table);
        let hurried = hurried.deadline(Duration::from_millis(300)).build();
        let store = hurried.unwrap().sessions();
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

/// A server that syncs, and a database on it.
async fn durable(options: &[&str]) -> Option<(MariaDbServer, MySql)> {
    let server = MariaDbServer::with(options)?;
    let database = database(&pool(&server, 4), "statewise_sessions");
    database.migrate().await.unwrap();
    Some((server, database))
}

#[test]
fn a_killed_server_keeps_acknowledged_writes() {
    block_on(async {
        let Some((server, database)) = durable(&[]).await else {
            return;
        };
        database.require_durable().await.unwrap();
        let store = database.sessions();
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
        let hurried = MySql::over(pool(&server, 2)).deadline(Duration::from_secs(2));
        let hurried = hurried.build().unwrap().sessions();
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
        let Some((server, database)) = durable(&["--innodb-flush-log-at-trx-commit=0"]).await
        else {
            return;
        };
        let patient = database.sessions();
        let row = Sample::of("alice").at(now());
        put(&patient, &row).await;
        let hurried = MySql::over(pool(&server, 4)).deadline(Duration::from_millis(500));
        let store = hurried.build().unwrap().sessions();
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

/// A database with a short deadline, and its reports of the server.
fn hurried(server: &MariaDbServer) -> (MySql, Arc<Silences>) {
    let silences = Arc::new(Silences::default());
    let hurried = MySql::over(pool(server, 4)).deadline(DEADLINE);
    let hurried = hurried.observer(silences.clone()).build().unwrap();
    (hurried, silences)
}

#[test]
fn a_server_that_hangs_is_not_waited_for() {
    block_on(async {
        let Some((server, _database)) = durable(&[]).await else {
            return;
        };
        let (hurried, silences) = hurried(&server);
        let parts = (hurried.sessions(), hurried.revocations());
        let (pause, resume) = (|| server.pause(), || server.resume());
        silence::a_server_that_hangs_is_not_waited_for("mysql", parts, silences, pause, resume)
            .await;
    });
}

#[test]
fn a_server_that_is_killed_is_reported() {
    block_on(async {
        let Some((server, _database)) = durable(&[]).await else {
            return;
        };
        let (hurried, silences) = hurried(&server);
        let (kill, restart) = (|| server.kill9(), || server.restart());
        silence::a_server_that_is_killed_is_reported(
            "mysql",
            hurried.sessions(),
            silences,
            kill,
            restart,
        )
        .await;
    });
}

#[test]
fn durability_follows_the_configuration() {
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
            let Some((server, database)) = durable(options).await else {
                return;
            };
            let durability = database.durability().await.unwrap();
            let expected = Durability::new(survives, Survives::Unknown);
            assert_eq!(durability, expected, "{options:?}");
            let required = database.require_durable().await;
            assert_eq!(required.is_ok(), survives == Survives::All);
            if survives == Survives::All {
                // For a missing table the store cannot know the durability; the operator can assume
                // it.
                let other = || {
                    let builder = MySql::over(pool(&server, 1)).table("nowhere");
                    let builder = builder.log_table("not_there");
                    builder.deadline(Duration::from_secs(60))
                };
                assert!(other().build().unwrap().require_durable().await.is_err());
                let vouched = other().assume_durable().build().unwrap();
                vouched.require_durable().await.unwrap();
                // An engine without a log loses data.
                let pool = pool(&server, 1);
                for table in ["statewise_sessions", "statewise_revocations_head"] {
                    for (engine, survives) in
                        [("Aria", Survives::NotAll), ("InnoDB", Survives::All)]
                    {
                        let change = format!("ALTER TABLE {table} ENGINE = {engine}");
                        pool.execute(AssertSqlSafe(change)).await.unwrap();
                        let crash = database.durability().await.unwrap().crash;
                        assert_eq!(crash, survives, "{table}, {engine}");
                    }
                }
            }
        });
    }
}

#[test]
fn errors_contain_no_row_and_no_address() {
    with_server(async |shared| {
        let store = store(&shared.pool).await;
        let row = Sample::of("alice").data(b"confidential").at(now());
        put(&store, &row).await;
        let nowhere = database(&shared.pool, "nowhere").sessions();
        let failed = nowhere.create(&row, Default::default(), now()).await;
        let text = format!("{failed:?} {store:?}");
        assert!(failed.is_err_and(|error| error.is_unavailable()));
        let socket = shared.server.socket();
        for secret in ["confidential", "alice", "root", socket.to_str().unwrap()] {
            assert!(!text.contains(secret), "{text}");
        }
    });
}
