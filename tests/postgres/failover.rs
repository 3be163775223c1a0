//! Primaries that are demoted, killed and replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use statewise::clock::Timestamp;
use statewise::revocation::log::RevocationLog as _;
use statewise::session::Limit;
use statewise::store::contract::{Load, Page, Record, Scope, SessionStore};
use statewise::store::postgres::{Link, Pipelined, Sqlx};
use statewise::store::{Postgres, PostgresStore};
use statewise::testkit::Sample;

use crate::fixture::{client_at, pool_of, run};
use crate::stores_failover::{Failover, loses_no_confirmed_logout};
use crate::support::servers::postgres_pair::PostgresPair;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const DEADLINE: Duration = Duration::from_secs(2);

fn by_sqlx(folder: PathBuf) -> Postgres<Sqlx> {
    let options = PgConnectOptions::new_without_pgpass().socket(folder);
    let builder = Postgres::over(pool_of(options, 4));
    builder.deadline(DEADLINE).build().unwrap()
}

fn by_connect(folder: PathBuf) -> Postgres<Pipelined> {
    let builder = Postgres::connect(move || client_at(folder.join(".s.PGSQL.5432")));
    builder.connections(3).deadline(DEADLINE).build().unwrap()
}

async fn log_in(store: &impl SessionStore, subject: &str) -> Record {
    let row = Sample::of(subject).at(NOW);
    let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
    row
}

/// Uses several connections at once, so that a pool has them.
async fn warm(store: &impl SessionStore, row: &Record) {
    let load = || store.load(row.handle(), Load::new(), NOW);
    let _ = tokio::join!(load(), load(), load(), load());
}

async fn off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Asserts that every call is *unavailable*.
async fn assert_left<L: Link>(what: &str, node: &Postgres<L>, rows: &[Record]) {
    let store = node.sessions();
    let unavailable = |error: statewise::Error| error.is_unavailable();
    for row in rows {
        let found = store.load(row.handle(), Load::new(), NOW).await;
        assert!(found.is_err_and(unavailable), "{what}: load");
        let rotation = Sample::rotation_of(row);
        let rotated = store.rotate(row.handle(), &rotation, NOW).await;
        assert!(rotated.is_err_and(unavailable), "{what}: rotate");
        let removed = store.remove(row.handle(), "bob", NOW).await;
        assert!(removed.is_err_and(unavailable), "{what}: remove");
    }
    let listed = store.list("bob", Page::first(9), NOW).await;
    assert!(listed.is_err_and(unavailable), "{what}: list");
    let removed = store.remove_subject("bob", Scope::all(), NOW).await;
    assert!(removed.is_err_and(unavailable), "{what}: remove_subject");
    for limit in [Limit::Unlimited, Limit::Reject(1)] {
        let created = store.create(&rows[0], limit, NOW).await;
        assert!(created.is_err_and(unavailable), "{what}: create");
    }
    // The cause is named also where the answer of the server is a number.
    let error = store.count_live(NOW).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    assert!(
        cause.contains("accepts no writes"),
        "{what}: count: {cause}"
    );
    let log = node.revocations();
    assert!(log.head(NOW).await.is_err_and(unavailable), "{what}: head");
    let page = log.read(1, 9, NOW).await;
    assert!(page.is_err_and(unavailable), "{what}: read");
}

/// Demotes a primary that the name leads to, and moves the name to the new one later.
async fn is_left<L: Link>(name: &str, pair: &Arc<PostgresPair>, primary: usize, node: Postgres<L>) {
    let store = node.sessions();
    let old = by_sqlx(pair.folder_of(primary)).sessions();
    let [alice, bob] = [log_in(&old, "alice").await, log_in(&old, "bob").await];
    warm(&store, &alice).await;
    let demoted = Arc::clone(pair);
    off(move || {
        demoted.kill9(primary);
        demoted.promote(1 - primary);
        demoted.follow(primary);
        let pause = "SELECT pg_wal_replay_pause()";
        demoted.sql(primary, pause).unwrap();
    })
    .await;
    warm(&store, &alice).await;
    let new = by_sqlx(pair.folder_of(1 - primary)).sessions();
    let removed = new.remove_subject("bob", Scope::all(), NOW).await.unwrap();
    assert_eq!(removed.count, 1);
    // A login that the demoted server does not have is no unknown one.
    let carol = log_in(&new, "carol").await;
    for _ in 0..3 {
        assert_left(name, &node, &[alice.clone(), bob.clone(), carol.clone()]).await;
        let refused = node.check().await.unwrap_err();
        assert!(refused.is_unavailable(), "{name}: {refused:?}");
    }
    // Warm connections still lead to the demoted server. The first call leaves all of them.
    pair.lead_to(1 - primary);
    let found = store.load(alice.handle(), Load::new(), NOW).await;
    assert!(found.unwrap().is_some(), "{name}");
    let found = store.load(bob.handle(), Load::new(), NOW).await;
    assert!(found.unwrap().is_none(), "{name}");
    let removed = store.remove(alice.handle(), "alice", NOW).await.unwrap();
    assert_eq!(removed.count, 1);
    node.revocations().head(NOW).await.unwrap();
    node.check().await.unwrap();
    let resumed = Arc::clone(pair);
    off(move || {
        let resume = "SELECT pg_wal_replay_resume()";
        resumed.sql(primary, resume).unwrap();
        resumed.wait_in_sync(1 - primary);
    })
    .await;
}

