//! Obstacles at the first start with a server: no tables, another name, no password. Each
//! error names the next step where `main` prints it.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{MySqlPool, PgPool, SqlitePool};
use statewise::clock::Timestamp;
use statewise::store::contract::{Page, SessionStore};
use statewise::store::{MySql, Postgres, Redis, Sqlite};
use tokio::net::UnixStream;
use tokio::runtime::Builder;

use crate::support::servers::mariadb::MariaDbServer;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::redis::RedisServer;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// The text of a failed `main`.
fn printed<T: Debug>(answer: statewise::Result<T>) -> String {
    let error = answer.expect_err("there is nothing to use");
    assert!(error.is_unavailable(), "{error}");
    format!("Error: {error:?}")
}

/// Looks for the logins of a user, as any first request would for a session.
async fn asked(store: impl SessionStore) -> String {
    printed(store.list("alice", Page::first(9), NOW).await)
}

#[track_caller]
fn assert_names(printed: &str, step: &str) {
    assert!(printed.contains(step), "{printed}");
}

#[test]
fn a_missing_migration_is_named() {
    run(async {
        let memory = SqlitePool::connect("sqlite::memory:").await.unwrap();
        let sqlite = Sqlite::over(memory).build().unwrap();
        assert_names(&asked(sqlite.sessions()).await, "call `migrate` first");
        if let Some(server) = PostgresServer::start() {
            let pool = PgPool::connect_lazy(&address(&server, "postgres", "postgres")).unwrap();
            let postgres = Postgres::over(pool).build().unwrap();
            assert_names(&asked(postgres.sessions()).await, "call `migrate` first");
        }
        if let Some(server) = MariaDbServer::start() {
            let pool = MySqlPool::connect(&server.url()).await.unwrap();
            let mysql = MySql::over(pool).build().unwrap();
            assert_names(&asked(mysql.sessions()).await, "call `migrate` first");
        }
    });
}

fn address(server: &PostgresServer, user: &str, database: &str) -> String {
    let folder = server.folder().display().to_string().replace('/', "%2F");
    format!("postgres://{user}@{folder}/{database}")
}

#[test]
fn another_database_or_user_of_postgres_is_named() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    run(async {
        for (user, database, step) in [
            ("postgres", "shop", "there is no database of this name"),
            ("nobody", "postgres", "correct user and password"),
        ] {
            let address = address(&server, user, database);
            let over_sqlx = Postgres::over(PgPool::connect_lazy(&address).unwrap());
            let over_sqlx = over_sqlx.build().unwrap();
            assert_names(&printed(over_sqlx.migrate().await), step);
            let socket = server.socket();
            let pipelined = Postgres::connect(move || {
                let socket = socket.clone();
                async move {
                    let stream = UnixStream::connect(socket).await.unwrap();
                    let mut config = tokio_postgres::Config::new();
                    let opened = config.user(user).dbname(database);
                    let opened = opened.connect_raw(stream, tokio_postgres::NoTls).await;
                    opened.map(|(client, connection)| {
                        tokio::spawn(connection);
                        Arc::new(client)
                    })
                }
            });
            let pipelined = pipelined.build().unwrap();
            assert_names(&printed(pipelined.migrate().await), step);
        }
    });
}

#[test]
fn another_database_or_user_of_mariadb_is_named() {
    let Some(server) = MariaDbServer::start() else {
        return;
    };
    run(async {
        let url = server.url();
        let elsewhere = server.url_of("shop");
        let stranger = url.replacen("root", "nobody", 1);
        assert_ne!(stranger, url);
        for (address, step) in [
            (elsewhere, "there is no database of this name"),
            (stranger, "correct user and password"),
        ] {
            let mysql = MySql::over(MySqlPool::connect_lazy(&address).unwrap());
            let mysql = mysql.build().unwrap();
            assert_names(&printed(mysql.migrate().await), step);
        }
    });
}

#[test]
fn a_file_of_sqlite_that_cannot_be_opened_is_named() {
    run(async {
        let options = SqliteConnectOptions::new()
            .filename("/no/such/folder/sessions.db")
            .journal_mode(SqliteJournalMode::Wal);
        let sqlite = Sqlite::over(SqlitePool::connect_lazy_with(options));
        let sqlite = sqlite.build().unwrap();
        assert_names(&printed(sqlite.migrate().await), "`create_if_missing`");
    });
}

#[test]
fn a_missing_password_of_redis_is_named() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let set = server.ask(&["CONFIG", "SET", "requirepass", "open sesame"]);
        set.unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let store = Redis::over(connection).build().unwrap().sessions();
        assert_names(&asked(store).await, "asks for a password");
    });
}

/// The server refuses each attempt to connect. The error names what to correct, and shows no secret.
#[test]
fn a_wrong_address_of_redis_is_named() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let set = server.ask(&["CONFIG", "SET", "requirepass", "open-sesame"]);
        set.unwrap();
        let unresolved = format!("redis://{}.example", "x".repeat(64));
        let of_server = |query: &str| format!("{}?{query}", server.url());
        for (address, step) in [
            (of_server("pass=tryst"), "correct them in the address"),
            (
                of_server("pass=tryst&protocol=resp3"),
                "correct them in the address",
            ),
            (
                of_server("user=tryst&pass=tryst"),
                "correct them in the address",
            ),
            (of_server("db=1"), "asks for a password"),
            (of_server("protocol=resp3"), "asks for a password"),
            (
                of_server("pass=open-sesame&db=77"),
                "number of the database",
            ),
            (unresolved, "the host name does not resolve"),
        ] {
            let client = redis::Client::open(address.as_str()).unwrap();
            let redis = Redis::connect(move || {
                let client = client.clone();
                async move { client.get_multiplexed_async_connection().await }
            });
            let printed = printed(redis.build().unwrap().check().await);
            assert_names(&printed, step);
            for secret in ["tryst", "sesame", "77", "xx"] {
                assert!(!printed.contains(secret), "{printed}");
            }
        }
    });
}

#[test]
fn a_server_that_does_not_listen_is_named() {
    run(async {
        let client = redis::Client::open("redis://127.0.0.1:1").unwrap();
        let redis = Redis::connect(move || {
            let client = client.clone();
            async move { client.get_multiplexed_async_connection().await }
        });
        let redis = redis.build().unwrap();
        assert_names(&printed(redis.check().await), "connection refused");
        let postgres = PgPool::connect_lazy("postgres://app@127.0.0.1:1/app").unwrap();
        let postgres = Postgres::over(postgres).build().unwrap();
        assert_names(&asked(postgres.sessions()).await, "connection refused");
        let mysql = MySqlPool::connect_lazy("mysql://app@127.0.0.1:1/app").unwrap();
        let mysql = MySql::over(mysql).build().unwrap();
        assert_names(&asked(mysql.sessions()).await, "check that the server runs");
    });
}
