//! A private Postgres.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::find::User;
use super::guard::Guard;
use super::{find, skip, wait_until};

/// Environment variable with the folder of `postgres` and `initdb`.
const VARIABLE: &str = "STATEWISE_POSTGRES_BIN";

/// A Postgres on a unix socket: user and database `postgres`, no password.
pub(crate) struct Postgres {
    guard: Guard,
    program: PathBuf,
    options: Vec<String>,
    pid: AtomicU32,
}

impl Postgres {
    /// Starts a fast, non-durable server, or reports why it cannot.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&[
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ])
    }

    /// Starts a server with additional settings, such as `log_statement=all`. It syncs to disk
    /// unless they disable that.
    pub(crate) fn with(settings: &[&str]) -> Option<Self> {
        let found = |name| find::program(name, VARIABLE);
        let (Some(program), Some(initdb)) = (found("postgres"), found("initdb")) else {
            return skip("no postgres on this machine (Debian: apt-get install postgresql)");
        };
        let user = User::instead_of_root(&["postgres", "nobody"]);
        let server = Self {
            // Not SIGKILL, which would leave its shared memory behind.
            guard: Guard::new("postgres", user, "QUIT"),
            program,
            options: settings.iter().map(|&option| option.to_owned()).collect(),
            pid: AtomicU32::new(0),
        };
        let data = server.data();
        let mut command = vec![initdb.as_os_str(), OsStr::new("-D"), data.as_os_str()];
        let options = "--no-sync -U postgres -A trust -E UTF8 --locale=C";
        command.extend(options.split(' ').map(OsStr::new));
        server.guard.run("initdb", &command).unwrap();
        server.restart();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.guard.folder().join("data")
    }

    /// The folder of the socket, which Postgres calls the host.
    pub(crate) fn folder(&self) -> &Path {
        self.guard.folder()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.guard.folder().join(".s.PGSQL.5432")
    }

    /// Connection settings as `key=value` pairs.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Connection settings of another database of this server.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let host = self.guard.folder().display();
        format!("host={host} port=5432 user=postgres dbname={database}")
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Kills all of its processes like a crash.
    pub(crate) fn kill9(&self) {
        self.guard.kill(self.pid());
    }

    /// Starts it again after [`kill9`](Self::kill9), with its data on disk.
    pub(crate) fn restart(&self) {
        self.try_restart().unwrap();
    }

    pub(crate) fn try_restart(&self) -> Result<(), String> {
        let data = self.data();
        let mut command = vec![self.program.as_os_str(), OsStr::new("-D"), data.as_os_str()];
        command.extend([OsStr::new("-k"), self.guard.folder().as_os_str()]);
        let fixed = [
            "listen_addresses=",
            "shared_buffers=16MB",
            "max_connections=200",
        ];
        for setting in fixed
            .into_iter()
            .chain(self.options.iter().map(String::as_str))
        {
            command.extend([OsStr::new("-c"), OsStr::new(setting)]);
        }
        self.pid
            .store(self.guard.start("postgres", &command)?, Ordering::SeqCst);
        wait_until(|| greets(&self.socket()))
            .map_err(|error| format!("{error}\n{}", self.guard.log("postgres")))
    }

    /// Suspends all of its processes without closing connections.
    pub(crate) fn pause(&self) {
        self.guard.stop(self.pid());
    }

    /// Resumes them after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.guard.signal("CONT", self.pid());
    }
}

/// Returns true if the server accepts a client.
fn greets(socket: &Path) -> Result<(), String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
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
