//! Key rotation and a leaked key in a fleet of processes under load: no valid token is rejected, and no
//! login fails. Four nodes share secrets; in the other fleet, one issues with key pairs and four follow
//! its published keys.
//!
//! `STATEWISE_ROTATIONS=20 cargo test --test token rotation -- --nocapture` repeats all rounds.

mod log;
mod node;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod published;

use std::collections::BTreeSet;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statewise::testkit::Random;

use self::log::{Line, serve_log};
use self::node::{Keys, Node};
use crate::support::{START, claims_of};

/// Lifetime of a token in seconds.
const LIFE: u64 = 300;
/// Bound of the view in seconds: longer than the longest step.
const BOUND: u64 = 600;
/// Differences of the clocks of the nodes, in seconds after the earliest.
const SKEW: [u64; MAX_NODES] = [0, 2, 2, 4, 4];
const MAX_SKEW: u64 = 4;
/// Nodes that share secrets.
const NODES: usize = 4;
const MAX_NODES: usize = 5;
const WORKERS: u64 = 4;
/// Logins in each step of time, each with a verification of several tokens on every node.
const LOGINS_PER_STEP: usize = 24;
/// Tokens that are kept for later verifications.
const KEPT: usize = 400;

#[derive(Clone)]
struct Token {
    text: String,
    kid: String,
    expires: u64,
    /// The key whose retirement was known when the login began.
    after_leak_of: Option<u64>,
}

/// A leaked key.
#[derive(Clone, Default)]
struct Leak {
    /// The key, from the call of `retire_key` on.
    key: Option<u64>,
    /// True when the call has returned.
    returned: bool,
    /// True when all nodes have read the log.
    read: bool,
}

