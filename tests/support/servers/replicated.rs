//! A Redis primary with a replica on local ports, and a Sentinel that promotes the replica.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::redis::{free_ports, program};
use super::{resp, wait_until};

/// Name of the primary at the Sentinel.
pub(crate) const NAME: &str = "sessions";

/// Two servers, the first one the primary at the beginning, and a Sentinel if it is asked for.
pub(crate) struct Replicated {
    guard: Guard,
    program: PathBuf,
    ports: Vec<u16>,
    pids: Mutex<[u32; 2]>,
}

impl Replicated {
    /// Starts two servers, or reports why it cannot.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let mut failures = Vec::new();
        // Another process may take a port between its choice and its use.
        for _ in 0..5 {
            let replicated = Self {
                guard: Guard::new("replicated", None, "KILL"),
                program: program.clone(),
                ports: free_ports(3),
                pids: Mutex::new([0; 2]),
            };
            let started = replicated.run(0, None);
            match started.and_then(|()| replicated.run(1, Some(0))) {
                Ok(()) => {
                    replicated.wait_in_sync(0);
                    return Some(replicated);
                }
                Err(error) => failures.push(error),
            }
        }
        panic!("no replicated servers: {}", failures.join("\n"));
    }

    /// Starts two servers and a Sentinel.
    pub(crate) fn with_sentinel() -> Option<Self> {
        let replicated = Self::start()?;
        let [port, sentinel] = [replicated.ports[0], replicated.ports[2]];
        let config = replicated.guard.folder().join("sentinel.conf");
        let lines = [
            format!("port {sentinel}"),
            "bind 127.0.0.1".to_owned(),
            format!("sentinel monitor {NAME} 127.0.0.1 {port} 1"),
            format!("sentinel down-after-milliseconds {NAME} 1500"),
            // A busy machine is slow, and an aborted failover would leave two primaries.
            format!("sentinel failover-timeout {NAME} 20000"),
        ];
        std::fs::write(&config, lines.join("\n")).unwrap();
        let command = [
            replicated.program.as_os_str(),
            config.as_os_str(),
            OsStr::new("--sentinel"),
        ];
        replicated.guard.start("sentinel", &command).unwrap();
        assert_eq!(replicated.wait_settled(), 0);
        Some(replicated)
    }

    fn run(&self, at: usize, primary: Option<usize>) -> Result<(), String> {
        let port = self.ports[at].to_string();
        let folder = self.guard.folder().as_os_str();
        let mut command = vec![self.program.as_os_str(), OsStr::new("--dir"), folder];
        let options = [
            ["--bind", "127.0.0.1"],
            ["--port", &port],
            ["--repl-diskless-sync-delay", "0"],
            ["--repl-diskless-load", "swapdb"],
            ["--save", ""],
        ];
        command.extend(options.into_iter().flatten().map(OsStr::new));
        let of = primary.map(|primary| format!("127.0.0.1 {}", self.ports[primary]));
        if let Some(of) = &of {
            command.extend([OsStr::new("--replicaof"), OsStr::new(of)]);
        }
        let name = format!("redis-{at}");
        let pid = self.guard.start(&name, &command)?;
        self.pids.lock().unwrap()[at] = pid;
        wait_until(|| match self.ask(at, &["PING"]) {
            // A port in use ends the server.
            Err(error) if super::guard::is_running(pid) => Err(error),
            _ => Ok(()),
        })?;
        let pong = self.ask(at, &["PING"]).map(drop);
        pong.map_err(|error| format!("{error}\n{}", self.guard.log(&name)))
    }

    pub(crate) fn port(&self, at: usize) -> u16 {
        self.ports[at]
    }

    pub(crate) fn sentinel_port(&self) -> u16 {
        self.ports[2]
    }

    /// Sends a command to a server on a separate connection.
    pub(crate) fn ask(&self, at: usize, command: &[&str]) -> Result<String, String> {
        resp::ask_port(self.ports[at], command)
    }

    fn ask_sentinel(&self, command: &[&str]) -> Result<String, String> {
        resp::ask_port(self.sentinel_port(), command)
    }

    /// Returns a field of the replication of a server.
    fn replication(&self, at: usize, name: &str) -> Result<String, String> {
        let info = self.ask(at, &["INFO", "replication"])?;
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.unwrap_or_default().trim().to_owned())
    }

    /// Returns whether the replica has, within some time, all that its primary has now.
    pub(crate) fn confirms(&self, primary: usize, within: Duration) -> bool {
        let begun = Instant::now();
        let number = |text: String| text.parse::<u64>().map_err(|error| error.to_string());
        let is_confirmed = || {
            let log = self.replication(primary, "master_replid:")?;
            let sent = number(self.replication(primary, "master_repl_offset:")?)?;
            while begun.elapsed() < within {
                let has = number(self.replication(1 - primary, "slave_repl_offset:")?)?;
                if has >= sent && self.replication(1 - primary, "master_replid:")? == log {
                    return Ok::<_, String>(true);
                }
            }
            Ok(false)
        };
        is_confirmed().unwrap_or(false)
    }

    /// Waits until the other server has all that this primary has.
    pub(crate) fn wait_in_sync(&self, primary: usize) {
        wait_until(|| self.is_in_sync(primary)).unwrap();
    }

    fn is_in_sync(&self, primary: usize) -> Result<(), String> {
        // A new replica is in sync with a primary that has not written, and gets no writes yet.
        self.ask(primary, &["SET", "sync", "1"])?;
        self.ask(primary, &["DEL", "sync"])?;
        let sent = self.replication(primary, "master_repl_offset:")?;
        let up = self.replication(1 - primary, "master_link_status:")?;
        let has = self.replication(1 - primary, "slave_repl_offset:")?;
        let number = |text: &str| text.parse().unwrap_or(0_u64);
        if up == "up" && number(&has) >= number(&sent) {
            return Ok(());
        }
        Err(format!("{up}: {has} of {sent}"))
    }

    /// Waits until the Sentinel names a primary, its replica is in sync, and the Sentinel knows it.
    /// Returns the primary: on a busy machine a Sentinel may have chosen another one meanwhile.
    pub(crate) fn wait_settled(&self) -> usize {
        let mut primary = 0;
        wait_until(|| {
            primary = usize::from(self.is_named(1).is_ok());
            self.is_in_sync(primary)?;
            let replicas = self.ask_sentinel(&["SENTINEL", "REPLICAS", NAME])?;
            let port = self.ports[1 - primary].to_string();
            let known = replicas.lines().any(|line| line == port);
            let mut flags = replicas.lines().skip_while(|line| *line != "flags").skip(1);
            let is_up = flags.next() == Some("slave");
            if known && is_up {
                return self.is_named(primary);
            }
            Err(replicas)
        })
        .unwrap();
        primary
    }

    /// Waits until a server is a primary that accepts writes, and the Sentinel names it.
    pub(crate) fn wait_promoted(&self, at: usize) {
        wait_until(|| self.ask(at, &["DEL", "nothing"]).map(drop)).unwrap();
        wait_until(|| self.is_named(at)).unwrap();
    }

    /// `Err` unless the Sentinel names this server as the primary.
    fn is_named(&self, at: usize) -> Result<(), String> {
        let address = self.ask_sentinel(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
        let port = self.ports[at].to_string();
        if address.lines().nth(1) == Some(&port) {
            return Ok(());
        }
        Err(address)
    }

    /// Makes one server the primary, and the other one its replica.
    pub(crate) fn promote(&self, at: usize) {
        self.ask(at, &["REPLICAOF", "NO", "ONE"]).unwrap();
        let port = self.ports[at].to_string();
        let demote = ["REPLICAOF", "127.0.0.1", &port];
        self.ask(1 - at, &demote).unwrap();
    }

    /// Kills one like a crash.
    pub(crate) fn kill9(&self, at: usize) {
        self.guard.kill(self.pid(at));
    }

    /// Starts a killed server again, as an empty replica of the other one.
    pub(crate) fn rejoin(&self, at: usize) {
        self.run(at, Some(1 - at)).unwrap();
    }

    pub(crate) fn pause(&self, at: usize) {
        self.guard.stop(self.pid(at));
    }

    pub(crate) fn resume(&self, at: usize) {
        self.guard.signal("CONT", self.pid(at));
    }

    fn pid(&self, at: usize) -> u32 {
        self.pids.lock().unwrap()[at]
    }
}
