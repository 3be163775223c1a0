//! A connection of tokio-postgres to a private server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio_postgres::{Client, Config, NoTls};

/// Opens a connection as the user `postgres`. A task of the runtime drives it.
pub(crate) async fn client_at(socket: PathBuf) -> io::Result<Arc<Client>> {
    client_as(socket, "postgres").await
}

/// Opens a connection as another user.
pub(crate) async fn client_as(socket: PathBuf, user: &str) -> io::Result<Arc<Client>> {
    let stream = UnixStream::connect(socket).await?;
    let mut config = Config::new();
    config.user(user).dbname("postgres");
    let connected = config.connect_raw(stream, NoTls).await;
    let (client, connection) = connected.map_err(io::Error::other)?;
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(Arc::new(client))
}