/// State shared by the workers.
struct Load {
    keys: Keys,
    /// The first nodes, which issue tokens.
    issuers: usize,
    /// The latest time on any clock.
    latest: AtomicU64,
    tokens: Mutex<Vec<Token>>,
    leak: Mutex<Leak>,
    /// A key that some nodes need not know yet, and the time from which it may sign all the same.
    new: Mutex<(u64, u64)>,
    has_not_read: [AtomicBool; MAX_NODES],
    logins: AtomicU64,
    verified: AtomicU64,
    ended: AtomicU64,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Load {
    fn new(keys: Keys, issuers: usize) -> Self {
        Self {
            keys,
            issuers,
            latest: AtomicU64::default(),
            tokens: Mutex::default(),
            leak: Mutex::default(),
            new: Mutex::default(),
            has_not_read: Default::default(),
            logins: AtomicU64::default(),
            verified: AtomicU64::default(),
            ended: AtomicU64::default(),
            failures: Mutex::default(),
            stop: AtomicBool::default(),
        }
    }

    fn fail(&self, failure: String) {
        self.failures.lock().unwrap().push(failure);
    }

    fn leak(&self) -> Leak {
        self.leak.lock().unwrap().clone()
    }

    /// Logs in on one node, and verifies the token and some earlier ones on all nodes.
    fn act(&self, lines: &mut [Line], random: &mut Random) {
        let at = random.below(self.issuers);
        let leak = self.leak();
        let answer = lines[at].ask("issue alice");
        let Some(token) = answer.strip_prefix("ok ") else {
            return self.fail(format!("a login failed on node {at}: {answer}"));
        };
        self.logins.fetch_add(1, SeqCst);
        let new = Token::read(token, leak.key.filter(|_| leak.returned));
        let mut batch = self.some(random);
        batch.push(new.clone());
        self.keep(new, random);
        let texts: Vec<_> = batch.iter().map(|token| token.text.as_str()).collect();
        let question = format!("verify {}", texts.join(" "));
        for (at, line) in lines.iter_mut().enumerate() {
            let (before, unread) = (self.leak(), self.has_not_read[at].load(SeqCst));
            let unknown = *self.new.lock().unwrap();
            let answer = line.ask(&question);
            let verdicts = answer.split(' ');
            for (token, verdict) in batch.iter().zip(verdicts) {
                self.verified.fetch_add(1, SeqCst);
                let leak = self.leak();
                let is = |number| self.keys.is_named(&token.kid, number);
                let is_leaked = leak.key.is_some_and(is);
                let was_ended = is_leaked && token.after_leak_of != leak.key;
                let is_expired = token.expires <= self.latest.load(SeqCst);
                let signed_at = token.expires - LIFE;
                let is_unknown = unread && is(unknown.0) && signed_at >= unknown.1;
                if verdict == "ok" {
                    if is_leaked && before.read && before.key == leak.key {
                        self.fail(format!("node {at} accepted a token of the leaked key"));
                    }
                } else if was_ended {
                    self.ended.fetch_add(1, SeqCst);
                } else if !is_expired && !is_unknown {
                    self.fail(format!("node {at} rejected a valid token: {verdict}"));
                }
            }
        }
    }

    fn some(&self, random: &mut Random) -> Vec<Token> {
        let mut tokens = self.tokens.lock().unwrap();
        let latest = self.latest.load(SeqCst);
        tokens.retain(|token| token.expires > latest);
        let count = tokens.len().min(4);
        let mut pick = |_| tokens[random.below(tokens.len())].clone();
        (0..count).map(&mut pick).collect()
    }

    fn keep(&self, token: Token, random: &mut Random) {
        let mut tokens = self.tokens.lock().unwrap();
        if tokens.len() < KEPT {
            return tokens.push(token);
        }
        let at = random.below(KEPT);
        tokens[at] = token;
    }
}

impl Token {
    fn read(token: &str, after_leak_of: Option<u64>) -> Self {
        let header = token.split('.').next().unwrap();
        let header = URL_SAFE_NO_PAD.decode(header).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let claims: serde_json::Value = serde_json::from_str(&claims_of(token)).unwrap();
        Self {
            text: token.to_owned(),
            kid: header["kid"].as_str().unwrap().to_owned(),
            expires: claims["exp"].as_u64().unwrap(),
            after_leak_of,
        }
    }
}

/// Four nodes, their log, and the load on them.
struct Fleet {
    nodes: Vec<Node>,
    lines: Vec<Line>,
    load: Arc<Load>,
    progress: Receiver<()>,
    workers: Vec<thread::JoinHandle<()>>,
    time: u64,
    active: u64,
    /// The last key that was made.
    last: u64,
}

impl Fleet {
    fn start() -> Self {
        let log = serve_log();
        let start = |_| Node::start(log, "new=1", Keys::Secrets);
        let nodes: Vec<_> = (0..NODES).map(start).collect();
        Self::with(nodes, Keys::Secrets, NODES, 1)
    }

    /// Puts load on nodes that sign with key 1 and know the keys up to `last`.
    fn with(nodes: Vec<Node>, keys: Keys, issuers: usize, last: u64) -> Self {
        let (load, (sender, progress)) = (Arc::new(Load::new(keys, issuers)), channel());
        let mut fleet = Self {
            lines: nodes.iter().map(Node::line).collect(),
            nodes,
            load,
            progress,
            workers: Vec::new(),
            time: START,
            active: 1,
            last,
        };
        fleet.set_time(START, "time");
        fleet.workers = (0..WORKERS)
            .map(|seed| fleet.worker(seed, sender.clone()))
            .collect();
        fleet
    }

    fn worker(&self, seed: u64, progress: Sender<()>) -> thread::JoinHandle<()> {
        let load = Arc::clone(&self.load);
        let mut lines: Vec<_> = self.nodes.iter().map(Node::line).collect();
        thread::spawn(move || {
            let mut random = Random::new(seed);
            while !load.stop.load(SeqCst) {
                load.act(&mut lines, &mut random);
                let _ = progress.send(());
            }
        })
    }

