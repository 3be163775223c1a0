//! Stores that a configuration names, and their connections.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::memory::{MemoryLog, MemoryStore};
use crate::config::{Config, Erased};
use crate::error::{Error, Result};

/// Schemes of an address, the feature that reads them, and an example.
const SCHEMES: [(&[&str], &str, &str); 5] = [
    (
        &["redis", "rediss", "redis+unix"],
        "redis",
        "redis://host:6379",
    ),
    (
        &["postgres", "postgresql"],
        "sqlx-postgres",
        "postgres://user@host/database",
    ),
    (
        &["mysql", "mariadb"],
        "sqlx-mysql",
        "mysql://user@host/database",
    ),
    (&["sqlite"], "sqlx-sqlite", "sqlite:sessions.db"),
    (&["redb"], "redb", "redb:sessions.redb"),
];

/// Returns the scheme of an address, if it is a known one.
pub(super) fn scheme(address: &str) -> Option<&str> {
    let scheme = address.split(':').next()?;
    let known = SCHEMES.iter().any(|(names, ..)| names.contains(&scheme));
    (known || address == "memory").then_some(scheme)
}

impl Config {
    /// Opens the store at `address`, checks it, and builds the authenticator over it.
    pub(super) async fn build_over<D>(&self, address: &str) -> Result<Erased<D>>
    where
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let is_required = self.fields.flag("require_durable");
        refuse_volatile(address, is_required)?;
        if address == "memory" {
            let capacity = self.fields.count("capacity").unwrap_or_default() as usize;
            let store = MemoryStore::with_capacity(capacity)?;
            return self.assemble(store, MemoryLog::new()?).await;
        }
        let (scheme, _path) = address.split_once(':').unwrap_or((address, ""));
        let known = SCHEMES.iter().find(|(names, ..)| names.contains(&scheme));
        let Some((_, feature, _)) = known else {
            let examples = SCHEMES.map(|(.., example)| example).join(", ");
            return Err(Error::misuse(format!(
                "`store` is none of: memory, {examples}"
            )));
        };
        match *feature {
            #[cfg(feature = "redis")]
            "redis" => {
                let redis = redis(address)?;
                redis.check().await?;
                if is_required {
                    redis.require_durable().await?;
                }
                self.assemble(redis.sessions(), redis.revocations()).await
            }
            #[cfg(feature = "sqlx-postgres")]
            "sqlx-postgres" => {
                let postgres = postgres(address)?;
                prepare!(postgres, is_required);
                self.assemble(postgres.sessions(), postgres.revocations())
                    .await
            }
            #[cfg(feature = "sqlx-mysql")]
            "sqlx-mysql" => {
                let mysql = mysql(address)?;
                prepare!(mysql, is_required);
                self.assemble(mysql.sessions(), mysql.revocations()).await
            }
            #[cfg(feature = "sqlx-sqlite")]
            "sqlx-sqlite" => {
                let sqlite = sqlite(address)?;
                prepare!(sqlite, is_required);
                self.assemble(sqlite.sessions(), sqlite.revocations()).await
            }
            #[cfg(feature = "redb")]
            "redb" => {
                let redb = crate::backend::redb::Redb::open(_path).build()?;
                self.assemble(redb.sessions(), redb.revocations()).await
            }
            feature => Err(Error::misuse(format!(
                "`store` needs the feature `{feature}` of statewise: add it in Cargo.toml",
            ))),
        }
    }
}

/// Refuses a store in memory if a durable one is required.
pub(super) fn refuse_volatile(address: &str, is_required: bool) -> Result<()> {
    if address == "memory" && is_required {
        return Err(Error::misuse(
            "`require_durable`: a store in memory ends with the process; name another `store`",
        ));
    }
    Ok(())
}

/// Creates the tables that are missing, and checks rights and settings.
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
macro_rules! prepare {
    ($database:ident, $is_required:expr) => {
        $database.migrate().await?;
        $database.check().await?;
        if $is_required {
            $database.require_durable().await?;
        }
    };
}
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
use prepare;

/// Returns the error of an address that a client does not read. The error of the client is left out:
/// it may contain the password.
#[cfg(any(
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
fn unread<E>(_: E) -> Error {
    Error::misuse(
        "`store` is an address that its client does not read: check scheme, port, the escapes in the \
         password, and for TLS the feature of the client",
    )
}

#[cfg(feature = "redis")]
fn redis(
    address: &str,
) -> Result<crate::backend::redis::Redis<::redis::aio::MultiplexedConnection>> {
    let client = ::redis::Client::open(address).map_err(unread)?;
    crate::backend::redis::Redis::connect(move || {
        let client = client.clone();
        async move { client.get_multiplexed_async_connection().await }
    })
    .build()
}

#[cfg(feature = "sqlx-postgres")]
fn postgres(
    address: &str,
) -> Result<crate::backend::sql::postgres::Postgres<crate::backend::sql::postgres::Sqlx>> {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    let options: PgConnectOptions = address.parse().map_err(unread)?;
    // A little above the deadline of a call.
    let options = options.options([("statement_timeout", "2500")]);
    let pool = pool_options!(PgPoolOptions).connect_lazy_with(options);
    crate::backend::sql::postgres::Postgres::over(pool).build()
}

#[cfg(feature = "sqlx-mysql")]
fn mysql(address: &str) -> Result<crate::backend::sql::mysql::MySql> {
    use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
    let options: MySqlConnectOptions = address.parse().map_err(unread)?;
    let pool = pool_options!(MySqlPoolOptions).connect_lazy_with(options);
    crate::backend::sql::mysql::MySql::over(pool).build()
}

#[cfg(feature = "sqlx-sqlite")]
fn sqlite(address: &str) -> Result<crate::backend::sql::sqlite::Sqlite> {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };
    let options: SqliteConnectOptions = address.parse().map_err(unread)?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = pool_options!(SqlitePoolOptions).connect_lazy_with(options);
    crate::backend::sql::sqlite::Sqlite::over(pool).build()
}

/// Options of a pool. A server that does not listen is reported a second after the deadline of a call;
/// by default, sqlx tries for 30 seconds. With either of the other two times, sqlx 0.9 starts a reaper. Its
/// first run can occupy a worker of the runtime for ever.
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
macro_rules! pool_options {
    ($options:ident) => {
        $options::new()
            .acquire_timeout(std::time::Duration::from_secs(3))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
}
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
use pool_options;
