//! SQLite through an sqlx pool, against the same statements through the same pool.

use std::{env, fs, process};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use statewise::store::Sqlite;

use crate::acts::Backend;
use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::runtime;
use crate::sqlx_raw::{CLIENT, Texts, raw};

pub const NAME: &str = "sqlx-sqlite";
/// Each connection has its own thread.
const CONNECTIONS: u32 = 4;
const TEXTS: Texts = Texts {
    find: "SELECT handle, format, version, generation, created_at, \
    authenticated_at, deadline, rotated_at, last_seen, idle, confirmed, \
    rotation_wanted, current_proof, previous_proof, family_proof, seed, stamp, fields \
    FROM statewise_sessions WHERE handle = ?",
    insert: "INSERT INTO raw (handle, fields) VALUES (?, ?)",
    remove: "DELETE FROM raw WHERE handle = ?",
};

raw!(Pool, sqlx::SqlitePool);

pub fn measure(options: &Options) -> Vec<Row> {
    if !crate::wants(NAME, options) {
        return Vec::new();
    }
    let folder = env::temp_dir().join(format!("statewise-bench-sqlite-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let runtime = runtime();
    let file = SqliteConnectOptions::new()
        .filename(folder.join("sessions.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Like the servers of the other groups: fast instead of durable.
        .synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false);
    let pool = runtime.block_on(pool.connect_with(file)).unwrap();
    let open = || {
        let sqlite = Sqlite::over(pool.clone()).build().unwrap();
        runtime.block_on(sqlite.migrate()).unwrap();
        sqlite.sessions()
    };
    let create = "CREATE TABLE raw (handle BLOB PRIMARY KEY, fields BLOB NOT NULL)";
    runtime.block_on(async { sqlx::query(create).execute(&pool).await.unwrap() });
    let rows = Backend {
        name: NAME,
        client: CLIENT,
        raw: Pool(pool.clone(), TEXTS),
        open,
        // There is no server that could count.
        counter: None,
        trips: None,
        verify: &[],
        sliding: &[],
        runtime: &runtime,
        options,
    }
    .run();
    runtime.block_on(pool.close());
    fs::remove_dir_all(&folder).unwrap();
    rows
}