/// A node is connected to a former primary that is now a standby and lags behind. It accepts no user
/// there, in particular none that was logged out on the new primary. As soon as the name leads to
/// the new primary, the next call does too. Rejects a read that trusts any server, and a pool that
/// keeps connections to a server without writes.
#[test]
fn a_demoted_primary_is_left() {
    let Some(pair) = PostgresPair::start().map(Arc::new) else {
        return;
    };
    run(async {
        by_sqlx(pair.name()).migrate().await.unwrap();
        is_left("sqlx", &pair, 0, by_sqlx(pair.name())).await;
        is_left("pipelined", &pair, 1, by_connect(pair.name())).await;
    });
}

/// A former primary that accepts writes no more, but is no standby, as after a logical replication.
/// Rejects a check of the recovery only, and a login that is absent because an outdated server lacks it.
#[test]
fn a_fenced_primary_is_left() {
    let Some(pair) = PostgresPair::start().map(Arc::new) else {
        return;
    };
    run(async {
        let [one, other] = [by_sqlx(pair.name()), by_sqlx(pair.folder_of(0))];
        one.migrate().await.unwrap();
        let pipelined = by_connect(pair.name());
        let rows = [log_in(&other.sessions(), "bob").await];
        warm(&one.sessions(), &rows[0]).await;
        warm(&pipelined.sessions(), &rows[0]).await;
        let asked = by_sqlx(pair.name()).sessions();
        let asked_pipelined = by_connect(pair.name()).sessions();
        warm(&asked, &rows[0]).await;
        warm(&asked_pipelined, &rows[0]).await;
        let set = async |to: &'static str| {
            let pair = Arc::clone(&pair);
            off(move || {
                let set = format!("ALTER SYSTEM SET default_transaction_read_only = {to}");
                pair.sql(0, &set).unwrap();
                pair.sql(0, "SELECT pg_reload_conf()").unwrap();
            })
            .await;
        };
        let stranger = Sample::of("mallory").at(NOW);
        set("on").await;
        // Such a server may lack logins of the new primary. The first call of a connection asks for one.
        is_not_absent("sqlx", &asked, &stranger).await;
        is_not_absent("pipelined", &asked_pipelined, &stranger).await;
        // The reload reaches each process of the server a little later.
        let begun = Instant::now();
        while one
            .sessions()
            .load(rows[0].handle(), Load::new(), NOW)
            .await
            .is_ok()
            || pipelined
                .sessions()
                .load(rows[0].handle(), Load::new(), NOW)
                .await
                .is_ok()
        {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        assert_left("sqlx", &one, &rows).await;
        assert_left("pipelined", &pipelined, &rows).await;
        let refused = one.check().await.unwrap_err();
        let names = format!("{refused}").contains("default_transaction_read_only");
        assert!(refused.is_misuse() && names, "{refused:?}");
        set("off").await;
        for store in [one.sessions()] {
            is_restored(&store, &rows[0]).await;
        }
        is_restored(&pipelined.sessions(), &rows[0]).await;
    });
}

/// Asserts that a server which begins to refuse writes no longer says that a login does not exist.
async fn is_not_absent(name: &str, store: &impl SessionStore, row: &Record) {
    let begun = Instant::now();
    loop {
        match store.load(row.handle(), Load::new(), NOW).await {
            Ok(found) => assert!(found.is_none(), "{name}"),
            Err(error) => return assert!(error.is_unavailable(), "{name}: {error:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: absent");
    }
}

async fn is_restored(store: &impl SessionStore, row: &Record) {
    let begun = Instant::now();
    while store.load(row.handle(), Load::new(), NOW).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "not restored");
    }
}

/// A pair of servers, and a store that connects by the name.
struct ByName {
    pair: PostgresPair,
    store: PostgresStore<Sqlx>,
    primary: AtomicUsize,
}

impl Failover for ByName {
    type Store = PostgresStore<Sqlx>;

    fn store(&self) -> &Self::Store {
        &self.store
    }

    fn connections(&self) -> u64 {
        0
    }

    /// Each commit waits for the standby.
    async fn confirm(&self) -> bool {
        true
    }

    fn kill(&self) {
        self.pair.kill9(self.primary.load(Ordering::SeqCst));
    }

    fn wait_promoted(&self) {
        let promoted = 1 - self.primary.load(Ordering::SeqCst);
        self.pair.promote(promoted);
        self.pair.lead_to(promoted);
        self.primary.store(promoted, Ordering::SeqCst);
    }

    fn rejoin(&self) {
        let primary = self.primary.load(Ordering::SeqCst);
        self.pair.follow(1 - primary);
        self.pair.wait_in_sync(primary);
    }
}

/// A primary is killed under load, and its synchronous standby promoted. No acknowledged logout is
/// undone, and the store serves again within 5 seconds. `STATEWISE_FAILOVERS` is the number of
/// rounds.
#[test]
fn failovers_to_a_standby_undo_no_logout() {
    let Some(pair) = PostgresPair::start() else {
        return;
    };
    run(async {
        let database = by_sqlx(pair.name());
        database.migrate().await.unwrap();
        let by_name = ByName {
            pair,
            store: database.sessions(),
            primary: AtomicUsize::new(0),
        };
        loses_no_confirmed_logout("Postgres with a synchronous standby", Arc::new(by_name)).await;
    });
}
