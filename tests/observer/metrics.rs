//! The view of a `metrics` recorder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use statewise::observer::MetricsObserver;
use statewise::testkit::{ManualClock, block_on, give_up_after};
use statewise::token::TokenAuthenticator;
use statewise::{Authenticator as _, Edit, Login, Observed};

use crate::notes::{Line, evict, secret, tokens};
use crate::redaction::everything;
use crate::tokens::view;

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

/// Values, and the names that have a help text.
#[derive(Default)]
struct Recorded(Values, Mutex<BTreeSet<String>>);

struct Cell {
    name: String,
    values: Values,
}

impl Cell {
    fn increment_by(&self, value: u64) {
        let mut values = self.values.lock().unwrap();
        *values.entry(self.name.clone()).or_default() += value as f64;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.increment_by(value);
    }
    fn absolute(&self, _: u64) {
        panic!("counts by steps");
    }
}

/// Counts the calls: their durations are not known here.
impl HistogramFn for Cell {
    fn record(&self, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds));
        self.increment_by(1);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        *self
            .values
            .lock()
            .unwrap()
            .entry(self.name.clone())
            .or_default() += value;
    }
    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }
    fn set(&self, value: f64) {
        self.values.lock().unwrap().insert(self.name.clone(), value);
    }
}

impl Recorded {
    fn describe(&self, name: &KeyName, help: &str) {
        assert!(help.ends_with('.'), "{help}");
        let mut described = self.1.lock().unwrap();
        assert!(described.insert(name.as_str().to_owned()));
    }

    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        Arc::new(Cell {
            name: key.name().to_owned() + &labels.collect::<String>(),
            values: Arc::clone(&self.0),
        })
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

impl Recorded {
    fn get(&self, name: &str) -> Option<f64> {
        self.0.lock().unwrap().get(name).copied()
    }
}

/// A counter that begins with its first event would hide it from `increase` of Prometheus.
#[test]
fn counters_by_cause_and_gauges() {
    let recorded = Recorded::default();
    let (born, said) = metrics::with_local_recorder(&recorded, || {
        let observer = MetricsObserver::new();
        let born = recorded.0.lock().unwrap().clone();
        (born, everything(observer))
    });
    assert!(born.values().all(|value| *value == 0.0), "{born:?}");
    assert!((100..250).contains(&born.len()), "{}", born.len());
    let mut values = recorded.0.lock().unwrap();
    for name in values.keys().filter(|name| name.contains("_total")) {
        assert!(born.contains_key(name), "{name}");
    }
    values.retain(|name, value| *value != 0.0 || !name.contains("_total"));
    said.secrets.check(&format!("{values:?}"));
    let described = recorded.1.lock().unwrap();
    for name in values.keys() {
        let (name, _) = name.split_once(' ').unwrap_or((name, ""));
        assert!(described.contains(name), "{name}");
    }
    let values: Vec<_> = values
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(
        values,
        [
            "statewise_clock_skew_seconds -7",
            "statewise_denied_total cause=cross_origin 1",
            "statewise_denied_total cause=failed_login 2",
            "statewise_denied_total cause=failed_second_factor 1",
            "statewise_denied_total cause=forbidden 1",
            "statewise_denied_total cause=missing_role 1",
            "statewise_denied_total cause=no_credential 1",
            "statewise_denied_total cause=not_a_login 1",
            "statewise_denied_total cause=too_old 2",
            "statewise_denied_total cause=unclear 1",
            "statewise_denied_total cause=unknown_credential 1",
            "statewise_denied_total cause=weak_acr 1",
            "statewise_duration_seconds act=issue outcome=misused 1",
            "statewise_duration_seconds act=issue outcome=ok 4",
            "statewise_duration_seconds act=issue outcome=refused 1",
            "statewise_duration_seconds act=refresh outcome=ok 3",
            "statewise_duration_seconds act=refresh outcome=rejected 1",
            "statewise_duration_seconds act=revoke outcome=ok 2",
            "statewise_duration_seconds act=revoke outcome=rejected 1",
            "statewise_duration_seconds act=revoke_all outcome=ok 1",
            "statewise_duration_seconds act=revoke_id outcome=ok 1",
            "statewise_duration_seconds act=revoke_others outcome=ok 1",
            "statewise_duration_seconds act=update outcome=ok 1",
            "statewise_duration_seconds act=verify outcome=ok 4",
            "statewise_duration_seconds act=verify outcome=rejected 5",
            "statewise_duration_seconds act=verify outcome=unavailable 3",
            "statewise_ended_total act=issue cause=replaced 2",
            "statewise_everything_revoked_total 1",
            "statewise_issued_total 4",
            "statewise_keys_retired_total 1",
            "statewise_log_failed_total 2",
            "statewise_log_lost_total 1",
            "statewise_log_shortened_total 1",
            "statewise_misused_total act=issue 1",
            "statewise_other_log_total 1",
            "statewise_refused_total act=issue cause=too_large 1",
            "statewise_rejected_total act=refresh cause=malformed 1",
            "statewise_rejected_total act=revoke cause=malformed 1",
            "statewise_rejected_total act=verify cause=bad_signature 1",
            "statewise_rejected_total act=verify cause=malformed 1",
            "statewise_rejected_total act=verify cause=unknown 2",
            "statewise_replayed_total 1",
            "statewise_revoked_total act=leaked 1",
            "statewise_revoked_total act=revoke 2",
            "statewise_revoked_total act=revoke_all 1",
            "statewise_revoked_total act=revoke_id 1",
            "statewise_revoked_total act=revoke_others 1",
            "statewise_rotated_total 2",
            "statewise_swept_total 1",
            "statewise_thefts_total act=verify 1",
            "statewise_unavailable_total act=verify 2",
            "statewise_unreadable_total act=verify 1",
            "statewise_updated_total act=update 1",
            "statewise_upkeep_failed_total 1",
            "statewise_upkeep_running 0",
            "statewise_verified_total 4",
            "statewise_view_facts 0",
            "statewise_view_lag_seconds 60",
            "statewise_view_stale 1",
        ]
    );
}

#[test]
fn evicted_logins_are_counted() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let observer = MetricsObserver::new();
        assert_eq!(
            recorded.get("statewise_ended_total act=issue cause=evicted"),
            Some(0.0)
        );
        evict(observer);
    });
    assert_eq!(
        recorded.get("statewise_ended_total act=issue cause=evicted"),
        Some(1.0)
    );
    assert_eq!(recorded.get("statewise_issued_total"), Some(2.0));
}