    fn make_key(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Asks one node, and expects that it agrees.
    fn tell(&mut self, node: usize, what: &str) -> String {
        let answer = self.lines[node].ask(what);
        let agreed = answer.strip_prefix("ok ").or(answer.strip_prefix("ok"));
        agreed
            .unwrap_or_else(|| panic!("node {node} refuses {what}: {answer}"))
            .to_owned()
    }

    fn tell_all(&mut self, what: &str) {
        (0..self.nodes.len()).for_each(|node| drop(self.tell(node, what)));
    }

    fn set_time(&mut self, time: u64, how: &str) {
        self.time = time;
        self.load.latest.store(time + MAX_SKEW, SeqCst);
        for (node, skew) in (0..self.nodes.len()).zip(SKEW) {
            self.tell(node, &format!("{how} {}", time + skew));
        }
    }

    fn wait_for_load(&self) {
        self.progress.try_iter().for_each(drop);
        for _ in 0..LOGINS_PER_STEP {
            let patience = Duration::from_secs(60);
            self.progress.recv_timeout(patience).expect("no progress");
        }
    }

    /// Sets all clocks, reads the log on all nodes, and waits for some load.
    fn go(&mut self, time: u64) {
        self.set_time(time, "time");
        self.wait_for_load();
    }

    fn signs_with(&mut self, node: usize, number: u64) -> bool {
        let token = self.tell(node, "issue bob");
        self.load
            .keys
            .is_named(&Token::read(&token, None).kid, number)
    }

    /// Gives every node a ring at its own time.
    fn spread(&mut self, ring: &str, reads: [u64; NODES], others: &[u64]) {
        let times: BTreeSet<_> = reads.iter().chain(others).copied().collect();
        for time in times {
            self.go(time);
            for (node, read) in reads.into_iter().enumerate() {
                if read == time {
                    self.tell(node, &format!("ring {ring}"));
                    self.load.has_not_read[node].store(false, SeqCst);
                }
            }
            self.wait_for_load();
        }
    }

    /// A node that has not read the ring may reject tokens of key `new` that are signed from
    /// `moment` on: nothing has told it of the key.
    fn excuse(&self, new: u64, moment: u64) {
        *self.load.new.lock().unwrap() = (new, moment);
        for flag in &self.load.has_not_read {
            flag.store(true, SeqCst);
        }
    }

    /// Rotates to another key. The nodes read the ring at these seconds after (or before) its time.
    fn rotate(&mut self, with_spare: bool, reads: [i64; NODES]) -> u64 {
        let (old, new) = (self.active, self.make_key());
        if with_spare {
            self.tell_all(&format!("ring new={old} spare={new}"));
        }
        let moment = self.time + 140;
        let at = |offset: i64| moment.saturating_add_signed(offset);
        let spare = self.make_key();
        let ring = format!("new={old} then={new}@{moment} spare={spare}");
        let before = [-120, -60, -10].map(at);
        if !with_spare {
            self.excuse(new, moment);
        }
        self.spread(&ring, reads.map(at), &before);
        self.go(at(60));
        assert!((0..NODES).all(|node| self.signs_with(node, new)));
        self.active = new;
        moment
    }

    /// The last token of the replaced key has expired.
    fn drop_old(&mut self, moment: u64) {
        self.go(moment + LIFE + 70);
        let ring = format!("ring new={}", self.active);
        self.tell_all(&ring);
        self.wait_for_load();
    }

    fn rotation(&mut self, with_spare: bool, reads: [i64; NODES]) {
        let moment = self.rotate(with_spare, reads);
        // The tokens of the replaced key are valid until they expire.
        for passed in [120, LIFE - 5, LIFE, LIFE + 45] {
            self.go(moment + passed);
        }
        self.drop_old(moment);
    }

    /// The ring says no time: the nodes read it within a minute.
    fn rotation_without_time(&mut self) {
        let (old, new, start) = (self.active, self.make_key(), self.time);
        let ring = format!("new={new} verify={old}");
        let reads = [10, 20, 40, 55].map(|passed| start + passed);
        self.spread(&ring, reads, &[]);
        self.active = new;
        for passed in [90, 130, 200, 300, 450] {
            self.go(start + passed);
        }
        assert!((0..NODES).all(|node| self.signs_with(node, new)));
        self.drop_old(start + 200);
    }

    /// Retires a key while the other nodes have not read the log.
    fn retire(&mut self, leaked: u64) {
        self.retire_on(2, leaked);
    }

    fn set_leak(&self, leaked: u64, returned: bool, read: bool) {
        *self.load.leak.lock().unwrap() = Leak {
            key: Some(leaked),
            returned,
            read,
        };
    }

    fn retire_on(&mut self, node: usize, leaked: u64) {
        self.set_leak(leaked, false, false);
        self.tell(node, &format!("retire {leaked}"));
        self.set_leak(leaked, true, false);
        self.wait_for_load();
        self.set_time(self.time + 10, "behind");
        self.wait_for_load();
        self.set_time(self.time + 10, "time");
        self.set_leak(leaked, true, true);
        self.wait_for_load();
    }

    fn leak_with_spare(&mut self) {
        let (leaked, spare) = (self.active, self.make_key());
        self.tell_all(&format!("ring new={leaked} spare={spare}"));
        self.go(self.time + 30);
        self.go(self.time + 100);
        assert!((0..NODES).all(|node| self.signs_with(node, leaked)));
        self.retire(leaked);
        assert!((0..NODES).all(|node| self.signs_with(node, spare)));
        self.active = spare;
        self.clean_up();
    }

    fn leak_without_spare(&mut self) {
        let leaked = self.active;
        self.rotate(false, [-120, -100, -90, -60]);
        self.retire(leaked);
        self.clean_up();
    }

    /// The ring without the leaked key, at different times.
    fn clean_up(&mut self) {
        let (active, spare) = (self.active, self.make_key());
        let reads = [0, 20, 60, 200].map(|passed| self.time + passed);
        let ring = format!("new={active} spare={spare}");
        self.spread(&ring, reads, &[self.time + 300]);
    }

    /// Runs one round and prints its figures.
    fn round(&mut self, name: &str, round: impl FnOnce(&mut Self)) {
        let started = Instant::now();
        let figures = |load: &Load| {
            [&load.logins, &load.verified, &load.ended].map(|figure| figure.load(SeqCst))
        };
        let before = figures(&self.load);
        round(self);
        let after = figures(&self.load);
        let [logins, verified, ended] = std::array::from_fn(|at| after[at] - before[at]);
        let failures = self.load.failures.lock().unwrap().clone();
        println!(
            "{name:<34} {logins:>6} logins {verified:>8} verifications {ended:>6} ended by the \
             leak {:>4} failures {:>6.1?}",
            failures.len(),
            started.elapsed(),
        );
        let some: Vec<_> = failures.iter().take(5).collect();
        assert!(
            failures.is_empty(),
            "{name}: {} of {some:#?}",
            failures.len()
        );
    }

    /// Stops the load and prints its figures. There must be no failure.
    fn sum(self) {
        let load = Arc::clone(&self.load);
        drop(self);
        assert_eq!(load.failures.lock().unwrap().len(), 0);
        println!(
            "in all: {} logins, {} verifications, 0 valid tokens rejected, 0 logins failed, 0 tokens \
             accepted after a leak was known",
            load.logins.load(SeqCst),
            load.verified.load(SeqCst)
        );
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.load.stop.store(true, SeqCst);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

#[test]
fn no_rotation_and_no_leak_rejects_a_valid_token() {
    let repeat = env::var("STATEWISE_ROTATIONS").map_or(1, |count| count.parse().unwrap());
    let mut fleet = Fleet::start();
    for _ in 0..repeat {
        let in_time = [-120, -100, -90, -60];
        let just_before = [-120, -50, -20, -5];
        let at_the_time = [-120, -60, 0, 0];
        let after = [-120, -30, 15, 40];
        fleet.round("rotation, in time", |fleet| fleet.rotation(false, in_time));
        fleet.round("rotation, late: before its time", |fleet| {
            fleet.rotation(false, just_before);
        });
        fleet.round("rotation, late: at its time", |fleet| {
            fleet.rotation(false, at_the_time);
        });
        fleet.round("rotation, late: after its time", |fleet| {
            fleet.rotation(false, after);
        });
        fleet.round("with a spare, in time", |fleet| {
            fleet.rotation(true, in_time);
        });
        fleet.round("with a spare, late: after its time", |fleet| {
            fleet.rotation(true, after);
        });
        fleet.round("rotation without a time", Fleet::rotation_without_time);
        fleet.round("leak, with a spare", Fleet::leak_with_spare);
        fleet.round("leak, without a spare", Fleet::leak_without_spare);
    }
    fleet.sum();
}
