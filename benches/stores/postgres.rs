//! Postgres with both clients.

#[cfg(feature = "tokio-postgres")]
mod pipelined;
#[cfg(feature = "sqlx-postgres")]
mod sqlx;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use crate::harness::Row;
use crate::harness::options::Options;
use crate::site::Counter;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::wait_until;

const SELECT: &str = "SELECT handle, format, version, generation, created_at, authenticated_at, \
    deadline, rotated_at, last_seen, idle, confirmed, rotation_wanted, current_proof, \
    previous_proof, family_proof, seed, stamp, fields FROM statewise_sessions WHERE handle = $1";
const CREATE_RAW: &str =
    "CREATE TABLE IF NOT EXISTS raw (handle bytea PRIMARY KEY, fields bytea NOT NULL)";
const INSERT: &str = "INSERT INTO raw (handle, fields) VALUES ($1, $2)";
const REMOVE: &str = "DELETE FROM raw WHERE handle = $1";

pub fn measure(options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    type Measure = fn(&PostgresServer, &Options) -> Vec<Row>;
    let clients: &[(&str, Measure)] = &[
        #[cfg(feature = "tokio-postgres")]
        (pipelined::NAME, pipelined::measure),
        #[cfg(feature = "sqlx-postgres")]
        (sqlx::NAME, sqlx::measure),
    ];
    for (name, measure) in clients {
        // A separate server for each, so that neither sees the rows of the other.
        if crate::wants(name, options)
            && let Some(server) = PostgresServer::start()
        {
            rows.extend(measure(&server, options));
        }
    }
    rows
}

/// The log file of a server, which contains all statements while they are counted.
struct Log {
    settings: PathBuf,
    log: PathBuf,
    pid: u32,
}

impl Log {
    fn of(server: &PostgresServer) -> Self {
        Self {
            settings: server.folder().join("data/postgresql.auto.conf"),
            log: server.folder().join("postgres.log"),
            pid: server.pid(),
        }
    }

    fn lines(&self, with: &[&str]) -> usize {
        let log = fs::read(&self.log).unwrap();
        let log = String::from_utf8_lossy(&log);
        let all = log.lines();
        all.filter(|line| with.iter().any(|part| line.contains(part)))
            .count()
    }

    fn set(&self, what: &str) {
        let changed = ["parameter \"log_statement\" changed"];
        let before = self.lines(&changed);
        fs::write(&self.settings, format!("log_statement = {what}\n")).unwrap();
        let pid = self.pid.to_string();
        let reload = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(reload.unwrap().success());
        let took_note = || (self.lines(&changed) > before).then_some(()).ok_or(());
        wait_until(took_note).unwrap();
        // The server has notified its processes by now; each reads the setting before its next
        // statement.
        thread::sleep(Duration::from_millis(100));
    }
}

impl Counter for Log {
    fn start(&self) {
        self.set("all");
    }

    fn known(&self) -> u64 {
        self.lines(&["LOG:  execute ", "LOG:  statement: "]) as u64
    }

    fn stop(&self) {
        self.set("none");
    }
}
