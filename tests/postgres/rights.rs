//! Rights, schema and settings: the documented grants suffice, and the check names each gap.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool};
use statewise::Error;
use statewise::clock::Timestamp;
use statewise::entropy::SystemEntropy;
use statewise::revocation::log::{Draft, Fact, RevocationLog as _};
use statewise::session::Limit;
use statewise::store::contract::{Load, Page, Scope, SessionStore as _};
use statewise::store::postgres::Link;
use statewise::store::{Postgres, PostgresBuilder};
use statewise::testkit::Sample;
use tokio_postgres::Client;

use crate::fixture::{patient, pool_of, private_server, run, sqlx_pool};
use crate::postgres_client;
use crate::support::servers::postgres::PostgresServer;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);

/// The grants of the documentation.
fn grants() -> Vec<String> {
    let documentation = include_str!("../../src/backend/sql/postgres.rs");
    let grants = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("/// GRANT "))
        .filter(|grant| grant.ends_with(" TO service;"));
    grants.map(|grant| format!("GRANT {grant}")).collect()
}

async fn sql(pool: &PgPool, text: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
    done.execute(pool).await.unwrap();
}

fn named<L: Link>(builder: PostgresBuilder<L>) -> Postgres<L> {
    patient(builder.table("app.sessions").log_table("app.revocations"))
}

fn as_user(server: &PostgresServer, user: &str) -> PgPool {
    let options = PgConnectOptions::new_without_pgpass().socket(server.folder());
    let pool = pool_of(options, 2);
    let options = (*pool.connect_options()).clone().username(user);
    pool.options().clone().connect_lazy_with(options)
}

async fn client_as(server: &PostgresServer, user: &str) -> io::Result<Arc<Client>> {
    postgres_client::client_as(server.socket(), user).await
}

/// Every statement of the store and of the log.
async fn all_acts<L: Link>(database: &Postgres<L>) -> Result<(), Error> {
    let store = database.sessions();
    for limit in [
        Limit::Unlimited,
        Limit::Reject(99),
        Limit::EvictOldest(1),
        Limit::Unlimited,
    ] {
        let row = Sample::of("alice").idle(100).at(NOW);
        let _ = store.create(&row, limit, NOW).await?;
        let handle = row.handle();
        assert!(store.load(handle, Load::new(), NOW).await?.is_some());
        let later = NOW.saturating_add(9);
        store.touch(&[(handle, later)], later).await?;
        let rotation = Sample::rotation_of(&row);
        let _ = store.rotate(handle, &rotation, NOW).await?;
        let update = Sample::update(b"2");
        let _ = store.update(handle, 0, &update, NOW).await?;
        store.confirm(handle, 1, NOW).await?;
        let _ = store.list("alice", Page::first(9), NOW).await?;
    }
    let expired = Sample::of("bob").idle(1).at(NOW);
    let _ = store.create(&expired, Limit::Unlimited, NOW).await?;
    let late = NOW.saturating_add(99);
    let found = store.load(expired.handle(), Load::new(), late).await?;
    assert!(found.is_none());
    let _ = store.sweep(9, late).await?;
    let row = Sample::of("alice").at(NOW);
    let _ = store.create(&row, Limit::Unlimited, NOW).await?;
    assert_eq!(store.remove(row.handle(), "alice", NOW).await?.count, 1);
    let _ = store.remove_subject("alice", Scope::all(), NOW).await?;
    let log = database.revocations();
    log.head(NOW).await?;
    let fact = Fact::Login(row.handle());
    let draft = Draft::new(fact, Duration::from_secs(9), &SystemEntropy)?;
    log.append(&[draft], NOW).await?;
    let _ = log.read(1, 9, NOW).await?;
    log.fence(NOW).await
}

fn assert_misuse(what: &str, answer: Result<(), Error>, names: &[&str]) {
    let error = answer.expect_err(what);
    assert!(error.is_misuse(), "{what}: {error:?}");
    for name in names {
        assert!(error.to_string().contains(name), "{what}: {error}");
    }
}

/// A schema is not created by the migration: both calls say to create it first, and so does a
/// search path that leads to no schema.
#[test]
fn a_missing_schema_is_named() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let admin = sqlx_pool(server, 1);
        let over_sqlx = named(Postgres::over(sqlx_pool(server, 1)));
        let pipelined = named(Postgres::connect(|| client_as(server, "postgres")));
        let names = ["create the schema", "CREATE SCHEMA app"];
        assert_misuse("sqlx, migrate", over_sqlx.migrate().await, &names);
        assert_misuse("sqlx, check", over_sqlx.check().await, &names);
        assert_misuse("pipelined, migrate", pipelined.migrate().await, &names);
        assert_misuse("pipelined, check", pipelined.check().await, &names);
        sql(&admin, "CREATE SCHEMA app").await;
        over_sqlx.migrate().await.unwrap();
        over_sqlx.check().await.unwrap();
        pipelined.migrate().await.unwrap();
        pipelined.check().await.unwrap();

        sql(
            &admin,
            "CREATE ROLE lost LOGIN; ALTER ROLE lost SET search_path TO nowhere",
        )
        .await;
        let lost = patient(Postgres::over(as_user(server, "lost")));
        let names = ["create the schema", "search_path"];
        assert_misuse("no path, migrate", lost.migrate().await, &names);
        assert_misuse("no path, check", lost.check().await, &names);
    });
}

