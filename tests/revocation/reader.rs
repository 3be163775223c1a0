//! A service with public keys and a view that only reads the log.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::log::{Draft, Page, RevocationLog};
use statewise::revocation::{MemoryLog, RevocationView, ViewBuilder};
use statewise::session::SessionAuthenticator;
use statewise::store::contract::Stamp;
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, Keyring, PublicKey, SigningKey, TokenAuthenticator};
use statewise::{Authenticator, Error, Login, Rejection, Result};

use crate::node::{BOUND, LONGEST, Node, SECRET, log};

/// A log that its user may only read. It counts the attempts to write.
#[derive(Debug)]
struct ReadRights {
    log: Arc<MemoryLog>,
    writes: AtomicUsize,
    /// Cut off together with an old primary: reads show the log of that time.
    is_cut_off: AtomicBool,
    last: Mutex<Option<Page>>,
}

impl ReadRights {
    fn on(log: &Arc<MemoryLog>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            writes: AtomicUsize::new(0),
            is_cut_off: AtomicBool::new(false),
            last: Mutex::default(),
        })
    }

    fn refuse<T>(&self) -> Result<T> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Err(Error::misuse("the user may only read"))
    }
}

impl RevocationLog for ReadRights {
    async fn append(&self, _: &[Draft], _: Timestamp) -> Result<Stamp> {
        self.refuse()
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.log.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        if self.is_cut_off.load(Ordering::Relaxed) {
            let page = self.last.lock().unwrap().clone().expect("a page");
            let rest = page.entries.iter().filter(|entry| entry.position >= from);
            let rest = Page::new(page.incarnation, page.first, rest.copied().collect(), false);
            return Ok(rest.with_fences(page.fences));
        }
        *self.last.lock().unwrap() = Some(self.log.read(0, usize::MAX, now).await?);
        self.log.read(from, limit, now).await
    }

    async fn fence(&self, _: Timestamp) -> Result<()> {
        self.refuse()
    }

    fn is_read_only(&self) -> bool {
        true
    }
}

/// A service that verifies with public keys, and follows the log.
struct Service {
    rights: Arc<ReadRights>,
    clock: ManualClock,
    view: RevocationView,
    auth: TokenAuthenticator,
}

impl Service {
    fn with(
        log: &Arc<MemoryLog>,
        keys: impl IntoIterator<Item = PublicKey>,
        configure: impl FnOnce(ViewBuilder) -> ViewBuilder,
    ) -> Self {
        let (rights, clock) = (ReadRights::on(log), ManualClock::default());
        let view = RevocationView::builder(Arc::clone(&rights))
            .max_lifetime(LONGEST)
            .bound(BOUND)
            .clock(clock.clone());
        let view = configure(view).build().unwrap();
        let auth = TokenAuthenticator::verifier(Keyring::verifying(keys))
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
            .max_lifetime(LONGEST)
            .revocations(&view)
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            rights,
            clock,
            view,
            auth,
        }
    }

    fn new(log: &Arc<MemoryLog>, key: &SigningKey) -> Self {
        let service = Self::with(log, [key.public_key()], |view| view);
        service.follow();
        service
    }

    /// One step of the upkeep.
    fn follow(&self) {
        block_on(self.view.upkeep().tick()).unwrap();
    }

    fn verdict(&self, token: &str) -> Result<()> {
        self.auth.verify_now(token).map(drop)
    }

    #[track_caller]
    fn assert_accepts(&self, token: &str) {
        self.verdict(token).unwrap();
    }

    #[track_caller]
    fn assert_revoked(&self, token: &str) {
        let verdict = self.verdict(token);
        let rejection = verdict.as_ref().err().and_then(Error::rejection);
        assert_eq!(rejection, Some(Rejection::Revoked), "{verdict:?}");
    }

    #[track_caller]
    fn assert_unavailable(&self, token: &str) {
        let verdict = self.verdict(token);
        assert!(
            verdict.as_ref().is_err_and(Error::is_unavailable),
            "{verdict:?}"
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let writes = self.rights.writes.load(Ordering::Relaxed);
        assert!(
            std::thread::panicking() || writes == 0,
            "it tried to write {writes} times"
        );
    }
}

