//! A private Redis, and a private Redis Cluster.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::guard::Guard;
use super::{find, resp, skip, wait_until};

/// Environment variable with the folder of `redis-server`.
const VARIABLE: &str = "STATEWISE_REDIS_BIN";
/// Slots of a Cluster.
const SLOTS: usize = 16_384;
/// Primaries of a Cluster, each with one replica.
const PRIMARIES: usize = 3;

pub(super) fn program() -> Option<PathBuf> {
    find::program("redis-server", VARIABLE)
        .or_else(|| skip("no redis-server on this machine (Debian: apt-get install redis-server)"))
}

/// Returns the rights that the documentation of `Redis` lists.
pub(crate) fn rights() -> impl Iterator<Item = &'static str> {
    rights_after("~statewise:* ")
}

/// Returns the rights of a log reader.
pub(crate) fn reader_rights() -> impl Iterator<Item = &'static str> {
    rights_after("~statewise:{log}:* ")
}

fn rights_after(pattern: &str) -> impl Iterator<Item = &'static str> {
    let source = include_str!("../../../src/backend/redis.rs");
    let (_, rights) = source.split_once(pattern).expect("a line of rights");
    let (rights, _) = rights.split_once("```").expect("the end of the block");
    rights.split_whitespace().filter(|word| *word != "///")
}

/// A Redis on a unix socket. By default it keeps nothing on disk.
pub(crate) struct RedisServer {
    guard: Guard,
    program: PathBuf,
    options: Vec<String>,
    pid: AtomicU32,
}

impl RedisServer {
    /// Starts a server, or reports why it cannot.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// Starts a server with additional options, such as `--appendonly yes`.
    pub(crate) fn with(options: &[&str]) -> Option<Self> {
        let program = program()?;
        let server = Self {
            guard: Guard::new("redis", None, "KILL"),
            program,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            pid: AtomicU32::new(0),
        };
        server.restart();
        Some(server)
    }

