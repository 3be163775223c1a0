//! Losses of the log, and the nodes that can repair them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use statewise::testkit::block_on;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Login};

use crate::failing::Failing;
use crate::node::{BOUND, Node, SECRET, log};

/// However much of its end a log has lost, for example after a restore from an hour ago, a node
/// appends all of its facts again. Rejects a node that remembers only the last few thousand
/// entries.
#[test]
fn a_long_lost_tail_is_appended_again() {
    let log = log();
    let node = Node::new(&log);
    let tokens: Vec<_> = (0..6000)
        .map(|user| node.log_in(&user.to_string()))
        .collect();
    for token in &tokens {
        let _ = block_on(node.auth.revoke(token)).unwrap();
    }
    node.follow().unwrap();
    log.lose(6000);
    node.follow().unwrap();
    let late = Node::new(&log);
    for node in [&node, &late] {
        let accepted = tokens.iter().filter(|token| node.accepts(token)).count();
        assert_eq!(accepted, 0, "of {}", tokens.len());
    }
}

/// A node sleeps while the log loses its end, grows again, and drops the new entries. It alone
/// knows the lost facts, and appends them when it wakes.
#[test]
fn a_node_that_slept_appends_the_facts_that_only_it_knows() {
    let log = log();
    let (asleep, other) = (Node::new(&log), Node::new(&log));
    let stolen = other.log_in("alice");
    let _ = block_on(asleep.auth.revoke(&stolen)).unwrap();
    asleep.follow().unwrap();
    log.lose(1);
    // Short-lived facts, which expire.
    let short = |node: &Node| {
        let clock = node.clock.clone();
        let plain = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(1))
            .max_lifetime(Duration::from_secs(1))
            .revocations(&node.view)
            .clock(clock)
            .build()
            .unwrap();
        let token = block_on(plain.issue(Login::new("noise"))).unwrap();
        let _ = block_on(plain.revoke(token.credential().reveal())).unwrap();
    };
    for _ in 0..3 {
        short(&other);
        other.clock.advance(Duration::from_secs(100));
        other.follow().unwrap();
    }
    asleep.clock.advance(Duration::from_secs(300));
    asleep.follow().unwrap();
    let late = Node::new(&log);
    late.clock.advance(Duration::from_secs(300));
    late.follow().unwrap();
    for node in [&asleep, &late] {
        assert!(node.refuses_as_revoked(&stolen));
    }
}

/// The thief of a key can write any stamp. A stamp far beyond the end of the log neither lengthens
/// the log nor makes a node wait.
#[test]
fn a_forged_stamp_does_not_grow_the_log() {
    let log = log();
    let node = Node::new(&log);
    let honest = node.log_in("bob");
    let forged = {
        let lying = Failing::over(&log);
        let thief = Node::new(&lying);
        lying.beyond.store((1 << 40) + 5, Ordering::Relaxed);
        thief.log_in("bob")
    };
    assert!(
        node.accepts(&forged),
        "the key is ours, so the token is accepted"
    );
    for _ in 0..3 {
        let _ = node.follow();
    }
    assert!(log.len() < 20_000, "{} entries", log.len());
    node.clock.advance(BOUND);
    node.follow().unwrap();
    assert!(node.accepts(&honest), "an honest token is rejected");
    // If its order matters, it is rejected.
    let _ = block_on(node.auth.revoke_all("bob")).unwrap();
    node.follow().unwrap();
    assert!(!node.accepts(&forged));
    assert!(node.accepts(&node.log_in("bob")));
}

/// The log starts a new incarnation and refuses writes. A node that is configured to accept
/// continues with its facts, including those about every login of a subject.
#[test]
fn positional_facts_apply_until_they_are_appended_again() {
    let inner = log();
    let log = Failing::over(&inner);
    let node = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| {
        view.accept_when_stale().accept_other_incarnations()
    });
    let (carol, bob) = (node.log_in("carol"), node.log_in("bob"));
    let _ = block_on(node.auth.revoke_all("carol")).unwrap();
    node.follow().unwrap();
    inner.start_over(7);
    log.deposed.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(node.follow().is_err());
        assert!(node.refuses_as_revoked(&carol) && node.accepts(&bob));
    }
    let _ = block_on(node.view.revoke_everything());
    log.deposed.store(false, Ordering::Relaxed);
    node.follow().unwrap();
    assert!(node.refuses_as_revoked(&carol) && node.accepts(&bob));
}
