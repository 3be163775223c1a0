//! Events as metrics of the crate `metrics`.

use ::metrics::{counter, gauge};

use crate::observer::Observer;
use crate::observer::event::Event;

/// Counts each event with the application's `metrics` recorder.
///
/// | counter | labels |
/// |---|---|
/// | `statewise_issued_total`, `statewise_verified_total`, `statewise_rotated_total`, `statewise_replayed_total`, `statewise_orphaned_total` | |
/// | `statewise_revoked_total` | `act` |
/// | `statewise_rejected_total`, `statewise_refused_total` | `act`, `cause` |
/// | `statewise_unavailable_total`, `statewise_unreadable_total`, `statewise_misused_total`, `statewise_thefts_total` | `act` |
/// | `statewise_swept_total`, in sessions | |
/// | `statewise_upkeep_failed_total` | |
///
/// | gauge | |
/// |---|---|
/// | `statewise_view_lag_seconds` | seconds since the last complete read was sent; infinite before the first |
/// | `statewise_view_stale` | 1 if the lag exceeds the bound, else 0 |
/// | `statewise_view_facts` | number of facts about logins and subjects in the view |
///
/// `act` and `cause` are fixed names such as `"revoke_all"` and `"bad_signature"`: there are few,
/// and no client can add one.
///
/// ```
/// use std::sync::Arc;
/// use statewise::{Authenticator, Observed};
/// use statewise::observer::MetricsObserver;
///
/// fn counted<A: Authenticator>(auth: A) -> Observed<A> {
///     Observed::new(auth, Arc::new(MetricsObserver))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsObserver;

impl Observer for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        let counter = match *event {
            Event::Issued { .. } => counter!("statewise_issued_total"),
            Event::Verified { .. } => counter!("statewise_verified_total"),
            Event::Rotated { .. } => counter!("statewise_rotated_total"),
            Event::Replayed { .. } => counter!("statewise_replayed_total"),
            Event::Orphaned { .. } => counter!("statewise_orphaned_total"),
            Event::Revoked { .. } => counter!("statewise_revoked_total", "act" => "revoke"),
            Event::RevokedAll { .. } => counter!("statewise_revoked_total", "act" => "revoke_all"),
            Event::Rejected { act, cause } => {
                let (act, cause) = (act.name(), cause.name());
                counter!("statewise_rejected_total", "act" => act, "cause" => cause)
            }
            Event::Theft { act, .. } => counter!("statewise_thefts_total", "act" => act.name()),
            Event::Refused { act, rule } => {
                let (act, cause) = (act.name(), rule.name());
                counter!("statewise_refused_total", "act" => act, "cause" => cause)
            }
            Event::Unreadable { act, .. } => {
                counter!("statewise_unreadable_total", "act" => act.name())
            }
            Event::Unavailable { act, .. } => {
                counter!("statewise_unavailable_total", "act" => act.name())
            }
            Event::Misused { act, .. } => counter!("statewise_misused_total", "act" => act.name()),
            Event::ViewLag {
                behind,
                stale,
                facts,
            } => {
                let lag = behind.map_or(f64::INFINITY, |behind| behind.as_secs_f64());
                gauge!("statewise_view_lag_seconds").set(lag);
                gauge!("statewise_view_stale").set(u8::from(stale));
                gauge!("statewise_view_facts").set(facts as f64);
                return;
            }
            Event::Swept { rows } => {
                counter!("statewise_swept_total").increment(rows);
                return;
            }
            Event::UpkeepFailed { .. } => counter!("statewise_upkeep_failed_total"),
        };
        counter.increment(1);
    }
}
