//! Revocable tokens: a revocation on one node takes effect on all nodes that follow the log.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::revocation::log::{Draft, Page, RevocationLog};
use statewise::revocation::{MemoryLog, RevocationView, ViewBuilder};
use statewise::store::contract::Stamp;
use statewise::testkit::{Random, block_on, seed};
use statewise::token::{Key, Keyring, TokenAuthenticator};
use statewise::{Authenticator, Error, Login, Rejection, Revocation};

mod facts;
mod failing;
mod freshness;
mod live;
mod losses;
mod node;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod reader;

use node::{BOUND, LONGEST, Node, SECRET, log};

#[test]
fn a_token_revoked_on_one_node_is_rejected_on_all() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let (token, other) = (here.log_in("alice"), here.log_in("alice"));
    assert!(there.accepts(&token));

    let revocation = block_on(here.auth.revoke(&token)).unwrap();
    assert_eq!(revocation.effective, Revocation::Within(BOUND));
    assert!(here.refuses_as_revoked(&token) && here.accepts(&other));
    // The other node has not read the fact yet, and is within its bound.
    assert!(there.accepts(&token));
    there.follow().unwrap();
    assert!(there.refuses_as_revoked(&token) && there.accepts(&other));

    // The token cannot be refreshed, and tokens refreshed from it are revoked too.
    assert!(block_on(there.auth.refresh(&token)).is_err());
    // A second revocation, by any holder, gets the same answer.
    assert_eq!(
        block_on(there.auth.revoke(&token)).unwrap().effective,
        Revocation::Within(BOUND)
    );
}

#[test]
fn revoking_one_token_ends_the_whole_login() {
    let log = log();
    let node = Node::new(&log);
    let first = node.log_in("alice");
    node.clock.advance(Duration::from_secs(600));
    node.follow().unwrap();
    let second = block_on(node.auth.refresh(&first)).unwrap();
    let second = second.credential().reveal();
    assert!(node.accepts(&first) && node.accepts(second));
    let _ = block_on(node.auth.revoke(&first)).unwrap();
    assert!(node.refuses_as_revoked(&first) && node.refuses_as_revoked(second));
}

#[test]
fn a_forged_token_ends_no_login() {
    let log = log();
    let node = Node::new(&log);
    let token = node.log_in("alice");
    let mut forged = token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'E' } else { 'A' });
    assert!(block_on(node.auth.revoke(&forged)).is_err());
    assert!(log.is_empty() && node.accepts(&token));
}

#[test]
fn logout_everywhere_and_a_new_login_within_one_second() {
    let log = log();
    let (ahead, behind) = (Node::new(&log), Node::new(&log));
    ahead.clock.advance(Duration::from_secs(2));
    behind.clock.turn_back(Duration::from_secs(2));
    for node in [&ahead, &behind] {
        node.follow().unwrap();
    }
    for (old, out, new) in [
        (&ahead, &behind, &behind),
        (&behind, &ahead, &behind),
        (&ahead, &ahead, &ahead),
        (&behind, &behind, &ahead),
    ] {
        let stolen = old.log_in("alice");
        let _ = block_on(out.auth.revoke_all("alice")).unwrap();
        let fresh = new.log_in("alice");
        let bob = new.log_in("bob");
        for node in [&ahead, &behind] {
            node.follow().unwrap();
            assert!(node.refuses_as_revoked(&stolen));
            assert!(node.accepts(&fresh) && node.accepts(&bob));
            // A refresh keeps the stamp of the login.
            assert!(block_on(node.auth.refresh(&stolen)).is_err());
        }
    }
}

#[test]
fn revoke_everything_ends_every_login() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let tokens = [here.log_in("alice"), there.log_in("bob")];
    let revocation = block_on(here.view.revoke_everything()).unwrap();
    assert_eq!(revocation, Revocation::Within(BOUND));
    there.follow().unwrap();
    let again = there.log_in("alice");
    for node in [&here, &there] {
        assert!(tokens.iter().all(|token| node.refuses_as_revoked(token)));
        assert!(node.accepts(&again));
    }
}

