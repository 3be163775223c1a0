//! The store repeats transactions that the server rolls back because of other transactions.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::mysql::MySqlPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, MySqlPool};
use statewise::session::Limit;
use statewise::store::contract::{Created, Record, Scope, SessionStore as _};
use statewise::testkit::Sample;
use tokio::sync::Mutex;

use super::cases::{count, get, later, now, put};
use super::runtime::block_on;
use super::server::{Shared, pool, store_in, table};
use super::shared::with_server;
use super::support::servers::mariadb::MariaDbServer;

/// Number of logouts of a burst test.
const LOGOUTS: u64 = 100;
/// Number of logins of each of its users.
const BURST: u64 = 120;

async fn sql(connection: &mut MySqlConnection, text: String) {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection);
    done.await.unwrap();
}

/// Counts transactions that wait for a lock in a statement with this beginning.
async fn waiting(shared: &Shared, statement: &str) -> Vec<String> {
    // The server refreshes this table only if it was not read for 100 ms.
    static ONE_ASKS: Mutex<()> = Mutex::const_new(());
    let _one = ONE_ASKS.lock().await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    let listing = "SELECT CAST(trx_id AS CHAR) FROM information_schema.innodb_trx \
         WHERE trx_state = 'LOCK WAIT' AND LEFT(trx_query, CHAR_LENGTH(?)) = ?";
    let listing = sqlx::query_scalar(listing).bind(statement).bind(statement);
    listing.fetch_all(&shared.pool).await.unwrap()
}

async fn wait_for(shared: &Shared, statement: &str) {
    while waiting(shared, statement).await.is_empty() {}
}

async fn deadlocks(shared: &Shared) -> u64 {
    status(&shared.pool, "Innodb_deadlocks").await
}

/// Returns a counter of the server.
async fn status(pool: &MySqlPool, name: &str) -> u64 {
    let counted = "SELECT CAST(variable_value AS UNSIGNED) FROM information_schema.global_status \
         WHERE variable_name = ?";
    let counted = sqlx::query_scalar(counted).bind(name).fetch_one(pool);
    counted.await.unwrap()
}

/// Writes enough that the server picks the other transaction as the deadlock victim.
async fn write_much(holder: &mut MySqlConnection, table: &str) {
    let text = format!("INSERT INTO {table}_weight SELECT seq FROM seq_1_to_2000");
    sql(holder, text).await;
}

fn hexed(row: &Record) -> String {
    let bytes = row.handle().as_bytes().map(|byte| format!("{byte:02x}"));
    format!("x'{}'", bytes.concat())
}

/// A removal of two rows, and a transaction that locks them in the opposite order. Rejects a store
/// that answers *unavailable* for a rolled-back transaction that the server asks to repeat.
#[test]
fn a_statement_is_retried_after_a_deadlock() {
    with_server(async |shared| {
        let table = table();
        let store = store_in(&pool(&shared.server, 2), &table).await;
        let mut rows = [(); 2].map(|()| Sample::of("alice").at(now()));
        rows.sort_by_key(Record::handle);
        for row in &rows {
            put(&store, row).await;
        }
        let mut holder = shared.pool.acquire().await.unwrap();
        sql(&mut holder, format!("CREATE TABLE {table}_weight (n INT)")).await;
        let before = deadlocks(shared).await;
        let mut holding = holder.begin().await.unwrap();
        write_much(&mut holding, &table).await;
        let lock = |row: &Record| {
            let handle = hexed(row);
            format!("SELECT handle FROM {table} WHERE handle = {handle} FOR UPDATE")
        };
        sql(&mut holding, lock(&rows[1])).await;
        let removal = tokio::spawn({
            let store = store.clone();
            async move { store.remove_subject("alice", Scope::all(), now()).await }
        });
        wait_for(shared, "DELETE `s` FROM").await;
        sql(&mut holding, lock(&rows[0])).await;
        assert!(
            deadlocks(shared).await > before,
            "no transaction lost a deadlock"
        );
        holding.rollback().await.unwrap();
        assert_eq!(removal.await.unwrap().unwrap().count, 2);
        assert_eq!(count(&store, "alice").await, 0);
    });
}

