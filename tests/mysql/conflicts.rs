//! The store repeats transactions that the server rolls back because of other transactions.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::mysql::MySqlPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};
use statewise::session::Limit;
use statewise::store::contract::{Created, Record, Scope, SessionStore as _};
use statewise::testkit::Sample;
use tokio::sync::Mutex;

use super::cases::{count, get, now, put};
use super::server::{Shared, pool, store_in, table};
use super::shared::with_server;

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
    let counted = "SELECT CAST(variable_value AS UNSIGNED) FROM information_schema.global_status \
         WHERE variable_name = 'Innodb_deadlocks'";
    let counted = sqlx::query_scalar(counted).fetch_one(&shared.pool);
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
        wait_for(shared, &format!("DELETE FROM `{table}`")).await;
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
