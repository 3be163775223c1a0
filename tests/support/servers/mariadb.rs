//! A private MariaDB.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::sql::{Kind, SqlServer};

/// A MariaDB: user `root`, no password, database `statewise`.
pub(crate) type MariaDbServer = SqlServer<MariaDb>;

pub(crate) struct MariaDb;

/// Returns the folders of the data and of temporary tables. Each server needs its own folder for
/// the latter, because their names repeat. `--no-defaults` must be the first option.
fn folders(folder: &Path) -> [String; 3] {
    let folder = folder.display();
    [
        "--no-defaults".to_owned(),
        format!("--datadir={folder}/data"),
        format!("--tmpdir={folder}"),
    ]
}

impl Kind for MariaDb {
    const PROGRAMS: [&str; 2] = ["mariadbd", "mariadb-install-db"];
    const VARIABLE: &str = "STATEWISE_MARIADB_BIN";
    const PACKAGE: &str = "mariadb-server";
    const USERS: [&str; 2] = ["mysql", "nobody"];
    const END: &str = "KILL";
    const FAST: &[&str] = &["--innodb-flush-log-at-trx-commit=0"];
    const SOCKET: &str = "socket";
    const DEFAULT_DATABASE: &str = "statewise";

    fn install(folder: &Path) -> Vec<String> {
        std::fs::write(
            folder.join("init.sql"),
            "CREATE DATABASE IF NOT EXISTS statewise;\n",
        )
        .unwrap();
        let mut arguments = folders(folder).to_vec();
        let others = [
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ];
        arguments.extend(others.map(str::to_owned));
        arguments
    }

    fn start(folder: &Path, options: &[String]) -> Vec<String> {
        let mut arguments = folders(folder).to_vec();
        let folder = folder.display();
        arguments.extend([
            format!("--socket={folder}/socket"),
            format!("--pid-file={folder}/pid"),
            format!("--init-file={folder}/init.sql"),
        ]);
        let others = [
            "--skip-networking",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=32M",
            "--max-connections=200",
        ];
        arguments.extend(others.map(str::to_owned));
        arguments.extend_from_slice(options);
        arguments
    }

    fn url(folder: &Path, database: &str) -> String {
        let socket = folder.join(Self::SOCKET);
        format!(
            "mysql://root@localhost/{database}?socket={}",
            socket.display()
        )
    }

    /// Expects version 10 of the protocol, and no error.
    fn greet(mut stream: UnixStream) -> Result<(), String> {
        let mut first = [0; 5];
        let read = stream.read_exact(&mut first);
        read.map_err(|error| error.to_string())?;
        match first {
            [.., 10] => Ok(()),
            _ => Err("the server does not greet clients".to_owned()),
        }
    }
}
