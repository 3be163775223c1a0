//! A private PgBouncer in transaction mode.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::postgres::PostgresServer;
use super::{find, skip, wait_until};

/// Number in the name of its socket.
pub(crate) const PORT: u16 = 6432;

/// Starts it before a server, in whose folder it listens and with which it ends. Returns its socket.
pub(crate) fn start(server: &PostgresServer) -> Option<PathBuf> {
    let Some(program) = find::program("pgbouncer", "STATEWISE_PGBOUNCER_BIN") else {
        return skip("no pgbouncer on this machine (Debian: apt-get install pgbouncer)");
    };
    let folder = server.folder();
    let settings = format!(
        "[databases]\n* = host={folder} port=5432 user=postgres\n\
         [pgbouncer]\nunix_socket_dir = {folder}\nlisten_port = {PORT}\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = 3\n\
         ignore_startup_parameters = extra_float_digits\n",
        folder = folder.display()
    );
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, settings).unwrap();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&file, readable).unwrap();
    let words = [program.as_os_str(), file.as_os_str()];
    server.guard().start("pgbouncer", &words).unwrap();
    let socket = folder.join(format!(".s.PGSQL.{PORT}"));
    wait_until(|| UnixStream::connect(&socket).map(drop)).unwrap();
    Some(socket)
}
