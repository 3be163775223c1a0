//! The Redis store and log on a Cluster of three primaries and three replicas.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers are part of the tests"
)]

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::revocation::RedisLog;
use statewise::session::Limit;
use statewise::store::contract::{Handle, Load, Page, Scope, SessionStore};
use statewise::store::{RedisStore, Survives};
use statewise::testkit::{EditBytes, LogFixture, Sample, StoreFixture};

use common::{PATIENT, patient, prefix, rewrite, run, shift, shift_log, spread, store};
use support::servers::redis::Cluster;

#[path = "../stores/cached.rs"]
mod cached;
#[path = "../stores/clock_skew.rs"]
mod clock_skew;
#[path = "../redis/common.rs"]
mod common;
#[path = "../redis/dropped.rs"]
mod dropped;
mod failures;
#[path = "../stores/late_save.rs"]
mod late_save;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[path = "../stores/log_reader.rs"]
mod log_reader;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod reader;
#[path = "../strategies/mod.rs"]
mod strategies;
#[path = "../support/mod.rs"]
mod support;

/// Nodes that hold keys to be written, in front of the others.
const PRIMARIES: usize = 3;

fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start).as_ref()
}

async fn connect(cluster: &Cluster) -> ClusterConnection {
    let client = ClusterClient::builder(cluster.urls())
        .response_timeout(PATIENT)
        .connection_timeout(PATIENT)
        .build();
    let connection = client.unwrap().get_async_connection().await;
    connection.unwrap()
}

struct Fixture;

/// Skips a law if there is no server.
fn on_a_cluster(law: impl Future<Output = ()>) {
    if cluster().is_some() {
        run(law);
    }
}

impl StoreFixture for Fixture {
    type Store = RedisStore<ClusterConnection>;

    const SWEEPS: bool = false;

    async fn open(&self) -> Self::Store {
        store(connect(cluster().unwrap()).await)
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        let by = by.as_millis().to_string();
        for node in 0..PRIMARIES {
            let shifted = cluster().unwrap().ask(node, &shift(store.prefix(), &by));
            assert_eq!(shifted.as_deref(), Ok("1"));
        }
    }

