//! A service that may only read the log.

use std::sync::Arc;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use statewise::Error;
use statewise::revocation::RedisLog;
use statewise::revocation::log::RevocationLog as _;

use super::common::{PATIENT, patient, prefix, run};
use super::log_reader::{Paired, ReaderFixture, follows_with_read_rights};
use super::support::servers::redis::{Cluster, reader_rights};
use super::{LogOnCluster, NOW, cluster, on_a_cluster};

/// Creates the user of the documentation on all nodes, with other rules after those.
fn allow(cluster: &Cluster, rules: &[&str]) {
    // A pattern cannot contain a space.
    let keys = "~test?*:{log}:*";
    let command = ["ACL", "SETUSER", "reader", "reset", "on", ">secret", keys];
    let rights: Vec<_> = reader_rights().chain(["+cluster|slots"]).collect();
    let command = [&command, &*rights, rules].concat();
    for node in 0..cluster.pids().len() {
        cluster.ask(node, &command).unwrap();
    }
}

async fn connect(cluster: &Cluster) -> ClusterConnection {
    let client = ClusterClient::builder(cluster.urls())
        .username("reader")
        .password("secret")
        .response_timeout(PATIENT)
        .connection_timeout(PATIENT)
        .build();
    let connection = client.unwrap().get_async_connection().await;
    connection.unwrap()
}

async fn reader(cluster: &Cluster, prefix: &str) -> RedisLog<ClusterConnection> {
    let redis = patient(connect(cluster).await).prefix(prefix);
    redis.build_log_reader().unwrap()
}

impl ReaderFixture for LogOnCluster {
    type Reader = RedisLog<ClusterConnection>;

    async fn reader(&self, log: &Self::Log) -> Self::Reader {
        let cluster = cluster().unwrap();
        allow(cluster, &[]);
        reader(cluster, log.prefix()).await
    }
}

mod laws {
    use super::{LogOnCluster, Paired, on_a_cluster};

    statewise::testkit::revocation_log_laws!(Paired(LogOnCluster), block_on = on_a_cluster);
}

/// On a Cluster of its own: other tests use the same user.
#[test]
fn a_service_follows_with_read_rights() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    run(async {
        let prefix = prefix();
        allow(&cluster, &[]);
        let writer = super::connect(&cluster).await;
        let writer = patient(writer).prefix(&prefix).build().unwrap();
        let writer = writer.revocations();
        writer.head(NOW).await.unwrap();
        let reader = reader(&cluster, &prefix).await;
        reader.check().await.unwrap();
        allow(&cluster, &["-xlen"]);
        let error = reader.check().await.unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("`XLEN`"),
            "{error}"
        );
        allow(&cluster, &[]);
        // Also through a log that is built to write.
        let writes = patient(connect(&cluster).await).prefix(&prefix);
        let refused = writes.build().unwrap().revocations().fence(NOW).await;
        assert!(refused.as_ref().is_err_and(Error::is_misuse), "{refused:?}");
        follows_with_read_rights(
            Arc::new(writer),
            Arc::new(reader),
            async || allow(&cluster, &["-xrange"]),
            async || allow(&cluster, &[]),
        )
        .await;
    });
}
