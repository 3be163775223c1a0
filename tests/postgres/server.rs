//! Tests that need a real server: crashes, pauses, broken connections, and several pools.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use statewise::Error;
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{
    Created, DynSessionStore, Load, Page, Record, Rotated, Scope, SessionStore, Updated,
};
use statewise::store::postgres::{Pipelined, Sqlx};
use statewise::store::{Postgres, PostgresBuilder, PostgresStore, Survives, postgres};
use statewise::testkit::{Sample, give_up_after};

use crate::clock_skew;
use crate::count;
use crate::critical;
use crate::fixture::{
    block_on, client_at, client_of, patient, pool_of, private_server, run, server, sqlx_pool, table,
};
use crate::late_save;
use crate::names;
use crate::silence::{self, DEADLINE, Silences};
use crate::support::servers::postgres::PostgresServer;

type Store = Arc<dyn DynSessionStore>;

fn now() -> Timestamp {
    Timestamp::from_unix(1_000_000)
}

fn later(seconds: u64) -> Timestamp {
    now().saturating_add(seconds)
}

/// A store with each client, on one existing table.
async fn both(server: &'static PostgresServer, table: &str) -> [(&'static str, Store); 2] {
    let sqlx = patient(Postgres::over(sqlx_pool(server, 8)).table(table));
    sqlx.migrate().await.unwrap();
    let pipelined = Postgres::connect(|| client_of(server)).connections(2);
    let pipelined = patient(pipelined.table(table));
    [
        ("sqlx", Arc::new(sqlx.sessions())),
        ("pipelined", Arc::new(pipelined.sessions())),
    ]
}

async fn put(store: &Store, row: &Record) {
    let created = store.create(row, Limit::Unlimited, now()).await.unwrap();
    assert!(matches!(created, Created::Stored { .. }));
}

async fn get(store: &Store, row: &Record) -> Option<Record> {
    store.load(row.handle(), Load::new(), now()).await.unwrap()
}

async fn sql(pool: &PgPool, text: String) -> u64 {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(pool).await;
    done.unwrap().rows_affected()
}

async fn number(pool: &PgPool, text: String) -> i64 {
    let row = sqlx::raw_sql(AssertSqlSafe(format!("SELECT ({text})::text")));
    let row = row.fetch_one(pool).await.unwrap();
    row.get::<String, _>(0).parse().unwrap()
}

fn assert_unavailable<T: std::fmt::Debug>(what: &str, answer: &Result<T, Error>) {
    let unavailable = answer.as_ref().is_err_and(Error::is_unavailable);
    assert!(unavailable, "{what}: {answer:?}");
}

/// Repeats a call until it succeeds, because a short deadline may expire on a busy machine. The row
/// must never appear absent in the meantime.
async fn assert_comes_back(name: &str, store: &Store, row: &Record) {
    let begun = Instant::now();
    loop {
        match store.load(row.handle(), Load::new(), now()).await {
            Ok(found) => break assert!(found.is_some(), "{name}: an outage logged out"),
            Err(error) => assert!(error.is_unavailable()),
        }
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(60), "{name} does not recover");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One call of each kind.
fn acts(store: &Store, row: &Record) -> Vec<(&'static str, BoxFuture<'static, Result<(), Error>>)> {
    fn act<T, F>(
        store: &Store,
        row: &Record,
        act: impl FnOnce(Store, Record) -> F + Send + 'static,
    ) -> BoxFuture<'static, Result<(), Error>>
    where
        T: Send,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (store, row) = (Arc::clone(store), row.clone());
        Box::pin(async move { act(store, row).await.map(drop) })
    }
    vec![
        (
            "create",
            act(store, row, async |store: Store, _| {
                let new = Sample::of("carol").at(now());
                store.create(&new, Limit::Unlimited, now()).await
            }),
        ),
        (
            "create with a limit",
            act(store, row, async |store: Store, _| {
                let new = Sample::of("dave").at(now());
                store.create(&new, Limit::EvictOldest(2), now()).await
            }),
        ),
        (
            "load",
            act(store, row, async |store: Store, row: Record| {
                let found = store.load(row.handle(), Load::new(), now()).await?;
                assert!(found.is_some(), "an outage looks like a logout");
                Ok(())
            }),
        ),
        (
            "rotate",
            act(store, row, async |store: Store, row: Record| {
                let rotation = Sample::rotation_of(&row);
                let rotated = store.rotate(row.handle(), &rotation, now()).await?;
                assert!(!matches!(rotated, Rotated::Absent));
                Ok(())
            }),
        ),
        (
            "update",
            act(store, row, async |store: Store, row: Record| {
                let change = Sample::update(b"2");
                let updated = store.update(row.handle(), 0, &change, now()).await?;
                assert!(!matches!(updated, Updated::Absent));
                Ok(())
            }),
        ),
        (
            "confirm",
            act(store, row, async |store: Store, row: Record| {
                store.confirm(row.handle(), 1, now()).await
            }),
        ),
        (
            "touch",
            act(store, row, async |store: Store, row: Record| {
                store.touch(&[(row.handle(), later(9))], now()).await
            }),
        ),
        (
            "list",
            act(store, row, async |store: Store, _| {
                let listing = store.list("alice", Page::first(10), now()).await?;
                assert_eq!(listing.records.len(), 1);
                Ok(())
            }),
        ),
        (
            "sweep",
            act(store, row, async |store: Store, _| {
                store.sweep(10, now()).await
            }),
        ),
        (
            "remove",
            act(store, row, async |store: Store, _| {
                let other = Sample::of("erin").at(now());
                store.remove(other.handle(), "erin", now()).await
            }),
        ),
        (
            "remove_subject",
            act(store, row, async |store: Store, _| {
                store.remove_subject("erin", Scope::all(), now()).await
            }),
        ),
    ]
}

