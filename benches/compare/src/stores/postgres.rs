//! On one Postgres.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use statewise::store::Postgres;
use tokio::net::UnixStream;
use tokio_postgres::{Client, Config, NoTls};
use tower_sessions_sqlx_store::sqlx as sqlx08;

use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::{Aim, Feed, Line, Served, runtime};
use crate::site::{DUE, NOTED, Site};
use crate::support::servers::postgres::PostgresServer;
use crate::{EACH, ONE_OF_EIGHT, tower};

const GROUP: &str = "postgres, sliding verify";
const TOWER: &str = "tower-sessions-sqlx-store 0.15 (core 0.14)";
const BY_SQLX: &str = "statewise by sqlx, one use of eight noted";
const CONNECTIONS: u32 = 16;

async fn connect(socket: PathBuf) -> Result<Arc<Client>, tokio_postgres::Error> {
    let stream = UnixStream::connect(socket).await.expect("a server");
    let mut config = Config::new();
    config.user("postgres").dbname("postgres");
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(Arc::new(client))
}

pub fn run(options: &Options) -> Vec<Row> {
    if !options.wants(GROUP) {
        return Vec::new();
    }
    let Some(server) = PostgresServer::start() else {
        return Vec::new();
    };
    let runtime = runtime();
    let _entered = runtime.enter();

    let connection = sqlx08::postgres::PgConnectOptions::new_without_pgpass()
        .socket(server.folder())
        .username("postgres")
        .database("postgres");
    let pool = sqlx08::postgres::PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect_lazy_with(connection);
    let tower = Arc::new(tower_sessions_sqlx_store::PostgresStore::new(pool));
    let connection = PgConnectOptions::new_without_pgpass()
        .socket(server.folder())
        .username("postgres")
        .database("postgres");
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect_lazy_with(connection);
    let by_sqlx = Postgres::over(pool).build().expect("a database");
    let ours = || {
        let socket = server.socket();
        let postgres = Postgres::connect(move || connect(socket.clone()));
        postgres.build().expect("a database").sessions()
    };
    drop(_entered);
    runtime.block_on(tower.migrate()).expect("a table");
    runtime.block_on(by_sqlx.migrate()).expect("a table");

    let cookies = tower::log_in(&tower, &runtime);
    let lines = cookies.iter().map(|text| Line::new(text));
    let cookies = Feed::shuffled(lines.collect(), options.seed);
    let by_tower = move || {
        let (tower, cookies) = (Arc::clone(&tower), cookies.clone());
        async move {
            black_box(tower::verify(tower, cookies.next()).await);
        }
    };
    let group = Served::new(GROUP, &runtime).add(TOWER, by_tower);
    let site = |logins| Site::new(ours(), logins, &runtime);
    let group = site(DUE * NOTED).noting(group, EACH, 1, None, &runtime);
    let group = site(DUE).noting(group, ONE_OF_EIGHT, NOTED, None, &runtime);
    let site = Site::new(by_sqlx.sessions(), DUE, &runtime);
    site.noting(group, BY_SQLX, NOTED, None, &runtime)
        .target(ONE_OF_EIGHT, Aim::Throughput(3.0), TOWER)
        .target(EACH, Aim::Throughput(3.0), TOWER)
        .run(options)
}
