//! PgBouncer in transaction mode: it works with the setting, and is refused without it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{PgPool, Row as _};
use statewise::clock::Timestamp;
use statewise::entropy::SystemEntropy;
use statewise::revocation::log::{Draft, Fact, RevocationLog as _};
use statewise::session::Limit;
use statewise::store::Postgres;
use statewise::store::contract::{Load, Rotated, Scope, SessionStore as _, Updated};
use statewise::store::postgres::{Link, Pipelined, Sqlx};
use statewise::testkit::Sample;

use crate::fixture::{client_at, patient, pool_of, private_server, run, sqlx_pool};
use crate::support::servers::pgbouncer::{self, PORT};
use crate::support::servers::postgres::PostgresServer;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);
/// Concurrent clients.
const CLIENTS: usize = 8;

fn pool(server: &PostgresServer) -> PgPool {
    let options = PgConnectOptions::new_without_pgpass().socket(server.folder());
    pool_of(options.port(PORT), 6)
}

fn by_sqlx(server: &PostgresServer, pooled: bool) -> Postgres<Sqlx> {
    let builder = Postgres::over(pool(server));
    patient(if pooled {
        builder.transaction_pooler()
    } else {
        builder
    })
}

fn by_connect(server: &PostgresServer, pooled: bool) -> Postgres<Pipelined> {
    let socket = server.folder().join(format!(".s.PGSQL.{PORT}"));
    let builder = Postgres::connect(move || client_at(socket.clone())).connections(3);
    patient(if pooled {
        builder.transaction_pooler()
    } else {
        builder
    })
}

/// Everything a login does in its life.
async fn lives<L: Link>(database: &Postgres<L>, client: usize) {
    let (store, log) = (database.sessions(), database.revocations());
    let subject = format!("client {client}");
    for limit in [Limit::Unlimited, Limit::EvictOldest(1), Limit::Reject(2)] {
        let row = Sample::of(&subject).at(NOW);
        let handle = row.handle();
        let _ = store.create(&row, limit, NOW).await.unwrap();
        for seen in 1..4 {
            let found = store.load(handle, Load::new(), NOW).await.unwrap();
            assert!(found.is_some());
            let at = NOW.saturating_add(seen);
            store.touch(&[(handle, at)], at).await.unwrap();
        }
        let rotation = Sample::rotation_of(&row);
        let rotated = store.rotate(handle, &rotation, NOW).await.unwrap();
        assert!(matches!(rotated, Rotated::Done(_)));
        let updated = store.update(handle, 0, &Sample::update(b"2"), NOW).await;
        assert!(matches!(updated, Ok(Updated::Done { .. })));
        let draft =
            Draft::new(Fact::Login(handle), Duration::from_secs(60), &SystemEntropy).unwrap();
        log.append(&[draft], NOW).await.unwrap();
        log.read(1, 9, NOW).await.unwrap();
    }
    let removed = store.remove_subject(&subject, Scope::all(), NOW).await;
    assert_eq!(removed.unwrap().count, 2);
}

async fn serves<L: Link>(database: Postgres<L>) {
    database.migrate().await.unwrap();
    database.check().await.unwrap();
    let database = Arc::new(database);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let database = Arc::clone(&database);
            tokio::spawn(async move { lives(&database, client).await })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

/// Settings and prepared statements that other clients of the pooler would meet.
async fn left_behind(pool: &PgPool) -> Vec<String> {
    let asked = "SELECT current_setting('statement_timeout') || ' '
        || current_setting('default_transaction_isolation') || ' '
        || (SELECT count(*) FROM pg_prepared_statements)";
    let mut found = Vec::new();
    // Held at once, so that each leads to another process of the server.
    let mut transactions = Vec::new();
    for _ in 0..3 {
        let mut transaction = pool.begin().await.unwrap();
        let row = sqlx::raw_sql(asked).fetch_one(&mut *transaction).await;
        found.push(row.unwrap().get(0));
        transactions.push(transaction);
    }
    found
}

/// With the setting, everything works, and other clients of the pooler meet no setting and no
/// statement of ours. Rejects a statement that is prepared, and a `SET` that stays.
#[test]
fn a_transaction_pooler_works_with_the_setting() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        if pgbouncer::start(server).is_none() {
            return;
        }
        serves(by_sqlx(server, true)).await;
        serves(by_connect(server, true)).await;
        let clean = "0 read committed 0";
        assert_eq!(left_behind(&pool(server)).await, [clean; 3]);
        // The isolation is that of the user, and the check names it.
        let set = "ALTER ROLE postgres SET default_transaction_isolation = 'serializable'";
        let direct = sqlx_pool(server, 1);
        sqlx::query(set).execute(&direct).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        sqlx::query(end).execute(&direct).await.unwrap();
        let mut refused = by_connect(server, true).check().await.unwrap_err();
        for _ in 0..20 {
            // The pooler may not have noticed yet that the server has ended its connections.
            if refused.is_unavailable() {
                refused = by_connect(server, true).check().await.unwrap_err();
            }
        }
        assert!(refused.is_misuse(), "{refused:?}");
        assert!(
            refused
                .to_string()
                .contains("default_transaction_isolation")
        );
        server.kill9();
    });
}

