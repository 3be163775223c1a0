//! The log in a Postgres that syncs.

use std::path::PathBuf;
use std::sync::Arc;

use statewise::revocation::log::DynRevocationLog;
use statewise::store::Postgres;

use crate::postgres_client::client_at;
use crate::site::{DEADLINE, Site};
use crate::support::servers::postgres::PostgresServer;

impl Site for PostgresServer {
    const END: &str = "INT";

    fn start() -> Option<Self> {
        Self::with(&[])
    }

    fn pid(&self) -> u32 {
        self.pid()
    }

    fn socket(&self) -> PathBuf {
        self.socket()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
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
        let node = Postgres::connect(move || client_at(socket.clone()));
        Arc::new(node.deadline(DEADLINE).build().unwrap().revocations())
    }

    async fn set_up(&self) {
        let socket = self.socket();
        let node = Postgres::connect(move || client_at(socket.clone()));
        node.build().unwrap().migrate().await.unwrap();
    }
}

crate::cases::on!(PostgresServer);
