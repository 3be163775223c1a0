//! Nodes that count commands, hang and die. Each test has its own Cluster.

use std::time::{Duration, Instant};

use redis::cluster_async::ClusterConnection;
use statewise::clock::Timestamp;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::contract::{Load, Record, SessionStore};
use statewise::store::{Redis, RedisStore};
use statewise::testkit::Sample;
use statewise::{Authenticator, Login};

use crate::common::{PATIENT, patient, run, store};
use crate::support::servers::redis::Cluster;
use crate::support::servers::wait_until;
use crate::{PRIMARIES, connect};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const TOUCH: Load = Load::new().touch(Duration::from_secs(3_600));

/// Commands that nodes and clients exchange without accessing a session.
const UPKEEP: [&str; 8] = [
    "client", "cluster", "config", "hello", "info", "ping", "psync", "replconf",
];

/// Number of executions of each command on all nodes since the statistics were reset.
fn commands(cluster: &Cluster) -> Vec<(String, u64)> {
    let mut sums = std::collections::BTreeMap::new();
    for node in 0..cluster.ports().len() {
        let stats = cluster.ask(node, &["INFO", "commandstats"]).unwrap();
        for line in stats.lines() {
            let Some((name, rest)) = line
                .strip_prefix("cmdstat_")
                .and_then(|line| line.split_once(":calls="))
            else {
                continue;
            };
            let is_upkeep = UPKEEP.contains(&name.split('|').next().unwrap_or(name));
            // A replica executes the commands of its primary again.
            if node < PRIMARIES && !is_upkeep {
                let calls: u64 = rest.split(',').next().unwrap().parse().unwrap();
                *sums.entry(name.to_owned()).or_default() += calls;
            } else {
                assert!(name != "get", "read from a replica");
            }
        }
    }
    sums.into_iter().collect()
}

/// A verification is one command on one node of the Cluster, and no node is asked twice.
#[test]
fn a_verification_is_one_command() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    run(async {
        let auth = SessionAuthenticator::builder(store(connect(&cluster).await))
            .idle(Duration::from_secs(1_800))
            .absolute(Duration::from_secs(12 * 3_600))
            .build()
            .unwrap();
        let mut sessions = Vec::new();
        for user in 0..30 {
            let login = Login::new(format!("user {user}"));
            let issued = auth.issue(login).await.unwrap();
            sessions.push(issued.credential().reveal().to_owned());
        }
        for node in 0..cluster.ports().len() {
            cluster.ask(node, &["CONFIG", "RESETSTAT"]).unwrap();
        }
        for session in &sessions {
            auth.verify(session).await.unwrap();
        }
        assert_eq!(commands(&cluster), [("getex".to_owned(), 30)]);
    });
}

/// The rows of a node.
fn rows_on(cluster: &Cluster, node: usize, rows: &[Record], prefix: &str) -> Vec<Record> {
    let keys = cluster
        .ask(node, &["KEYS", &format!("{prefix}*:s:*")])
        .unwrap();
    let is_there = |row: &&Record| {
        use base64::Engine as _;
        let handle =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(row.handle().as_bytes());
        keys.lines().any(|key| key.ends_with(&handle))
    };
    rows.iter().filter(is_there).cloned().collect()
}

async fn assert_unavailable_in_time(store: &RedisStore<ClusterConnection>, rows: &[Record]) {
    for row in rows.iter().take(3) {
        let begun = Instant::now();
        let answers = tokio::join!(
            store.load(row.handle(), TOUCH, NOW),
            store.remove(row.handle(), "somebody else", NOW),
            store.create(row, Limit::Reject(1), NOW),
        );
        assert!(answers.0.is_err_and(|error| error.is_unavailable()));
        assert!(answers.1.is_err_and(|error| error.is_unavailable()));
        assert!(answers.2.is_err_and(|error| error.is_unavailable()));
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    }
}

/// Repeats until each of the rows is found. A row must never appear absent in the meantime.
async fn assert_come_back(store: &RedisStore<ClusterConnection>, rows: &[Record]) {
    let begun = Instant::now();
    for row in rows {
        loop {
            match store.load(row.handle(), TOUCH, NOW).await {
                Ok(found) => break assert!(found.is_some(), "an outage was reported as a logout"),
                Err(error) => assert!(error.is_unavailable(), "{error:?}"),
            }
            assert!(begun.elapsed() < PATIENT, "still unavailable");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A hanging primary makes its own sessions *unavailable* within the deadline, and no others. A
/// dead primary does so until its replica takes over with all of the replica's data. Rejects a
/// client that waits for a node without a limit, and a missing node that looks like a logout.
#[test]
fn a_primary_that_hangs_or_dies_makes_its_own_sessions_unavailable() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    run(async {
        let patient = store(connect(&cluster).await);
        let mut rows = Vec::new();
        for user in 0..30 {
            let row = Sample::of(format!("user {user}")).at(NOW);
            let _ = patient.create(&row, Limit::Unlimited, NOW).await.unwrap();
            rows.push(row);
        }
        let [lost, others] = [&[0][..], &[1, 2]].map(|nodes| {
            let rows = nodes
                .iter()
                .flat_map(|node| rows_on(&cluster, *node, &rows, patient.prefix()));
            rows.collect::<Vec<_>>()
        });
        assert!(!lost.is_empty() && lost.len() + others.len() == rows.len());
        let redis = Redis::over(connect(&cluster).await).prefix(patient.prefix());
        let redis = redis.deadline(Duration::from_millis(500)).build().unwrap();
        let store = redis.sessions();
        assert_come_back(&store, &rows).await;

        cluster.pause(0);
        assert_unavailable_in_time(&store, &lost).await;
        assert_come_back(&store, &others).await;
        cluster.resume(0);
        assert_come_back(&store, &rows).await;

        // The replica of the first primary has all of it.
        let offset = |node: usize, name: &str| {
            let info = cluster.ask(node, &["INFO", "replication"]).unwrap();
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        wait_until(|| {
            let sent = offset(0, "master_repl_offset:");
            let had = offset(PRIMARIES, "slave_repl_offset:");
            if sent == had {
                Ok(())
            } else {
                Err((sent, had))
            }
        })
        .unwrap();
        cluster.kill9(0);
        assert_unavailable_in_time(&store, &lost).await;
        cluster
            .ask(PRIMARIES, &["CLUSTER", "FAILOVER", "TAKEOVER"])
            .unwrap();
        assert_come_back(&store, &rows).await;
        // It accepts writes.
        for row in &lost {
            let removed = patient.remove(row.handle(), row.subject(), NOW).await;
            assert_eq!(removed.unwrap().count, 1);
            assert!(
                patient
                    .load(row.handle(), TOUCH, NOW)
                    .await
                    .unwrap()
                    .is_none()
            );
        }
    });
}

/// One node that may evict keys is enough: its index may be lost.
#[test]
fn one_node_that_evicts_keys_is_named() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    run(async {
        let redis = patient(connect(&cluster).await).assume_durable();
        let redis = redis.build().unwrap();
        redis.check().await.unwrap();
        let set = |name: &str, value: &str| {
            cluster.ask(2, &["CONFIG", "SET", name, value]).unwrap();
        };
        set("maxmemory", "1000000000");
        set("maxmemory-policy", "volatile-lru");
        for refused in [redis.check().await, redis.require_durable().await] {
            assert!(refused.is_err_and(|error| error.is_misuse()));
        }
    });
}