#[test]
fn step_ups_are_counted_from_zero() {
    let recorded = Recorded::default();
    let count = |name: &str| recorded.get(name);
    metrics::with_local_recorder(&recorded, || {
        let observer = Arc::new(MetricsObserver::new());
        assert_eq!(count("statewise_stepped_up_total"), Some(0.0));
        let auth: TokenAuthenticator = tokens(&ManualClock::default()).build().unwrap();
        let auth = Observed::new(auth, observer);
        block_on(async {
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            let step_up = &mut |login: &mut Edit| login.step_up("aal2", Duration::from_secs(600));
            let stepped = auth.update(secret(&issued), step_up).await.unwrap();
            let _ = auth
                .update(secret(&stepped), &mut |_| Ok(()))
                .await
                .unwrap();
        });
    });
    assert_eq!(count("statewise_stepped_up_total"), Some(1.0));
    assert_eq!(count("statewise_updated_total act=update"), Some(2.0));
}

/// A refused key counts from 0, as every other refusal does, and under its own act only.
#[test]
fn a_refusal_to_retire_a_key_begins_at_zero() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, MetricsObserver::new);
    for cause in ["last_key", "next_key_too_new"] {
        let count = |act| recorded.get(&format!("statewise_refused_total act={act} cause={cause}"));
        assert_eq!(count("retire_key"), Some(0.0));
        assert_eq!(count("issue"), None);
    }
}

/// The gauges of the view do not stay as they were when its upkeep has stopped.
#[test]
fn a_view_whose_upkeep_has_stopped_is_stale() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let observer = Arc::new(MetricsObserver::new());
        assert_eq!(recorded.get("statewise_upkeep_running"), Some(0.0));
        assert_eq!(recorded.get("statewise_view_stale"), None);
        let view = view(&Line::new(), &ManualClock::default());
        let upkeep = || view.upkeep().observer(observer.clone());
        let check = || {
            // A second observer does not disturb.
            recorded.1.lock().unwrap().clear();
            let _ = MetricsObserver::new();
            assert_eq!(recorded.get("statewise_upkeep_running"), Some(1.0));
            assert_eq!(recorded.get("statewise_view_stale"), Some(0.0));
            assert_eq!(recorded.get("statewise_view_lag_seconds"), Some(0.0));
        };
        let check = &check;
        let sleep = |_| async move {
            check();
            std::future::pending::<()>().await;
        };
        assert!(block_on(give_up_after(1, upkeep().run(sleep))).is_none());
        assert_eq!(recorded.get("statewise_upkeep_running"), Some(0.0));
        assert_eq!(recorded.get("statewise_view_stale"), Some(1.0));
        let lag = recorded.get("statewise_view_lag_seconds");
        assert_eq!(lag, Some(f64::INFINITY));
    });
}
