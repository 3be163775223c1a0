//! Redis, against the same commands over a connection manager.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Value;
use redis::aio::ConnectionManager;
use statewise::store::Redis;

use crate::acts::{Backend, EACH, ROW, Raw};
use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::{Aim, Line, runtime};
use crate::site::Counter;
use crate::support::servers::redis::RedisServer;

pub const NAME: &str = "redis";
const CLIENT: &str = "raw GETEX";

#[derive(Clone)]
struct Commands(ConnectionManager);

impl Commands {
    async fn send(&self, command: &redis::Cmd) {
        let value: Value = command.query_async(&mut self.0.clone()).await.unwrap();
        assert!(value != Value::Nil, "the row is there");
    }
}

impl Raw for Commands {
    type Key = Line;

    fn key_of(&self, handle: [u8; 16]) -> Line {
        let text = URL_SAFE_NO_PAD.encode(handle);
        Line::new(&format!("statewise:{{{}}}:s:{text}", &text[..2]))
    }

    fn fresh_key(&self, number: u64) -> Line {
        Line::new(&format!("raw:{number:032x}"))
    }

    async fn find(&self, key: &Line) {
        self.send(redis::cmd("GETEX").arg(&**key)).await;
    }

    async fn slide(&self, key: &Line) {
        self.send(redis::cmd("GETEX").arg(&**key).arg("EX").arg(1_800))
            .await;
    }

    async fn insert(&self, key: &Line) {
        let mut command = redis::cmd("SET");
        command.arg(&**key).arg(&ROW).arg("EX").arg(1_800);
        self.send(&command).await;
    }

    async fn remove(&self, key: &Line) {
        self.send(redis::cmd("DEL").arg(&**key)).await;
    }
}

struct Statistics<'a>(&'a RedisServer);

impl Counter for Statistics<'_> {
    /// All commands except the query for the statistics.
    fn known(&self) -> u64 {
        let statistics = self.0.ask(&["INFO", "commandstats"]).unwrap();
        let calls = statistics.lines().filter_map(|line| {
            let (command, line) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = line.split_once(',')?;
            (command != "info").then(|| calls.parse::<u64>().unwrap())
        });
        calls.sum()
    }
}

/// Commands that a client sends. A script counts as one.
struct Trips<'a>(&'a RedisServer);

impl Counter for Trips<'_> {
    fn known(&self) -> u64 {
        let statistics = self.0.ask(&["INFO", "commandstats"]).unwrap();
        let sent = statistics.lines().filter_map(|line| {
            let (command, line) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = line.split_once(',')?;
            ["eval", "evalsha", "getex"]
                .contains(&command)
                .then(|| calls.parse::<u64>().unwrap())
        });
        sent.sum()
    }
}

pub fn measure(options: &Options) -> Vec<Row> {
    if !crate::wants(NAME, options) {
        return Vec::new();
    }
    let Some(server) = RedisServer::start() else {
        return Vec::new();
    };
    let runtime = runtime();
    let client = redis::Client::open(server.url()).unwrap();
    let connect = || runtime.block_on(client.get_connection_manager()).unwrap();
    Backend {
        name: NAME,
        client: CLIENT,
        raw: Commands(connect()),
        open: || Redis::over(connect()).build().unwrap().sessions(),
        counter: Some(&Statistics(&server)),
        trips: Some(&Trips(&server)),
        verify: &[Aim::Commands(1.0), Aim::Latency(1.1), Aim::Throughput(0.85)],
        sliding: &[
            (EACH, Aim::Commands(1.0), CLIENT),
            (EACH, Aim::Latency(1.1), CLIENT),
            (EACH, Aim::Throughput(0.85), CLIENT),
        ],
        runtime: &runtime,
        options,
    }
    .run()
}
