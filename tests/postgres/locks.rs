//! One order of locks: no deadlock between logouts and uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Row as _};
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::Postgres;
use statewise::store::contract::{Handle, Scope, SessionStore as _};
use statewise::testkit::Sample;

use crate::fixture::{patient, run, sqlx_pool};
use crate::support::servers::postgres::PostgresServer;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);
const LOGOUTS: u64 = 100;
const DEVICES: usize = 600;

/// Two nodes write the uses of an account's 600 devices while the account is logged out everywhere,
/// 100 times. The server counts no deadlock. Rejects a logout that locks rows in the order of the
/// index.
#[test]
fn logouts_in_a_burst_of_uses_do_not_deadlock() {
    run(async {
        let options = [
            "fsync=off",
            "synchronous_commit=off",
            "deadlock_timeout=50ms",
        ];
        let Some(server) = PostgresServer::with(&options) else {
            return;
        };
        let pool = sqlx_pool(&server, 4);
        let nodes = [(); 3].map(|()| patient(Postgres::over(sqlx_pool(&server, 2))));
        let logs_out = nodes[2].sessions();
        nodes[2].migrate().await.unwrap();
        let one = Sample::of("alice").at(NOW);
        let _ = logs_out.create(&one, Limit::Unlimited, NOW).await.unwrap();
        // One row, of which the devices are copies.
        let template = "CREATE TABLE template AS SELECT * FROM statewise_sessions";
        sqlx::query(template).execute(&pool).await.unwrap();
        let (mut removed, mut slowest) = (0, Duration::ZERO);
        for round in 0..LOGOUTS {
            let copy = format!(
                "INSERT INTO statewise_sessions SELECT (json_populate_record(t, json_build_object(
                    'handle', substr(sha256(('{round} ' || d)::bytea), 1, 16),
                    'deadline', t.deadline + abs(hashint8(d)) % 1000))).*
                FROM template AS t, generate_series(1, {DEVICES}) AS d RETURNING handle"
            );
            let rows = sqlx::query(AssertSqlSafe(copy))
                .fetch_all(&pool)
                .await
                .unwrap();
            let handles: Vec<_> = rows
                .iter()
                .map(|row| Handle::from_bytes(row.get::<Vec<u8>, _>(0).try_into().unwrap()))
                .collect();
            let ended = Arc::new(AtomicBool::new(false));
            let bursts: Vec<_> = nodes[..2]
                .iter()
                .map(|node| {
                    let (store, handles) = (node.sessions(), handles.clone());
                    let ended = Arc::clone(&ended);
                    tokio::spawn(async move {
                        let mut seen_at = NOW;
                        while !ended.load(Ordering::SeqCst) {
                            seen_at = seen_at.saturating_add(1);
                            let uses: Vec<_> =
                                handles.iter().map(|handle| (*handle, seen_at)).collect();
                            store.touch(&uses, seen_at).await.unwrap();
                        }
                    })
                })
                .collect();
            // At another moment of the bursts each time.
            tokio::time::sleep(Duration::from_millis(round % 10)).await;
            let begun = Instant::now();
            let logout = logs_out.remove_subject("alice", Scope::all(), NOW).await;
            slowest = slowest.max(begun.elapsed());
            removed += logout.unwrap().count;
            ended.store(true, Ordering::SeqCst);
            for burst in bursts {
                burst.await.unwrap();
            }
        }
        let deadlocks = server
            .guard()
            .log("postgres")
            .matches("deadlock detected")
            .count();
        println!("{LOGOUTS} logouts, {deadlocks} deadlocks, slowest logout {slowest:?}");
        assert_eq!(removed, LOGOUTS * DEVICES as u64 + 1);
        assert_eq!(deadlocks, 0);
        server.kill9();
    });
}
