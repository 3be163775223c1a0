//! Postgres through an sqlx pool, against the same statements through the same pool.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use statewise::store::Postgres;

use super::{CREATE_RAW, INSERT, Log, REMOVE, SELECT};
use crate::acts::Backend;
use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::{Aim, runtime};
use crate::sqlx_raw::{CLIENT, CONNECTIONS, Texts, raw};
use crate::support::servers::postgres::PostgresServer;

pub const NAME: &str = "sqlx-postgres";

raw!(Pool, sqlx::PgPool);

pub fn measure(server: &PostgresServer, options: &Options) -> Vec<Row> {
    let runtime = runtime();
    let connection = PgConnectOptions::new_without_pgpass()
        .socket(server.folder())
        .username("postgres")
        .database("postgres");
    let _entered = runtime.enter();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect_lazy_with(connection);
    drop(_entered);
    let open = || {
        let postgres = Postgres::over(pool.clone()).build().unwrap();
        runtime.block_on(postgres.migrate()).unwrap();
        postgres.sessions()
    };
    let texts = Texts {
        find: SELECT,
        insert: INSERT,
        remove: REMOVE,
    };
    runtime.block_on(async { sqlx::query(CREATE_RAW).execute(&pool).await.unwrap() });
    Backend {
        name: NAME,
        client: CLIENT,
        raw: Pool(pool.clone(), texts),
        open,
        counter: Some(&Log::of(server)),
        trips: None,
        verify: &[Aim::Throughput(0.9), Aim::Latency(1.11)],
        sliding: &[],
        runtime: &runtime,
        options,
    }
    .run()
}
