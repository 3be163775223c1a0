//! Events of the upkeep. A failure does not end the upkeep.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use statewise::Observed;
use statewise::authenticator::{BoxFuture, Chore};
use statewise::clock::Timestamp;
use statewise::observer::{Event, Observer};
use statewise::session::SessionAuthenticator;
use statewise::store::CachedStore;
use statewise::testkit::{Fault, ManualClock, Method, block_on, give_up_after, yield_now};
use statewise::token::TokenAuthenticator;
use statewise::{Authenticator, Error, Login, Result, Upkeep};

use crate::notes::{Line, Notes, sessions, store, tokens};
use crate::tokens::view;

/// Fails a given number of times.
#[derive(Debug)]
struct Broken {
    #[allow(dead_code, reason = "shown by Debug")]
    name: &'static str,
    left: AtomicUsize,
    done: Arc<AtomicUsize>,
}

impl Chore for Broken {
    fn step<'a>(&'a self, _: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async {
            let left = self.left.load(Ordering::Relaxed);
            if left > 0 {
                self.left.store(left - 1, Ordering::Relaxed);
                return Err(Error::unavailable("broken"));
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            Ok(Duration::from_secs(1))
        })
    }
}

fn broken(times: usize) -> (Upkeep, Arc<AtomicUsize>) {
    let done = Arc::new(AtomicUsize::new(0));
    let chore = Broken {
        name: "pump",
        left: AtomicUsize::new(times),
        done: Arc::clone(&done),
    };
    (Upkeep::of(chore), done)
}

#[test]
fn a_sweep_reports_its_rows_and_its_failure() {
    let (clock, notes, store) = (ManualClock::default(), Notes::new(), store(100));
    let auth = sessions(&store, &clock).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    for _ in 0..3 {
        let _ = block_on(auth.issue(Login::new("alice"))).unwrap();
    }
    notes.take();
    clock.advance(Duration::from_secs(600));
    block_on(auth.upkeep().tick()).unwrap();
    notes.expect("swept 3");
    block_on(auth.upkeep().tick()).unwrap();
    notes.expect("swept 0");
    store.fail_nth_of(Method::Sweep, 1, Fault::Fails);
    assert!(block_on(auth.upkeep().tick()).is_err());
    notes.expect("Sweeper failed: unavailable: the store could not answer");
    clock.stop();
    assert!(block_on(auth.upkeep().tick()).is_err());
    notes.expect("Sweeper failed: unavailable: the clock could not tell the time");
}

#[test]
fn a_view_reports_its_lag() {
    let (clock, notes, log) = (ManualClock::default(), Notes::new(), Line::new());
    let view = view(&log, &clock);
    let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    let failed = "Following failed: unavailable: the revocation log could not answer";

    *log.cut.lock().unwrap() = true;
    assert!(block_on(auth.upkeep().tick()).is_err());
    assert_eq!(notes.take(), ["lag None stale true facts 0", failed]);
    *log.cut.lock().unwrap() = false;
    block_on(auth.upkeep().tick()).unwrap();
    notes.expect("lag Some(0ns) stale false facts 0");
    let _ = block_on(view.revoke_subject("alice")).unwrap();
    clock.advance(Duration::from_secs(1));
    block_on(auth.upkeep().tick()).unwrap();
    notes.expect("lag Some(0ns) stale false facts 1");
    *log.cut.lock().unwrap() = true;
    for (passed, stale) in [(3, false), (6, true), (9, true)] {
        clock.advance(Duration::from_secs(3));
        assert!(block_on(auth.upkeep().tick()).is_err());
        let lag = format!("lag Some({passed}s) stale {stale} facts 1");
        assert_eq!(notes.take(), [&*lag, failed]);
    }
}

#[test]
fn both_chores_of_a_cached_store_report() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let view = view(&Line::new(), &clock);
    let cached = CachedStore::builder(store(10), &view)
        .max_age(Duration::from_secs(20))
        .build()
        .unwrap();
    let auth = SessionAuthenticator::builder(cached)
        .idle(Duration::from_secs(600))
        .absolute(Duration::from_secs(3000))
        .clock(clock)
        .build()
        .unwrap();
    let auth = Observed::new(auth, notes.clone());
    block_on(auth.upkeep().tick()).unwrap();
    let told = notes.take();
    assert_eq!(told, ["swept 0", "lag Some(0ns) stale false facts 0"]);
}