fn issuer(log: &Arc<MemoryLog>) -> (SigningKey, Node) {
    let key = SigningKey::generate_ed25519().unwrap();
    let node = Node::with(log, key.clone(), |view| view);
    (key, node)
}

/// Appends entries about other users.
fn pad(node: &Node, entries: usize) {
    for at in 0..entries {
        let _ = block_on(node.view.revoke_subject(&format!("noise {at}"))).unwrap();
    }
}

/// Asserts *misuse* with a text that tells what to do.
#[track_caller]
fn assert_misuse<T: std::fmt::Debug>(answer: Result<T>) {
    let error = answer.expect_err("a write to the log");
    let text = error.to_string();
    assert!(
        error.is_misuse() && text.contains("only reads") && text.contains("built with `build`"),
        "{error:?}"
    );
}

#[test]
fn every_revocation_reaches_a_service_without_a_secret() {
    let log = log();
    let (key, issuer) = issuer(&log);
    let service = Service::new(&log, &key);
    let tokens = ["alice", "alice", "bob", "carol"].map(|user| issuer.log_in(user));
    service.follow();
    tokens
        .iter()
        .for_each(|token| service.assert_accepts(token));

    let _ = block_on(issuer.auth.revoke(&tokens[0])).unwrap();
    service.follow();
    service.assert_revoked(&tokens[0]);
    service.assert_accepts(&tokens[1]);
    let _ = block_on(issuer.auth.revoke_all("alice")).unwrap();
    service.follow();
    service.assert_revoked(&tokens[1]);
    service.assert_accepts(&tokens[2]);
    let again = issuer.log_in("alice");
    service.assert_accepts(&again);
    let _ = block_on(issuer.view.revoke_everything()).unwrap();
    service.follow();
    for token in [&tokens[2], &tokens[3], &again] {
        service.assert_revoked(token);
    }

    // Without a read within its bound, it refuses.
    let last = issuer.log_in("alice");
    service.assert_accepts(&last);
    service.clock.advance(BOUND);
    service.assert_unavailable(&last);
}

/// Whatever would append is *misuse*, where possible at build.
#[test]
fn what_would_write_is_misuse() {
    let log = log();
    let (key, issuer) = issuer(&log);
    let service = Service::new(&log, &key);
    let (token, before) = (issuer.log_in("alice"), log.len());
    let view = &service.view;
    assert!(view.is_read_only() && !issuer.view.is_read_only());
    assert_misuse(block_on(service.auth.revoke(&token)));
    assert_misuse(block_on(service.auth.revoke_all("alice")));
    assert_misuse(block_on(service.auth.retire_key(key.kid())));
    assert_misuse(block_on(view.revoke_subject("alice")));
    assert_misuse(block_on(view.revoke_everything()));
    assert_misuse(block_on(view.retire_key(key.kid())));

    let store = || MemoryStore::with_capacity(9).unwrap();
    assert_misuse(CachedStore::builder(store(), view).build());
    let tokens = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(60))
        .revocations(view);
    let logins = SessionAuthenticator::builder(store())
        .idle(Duration::from_secs(1800))
        .absolute(LONGEST);
    assert_misuse(HybridAuthenticator::new(tokens, logins));
    service.assert_accepts(&token);
    assert_eq!(log.len(), before);
}

/// A service with the key of its audience, which may also sign, and a view that only reads.
fn signer(
    log: &Arc<MemoryLog>,
    key: &Key,
) -> (Arc<ReadRights>, RevocationView, TokenAuthenticator) {
    let (rights, clock) = (ReadRights::on(log), ManualClock::default());
    let view = RevocationView::builder(Arc::clone(&rights))
        .max_lifetime(LONGEST)
        .clock(clock.clone())
        .build()
        .unwrap();
    block_on(view.follow()).unwrap();
    let auth = TokenAuthenticator::builder(key.clone())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .max_lifetime(LONGEST)
        .revocations(&view)
        .clock(clock)
        .build();
    (rights, view, auth.unwrap())
}

