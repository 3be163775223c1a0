//! A private SQL server: the common part of [`MariaDbServer`](super::mariadb::MariaDbServer) and
//! [`PostgresServer`](super::postgres::PostgresServer).

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::find::User;
use super::guard::Guard;
use super::{find, skip, wait_until};

/// Differences between the SQL servers.
pub(crate) trait Kind {
    /// Program of the server, and program that creates its data.
    const PROGRAMS: [&str; 2];
    /// Environment variable with the folder of both.
    const VARIABLE: &str;
    /// Package of Debian.
    const PACKAGE: &str;
    /// System users that may run it, if the tests run as root.
    const USERS: [&str; 2];
    /// Signal that ends the server and removes its shared memory.
    const END: &str;
    /// Options of a fast, non-durable server.
    const FAST: &[&str];
    /// File name of the socket.
    const SOCKET: &str;
    const DEFAULT_DATABASE: &str;

    /// Returns the arguments that create the data in `folder`.
    fn install(folder: &Path) -> Vec<String>;

    /// Returns the arguments that start the server in `folder`.
    fn start(folder: &Path, options: &[String]) -> Vec<String>;

    /// Returns the address of a database, as a client expects it.
    fn url(folder: &Path, database: &str) -> String;

    /// Succeeds if the server accepts a client.
    fn greet(stream: UnixStream) -> Result<(), String>;
}

/// A server on a unix socket, in a temporary folder.
pub(crate) struct SqlServer<K> {
    guard: Guard,
    program: PathBuf,
    options: Vec<String>,
    pid: AtomicU32,
    kind: PhantomData<K>,
}

/// Puts a program before its arguments.
fn command<'c>(program: &'c Path, arguments: &'c [String]) -> Vec<&'c OsStr> {
    let arguments = arguments.iter().map(OsStr::new);
    std::iter::once(program.as_os_str())
        .chain(arguments)
        .collect()
}

impl<K: Kind> SqlServer<K> {
    /// Starts a fast, non-durable server, or reports why it cannot.
    pub(crate) fn start() -> Option<Self> {
        Self::with(K::FAST)
    }

    /// Starts a server with additional options. It syncs to disk unless the options disable that.
    pub(crate) fn with(options: &[&str]) -> Option<Self> {
        let [name, install] = K::PROGRAMS;
        let found = |name| find::program(name, K::VARIABLE);
        let (Some(program), Some(install)) = (found(name), found(install)) else {
            let package = K::PACKAGE;
            let why = format!("no {name} on this machine (Debian: apt-get install {package})");
            return skip(&why);
        };
        let user = User::instead_of_root(&K::USERS);
        let server = Self {
            guard: Guard::new(name, user, K::END),
            program,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            pid: AtomicU32::new(0),
            kind: PhantomData,
        };
        let arguments = K::install(server.folder());
        server
            .guard
            .run("install", &command(&install, &arguments))
            .unwrap();
        server.restart();
        Some(server)
    }

    /// Returns the folder of the data and of the socket.
    pub(crate) fn folder(&self) -> &Path {
        self.guard.folder()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder().join(K::SOCKET)
    }

    /// Returns the address of the default database.
    pub(crate) fn url(&self) -> String {
        self.url_of(K::DEFAULT_DATABASE)
    }

    /// Returns the address of another database of this server.
    pub(crate) fn url_of(&self, database: &str) -> String {
        K::url(self.folder(), database)
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
        let [name, _] = K::PROGRAMS;
        let arguments = K::start(self.folder(), &self.options);
        let pid = self
            .guard
            .start(name, &command(&self.program, &arguments))?;
        self.pid.store(pid, Ordering::SeqCst);
        wait_until(|| {
            let stream = UnixStream::connect(self.socket()).map_err(|error| error.to_string())?;
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            K::greet(stream)
        })
        .map_err(|error| format!("{error}\n{}", self.guard.log(name)))
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
