//! MySQL or MariaDB through an sqlx pool, against the same statements through the same pool.

use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;
use statewise::store::MySql;
use tokio::runtime::Runtime;

use crate::acts::Backend;
use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::runtime;
use crate::site::Counter;
use crate::sqlx_raw::{CLIENT, CONNECTIONS, Texts, raw};
use crate::support::servers::mariadb::MariaDbServer;

pub const NAME: &str = "sqlx-mysql";
const TEXTS: Texts = Texts {
    find: "SELECT `handle`, `format`, `version`, `generation`, `created_at`, \
    `authenticated_at`, `deadline`, `rotated_at`, `last_seen`, `idle`, `confirmed`, \
    `rotation_wanted`, `current_proof`, `previous_proof`, `family_proof`, `seed`, `stamp`, `fields` \
    FROM `statewise_sessions` WHERE `handle` = ?",
    insert: "INSERT INTO raw (handle, fields) VALUES (?, ?)",
    remove: "DELETE FROM raw WHERE handle = ?",
};

raw!(Pool, MySqlPool);

/// The counters of the server.
struct Status<'a> {
    pool: MySqlPool,
    runtime: &'a Runtime,
}

impl Counter for Status<'_> {
    fn known(&self) -> u64 {
        let ask = sqlx::query_as("SHOW GLOBAL STATUS LIKE 'Questions'").fetch_one(&self.pool);
        let (_, value): (String, String) = self.runtime.block_on(ask).unwrap();
        value.parse().unwrap()
    }
}

pub fn measure(options: &Options) -> Vec<Row> {
    if !crate::wants(NAME, options) {
        return Vec::new();
    }
    let Some(server) = MariaDbServer::start() else {
        return Vec::new();
    };
    let runtime = runtime();
    let pool = |connections| {
        let _runtime = runtime.enter();
        let pool = MySqlPoolOptions::new().max_connections(connections);
        let pool = pool.test_before_acquire(false);
        pool.connect_lazy(&server.url()).unwrap()
    };
    let (pool, asking) = (pool(CONNECTIONS), pool(1));
    let open = || {
        let mysql = MySql::over(pool.clone()).build().unwrap();
        runtime.block_on(mysql.migrate()).unwrap();
        mysql.sessions()
    };
    let create = "CREATE TABLE raw (handle BINARY(16) PRIMARY KEY, fields LONGBLOB NOT NULL)";
    runtime.block_on(async { sqlx::query(create).execute(&pool).await.unwrap() });
    let status = Status {
        pool: asking,
        runtime: &runtime,
    };
    Backend {
        name: NAME,
        client: CLIENT,
        raw: Pool(pool.clone(), TEXTS),
        open,
        counter: Some(&status),
        trips: None,
        verify: &[],
        sliding: &[],
        runtime: &runtime,
        options,
    }
    .run()
}