/// Its logins are stamped, and the nodes that may write end them.
#[test]
fn a_login_that_it_stamps_can_be_ended_elsewhere() {
    let (log, key) = (log(), Key::hs256(&SECRET).unwrap());
    let writer = Node::with(&log, key.clone(), |view| view);
    let (rights, view, auth) = signer(&log, &key);
    let old = block_on(auth.issue(Login::new("alice"))).unwrap();
    let _ = block_on(writer.auth.revoke_all("alice")).unwrap();
    let new = block_on(auth.issue(Login::new("alice"))).unwrap();
    block_on(view.follow()).unwrap();
    assert!(auth.verify_now(old.credential().reveal()).is_err());
    assert!(auth.verify_now(new.credential().reveal()).is_ok());
    assert_misuse(block_on(auth.revoke(new.credential().reveal())));
    assert_eq!(rights.writes.load(Ordering::Relaxed), 0);
}

/// It stamps a login with an entry that it has not read, and that the log then loses. The login does
/// not outlive an end before its position.
#[test]
fn a_login_that_it_stamps_at_a_lost_position_does_not_outlive_its_end() {
    let (log, key) = (log(), Key::hs256(&SECRET).unwrap());
    let writer = Node::with(&log, key.clone(), |view| view);
    let (rights, view, auth) = signer(&log, &key);
    pad(&writer, 2);
    let stolen = block_on(auth.issue(Login::new("alice"))).unwrap();
    log.lose(2);
    drop(writer);
    let writer = Node::with(&log, key, |view| view);
    let _ = block_on(writer.auth.revoke_all("alice")).unwrap();
    block_on(view.follow()).unwrap();
    let verdict = auth.verify_now(stolen.credential().reveal());
    assert!(verdict.is_err_and(|error| error.is_unavailable()));
    pad(&writer, 1);
    block_on(view.follow()).unwrap();
    let verdict = auth.verify_now(stolen.credential().reveal());
    assert!(verdict.is_err_and(|error| error.is_rejected()));
    assert_eq!(rights.writes.load(Ordering::Relaxed), 0);
}

/// The log loses entries, and no node that may write has read them. The service alone knows them: it
/// still refuses what they end, and appends nothing.
#[test]
fn lost_facts_stay_in_force_in_its_memory() {
    let log = log();
    let (key, writer) = issuer(&log);
    let service = Service::new(&log, &key);
    let [stolen, left] = ["mallory", "alice"].map(|user| writer.log_in(user));
    let _ = block_on(writer.auth.revoke(&stolen)).unwrap();
    let _ = block_on(writer.auth.revoke_all("alice")).unwrap();
    service.follow();
    log.lose(2);
    drop(writer);
    for _ in 0..3 {
        service.follow();
        service.assert_revoked(&stolen);
        service.assert_revoked(&left);
    }
    assert!(log.is_empty());

    // A login at a lost position may be refused by it. It is never accepted by mistake.
    let writer = Node::with(&log, key.clone(), |view| view);
    let early = writer.log_in("alice");
    service.assert_revoked(&early);
    pad(&writer, 2);
    let late = writer.log_in("alice");
    service.follow();
    service.assert_accepts(&late);
    service.assert_accepts(&writer.log_in("bob"));
    assert_eq!(log.len(), 2);
}

/// Loses two entries, at the second of which a login of alice was stamped. Another node, which does not
/// know them, logs her out everywhere at the first of these positions. Returns that node.
fn lose_a_login(log: &Arc<MemoryLog>, key: &SigningKey) -> Node {
    log.lose(2);
    let writer = Node::with(log, key.clone(), |view| view);
    let _ = block_on(writer.auth.revoke_all("alice")).unwrap();
    writer
}