/// Without the setting, the migration and the check refuse the pooler. A service that starts anyway
/// is *unavailable* at times: it never takes a user for unknown, and loses no login. Rejects an
/// answer of another statement that is taken for *no such login*, and a removal with the values of a
/// read.
#[test]
fn a_transaction_pooler_without_the_setting_is_refused() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        if pgbouncer::start(server).is_none() {
            return;
        }
        patient(Postgres::over(sqlx_pool(server, 1)))
            .migrate()
            .await
            .unwrap();
        is_refused("sqlx", server, || by_sqlx(server, false)).await;
        is_refused("pipelined", server, || by_connect(server, false)).await;
        server.kill9();
    });
}

async fn is_refused<L: Link>(
    name: &'static str,
    server: &PostgresServer,
    node: impl Fn() -> Postgres<L>,
) {
    for answer in [node().migrate().await, node().check().await] {
        let error = answer.unwrap_err();
        assert!(error.is_misuse(), "{name}: {error:?}");
        assert!(error.to_string().contains("transaction_pooler"), "{error}");
    }
    let direct = patient(Postgres::over(sqlx_pool(server, 2))).sessions();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (node, direct) = (node(), direct.clone());
            tokio::spawn(async move {
                let (mut good, mut failed) = (0, 0);
                let store = node.sessions();
                for turn in 0..25 {
                    let subject = format!("client {client} {turn}");
                    let row = Sample::of(&subject).at(NOW);
                    let _ = direct.create(&row, Limit::Unlimited, NOW).await.unwrap();
                    // The statements of one connection get the names of another one's.
                    let other = Sample::of(&subject).at(NOW);
                    let acts = [
                        store.create(&other, Limit::Reject(9), NOW).await.map(drop),
                        store.remove(other.handle(), &subject, NOW).await.map(drop),
                        store.touch(&[(row.handle(), NOW)], NOW).await,
                        node.revocations().head(NOW).await.map(drop),
                    ];
                    for error in acts.into_iter().filter_map(Result::err) {
                        assert!(error.is_unavailable(), "{error:?}");
                    }
                    match store.load(row.handle(), Load::new(), NOW).await {
                        Ok(found) => {
                            assert!(found.is_some(), "taken for unknown");
                            good += 1;
                        }
                        Err(error) => {
                            assert!(error.is_unavailable(), "{error:?}");
                            failed += 1;
                        }
                    }
                    let rotation = Sample::rotation_of(&row);
                    match store.rotate(row.handle(), &rotation, NOW).await {
                        Ok(rotated) => assert!(!matches!(rotated, Rotated::Absent)),
                        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
                    }
                    let found = direct.load(row.handle(), Load::new(), NOW).await.unwrap();
                    assert!(found.is_some(), "lost");
                }
                (good, failed)
            })
        })
        .collect();
    let (mut good, mut failed) = (0, 0);
    for client in clients {
        let (some, others) = client.await.unwrap();
        good += some;
        failed += others;
    }
    println!("{name}: {good} verifications, {failed} unavailable, none rejected");
    assert!(failed > 0, "{name}: nothing was confused, the test is void");
}