/// Any number of nodes may migrate at once and repeatedly. Rejects a migration without a lock.
#[test]
fn concurrent_migrations_succeed() {
    block_on(async {
        for round in 0..5 {
            let table = table();
            let mut nodes: Vec<BoxFuture<'static, ()>> = Vec::new();
            for node in 0..8 {
                let table = table.clone();
                nodes.push(Box::pin(async move {
                    if node % 2 == 0 {
                        let store = Postgres::over(sqlx_pool(server(), 1)).table(table);
                        patient(store).migrate().await.unwrap();
                    } else {
                        let store = Postgres::connect(|| client_of(server())).table(table);
                        patient(store).migrate().await.unwrap();
                    }
                }));
            }
            let nodes: Vec<_> = nodes.into_iter().map(tokio::spawn).collect();
            for node in nodes {
                node.await
                    .unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
            for (_, store) in both(server(), &table).await {
                let row = Sample::of("alice").at(now());
                put(&store, &row).await;
                assert!(get(&store, &row).await.is_some());
            }
        }
    });
}

/// The public schema text creates the table that the store uses; reserved words are valid names.
#[test]
fn works_on_the_public_schema_and_under_any_name() {
    block_on(async {
        let pool = sqlx_pool(server(), 2);
        sql(&pool, postgres::SCHEMA.to_owned()).await;
        sql(&pool, postgres::SCHEMA.to_owned()).await;
        sql(&pool, "CREATE SCHEMA IF NOT EXISTS app".to_owned()).await;
        sql(&pool, postgres::schema("app.order", "app.ended").unwrap()).await;
        // Two names of maximum length that a truncating server would confuse.
        let longest = ["a", "b"].map(|end| format!("{}{end}", "n".repeat(40)));
        let names = ["statewise_sessions", "app.order", "user", "_a9"];
        for name in names.into_iter().chain(longest.iter().map(String::as_str)) {
            for (_, store) in both(server(), name).await {
                let row = Sample::of("alice").at(now());
                let limit = Limit::Reject(9);
                let created = store.create(&row, limit, now()).await.unwrap();
                assert!(matches!(created, Created::Stored { .. }), "{name}");
                assert!(get(&store, &row).await.is_some());
            }
        }
        let found = "SELECT count(*) FROM app.order WHERE subject = sha256('alice')";
        assert_eq!(number(&pool, found.to_owned()).await, 2);
        // A use and a rotation change no indexed column.
        let touched = "SELECT count(*) FROM pg_index i JOIN pg_attribute a
            ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = 'statewise_sessions'::regclass
            AND a.attname NOT IN ('handle', 'subject', 'deadline')";
        assert_eq!(number(&pool, touched.to_owned()).await, 0);
    });
}

#[test]
fn hostile_table_names_are_refused() {
    run(async {
        let pool = || pool_of(PgConnectOptions::new_without_pgpass(), 1);
        let by_sqlx = |table: &str, log_table: &str| {
            let builder = Postgres::over(pool()).table(table).log_table(log_table);
            builder.build().map(drop)
        };
        let pipelined = |table: &str, log_table: &str| {
            let builder = Postgres::connect(|| client_of(server()));
            builder.table(table).log_table(log_table).build().map(drop)
        };
        names::hostile_table_names_are_refused(by_sqlx, postgres::schema);
        names::hostile_table_names_are_refused(pipelined, postgres::schema);
        for refused in [
            Postgres::over(pool()).deadline(Duration::ZERO),
            Postgres::over(pool()).log_table("statewise_sessions"),
        ] {
            assert!(refused.build().is_err_and(|error| error.is_misuse()));
        }
    });
}

/// Each node sees the changes of the other, whichever client it uses. Rejects state kept in the
/// process.
#[test]
fn two_nodes_share_a_table() {
    block_on(async {
        let [(_, one), (_, two)] = both(server(), &table()).await;
        for (here, there) in [(&one, &two), (&two, &one)] {
            let row = Sample::of("alice").data(b"1").at(now());
            put(here, &row).await;
            assert_eq!(get(there, &row).await.unwrap().encode(), row.encode());
            let change = Sample::update(b"2");
            let updated = there.update(row.handle(), 0, &change, now()).await.unwrap();
            let Updated::Done {
                record: changed, ..
            } = updated
            else {
                panic!("not done: {updated:?}");
            };
            assert_eq!(get(here, &row).await.unwrap().encode(), changed.encode());
            let again = here.update(row.handle(), 0, &change, now()).await.unwrap();
            assert!(matches!(again, Updated::Conflict));
            let removed = there.remove(row.handle(), "alice", now()).await.unwrap();
            assert_eq!(removed.count, 1);
            assert!(get(here, &row).await.is_none());
            // A late save, use or rotation undoes nothing.
            let late = here.update(row.handle(), 1, &change, now()).await.unwrap();
            assert!(matches!(late, Updated::Absent));
            here.touch(&[(row.handle(), later(5))], later(5))
                .await
                .unwrap();
            let rotation = Sample::rotation_of(&changed);
            let late = here.rotate(row.handle(), &rotation, now()).await.unwrap();
            assert!(matches!(late, Rotated::Absent));
            assert!(get(there, &row).await.is_none());
        }
    });
}

/// Fifty concurrent logins on two nodes: the limit holds at every observable moment. Rejects a
/// count before the lock.
#[test]
fn the_limit_holds_under_concurrent_logins() {
    block_on(limit_holds(&[]));
}

/// The same with serializable connections. Rejects a count in a snapshot that is older than the
/// lock.
#[test]
fn the_limit_holds_under_every_isolation() {
    block_on(async {
        limit_holds(&[("default_transaction_isolation", "serializable")]).await;
        limit_holds(&[("default_transaction_isolation", "repeatable read")]).await;
    });
}

async fn limit_holds(options: &[(&str, &str)]) {
    const MAX_SESSIONS: u32 = 3;
    for limit in [
        Limit::Reject(MAX_SESSIONS),
        Limit::EvictOldest(MAX_SESSIONS),
    ] {
        let table = table();
        let [_, (_, pipelined)] = both(server(), &table).await;
        let connect = PgConnectOptions::new_without_pgpass().socket(server().folder());
        let pool = pool_of(connect.options(options.to_vec()), 12);
        let store = Postgres::over(pool.clone()).table(&table);
        let store: Store = Arc::new(patient(store).sessions());
        let done = Arc::new(AtomicBool::new(false));
        let watch = {
            let (done, pool, table) = (Arc::clone(&done), pool.clone(), table.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    let there = number(&pool, format!("SELECT count(*) FROM {table}")).await;
                    assert!(there <= i64::from(MAX_SESSIONS), "{there} at once");
                }
            })
        };
        let logins: Vec<_> = (0..50)
            .map(|login| {
                let store = [&store, &pipelined][login % 2].clone();
                tokio::spawn(async move {
                    let row = Sample::of("alice").absolute(1_000 + login as u64).at(now());
                    store.create(&row, limit, now()).await.unwrap()
                })
            })
            .collect();
        let (mut stored, mut evicted) = (0, HashSet::new());
        for login in logins {
            if let Created::Stored { evicted: these } = login.await.unwrap() {
                stored += 1;
                for handle in these {
                    assert!(evicted.insert(handle), "evicted twice");
                }
            }
        }
        done.store(true, Ordering::SeqCst);
        watch.await.unwrap();
        let listing = store.list("alice", Page::first(100), now()).await.unwrap();
        assert_eq!(listing.records.len(), MAX_SESSIONS as usize);
        assert_eq!(stored - evicted.len(), MAX_SESSIONS as usize);
        assert_eq!(
            stored,
            if limit == Limit::Reject(MAX_SESSIONS) {
                3
            } else {
                50
            }
        );
    }
}

