//! Postgres over one connection, against the same statements pipelined over another one.

use std::sync::Arc;

use statewise::store::Postgres;
use tokio_postgres::{Client, Statement};

use super::{CREATE_RAW, INSERT, Log, REMOVE, SELECT};
use crate::acts::{Backend, EACH, ONE_OF_EIGHT, OURS, ROW, Raw, scattered};
use crate::harness::Row;
use crate::harness::options::Options;
use crate::harness::served::{Aim, runtime};
use crate::postgres_client::client_at;
use crate::support::servers::postgres::PostgresServer;

pub const NAME: &str = "tokio-postgres";

const CLIENT: &str = "raw SELECT, pipelined";

#[derive(Clone)]
struct Prepared {
    client: Arc<Client>,
    find: Statement,
    insert: Statement,
    remove: Statement,
}

impl Prepared {
    async fn new(client: Arc<Client>) -> Self {
        client.batch_execute(CREATE_RAW).await.unwrap();
        Self {
            find: client.prepare(SELECT).await.unwrap(),
            insert: client.prepare(INSERT).await.unwrap(),
            remove: client.prepare(REMOVE).await.unwrap(),
            client,
        }
    }
}

impl Raw for Prepared {
    type Key = [u8; 16];

    fn key_of(&self, handle: [u8; 16]) -> [u8; 16] {
        handle
    }

    fn fresh_key(&self, number: u64) -> [u8; 16] {
        scattered(number)
    }

    async fn find(&self, key: &[u8; 16]) {
        let rows = self.client.query(&self.find, &[&&key[..]]).await;
        assert_eq!(rows.unwrap().len(), 1);
    }

    async fn insert(&self, key: &[u8; 16]) {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&&key[..], &&ROW[..]];
        let count = self.client.execute(&self.insert, &values).await;
        assert_eq!(count.unwrap(), 1);
    }

    async fn remove(&self, key: &[u8; 16]) {
        let count = self.client.execute(&self.remove, &[&&key[..]]).await;
        assert_eq!(count.unwrap(), 1);
    }
}

pub fn measure(server: &PostgresServer, options: &Options) -> Vec<Row> {
    let (runtime, socket) = (runtime(), server.socket());
    let open = || {
        let socket = socket.clone();
        let postgres = Postgres::connect(move || client_at(socket.clone()));
        let postgres = postgres.build().unwrap();
        runtime.block_on(postgres.migrate()).unwrap();
        postgres.sessions()
    };
    // Creates the table.
    drop(open());
    let client = runtime.block_on(client_at(socket.clone())).unwrap();
    Backend {
        name: NAME,
        client: CLIENT,
        raw: runtime.block_on(Prepared::new(client)),
        open,
        counter: Some(&Log::of(server)),
        trips: None,
        verify: &[Aim::Throughput(0.85)],
        sliding: &[
            (ONE_OF_EIGHT, Aim::Throughput(0.85), OURS),
            (EACH, Aim::Throughput(0.85), OURS),
        ],
        runtime: &runtime,
        options,
    }
    .run()
}
