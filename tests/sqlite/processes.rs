//! Two processes on one file, with the locks of the operating system.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use statewise::session::Limit;
use statewise::store::SqliteStore;
use statewise::store::contract::{Created, Scope, SessionStore as _, Updated};
use statewise::testkit::Sample;

use super::cases::{count, get, now, put};
use super::file::{Folder, options, pool, store};
use super::runtime::block_on;

/// Environment variable of the child process: the file.
const FILE: &str = "STATEWISE_TEST_SQLITE_OTHER";
const MAX_SESSIONS: u32 = 3;
/// Concurrent logins of each process.
const LOGINS_PER_RUSH: usize = 40;

/// Logs the same user in repeatedly, and returns the number of successful logins.
async fn rush(store: &SqliteStore, limit: Limit) -> usize {
    let mut stored = 0;
    for _ in 0..LOGINS_PER_RUSH {
        let row = Sample::of("rush").at(now());
        let created = store.create(&row, limit, now()).await.unwrap();
        stored += usize::from(matches!(created, Created::Stored { .. }));
        assert!(count(store, "rush").await <= MAX_SESSIONS as usize);
    }
    stored
}

/// Executes commands in a separate process until its input ends.
#[test]
fn the_other_process() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    block_on(async {
        let store = store(pool(options(Path::new(&file)), 2).await).await;
        println!("ready 0");
        for line in std::io::stdin().lines() {
            let answer = match line.unwrap().as_str() {
                "count alice" => count(&store, "alice").await,
                "end alice" => {
                    let ended = store.remove_subject("alice", Scope::all(), now()).await;
                    ended.unwrap().count as usize
                }
                "rush evicting" => rush(&store, Limit::EvictOldest(MAX_SESSIONS)).await,
                "rush rejecting" => rush(&store, Limit::Reject(MAX_SESSIONS)).await,
                other => panic!("{other}"),
            };
            println!("\nanswer {answer}");
        }
    });
}

struct Other {
    process: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(file: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::the_other_process", "--nocapture"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut other = Self {
            process,
            commands,
            lines,
        };
        other.receive("ready ");
        other
    }

    fn send(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    fn receive(&mut self, word: &str) -> usize {
        let mut answers = self.lines.by_ref().map(Result::unwrap);
        let answer = answers.find_map(|line| {
            let (_, answer) = line.split_once(word)?;
            answer.trim().parse().ok()
        });
        answer.expect("the other process answers")
    }

    fn ask(&mut self, command: &str) -> usize {
        self.send(command);
        self.receive("answer ")
    }
}

/// Each process sees the changes of the other, a late save does not undo them, and a limit applies
/// to both together. Rejects state kept in the process, and a count before the lock.
#[test]
fn two_processes_share_a_file() {
    let folder = Folder::new();
    block_on(async {
        let store = store(pool(options(&folder.file()), 2).await).await;
        let mut other = Other::start(&folder.file());
        let row = Sample::of("alice").at(now());
        put(&store, &row).await;
        assert_eq!(other.ask("count alice"), 1);
        assert_eq!(other.ask("end alice"), 1);
        assert!(get(&store, &row).await.is_none());
        let change = Sample::update(b"1");
        let late = store.update(row.handle(), 0, &change, now()).await;
        assert!(matches!(late, Ok(Updated::Absent)));
        assert_eq!(other.ask("count alice"), 0);

        other.send("rush rejecting");
        let here = rush(&store, Limit::Reject(MAX_SESSIONS)).await;
        assert_eq!(here + other.receive("answer "), MAX_SESSIONS as usize);
        other.send("rush evicting");
        assert_eq!(
            rush(&store, Limit::EvictOldest(MAX_SESSIONS)).await,
            LOGINS_PER_RUSH
        );
        assert_eq!(other.receive("answer "), LOGINS_PER_RUSH);
        assert_eq!(count(&store, "rush").await, MAX_SESSIONS as usize);

        // A killed process takes no data with it.
        other.process.kill().unwrap();
        other.process.wait().unwrap();
        put(&store, &row).await;
        assert!(get(&store, &row).await.is_some());
    });
}
