//! A private Postgres.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::sql::{Kind, SqlServer};

/// A Postgres: user and database `postgres`, no password. Additional options are settings, such as
/// `log_statement=all`.
pub(crate) type PostgresServer = SqlServer<Postgres>;

pub(crate) struct Postgres;

impl Kind for Postgres {
    const PROGRAMS: [&str; 2] = ["postgres", "initdb"];
    const VARIABLE: &str = "STATEWISE_POSTGRES_BIN";
    const PACKAGE: &str = "postgresql";
    const USERS: [&str; 2] = ["postgres", "nobody"];
    // Not SIGKILL, which leaves the shared memory behind.
    const END: &str = "QUIT";
    const FAST: &[&str] = &[
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
    ];
    const SOCKET: &str = ".s.PGSQL.5432";
    const DEFAULT_DATABASE: &str = "postgres";

    fn install(folder: &Path) -> Vec<String> {
        let options = "--no-sync -U postgres -A trust -E UTF8 --locale=C";
        let mut arguments = vec![format!("--pgdata={}/data", folder.display())];
        arguments.extend(options.split(' ').map(str::to_owned));
        arguments
    }

    fn start(folder: &Path, options: &[String]) -> Vec<String> {
        let folder = folder.display();
        let mut arguments = vec![
            "-D".to_owned(),
            format!("{folder}/data"),
            "-k".to_owned(),
            folder.to_string(),
        ];
        let settings = [
            "listen_addresses=",
            "shared_buffers=16MB",
            "max_connections=200",
        ];
        let settings = settings
            .into_iter()
            .chain(options.iter().map(String::as_str));
        arguments.extend(settings.flat_map(|setting| ["-c".to_owned(), setting.to_owned()]));
        arguments
    }

    /// Returns `key=value` pairs.
    fn url(folder: &Path, database: &str) -> String {
        let host = folder.display();
        format!("host={host} port=5432 user=postgres dbname={database}")
    }

    /// Logs in.
    fn greet(mut stream: UnixStream) -> Result<(), String> {
        let parameters = b"user\0postgres\0database\0postgres\0\0";
        let length = u32::try_from(parameters.len() + 8).unwrap();
        let hello = [
            &length.to_be_bytes()[..],
            &(3u32 << 16).to_be_bytes(),
            parameters,
        ]
        .concat();
        let mut first = [0];
        stream
            .write_all(&hello)
            .and_then(|()| stream.read_exact(&mut first))
            .map_err(|error| error.to_string())?;
        match first {
            // Ends the session politely.
            [b'R'] => stream
                .write_all(b"X\0\0\0\x04")
                .map_err(|error| error.to_string()),
            _ => Err("the server does not let clients in".to_owned()),
        }
    }
}