#[test]
fn a_failing_chore_reports_and_retries() {
    let notes = Notes::new();
    let ((pump, pumped), (other, others)) = (broken(3), broken(0));
    let pauses = std::sync::Mutex::new(Vec::new());
    let sleep = |pause: Duration| {
        pauses.lock().unwrap().push(pause.as_secs());
        yield_now()
    };
    // The observers of both receive the events.
    let upkeep = other.and(pump.observer(notes.clone()));
    assert!(block_on(give_up_after(20, upkeep.run(sleep))).is_none());
    let told = notes.take();
    let [_, failures @ .., _] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(failures.len(), 3, "{told:?}");
    for told in failures {
        assert!(told.starts_with("Broken { name: \"pump\""), "{told}");
        let why = "failed: unavailable: the store could not answer";
        assert!(told.ends_with(why), "{told}");
    }
    // It continued, and so did the other chore.
    let (pumped, others) = (
        pumped.load(Ordering::Relaxed),
        others.load(Ordering::Relaxed),
    );
    assert!(pumped >= 10 && others >= pumped + 3, "{pumped} {others}");
    let pauses = pauses.into_inner().unwrap();
    let longer: Vec<_> = pauses.iter().filter(|pause| **pause > 1).collect();
    assert_eq!(longer, [&2, &4]);
}

#[test]
fn the_outer_observer_gets_the_upkeep() {
    let (inner, outer) = (Notes::new(), Notes::new());
    let (pump, _) = broken(2);
    let (other, _) = broken(1);
    let upkeep = pump
        .observer(outer.clone())
        .and(other.observer(inner.clone()));
    assert!(block_on(upkeep.tick()).is_err());
    assert_eq!(outer.take().len(), 2);
    assert!(inner.take().is_empty());
    let (pump, done) = broken(1);
    assert!(block_on(pump.tick()).is_err());
    block_on(pump.tick()).unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

#[test]
fn an_upkeep_reports_that_it_runs_and_that_it_has_stopped() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let view = view(&Line::new(), &clock);
    let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    drop(auth.upkeep().run(|_| yield_now()));
    assert!(notes.take().is_empty(), "it never ran");
    let sleep = |_| std::future::pending();
    assert!(block_on(give_up_after(1, auth.upkeep().run(sleep))).is_none());
    let expected = [
        "upkeep started",
        "lag Some(0ns) stale false facts 0",
        "upkeep stopped, follows view true, panicked false",
    ];
    assert_eq!(notes.take(), expected);
    let (pump, _) = broken(0);
    let run = pump.observer(notes.clone()).run(sleep);
    assert!(block_on(give_up_after(1, run)).is_none());
    let expected = [
        "upkeep started",
        "upkeep stopped, follows view false, panicked false",
    ];
    assert_eq!(notes.take(), expected);
}

/// Panics with each event but those of the upkeep itself, or with all.
#[derive(Debug)]
struct Panics {
    notes: Arc<Notes>,
    always: bool,
}

impl Observer for Panics {
    fn observe(&self, event: &Event<'_>) {
        let is_start = matches!(event, Event::UpkeepStarted);
        let is_stop = matches!(event, Event::UpkeepStopped { .. });
        if is_start || is_stop {
            self.notes.observe(event);
        }
        assert!(is_start || is_stop && !self.always, "a planned panic");
    }
}

#[test]
fn an_upkeep_that_panics_reports_it() {
    for always in [false, true] {
        let (clock, notes) = (ManualClock::default(), Notes::new());
        let view = view(&Line::new(), &clock);
        let observer = Panics {
            notes: notes.clone(),
            always,
        };
        let upkeep = view.upkeep().observer(Arc::new(observer));
        let run = move || block_on(upkeep.run(|_| yield_now()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        let expected = [
            "upkeep started",
            "upkeep stopped, follows view true, panicked true",
        ];
        assert_eq!(notes.take(), expected);
    }
}