    /// The socket of the server.
    pub(crate) fn socket(&self) -> PathBuf {
        self.guard.folder().join("socket")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.guard.folder()
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// URL of a user that has the documented rights and no other.
    pub(crate) fn app_url(&self) -> String {
        format!("{}?user=app&pass=secret", self.url())
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Sends a command to the server on a separate connection.
    pub(crate) fn ask(&self, command: &[&str]) -> Result<String, String> {
        resp::ask_unix(&self.socket(), command)
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
        let socket = self.socket();
        let (folder, socket) = (self.guard.folder().as_os_str(), socket.as_os_str());
        let mut command = vec![self.program.as_os_str()];
        command.extend(["--port", "0", "--save", "", "--dir"].map(OsStr::new));
        command.extend([folder, OsStr::new("--unixsocket"), socket]);
        command.extend(["--user", "app", "on", ">secret", "~test*"].map(OsStr::new));
        for right in rights() {
            command.push(OsStr::new(right));
        }
        command.extend(self.options.iter().map(OsStr::new));
        self.pid
            .store(self.guard.start("redis", &command)?, Ordering::SeqCst);
        let ready = || match self.ask(&["PING"]) {
            // A server that asks for a password is ready too.
            Err(error) if !error.starts_with("NOAUTH") => Err(error),
            _ => Ok(()),
        };
        wait_until(ready).map_err(|error| format!("{error}\n{}", self.guard.log("redis")))
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

/// A Redis Cluster of three primaries with one replica each, on local ports: nodes cannot announce
/// unix sockets to each other.
pub(crate) struct Cluster {
    guard: Guard,
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    pid: u32,
}

impl Cluster {
    /// Starts a Cluster, or reports why it cannot.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let mut failures = Vec::new();
        // Another process may take a port between its choice and its use.
        for _ in 0..5 {
            match Self::form(&program) {
                Ok(cluster) => return Some(cluster),
                Err(error) => failures.push(error),
            }
        }
        panic!("no cluster: {}", failures.join("\n"));
    }

    fn form(program: &Path) -> Result<Self, String> {
        let mut cluster = Self {
            guard: Guard::new("cluster", None, "KILL"),
            nodes: Vec::new(),
        };
        let ports = free_ports(PRIMARIES * 4);
        for pair in ports.chunks(2) {
            cluster.start_node(program, pair[0], pair[1])?;
        }
        for (at, pair) in ports.chunks(2).enumerate() {
            let epoch = (at + 1).to_string();
            cluster.ask(at, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
            if at < PRIMARIES {
                let first = (SLOTS * at / PRIMARIES).to_string();
                let last = (SLOTS * (at + 1) / PRIMARIES - 1).to_string();
                cluster.ask(at, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
            }
            let (port, bus) = (pair[0].to_string(), pair[1].to_string());
            cluster.ask(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        for at in 0..PRIMARIES {
            let primary = cluster.ask(at, &["CLUSTER", "MYID"])?;
            let replica = ["CLUSTER", "REPLICATE", &primary];
            // Refused until the node knows its primary.
            wait_until(|| cluster.ask(at + PRIMARIES, &replica).map(drop))?;
        }
        for at in 0..cluster.nodes.len() {
            wait_until(|| cluster.is_ready(at))?;
        }
        Ok(cluster)
    }

    fn start_node(&mut self, program: &Path, port: u16, bus: u16) -> Result<(), String> {
        let (port_text, bus) = (port.to_string(), bus.to_string());
        let config = format!("nodes-{port}.conf");
        let mut command = vec![program.as_os_str()];
        command.extend(
            [
                ["--bind", "127.0.0.1"],
                ["--port", &port_text],
                ["--cluster-port", &bus],
                ["--cluster-enabled", "yes"],
                ["--cluster-config-file", &config],
                ["--repl-diskless-sync-delay", "0"],
                ["--save", ""],
            ]
            .into_iter()
            .flatten()
            .map(OsStr::new),
        );
        let name = format!("node-{port}");
        let pid = self.guard.start(&name, &command)?;
        self.nodes.push(Node { port, pid });
        let ready = || {
            resp::ask_port(port, &["PING"])
                .map(drop)
                // A port in use ends the server.
                .map_err(|error| (error, super::guard::is_running(pid)))
        };
        loop {
            match ready() {
                Ok(()) => return Ok(()),
                Err((error, false)) => return Err(format!("{error}\n{}", self.guard.log(&name))),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    }

    fn is_ready(&self, at: usize) -> Result<(), String> {
        let info = self.ask(at, &["CLUSTER", "INFO"])?;
        let knows_all = format!("cluster_known_nodes:{}", self.nodes.len());
        if !info.contains("cluster_state:ok") || !info.contains(&knows_all) {
            return Err(info);
        }
        // The nodes learn their roles after a while.
        let nodes = self.ask(at, &["CLUSTER", "NODES"])?;
        let replicas = nodes.lines().filter(|line| line.contains("slave")).count();
        if replicas != self.nodes.len() - PRIMARIES {
            return Err(nodes);
        }
        let replication = self.ask(at, &["INFO", "replication"])?;
        let works = if at < PRIMARIES {
            replication.contains("state=online")
        } else {
            replication.contains("master_link_status:up")
        };
        if works { Ok(()) } else { Err(replication) }
    }

    /// Sends a command to one node. The primaries come first, then their replicas in the same
    /// order.
    pub(crate) fn ask(&self, at: usize, command: &[&str]) -> Result<String, String> {
        resp::ask_port(self.nodes[at].port, command)
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.pid).collect()
    }

    /// URLs of some nodes: a client finds the others.
    pub(crate) fn urls(&self) -> Vec<String> {
        let ports = self.nodes.iter().map(|node| node.port).take(PRIMARIES);
        ports
            .map(|port| format!("redis://127.0.0.1:{port}"))
            .collect()
    }

    /// Kills one like a crash. It does not come back.
    pub(crate) fn kill9(&self, at: usize) {
        self.guard.kill(self.nodes[at].pid);
    }

    pub(crate) fn pause(&self, at: usize) {
        self.guard.stop(self.nodes[at].pid);
    }

    pub(crate) fn resume(&self, at: usize) {
        self.guard.signal("CONT", self.nodes[at].pid);
    }
}

/// Ports that are currently free.
pub(super) fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"))
        .collect();
    let ports = listeners.iter().map(|listener| listener.local_addr());
    ports.map(|address| address.unwrap().port()).collect()
}