/// With serializable connections, the store repeats transactions that the server rolls back.
/// Rejects a store that reports a race as an outage.
#[test]
fn races_succeed_under_every_isolation() {
    block_on(async {
        let table = table();
        both(server(), &table).await;
        let connect = PgConnectOptions::new_without_pgpass().socket(server().folder());
        let pool = pool_of(
            connect.options([("default_transaction_isolation", "serializable")]),
            8,
        );
        let store = Postgres::over(pool).table(&table);
        let store: Store = Arc::new(patient(store).sessions());
        for _ in 0..20 {
            let row = Sample::of("alice").at(now());
            put(&store, &row).await;
            let rotations: Vec<_> = (0..8)
                .map(|_| {
                    let (store, row) = (Arc::clone(&store), row.clone());
                    tokio::spawn(async move {
                        let rotation = Sample::rotation_of(&row);
                        let rotated = store.rotate(row.handle(), &rotation, now()).await.unwrap();
                        matches!(rotated, Rotated::Done(_))
                    })
                })
                .collect();
            let mut advanced = 0;
            for rotation in rotations {
                advanced += usize::from(rotation.await.unwrap());
            }
            assert_eq!(advanced, 1);
        }
    });
}

/// Acknowledged changes survive a crash, removals included. Rejects asynchronous commits, and
/// acknowledgements before the commit.
#[test]
fn a_crash_undoes_nothing() {
    run(async {
        let Some(server) = PostgresServer::with(&[]) else {
            return;
        };
        let server: &'static PostgresServer = Box::leak(Box::new(server));
        let stores = both(server, "statewise_sessions").await;
        for round in 0..3 {
            let (mut live, mut ended) = (Vec::new(), Vec::new());
            for (_, store) in &stores {
                for limit in [Limit::Unlimited, Limit::Reject(1_000)] {
                    let (kept, gone, all) = (
                        Sample::of("alice").at(now()),
                        Sample::of("alice").at(now()),
                        Sample::of(format!("bob {round} {limit:?}")).at(now()),
                    );
                    for row in [&kept, &gone, &all] {
                        let created = store.create(row, limit, now()).await.unwrap();
                        assert!(matches!(created, Created::Stored { .. }));
                    }
                    let rotation = Sample::rotation_of(&kept);
                    let rotated = store.rotate(kept.handle(), &rotation, now()).await.unwrap();
                    let Rotated::Done(kept) = rotated else {
                        panic!("not advanced: {rotated:?}");
                    };
                    live.push(kept);
                    let removed = store.remove(gone.handle(), "alice", now()).await.unwrap();
                    assert_eq!(removed.count, 1);
                    let removed = store.remove_subject(all.subject(), Scope::all(), now());
                    assert_eq!(removed.await.unwrap().count, 1);
                    ended.extend([gone, all]);
                }
            }
            server.kill9();
            let deadline = Duration::from_millis(300);
            let hasty = Postgres::over(sqlx_pool(server, 1)).deadline(deadline);
            let during = hasty.build().unwrap().sessions();
            let during = during.load(live[0].handle(), Load::new(), now()).await;
            assert_unavailable("no server", &during);
            server.restart();
            for (name, store) in &stores {
                for row in &live {
                    let found = get(store, row)
                        .await
                        .unwrap_or_else(|| panic!("{name}: lost"));
                    assert_eq!(found.encode(), row.encode());
                }
                for row in &ended {
                    assert!(
                        get(store, row).await.is_none(),
                        "{name}: a crash undid a logout"
                    );
                }
            }
        }
        server.kill9();
    });
}

/// If the server hangs, every call answers *unavailable* within the deadline. When the server
/// continues, so does the store. Rejects calls without a deadline, and an outage that looks like a
/// logout.
#[test]
fn a_suspended_server_is_unavailable() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let deadline = Duration::from_millis(300);
        let table = table();
        let sqlx = Postgres::over(sqlx_pool(server, 4)).deadline(deadline);
        let pipelined = Postgres::connect(|| client_of(server)).deadline(deadline);
        let given = client_of(server).await.unwrap();
        let given = Postgres::over(given).deadline(deadline);
        let [(_, patient), _] = both(server, &table).await;
        let stores: [(_, Store); 3] = [
            (
                "sqlx",
                Arc::new(sqlx.table(&table).build().unwrap().sessions()),
            ),
            (
                "pipelined",
                Arc::new(pipelined.table(&table).build().unwrap().sessions()),
            ),
            (
                "given",
                Arc::new(given.table(&table).build().unwrap().sessions()),
            ),
        ];
        let row = Sample::of("alice").at(now());
        put(&patient, &row).await;
        for (name, store) in &stores {
            assert_comes_back(name, store, &row).await;
            server.pause();
            let begun = Instant::now();
            let asked: Vec<_> = acts(store, &row)
                .into_iter()
                .map(|(what, act)| (what, tokio::spawn(act)))
                .collect();
            for (what, act) in asked {
                assert_unavailable(&format!("{name}, {what}"), &act.await.unwrap());
            }
            let took = begun.elapsed();
            assert!(took < deadline * 10, "{name} took {took:?}");
            server.resume();
            assert_comes_back(name, store, &row).await;
        }
        server.kill9();
    });
}