#[test]
fn a_stale_view_refuses_after_the_bound() {
    let log = log();
    let node = Node::new(&log);
    let lenient = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| {
        view.accept_when_stale()
    });
    let (token, revoked) = (node.log_in("alice"), node.log_in("bob"));
    let _ = block_on(lenient.auth.revoke(&revoked)).unwrap();
    for node in [&node, &lenient] {
        node.clock.advance(Duration::from_secs(4));
        assert!(node.accepts(&token));
        node.clock.advance(Duration::from_secs(1));
    }
    let error = node.verdict(&token).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(node.view.health().unwrap().stale);
    // The other one continues with its facts, and reports that it is stale.
    assert!(lenient.accepts(&token) && lenient.refuses_as_revoked(&revoked));
    let health = lenient.view.health().unwrap();
    assert!(health.stale && health.accepts_when_stale && health.facts == 1);

    // One read makes it fresh again, even an empty one.
    node.follow().unwrap();
    assert!(node.accepts(&token) && node.refuses_as_revoked(&revoked));
    // A clock that was set back makes nothing fresh.
    node.clock.turn_back(Duration::from_secs(1));
    assert!(node.verdict(&token).unwrap_err().is_unavailable());
}

#[test]
fn a_new_node_answers_once_it_has_caught_up() {
    let log = log();
    let node = Node::new(&log);
    let token = node.log_in("alice");
    let view = RevocationView::builder(Arc::clone(&log))
        .max_lifetime(LONGEST)
        .clock(node.clock.clone())
        .build()
        .unwrap();
    let auth = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .revocations(&view)
        .clock(node.clock.clone())
        .build()
        .unwrap();
    assert!(auth.verify_now(&token).unwrap_err().is_unavailable());
    // Its upkeep is that of the view.
    block_on(auth.upkeep().tick()).unwrap();
    assert!(auth.verify_now(&token).is_ok());
}

#[test]
fn lost_facts_are_appended_again() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let (first, second) = (here.log_in("alice"), here.log_in("bob"));
    let carol = here.log_in("carol");
    let _ = block_on(here.auth.revoke(&first)).unwrap();
    let _ = block_on(there.auth.revoke_all("carol")).unwrap();
    // Only the node that appended the last fact knows it.
    let _ = block_on(here.auth.revoke(&second)).unwrap();
    log.lose(2);
    // Other nodes have appended since, so the position is taken.
    let dora = there.log_in("dora");
    let _ = block_on(there.auth.revoke(&dora)).unwrap();

    for _ in 0..2 {
        for node in [&here, &there] {
            node.follow().unwrap();
        }
    }
    let late = Node::new(&log);
    for node in [&here, &there, &late] {
        for token in [&first, &second, &carol, &dora] {
            assert!(node.refuses_as_revoked(token));
        }
        assert!(node.accepts(&node.log_in("carol")));
    }
}

#[test]
fn after_a_log_lost_its_data_earlier_logins_are_rejected() {
    let log = log();
    let node = Node::new(&log);
    let lenient = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| {
        view.accept_other_incarnations()
    });
    let (token, gone, all) = (
        node.log_in("alice"),
        node.log_in("bob"),
        node.log_in("carol"),
    );
    let _ = block_on(lenient.auth.revoke(&gone)).unwrap();
    let _ = block_on(lenient.auth.revoke_all("carol")).unwrap();
    log.start_over(7);
    let new = node.log_in("alice");
    for _ in 0..2 {
        for node in [&node, &lenient] {
            node.follow().unwrap();
        }
    }
    let late = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| {
        view.accept_other_incarnations()
    });
    for node in [&node, &lenient, &late] {
        assert!(node.refuses_as_revoked(&gone) && node.refuses_as_revoked(&all));
        assert!(node.accepts(&node.log_in("dora")));
    }
    assert!(node.refuses_as_revoked(&token) && node.accepts(&new));
    assert!(lenient.accepts(&token) && late.accepts(&token));
}

