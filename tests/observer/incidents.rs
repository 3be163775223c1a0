//! Failures and losses of the revocation log.

use std::sync::Arc;
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::observer::Observer;
use statewise::revocation::MemoryLog;
use statewise::session::SessionAuthenticator;
use statewise::store::CachedStore;
use statewise::testkit::{Fault, FaultyLog, ManualClock, block_on, give_up_after};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Login, Observed, Revocation};

use crate::notes::{Notes, secret, store, tokens};
use crate::tokens::view;

type Log = Arc<FaultyLog<MemoryLog>>;

fn log() -> Log {
    Arc::new(FaultyLog::new(MemoryLog::new().unwrap()))
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

const FAILED: &str = "unavailable: the store could not answer";

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
    let node = || {
        let (notes, view) = (Notes::new(), view(&log, &clock));
        let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
        let observer: Arc<dyn Observer> = notes.clone();
        (Observed::new(auth, observer), notes)
    };
    let [(here, heard), (there, told)] = [node(), node()];
    let nothing: [&str; 0] = [];
    assert_eq!(learn(&here, &heard), nothing);
    assert_eq!(learn(&there, &told), nothing);
    let token = block_on(here.issue(Login::new("alice"))).unwrap();
    let _ = block_on(here.revoke_all("bob")).unwrap();
    heard.take();
    assert_eq!(learn(&there, &told), nothing);
    // The end of the log only: the nodes append it again.
    log.inner().lose(1);
    assert_eq!(learn(&here, &heard), nothing);
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