#[test]
fn a_server_that_hangs_is_not_waited_for() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let (pause, resume) = (|| server.pause(), || server.resume());
        let sqlx = patient(Postgres::over(sqlx_pool(server, 4)));
        sqlx.migrate().await.unwrap();
        let silences = Arc::new(Silences::default());
        let sqlx = Postgres::over(sqlx_pool(server, 4)).deadline(DEADLINE);
        let sqlx = sqlx.observer(silences.clone()).build().unwrap();
        let parts = (sqlx.sessions(), sqlx.revocations());
        Box::pin(silence::a_server_that_hangs_is_not_waited_for(
            "postgres", parts, silences, pause, resume,
        ))
        .await;
        let silences = Arc::new(Silences::default());
        let pipelined = Postgres::connect(|| client_of(server)).deadline(DEADLINE);
        let pipelined = pipelined.observer(silences.clone()).build().unwrap();
        let parts = (pipelined.sessions(), pipelined.revocations());
        Box::pin(silence::a_server_that_hangs_is_not_waited_for(
            "postgres", parts, silences, pause, resume,
        ))
        .await;
        server.kill9();
    });
}

/// With each client.
#[test]
fn a_server_that_is_killed_is_reported() {
    run(async {
        // A commit is in the files before it is answered: the table is there after the restart.
        let Some(server) = PostgresServer::with(&[]) else {
            return;
        };
        let server: &'static PostgresServer = Box::leak(Box::new(server));
        let (kill, restart) = (|| server.kill9(), || server.restart());
        let sqlx = patient(Postgres::over(sqlx_pool(server, 4)));
        sqlx.migrate().await.unwrap();
        let silences = Arc::new(Silences::default());
        let sqlx = Postgres::over(sqlx_pool(server, 4)).observer(silences.clone());
        let store = sqlx.build().unwrap().sessions();
        Box::pin(silence::a_server_that_is_killed_is_reported(
            "postgres", store, silences, kill, restart,
        ))
        .await;
        let silences = Arc::new(Silences::default());
        let pipelined = Postgres::connect(|| client_of(server)).observer(silences.clone());
        let store = pipelined.build().unwrap().sessions();
        Box::pin(silence::a_server_that_is_killed_is_reported(
            "postgres", store, silences, kill, restart,
        ))
        .await;
        server.kill9();
    });
}

/// Both the store and the server give up a statement that waits for a lock when the deadline
/// passes, and later calls succeed. Rejects a connection that hangs forever.
#[test]
fn a_foreign_lock_makes_calls_unavailable() {
    block_on(async {
        let table = table();
        let [(_, patient), _] = both(server(), &table).await;
        let deadline = Duration::from_millis(300);
        let sqlx = Postgres::over(sqlx_pool(server(), 2)).deadline(deadline);
        let given = client_of(server()).await.unwrap();
        let given = Postgres::over(given).deadline(deadline);
        let stores: [(_, Store); 2] = [
            (
                "sqlx",
                Arc::new(sqlx.table(&table).build().unwrap().sessions()),
            ),
            (
                "given",
                Arc::new(given.table(&table).build().unwrap().sessions()),
            ),
        ];
        let admin = sqlx_pool(server(), 1);
        for (name, store) in stores {
            let row = Sample::of("alice").at(now());
            put(&patient, &row).await;
            assert_comes_back(name, &store, &row).await;
            let mut lock = admin.begin().await.unwrap();
            let text = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut *lock)
                .await
                .unwrap();
            for _ in 0..3 {
                let late = store.load(row.handle(), Load::new(), now()).await;
                assert_unavailable(name, &late);
            }
            if name == "given" {
                // The server has given up too, while the lock is still held.
                let waits = format!(
                    "SELECT count(*) FROM pg_stat_activity
                    WHERE wait_event_type = 'Lock' AND query LIKE '%\"{table}\"%'"
                );
                let watch = sqlx_pool(server(), 1);
                let begun = Instant::now();
                while number(&watch, waits.clone()).await > 0 {
                    assert!(begun.elapsed() < Duration::from_secs(60), "it still waits");
                }
            }
            lock.rollback().await.unwrap();
            assert_comes_back(name, &store, &row).await;
        }
    });
}

/// An operator terminates busy connections: answers are correct or *unavailable*, and later calls
/// succeed. Rejects a broken connection that is taken for an empty answer.
#[test]
fn closed_connections_do_not_log_out() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let admin = sqlx_pool(server, 1);
        for (name, store) in both(server, "statewise_sessions").await {
            let row = Sample::of("alice").data(vec![7; 200_000]).at(now());
            put(&store, &row).await;
            let done = Arc::new(AtomicBool::new(false));
            let right = Arc::new(AtomicUsize::new(0));
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    let (store, row) = (Arc::clone(&store), row.clone());
                    let (done, right) = (Arc::clone(&done), Arc::clone(&right));
                    tokio::spawn(async move {
                        while !done.load(Ordering::SeqCst) {
                            match store.load(row.handle(), Load::new(), now()).await {
                                Ok(found) => {
                                    let found = found.expect("an outage looks like a logout");
                                    assert!(found.encode() == row.encode());
                                    right.fetch_add(1, Ordering::SeqCst);
                                }
                                Err(error) => assert!(error.is_unavailable(), "{error:?}"),
                            }
                        }
                    })
                })
                .collect();
            let mut ended = 0;
            while ended < 60 {
                let text = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE pid <> pg_backend_pid() AND usename = 'postgres'
                    AND backend_type = 'client backend'";
                ended += number(&admin, text.to_owned()).await;
                let (before, begun) = (right.load(Ordering::SeqCst), Instant::now());
                while right.load(Ordering::SeqCst) < before + 16 {
                    let took = begun.elapsed();
                    assert!(took < Duration::from_secs(60), "{name} does not recover");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            done.store(true, Ordering::SeqCst);
            for reader in readers {
                reader.await.unwrap();
            }
            // The first call after a quiet period may discover a terminated connection.
            let _ = store.load(row.handle(), Load::new(), now()).await;
            assert!(get(&store, &row).await.is_some());
        }
        server.kill9();
    });
}

