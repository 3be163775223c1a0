//! Events of the day on which a key has leaked.

use std::sync::Arc;
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::RevocationView;
use statewise::session::SessionAuthenticator;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, Keyring, TokenAuthenticator};
use statewise::{Authenticator, Observed, Revocation, Upkeep};

use crate::notes::{Line, Notes, store};
use crate::tokens::view;

/// A node: its view, its authenticator and its events.
struct Node {
    view: RevocationView,
    auth: Observed<TokenAuthenticator>,
    upkeep: Upkeep,
    notes: Arc<Notes>,
}

/// Returns keys that a test can tell apart.
fn keys() -> [Key; 3] {
    std::array::from_fn(|at| Key::hs256(SECRETS[at]).unwrap())
}

const SECRETS: [&[u8; 32]; 3] = [
    b"0123456789abcdefghijklmnopqrstuv",
    b"another secret of the ring, 32 b",
    b"a third one that is not in it, 3",
];

impl Node {
    fn new(log: &Arc<Line>, clock: &ManualClock) -> Self {
        let [present, spare, _] = keys();
        let (view, notes) = (view(log, clock), Notes::new());
        let auth = TokenAuthenticator::builder(Keyring::new(present).spare(spare))
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
            .clock(clock.clone())
            .revocations(&view)
            .build()
            .unwrap();
        let auth = Observed::new(auth, notes.clone());
        let upkeep = auth.upkeep();
        Self {
            view,
            auth,
            upkeep,
            notes,
        }
    }

    /// Runs the upkeep, and returns its events about all users.
    fn learn(&self) -> Vec<String> {
        let _ = block_on(self.upkeep.tick());
        self.news()
    }

    fn news(&self) -> Vec<String> {
        let mut events = self.notes.take();
        events.retain(|event| !event.starts_with("lag "));
        events
    }
}

const BOUND: Revocation = Revocation::Within(Duration::from_secs(5));
const NOW: Revocation = Revocation::Immediate;

/// Each node reports a retired key once: the one that retires it by the call, and the others when they
/// read it. Renewing the fact is no news. Rejects an upkeep that reports what the call has reported, and a
/// node that reports what it reads again.
#[test]
fn each_node_reports_a_retired_key_once() {
    let (clock, log) = (ManualClock::default(), Line::new());
    let (here, there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    assert!(here.learn().is_empty() && there.learn().is_empty());
    let [leaked, _, _] = keys();
    let kid = leaked.kid();
    let _ = block_on(here.auth.retire_key(kid)).unwrap();
    assert_eq!(here.news(), [format!("key {kid} retired {BOUND:?}")]);
    assert_eq!(there.learn(), [format!("key {kid} retired {NOW:?}")]);
    assert!(here.learn().is_empty());
    for _ in 0..40 {
        clock.advance(Duration::from_secs(600));
        for node in [&here, &there] {
            assert!(node.learn().is_empty());
        }
    }
    // It is remembered, so it was renewed. A repeated call is a call.
    let _ = block_on(here.auth.retire_key(kid)).unwrap();
    assert_eq!(here.news(), [format!("key {kid} retired {BOUND:?}")]);
    assert!(here.learn().is_empty() && there.learn().is_empty());
    // A node that starts reports no old news.
    let late = Node::new(&log, &clock);
    assert!(late.learn().is_empty() && late.learn().is_empty());
}

/// A fact that no observed call reports is reported by the upkeep, on the node that wrote it too.
#[test]
fn a_call_on_the_view_is_reported_by_the_upkeep() {
    let (clock, log) = (ManualClock::default(), Line::new());
    let (here, there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    assert!(here.learn().is_empty() && there.learn().is_empty());
    // Of a ring that this node does not have.
    let other = keys()[2].kid().to_owned();
    let _ = block_on(here.view.retire_key(&other)).unwrap();
    assert!(here.news().is_empty());
    for node in [&here, &there] {
        assert_eq!(node.learn(), [format!("key {other} retired {NOW:?}")]);
        assert!(node.learn().is_empty());
    }
    for _ in 0..2 {
        let _ = block_on(here.view.revoke_everything()).unwrap();
        for node in [&here, &there] {
            assert_eq!(node.learn(), [format!("revoked everything {NOW:?}")]);
            assert!(node.learn().is_empty());
        }
    }
}

/// Also around the hybrid. A failure is reported as one, and not as news later.
#[test]
fn the_end_of_everything_is_reported() {
    let (clock, log) = (ManualClock::default(), Line::new());
    let (here, there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    assert!(here.learn().is_empty() && there.learn().is_empty());
    let access = TokenAuthenticator::builder(keys()[2].clone())
        .issuer("https://auth.example")
        .audience("web")
        .lifetime(Duration::from_secs(900))
        .revocations(&here.view);
    let refresh = SessionAuthenticator::builder(store(10))
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(3600))
        .clock(clock.clone());
    let hybrid = HybridAuthenticator::new(access, refresh).unwrap();
    let hybrid = Observed::new(hybrid, here.notes.clone());

    *log.cut.lock().unwrap() = true;
    assert!(block_on(here.auth.revoke_everything()).is_err());
    assert!(block_on(hybrid.revoke_everything()).is_err());
    assert!(block_on(here.auth.retire_key(keys()[0].kid())).is_err());
    let cut = "unavailable: the revocation log could not answer";
    assert_eq!(
        here.news(),
        [
            format!("RevokeEverything {cut}"),
            format!("RevokeEverything {cut}"),
            format!("RetireKey {cut}"),
        ]
    );
    *log.cut.lock().unwrap() = false;
    assert!(block_on(here.auth.retire_key("no such key")).is_err());
    here.notes.expect("RetireKey misused");
    assert_eq!(here.learn(), [format!("log failed 3: {cut}")]);
    assert!(here.learn().is_empty() && there.learn().is_empty());

    let _ = block_on(here.auth.revoke_everything()).unwrap();
    let _ = block_on(hybrid.revoke_everything()).unwrap();
    let everything = format!("revoked everything {BOUND:?}");
    assert_eq!(here.news(), [everything.clone(), everything]);
    assert!(here.learn().is_empty());
    // Two facts that it learns at once are one piece of news.
    assert_eq!(there.learn(), [format!("revoked everything {NOW:?}")]);
}