/// A login within a limit while another transaction adds the same row. The login waits, and loses a
/// deadlock or not; the other transaction commits or not.
async fn inserts_beside_another(shared: &Shared, deadlock: bool, done: bool) {
    let table = table();
    let store = store_in(&pool(&shared.server, 1), &table).await;
    let twin = store_in(&shared.pool, &format!("{table}_twin")).await;
    let (first, row) = (Sample::of("alice").at(now()), Sample::of("alice").at(now()));
    let limit = Limit::EvictOldest(1);
    let stored = store.create(&first, limit, now()).await.unwrap();
    assert!(matches!(stored, Created::Stored { .. }));
    put(&twin, &row).await;

    let mut holder = shared.pool.acquire().await.unwrap();
    sql(&mut holder, format!("CREATE TABLE {table}_weight (n INT)")).await;
    let before = deadlocks(shared).await;
    let mut holding = holder.begin().await.unwrap();
    write_much(&mut holding, &table).await;
    let insert = format!("INSERT INTO {table} SELECT * FROM {table}_twin");
    sql(&mut holding, insert).await;
    let adding = tokio::spawn({
        let (store, row) = (store.clone(), row.clone());
        async move { store.create(&row, limit, now()).await }
    });
    wait_for(shared, &format!("INSERT INTO `{table}`")).await;
    if deadlock {
        let lock = format!("SELECT part FROM {table}_limit FOR UPDATE");
        sql(&mut holding, lock).await;
        assert!(
            deadlocks(shared).await > before,
            "no transaction lost a deadlock"
        );
    }
    if done {
        holding.commit().await.unwrap();
    } else {
        holding.rollback().await.unwrap();
    }

    let created = adding.await.unwrap().unwrap();
    if done {
        assert_eq!(created, Created::Duplicate);
        assert_eq!(count(&twin, "alice").await, 1);
    } else {
        let evicted = vec![first.handle()];
        assert_eq!(created, Created::Stored { evicted });
    }
    // After a rollback, the evicted login still exists, also for another connection, and the next
    // call on the same connection succeeds.
    let other = store_in(&shared.pool, &table).await;
    for store in [&store, &other] {
        assert_eq!(get(store, &first).await.is_some(), done);
        assert!(get(store, &row).await.is_some());
    }
    let removed = store.remove(row.handle(), "alice", now()).await.unwrap();
    assert_eq!(removed.count, 1);
    assert!(get(&other, &row).await.is_none(), "a transaction was left");
}

/// Rejects a store that answers *unavailable* for a deadlock, and one that commits a part of a
/// transaction.
#[test]
fn a_login_is_retried_after_a_deadlock() {
    with_server(async |shared| {
        inserts_beside_another(shared, true, false).await;
        inserts_beside_another(shared, true, true).await;
    });
}

/// The count runs before the other row exists, and the insert finds it. Rejects a store that evicts
/// for a duplicate, or that returns a connection with an open transaction.
#[test]
fn a_duplicate_login_changes_nothing() {
    with_server(async |shared| {
        inserts_beside_another(shared, false, true).await;
        inserts_beside_another(shared, false, false).await;
    });
}