/// The log loses two entries, at the second of which a login was stamped. A node that does not know
/// them logs its user out everywhere, at the first of these positions. The login has a later position
/// than its end. A node that may write fills the log up and then finds another mark at the position
/// of the login. A reader cannot, and must not take the mark that it remembers for the present one.
#[test]
fn a_login_at_a_lost_position_does_not_outlive_its_end() {
    let log = log();
    let (key, writer) = issuer(&log);
    let service = Service::new(&log, &key);
    pad(&writer, 10);
    let stolen = writer.log_in("alice");
    service.follow();
    service.assert_accepts(&stolen);
    log.lose(2);
    drop(writer);
    // One reads the log before that end, and the other one does not.
    let late = Service::with(&log, [key.public_key()], |view| view);
    service.follow();
    let writer = Node::with(&log, key.clone(), |view| view);
    let _ = block_on(writer.auth.revoke_all("alice")).unwrap();
    for service in [&service, &late] {
        service.follow();
        service.assert_unavailable(&stolen);
    }
    let again = writer.log_in("alice");
    pad(&writer, 1);
    for service in [&service, &late] {
        service.follow();
        service.assert_revoked(&stolen);
        service.assert_accepts(&again);
    }
}

/// A login with a lost stamp is remembered when it is presented, although the marks are soon those of
/// later entries.
#[test]
fn a_login_with_a_lost_stamp_stays_refused() {
    let log = log();
    let (key, writer) = issuer(&log);
    let service = Service::with(&log, [key.public_key()], |view| view.capacity(8));
    service.follow();
    pad(&writer, 2);
    let stolen = writer.log_in("alice");
    drop(writer);
    let writer = lose_a_login(&log, &key);
    pad(&writer, 1);
    service.follow();
    service.assert_revoked(&stolen);
    service.follow();
    pad(&writer, 1);
    for _ in 0..20 {
        let _ = block_on(writer.auth.revoke_all("bob")).unwrap();
    }
    service.follow();
    service.assert_revoked(&stolen);
}

/// An attacker with a leaked key presents logins without end. The view does not grow beyond its
/// capacity.
#[test]
fn lost_logins_do_not_fill_the_memory() {
    let log = log();
    let (key, writer) = issuer(&log);
    let service = Service::with(&log, [key.public_key()], |view| view.capacity(16));
    service.follow();
    pad(&writer, 2);
    let tokens: Vec<_> = (0..100).map(|_| writer.log_in("alice")).collect();
    drop(writer);
    let writer = lose_a_login(&log, &key);
    pad(&writer, 1);
    service.follow();
    for token in &tokens {
        service.assert_revoked(token);
        service.follow();
    }
    assert_eq!(service.view.health().unwrap().facts, 16);
}

/// The log starts a new incarnation. Credentials of the former one are refused, and those of the new one are
/// accepted.
#[test]
fn a_new_incarnation_ends_what_came_before() {
    let log = log();
    let (key, writer) = issuer(&log);
    let service = Service::new(&log, &key);
    let accepting = Service::with(&log, [key.public_key()], |view| {
        view.accept_other_incarnations()
    });
    let [bob, alice] = ["bob", "alice"].map(|user| writer.log_in(user));
    let _ = block_on(writer.auth.revoke_all("alice")).unwrap();
    accepting.follow();
    log.start_over(7);
    drop(writer);
    for _ in 0..2 {
        service.follow();
        service.assert_revoked(&bob);
        service.assert_revoked(&alice);
        accepting.follow();
        accepting.assert_accepts(&bob);
        accepting.assert_revoked(&alice);
    }
    assert!(log.is_empty());
    let writer = Node::with(&log, key.clone(), |view| view);
    pad(&writer, 1);
    let new = writer.log_in("alice");
    for service in [&service, &accepting] {
        service.follow();
        service.assert_accepts(&new);
    }
}

