//! A private MariaDB.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::find::User;
use super::guard::Guard;
use super::{find, skip, wait_until};

/// Environment variable with the folder of `mariadbd` and `mariadb-install-db`.
const VARIABLE: &str = "STATEWISE_MARIADB_BIN";

/// A MariaDB on a unix socket: user `root`, no password, database `statewise`.
pub(crate) struct MariaDb {
    guard: Guard,
    program: PathBuf,
    options: Vec<String>,
    pid: AtomicU32,
}

impl MariaDb {
    /// Starts a fast, non-durable server, or reports why it cannot.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&["--innodb-flush-log-at-trx-commit=0"])
    }

    /// Starts a server with additional options. It syncs to disk unless the options disable that.
    pub(crate) fn with(options: &[&str]) -> Option<Self> {
        let found = |name| find::program(name, VARIABLE);
        let (Some(program), Some(install)) = (found("mariadbd"), found("mariadb-install-db"))
        else {
            return skip("no mariadbd on this machine (Debian: apt-get install mariadb-server)");
        };
        let user = User::instead_of_root(&["mysql", "nobody"]);
        let server = Self {
            guard: Guard::new("mariadb", user, "KILL"),
            program,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            pid: AtomicU32::new(0),
        };
        let (data, tmp) = (server.data(), server.tmp());
        let install = [
            install.as_os_str(),
            // Must be the first option.
            OsStr::new("--no-defaults"),
            OsStr::new(&data),
            OsStr::new(&tmp),
            OsStr::new("--auth-root-authentication-method=normal"),
            OsStr::new("--skip-test-db"),
            OsStr::new("--skip-name-resolve"),
        ];
        server.guard.run("install", &install).unwrap();
        std::fs::write(
            server.guard.folder().join("init.sql"),
            "CREATE DATABASE IF NOT EXISTS statewise;\n",
        )
        .unwrap();
        server.restart();
        Some(server)
    }

    fn data(&self) -> String {
        format!("--datadir={}/data", self.guard.folder().display())
    }

    /// Private, because names of temporary tables repeat from server to server.
    fn tmp(&self) -> String {
        format!("--tmpdir={}", self.guard.folder().display())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.guard.folder()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.guard.folder().join("socket")
    }

    /// URL of the database `statewise`.
    pub(crate) fn url(&self) -> String {
        self.url_of("statewise")
    }

    /// URL of another database of this server.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let socket = self.socket();
        format!(
            "mysql://root@localhost/{database}?socket={}",
            socket.display()
        )
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Kills it like a crash.
    pub(crate) fn kill9(&self) {
        self.guard.kill(self.pid());
    }

    /// Starts it again after [`kill9`](Self::kill9), with its data on disk.
    pub(crate) fn restart(&self) {
        self.try_restart().unwrap();
    }

    pub(crate) fn try_restart(&self) -> Result<(), String> {
        let folder = self.guard.folder().display();
        let socket = format!("--socket={folder}/socket");
        let pid_file = format!("--pid-file={folder}/pid");
        let init = format!("--init-file={folder}/init.sql");
        let (data, tmp) = (self.data(), self.tmp());
        let mut command = vec![self.program.as_os_str()];
        command.extend(
            [
                "--no-defaults",
                &data,
                &tmp,
                &socket,
                &pid_file,
                &init,
                "--skip-networking",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=32M",
                "--max-connections=200",
            ]
            .map(OsStr::new),
        );
        command.extend(self.options.iter().map(OsStr::new));
        self.pid
            .store(self.guard.start("mariadb", &command)?, Ordering::SeqCst);
        wait_until(|| greets(&self.socket()))
            .map_err(|error| format!("{error}\n{}", self.guard.log("mariadb")))
    }

    /// Suspends it without closing connections.
    pub(crate) fn pause(&self) {
        self.guard.stop(self.pid());
    }

    /// Resumes it after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.guard.signal("CONT", self.pid());
    }
}

/// Returns true if the server greets a client: protocol version 10, and no error.
fn greets(socket: &Path) -> Result<(), String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut first = [0; 5];
    let read = stream.read_exact(&mut first);
    read.map_err(|error| error.to_string())?;
    match first {
        [.., 10] => Ok(()),
        _ => Err("the server does not greet clients".to_owned()),
    }
}
