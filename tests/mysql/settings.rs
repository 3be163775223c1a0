//! Settings of the server and of a pooled connection, some of which the application may change
//! between two calls of a store.

use std::time::Duration;

use sqlx::{AssertSqlSafe, MySqlPool};
use statewise::revocation::log::RevocationLog as _;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::contract::{Created, Page, Rotated, Scope, SessionStore as _};
use statewise::store::{MySql, MySqlStore};
use statewise::testkit::Sample;
use statewise::{Authenticator as _, Login};

use super::cases::{count, get, is_unavailable, later, now, put};
use super::log_cases::{append, facts};
use super::runtime::block_on;
use super::server::{database, pool, table};
use super::shared::with_server;
use super::support::servers::mariadb::MariaDbServer;

async fn sql(pool: &MySqlPool, text: &str) {
    let text = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
    text.execute(pool).await.unwrap();
}

/// A node with one connection, and separate tables of sessions and revocations.
fn node(pool: &MySqlPool, table: &str) -> MySql {
    let builder = MySql::over(pool.clone()).table(table);
    let builder = builder.log_table(format!("{table}_log"));
    builder.deadline(Duration::from_secs(60)).build().unwrap()
}

fn authenticator(store: MySqlStore) -> SessionAuthenticator<MySqlStore> {
    let auth = SessionAuthenticator::builder(store);
    let auth = auth.idle(Duration::from_secs(1_000));
    auth.absolute(Duration::from_secs(10_000)).build().unwrap()
}

/// Rejects a store that believes that a statement is committed when it is answered.
#[test]
fn a_server_without_autocommit_acknowledges_what_is_committed() {
    block_on(async {
        let Some(server) = MariaDbServer::with(&["--innodb-flush-log-at-trx-commit=1"]) else {
            return;
        };
        sql(&pool(&server, 1), "SET GLOBAL autocommit = 0").await;
        let pools = [pool(&server, 4), pool(&server, 4)];
        let nodes = [&pools[0], &pools[1]].map(|pool| node(pool, "statewise_sessions"));
        nodes[0].migrate().await.unwrap();
        nodes[0].check().await.unwrap();
        nodes[0].require_durable().await.unwrap();
        let auths = [&nodes[0], &nodes[1]].map(|node| authenticator(node.sessions()));
        let mut ended = Vec::new();
        for name in ["alice", "bob", "carol"] {
            let login = auths[0].issue(Login::new(name)).await.unwrap();
            let login = login.credential().reveal().to_owned();
            auths[1].verify(&login).await.unwrap();
            ended.push((name, login));
        }
        let _ = auths[0].revoke(&ended[0].1).await.unwrap();
        let _ = auths[0].revoke_all("bob").await.unwrap();
        let limited = SessionAuthenticator::builder(nodes[0].sessions())
            .idle(Duration::from_secs(1_000))
            .absolute(Duration::from_secs(10_000))
            .limit(Limit::EvictOldest(1))
            .build()
            .unwrap();
        let kept = limited.issue(Login::new("carol")).await.unwrap();
        let stamp = append(&nodes[0].revocations(), &facts(3, 9)).await;
        let verifies = async |auth: &SessionAuthenticator<MySqlStore>| {
            for (name, login) in &ended {
                let verified = auth.verify(login).await;
                let rejected = verified.is_err_and(|error| error.rejection().is_some());
                assert!(rejected, "{name} has logged out");
            }
            auth.verify(kept.credential().reveal()).await.unwrap();
        };
        verifies(&auths[1]).await;
        assert_eq!(nodes[1].revocations().head(now()).await.unwrap(), stamp);
        pools[0].close().await;
        verifies(&auths[1]).await;
        server.kill9();
        server.restart();
        let fresh = node(&pool(&server, 1), "statewise_sessions");
        verifies(&authenticator(fresh.sessions())).await;
        assert_eq!(fresh.revocations().head(now()).await.unwrap(), stamp);
    });
}

/// Changes that an application may make to a pooled connection, each with the current table.
const CHANGES: [&str; 15] = [
    "SELECT 1",
    "SET autocommit = 0",
    // With a view of the table as it is now.
    "SET autocommit = 0; SELECT * FROM {table}; SELECT * FROM {table}_log_head",
    "START TRANSACTION; SELECT * FROM {table}; SELECT * FROM {table}_log_head",
    "START TRANSACTION READ ONLY; SELECT * FROM {table}",
    "SET SESSION TRANSACTION READ ONLY",
    "SET completion_type = 1",
    "SET completion_type = 2",
    "SET sql_mode = ''",
    "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE'",
    "SET sql_mode = 'EMPTY_STRING_IS_NULL'",
    "SET sql_mode = 'ORACLE,SIMULTANEOUS_ASSIGNMENT'",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET autocommit = 0; SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET innodb_lock_wait_timeout = 1, unique_checks = 0, big_tables = 1",
];

