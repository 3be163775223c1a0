//! A service that may only read the log.

use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, MySqlPool};
use statewise::Error;
use statewise::revocation::MySqlLog;
use statewise::revocation::log::RevocationLog as _;
use statewise::store::MySql;

use super::{
    Named, Shared, Tables, append, database, facts, if_served, migrated, now, shared, sql, table,
    with_server,
};
use crate::log_reader::{Paired, ReaderFixture, follows_with_read_rights};

/// The grants of the documentation for a table.
fn grants(table: &str) -> Vec<String> {
    let documentation = include_str!("../../../src/backend/sql/mysql.rs");
    let grants = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("/// GRANT "))
        .filter(|grant| grant.ends_with(" TO reader@localhost;"));
    let of_table = |grant: &str| {
        let grant = grant.replace("app.statewise_revocations", &format!("statewise.{table}"));
        format!("GRANT {grant}")
    };
    let grants: Vec<_> = grants.map(of_table).collect();
    assert_eq!(grants.len(), 2, "{grants:?}");
    grants
}

/// Creates the user, with the rights of a reader of a table.
async fn allow(shared: &Shared, table: &str) {
    let create = "CREATE USER IF NOT EXISTS reader@localhost";
    sql(&shared.pools[0], table, create).await;
    for grant in grants(table) {
        sql(&shared.pools[0], table, &grant).await;
    }
}

fn pool(shared: &Shared) -> MySqlPool {
    let options = MySqlConnectOptions::new().username("reader");
    let options = options.socket(shared.server.socket()).database("statewise");
    let pool = &shared.pools[0];
    pool.options().clone().connect_lazy_with(options)
}

fn reader(pool: &MySqlPool, table: &str) -> MySqlLog {
    let builder = MySql::over(pool.clone()).log_table(table);
    let builder = builder.deadline(Duration::from_secs(60));
    builder.build_log_reader().unwrap()
}

impl ReaderFixture for Tables {
    type Reader = MySqlLog;

    async fn reader(&self, log: &Named<MySqlLog>) -> MySqlLog {
        let shared = shared().unwrap();
        allow(shared, &log.table).await;
        reader(&pool(shared), &log.table)
    }
}

mod laws {
    use super::{Paired, Tables, if_served};

    statewise::testkit::revocation_log_laws!(Paired(Tables), block_on = if_served);
}

#[test]
fn a_service_follows_with_read_rights_only() {
    with_server(async |shared| {
        let (owner, table) = (&shared.pools[0], table());
        let writer = migrated(owner, &table).await;
        // A log that also writes has all rights of a reader.
        writer.check().await.unwrap();
        allow(shared, &table).await;
        let reader = reader(&pool(shared), &table);
        reader.check().await.unwrap();
        follows_with_read_rights(
            Arc::new(writer),
            Arc::new(reader),
            async || {
                let revoke = "REVOKE SELECT ON statewise.{log} FROM reader@localhost";
                sql(owner, &table, revoke).await;
            },
            async || allow(shared, &table).await,
        )
        .await;
    });
}

/// Each documented right is needed, and named when it is missing. None of them writes, or reads a
/// session. A log without its counter is not begun.
#[test]
fn the_rights_of_a_reader_suffice_and_write_nothing() {
    with_server(async |shared| {
        let (owner, table) = (&shared.pools[0], table());
        append(&migrated(owner, &table).await, &facts(3, 900)).await;
        allow(shared, &table).await;
        let pool = pool(shared);
        let reader = reader(&pool, &table);
        reader.check().await.unwrap();
        for name in [table.clone(), format!("{table}_head")] {
            let on = format!("SELECT ON statewise.{name}");
            sql(owner, &table, &format!("REVOKE {on} FROM reader@localhost")).await;
            let error = reader.check().await.unwrap_err();
            let text = error.to_string();
            assert!(error.is_misuse(), "{error:?}");
            assert!(text.contains("SELECT") && text.contains(&name), "{text}");
            assert!(reader.read(0, 9, now()).await.is_err());
            sql(owner, &table, &format!("GRANT {on} TO reader@localhost")).await;
        }
        let before = reader.read(0, 9, now()).await.unwrap();
        for statement in [
            "INSERT INTO {log} SELECT position + 9, nonce, fact, life, stays_until FROM {log}",
            "UPDATE {log} SET stays_until = 0",
            "DELETE FROM {log}",
            "TRUNCATE {log}",
            "DROP TABLE {log}",
            "UPDATE {head} SET position = 0",
            "UPDATE {head} SET fenced = fenced + 1",
            "DELETE FROM {head}",
            "INSERT INTO {head} SELECT * FROM {head}",
            "ALTER TABLE {head} ADD other BIGINT",
            "SELECT * FROM statewise_sessions",
        ] {
            let statement = statement.replace("{log}", &table);
            let statement = statement.replace("{head}", &format!("{table}_head"));
            let refused = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
            let error = refused.execute(&pool).await.expect_err(&statement);
            let text = error.to_string();
            assert!(text.contains("denied"), "{statement}: {text}");
        }
        // Also through a log that is built to write.
        let writes = database(&pool, &table).revocations();
        for refused in [
            writes.append(&facts(1, 900), now()).await.map(drop),
            writes.fence(now()).await,
        ] {
            assert!(refused.as_ref().is_err_and(Error::is_misuse), "{refused:?}");
        }
        assert_eq!(reader.read(0, 9, now()).await.unwrap(), before);

        sql(owner, &table, "DELETE FROM {head}").await;
        let error = reader.check().await.unwrap_err();
        let text = error.to_string();
        assert!(
            error.is_unavailable() && text.contains("begins it"),
            "{error:?}"
        );
    });
}
