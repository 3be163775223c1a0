//! The Redis store on a Cluster of three primaries and three replicas.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use statewise::BoxFuture;
use statewise::store::RedisStore;
use statewise::testkit::StoreFixture;

use common::{PATIENT, patient, run, shift, spread};
use support::servers::redis::Cluster;

#[path = "store_redis/common.rs"]
mod common;
mod support;

/// Nodes that hold keys to be written: they come first.
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
    connection.expect("a connection to the cluster")
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
        patient(connect(cluster().unwrap()).await).build().unwrap()
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        let by = by.as_millis().to_string();
        for node in 0..PRIMARIES {
            let shifted = cluster().unwrap().ask(node, &shift(store.prefix(), &by));
            assert_eq!(shifted.as_deref(), Ok("1"));
        }
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

mod laws {
    statewise::testkit::session_store_laws!(super::Fixture, block_on = super::on_a_cluster);
}
