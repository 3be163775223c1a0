//! Processes that are killed, and two processes at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use statewise::session::SessionAuthenticator;
use statewise::store::{Redb, RedbStore};
use statewise::testkit::{Random, block_on, seed};
use statewise::{Authenticator, Login, Rejection};

use super::folder::Folder;

/// Environment variable with the path of the file, for the process that is killed.
const FILE: &str = "STATEWISE_TEST_REDB_FILE";
const SEED: &str = "STATEWISE_TEST_REDB_SEED";
const ROUNDS: u64 = 40;

fn open(file: &Path) -> SessionAuthenticator<RedbStore> {
    let store = Redb::open(file).build().unwrap().sessions();
    let day = Duration::from_secs(86_400);
    let builder = SessionAuthenticator::builder(store);
    builder.idle(day).absolute(day).build().unwrap()
}

fn print(line: &str) {
    // One write, so that lines of several threads do not mix.
    std::io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// The process to kill, not a test. Four threads print the acts that they begin, and the
/// acknowledged ones.
#[test]
fn the_process_that_is_killed() {
    let Some(file) = env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let seed: u64 = env::var(SEED).unwrap().parse().unwrap();
    let auth = open(&file);
    print("open");
    thread::scope(|scope| {
        for client in 0..4 {
            let auth = &auth;
            scope.spawn(move || {
                let mut random = Random::new(seed.wrapping_mul(7).wrapping_add(client));
                let mut held = Vec::new();
                loop {
                    act(auth, &mut held, &mut random, client);
                }
            });
        }
    });
}

fn act(
    auth: &SessionAuthenticator<RedbStore>,
    held: &mut Vec<String>,
    random: &mut Random,
    client: u64,
) {
    if held.len() < 3 || random.once_in(3) {
        let login = Login::new(format!("user {client}"));
        let issued = block_on(auth.issue(login)).unwrap();
        let credential = issued.credential().reveal().to_owned();
        print(&format!("\ncreated {credential}"));
        held.push(credential);
        return;
    }
    let at = random.below(held.len());
    let credential = held.swap_remove(at);
    if random.once_in(2) {
        print(&format!("\nrevoking {credential}"));
        let _ = block_on(auth.revoke(&credential)).unwrap();
        print(&format!("\nrevoked {credential}"));
    } else {
        print(&format!("\nrefreshing {credential}"));
        let issued = block_on(auth.refresh(&credential)).unwrap();
        let next = issued.refreshable().reveal().to_owned();
        print(&format!("\nrefreshed {credential} {next}"));
        held.push(next);
    }
}

fn start(file: &Path, seed: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::the_process_that_is_killed", "--nocapture"])
        .env(FILE, file)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The credentials of all rounds, by their last acknowledged act.
#[derive(Default)]
struct Acknowledged {
    alive: BTreeSet<String>,
    revoked: BTreeSet<String>,
    /// Begun and not acknowledged: the act may have been done or not.
    pending: BTreeMap<String, &'static str>,
}

impl Acknowledged {
    fn read(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["created", credential] => {
                self.alive.insert(credential.to_owned());
            }
            ["revoking", credential] => {
                self.alive.remove(credential);
                self.pending.insert(credential.to_owned(), "revoking");
            }
            ["revoked", credential] => {
                self.pending.remove(credential);
                self.revoked.insert(credential.to_owned());
            }
            ["refreshing", credential] => {
                self.alive.remove(credential);
                self.pending.insert(credential.to_owned(), "refreshing");
            }
            ["refreshed", credential, next] => {
                self.pending.remove(credential);
                self.alive.insert(next.to_owned());
            }
            _ => {}
        }
    }
}

/// A process is killed at random moments, dozens of times over one file: every acknowledged act is
/// done, and the file opens. Rejects a commit that is acknowledged before the operating system has
/// it, and an index that differs from its rows.
#[test]
fn acknowledged_acts_survive_a_kill() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let folder = Folder::on_disk();
    let mut acknowledged = Acknowledged::default();
    let mut lines = 0;
    for round in 0..ROUNDS {
        let mut child = start(&folder.file(), seed.wrapping_add(round));
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in printed.by_ref() {
            if line.unwrap() == "open" {
                break;
            }
        }
        for _ in 0..random.below(60) {
            acknowledged.read(&printed.next().unwrap().unwrap());
            lines += 1;
        }
        thread::sleep(Duration::from_micros(random.below(6_000) as u64));
        child.kill().unwrap();
        // The lines that it printed until it was killed.
        printed.map_while(Result::ok).for_each(|line| {
            acknowledged.read(&line);
            lines += 1;
        });
        child.wait().unwrap();
        let auth = open(&folder.file());
        check(&auth, &mut acknowledged, round);
    }
    println!(
        "{lines} lines; {} alive, {} revoked after {ROUNDS} kills",
        acknowledged.alive.len(),
        acknowledged.revoked.len()
    );
    assert!(acknowledged.revoked.len() > 20 && acknowledged.alive.len() > 20);
}

fn check(auth: &SessionAuthenticator<RedbStore>, acknowledged: &mut Acknowledged, round: u64) {
    for credential in &acknowledged.alive {
        let verified = block_on(auth.verify(credential));
        assert!(
            verified.is_ok(),
            "round {round}: a login was lost, {verified:?}"
        );
    }
    for credential in &acknowledged.revoked {
        let rejected = block_on(auth.verify(credential)).err();
        let rejected = rejected.and_then(|error| error.rejection());
        assert_eq!(
            rejected,
            Some(Rejection::Unknown),
            "round {round}: a revoked login was accepted"
        );
    }
    for (credential, act) in std::mem::take(&mut acknowledged.pending) {
        // Done or not done: the later rounds expect what this round finds.
        match (act, block_on(auth.verify(&credential))) {
            ("refreshing", verified) => assert!(verified.is_ok(), "round {round}: {verified:?}"),
            (_, Ok(_)) => drop(acknowledged.alive.insert(credential)),
            (_, Err(error)) => {
                assert_eq!(error.rejection(), Some(Rejection::Unknown));
                acknowledged.revoked.insert(credential);
            }
        }
    }
    // The index has all rows.
    let listed: usize = (0..4)
        .map(|client| {
            let (mut after, mut count) = (None, 0);
            loop {
                let page = block_on(auth.sessions(&format!("user {client}"), after)).unwrap();
                count += page.sessions.len();
                after = page.next;
                if after.is_none() {
                    return count;
                }
            }
        })
        .sum();
    assert!(listed >= acknowledged.alive.len(), "round {round}");
}

/// While one process has the file open, another one cannot open it. After the first has ended, it
/// can, but only once. Rejects a store that shares its file with another process.
#[test]
fn one_process_at_a_time() {
    let folder = Folder::on_disk();
    let mut child = start(&folder.file(), 1);
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(printed.by_ref().any(|line| line.unwrap() == "open"));
    let drained = thread::spawn(move || printed.map_while(Result::ok).count());
    let open = || Redb::open(folder.file()).build();
    let error = open().unwrap_err();
    assert!(error.is_unavailable());
    assert!(error.to_string().contains("open elsewhere"), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    drained.join().unwrap();
    let started = Instant::now();
    let first = open().unwrap();
    println!("opened {:?} after the other process", started.elapsed());
    assert!(open().is_err_and(|error| error.is_unavailable()));
    drop(first);
    open().unwrap();
}