#[test]
fn a_leaked_key_is_retired_everywhere() {
    let log = log();
    let (leaked, next) = (Key::hs256(&SECRET).unwrap(), Key::generate_hs256().unwrap());
    let old = Node::new(&log);
    let ring = Keyring::new(next).verify_with(leaked.clone());
    let new = Node::with(&log, ring, |view| view);
    let (token, good) = (old.log_in("alice"), new.log_in("alice"));
    assert!(new.accepts(&token));
    let _ = block_on(old.view.retire_key(leaked.kid())).unwrap();
    new.follow().unwrap();
    assert!(old.refuses_as_revoked(&token) && new.refuses_as_revoked(&token));
    assert!(new.accepts(&good));
    // A token that would be rejected is not signed.
    let error = block_on(old.auth.issue(Login::new("alice"))).unwrap_err();
    assert!(error.is_misuse(), "{error:?}");
    assert!(
        block_on(old.view.retire_key("no key"))
            .unwrap_err()
            .is_misuse()
    );
}

#[test]
fn a_full_log_and_a_full_view_forget_nothing() {
    let log = Arc::new(MemoryLog::new().unwrap().capacity(1));
    let node = Node::new(&log);
    let (first, second) = (node.log_in("alice"), node.log_in("bob"));
    let _ = block_on(node.auth.revoke(&first)).unwrap();
    let error = block_on(node.auth.revoke(&second)).unwrap_err();
    assert!(error.is_unavailable());
    assert!(node.refuses_as_revoked(&first) && node.accepts(&second));

    let log = self::log();
    let node = Node::with(&log, Key::hs256(&SECRET).unwrap(), |view| view.capacity(2));
    let tokens: Vec<_> = (0..3).map(|user| node.log_in(&user.to_string())).collect();
    let revoked = tokens
        .iter()
        .filter(|token| block_on(node.auth.revoke(token)).is_ok());
    assert_eq!(revoked.count(), 2);
    // There is room again after they have expired.
    node.follow().unwrap();
    node.clock.advance(LONGEST + Duration::from_secs(61));
    for _ in 0..64 {
        block_on(node.view.upkeep().tick()).unwrap();
    }
    assert_eq!(node.view.health().unwrap().facts, 0);
    let token = node.log_in("alice");
    assert!(block_on(node.auth.revoke(&token)).is_ok());
    assert_eq!(log.len(), 1);
}

#[test]
fn many_logouts_of_one_subject_become_one_fact_in_a_crowded_view() {
    for (capacity, is_short) in [(100, true), (1_000, false)] {
        let log = log();
        let key = Key::hs256(&SECRET).unwrap();
        let node = Node::with(&log, key, |view| view.capacity(capacity));
        let tokens: Vec<_> = (0..80).map(|_| node.log_in("alice")).collect();
        let other = node.log_in("bob");
        for token in &tokens[..70] {
            let _ = block_on(node.auth.revoke(token)).unwrap();
        }
        let facts = node.view.health().unwrap().facts;
        assert_eq!(facts <= 65, is_short, "{facts} facts");
        let (ended, others) = tokens.split_at(70);
        assert!(ended.iter().all(|token| node.refuses_as_revoked(token)));
        let are_out = |token: &String| node.refuses_as_revoked(token);
        assert_eq!(others.iter().all(are_out), is_short);
        assert_eq!(others.iter().any(are_out), is_short);
        assert!(node.accepts(&other) && node.accepts(&node.log_in("alice")));
    }
}

#[test]
fn a_token_without_a_stamp_ends_with_its_subject() {
    let log = log();
    let node = Node::new(&log);
    let plain = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .clock(node.clock.clone())
        .build()
        .unwrap();
    let issued = block_on(plain.issue(Login::new("alice"))).unwrap();
    let token = issued.credential().reveal();
    assert!(node.accepts(token));
    let _ = block_on(node.auth.revoke_all("alice")).unwrap();
    assert!(node.refuses_as_revoked(token));
}