/// Before the migration, nothing is known about tables that do not exist.
#[test]
fn durability_needs_the_tables() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let over_sqlx = patient(Postgres::over(sqlx_pool(server, 1)));
        let pipelined = patient(Postgres::connect(|| client_as(server, "postgres")));
        let names = ["call `migrate` first"];
        assert_misuse("sqlx", over_sqlx.require_durable().await, &names);
        assert_misuse("pipelined", pipelined.require_durable().await, &names);
        over_sqlx.migrate().await.unwrap();
        // The server of the tests has `fsync=off`.
        let names = ["a crash of the server would lose"];
        assert_misuse("sqlx", over_sqlx.require_durable().await, &names);
        assert_misuse("pipelined", pipelined.require_durable().await, &names);
    });
}

/// A service with the documented grants and nothing else migrates where nothing is missing, checks,
/// and does everything. Rejects a migration that creates what exists, and a lock that needs another
/// right.
#[test]
fn the_documented_grants_suffice() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let admin = sqlx_pool(server, 1);
        sql(&admin, "CREATE ROLE service LOGIN; CREATE ROLE owner LOGIN").await;
        sql(&admin, "CREATE SCHEMA app AUTHORIZATION owner").await;
        sql(
            &admin,
            "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        )
        .await;
        sql(
            &admin,
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        )
        .await;
        let service = named(Postgres::over(as_user(server, "service")));
        // There is nothing yet, and the service may not enter the schema.
        let refused = service.migrate().await;
        assert_misuse("no schema", refused, &["USAGE on the schema"]);
        sql(&admin, "GRANT USAGE ON SCHEMA app TO service").await;
        let refused = service.migrate().await;
        let names = ["app.sessions", "app.revocations", "may not create"];
        assert_misuse("no tables", refused, &names);
        let refused = service.check().await;
        let names = ["\"app\".\"sessions\"", "sessions_create_1", "migrate"];
        assert_misuse("no tables", refused, &names);

        let owner = named(Postgres::over(as_user(server, "owner")));
        owner.migrate().await.unwrap();
        owner.migrate().await.unwrap();
        let grants = grants();
        assert_eq!(grants.len(), 5);
        for grant in &grants {
            sql(&admin, grant).await;
        }
        let pipelined = named(Postgres::connect(|| client_as(server, "service")));
        service.migrate().await.unwrap();
        service.check().await.unwrap();
        service.durability().await.unwrap();
        all_acts(&service).await.unwrap();
        pipelined.migrate().await.unwrap();
        pipelined.check().await.unwrap();
        all_acts(&pipelined).await.unwrap();

        // Each right is necessary, and named when it is missing.
        let mut missing = vec![(
            "EXECUTE",
            "FUNCTION app.sessions_create_1",
            "sessions_create_1",
        )];
        let table = ["SELECT", "INSERT", "UPDATE", "DELETE"];
        missing.extend(table.map(|right| (right, "app.sessions", "sessions")));
        let log = ["SELECT", "INSERT", "DELETE"];
        missing.extend(log.map(|right| (right, "app.revocations", "revocations")));
        let head = ["SELECT", "INSERT", "UPDATE"];
        missing.extend(head.map(|right| (right, "app.revocations_head", "revocations_head")));
        for (right, on, name) in missing {
            sql(&admin, &format!("REVOKE {right} ON {on} FROM service")).await;
            let what = format!("{right} on {on}");
            assert_misuse(&what, service.check().await, &[right, name]);
            assert_misuse(&what, pipelined.check().await, &[right, name]);
            // The log has begun: it inserts no counter.
            if (right, name) != ("INSERT", "revocations_head") {
                assert_misuse(&what, all_acts(&service).await, &[right]);
                assert_misuse(&what, all_acts(&pipelined).await, &[right]);
            }
            sql(&admin, &format!("GRANT {right} ON {on} TO service")).await;
            service.check().await.unwrap();
        }
        server.kill9();
    });
}

/// Settings and tables that do not fit are named by the check.
#[test]
fn a_check_names_what_does_not_fit() {
    run(async {
        let Some(server) = private_server() else {
            return;
        };
        let admin = sqlx_pool(server, 1);
        sql(&admin, "CREATE ROLE service LOGIN; CREATE SCHEMA app").await;
        named(Postgres::over(admin.clone()))
            .migrate()
            .await
            .unwrap();
        for grant in grants() {
            sql(&admin, &grant).await;
        }
        let check = async || {
            // A setting of a role applies to new connections.
            let service = named(Postgres::over(as_user(server, "service")));
            service.check().await
        };
        check().await.unwrap();
        for (breaks, mends, names) in [
            (
                "ALTER ROLE service SET default_transaction_read_only = on",
                "ALTER ROLE service RESET ALL",
                "default_transaction_read_only",
            ),
            (
                "ALTER TABLE app.sessions ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE app.sessions DISABLE ROW LEVEL SECURITY",
                "row security",
            ),
            (
                "ALTER FUNCTION app.sessions_create_1 RENAME TO other",
                "ALTER FUNCTION app.other RENAME TO sessions_create_1",
                "sessions_create_1",
            ),
            (
                "ALTER TABLE app.sessions RENAME seed TO other",
                "ALTER TABLE app.sessions RENAME other TO seed",
                "42703",
            ),
            (
                "ALTER TABLE app.revocations ALTER life TYPE text",
                "ALTER TABLE app.revocations ALTER life TYPE bigint USING life::bigint",
                "refuses a statement",
            ),
        ] {
            sql(&admin, breaks).await;
            assert_misuse(breaks, check().await, &[names]);
            sql(&admin, mends).await;
            check().await.unwrap();
        }
        // A table that the search path does not lead to.
        let unqualified = patient(Postgres::over(as_user(server, "service")).table("sessions"));
        assert_misuse("path", unqualified.check().await, &["search path"]);
        let state = "SELECT 1 / (count(*) = 0)::int FROM app.sessions";
        sql(&admin, state).await;
        server.kill9();
    });
}
