//! Events as metrics of the crate `metrics`.

use std::time::Duration;

use ::metrics::{
    Counter, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::error::{EndCause, Refusal, Rejection};
use crate::observer::Observer;
use crate::observer::event::{Act, Denied, Event};

/// Counts each event with the application's `metrics` recorder.
///
/// | counter | labels |
/// |---|---|
/// | `statewise_issued_total`, `statewise_verified_total`, `statewise_rotated_total`, `statewise_replayed_total`, `statewise_orphaned_total` | |
/// | `statewise_ended_total`, in logins that [ended](Event::Ended) without a logout of their own, and tickets | `act`, `cause` |
/// | `statewise_updated_total` | `act` |
/// | `statewise_stepped_up_total`, of these updates | |
/// | `statewise_revoked_total` | `act` |
/// | `statewise_everything_revoked_total`, `statewise_keys_retired_total`, on each node that learns it | |
/// | `statewise_rejected_total`, `statewise_refused_total` | `act`, `cause` |
/// | `statewise_tickets_issued_total`, `statewise_tickets_redeemed_total` | |
/// | `statewise_denied_total` | `cause` |
/// | `statewise_unavailable_total`, `statewise_unreadable_total`, `statewise_misused_total`, `statewise_thefts_total` | `act` |
/// | `statewise_swept_total`, in sessions | |
/// | `statewise_upkeep_failed_total` | |
/// | `statewise_log_failed_total`, in [calls](Event::LogFailed); `statewise_log_lost_total` and `statewise_log_shortened_total`, on each node that notices the loss of [all](Event::LogLost) or the [last](Event::LogShortened) entries | |
/// | `statewise_other_log_total`, on each node that meets [logins of another log](Event::OtherLog) | |
///
/// | histogram | labels |
/// |---|---|
/// | `statewise_duration_seconds`, of each call | `act`; `outcome`: `ok`, `rejected`, `refused`, `unavailable` or `misused` |
///
/// | gauge | |
/// |---|---|
/// | `statewise_store_silent`, by `backend` and `keeps` | 1 while a server [does not answer](Event::StoreSilent), whether calls time out or are refused; else 0. Begins with the first outage |
/// | `statewise_upkeep_running` | number of upkeeps that [run](crate::Upkeep::run) and report to this process's recorder |
/// | `statewise_view_lag_seconds` | seconds since the last complete read was sent; infinite before the first, and after the upkeep has stopped |
/// | `statewise_view_stale` | 1 if the lag exceeds the bound, or the upkeep that follows the log has stopped; else 0 |
/// | `statewise_clock_skew_seconds` | seconds by which the clock of this node is ahead of that of the store |
/// | `statewise_view_facts` | number of facts about logins and subjects in the view |
///
/// The gauges of a view are absent before its first read, so no alert on them sees an upkeep that was never
/// spawned: alert on `statewise_upkeep_running` too.
///
/// `act`, `cause` and `outcome` are fixed names such as `"revoke_all"` and `"bad_signature"`: there
/// are few, and no client can add one. The class of a step-up, and the roles or the class that a denied
/// caller lacks, are no labels: they are texts of your application, of any number if they come from a login
/// provider or a database. The lines of the log have them.
///
/// [`new`](Self::new) sets each counter to 0, with the labels that it can have: about 200 series.
/// `increase` of Prometheus then sees the first theft too. The application's recorder must be installed
/// before.
///
/// # Prometheus
///
/// With `metrics-exporter-prometheus = { version = "0.18", default-features = false }` and axum:
///
/// ```text
/// let seconds = [0.000_1, 0.001, 0.01, 0.1, 1.0, 2.5];
/// let prometheus = PrometheusBuilder::new()
///     .set_buckets_for_metric(Matcher::Prefix("statewise_duration".to_owned()), &seconds)?
///     .install_recorder()?;
/// let auth = Observed::new(auth, Arc::new(MetricsObserver::new()));
/// let app = Router::new().route("/metrics", get(move || async move { prometheus.render() }));
/// ```
///
/// Serve it on a port that only Prometheus reaches. The manual has the alerts as
/// [rules to copy](crate::manual::logs#metrics).
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use statewise::{Authenticator, Observed};
/// use statewise::observer::MetricsObserver;
///
/// fn counted<A: Authenticator>(auth: A) -> Observed<A> {
///     // Install the recorder first: `new` describes the metrics to it, and begins the counters.
///     Observed::new(auth, Arc::new(MetricsObserver::new()))
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MetricsObserver(());

/// Counters without labels, and their help texts.
#[rustfmt::skip]
const PLAIN: [(&str, &str); 17] = [
    ("statewise_issued_total", "Logins."),
    ("statewise_verified_total", "Verified credentials."),
    ("statewise_rotated_total", "Refreshes that rotated the credential."),
    ("statewise_replayed_total", "Repeated refreshes that got the same answer."),
    ("statewise_orphaned_total", "Refreshes repeated after the grace, with an unused successor."),
    ("statewise_stepped_up_total", "Updates that stepped a login up."),
    ("statewise_tickets_issued_total", "Tickets."),
    ("statewise_tickets_updated_total", "Updates of the payload of a ticket."),
    ("statewise_tickets_redeemed_total", "Redeemed tickets."),
    ("statewise_everything_revoked_total", "Ends of all logins of all users."),
    ("statewise_keys_retired_total", "Keys that were retired in the revocation log."),
    ("statewise_swept_total", "Expired sessions that the upkeep removed."),
    ("statewise_upkeep_failed_total", "Failed steps of the upkeep."),
    ("statewise_log_failed_total", "Calls whose entry the revocation log did not take."),
    ("statewise_log_lost_total", "Losses of all data of the revocation log."),
    ("statewise_log_shortened_total", "Losses of the last entries of the revocation log."),
    ("statewise_other_log_total", "Nodes that reject logins of another revocation log."),
];

/// Counters with labels, and their help texts.
#[rustfmt::skip]
const LABELLED: [(&str, &str); 10] = [
    ("statewise_updated_total", "Updates of roles, device or data."),
    ("statewise_revoked_total", "Logouts."),
    ("statewise_ended_total", "Logins that ended without a logout of their own: replaced, evicted and others."),
    ("statewise_rejected_total", "Rejected credentials."),
    ("statewise_refused_total", "Calls that a rule of the service forbade."),
    ("statewise_denied_total", "Requests that the web layer denied."),
    ("statewise_unavailable_total", "Calls that a store, the clock or the entropy source failed."),
    ("statewise_unreadable_total", "Calls for a login that this version cannot read."),
    ("statewise_misused_total", "Calls that failed by a mistake in configuration or code."),
    ("statewise_thefts_total", "Logins ended because a replaced credential came back."),
];

impl MetricsObserver {
    /// Creates an observer, describes its metrics to the recorder that is installed now, and begins
    /// each counter there at 0.
    #[must_use]
    pub fn new() -> Self {
        for (name, help) in PLAIN.into_iter().chain(LABELLED) {
            describe_counter!(name, help);
        }
        let help = "Duration of each call of the authenticator.";
        describe_histogram!("statewise_duration_seconds", Unit::Seconds, help);
        let help = "Time since the last complete read of the revocation log was sent.";
        describe_gauge!("statewise_view_lag_seconds", Unit::Seconds, help);
        let help = "1 if the lag of the revocation view exceeds its bound, else 0.";
        describe_gauge!("statewise_view_stale", help);
        let help = "1 while calls to a server that does not answer fail at once, else 0.";
        describe_gauge!("statewise_store_silent", help);
        let help = "Facts about logins and subjects in the revocation view.";
        describe_gauge!("statewise_view_facts", help);
        let help = "Time by which the clock of this node is ahead of that of the store.";
        describe_gauge!("statewise_clock_skew_seconds", Unit::Seconds, help);
        let help = "Upkeeps that run.";
        describe_gauge!("statewise_upkeep_running", help);
        begin_counters();
        Self(())
    }
}

/// Calls with a credential, which may be rejected for any cause.
const CREDENTIAL_ACTS: [Act; 4] = [Act::Verify, Act::Refresh, Act::Revoke, Act::Update];

/// Begins each counter at 0, with the labels that it can have.
fn begin_counters() {
    let begin = |counter: Counter| counter.increment(0);
    for (name, _) in PLAIN {
        begin(counter!(name));
    }
    for act in Act::ALL.map(Act::name) {
        begin(counter!("statewise_unavailable_total", "act" => act));
        begin(counter!("statewise_misused_total", "act" => act));
        begin(counter!("statewise_unreadable_total", "act" => act));
    }
    for act in [Act::Update, Act::UpdateAll, Act::UpdateId].map(Act::name) {
        begin(counter!("statewise_updated_total", "act" => act));
    }
    let revoked = [
        Act::Revoke,
        Act::RevokeAll,
        Act::RevokeId,
        Act::RevokeOthers,
        Act::Leaked,
    ];
    for act in revoked.map(Act::name) {
        begin(counter!("statewise_revoked_total", "act" => act));
    }
    let ended = [
        (Act::Issue, EndCause::Replaced),
        (Act::Issue, EndCause::Evicted),
        (Act::Refresh, EndCause::Evicted),
        (Act::Refresh, EndCause::Upgraded),
        (Act::Refresh, EndCause::UserGone),
        (Act::Update, EndCause::UserGone),
        (Act::Revoke, EndCause::LoggedOut),
        (Act::IssueTicket, EndCause::Evicted),
    ];
    for (act, cause) in ended {
        let (act, cause) = (act.name(), cause.name());
        begin(counter!("statewise_ended_total", "act" => act, "cause" => cause));
    }
    for act in CREDENTIAL_ACTS.into_iter().chain([Act::RevokeOthers]) {
        begin(counter!("statewise_thefts_total", "act" => act.name()));
    }
    for cause in Denied::NAMES {
        begin(counter!("statewise_denied_total", "cause" => cause));
    }
    let rejected = |act: Act, cause: Rejection| {
        let (act, cause) = (act.name(), cause.name());
        begin(counter!("statewise_rejected_total", "act" => act, "cause" => cause));
    };
    for act in CREDENTIAL_ACTS {
        for cause in Rejection::ALL {
            // A theft has a counter of its own, and only a ticket is bound to a browser.
            if !matches!(cause, Rejection::Reused | Rejection::WrongBrowser) {
                rejected(act, cause);
            }
        }
    }
    for cause in [Rejection::Malformed, Rejection::Unknown] {
        rejected(Act::RevokeOthers, cause);
        rejected(Act::Leaked, cause);
    }
    for act in [Act::Redeem, Act::UpdateTicket] {
        rejected(act, Rejection::Malformed);
        rejected(act, Rejection::Unknown);
        rejected(act, Rejection::WrongBrowser);
    }
    let refused = |act: Act, rule: Refusal| {
        let (act, cause) = (act.name(), rule.name());
        begin(counter!("statewise_refused_total", "act" => act, "cause" => cause));
    };
    for rule in Refusal::ALL {
        match rule {
            Refusal::LastKey | Refusal::NextKeyTooNew => refused(Act::RetireKey, rule),
            _ => {
                refused(Act::Issue, rule);
                refused(Act::Refresh, rule);
                refused(Act::Update, rule);
            }
        }
    }
    refused(Act::UpdateAll, Refusal::TooLarge);
    refused(Act::UpdateId, Refusal::TooLarge);
    refused(Act::IssueTicket, Refusal::TooLarge);
    refused(Act::IssueTicket, Refusal::Capacity);
    refused(Act::UpdateTicket, Refusal::TooLarge);
    // Adds nothing if an upkeep runs already.
    gauge!("statewise_upkeep_running").increment(0.0);
}

impl Default for MetricsObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        let counter = match *event {
            Event::Issued { .. } => counter!("statewise_issued_total"),
            Event::Ended { act, cause, .. } => {
                let (act, cause) = (act.name(), cause.name());
                counter!("statewise_ended_total", "act" => act, "cause" => cause)
            }
            Event::Verified { .. } => counter!("statewise_verified_total"),
            Event::Rotated { .. } => counter!("statewise_rotated_total"),
            Event::Replayed { .. } => counter!("statewise_replayed_total"),
            Event::Orphaned { .. } => counter!("statewise_orphaned_total"),
            Event::TicketIssued { .. } => counter!("statewise_tickets_issued_total"),
            Event::TicketUpdated { .. } => counter!("statewise_tickets_updated_total"),
            Event::TicketRedeemed { .. } => counter!("statewise_tickets_redeemed_total"),
            Event::Updated {
                act, stepped_up, ..
            } => {
                counter!("statewise_stepped_up_total").increment(u64::from(stepped_up.is_some()));
                counter!("statewise_updated_total", "act" => act.name())
            }
            Event::UpdatedAll { .. } => counter!("statewise_updated_total", "act" => "update_all"),
            Event::Revoked { act, .. } => counter!("statewise_revoked_total", "act" => act.name()),
            Event::RevokedAll { .. } => counter!("statewise_revoked_total", "act" => "revoke_all"),
            Event::RevokedOthers { .. } => {
                counter!("statewise_revoked_total", "act" => "revoke_others")
            }
            Event::RevokedEverything { .. } => counter!("statewise_everything_revoked_total"),
            Event::KeyRetired { .. } => counter!("statewise_keys_retired_total"),
            Event::Denied { denied, .. } => {
                counter!("statewise_denied_total", "cause" => denied.name())
            }
            Event::Rejected { act, cause, .. } => {
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
            Event::StoreSilent { backend, keeps, .. }
            | Event::StoreAnswers { backend, keeps, .. } => {
                let silent = u8::from(matches!(event, Event::StoreSilent { .. }));
                let (backend, keeps) = (backend.to_owned(), keeps.to_owned());
                gauge!("statewise_store_silent", "backend" => backend, "keeps" => keeps)
                    .set(silent);
                return;
            }
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
            Event::ClockSkew { ahead, .. } => {
                gauge!("statewise_clock_skew_seconds").set(ahead.as_seconds_f64());
                return;
            }
            Event::Swept { rows } => {
                counter!("statewise_swept_total").increment(rows);
                return;
            }
            Event::UpkeepStarted => {
                gauge!("statewise_upkeep_running").increment(1.0);
                return;
            }
            Event::UpkeepStopped { follows_view, .. } => {
                gauge!("statewise_upkeep_running").decrement(1.0);
                if follows_view {
                    // Another upkeep that follows the same view corrects it with its next read.
                    gauge!("statewise_view_lag_seconds").set(f64::INFINITY);
                    gauge!("statewise_view_stale").set(1);
                }
                return;
            }
            Event::LogFailed { calls, .. } => {
                counter!("statewise_log_failed_total").increment(calls);
                return;
            }
            Event::LogLost => counter!("statewise_log_lost_total"),
            Event::LogShortened => counter!("statewise_log_shortened_total"),
            Event::OtherLog => counter!("statewise_other_log_total"),
            Event::UpkeepFailed { .. } => counter!("statewise_upkeep_failed_total"),
        };
        counter.increment(1);
    }

    fn observe_call(&self, event: &Event<'_>, took: Duration) {
        if let Some((act, outcome)) = event.outcome() {
            let act = act.name();
            histogram!("statewise_duration_seconds", "act" => act, "outcome" => outcome)
                .record(took);
        }
        self.observe(event);
    }
}