/// The connection is cut after each byte of an answer: the answer is correct or *unavailable*.
/// Rejects a partial answer that is taken for a complete one.
#[test]
fn half_an_answer_is_no_answer() {
    block_on(async {
        let table = table();
        let [(_, direct), _] = both(server(), &table).await;
        let row = Sample::of("alice").data(b"1").at(now());
        put(&direct, &row).await;
        let folder = server().folder().join("cutting");
        std::fs::create_dir(&folder).unwrap();
        let socket = folder.join(".s.PGSQL.5432");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let left = Arc::new(AtomicUsize::new(0));
        tokio::spawn(cutting(listener, Arc::clone(&left)));
        let mut whole = [0, 0];
        let mut cut = [0, 0];
        for bytes in (0..3_000).step_by(37) {
            left.store(bytes, Ordering::SeqCst);
            let options = PgConnectOptions::new_without_pgpass().socket(&folder);
            let sqlx = Postgres::over(pool_of(options, 1)).table(&table);
            let path = socket.clone();
            let pipelined = Postgres::connect(move || client_at(path.clone())).table(&table);
            let deadline = Duration::from_secs(5);
            let stores: [Store; 2] = [
                Arc::new(sqlx.deadline(deadline).build().unwrap().sessions()),
                Arc::new(pipelined.deadline(deadline).build().unwrap().sessions()),
            ];
            for (at, store) in stores.iter().enumerate() {
                left.store(bytes, Ordering::SeqCst);
                match store.load(row.handle(), Load::new(), now()).await {
                    Ok(found) => {
                        let found = found.expect("an outage looks like a logout");
                        assert_eq!(found.encode(), row.encode());
                        whole[at] += 1;
                    }
                    Err(error) => {
                        assert!(error.is_unavailable(), "{error:?}");
                        cut[at] += 1;
                    }
                }
            }
        }
        println!("whole {whole:?}, cut {cut:?}");
        assert!(whole.iter().chain(&cut).all(|count| *count > 0));
    });
}

