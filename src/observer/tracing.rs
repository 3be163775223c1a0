//! Events as events of the crate `tracing`.

use ::tracing::{debug, trace, warn};

use crate::observer::Observer;
use crate::observer::event::Event;

/// Sends each event to the application's `tracing` subscriber, with the target `statewise`.
///
/// | event | level | fields |
/// |---|---|---|
/// | theft | warn | `act`, `subject`, `login` |
/// | unreadable | warn | `act`, `login` |
/// | upkeep failed | warn | `chore`, `error` |
/// | view lag, stale | warn | `behind_seconds`, `facts` |
/// | rejected, refused | debug | `act`, `cause` |
/// | unavailable, misused | debug | `act`, `error` |
/// | issued, verified, rotated, replayed | trace | `login` |
/// | revoked | trace | `effective` |
/// | revoked all | trace | `subject`, `effective` |
/// | view lag | trace | `behind_seconds`, `facts` |
/// | swept | trace | `rows` |
///
/// `login` is a [public id](crate::PublicId), computed only if a subscriber wants the event. `act`
/// and `cause` are fixed names such as `"revoke_all"` and `"bad_signature"`. The `login` of an
/// unreadable one is missing where it is unknown. `behind_seconds` is
/// missing before the first complete read of a view.
///
/// ```
/// use std::sync::Arc;
/// use statewise::{Authenticator, Observed};
/// use statewise::observer::TracingObserver;
///
/// fn logged<A: Authenticator>(auth: A) -> Observed<A> {
///     Observed::new(auth, Arc::new(TracingObserver))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

const TARGET: &str = "statewise";

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Issued { login } => trace!(target: TARGET, login = %login.id(), "issued"),
            Event::Verified { login } => trace!(target: TARGET, login = %login.id(), "verified"),
            Event::Rotated { login } => trace!(target: TARGET, login = %login.id(), "rotated"),
            Event::Replayed { login } => trace!(target: TARGET, login = %login.id(), "replayed"),
            Event::Orphaned { login } => debug!(target: TARGET, login = %login.id(), "orphaned"),
            Event::Revoked { effective } => trace!(target: TARGET, ?effective, "revoked"),
            Event::RevokedAll { subject, effective } => {
                trace!(target: TARGET, subject, ?effective, "revoked all");
            }
            Event::Rejected { act, cause } => {
                debug!(target: TARGET, act = act.name(), cause = cause.name(), "rejected");
            }
            Event::Theft { act, theft } => warn!(
                target: TARGET,
                act = act.name(),
                subject = theft.subject(),
                login = %theft.login(),
                "theft"
            ),
            Event::Refused { act, rule } => {
                debug!(target: TARGET, act = act.name(), cause = rule.name(), "refused");
            }
            Event::Unreadable { act, login } => {
                let login = login.map(tracing::field::display);
                warn!(target: TARGET, act = act.name(), login, "unreadable");
            }
            Event::Unavailable { act, error } => {
                debug!(target: TARGET, act = act.name(), ?error, "unavailable");
            }
            Event::Misused { act, error } => {
                debug!(target: TARGET, act = act.name(), ?error, "misused");
            }
            Event::ViewLag {
                behind,
                stale,
                facts,
            } => {
                let behind_seconds = behind.map(|behind| behind.as_secs());
                if stale {
                    warn!(target: TARGET, behind_seconds, facts, "view is stale");
                } else {
                    trace!(target: TARGET, behind_seconds, facts, "view lag");
                }
            }
            Event::Swept { rows } => trace!(target: TARGET, rows, "swept"),
            Event::UpkeepFailed { chore, error } => {
                warn!(target: TARGET, ?chore, ?error, "upkeep failed");
            }
        }
    }
}
