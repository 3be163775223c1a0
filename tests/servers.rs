//! The private servers of the tests answer, come back, and are never left behind.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one of them prints for another process"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::servers::guard::{Guard, is_running, tree};
use support::servers::mariadb::MariaDbServer;
use support::servers::postgres::PostgresServer;
use support::servers::redis::{Cluster, RedisServer};
use support::servers::wait_until;

/// Environment variable of the process to be killed.
const CHILD: &str = "STATEWISE_TEST_TO_BE_KILLED";

/// Waits until a server and its folder are gone.
fn assert_left_nothing(pid: u32, folder: &Path) {
    let gone = || match (is_running(pid), folder.exists()) {
        (false, false) => Ok(()),
        (runs, _) => Err(format!(
            "left behind: {} ({pid} runs: {runs})",
            folder.display()
        )),
    };
    wait_until(gone).unwrap();
}

/// Kills a server and starts it again, pauses it, drops it.
macro_rules! lives_and_dies {
    ($test:ident, $server:ident) => {
        #[test]
        fn $test() {
            let Some(server) = $server::start() else {
                return;
            };
            let first = server.pid();
            server.kill9();
            assert!(!is_running(first));
            server.restart();
            let (pid, folder) = (server.pid(), server.folder().to_owned());
            assert!(pid != first && is_running(pid));
            server.pause();
            server.resume();
            // Dropped while it is paused: it ends nevertheless.
            server.pause();
            drop(server);
            assert_left_nothing(pid, &folder);
        }
    };
}

lives_and_dies!(redis, RedisServer);
lives_and_dies!(postgres, PostgresServer);
lives_and_dies!(mariadb, MariaDbServer);

#[test]
fn a_cluster_of_three_and_three() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let nodes = cluster.ask(5, &["CLUSTER", "NODES"]).unwrap();
    let of = |role: &str| nodes.lines().filter(|line| line.contains(role)).count();
    assert_eq!((of("master"), of("slave")), (3, 3), "{nodes}");
    assert!(
        cluster
            .ask(0, &["CLUSTER", "INFO"])
            .unwrap()
            .contains("cluster_slots_ok:16384")
    );
    cluster.pause(4);
    cluster.resume(4);
}

#[test]
fn a_server_whose_folder_is_gone_says_so() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    server.kill9();
    std::fs::remove_dir_all(server.folder()).unwrap();
    let failure = server.try_restart().unwrap_err();
    assert!(failure.contains("is gone"), "{failure}");
}

#[test]
fn a_setup_that_fails_says_what_it_printed() {
    let guard = Guard::new("nothing", None, "KILL");
    let command = ["sh", "-c", "echo 'that is all'; exit 3"].map(std::ffi::OsStr::new);
    let failure = guard.run("setup", &command).unwrap_err();
    assert!(failure.contains("that is all"), "{failure}");
}

/// Runs only in a child process: starts one server of each kind, prints their folders, and waits.
#[test]
fn to_be_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let says = |guard: &Guard, pids: &[u32]| {
        for pid in pids {
            println!("server {pid} {} {}", guard.pid(), guard.folder().display());
        }
    };
    if let Some(server) = RedisServer::start() {
        says(server.guard(), &[server.pid()]);
        std::mem::forget(server);
    }
    if let Some(cluster) = Cluster::start() {
        says(cluster.guard(), &cluster.pids());
        std::mem::forget(cluster);
    }
    if let Some(server) = PostgresServer::start() {
        says(server.guard(), &[server.pid()]);
        std::mem::forget(server);
    }
    if let Some(server) = MariaDbServer::start() {
        says(server.guard(), &[server.pid()]);
        std::mem::forget(server);
    }
    println!("server done");
    // Until the parent process is gone too.
    let _ = std::io::stdin().lines().count();
}

/// A test in a separate process, and the servers it has started.
struct Child {
    process: std::process::Child,
    servers: Vec<u32>,
    guards: Vec<u32>,
    folders: Vec<PathBuf>,
}

impl Child {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "to_be_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut child = Self {
            process,
            servers: Vec::new(),
            guards: Vec::new(),
            folders: Vec::new(),
        };
        for line in lines {
            let line = line.unwrap();
            let Some((_, server)) = line.split_once("server ") else {
                continue;
            };
            let [pid, guard, folder] = server.split(' ').collect::<Vec<_>>()[..] else {
                break;
            };
            child.servers.push(pid.parse().unwrap());
            child.guards.push(guard.parse().unwrap());
            child.folders.push(folder.into());
        }
        assert!(child.servers.iter().all(|pid| is_running(*pid)));
        assert!(child.folders.iter().all(|folder| folder.exists()));
        // With all of their children, some of which are short-lived.
        child.servers = child.servers.iter().flat_map(|pid| tree(*pid)).collect();
        child
    }
}

#[test]
fn a_killed_test_leaves_no_server_behind() {
    let mut child = Child::start();
    // SIGKILL: no code of the process can clean up.
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    for pid in &child.servers {
        for folder in &child.folders {
            assert_left_nothing(*pid, folder);
        }
    }
}

/// Test and guards are killed together: only the kernel can clean up, and it does not remove
/// folders.
#[test]
fn a_killed_test_and_its_killed_guards_leave_no_server_behind() {
    if !kernel_ends_servers() {
        return;
    }
    let mut child = Child::start();
    let pids = std::iter::once(child.process.id()).chain(child.guards.iter().copied());
    let killed = Command::new("kill")
        .arg("-KILL")
        .args(pids.map(|pid| pid.to_string()))
        .status();
    child.process.wait().unwrap();
    for pid in &child.servers {
        wait_until(|| if is_running(*pid) { Err(pid) } else { Ok(()) }).unwrap();
    }
    for folder in &child.folders {
        let _ = std::fs::remove_dir_all(folder);
    }
    assert!(killed.unwrap().success());
}

/// `Ok` if the kernel ends the children of a killed guard, else the reason why it cannot.
fn kernel_ends_servers() -> bool {
    let asks = ["--pdeathsig", "KILL", "true"];
    let asked = Command::new("setpriv").args(asks).status();
    let is_asked = asked.is_ok_and(|status| status.success());
    if !is_asked {
        println!("skipped: no setpriv that asks the kernel for it");
    }
    is_asked
}

/// The kernel ends the children of a killed guard: servers of this user and of another one.
#[test]
fn a_killed_guard_leaves_no_server_behind() {
    if !kernel_ends_servers() {
        return;
    }
    if let Some(server) = RedisServer::start() {
        let (pid, folder) = (server.pid(), server.folder().to_owned());
        server.guard().kill_itself();
        wait_until(|| if is_running(pid) { Err(pid) } else { Ok(()) }).unwrap();
        drop(server);
        assert!(!folder.exists());
    }
    if let Some(server) = PostgresServer::start() {
        let (pid, folder) = (server.pid(), server.folder().to_owned());
        let all = tree(pid);
        server.guard().kill_itself();
        for pid in all {
            wait_until(|| if is_running(pid) { Err(pid) } else { Ok(()) }).unwrap();
        }
        drop(server);
        assert!(!folder.exists());
    }
}