#[test]
fn impossible_settings_are_misuse() {
    let log = log();
    let build = |configure: fn(ViewBuilder) -> ViewBuilder| {
        let view = RevocationView::builder(Arc::clone(&log)).max_lifetime(LONGEST);
        configure(view).build()
    };
    assert!(build(|view| view).is_ok());
    for bad in [
        |view: ViewBuilder| view.bound(Duration::from_secs(1)),
        |view: ViewBuilder| view.capacity(0),
        |view: ViewBuilder| view.poll(Duration::from_secs(3)),
    ] {
        assert!(build(bad).unwrap_err().is_misuse());
    }
    let view = build(|view| view).unwrap();
    let token = |max| {
        TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
            .issuer("i")
            .audience("a")
            .lifetime(Duration::from_secs(60))
            .max_lifetime(max)
            .revocations(&view)
            .build()
    };
    assert!(token(LONGEST).is_ok());
    assert!(
        token(LONGEST + Duration::from_secs(1))
            .unwrap_err()
            .is_misuse()
    );
}

/// The node that stamped the login in the lost range is gone, and so are all nodes that had read
/// it. The token itself reveals the loss.
#[test]
fn a_token_from_a_lost_part_of_the_log_can_be_revoked() {
    let log = log();
    let node = Node::new(&log);
    let stolen = {
        let gone = Node::new(&log);
        for user in ["bob", "carol", "dora"] {
            let token = gone.log_in(user);
            let _ = block_on(gone.auth.revoke(&token)).unwrap();
        }
        gone.log_in("alice")
    };
    log.lose(3);
    let _ = block_on(node.auth.revoke_all("alice")).unwrap();
    // After one verification it shows the missing part of the log.
    let _ = node.verdict(&stolen);
    node.follow().unwrap();
    let late = Node::new(&log);
    assert!(node.refuses_as_revoked(&stolen) && late.refuses_as_revoked(&stolen));
    // A new login is not affected.
    let again = node.log_in("alice");
    assert!(node.accepts(&again) && late.accepts(&again));
}

/// The loss was not noticed, because the log has grown beyond it since. A login stamped in the lost
/// range has a position behind the logout everywhere.
#[test]
fn the_mark_of_a_stamp_identifies_its_entry() {
    let log = log();
    let node = Node::new(&log);
    let revoke_others = |node: &Node, count: usize| {
        for user in 0..count {
            let token = node.log_in(&user.to_string());
            let _ = block_on(node.auth.revoke(&token)).unwrap();
        }
    };
    let (stolen, bob) = {
        let gone = Node::new(&log);
        revoke_others(&gone, 5);
        (gone.log_in("alice"), gone.log_in("bob"))
    };
    log.lose(5);
    node.follow().unwrap();
    let _ = block_on(node.auth.revoke_all("alice")).unwrap();
    revoke_others(&node, 10);
    node.follow().unwrap();
    assert!(node.refuses_as_revoked(&stolen));
    // If order does not matter, no login is rejected.
    assert!(node.accepts(&bob));
    let again = node.log_in("alice");
    // It has ended for good, whatever a later node knows about that time.
    node.follow().unwrap();
    let late = Node::new(&log);
    for node in [&node, &late] {
        assert!(node.refuses_as_revoked(&stolen));
        assert!(node.accepts(&again) && node.accepts(&bob));
    }
    assert_eq!(late.view.health().unwrap().facts, 12);
}

/// Three nodes with clocks two seconds apart, with logins, logouts of every kind, lost tails and
/// new incarnations, in random order. Whenever a node is fresh, it rejects everything that must be
/// rejected.
#[test]
fn no_acknowledged_revocation_is_lost() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..60 {
        let log = log();
        let nodes = [Node::new(&log), Node::new(&log), Node::new(&log)];
        nodes[0].clock.advance(Duration::from_secs(2));
        nodes[1].clock.turn_back(Duration::from_secs(2));
        for node in &nodes {
            node.follow().unwrap();
        }
        // The token, its user, and whether it was revoked.
        let mut tokens: Vec<(String, String, bool)> = Vec::new();
        let mut losses = 0;
        for step in 0..60u64 {
            let node = &nodes[random.below(3)];
            match random.below(12) {
                0..4 => {
                    let user = format!("user{}", random.below(4));
                    tokens.push((node.log_in(&user), user, false));
                }
                4 | 5 if !tokens.is_empty() => {
                    let at = random.below(tokens.len());
                    if block_on(node.auth.revoke(&tokens[at].0)).is_ok() {
                        tokens[at].2 = true;
                    }
                }
                6 => {
                    let user = format!("user{}", random.below(4));
                    let _ = block_on(node.auth.revoke_all(&user)).unwrap();
                    for token in tokens.iter_mut().filter(|token| token.1 == user) {
                        token.2 = true;
                    }
                }
                7 if step % 5 == 0 => {
                    let _ = block_on(node.view.revoke_everything()).unwrap();
                    tokens.iter_mut().for_each(|token| token.2 = true);
                }
                8 if step % 4 == 0 => {
                    log.lose(1 + random.below(3));
                    losses += 1;
                }
                9 if step % 9 == 0 => {
                    log.start_over(step + 2);
                    tokens.iter_mut().for_each(|token| token.2 = true);
                }
                _ => node.follow().unwrap(),
            }
        }
        for _ in 0..2 {
            for node in &nodes {
                node.follow().unwrap();
            }
        }
        for node in &nodes {
            for (token, user, revoked) in &tokens {
                if *revoked {
                    assert!(!node.accepts(token), "{user} is accepted after a logout");
                    refused += 1;
                } else if losses == 0 {
                    assert!(node.accepts(token), "{user} is rejected without a logout");
                    accepted += 1;
                }
            }
        }
    }
    println!("{refused} refused, {accepted} accepted");
    assert!(refused > 1000 && accepted > 50);
}

