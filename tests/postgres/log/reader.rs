//! A service that may only read the log.

use std::sync::{Arc, LazyLock};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool};
use statewise::Error;
use statewise::revocation::PostgresLog;
use statewise::revocation::log::RevocationLog as _;
use statewise::store::postgres::{Link, Pipelined, Sqlx};
use statewise::store::{Postgres, PostgresBuilder};

use super::{
    ByPipelined, BySqlx, Named, PATIENCE, append, by_sqlx, facts, if_served, now, pool, server,
    sql, table,
};
use crate::log_reader::{Paired, ReaderFixture, follows_with_read_rights};
use crate::postgres_client::client_as;

/// The pool of the user of the documentation, without rights yet.
static READER: LazyLock<PgPool> = LazyLock::new(|| {
    let pool = pool(server(), 4);
    let options: PgConnectOptions = (*pool.connect_options()).clone();
    pool.options()
        .clone()
        .connect_lazy_with(options.username("reader"))
});

/// The grants of the documentation for a table in the schema `public`.
fn grants(table: &str) -> String {
    let documentation = include_str!("../../../src/backend/sql/postgres.rs");
    let grants = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("/// GRANT "))
        .filter(|grant| grant.ends_with(" TO reader;"));
    let grants: String = grants.map(|grant| format!("GRANT {grant}\n")).collect();
    assert_eq!(grants.lines().count(), 2, "{grants}");
    grants
        .replace("app.revocations", table)
        .replace("SCHEMA app", "SCHEMA public")
}

/// Creates the user, with the rights of a reader of a table.
async fn allow(table: &str) {
    let create = "DO $$ BEGIN CREATE ROLE reader LOGIN; \
                  EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    let admin = pool(server(), 1);
    sql(&admin, table, create).await;
    let grants = grants(table);
    // Concurrent grants on the schema can fail.
    let grant = format!("SELECT pg_advisory_xact_lock(4711); {grants}");
    sql(&admin, table, &grant).await;
}

fn built<L: Link>(builder: PostgresBuilder<L>, table: &str) -> PostgresLog<L> {
    let builder = builder.log_table(table).deadline(PATIENCE);
    builder.build_log_reader().unwrap()
}

fn reader_by_sqlx(table: &str) -> PostgresLog<Sqlx> {
    built(Postgres::over(READER.clone()), table)
}

fn reader_pipelined(table: &str) -> PostgresLog<Pipelined> {
    let connect = || client_as(server().socket(), "reader");
    built(Postgres::connect(connect).connections(2), table)
}

impl ReaderFixture for BySqlx {
    type Reader = PostgresLog<Sqlx>;

    async fn reader(&self, log: &Named<PostgresLog<Sqlx>>) -> Self::Reader {
        allow(&log.table).await;
        reader_by_sqlx(&log.table)
    }
}

impl ReaderFixture for ByPipelined {
    type Reader = PostgresLog<Pipelined>;

    async fn reader(&self, log: &Named<PostgresLog<Pipelined>>) -> Self::Reader {
        allow(&log.table).await;
        reader_pipelined(&log.table)
    }
}

mod laws_by_sqlx {
    use super::{BySqlx, Paired, if_served};

    statewise::testkit::revocation_log_laws!(Paired(BySqlx), block_on = if_served);
}

mod laws_pipelined {
    use super::{ByPipelined, Paired, if_served};

    statewise::testkit::revocation_log_laws!(Paired(ByPipelined), block_on = if_served);
}

async fn a_service_follows<L: Link>(reader: impl Fn(&str) -> PostgresLog<L>) {
    let (admin, table) = (pool(server(), 4), table());
    let owner = by_sqlx(&admin, &table, PATIENCE);
    owner.migrate().await.unwrap();
    let writer = owner.revocations();
    // A log that also writes has all rights of a reader.
    writer.check().await.unwrap();
    allow(&table).await;
    let reader = reader(&table);
    reader.check().await.unwrap();
    let [forbid, permit] = ["REVOKE SELECT ON {log} FROM", "GRANT SELECT ON {log} TO"]
        .map(|change| format!("{change} reader"));
    follows_with_read_rights(
        Arc::new(writer),
        Arc::new(reader),
        async || sql(&admin, &table, &forbid).await,
        async || sql(&admin, &table, &permit).await,
    )
    .await;
}

#[test]
fn a_service_follows_by_sqlx() {
    if_served(a_service_follows(reader_by_sqlx));
}

#[test]
fn a_service_follows_pipelined() {
    if_served(a_service_follows(reader_pipelined));
}

/// Each documented right is needed, and named when it is missing. None of them writes, or reads a
/// session. A log without its counter is not begun.
#[test]
fn the_rights_of_a_reader_suffice_and_write_nothing() {
    if_served(async {
        let (admin, table) = (pool(server(), 4), table());
        let owner = by_sqlx(&admin, &table, PATIENCE);
        owner.migrate().await.unwrap();
        append(&owner.revocations(), &facts(3, 900)).await;
        allow(&table).await;
        let (by_sqlx, pipelined) = (reader_by_sqlx(&table), reader_pipelined(&table));
        let check = async || [by_sqlx.check().await, pipelined.check().await];
        for checked in check().await {
            checked.unwrap();
        }
        for name in [table.clone(), format!("{table}_head")] {
            let revoke = format!("REVOKE SELECT ON {name} FROM reader");
            sql(&admin, &table, &revoke).await;
            for checked in check().await {
                let error = checked.unwrap_err();
                let text = error.to_string();
                assert!(error.is_misuse(), "{error:?}");
                assert!(text.contains("SELECT") && text.contains(&name), "{text}");
                assert!(
                    !text.contains("INSERT") && !text.contains("DELETE"),
                    "{text}"
                );
            }
            assert!(by_sqlx.read(0, 9, now()).await.is_err());
            sql(&admin, &table, &format!("GRANT SELECT ON {name} TO reader")).await;
        }
        let before = by_sqlx.read(0, 9, now()).await.unwrap();
        for statement in [
            "INSERT INTO {log} SELECT position + 9, nonce, fact, life, stays_until FROM {log}",
            "UPDATE {log} SET stays_until = 0",
            "DELETE FROM {log}",
            "TRUNCATE {log}",
            "DROP TABLE {log}",
            "SELECT * FROM {log} FOR UPDATE",
            "UPDATE {head} SET position = 0",
            "UPDATE {head} SET fenced = fenced + 1",
            "DELETE FROM {head}",
            "INSERT INTO {head} SELECT * FROM {head}",
            "ALTER TABLE {head} ADD other bigint",
            "SELECT * FROM {log}_sessions",
        ] {
            let statement = statement.replace("{log}", &table);
            let statement = statement.replace("{head}", &format!("{table}_head"));
            let refused = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
            let error = refused.execute(&*READER).await.expect_err(&statement);
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
        }
        // Also through a log that is built to write.
        let writes = super::by_sqlx(&READER, &table, PATIENCE).revocations();
        for refused in [
            writes.append(&facts(1, 900), now()).await.map(drop),
            writes.fence(now()).await,
        ] {
            assert!(refused.as_ref().is_err_and(Error::is_misuse), "{refused:?}");
        }
        assert_eq!(pipelined.read(0, 9, now()).await.unwrap(), before);

        sql(&admin, &table, "DELETE FROM {head}").await;
        for checked in check().await {
            let error = checked.unwrap_err();
            let text = error.to_string();
            assert!(
                error.is_unavailable() && text.contains("begins it"),
                "{error:?}"
            );
        }
    });
}