/// The server's lock timeout is much shorter than the deadline of the store. Rejects a store that
/// gives up with the server.
#[test]
fn a_statement_is_retried_after_a_lock_timeout() {
    with_server(async |shared| {
        let table = table();
        let hasty = MySqlPoolOptions::new().max_connections(2);
        let hasty = hasty.after_connect(|connection, _| {
            Box::pin(async move {
                let hasty = "SET SESSION innodb_lock_wait_timeout = 1";
                sqlx::raw_sql(hasty).execute(connection).await.map(drop)
            })
        });
        let store = store_in(&hasty.connect(&shared.server.url()).await.unwrap(), &table).await;
        let row = Sample::of("alice").at(now());
        let limit = Limit::Reject(5);
        let _ = store.create(&row, limit, now()).await.unwrap();
        let mut holder = shared.pool.acquire().await.unwrap();
        let mut holding = holder.begin().await.unwrap();
        for name in [&table, &format!("{table}_limit")] {
            sql(&mut holding, format!("SELECT * FROM {name} FOR UPDATE")).await;
        }
        let removal = tokio::spawn({
            let (store, handle) = (store.clone(), row.handle());
            async move { store.remove(handle, "alice", now()).await }
        });
        let fresh = Sample::of("alice").at(now());
        let adding = tokio::spawn({
            let (store, fresh) = (store.clone(), fresh.clone());
            async move { store.create(&fresh, limit, now()).await }
        });
        // Each waits, fails, and waits again.
        for statement in [
            format!("DELETE FROM `{table}`"),
            format!("SELECT `part` FROM `{table}_limit`"),
        ] {
            let mut seen = BTreeSet::new();
            while seen.len() < 2 {
                assert!(
                    !removal.is_finished() && !adding.is_finished(),
                    "it was not retried"
                );
                seen.extend(waiting(shared, &statement).await);
            }
        }
        holding.rollback().await.unwrap();
        assert_eq!(removal.await.unwrap().unwrap().count, 1);
        let added = adding.await.unwrap().unwrap();
        assert!(matches!(added, Created::Stored { .. }));
        assert_eq!(count(&store, "alice").await, 1);
    });
}

/// Two nodes note uses of the logins of a user while the user logs out everywhere. Rejects a removal
/// that locks rows in another order than the uses.
#[test]
fn a_logout_during_a_burst_of_uses_never_deadlocks() {
    block_on(async {
        let Some(server) = MariaDbServer::start() else {
            return;
        };
        let pools = [pool(&server, 6), pool(&server, 6)];
        let pooled = async |at: usize| store_in(&pools[at], "statewise_sessions").await;
        let nodes = [pooled(0).await, pooled(1).await];
        put(&nodes[0], &Sample::of("other users").at(now())).await;
        // With many other rows, a removal finds its rows by the index of subjects.
        let others = "INSERT INTO statewise_sessions SELECT UNHEX(MD5(seq)), format, version, \
             generation, created_at, authenticated_at, deadline, rotated_at, last_seen, idle, \
             confirmed, rotation_wanted, current_proof, previous_proof, family_proof, seed, stamp, \
             UNHEX(SHA2(seq, 256)), fields FROM statewise_sessions, seq_1_to_5000";
        sqlx::raw_sql(others).execute(&pools[0]).await.unwrap();
        for round in 0..LOGOUTS {
            let subject = format!("user {round}");
            let rows: Vec<_> = (0..BURST)
                .map(|at| {
                    // The oldest login has the last deadline.
                    let row = Sample::of(&subject).idle(100_000);
                    row.absolute(200_000 - at).at(now())
                })
                .collect();
            for row in &rows {
                put(&nodes[0], row).await;
            }
            let mut bursts = Vec::new();
            for (at, node) in nodes.iter().enumerate() {
                for turn in 1..4 {
                    let uses: Vec<_> = rows.iter().map(|row| row.handle()).collect();
                    let time = later(turn * 10 + at as u64);
                    let uses: Vec<_> = uses.into_iter().map(|handle| (handle, time)).collect();
                    let node = node.clone();
                    bursts.push(tokio::spawn(async move { node.touch(&uses, time).await }));
                }
            }
            let removed = nodes[1].remove_subject(&subject, Scope::all(), now()).await;
            assert_eq!(removed.unwrap().count, BURST);
            for burst in bursts {
                burst.await.unwrap().unwrap();
            }
        }
        let [deadlocks, waits] = ["Innodb_deadlocks", "Innodb_row_lock_waits"];
        let (deadlocks, waits) = (
            status(&pools[0], deadlocks).await,
            status(&pools[0], waits).await,
        );
        println!("{LOGOUTS} logouts during bursts: {deadlocks} deadlocks, {waits} waits for locks");
        assert!(waits > 0, "nothing met: the test is void");
        assert_eq!(deadlocks, 0);
    });
}
