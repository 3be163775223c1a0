//! Failures and losses of the revocation log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::log::{Draft, Page, RevocationLog};
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::SessionAuthenticator;
use statewise::store::CachedStore;
use statewise::store::contract::Stamp;
use statewise::testkit::{Fault, FaultyLog, ManualClock, block_on, give_up_after};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Error, Login, Observed, Rejection, Result, Revocation};

use crate::notes::{Notes, secret, store, tokens};
use crate::tokens::view;

type Log = Arc<FaultyLog<MemoryLog>>;

fn log() -> Log {
    Arc::new(FaultyLog::new(MemoryLog::new().unwrap()))
}

/// A node that reads the log, and the events that it reports.
fn node(log: &Log, clock: &ManualClock) -> (Observed<TokenAuthenticator>, Arc<Notes>) {
    let (notes, view) = (Notes::new(), view(log, clock));
    let auth = tokens(clock).revocations(&view).build().unwrap();
    (Observed::new(auth, notes.clone()), notes)
}

/// Runs the upkeep, and returns its events but for those of each step.
fn learn(auth: &impl Authenticator, notes: &Notes) -> Vec<String> {
    block_on(auth.upkeep().tick()).unwrap();
    let mut events = notes.take();
    events.retain(|event| !event.starts_with("lag ") && !event.starts_with("swept "));
    events
}

/// Logs in, and logs out while the log takes no entry. Returns when the logout takes effect.
fn log_out_late<A: Authenticator<Data = ()>>(auth: &A, log: &Log, fault: Fault) -> Revocation {
    let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
    log.fail_all(fault);
    let logout = block_on(auth.revoke(secret(&issued)));
    log.reset();
    logout.unwrap().effective
}

const FAILED: &str = "unavailable: the revocation log could not answer";

/// The logouts succeed, so without a report only the time in their lines would show the failure.
#[test]
fn a_log_that_takes_no_entry_is_reported() {
    let (clock, log, notes) = (ManualClock::default(), log(), Notes::new());
    let shared = view(&log, &clock);
    let access = TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.example")
        .audience("web")
        .lifetime(Duration::from_secs(600))
        .revocations(&shared);
    let refresh = SessionAuthenticator::builder(store(10))
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(3600))
        .clock(clock.clone());
    let hybrid = HybridAuthenticator::new(access, refresh).unwrap();
    let hybrid = Observed::new(hybrid, notes.clone());
    assert!(learn(&hybrid, &notes).is_empty());
    for fault in [Fault::Fails, Fault::LosesAnswer] {
        let effective = log_out_late(&hybrid, &log, fault);
        assert_eq!(effective, Revocation::Within(Duration::from_secs(600)));
        notes.take();
        assert_eq!(learn(&hybrid, &notes), [format!("log failed 1: {FAILED}")]);
        assert!(learn(&hybrid, &notes).is_empty(), "reported twice");
    }
    for _ in 0..3 {
        let _ = log_out_late(&hybrid, &log, Fault::Fails);
    }
    notes.take();
    assert_eq!(learn(&hybrid, &notes), [format!("log failed 3: {FAILED}")]);

    let view = view(&log, &clock);
    let cached = CachedStore::builder(store(10), &view)
        .max_age(Duration::from_secs(20))
        .build()
        .unwrap();
    let cached = SessionAuthenticator::builder(cached)
        .idle(Duration::from_secs(600))
        .absolute(Duration::from_secs(3000))
        .clock(clock)
        .build()
        .unwrap();
    let cached = Observed::new(cached, notes.clone());
    assert!(learn(&cached, &notes).is_empty(), "of another node");
    let effective = log_out_late(&cached, &log, Fault::Fails);
    assert_eq!(effective, Revocation::Within(Duration::from_secs(20)));
    notes.take();
    assert_eq!(learn(&cached, &notes), [format!("log failed 1: {FAILED}")]);
}

/// The caller went away, and the log may have taken the entry.
#[test]
fn a_dropped_call_is_no_failure_of_the_log() {
    let (clock, log, notes) = (ManualClock::default(), log(), Notes::new());
    let view = view(&log, &clock);
    let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    log.fail_all(Fault::NeverCompletes);
    assert!(block_on(give_up_after(3, view.revoke_subject("alice"))).is_none());
    log.reset();
    assert!(learn(&auth, &notes).is_empty());
}

/// Rejects a node that reports the log that it finds at its start, and one that reports each lost entry.
#[test]
fn a_log_that_began_anew_is_reported_by_each_node_that_had_read_it() {
    let (clock, log) = (ManualClock::default(), log());
    let node = || node(&log, &clock);
    let [(here, heard), (there, told)] = [node(), node()];
    let nothing: [&str; 0] = [];
    assert_eq!(learn(&here, &heard), nothing);
    assert_eq!(learn(&there, &told), nothing);
    let token = block_on(here.issue(Login::new("alice"))).unwrap();
    let _ = block_on(here.revoke_all("bob")).unwrap();
    heard.take();
    assert_eq!(learn(&there, &told), nothing);
    for incarnation in [7, 8] {
        log.inner().start_over(incarnation);
        assert_eq!(learn(&here, &heard), ["log lost"]);
        assert_eq!(learn(&there, &told), ["log lost"]);
        assert_eq!(learn(&here, &heard), nothing);
        assert!(block_on(here.verify(secret(&token))).is_err());
        heard.take();
    }
    let (late, seen) = node();
    assert_eq!(learn(&late, &seen), nothing);
}

