//! Processes: one that is killed, and two at once.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use statewise::session::SessionAuthenticator;
use statewise::store::RedbStore;
use statewise::testkit::{Random, block_on, seed};
use statewise::{Authenticator, Login, Rejection};

use super::folder::Folder;

/// Names the file, in the process that is to be killed.
const FILE: &str = "STATEWISE_TEST_REDB_FILE";
const SEED: &str = "STATEWISE_TEST_REDB_SEED";
const ROUNDS: u64 = 40;

fn strategy(store: RedbStore) -> SessionAuthenticator<RedbStore> {
    let day = Duration::from_secs(86_400);
    let builder = SessionAuthenticator::builder(store);
    builder.idle(day).absolute(day).build().unwrap()
}

fn say(line: &str) {
    // In one piece, whatever the other threads say.
    std::io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Not a test of its own: the process that is killed. Says what it begins and what was
/// acknowledged, on four threads.
#[test]
fn the_process_that_is_killed() {
    let Some(file) = env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let seed: u64 = env::var(SEED).unwrap().parse().unwrap();
    let auth = strategy(RedbStore::open(file).unwrap());
    say("open");
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
        say(&format!("\ncreated {credential}"));
        held.push(credential);
        return;
    }
    let at = random.below(held.len());
    let credential = held.swap_remove(at);
    if random.once_in(2) {
        say(&format!("\nrevoking {credential}"));
        let _ = block_on(auth.revoke(&credential)).unwrap();
        say(&format!("\nrevoked {credential}"));
    } else {
        say(&format!("\nrefreshing {credential}"));
        let issued = block_on(auth.refresh(&credential)).unwrap();
        let next = issued.refreshable().reveal().to_owned();
        say(&format!("\nrefreshed {credential} {next}"));
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

/// What was acknowledged, over all rounds.
#[derive(Default)]
struct Acknowledged {
    alive: BTreeSet<String>,
    revoked: BTreeSet<String>,
    /// Of which both outcomes are fine.
    open: BTreeMap<String, &'static str>,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["created", credential] => {
                self.alive.insert(credential.to_owned());
            }
            ["revoking", credential] => {
                self.alive.remove(credential);
                self.open.insert(credential.to_owned(), "revoking");
            }
            ["revoked", credential] => {
                self.open.remove(credential);
                self.revoked.insert(credential.to_owned());
            }
            ["refreshing", credential] => {
                self.alive.remove(credential);
                self.open.insert(credential.to_owned(), "refreshing");
            }
            ["refreshed", credential, next] => {
                self.open.remove(credential);
                self.alive.insert(next.to_owned());
            }
            _ => {}
        }
    }
}

/// A process is killed at whatever moment, dozens of times over one file: whatever it said was
/// done is done, and the file opens. Rejects a commit that is not synced before it is
/// acknowledged to the operating system, and an index that parts from its rows.
#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let folder = Folder::on_disk();
    let mut acknowledged = Acknowledged::default();
    let mut lines = 0;
    for round in 0..ROUNDS {
        let mut child = start(&folder.file(), seed.wrapping_add(round));
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in said.by_ref() {
            if line.unwrap() == "open" {
                break;
            }
        }
        for _ in 0..random.below(60) {
            acknowledged.hear(&said.next().unwrap().unwrap());
            lines += 1;
        }
        thread::sleep(Duration::from_micros(random.below(6_000) as u64));
        child.kill().unwrap();
        // What it said before it died counts as well.
        said.map_while(Result::ok).for_each(|line| {
            acknowledged.hear(&line);
            lines += 1;
        });
        child.wait().unwrap();
        let auth = strategy(RedbStore::open(folder.file()).unwrap());
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
        assert!(verified.is_ok(), "round {round}: lost, {verified:?}");
    }
    for credential in &acknowledged.revoked {
        let refused = block_on(auth.verify(credential)).err();
        let refused = refused.and_then(|error| error.rejection());
        assert_eq!(
            refused,
            Some(Rejection::Unknown),
            "round {round}: came back"
        );
    }
    for (credential, act) in std::mem::take(&mut acknowledged.open) {
        // Done or not done, and from here on it stays so.
        match (act, block_on(auth.verify(&credential))) {
            ("refreshing", verified) => assert!(verified.is_ok(), "round {round}: {verified:?}"),
            (_, Ok(_)) => drop(acknowledged.alive.insert(credential)),
            (_, Err(error)) => {
                assert_eq!(error.rejection(), Some(Rejection::Unknown));
                acknowledged.revoked.insert(credential);
            }
        }
    }
    // The index and the rows say the same.
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

/// While one process has the file open, another one and another store are told so; when the first
/// is gone, they open it. Rejects a store that shares a file with a process it knows nothing of.
#[test]
fn one_process_at_a_time() {
    let folder = Folder::on_disk();
    let mut child = start(&folder.file(), 1);
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.by_ref().any(|line| line.unwrap() == "open"));
    let drained = thread::spawn(move || said.map_while(Result::ok).count());
    let refused = RedbStore::open(folder.file()).unwrap_err();
    assert!(refused.is_unavailable());
    assert!(refused.to_string().contains("open elsewhere"), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    drained.join().unwrap();
    let started = Instant::now();
    let first = RedbStore::open(folder.file()).unwrap();
    println!("opened {:?} after the other one's end", started.elapsed());
    assert!(RedbStore::open(folder.file()).is_err_and(|error| error.is_unavailable()));
    drop(first);
    RedbStore::open(folder.file()).unwrap();
}
