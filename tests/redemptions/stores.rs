//! Stores on private servers, one for each of two nodes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::MySqlPoolOptions;
use statewise::store::postgres::Pipelined;
use statewise::store::{MySql, MySqlStore, Postgres, PostgresStore};
use tokio_postgres::{Config, NoTls};

const PATIENT: Duration = Duration::from_secs(60);

/// A database over connections that are opened again when they fail.
pub(crate) async fn postgres(folder: PathBuf) -> PostgresStore<Pipelined> {
    let connect = move || {
        let socket = folder.join(".s.PGSQL.5432");
        async move {
            let stream = tokio::net::UnixStream::connect(socket).await?;
            let mut config = Config::new();
            config.user("postgres").dbname("postgres");
            let connected = config.connect_raw(stream, NoTls).await;
            let (client, connection) = connected.map_err(io::Error::other)?;
            tokio::spawn(async {
                let _ = connection.await;
            });
            Ok::<_, io::Error>(Arc::new(client))
        }
    };
    let database = Postgres::connect(connect).connections(4).deadline(PATIENT);
    let database = database.build().unwrap();
    database.migrate().await.unwrap();
    database.sessions()
}

pub(crate) async fn mariadb(url: &str) -> MySqlStore {
    let pool = MySqlPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(PATIENT)
        .connect_lazy(url)
        .unwrap();
    let database = MySql::over(pool).deadline(PATIENT).build().unwrap();
    database.migrate().await.unwrap();
    database.sessions()
}
