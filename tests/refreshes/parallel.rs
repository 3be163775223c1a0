//! 64 concurrent refreshes of one credential on two nodes: one rotation, one successor, no false
//! alarm. A thief that comes too late is always detected.
//!
//! `STATEWISE_ROUNDS=10000` sets the number of rounds, and `--nocapture` prints the counts.

use std::sync::Arc;
use std::time::Duration;

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Issued, Login, Outcome, Rejection, Result};

use super::{RUNTIME, hybrid, sessions};

const TABS: usize = 64;

fn rounds() -> usize {
    let given = std::env::var("STATEWISE_ROUNDS").ok();
    given.map_or(50, |given| given.parse().expect("a number of rounds"))
}

#[derive(Debug, Default)]
struct Counts {
    rounds: usize,
    refreshes: usize,
    rotations: usize,
    successors: usize,
    false_alarms: usize,
    thieves: usize,
    found: usize,
}

/// Presents one credential many times at once.
async fn at_once<A: Authenticator<Data = ()>>(
    nodes: &[Arc<A>; 2],
    presented: &Issued,
) -> Vec<Result<Issued>> {
    let tasks: Vec<_> = (0..TABS)
        .map(|tab| {
            let node = Arc::clone(&nodes[tab % 2]);
            let credential = presented.refreshable().reveal().to_owned();
            tokio::spawn(async move { node.refresh(&credential).await })
        })
        .collect();
    let mut answers = Vec::with_capacity(TABS);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// One round: a login, its tabs, and a thief.
async fn round<A: Authenticator<Data = ()>>(
    nodes: &[Arc<A>; 2],
    clock: &ManualClock,
    counts: &mut Counts,
) {
    let wait = |seconds| clock.advance(Duration::from_secs(seconds));
    let stolen = nodes[0].issue(Login::new("alice")).await.unwrap();
    wait(60);
    let answers = at_once(nodes, &stolen).await;
    counts.rounds += 1;
    counts.refreshes += answers.len();
    let mut successors: Vec<&str> = Vec::new();
    for answer in &answers {
        match answer {
            Ok(issued) => {
                counts.rotations += usize::from(issued.outcome() == Outcome::Rotated);
                successors.push(issued.refreshable().reveal());
            }
            Err(error) if error.rejection() == Some(Rejection::Reused) => counts.false_alarms += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    successors.sort_unstable();
    successors.dedup();
    counts.successors += successors.len();
    // The successor is used by a refresh and by a verification: each strategy counts one of them.
    let current = answers.into_iter().flatten().next().unwrap();
    nodes[1]
        .verify(current.credential().reveal())
        .await
        .unwrap();
    wait(60);
    let current = nodes[1]
        .refresh(current.refreshable().reveal())
        .await
        .unwrap();
    assert_eq!(current.outcome(), Outcome::Rotated);
    wait(60);
    counts.thieves += 1;
    let theft = nodes[0].refresh(stolen.refreshable().reveal()).await;
    counts.found += usize::from(theft.is_err_and(|error| {
        error.theft().map(|theft| theft.login()) == Some(stolen.identity().id())
    }));
    let ended = nodes[1].refresh(current.refreshable().reveal()).await;
    assert_eq!(ended.unwrap_err().rejection(), Some(Rejection::Unknown));
}

async fn many<A: Authenticator<Data = ()>>(name: &str, nodes: [Arc<A>; 2], clock: ManualClock) {
    let mut counts = Counts::default();
    let asked = rounds();
    for _ in 0..asked {
        round(&nodes, &clock, &mut counts).await;
    }
    println!(
        "{name}: {} rounds, {} refreshes, {} rotations, {} successors, {} false alarms, {} of {} \
         thieves found",
        counts.rounds,
        counts.refreshes,
        counts.rotations,
        counts.successors,
        counts.false_alarms,
        counts.found,
        counts.thieves,
    );
    assert_eq!(counts.refreshes, asked * TABS);
    assert_eq!(counts.rotations, asked);
    assert_eq!(counts.successors, asked);
    assert_eq!(counts.false_alarms, 0);
    assert_eq!(counts.found, asked);
}

/// Two nodes over two connections to one store, with both strategies that rotate.
async fn on<S: SessionStore>(name: &str, stores: [Arc<S>; 2]) {
    let clock = ManualClock::default();
    let nodes = stores
        .clone()
        .map(|store| Arc::new(hybrid(store, clock.clone())));
    many(&format!("{name}, short tokens"), nodes, clock).await;
    let clock = ManualClock::default();
    let nodes: [Arc<SessionAuthenticator<_>>; 2] =
        stores.map(|store| Arc::new(sessions(store, clock.clone()).build().unwrap()));
    many(&format!("{name}, sessions"), nodes, clock).await;
}

#[test]
fn memory() {
    let store = Arc::new(MemoryStore::with_capacity(10_000).unwrap());
    RUNTIME.block_on(on("memory", [Arc::clone(&store), store]));
}

#[cfg(feature = "redb")]
#[test]
fn redb() {
    let folder = super::folder::Folder::in_memory();
    let redb = statewise::store::Redb::open(folder.file()).build().unwrap();
    RUNTIME.block_on(on("redb", [redb.sessions(), redb.sessions()].map(Arc::new)));
}

#[cfg(feature = "redis")]
#[test]
fn redis() {
    use super::common::{PATIENT, multiplexed};
    use statewise::store::Redis;

    let Some(server) = super::support::servers::redis::RedisServer::start() else {
        return;
    };
    RUNTIME.block_on(async {
        let open = async || {
            let redis = Redis::over(multiplexed(&server).await)
                .prefix("test")
                .deadline(PATIENT);
            Arc::new(redis.build().unwrap().sessions())
        };
        on("Redis", [open().await, open().await]).await;
    });
}

#[cfg(feature = "tokio-postgres")]
#[test]
fn postgres() {
    let Some(server) = super::support::servers::postgres::PostgresServer::start() else {
        return;
    };
    RUNTIME.block_on(async {
        let open = || super::postgres(server.folder().to_owned(), 4);
        let databases = [open(), open()];
        databases[0].migrate().await.unwrap();
        let stores = databases.map(|database| Arc::new(database.sessions()));
        on("Postgres", stores).await;
    });
}
