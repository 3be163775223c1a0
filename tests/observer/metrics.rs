//! The view of a `metrics` recorder.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use statewise::observer::MetricsObserver;

use crate::redaction::everything;

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

#[derive(Default)]
struct Recorded(Values);

struct Cell {
    name: String,
    values: Values,
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        *self
            .values
            .lock()
            .unwrap()
            .entry(self.name.clone())
            .or_default() += value as f64;
    }
    fn absolute(&self, _: u64) {
        panic!("counts by steps");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("is set");
    }
    fn decrement(&self, _: f64) {
        panic!("is set");
    }
    fn set(&self, value: f64) {
        self.values.lock().unwrap().insert(self.name.clone(), value);
    }
}

impl Recorded {
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
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("no histogram is kept: {key:?}");
    }
}

#[test]
fn counters_by_cause_and_gauges() {
    let recorded = Recorded::default();
    let said = metrics::with_local_recorder(&recorded, || everything(MetricsObserver));
    let values = recorded.0.lock().unwrap();
    said.secrets.check(&format!("{values:?}"));
    let values: Vec<_> = values
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(
        values,
        [
            "statewise_issued_total 3",
            "statewise_misused_total act=issue 1",
            "statewise_refused_total act=issue cause=too_large 1",
            "statewise_rejected_total act=refresh cause=malformed 1",
            "statewise_rejected_total act=revoke cause=malformed 1",
            "statewise_rejected_total act=verify cause=bad_signature 1",
            "statewise_rejected_total act=verify cause=malformed 1",
            "statewise_rejected_total act=verify cause=unknown 2",
            "statewise_replayed_total 1",
            "statewise_revoked_total act=revoke 1",
            "statewise_revoked_total act=revoke_all 1",
            "statewise_rotated_total 2",
            "statewise_swept_total 1",
            "statewise_thefts_total act=verify 1",
            "statewise_unavailable_total act=verify 2",
            "statewise_unreadable_total act=verify 1",
            "statewise_upkeep_failed_total 1",
            "statewise_verified_total 3",
            "statewise_view_facts 0",
            "statewise_view_lag_seconds 60",
            "statewise_view_stale 1",
        ]
    );
}
