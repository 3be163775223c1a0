//! Servers that are killed while tickets are redeemed, and restarted.

use std::sync::Arc;
use std::time::Duration;

use statewise::Rejection;
use statewise::store::contract::SessionStore;
use statewise::testkit::Random;

use crate::common::{manager, run, store};
use crate::stores::{mariadb, postgres};
use crate::support::servers::mariadb::MariaDbServer;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::redis::RedisServer;
use crate::{asked, tickets};

/// Tickets that are redeemed while a server is killed.
const TICKETS: usize = 128;
/// Calls for each ticket. Each is repeated until it has won, or has lost.
const CALLS: usize = 8;
/// The server is killed after this long, at most.
const MAX_PAUSE_MICROS: usize = 8_000;

/// No ticket has two winners. It has none, if its answer was lost.
async fn never_two<S: SessionStore>(name: &str, store: S, restart: impl Fn()) {
    let (tickets, mut random) = (tickets(store), Random::new(7));
    let (mut winners, mut lost, mut cut) = (0, 0, 0);
    let rounds = asked().div_ceil(TICKETS).max(3);
    for round in 0..rounds {
        let mut issued = Vec::new();
        for at in 0..TICKETS {
            issued.push(tickets.issue(&format!("user {at}"), at).await.unwrap());
        }
        let mut tasks = Vec::new();
        for (at, ticket) in issued.into_iter().enumerate() {
            let call = |_| {
                let (tickets, ticket) = (Arc::clone(&tickets), ticket.clone());
                tokio::spawn(async move {
                    let mut failed = 0;
                    loop {
                        let answer = tickets.redeem(ticket.credential().reveal(), None).await;
                        match answer {
                            Ok(redeemed) => return (redeemed.payload == at, failed),
                            Err(error) if error.is_unavailable() => failed += 1,
                            Err(error) => {
                                assert_eq!(error.rejection(), Some(Rejection::Unknown));
                                return (false, failed);
                            }
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                })
            };
            tasks.push((0..CALLS).map(call).collect::<Vec<_>>());
        }
        let pause = random.below(MAX_PAUSE_MICROS) as u64;
        tokio::time::sleep(Duration::from_micros(pause)).await;
        tokio::task::block_in_place(&restart);
        for calls in tasks {
            let mut won = 0;
            for call in calls {
                let (has_won, failed) = call.await.unwrap();
                won += usize::from(has_won);
                cut += failed;
            }
            assert!(won <= 1, "{won} winners of one ticket in round {round}");
            winners += won;
            lost += 1 - won;
        }
    }
    println!(
        "{name}: killed {rounds} times, {} tickets, {winners} winners, {lost} lost, never two; \
         {cut} calls were cut off",
        rounds * TICKETS
    );
}

#[test]
fn redis() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(server) = RedisServer::with(&durable) else {
        return;
    };
    run(async {
        let store = store(manager(&server).await);
        let restart = || {
            server.kill9();
            server.restart();
        };
        never_two("Redis", store, restart).await;
    });
}

#[test]
fn postgres_() {
    let Some(server) = PostgresServer::with(&[]) else {
        return;
    };
    run(async {
        let store = postgres(server.folder().to_owned()).await;
        let restart = || {
            server.kill9();
            server.restart();
        };
        never_two("Postgres", store, restart).await;
    });
}

#[test]
fn mariadb_() {
    let Some(server) = MariaDbServer::with(&["--innodb-flush-log-at-trx-commit=1"]) else {
        return;
    };
    run(async {
        let store = mariadb(&server.url()).await;
        let restart = || {
            server.kill9();
            server.restart();
        };
        never_two("MariaDB", store, restart).await;
    });
}