/// The connection of one node is changed before each call. The other node sees every change that
/// was acknowledged, and the changed connection sees every change of the other node.
#[test]
fn a_changed_connection_acknowledges_what_is_committed() {
    with_server(async |shared| {
        for change in CHANGES {
            let table = table();
            let changed = pool(&shared.server, 1);
            let (one, other) = (node(&changed, &table), node(&shared.pool, &table));
            other.migrate().await.unwrap();
            let change = change.replace("{table}", &table);
            let change = async || sql(&changed, &change).await;
            let (store, log) = (one.sessions(), one.revocations());
            let (seen, seen_log) = (other.sessions(), other.revocations());

            let rows = [(); 3].map(|()| Sample::of("alice").idle(1_000).at(now()));
            for row in &rows {
                change().await;
                put(&store, row).await;
                assert!(get(&seen, row).await.is_some());
            }
            change().await;
            store
                .touch(&[(rows[0].handle(), later(9))], later(9))
                .await
                .unwrap();
            assert_eq!(get(&seen, &rows[0]).await.unwrap().last_seen(), later(9));
            change().await;
            let rotation = Sample::rotation_of(&rows[0]);
            let rotated = store.rotate(rows[0].handle(), &rotation, now()).await;
            assert!(matches!(rotated.unwrap(), Rotated::Done(_)));
            assert_eq!(get(&seen, &rows[0]).await.unwrap().generation(), 1);
            change().await;
            store.confirm(rows[0].handle(), 1, now()).await.unwrap();
            change().await;
            let removed = store.remove(rows[1].handle(), "alice", now()).await;
            assert_eq!(removed.unwrap().count, 1);
            assert!(get(&seen, &rows[1]).await.is_none());
            change().await;
            let fresh = Sample::of("alice").at(now());
            let created = store.create(&fresh, Limit::EvictOldest(1), now()).await;
            assert!(matches!(created.unwrap(), Created::Stored { evicted } if evicted.len() == 2));
            assert_eq!(count(&seen, "alice").await, 1);
            change().await;
            let listed = store.list("alice", Page::first(9), now()).await.unwrap();
            assert_eq!(listed.records.len(), 1);
            change().await;
            let removed = store.remove_subject("alice", Scope::all(), now()).await;
            assert_eq!(removed.unwrap().count, 1);
            assert_eq!(count(&seen, "alice").await, 0);
            let expired = Sample::of("bob").idle(1).at(now());
            put(&seen, &expired).await;
            change().await;
            let swept = store.sweep(100, later(500)).await.unwrap();
            assert_eq!(swept.removed, 1);
            assert!(get(&seen, &expired).await.is_none());
            for facts in [facts(3, 9), facts(20, 9)] {
                change().await;
                let stamp = append(&log, &facts).await;
                assert_eq!(seen_log.head(now()).await.unwrap(), stamp);
            }
            change().await;
            log.fence(now()).await.unwrap();

            // A logout and an entry of the other node.
            let row = Sample::of("alice").at(now());
            put(&seen, &row).await;
            change().await;
            let _ = seen.remove(row.handle(), "alice", now()).await.unwrap();
            let stamp = append(&seen_log, &facts(1, 9)).await;
            assert!(get(&store, &row).await.is_none());
            change().await;
            assert_eq!(log.head(now()).await.unwrap(), stamp);
            change().await;
            assert_eq!(log.read(0, 100, now()).await.unwrap().entries.len(), 24);
        }
    });
}

/// A server that accepts no writes answers no read either, even to a user with all rights: it may
/// still have a row that its successor has removed.
#[test]
fn a_read_only_server_is_unavailable() {
    block_on(async {
        let Some(server) = MariaDbServer::start() else {
            return;
        };
        let pool = pool(&server, 4);
        let database = database(&pool, "statewise_sessions");
        database.migrate().await.unwrap();
        let store = database.sessions();
        let row = Sample::of("alice").at(now());
        put(&store, &row).await;
        sql(&pool, "SET GLOBAL read_only = 1").await;
        let handle = row.handle();
        let found = store.load(handle, Default::default(), now()).await;
        assert!(is_unavailable(&found), "{found:?}");
        for limit in [Limit::Unlimited, Limit::Reject(9)] {
            let fresh = Sample::of("alice").at(now());
            assert!(is_unavailable(&store.create(&fresh, limit, now()).await));
        }
        let rotation = Sample::rotation_of(&row);
        assert!(is_unavailable(
            &store.rotate(handle, &rotation, now()).await
        ));
        assert!(is_unavailable(&store.remove(handle, "alice", now()).await));
        let all = store.remove_subject("alice", Scope::all(), now()).await;
        assert!(is_unavailable(&all));
        assert!(is_unavailable(
            &store.list("alice", Page::first(9), now()).await
        ));
        assert!(is_unavailable(&store.sweep(9, now()).await));
        assert!(is_unavailable(&database.check().await));
        sql(&pool, "SET GLOBAL read_only = 0").await;
        assert!(get(&store, &row).await.is_some());
        assert_eq!(count(&store, "alice").await, 1);
        database.check().await.unwrap();
    });
}
