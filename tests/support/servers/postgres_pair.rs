//! Two servers of Postgres, of which one is the standby of the other, and a name for one of them.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::find::User;
use super::guard::Guard;
use super::{find, skip, wait_until};

const VARIABLE: &str = "STATEWISE_POSTGRES_BIN";

fn path_of(program: &str) -> String {
    let found = find::program(program, VARIABLE).expect("it comes with the server");
    found.display().to_string()
}

/// The servers 0 and 1. At first, 0 is the primary, and the name leads to it.
pub(crate) struct PostgresPair {
    guard: Guard,
    pids: [AtomicU32; 2],
}

impl PostgresPair {
    /// Starts both. Each commit waits until it is on the standby too.
    pub(crate) fn start() -> Option<Self> {
        if find::program("initdb", VARIABLE).is_none() {
            return skip("no postgres on this machine (Debian: apt-get install postgresql)");
        }
        let user = User::instead_of_root(&["postgres", "nobody"]);
        let pair = Self {
            guard: Guard::new("postgres-pair", user, "QUIT"),
            pids: [AtomicU32::new(0), AtomicU32::new(0)],
        };
        let folders = ["s0", "s1"].map(|folder| pair.path(folder));
        let mkdir = ["mkdir".to_owned()].into_iter().chain(folders);
        pair.run_words("mkdir", &mkdir.collect::<Vec<_>>());
        let options = "--no-sync -U postgres -A trust -E UTF8 --locale=C --data-checksums";
        pair.run("initdb", &format!("{options} -D {}", pair.path("d0")));
        // In the file, so that a rewind, which first recovers the server, keeps this log too.
        let file = pair.guard.folder().join("d0/postgresql.conf");
        let settings = std::fs::read_to_string(&file).unwrap() + "\nwal_keep_size = 128MB\n";
        std::fs::write(file, settings).unwrap();
        pair.boot(0);
        let (data, from) = (pair.path("d1"), pair.path("s0"));
        let copy = format!("-h {from} -U postgres -D {data} -R -X stream -c fast --no-sync");
        pair.run("pg_basebackup", &copy);
        pair.boot(1);
        pair.wait_in_sync(0);
        pair.lead_to(0);
        Some(pair)
    }

    fn path(&self, name: &str) -> String {
        self.guard.folder().join(name).display().to_string()
    }

    fn run(&self, program: &str, arguments: &str) {
        let path = path_of(program);
        let arguments = arguments.split(' ').map(str::to_owned);
        let words: Vec<_> = [path].into_iter().chain(arguments).collect();
        self.run_words(program, &words);
    }

    fn run_words(&self, name: &str, words: &[String]) {
        self.try_words(name, words).unwrap();
    }

    fn try_words(&self, name: &str, words: &[String]) -> Result<(), String> {
        let words: Vec<_> = words.iter().map(OsStr::new).collect();
        // Without the output of the calls before.
        self.guard.run(name, &words).map_err(|error| {
            let last = error.lines().last().unwrap_or_default();
            format!("{name}: {last}")
        })
    }

    fn boot(&self, at: usize) {
        let (data, sockets) = (self.path(&format!("d{at}")), self.path(&format!("s{at}")));
        let settings = [
            "listen_addresses=",
            "shared_buffers=16MB",
            "fsync=off",
            "wal_retrieve_retry_interval=100ms",
            "dynamic_shared_memory_type=mmap",
        ];
        let program = path_of("postgres");
        let mut words = vec![program, "-D".into(), data, "-k".into(), sockets];
        words.extend(
            settings
                .iter()
                .flat_map(|setting| ["-c".to_owned(), setting.to_string()]),
        );
        let words: Vec<_> = words.iter().map(OsStr::new).collect();
        let pid = self.guard.start(&format!("postgres{at}"), &words).unwrap();
        self.pids[at].store(pid, Ordering::SeqCst);
        wait_until(|| self.sql(at, "SELECT 1")).unwrap();
    }

    /// Runs a statement, which must succeed.
    pub(crate) fn sql(&self, at: usize, text: &str) -> Result<(), String> {
        let psql = path_of("psql");
        let sockets = self.folder_of(at).display().to_string();
        let words = [&psql, "-X", "-h", &sockets, "-U", "postgres", "-c", text];
        self.try_words("psql", &words.map(str::to_owned))
    }

    /// Waits until the other server has everything, and lets each commit wait for it from then on.
    pub(crate) fn wait_in_sync(&self, primary: usize) {
        let set = "ALTER SYSTEM SET synchronous_standby_names = '*'";
        self.sql(primary, set).unwrap();
        self.sql(primary, "SELECT pg_reload_conf()").unwrap();
        let synced = "SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        wait_until(|| self.sql(primary, synced)).unwrap();
    }

    /// The folder of the sockets of a server.
    pub(crate) fn folder_of(&self, at: usize) -> PathBuf {
        self.guard.folder().join(format!("s{at}"))
    }

    /// The folder of the sockets of the server to which the name leads.
    pub(crate) fn name(&self) -> PathBuf {
        self.guard.folder().join("name")
    }

    /// Moves the name. Open connections stay.
    pub(crate) fn lead_to(&self, at: usize) {
        let next = self.guard.folder().join("next");
        symlink(self.folder_of(at), &next).unwrap();
        std::fs::rename(next, self.name()).unwrap();
    }

    pub(crate) fn kill9(&self, at: usize) {
        self.guard.kill(self.pids[at].load(Ordering::SeqCst));
    }

    /// Makes the standby a primary, whose commits wait for no one.
    pub(crate) fn promote(&self, at: usize) {
        let data = self.path(&format!("d{at}"));
        self.run("pg_ctl", &format!("promote -w -D {data}"));
    }

    /// Starts a killed primary as the standby of the other server.
    pub(crate) fn follow(&self, at: usize) {
        let (data, from) = (self.path(&format!("d{at}")), self.folder_of(1 - at));
        // The new timeline must be on the disk, where this program looks for it.
        self.sql(1 - at, "CHECKPOINT").unwrap();
        let from = format!("host={} user=postgres dbname=postgres", from.display());
        let rewind = path_of("pg_rewind");
        let words = [
            &rewind,
            "-R",
            "--no-sync",
            "-D",
            &data,
            "--source-server",
            &from,
        ];
        self.run_words("pg_rewind", &words.map(str::to_owned));
        self.boot(at);
    }
}