/// However long the log was unreachable, a node retries often enough to recover quickly, and a
/// single lost answer is no outage. Rejects retry pauses that double up to minutes: a node would
/// reject every caller although the log has returned.
#[test]
fn a_node_retries_while_its_log_is_unreachable() {
    use std::future::{pending, ready};
    use std::sync::Mutex;
    use std::task::{Context, Waker};

    #[derive(Debug)]
    struct Away;

    impl RevocationLog for Away {
        async fn append(&self, _: &[Draft], _: Timestamp) -> statewise::Result<Stamp> {
            Err(Error::unavailable("away"))
        }
        async fn head(&self, _: Timestamp) -> statewise::Result<Stamp> {
            Err(Error::unavailable("away"))
        }
        async fn read(&self, _: u64, _: usize, _: Timestamp) -> statewise::Result<Page> {
            Err(Error::unavailable("away"))
        }
        async fn fence(&self, _: Timestamp) -> statewise::Result<()> {
            Err(Error::unavailable("away"))
        }
    }

    let view = RevocationView::builder(Away)
        .max_lifetime(LONGEST)
        .bound(BOUND);
    let view = view.build().unwrap();
    let error = block_on(view.follow()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unavailable: the revocation log could not answer"
    );
    let upkeep = view.upkeep();
    let pauses = Mutex::new(Vec::new());
    let sleep = |pause| {
        let mut pauses = pauses.lock().unwrap();
        pauses.push(pause);
        let is_last = pauses.len() >= 1000;
        async move {
            if is_last {
                pending::<()>().await;
            } else {
                ready(()).await;
            }
        }
    };
    let mut running = std::pin::pin!(upkeep.run(sleep));
    let mut context = Context::from_waker(Waker::noop());
    assert!(running.as_mut().poll(&mut context).is_pending());
    let pauses = pauses.lock().unwrap();
    // The last pause is that of the other chore.
    assert_eq!(pauses.len(), 1001);
    assert!(
        pauses[..3].iter().sum::<Duration>() < BOUND / 10,
        "{:?}",
        &pauses[..3]
    );
    assert!(*pauses.iter().max().unwrap() < BOUND / 5);
}

/// A log that runs a function between the moment at which a read is sent and the read.
struct Slow {
    inner: Arc<MemoryLog>,
    before: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow")
    }
}

