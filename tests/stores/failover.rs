//! Rounds of failovers under load, for the stores of all servers that have replicas.
//!
//! In each round several clients log users in and out, the primary is killed at a random moment,
//! its replica is promoted, and the killed server becomes the replica. The session of
//! a logout that was acknowledged and replicated before must not verify afterwards. Replication
//! is asynchronous: a logout that the replica had not confirmed may be lost, and is counted apart.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{Load, Record, Scope, SessionStore};
use statewise::testkit::Sample;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
/// Number of clients that log users in and out.
const CLIENTS: usize = 4;
/// Time after which a store must serve again, once the new primary accepts writes.
const MAX_RESTORE: Duration = Duration::from_secs(5);

/// Servers that fail over, and a store over them.
pub(crate) trait Failover: Send + Sync + 'static {
    type Store: SessionStore;

    fn store(&self) -> &Self::Store;

    /// Returns a value that changes with each connection that the store opens.
    fn connections(&self) -> u64;

    /// Waits until a replica has confirmed everything that the current connection has written.
    /// False if it does not in time.
    fn confirm(&self) -> impl Future<Output = bool> + Send;

    /// Kills the primary.
    fn kill(&self);

    /// Waits until the other server is the primary and accepts writes.
    fn wait_promoted(&self);

    /// Starts the killed server as a replica, and waits until it has everything.
    fn rejoin(&self);
}

/// Counts of all rounds.
#[derive(Debug, Default)]
struct Figures {
    logouts: usize,
    /// Logouts that the replica had confirmed before the kill.
    confirmed: usize,
    /// Confirmed logouts that verify afterwards.
    undone: usize,
    /// Unconfirmed logouts that verify afterwards.
    lost: usize,
    unavailable: usize,
    slowest_restore: Duration,
}

/// A login that has ended, and whether a replica has confirmed it.
type Ended = (Record, bool);

/// Returns the number of rounds: `STATEWISE_FAILOVERS`, else 2.
fn rounds() -> u32 {
    let rounds = std::env::var("STATEWISE_FAILOVERS").ok();
    rounds.map_or(2, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Runs the rounds and prints a line with the figures.
pub(crate) async fn loses_no_confirmed_logout(name: &str, servers: Arc<impl Failover>) {
    let rounds = rounds();
    let mut seed: u64 = 0x5eed_0001;
    println!("{name}: {rounds} failovers, seed {seed:#x}");
    let mut figures = Figures::default();
    for round in 0..rounds {
        // The same moments each time, as far as the machine permits.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let moment = Duration::from_millis(20 + (seed >> 33) % 400);
        one_round(&servers, round, moment, &mut figures).await;
    }
    println!(
        "{name}: {rounds} failovers: {} logouts acknowledged, {} confirmed by the replica, of these \
         {} undone; {} unconfirmed ones lost; {} calls unavailable; restored after {:?} at most",
        figures.logouts,
        figures.confirmed,
        figures.undone,
        figures.lost,
        figures.unavailable,
        figures.slowest_restore,
    );
    assert_eq!(figures.undone, 0, "a confirmed logout was undone");
    assert!(
        figures.confirmed > 0,
        "no logout was confirmed: the test is void"
    );
    assert!(
        figures.slowest_restore < MAX_RESTORE,
        "{:?}",
        figures.slowest_restore
    );
}

async fn one_round<F: Failover>(
    servers: &Arc<F>,
    round: u32,
    moment: Duration,
    figures: &mut Figures,
) {
    let ended: Arc<Mutex<Vec<Ended>>> = Arc::default();
    let failed = Arc::new(Mutex::new(0_usize));
    let stops = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (servers, ended, failed, stops) = (
                Arc::clone(servers),
                Arc::clone(&ended),
                Arc::clone(&failed),
                Arc::clone(&stops),
            );
            tokio::spawn(async move {
                let subject = format!("client {client} in round {round}");
                let mut turn = 0;
                while !stops.load(Ordering::SeqCst) {
                    turn += 1;
                    match log_in_and_out(&*servers, &subject, turn).await {
                        Ok(one) => ended.lock().unwrap().push(one),
                        Err(error) => {
                            assert!(error.is_unavailable(), "{error:?}");
                            *failed.lock().unwrap() += 1;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(moment).await;
    let killed = Arc::clone(servers);
    tokio::task::spawn_blocking(move || {
        killed.kill();
        killed.wait_promoted();
    })
    .await
    .unwrap();
    let promoted = Instant::now();
    let probe = Sample::of("probe").at(NOW);
    // Logs in and verifies, as a user does.
    while servers
        .store()
        .create(&probe, Limit::Unlimited, NOW)
        .await
        .is_err()
        || servers
            .store()
            .load(probe.handle(), Load::new(), NOW)
            .await
            .is_err()
    {
        assert!(promoted.elapsed() < MAX_RESTORE * 4, "not restored");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    figures.slowest_restore = figures.slowest_restore.max(promoted.elapsed());
    stops.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let ended = std::mem::take(&mut *ended.lock().unwrap());
    for (row, is_confirmed) in ended {
        figures.logouts += 1;
        figures.confirmed += usize::from(is_confirmed);
        let found = servers.store().load(row.handle(), Load::new(), NOW).await;
        if found.expect("it is restored").is_some() {
            *(if is_confirmed {
                &mut figures.undone
            } else {
                &mut figures.lost
            }) += 1;
        }
    }
    figures.unavailable += *failed.lock().unwrap();
    let killed = Arc::clone(servers);
    tokio::task::spawn_blocking(move || killed.rejoin())
        .await
        .unwrap();
}

/// Logs a user in and out, every second time everywhere.
async fn log_in_and_out<F: Failover>(
    servers: &F,
    subject: &str,
    turn: u32,
) -> statewise::Result<Ended> {
    let store = servers.store();
    let row = Sample::of(subject).at(NOW);
    let _ = store.create(&row, Limit::Unlimited, NOW).await?;
    store.load(row.handle(), Load::new(), NOW).await?;
    let before = servers.connections();
    let _ = if turn.is_multiple_of(2) {
        store.remove(row.handle(), subject, NOW).await?
    } else {
        store.remove_subject(subject, Scope::all(), NOW).await?
    };
    // Another connection may lead to another server, which confirms other writes.
    let is_confirmed = servers.confirm().await && servers.connections() == before;
    Ok((row, is_confirmed))
}