/// A node that follows another log rejects the logins of the other nodes as revoked, although nobody has revoked
/// them. One that has seen the loss of its log has said so.
#[test]
fn logins_of_another_log_are_reported_once() {
    let (clock, shared, own) = (ManualClock::default(), log(), log());
    let (one, notes_of_one) = node(&shared, &clock);
    let (other, notes_of_other) = node(&own, &clock);
    assert!(learn(&one, &notes_of_one).is_empty());
    assert!(learn(&other, &notes_of_other).is_empty());
    let issued = block_on(one.issue(Login::new("alice"))).unwrap();
    assert!(block_on(one.verify(secret(&issued))).is_ok());
    notes_of_one.take();
    assert!(learn(&one, &notes_of_one).is_empty());
    for reported in [true, false] {
        let error = block_on(other.verify(secret(&issued))).unwrap_err();
        assert_eq!(error.rejection(), Some(Rejection::Revoked));
        notes_of_other.take();
        let expected: &[&str] = if reported { &["other log"] } else { &[] };
        assert_eq!(learn(&other, &notes_of_other), expected);
    }
    // After a loss that it has seen.
    shared.inner().start_over(7);
    assert_eq!(learn(&one, &notes_of_one), ["log lost"]);
    assert!(block_on(one.verify(secret(&issued))).is_err());
    notes_of_one.take();
    assert!(learn(&one, &notes_of_one).is_empty());
}

/// Each node that has read or appended the lost end of a log reports the loss once, even if other entries stand in
/// its place already. Rejects a node that repairs the log and says nothing.
#[test]
fn a_log_that_lost_its_end_is_reported_by_each_node_that_notices() {
    let (clock, log) = (ManualClock::default(), log());
    let node = || node(&log, &clock);
    let [(here, heard), (there, told)] = [node(), node()];
    let nothing: [&str; 0] = [];
    let log_out = |auth: &Observed<TokenAuthenticator>, notes: &Notes, user: &str| {
        let _ = block_on(auth.revoke_all(user)).unwrap();
        notes.take();
    };
    let both = |expected: [&[&str]; 2]| {
        assert_eq!(learn(&here, &heard), expected[0]);
        assert_eq!(learn(&there, &told), expected[1]);
        assert_eq!(learn(&here, &heard), nothing, "reported twice");
        assert_eq!(learn(&there, &told), nothing, "reported twice");
    };
    both([&[], &[]]);
    // Read by both.
    log_out(&here, &heard, "alice");
    both([&[], &[]]);
    log.inner().lose(1);
    both([&["log shortened"], &["log shortened"]]);
    // Read by none.
    log_out(&here, &heard, "bob");
    log.inner().lose(1);
    both([&["log shortened"], &[]]);
    // The other node has appended in its place.
    log_out(&here, &heard, "carol");
    log.inner().lose(1);
    log_out(&there, &told, "dave");
    both([&["log shortened"], &[]]);
    // A loss of everything is no loss of the end.
    log.inner().start_over(7);
    both([&["log lost"], &["log lost"]]);
}

/// A log that takes no entry while it is full. Once it has a node, that node reads each entry before its append
/// is answered.
#[derive(Debug)]
struct Watched {
    inner: MemoryLog,
    is_full: AtomicBool,
    node: Mutex<Option<RevocationView>>,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryLog::new().unwrap(),
            is_full: AtomicBool::new(false),
            node: Mutex::default(),
        })
    }
}

impl RevocationLog for Watched {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(Error::unavailable("full"));
        }
        let stamp = self.inner.append(facts, now).await;
        let node = self.node.lock().unwrap().clone();
        if let Some(node) = node {
            node.follow().await?;
        }
        stamp
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.inner.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.inner.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.inner.fence(now).await
    }
}

/// Rejects a node that reports a loss with each attempt to repair it.
#[test]
fn a_loss_that_cannot_be_repaired_at_once_is_reported_once() {
    let log = Watched::new();
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let view = view(&log, &clock);
    let step = || {
        let _ = block_on(view.upkeep().observer(notes.clone()).tick());
        let told = notes.take().into_iter();
        told.filter(|event| event == "log shortened").count()
    };
    assert_eq!(step(), 0);
    let _ = block_on(view.revoke_subject("alice")).unwrap();
    assert_eq!(step(), 0);
    log.inner.lose(1);
    log.is_full.store(true, Ordering::Relaxed);
    assert_eq!([step(), step(), step()], [1, 0, 0]);
    log.is_full.store(false, Ordering::Relaxed);
    assert_eq!([step(), step()], [0, 0]);
    // The next loss is another one.
    log.inner.lose(1);
    assert_eq!([step(), step()], [1, 0]);
}

/// Rejects a node that looks in later reads for an entry that an earlier one has returned.
#[test]
fn an_entry_that_is_read_before_its_append_is_answered_is_not_lost() {
    let log = Watched::new();
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let view = view(&log, &clock);
    let step = || {
        block_on(view.upkeep().observer(notes.clone()).tick()).unwrap();
        let told = notes.take().into_iter();
        told.filter(|event| event == "log shortened").count()
    };
    assert_eq!(step(), 0);
    *log.node.lock().unwrap() = Some(view.clone());
    for user in ["alice", "bob"] {
        let _ = block_on(view.revoke_subject(user)).unwrap();
        assert_eq!([step(), step()], [0, 0], "{user}");
    }
    *log.node.lock().unwrap() = None;
    // A loss is still noticed.
    log.inner.lose(1);
    assert_eq!(step(), 1);
}