impl RevocationLog for Slow {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp, Error> {
        self.inner.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp, Error> {
        self.inner.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page, Error> {
        let before = self.before.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        self.inner.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<(), Error> {
        self.inner.fence(now).await
    }
}

/// The facts of a page are dated from the request. With a later date, a slow page would make the
/// view drop a fact while a token lives that the fact ends.
#[test]
fn a_read_slower_than_the_bound_does_not_count() {
    let log = log();
    let node = Node::new(&log);
    let slow = Arc::new(Slow {
        inner: Arc::clone(&log),
        before: Mutex::new(None),
    });
    let view = RevocationView::builder(Arc::clone(&slow))
        .max_lifetime(LONGEST)
        .bound(BOUND)
        .clock(node.clock.clone())
        .build()
        .unwrap();
    let auth = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(LONGEST)
        .revocations(&view)
        .clock(node.clock.clone())
        .build()
        .unwrap();
    let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
    let token = issued.credential().reveal().to_owned();
    let (clock, inner) = (node.clock.clone(), Arc::clone(&log));
    *slow.before.lock().unwrap() = Some(Box::new(move || {
        clock.advance(Duration::from_secs(600));
        let other = RevocationView::builder(inner)
            .max_lifetime(LONGEST)
            .clock(clock)
            .build()
            .unwrap();
        let _ = block_on(other.revoke_subject("alice")).unwrap();
    }));
    let late = block_on(view.follow());
    assert!(late.is_err_and(|error| error.is_unavailable()));
    assert!(auth.verify_now(&token).unwrap_err().is_unavailable());
    block_on(view.follow()).unwrap();
    // For the lifetime of the token.
    for _ in 0..29 {
        node.clock.advance(Duration::from_secs(100));
        for _ in 0..64 {
            block_on(view.upkeep().tick()).unwrap();
        }
        let error = auth.verify_now(&token).unwrap_err();
        assert_eq!(error.rejection(), Some(Rejection::Revoked));
    }
}

/// One fact ends a login of a lost range, however often the login is presented.
#[test]
fn one_fact_ends_a_login_with_a_lost_stamp() {
    let log = log();
    let (node, gone) = (Node::new(&log), Node::new(&log));
    let _ = block_on(gone.view.revoke_subject("noise")).unwrap();
    let stolen = gone.log_in("alice");
    drop(gone);
    log.lose(1);
    let other = Node::new(&log);
    let _ = block_on(other.view.revoke_subject("other")).unwrap();
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    node.follow().unwrap();
    let before = log.len();
    for _ in 0..50 {
        assert!(node.refuses_as_revoked(&stolen));
        node.follow().unwrap();
    }
    assert!(log.len() <= before + 1, "{} facts", log.len() - before);
}

/// The stamp lies beyond the entries that a node has read, and the node that assigned it is gone
/// together with the end of the log. The order of login and logout everywhere is unknown, so the
/// login is rejected.
#[test]
fn a_stamp_beyond_the_head_is_not_accepted() {
    let log = log();
    let node = Node::new(&log);
    let stolen = {
        let gone = Node::new(&log);
        for _ in 0..3 {
            let _ = block_on(gone.view.revoke_subject("noise")).unwrap();
        }
        gone.log_in("alice")
    };
    log.lose(3);
    let _ = block_on(node.auth.revoke_all("alice")).unwrap();
    for _ in 0..3 {
        node.clock.advance(Duration::from_secs(10));
        node.follow().unwrap();
        assert!(!node.accepts(&stolen));
    }
    assert!(node.refuses_as_revoked(&stolen));
    assert!(node.accepts(&node.log_in("alice")));
}

/// A node with a stricter policy ends a login for nodes with a looser policy too, for as long as
/// the token claims to live.
#[test]
fn a_node_with_a_stricter_policy_ends_a_login_on_all_nodes() {
    let log = log();
    let (node, other) = (Node::new(&log), Node::new(&log));
    let strict = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(60))
        .revocations(&node.view)
        .clock(node.clock.clone())
        .build()
        .unwrap();
    let tokens = [node.log_in("alice"), node.log_in("bob")];
    for (token, wait) in tokens.iter().zip([30, 100]) {
        for node in [&node, &other] {
            node.clock.advance(Duration::from_secs(wait));
            node.follow().unwrap();
        }
        assert_eq!(
            block_on(strict.revoke(token)).unwrap().effective,
            Revocation::Within(BOUND)
        );
        other.follow().unwrap();
        assert!(other.refuses_as_revoked(token));
    }
    for _ in 0..70 {
        other.clock.advance(Duration::from_secs(4));
        block_on(other.view.upkeep().tick()).unwrap();
    }
    for token in &tokens {
        assert!(
            other.refuses_as_revoked(token),
            "the fact expired before the token"
        );
    }
}
