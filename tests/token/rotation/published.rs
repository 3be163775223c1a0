//! A fleet of five processes: one issues with key pairs and publishes its keys, and four follow them.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use statewise::clock::Clock as _;
use statewise::token::{KeySetView, NeedsIssuer, SigningKey, TokenAuthenticator};

use super::log::{Line, serve_log};
use super::node::{Keys, Node};
use super::{Fleet, LIFE};
use crate::support::{Hands, now as done};

/// Time in which a new key is known: half of it in a cache, and half of it between two fetches.
pub(super) const PROPAGATION: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(60);
/// Step of the clocks in seconds: the pause between two steps of the upkeep.
const STEP: u64 = 20;

/// Returns the key pair with this seed, in the form of OpenSSL.
pub(super) fn pair(seed: &[u8; 32]) -> SigningKey {
    let start = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let digits = STANDARD.encode([&start[..], seed].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{digits}\n-----END PRIVATE KEY-----\n");
    SigningKey::from_pem(&pem).unwrap()
}

/// Follows the keys of an issuer through a cache, which keeps each answer as long as it may.
pub(super) fn follow(issuer: SocketAddr, clock: &Hands) -> NeedsIssuer {
    let line = Mutex::new((Line::to(issuer), String::new(), 0));
    let now = clock.clone();
    let fetch = move || {
        let now = now.now().unwrap().unix();
        let (line, text, end) = &mut *line.lock().unwrap();
        if *end <= now {
            let answer = line.ask("keys");
            let answer = answer.strip_prefix("ok ").expect("a key set");
            let (max_age, set) = answer.split_once(' ').unwrap();
            (*text, *end) = (set.to_owned(), now + max_age.parse::<u64>().unwrap());
        }
        std::future::ready(Ok(text.clone()))
    };
    let view = KeySetView::builder(fetch).every(EVERY);
    let view = view.bound(10 * EVERY).clock(clock.clone()).build().unwrap();
    done(view.fetch()).unwrap();
    TokenAuthenticator::verifier(&view)
}

/// The issuer is node 0.
impl Fleet {
    fn of_an_issuer(follows: fn(SocketAddr) -> Keys) -> Self {
        let log = serve_log();
        let ring = "new=1 spare=2";
        let mut nodes = vec![Node::start(log, ring, Keys::Pairs)];
        let keys = follows(nodes[0].address);
        nodes.extend((0..4).map(|_| Node::start(log, ring, keys)));
        Self::with(nodes, Keys::Pairs, 1, 2)
    }

    /// Lets time pass in steps of the upkeep, with load in each.
    fn pass(&mut self, seconds: u64) {
        let end = self.time + seconds;
        while self.time < end {
            self.go((self.time + STEP).min(end));
        }
    }

    /// Rotates to the spare `ahead` seconds from now, and gives the ring another one.
    fn rotate_published(&mut self, ahead: u64) {
        let (new, spare) = (self.last, self.make_key());
        self.rotate_to(new, spare, ahead);
        self.tell(0, &format!("ring new={new} spare={spare}"));
        self.pass(STEP);
    }

    /// To a key that no service has seen, `ahead` seconds from now.
    fn rotate_to_an_unknown_key(&mut self, ahead: u64) {
        let (spare, new) = (self.last, self.make_key());
        self.rotate_to(new, spare, ahead);
        self.last = self.make_key();
        self.tell(0, &format!("ring new={new} spare={}", self.last));
        // Until all have the new spare.
        self.pass(PROPAGATION.as_secs());
    }

    /// Signs with `new` in `ahead` seconds, and waits until the last token of the old key has expired.
    fn rotate_to(&mut self, new: u64, spare: u64, ahead: u64) {
        let (old, moment) = (self.active, self.time + ahead);
        let ring = format!("ring new={old} then={new}@{moment} spare={spare}");
        self.tell(0, &ring);
        self.pass(ahead + STEP);
        assert!(self.signs_with(0, new));
        self.active = new;
        self.pass(LIFE + PROPAGATION.as_secs());
    }

    /// The active key has leaked: the log retires it, and then it leaves the set.
    fn leak_published(&mut self) {
        let (leaked, spare) = (self.active, self.last);
        self.retire_on(0, leaked);
        assert!(self.signs_with(0, spare));
        self.active = spare;
        let next = self.make_key();
        self.tell(0, &format!("ring new={spare} spare={next}"));
        self.pass(LIFE);
    }

    /// The active key has leaked, and the issuer only takes it out of its set. The services notice
    /// when the cache and the pause between two fetches have ended.
    fn leak_without_log(&mut self) {
        let (leaked, spare, next) = (self.active, self.last, self.make_key());
        let ring = format!(
            "ring new={spare} verify={leaked} retire={leaked}@{}",
            self.time
        );
        self.set_leak(leaked, false, false);
        self.tell(0, &format!("{ring} spare={next}"));
        self.active = spare;
        self.set_leak(leaked, true, false);
        self.pass(PROPAGATION.as_secs() + STEP);
        self.set_leak(leaked, true, true);
        self.pass(LIFE);
    }
}

#[test]
fn no_rotation_and_no_leak_of_a_published_key_rejects_a_valid_token() {
    let mut fleet = Fleet::of_an_issuer(Keys::Published);
    let known = PROPAGATION.as_secs();
    fleet.round("to the spare", |fleet| fleet.rotate_published(STEP));
    fleet.round("to a new key, in time", |fleet| {
        fleet.rotate_to_an_unknown_key(known + STEP);
    });
    fleet.round("leak, by the log", Fleet::leak_published);
    fleet.round("to a new key after it, in time", |fleet| {
        fleet.rotate_to_an_unknown_key(known + STEP);
    });
    fleet.round("leak, by the key set alone", Fleet::leak_without_log);
    fleet.sum();
}

/// The load notices a key that signs before its time.
#[test]
fn a_key_that_signs_before_it_is_published_is_noticed() {
    let mut fleet = Fleet::of_an_issuer(Keys::Published);
    fleet.rotate_to_an_unknown_key(1);
    let failures = fleet.load.failures.lock().unwrap().clone();
    println!(
        "{} valid tokens were refused: {:?}",
        failures.len(),
        failures.first()
    );
    assert!(
        failures
            .iter()
            .any(|failure| failure.contains("rejected a valid token"))
    );
}

/// The load notices a service that does not follow the log.
#[test]
fn a_service_that_ignores_a_leak_is_noticed() {
    let mut fleet = Fleet::of_an_issuer(Keys::PublishedWithoutLog);
    fleet.pass(STEP);
    let leaked = fleet.active;
    fleet.retire_on(0, leaked);
    let failures = fleet.load.failures.lock().unwrap().clone();
    println!(
        "{} tokens were accepted: {:?}",
        failures.len(),
        failures.first()
    );
    assert!(
        failures
            .iter()
            .any(|failure| failure.contains("accepted a token of the leaked key"))
    );
}