/// Forwards connections, and cuts each after that many bytes of answers.
async fn cutting(listener: tokio::net::UnixListener, left: Arc<AtomicUsize>) {
    use tokio::net::UnixStream;
    /// Forwards available bytes. Returns `false` at the end.
    async fn pass(from: &UnixStream, to: &UnixStream, most: usize) -> Option<usize> {
        let mut buffer = vec![0; most.min(8_192)];
        loop {
            from.readable().await.ok()?;
            match from.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => {
                    let mut sent = 0;
                    while sent < read {
                        to.writable().await.ok()?;
                        match to.try_write(&buffer[sent..read]) {
                            Ok(more) => sent += more,
                            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                            Err(_) => return None,
                        }
                    }
                    return Some(read);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }
    while let Ok((client, _)) = listener.accept().await {
        let mut most = left.load(Ordering::SeqCst);
        tokio::spawn(async move {
            let Ok(upstream) = UnixStream::connect(server().socket()).await else {
                return;
            };
            let there = async { while pass(&client, &upstream, 8_192).await.is_some() {} };
            let back = async {
                while most > 0 {
                    let Some(passed) = pass(&upstream, &client, most).await else {
                        break;
                    };
                    most -= passed;
                }
            };
            tokio::select! { () = there => {}, () = back => {} }
        });
    }
}

/// Calls are dropped at each of their await points: the row is intact, and the connections serve
/// later calls. Rejects an answer left for the next reader.
#[test]
fn a_dropped_call_leaves_whole_rows() {
    block_on(async {
        let table = table();
        both(server(), &table).await;
        let sqlx = Postgres::over(sqlx_pool(server(), 1)).table(&table);
        let given = client_of(server()).await.unwrap();
        let given = Postgres::over(given).table(&table);
        let stores: [(_, Store); 2] = [
            ("sqlx", Arc::new(patient(sqlx).sessions())),
            ("pipelined", Arc::new(patient(given).sessions())),
        ];
        for (name, store) in stores {
            for at in 0..acts(&store, &Sample::of("x").at(now())).len() {
                for polls in 0..14 {
                    let row = Sample::of("alice").data(b"1").at(now());
                    let bystander = Sample::of("bob").data(b"3").at(now());
                    put(&store, &row).await;
                    put(&store, &bystander).await;
                    let (what, act) = acts(&store, &row).swap_remove(at);
                    let done = give_up_after(polls, act).await;
                    assert!(done.is_none_or(|done| done.is_ok()), "{name}, {what}");
                    let found = get(&store, &bystander).await.expect("a bystander");
                    assert_eq!(found.encode(), bystander.encode(), "{name}, {what}");
                    let found = get(&store, &row).await.expect("it was not removed");
                    assert!(found.version() <= 1 && found.generation() <= 1);
                    let rotated = found.generation() == 1;
                    assert!(!rotated || what == "rotate", "{name}, {what}");
                    assert!(found.version() == 0 || what == "update", "{name}, {what}");
                    let gone = [(&row, "alice"), (&bystander, "bob")];
                    for (row, subject) in gone {
                        let removed = store.remove(row.handle(), subject, now()).await.unwrap();
                        assert_eq!(removed.count, 1);
                    }
                    let dave = store.list("dave", Page::first(10), now()).await.unwrap();
                    assert!(dave.records.len() <= 2);
                }
            }
        }
    });
}

/// A hundred tasks share one connection. Rejects a call that holds one connection and waits for
/// another.
#[test]
fn a_pool_of_one_serves_a_hundred() {
    block_on(async {
        let table = table();
        both(server(), &table).await;
        let sqlx = Postgres::over(sqlx_pool(server(), 1)).table(&table);
        let one = Postgres::connect(|| client_of(server())).table(&table);
        let stores: [Store; 2] = [
            Arc::new(patient(sqlx).sessions()),
            Arc::new(patient(one).sessions()),
        ];
        for store in stores {
            let tasks: Vec<_> = (0..100)
                .map(|task| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        let subject = format!("user {task}");
                        let row = Sample::of(&subject).idle(100).at(now());
                        let limit = Limit::EvictOldest(1);
                        let created = store.create(&row, limit, now()).await.unwrap();
                        assert!(matches!(created, Created::Stored { .. }));
                        let rotation = Sample::rotation_of(&row);
                        let rotated = store.rotate(row.handle(), &rotation, now()).await.unwrap();
                        assert!(matches!(rotated, Rotated::Done(_)));
                        let change = Sample::update(b"2");
                        let updated = store.update(row.handle(), 0, &change, now()).await.unwrap();
                        assert!(matches!(updated, Updated::Done { .. }));
                        // Expired: found and removed.
                        let load = Load::new();
                        let found = store.load(row.handle(), load, later(100)).await.unwrap();
                        assert!(found.is_none());
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
}

/// The server decides whether a crash can lose data, and `require_durable` refuses it even if the
/// operator assumes durability. Rejects optimistic answers.
#[test]
fn durability_follows_the_configuration() {
    run(async {
        let Some(server) = PostgresServer::with(&[]) else {
            return;
        };
        let server: &'static PostgresServer = Box::leak(Box::new(server));
        let asks = async |options: &[(&'static str, &'static str)], table: &str| {
            let connect = PgConnectOptions::new_without_pgpass().socket(server.folder());
            let pool = pool_of(connect.options(options.to_vec()), 1);
            let build = |builder: PostgresBuilder<_>| {
                // Without tables, the durability is unknown.
                let log_table = match table {
                    "nowhere" => "not_there",
                    _ => "statewise_revocations",
                };
                patient(builder.table(table).log_table(log_table))
            };
            let plain = build(Postgres::over(pool.clone()));
            let vouched = build(Postgres::over(pool).assume_durable());
            let misuse = |answer: Result<(), Error>| match answer {
                Ok(()) => false,
                Err(error) => {
                    assert!(error.is_misuse(), "{error:?}");
                    true
                }
            };
            (
                plain.durability().await.unwrap(),
                misuse(plain.require_durable().await),
                misuse(vouched.require_durable().await),
            )
        };
        let (unknown, refused, refused_vouched) = asks(&[], "nowhere").await;
        assert_eq!(unknown.crash, Survives::Unknown);
        assert!(refused && !refused_vouched);

        both(server, "sessions").await;
        for (options, crash, failover) in [
            (&[][..], Survives::All, Survives::Unknown),
            (
                &[("synchronous_commit", "off")][..],
                Survives::NotAll,
                Survives::NotAll,
            ),
            (
                &[("synchronous_commit", "local")][..],
                Survives::All,
                Survives::NotAll,
            ),
        ] {
            let (durability, refused, refused_vouched) = asks(options, "sessions").await;
            assert_eq!(durability.crash, crash, "{options:?}");
            assert_eq!(durability.failover, failover, "{options:?}");
            assert_eq!(refused, crash != Survives::All);
            assert_eq!(refused_vouched, crash == Survives::NotAll);
        }
        let client = Postgres::over(client_of(server).await.unwrap()).table("sessions");
        patient(client).require_durable().await.unwrap();

        let admin = sqlx_pool(server, 1);
        sql(&admin, "ALTER TABLE sessions SET UNLOGGED".to_owned()).await;
        let (durability, refused, refused_vouched) = asks(&[], "sessions").await;
        assert_eq!(durability.crash, Survives::NotAll);
        assert!(refused && refused_vouched);
        sql(&admin, "ALTER TABLE sessions SET LOGGED".to_owned()).await;
        assert_eq!(asks(&[], "sessions").await.0.crash, Survives::All);
        let unlogged = "ALTER TABLE statewise_revocations SET UNLOGGED";
        sql(&admin, unlogged.to_owned()).await;
        assert_eq!(asks(&[], "sessions").await.0.crash, Survives::NotAll);
        server.kill9();

        for setting in ["fsync=off", "full_page_writes=off"] {
            let server: &'static PostgresServer =
                Box::leak(Box::new(PostgresServer::with(&[setting]).unwrap()));
            both(server, "sessions").await;
            let store = Postgres::connect(|| client_of(server)).table("sessions");
            let refused = patient(store).require_durable().await;
            assert!(refused.is_err_and(|error| error.is_misuse()), "{setting}");
            server.kill9();
        }
    });
}

/// A node that does not know the columns of a newer version neither changes nor judges its rows,
/// and counts them for the limit. Rejects an old node that changes rows of a newer version.
#[test]
fn a_row_of_a_newer_format_is_not_changed() {
    block_on(async {
        let table = table();
        let pool = sqlx_pool(server(), 1);
        for (name, store) in both(server(), &table).await {
            let row = Sample::of("alice").idle(100).at(now());
            put(&store, &row).await;
            sql(
                &pool,
                format!("UPDATE {table} SET format = 2, confirmed = FALSE"),
            )
            .await;
            let state = format!("SELECT hashtext(s::text) FROM {table} AS s");
            let before = number(&pool, state.clone()).await;
            let (handle, late) = (row.handle(), later(1_000));
            store
                .touch(&[(handle, later(50))], later(50))
                .await
                .unwrap();
            store.confirm(handle, 0, now()).await.unwrap();
            for at in [now(), late] {
                let rotation = Sample::rotation_of(&row);
                assert!(store.rotate(handle, &rotation, at).await.is_err(), "{name}");
                let updated = store.update(handle, 0, &Sample::update(b"2"), at).await;
                assert!(updated.is_err_and(|error| error.is_unreadable()));
                assert!(store.load(handle, Load::new(), at).await.is_err());
                while store.sweep(100, at).await.unwrap().more {}
            }
            assert_eq!(number(&pool, state).await, before, "{name}");
            let new = Sample::of("alice").at(now());
            let created = store.create(&new, Limit::Reject(1), now()).await.unwrap();
            assert!(matches!(created, Created::LimitReached));
            let removed = store.remove(handle, "alice", now()).await.unwrap();
            assert_eq!(removed.count, 1);
        }
    });
}

#[test]
fn a_critical_field_is_not_rotated() {
    block_on(async {
        let table = table();
        let pool = sqlx_pool(server(), 1);
        for (_, store) in both(server(), &table).await {
            let append = async |bytes: &[u8]| {
                let update = format!("UPDATE {table} SET fields = fields || $1");
                let update = sqlx::query(AssertSqlSafe(update)).bind(bytes);
                assert_eq!(update.execute(&pool).await.unwrap().rows_affected(), 1);
            };
            let cut = async |bytes| {
                let rest = format!("substr(fields, 1, octet_length(fields) - {bytes})");
                sql(&pool, format!("UPDATE {table} SET fields = {rest}")).await;
            };
            critical::a_critical_field_is_not_rotated(store, append, cut).await;
        }
    });
}

/// A row of a newer version, or a damaged one, is *unreadable* for its own user only. It can be
/// removed and swept, and lists continue behind it. Rejects a delete that reads first.
#[test]
fn a_damaged_row_affects_one_user() {
    block_on(async {
        let table = table();
        let pool = sqlx_pool(server(), 1);
        for (name, store) in both(server(), &table).await {
            for damage in [
                "format = 2",
                "generation = -1",
                "seed = '\\x00'",
                "last_seen = 999999999999999",
                "fields = '\\x8000'",
                "deadline = 999999999999999",
            ] {
                let rows: Vec<_> = (1..6)
                    .map(|at| Sample::of("alice").absolute(1_000 * at).at(now()))
                    .collect();
                for row in &rows {
                    put(&store, row).await;
                }
                let deadline = rows[2].deadline().unix();
                let text = format!("UPDATE {table} SET {damage} WHERE deadline = {deadline}");
                assert_eq!(sql(&pool, text).await, 1);
                let handle = rows[2].handle();
                let what = format!("{name}, {damage}");
                let load = store.load(handle, Load::new(), now()).await;
                assert!(load.is_err_and(|error| error.is_unreadable()), "{what}");
                let rotation = Sample::rotation_of(&rows[2]);
                // A rotation rewrites the other columns.
                if ["format = 2", "fields = '\\x8000'"].contains(&damage) {
                    let rotated = store.rotate(handle, &rotation, now()).await;
                    assert!(rotated.is_err_and(|error| error.is_unreadable()), "{what}");
                }
                let updated = store.update(handle, 0, &Sample::update(b"2"), now()).await;
                assert!(updated.is_err_and(|error| error.is_unreadable()), "{what}");

                let mut page = Page::first(1);
                let mut listed = Vec::new();
                loop {
                    let listing = store.list("alice", page, now()).await.unwrap();
                    listed.extend(listing.records.iter().map(Record::handle));
                    match listing.next {
                        Some(next) => page = Page::after(next, 1),
                        None => break,
                    }
                }
                let good: Vec<_> = [0, 1, 3, 4].map(|at: usize| rows[at].handle()).into();
                assert_eq!(listed, good, "{what}");

                let removed = store.remove(handle, "alice", now()).await.unwrap();
                assert_eq!(removed.count, 1, "{what}");
                let text = format!("UPDATE {table} SET {damage}");
                sql(&pool, text).await;
                let removed = store.remove_subject("alice", Scope::all(), now()).await;
                assert_eq!(removed.unwrap().count, 4, "{what}");
            }
        }
    });
}

/// A queued use counts at once in its own process, for every call, and for all processes after the
/// flush. Rejects a method that ignores the queue.
#[test]
fn pending_uses_count_at_once() {
    block_on(async {
        let table = table();
        for (name, store) in both(server(), &table).await {
            let [(_, elsewhere), _] = both(server(), &table).await;
            let upkeep = store.upkeep();
            let (used_at, late) = (later(90), later(150));
            for asked in [
                "load", "rotate", "update", "confirm", "list", "create", "sweep", "flush",
            ] {
                let what = format!("{name}, {asked}");
                let row = Sample::of("alice").idle(100).at(now());
                put(&store, &row).await;
                upkeep.tick().await.unwrap();
                store
                    .touch(&[(row.handle(), used_at)], used_at)
                    .await
                    .unwrap();
                let there = get(&elsewhere, &row).await.unwrap();
                assert_eq!(there.last_seen(), now(), "{what}: it did not wait");
                let here = get(&store, &row).await.unwrap();
                assert_eq!(here.last_seen(), used_at, "{what}");
                match asked {
                    "rotate" => {
                        let rotation = Sample::rotation_of(&row);
                        let rotated = store.rotate(row.handle(), &rotation, late).await.unwrap();
                        assert!(matches!(rotated, Rotated::Done(_)), "{what}");
                    }
                    "update" => {
                        let change = Sample::update(b"2");
                        let updated = store.update(row.handle(), 0, &change, late).await.unwrap();
                        assert!(matches!(updated, Updated::Done { .. }), "{what}");
                    }
                    "confirm" => store.confirm(row.handle(), 0, late).await.unwrap(),
                    "list" => {
                        let listing = store.list("alice", Page::first(9), late).await.unwrap();
                        assert_eq!(listing.records.len(), 1, "{what}");
                    }
                    "create" => {
                        let new = Sample::of("alice").at(late);
                        let created = store.create(&new, Limit::Reject(1), late).await.unwrap();
                        assert!(matches!(created, Created::LimitReached), "{what}");
                    }
                    "sweep" => while store.sweep(10, late).await.unwrap().more {},
                    "flush" => {
                        upkeep.tick().await.unwrap();
                        let there = get(&elsewhere, &row).await.unwrap();
                        assert_eq!(there.last_seen(), used_at, "{what}");
                    }
                    _ => {}
                }
                let load = Load::new().touch(Duration::from_secs(100));
                let found = store.load(row.handle(), load, late).await.unwrap();
                assert!(found.is_some(), "{what}: ended early");
                let over = store.load(row.handle(), load, later(1_000)).await.unwrap();
                assert!(over.is_none());
                assert!(get(&store, &row).await.is_none(), "{what}: revived");
            }
        }
    });
}

/// One node finds a login expired while another records its use: the login lives on, because the
/// removal checks the current row. Rejects a node with a fast clock that deletes by an earlier
/// read.
#[test]
fn a_concurrent_use_prevents_the_removal() {
    block_on(async {
        let table = table();
        let pool = sqlx_pool(server(), 2);
        for (name, store) in both(server(), &table).await {
            for asked in ["load", "rotate", "update"] {
                let row = Sample::of("alice").idle(100).at(now());
                put(&store, &row).await;
                let mut other = pool.begin().await.unwrap();
                let text = format!(
                    "UPDATE {table} SET last_seen = {} WHERE deadline > 0",
                    later(90).unix()
                );
                let touched = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *other);
                assert_eq!(touched.await.unwrap().rows_affected(), 1);
                let act = {
                    let (store, row) = (Arc::clone(&store), row.clone());
                    tokio::spawn(async move {
                        let (handle, late) = (row.handle(), later(150));
                        match asked {
                            "load" => store
                                .load(handle, Load::new(), late)
                                .await
                                .unwrap()
                                .is_some(),
                            "rotate" => {
                                let rotation = Sample::rotation_of(&row);
                                let rotated = store.rotate(handle, &rotation, late).await.unwrap();
                                matches!(rotated, Rotated::Done(_))
                            }
                            _ => {
                                let change = Sample::update(b"2");
                                let updated = store.update(handle, 0, &change, late).await.unwrap();
                                matches!(updated, Updated::Done { .. })
                            }
                        }
                    })
                };
                let waits = format!(
                    "SELECT count(*) FROM pg_stat_activity
                    WHERE wait_event_type = 'Lock' AND query LIKE '%\"{table}\"%'"
                );
                let begun = Instant::now();
                while number(&pool, waits.clone()).await == 0 {
                    assert!(
                        begun.elapsed() < Duration::from_secs(60),
                        "no statement waits for the lock"
                    );
                }
                other.commit().await.unwrap();
                assert!(act.await.unwrap(), "{name}, {asked}: ended early");
                let removed = store.remove(row.handle(), "alice", now()).await.unwrap();
                assert_eq!(removed.count, 1);
            }
        }
    });
}

/// Connection errors have their root, and do not reveal the address or the user.
#[test]
fn errors_contain_no_host_and_no_password() {
    run(async {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(1)
            .password("hunter2");
        let pool = pool_of(options, 1);
        let sqlx = Postgres::over(pool).deadline(Duration::from_millis(200));
        let pipelined = Postgres::connect(async || {
            Err::<Arc<tokio_postgres::Client>, _>("postgres://me:hunter2@127.0.0.1:1")
        });
        let refused = Postgres::connect(async || {
            let stream = tokio::net::TcpStream::connect("127.0.0.1:1").await;
            Err::<Arc<tokio_postgres::Client>, _>(stream.unwrap_err())
        });
        let stores: [(Store, bool); 3] = [
            (Arc::new(sqlx.build().unwrap().sessions()), true),
            (Arc::new(pipelined.build().unwrap().sessions()), false),
            (Arc::new(refused.build().unwrap().sessions()), true),
        ];
        for (store, is_refused) in stores {
            let row = Sample::of("alice").at(now());
            let answer = store.load(row.handle(), Load::new(), now()).await;
            assert_unavailable("no server", &answer);
            let text = format!("{answer:?} {store:?}");
            // The root of the failure is shown.
            assert_eq!(text.contains("connection refused"), is_refused, "{text}");
            for secret in ["hunter2", "127.0.0.1", "postgres://"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    });
}

#[test]
fn count_01_is_the_number_of_logins_that_verify() {
    block_on(async {
        let pool = sqlx_pool(server(), 2);
        let migrated = async || {
            let table = table();
            let sqlx = patient(Postgres::over(pool.clone()).table(&*table));
            sqlx.migrate().await.unwrap();
            (table, sqlx.sessions())
        };
        let open = async || migrated().await.1;
        let count = async |store: &PostgresStore<Sqlx>, now| store.count_live(now).await.unwrap();
        count::count_01_is_the_number_of_logins_that_verify(open, count).await;
        let open = async || {
            let pipelined = Postgres::connect(|| client_of(server())).connections(1);
            patient(pipelined.table(migrated().await.0)).sessions()
        };
        let count =
            async |store: &PostgresStore<Pipelined>, now| store.count_live(now).await.unwrap();
        count::count_01_is_the_number_of_logins_that_verify(open, count).await;
    });
}

#[test]
fn a_wrong_clock_is_reported() {
    block_on(async {
        for (_, store) in both(server(), &table()).await {
            clock_skew::a_wrong_clock_is_reported(store).await;
        }
    });
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    block_on(async {
        let table = table();
        let [sqlx, pipelined] = both(server(), &table).await.map(|(_, store)| store);
        let others = both(server(), &table).await.map(|(_, store)| store);
        for here in [sqlx, pipelined] {
            for there in &others {
                let nodes = [Arc::clone(&here), Arc::clone(there)];
                late_save::a_late_save_does_not_undo_a_logout(nodes).await;
            }
        }
    });
}
