//! The time for which a node may answer from its last read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use statewise::clock::Clock as _;
use statewise::revocation::RevocationView;
use statewise::testkit::block_on;
use statewise::token::{Key, Keyring, TokenAuthenticator};
use statewise::{Authenticator, Login, Presented, Rejection};

use crate::failing::Failing;
use crate::node::{LONGEST, Node, SECRET, log};

/// Facts read behind a fence are known as of the fence: an old primary may be deposed right after
/// it and keeps answering reads without new entries. Rejects freshness that counts from the reads
/// in between, which accepts revoked tokens a quarter of the bound longer.
#[test]
fn a_fenced_view_is_as_fresh_as_its_fence() {
    let bound = 60;
    let log = Failing::over(&log());
    let node = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| {
        view.bound(Duration::from_secs(bound)).fenced()
    });
    let token = node.log_in("alice");
    // From here on, other nodes write to another primary and log alice out there.
    log.deposed.store(true, Ordering::Relaxed);
    for second in 0..2 * bound {
        let accepted = node.accepts(&token);
        assert!(!accepted || second < bound, "accepted after {second} s");
        assert!(accepted || second > bound / 2, "refused after {second} s");
        node.clock.advance(Duration::from_secs(1));
        let _ = node.follow();
    }
    log.deposed.store(false, Ordering::Relaxed);
    node.follow().unwrap();
    assert!(node.accepts(&token));
}

/// A new node knows nothing. Whatever its policy for a stale view, it is *unavailable* until it has
/// read the log to its end once, and never accepts a revoked token.
#[test]
fn a_new_node_accepts_no_token_before_it_has_caught_up() {
    let log = Failing::over(&log());
    let old = Node::new(&log);
    let (token, revoked) = (old.log_in("alice"), old.log_in("bob"));
    for user in ["carol", "dora", "eve"] {
        let _ = block_on(old.auth.revoke_all(user)).unwrap();
    }
    let _ = block_on(old.auth.revoke(&revoked)).unwrap();
    let view = RevocationView::builder(Arc::clone(&log))
        .max_lifetime(LONGEST)
        .accept_when_stale()
        .clock(old.clock.clone())
        .build()
        .unwrap();
    let auth = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .revocations(&view)
        .clock(old.clock.clone())
        .build()
        .unwrap();
    // First nothing is read, then a part.
    for pages in [0, 1] {
        log.pages.store(pages, Ordering::Relaxed);
        assert!(block_on(view.follow()).is_err());
        for token in [&token, &revoked] {
            let error = auth.verify_now(token).unwrap_err();
            assert!(error.is_unavailable(), "{error:?}");
        }
    }
    log.pages.store(usize::MAX, Ordering::Relaxed);
    block_on(view.follow()).unwrap();
    old.clock.advance(Duration::from_secs(60));
    assert!(auth.verify_now(&token).is_ok() && auth.verify_now(&revoked).is_err());
}

/// A key does not expire, and its thief can sign at any time. A retired key stays retired for
/// longer than the lifetime of everything it has signed, while any node follows the log.
#[test]
fn a_leaked_key_stays_retired() {
    let log = log();
    let (leaked, next) = (Key::hs256(&SECRET).unwrap(), Key::generate_hs256().unwrap());
    let ring = Keyring::new(next).verify_with(leaked.clone());
    let node = Node::with(&log, ring.clone(), |view| view);
    // Has not read the fact, and would accept the key.
    let thief = Node::new(&log);
    let _ = block_on(node.view.retire_key(leaked.kid())).unwrap();
    let mut longest = 0;
    for _ in 0..50 {
        for node in [&node, &thief] {
            node.clock.advance(LONGEST / 7);
        }
        let late = Node::with(&log, ring.clone(), |view| view.clock(node.clock.clone()));
        for _ in 0..70 {
            block_on(node.view.upkeep().tick()).unwrap();
        }
        let forged = thief.log_in("admin");
        assert!(
            node.refuses_as_revoked(&forged),
            "the retired key is forgotten"
        );
        late.clock.set(node.clock.now().unwrap());
        assert!(
            late.refuses_as_revoked(&forged),
            "a new node does not know the retired key"
        );
        // Another append, so that expired entries are removed.
        let _ = block_on(node.auth.revoke(&node.log_in("bob"))).unwrap();
        longest = longest.max(log.len());
    }
    // It is appended again from time to time, not on each read.
    assert!(longest < 20, "{longest} entries");
}

/// One long-lived fact keeps all entries behind it in the log. A node that starts then must not
/// store the expired ones. Rejects a log whose new readers count expired entries again and fill
/// their view.
#[test]
fn a_new_node_does_not_store_expired_facts() {
    let log = log();
    let node = Node::new(&log);
    let _ = block_on(node.auth.revoke_all("alice")).unwrap();
    for user in 0..50 {
        let soon = node.clock.now().unwrap().saturating_add(10);
        let login = Login::new(user.to_string()).deadline(soon.into());
        let token = block_on(node.auth.issue(login)).unwrap();
        let _ = block_on(node.auth.revoke(token.credential().reveal())).unwrap();
    }
    node.clock.advance(Duration::from_secs(100));
    let late = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| {
        view.clock(node.clock.clone()).capacity(10)
    });
    assert_eq!(log.len(), 51);
    assert_eq!(late.view.health().unwrap().facts, 1);
    assert!(block_on(late.view.revoke_subject("bob")).is_ok());
}

/// For a sensitive action the log itself is asked, and every acknowledged revocation counts.
#[test]
fn an_authoritative_check_reads_the_log() {
    let log = Failing::over(&log());
    let (here, there) = (Node::new(&log), Node::new(&log));
    let asks = |token: &str| {
        let presented = Presented::new(token).authoritative();
        block_on(there.auth.verify_with(presented)).map(drop)
    };
    let tokens = ["alice", "bob", "carol"].map(|user| here.log_in(user));
    let _ = block_on(here.auth.revoke(&tokens[0])).unwrap();
    let _ = block_on(here.auth.revoke_all("noise")).unwrap();
    let _ = block_on(here.auth.revoke_all("bob")).unwrap();
    assert!(tokens.iter().all(|token| there.accepts(token)));
    assert!(asks(&tokens[2]).is_ok());
    for token in &tokens[..2] {
        let error = asks(token).unwrap_err();
        assert_eq!(error.rejection(), Some(Rejection::Revoked));
    }
    // The revocations seen in this read apply from then on.
    assert!(there.refuses_as_revoked(&tokens[0]) && there.accepts(&tokens[2]));
    log.pages.store(0, Ordering::Relaxed);
    assert!(asks(&tokens[2]).unwrap_err().is_unavailable());
    assert!(there.accepts(&tokens[2]));
}