/// A retired key stays retired in a running service, although no node that may write appends the
/// fact again.
#[test]
fn a_retired_key_stays_retired_without_a_writer() {
    let log = log();
    let (leaked, writer) = issuer(&log);
    let next = SigningKey::generate_ed25519().unwrap();
    let keys = [leaked.public_key(), next.public_key()];
    let service = Service::with(&log, keys, |view| view);
    let _ = block_on(writer.view.retire_key(leaked.kid())).unwrap();
    drop(writer);
    // Signs at the time of the service, and has read what the log still says then.
    let signed = |key: &SigningKey| {
        let view = RevocationView::builder(ReadRights::on(&log))
            .max_lifetime(LONGEST)
            .clock(service.clock.clone())
            .build()
            .unwrap();
        block_on(view.follow()).unwrap();
        let auth = TokenAuthenticator::builder(key.clone())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
            .revocations(&view)
            .clock(service.clock.clone());
        let auth: TokenAuthenticator = auth.build().unwrap();
        let issued = block_on(auth.issue(Login::new("alice")));
        issued.map(|issued| issued.credential().reveal().to_owned())
    };
    service.follow();
    assert!(signed(&leaked).is_err());
    // Until long after the log has forgotten it.
    for _ in 0..8 {
        service.clock.advance(LONGEST / 4);
        // Each step of the upkeep sweeps a part of the view.
        for _ in 0..64 {
            service.follow();
        }
    }
    let forged = signed(&leaked).unwrap();
    let verdict = service.verdict(&forged);
    assert!(
        verdict.as_ref().is_err_and(Error::is_rejected),
        "{verdict:?}"
    );
    service.assert_accepts(&signed(&next).unwrap());
}

/// A reader that is cut off together with an old primary reads without an error, and nothing new.
/// It stops at its bound if it is fenced and another node fences; without that, it accepts for as
/// long as the token lives.
#[test]
fn a_reader_of_an_old_primary_stops_at_its_bound_if_fenced() {
    let log = log();
    let key = SigningKey::generate_ed25519().unwrap();
    let writer = Node::with(&log, key.clone(), ViewBuilder::fenced);
    let fenced = Service::with(&log, [key.public_key()], ViewBuilder::fenced);
    let plain = Service::new(&log, &key);
    let second = Duration::from_secs(1);
    let pass = |services: &[&Service]| {
        writer.clock.advance(second);
        writer.follow().unwrap();
        for service in services {
            service.clock.advance(second);
            service.follow();
        }
    };
    let token = writer.log_in("alice");
    // Nothing is proven before the first fence that it sees.
    fenced.follow();
    fenced.assert_unavailable(&token);
    for _ in 0..20 {
        pass(&[&fenced, &plain]);
        fenced.assert_accepts(&token);
    }
    for service in [&fenced, &plain] {
        service.rights.is_cut_off.store(true, Ordering::Relaxed);
    }
    let _ = block_on(writer.auth.revoke(&token)).unwrap();
    for passed in 1..20 {
        pass(&[&fenced, &plain]);
        plain.assert_accepts(&token);
        if second * passed >= BOUND {
            fenced.assert_unavailable(&token);
        }
    }
    for service in [&fenced, &plain] {
        service.rights.is_cut_off.store(false, Ordering::Relaxed);
    }
    for _ in 0..2 {
        pass(&[&fenced, &plain]);
    }
    fenced.assert_revoked(&token);
    plain.assert_revoked(&token);
}

/// Without a node that fences, a fenced reader refuses. A bound that is too short for it is refused
/// at build.
#[test]
fn a_fenced_reader_needs_a_node_that_fences() {
    let log = log();
    let (key, writer) = issuer(&log);
    let service = Service::with(&log, [key.public_key()], ViewBuilder::fenced);
    let token = writer.log_in("alice");
    for _ in 0..10 {
        service.clock.advance(Duration::from_secs(1));
        service.follow();
        writer.follow().unwrap();
        service.assert_unavailable(&token);
    }
    let build = |bound| {
        let view = RevocationView::builder(ReadRights::on(&log)).max_lifetime(LONGEST);
        view.fenced().bound(Duration::from_secs(bound)).build()
    };
    let error = build(3).unwrap_err();
    assert!(error.is_misuse() && error.to_string().contains("four seconds"));
    assert!(build(4).is_ok());
}