    async fn rewrite(
        &self,
        store: &Self::Store,
        handle: Handle,
        _: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        for url in cluster().unwrap().urls() {
            let client = redis::Client::open(url).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            if rewrite(connection, store.prefix(), handle, edit).await {
                return true;
            }
        }
        false
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

mod laws {
    statewise::testkit::session_store_laws!(super::Fixture, block_on = super::on_a_cluster);
}

/// Behind a `CachedStore`.
mod laws_cached {
    statewise::testkit::session_store_laws!(
        crate::cached::Cached::over(super::Fixture),
        block_on = super::on_a_cluster
    );
}

mod strategy_laws {
    crate::strategies::strategy_laws!(super::Fixture, block_on = super::on_a_cluster);
}

struct LogOnCluster;

impl LogFixture for LogOnCluster {
    type Log = RedisLog<ClusterConnection>;

    const OWN_CLOCK: bool = true;

    async fn open(&self) -> Self::Log {
        log(&prefix()).await
    }

    async fn again(&self, known: &Self::Log) -> Self::Log {
        log(known.prefix()).await
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        let by = by.as_millis().to_string();
        for node in 0..PRIMARIES {
            let shifted = cluster().unwrap().ask(node, &shift_log(log.prefix(), &by));
            assert_eq!(shifted.as_deref(), Ok("1"));
        }
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

async fn log(prefix: &str) -> RedisLog<ClusterConnection> {
    let redis = patient(connect(cluster().unwrap()).await).prefix(prefix);
    redis.build().unwrap().revocations()
}

mod log_laws {
    statewise::testkit::revocation_log_laws!(super::LogOnCluster, block_on = super::on_a_cluster);
}

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// Moves one slot from its primary to another, in steps.
struct Move<'c> {
    cluster: &'c Cluster,
    slot: String,
    from: usize,
    to: usize,
}

impl<'c> Move<'c> {
    /// Begins the move: from now on both nodes may hold keys of the slot.
    fn begin(cluster: &'c Cluster, key: &str) -> Self {
        let slot = cluster.ask(0, &["CLUSTER", "KEYSLOT", key]).unwrap();
        let owns = |node: &usize| cluster.ask(*node, &["EXISTS", key]).as_deref() == Ok("1");
        let from = (0..PRIMARIES).find(owns).unwrap();
        let to = (from + 1) % PRIMARIES;
        let moving = Self {
            cluster,
            slot,
            from,
            to,
        };
        moving.set(to, &["IMPORTING", &moving.id(from)]);
        moving.set(from, &["MIGRATING", &moving.id(to)]);
        moving
    }

    fn id(&self, node: usize) -> String {
        self.cluster.ask(node, &["CLUSTER", "MYID"]).unwrap()
    }

    fn set(&self, node: usize, state: &[&str]) {
        let command = [&["CLUSTER", "SETSLOT", &self.slot], state].concat();
        self.cluster.ask(node, &command).unwrap();
    }

    fn carry(&self, key: &str) {
        let port = self.cluster.ports()[self.to].to_string();
        let command = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        self.cluster.ask(self.from, &command).unwrap();
    }

    /// Moves the remaining keys, and informs all nodes.
    fn end(&self) {
        let list = ["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"];
        for key in self.cluster.ask(self.from, &list).unwrap().lines() {
            self.carry(key);
        }
        let owner = self.id(self.to);
        for node in [self.to, self.from, 3 - self.to - self.from] {
            self.set(node, &["NODE", &owner]);
        }
    }

    /// Number of times that nodes reported the keys of a script on different nodes.
    fn refusals(&self) -> u64 {
        let of = |node: usize| {
            let stats = self.cluster.ask(node, &["INFO", "errorstats"]).unwrap();
            let line = stats
                .lines()
                .find_map(|line| line.strip_prefix("errorstat_TRYAGAIN:count="));
            line.map_or(0, |count| count.trim().parse().unwrap())
        };
        of(self.from) + of(self.to)
    }
}

/// While a slot moves, its logins are found wherever they are, and a removal waits until it can be
/// one step. Rejects a script that accesses undeclared keys: it would end half of the logins.
#[test]
fn sessions_stay_available_while_their_slot_moves() {
    let Some(cluster) = cluster() else { return };
    run(async {
        let store = store(connect(cluster).await);
        let rows = [1, 2, 3].map(|_| Sample::of("moving").at(NOW));
        for row in &rows {
            let _ = store.create(row, Limit::Unlimited, NOW).await.unwrap();
        }
        let pattern = format!("{}*:s:*", store.prefix());
        let keys: Vec<String> = (0..PRIMARIES)
            .flat_map(|node| {
                let keys = cluster.ask(node, &["KEYS", &pattern]).unwrap();
                keys.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(keys.len(), 3);
        let moving = Move::begin(cluster, &keys[0]);
        moving.carry(&keys[0]);
        for row in &rows {
            let found = store.load(row.handle(), Load::new(), NOW).await.unwrap();
            assert!(found.is_some(), "not found while the slot moves");
        }

        // Not within its deadline: unavailable, and nothing was done.
        let hasty = patient(connect(cluster).await).prefix(store.prefix());
        let hasty = hasty.deadline(Duration::from_millis(300)).build().unwrap();
        let hasty = hasty.sessions();
        let failed = hasty.remove_subject("moving", Scope::all(), NOW).await;
        assert!(failed.is_err_and(|error| error.is_unavailable()));
        // A list and a limit take no row on the other node for one that is gone.
        let listed = hasty.list("moving", Page::first(9), NOW).await;
        assert!(listed.is_err_and(|error| error.is_unavailable()));
        let new = Sample::of("moving").at(NOW);
        let created = hasty.create(&new, Limit::EvictOldest(3), NOW).await;
        assert!(created.is_err_and(|error| error.is_unavailable()));
        for row in &rows {
            let found = store.load(row.handle(), Load::new(), NOW).await.unwrap();
            assert!(found.is_some(), "a part of the removal was done");
        }

        let before = moving.refusals();
        let removal = tokio::spawn(async move {
            let removed = store.remove_subject("moving", Scope::all(), NOW).await;
            (store, removed)
        });
        support::servers::wait_until(|| match moving.refusals() > before {
            true => Ok(()),
            false => Err("the removal met no moving slot"),
        })
        .unwrap();
        moving.end();
        let (store, removed) = removal.await.unwrap();
        assert_eq!(removed.unwrap().count, 3);
        for row in &rows {
            let found = store.load(row.handle(), Load::new(), NOW).await.unwrap();
            assert!(found.is_none());
        }
    });
}

/// A Cluster without append-only files is known to lose data. With them, durability is unknown,
/// because not every node can be asked.
#[test]
fn durability_follows_the_configuration_of_the_server() {
    let Some(cluster) = cluster() else { return };
    run(async {
        let redis = patient(connect(cluster).await).build().unwrap();
        redis.check().await.unwrap();
        let crash = async || redis.durability().await.unwrap().crash;
        assert_eq!(crash().await, Survives::NotAll);
        let set = |name: &str, value: &str| {
            for node in 0..cluster.ports().len() {
                cluster.ask(node, &["CONFIG", "SET", name, value]).unwrap();
            }
        };
        set("appendfsync", "always");
        set("appendonly", "yes");
        assert_eq!(crash().await, Survives::Unknown);
        // One node that loses data is enough.
        cluster
            .ask(1, &["CONFIG", "SET", "appendonly", "no"])
            .unwrap();
        assert_eq!(crash().await, Survives::NotAll);
        set("appendonly", "no");
    });
}

#[test]
fn a_wrong_clock_is_reported() {
    let Some(cluster) = cluster() else { return };
    run(async {
        let store = store(connect(cluster).await);
        clock_skew::a_wrong_clock_is_reported(store).await;
    });
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let Some(cluster) = cluster() else { return };
    run(async {
        let one = store(connect(cluster).await);
        let other = patient(connect(cluster).await).prefix(one.prefix());
        let nodes = [one, other.build().unwrap().sessions()];
        late_save::a_late_save_does_not_undo_a_logout(nodes).await;
    });
}

#[test]
fn a_call_may_be_dropped_at_every_step() {
    let Some(cluster) = cluster() else { return };
    run(async {
        let store = store(connect(cluster).await);
        dropped::may_be_dropped_at_every_step(&store).await;
    });
}
