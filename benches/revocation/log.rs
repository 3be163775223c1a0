//! The measured logs, each on a private server.

use std::path::PathBuf;
use std::sync::Arc;

use statewise::revocation::log::DynRevocationLog;

#[cfg(feature = "tokio-postgres")]
use crate::postgres_client::client_at;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::redis::RedisServer;

#[derive(Clone, Copy)]
pub enum Kind {
    Redis,
    Postgres,
}

/// A private server, removed on drop.
pub enum Server {
    Redis(RedisServer),
    Postgres(PostgresServer),
}

impl Server {
    /// The socket of the server.
    pub fn address(&self) -> PathBuf {
        match self {
            Self::Redis(server) => server.socket(),
            Self::Postgres(server) => server.socket(),
        }
    }
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Redis, Self::Postgres];

    pub fn of(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.expect("a kind of log")
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "revocation, redis",
            Self::Postgres => "revocation, postgres",
        }
    }

    pub fn feature(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "tokio-postgres",
        }
    }

    pub fn is_on(self) -> bool {
        match self {
            Self::Redis => cfg!(feature = "redis"),
            Self::Postgres => cfg!(feature = "tokio-postgres"),
        }
    }

    pub fn serve(self) -> Option<Server> {
        match self {
            Self::Redis => RedisServer::start().map(Server::Redis),
            Self::Postgres => PostgresServer::start().map(Server::Postgres),
        }
    }

    /// The log, over connections of this process.
    pub async fn open(self, socket: PathBuf) -> Arc<dyn DynRevocationLog> {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis => {
                let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
                let connection = client.get_connection_manager().await.unwrap();
                let redis = statewise::store::Redis::over(connection).build().unwrap();
                Arc::new(redis.revocations())
            }
            #[cfg(feature = "tokio-postgres")]
            Self::Postgres => {
                let open = move || client_at(socket.clone());
                let postgres = statewise::store::Postgres::connect(open);
                let postgres = postgres.connections(2).build().unwrap();
                postgres.migrate().await.unwrap();
                Arc::new(postgres.revocations())
            }
            #[allow(unreachable_patterns, reason = "with all features on")]
            _ => panic!(
                "{}: its feature is off, for {}",
                self.name(),
                socket.display()
            ),
        }
    }
}
