//! Stores on private servers, one for each of two nodes.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::mysql::MySqlPoolOptions;
use statewise::store::postgres::Pipelined;
use statewise::store::{MySql, MySqlStore, Postgres, PostgresStore};

use crate::postgres_client::client_at;

const PATIENT: Duration = Duration::from_secs(60);

/// A database over connections that are opened again when they fail.
pub(crate) async fn postgres(folder: PathBuf) -> PostgresStore<Pipelined> {
    let connect = move || client_at(folder.join(".s.PGSQL.5432"));
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
