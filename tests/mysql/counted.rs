//! Numbers of statements, counted by the server.

use sqlx::MySqlPool;
use statewise::store::contract::{Page, Rotated, Scope, SessionStore as _, Updated};
use statewise::testkit::Sample;

use super::cases::{get, later, now, put};
use super::runtime::block_on;
use super::server::{pool, store_in};
use super::support::servers::mariadb::MariaDbServer;

/// Statements on the table so far. Statements that begin and end a transaction name no table.
async fn known(pool: &MySqlPool) -> i64 {
    let count = "SELECT COUNT(*) FROM mysql.general_log
        WHERE command_type IN ('Execute', 'Query')
        AND argument LIKE '%statewise_sessions%' AND argument NOT LIKE '%general_log%'";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

/// Each call is one statement, except rotation and a change of data: both read first, because MySQL
/// has no `UPDATE .. RETURNING`. Rejects a read before a write, and one statement per row of a
/// batch.
#[test]
fn each_operation_is_one_statement() {
    block_on(async {
        let options = [
            "--innodb-flush-log-at-trx-commit=0",
            "--general-log=1",
            "--log-output=TABLE",
        ];
        let Some(server) = MariaDbServer::with(&options) else {
            return;
        };
        let asking = pool(&server, 1);
        let store = store_in(&pool(&server, 1), "statewise_sessions").await;
        let mut before = known(&asking).await;
        let mut counts = async |act: &str, most: i64| {
            let now = known(&asking).await;
            assert_eq!(now - before, most, "{act}");
            before = now;
        };
        let rows = [(); 3].map(|()| Sample::of("alice").idle(1_000).at(now()));
        for row in &rows {
            put(&store, row).await;
            counts("create", 1).await;
        }
        let handle = rows[0].handle();
        assert!(get(&store, &rows[0]).await.is_some());
        counts("load", 1).await;
        let uses: Vec<_> = rows.iter().map(|row| (row.handle(), later(500))).collect();
        store.touch(&uses, later(500)).await.unwrap();
        counts("touch", 1).await;
        let rotation = Sample::rotation_of(&rows[0]);
        let rotated = store.rotate(handle, &rotation, now()).await.unwrap();
        assert!(matches!(rotated, Rotated::Done(_)));
        counts("rotate", 2).await;
        let updated = store.update(handle, 0, &Sample::update(b"1"), now()).await;
        assert!(matches!(updated, Ok(Updated::Done { .. })));
        counts("update", 2).await;
        store.confirm(handle, 1, now()).await.unwrap();
        counts("confirm", 1).await;
        let listed = store.list("alice", Page::first(2), now()).await.unwrap();
        assert_eq!(listed.records.len(), 2);
        counts("list", 1).await;
        let _ = store.sweep(100, now()).await.unwrap();
        counts("sweep", 1).await;
        let removed = store.remove(handle, "alice", now()).await.unwrap();
        assert_eq!(removed.count, 1);
        counts("remove", 1).await;
        let removed = store.remove_subject("alice", Scope::all(), now()).await;
        assert_eq!(removed.unwrap().count, 2);
        counts("remove_subject", 1).await;
    });
}
