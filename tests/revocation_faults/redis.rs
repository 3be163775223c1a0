//! The log in a Redis with an append-only file that is synced on every write.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionManagerConfig;
use statewise::revocation::log::DynRevocationLog;
use statewise::store::Redis;

use crate::site::{DEADLINE, Site};
use crate::support::servers::redis::RedisServer;

impl Site for RedisServer {
    const END: &str = "TERM";

    fn start() -> Option<Self> {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    fn pid(&self) -> u32 {
        self.pid()
    }

    fn socket(&self) -> PathBuf {
        self.socket()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("appendonlydir")
    }

    fn kill9(&self) {
        self.kill9();
    }

    fn restart(&self) {
        self.restart();
    }

    fn pause(&self) {
        self.pause();
    }

    fn resume(&self) {
        self.resume();
    }

    async fn log(&self, socket: PathBuf) -> Arc<dyn DynRevocationLog> {
        let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
        let config = ConnectionManagerConfig::new()
            .set_min_delay(Duration::from_millis(5))
            .set_max_delay(Duration::from_millis(100));
        let connection = client.get_connection_manager_with_config(config);
        let redis = Redis::over(connection.await.unwrap()).deadline(DEADLINE);
        Arc::new(redis.build().unwrap().revocations())
    }

    async fn set_up(&self) {}
}

crate::cases::on!(RedisServer);
