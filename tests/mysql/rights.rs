//! Rights of the database's user, and checks that name the missing ones.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, MySqlPool};
use statewise::revocation::log::RevocationLog as _;
use statewise::session::Limit;
use statewise::store::MySql;
use statewise::store::contract::{Created, Page, Scope, SessionStore as _};
use statewise::testkit::Sample;

use super::cases::{get, later, now, put};
use super::log_cases::{append, facts};
use super::runtime::block_on;
use super::server::pool;
use super::support::servers::mariadb::MariaDbServer;

/// The rights in the documentation of `MySql`.
const GRANTS: [(&str, &[&str]); 4] = [
    (
        "statewise_sessions",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    ("statewise_sessions_limit", &["SELECT", "INSERT"]),
    ("statewise_revocations", &["SELECT", "INSERT", "DELETE"]),
    (
        "statewise_revocations_head",
        &["SELECT", "INSERT", "UPDATE"],
    ),
];

async fn sql(pool: &MySqlPool, text: String) {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(pool);
    done.await.unwrap();
}

/// A pool of the user `app`, without rights yet.
async fn app(server: &MariaDbServer, owner: &MySqlPool) -> MySqlPool {
    sql(owner, "CREATE USER app@localhost".to_owned()).await;
    let options = MySqlConnectOptions::new().username("app");
    let options = options.socket(server.socket()).database("statewise");
    // Without a right, the database cannot be chosen.
    sql(
        owner,
        "GRANT CREATE TEMPORARY TABLES ON statewise.* TO app@localhost".to_owned(),
    )
    .await;
    MySqlPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options)
}

fn database(pool: &MySqlPool) -> MySql {
    let builder = MySql::over(pool.clone());
    builder.deadline(Duration::from_secs(60)).build().unwrap()
}

/// The text of a *misuse*.
fn misuse(answer: statewise::Result<()>) -> String {
    let error = answer.expect_err("something is missing");
    assert!(error.is_misuse(), "{error:?}");
    error.to_string()
}

/// Rejects a migration that needs the right to create what exists, and a missing right that is
/// reported as an outage, or without its table.
#[test]
fn a_missing_right_is_named() {
    block_on(async {
        let Some(server) = MariaDbServer::start() else {
            return;
        };
        let owner = pool(&server, 1);
        let app = app(&server, &owner).await;
        let database = database(&app);
        let missing = misuse(database.migrate().await);
        assert!(
            missing.contains("CREATE") && missing.contains("statewise_sessions"),
            "{missing}"
        );
        let mine = self::database(&owner);
        let missing = misuse(mine.check().await);
        assert!(missing.contains("call `migrate`"), "{missing}");
        let missing = misuse(mine.require_durable().await);
        assert!(missing.contains("call `migrate` first"), "{missing}");
        mine.migrate().await.unwrap();
        mine.check().await.unwrap();
        for (table, rights) in GRANTS {
            let rights = rights.join(", ");
            sql(
                &owner,
                format!("GRANT {rights} ON statewise.{table} TO app@localhost"),
            )
            .await;
        }
        database.migrate().await.unwrap();
        database.check().await.unwrap();
        let _ = database.durability().await.unwrap();

        // Everything works with exactly these.
        let (store, log) = (database.sessions(), database.revocations());
        let rows = [(); 3].map(|()| Sample::of("alice").idle(500).at(now()));
        for row in &rows {
            let created = store.create(row, Limit::EvictOldest(2), now()).await;
            assert!(matches!(created.unwrap(), Created::Stored { .. }));
        }
        store
            .touch(&[(rows[2].handle(), later(5))], later(5))
            .await
            .unwrap();
        let rotation = Sample::rotation_of(&rows[2]);
        let _ = store
            .rotate(rows[2].handle(), &rotation, now())
            .await
            .unwrap();
        store.confirm(rows[2].handle(), 1, now()).await.unwrap();
        let _ = store.list("alice", Page::first(9), now()).await.unwrap();
        let _ = store.sweep(9, later(900)).await.unwrap();
        put(&store, &rows[0]).await;
        let _ = store
            .remove(rows[0].handle(), "alice", now())
            .await
            .unwrap();
        let _ = store
            .remove_subject("alice", Scope::all(), now())
            .await
            .unwrap();
        append(&log, &facts(3, 9)).await;
        log.fence(now()).await.unwrap();
        let _ = log.read(0, 9, now()).await.unwrap();
        assert!(get(&store, &rows[1]).await.is_none());

        for (table, rights) in GRANTS {
            for right in rights {
                sql(
                    &owner,
                    format!("REVOKE {right} ON statewise.{table} FROM app@localhost"),
                )
                .await;
                let missing = misuse(database.check().await);
                let names = ['`', '\''].map(|quote| missing.contains(&format!("{table}{quote}")));
                let names_both = missing.contains(right) && names.contains(&true);
                assert!(names_both, "{right} on {table}: {missing}");
                for secret in ["app", "localhost"] {
                    assert!(!missing.contains(secret), "{missing}");
                }
                sql(
                    &owner,
                    format!("GRANT {right} ON statewise.{table} TO app@localhost"),
                )
                .await;
            }
        }
        database.check().await.unwrap();
    });
}

/// Settings under which statements fail, or their effect is uncertain.
#[test]
fn an_unfit_setting_is_named() {
    block_on(async {
        let Some(server) = MariaDbServer::start() else {
            return;
        };
        let owner = pool(&server, 1);
        let database = database(&owner);
        database.migrate().await.unwrap();
        for (setting, bad, good) in [
            ("sql_safe_updates", "1", "0"),
            ("sql_log_bin", "0", "1"),
            ("tx_isolation", "'READ-UNCOMMITTED'", "'READ-COMMITTED'"),
        ] {
            sql(&owner, format!("SET SESSION {setting} = {bad}")).await;
            let named = misuse(database.check().await);
            assert!(named.contains(setting), "{named}");
            sql(&owner, format!("SET SESSION {setting} = {good}")).await;
            database.check().await.unwrap();
        }
        sql(&owner, "DROP TABLE statewise_revocations_head".to_owned()).await;
        let named = misuse(database.check().await);
        assert!(named.contains("statewise_revocations"), "{named}");
        database.migrate().await.unwrap();
        sql(
            &owner,
            "ALTER TABLE statewise_sessions DROP COLUMN seed".to_owned(),
        )
        .await;
        let named = misuse(database.check().await);
        assert!(named.contains("statewise_sessions"), "{named}");
    });
}
