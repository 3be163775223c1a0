//! 64 calls at once, on two nodes.

use std::sync::Arc;
use std::time::Instant;

use redis::cluster::ClusterClient;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use statewise::Rejection;
use statewise::store::contract::SessionStore;
use statewise::store::{MemoryStore, Redb, Redis, Sqlite};

use crate::common::{PATIENT, run, two_nodes};
use crate::folder::Folder;
use crate::stores::{mariadb, postgres};
use crate::support::servers::mariadb::MariaDbServer;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::redis::{Cluster, RedisServer};
use crate::{asked, tickets};

/// Calls that redeem one ticket at once.
const CALLS: usize = 64;

/// Each ticket has one winner, and all other calls learn that it is unknown.
async fn one_winner<S: SessionStore>(name: &str, stores: [S; 2]) {
    let (began, asked, mut winners, mut losers) = (Instant::now(), asked(), 0, 0);
    let nodes = stores.map(tickets);
    for round in 0..asked {
        let ticket = nodes[0].issue("alice", round).await.unwrap();
        let tasks: Vec<_> = (0..CALLS)
            .map(|at| {
                let (node, ticket) = (Arc::clone(&nodes[at % 2]), ticket.clone());
                tokio::spawn(async move { node.redeem(ticket.credential().reveal(), None).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(redeemed) => {
                    assert_eq!(redeemed.payload, round);
                    won += 1;
                }
                Err(lost) => {
                    assert_eq!(lost.rejection(), Some(Rejection::Unknown), "{lost:?}");
                    losers += 1;
                }
            }
        }
        assert_eq!(won, 1, "winners of ticket {round}");
        winners += won;
    }
    println!(
        "{name}: {asked} tickets, {} calls, {winners} winners, {losers} unknown, {:.1} s",
        asked * CALLS,
        began.elapsed().as_secs_f64()
    );
    assert_eq!((winners, losers), (asked, asked * (CALLS - 1)));
}

#[test]
fn memory() {
    let store = Arc::new(MemoryStore::with_capacity(10_000).unwrap());
    run(one_winner("memory", [Arc::clone(&store), store]));
}

#[test]
fn redb() {
    let folder = Folder::in_memory();
    let redb = Redb::open(folder.file()).build().unwrap();
    run(one_winner("redb", [redb.sessions(), redb.sessions()]));
}

#[test]
fn sqlite() {
    let folder = Folder::in_memory();
    run(async {
        let options = SqliteConnectOptions::new()
            .filename(folder.file())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let open = async || {
            let pool = SqlitePoolOptions::new().max_connections(4);
            let pool = pool.connect_with(options.clone()).await.unwrap();
            let database = Sqlite::over(pool).deadline(PATIENT).build().unwrap();
            database.migrate().await.unwrap();
            database.sessions()
        };
        one_winner("SQLite", [open().await, open().await]).await;
    });
}

#[test]
fn redis() {
    if let Some(server) = RedisServer::start() {
        run(async { one_winner("Redis", two_nodes(&server).await).await });
    }
}

#[test]
fn cluster() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    run(async {
        let open = async || {
            let client = ClusterClient::builder(cluster.urls())
                .response_timeout(PATIENT)
                .connection_timeout(PATIENT)
                .build();
            let connection = client.unwrap().get_async_connection().await.unwrap();
            let redis = Redis::over(connection).prefix("test").deadline(PATIENT);
            redis.build().unwrap().sessions()
        };
        one_winner("Redis Cluster", [open().await, open().await]).await;
    });
}

#[test]
fn postgres_() {
    if let Some(server) = PostgresServer::start() {
        run(async {
            let open = || postgres(server.folder().to_owned());
            one_winner("Postgres", [open().await, open().await]).await;
        });
    }
}

#[test]
fn mariadb_() {
    if let Some(server) = MariaDbServer::start() {
        run(async {
            let url = server.url();
            let open = || mariadb(&url);
            one_winner("MariaDB", [open().await, open().await]).await;
        });
    }
}
