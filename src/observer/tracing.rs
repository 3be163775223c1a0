//! Events as events of the crate `tracing`.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ::tracing::{debug, error, info, trace, warn};

use crate::error::{Error, Rejection};
use crate::observer::Observer;
use crate::observer::event::{Act, Denied, Event, SteppedUp};
use crate::observer::throttle::{Line, Throttle};

/// Sends each event to the application's `tracing` subscriber, with the target `statewise`.
///
/// | event | level | fields |
/// |---|---|---|
/// | misused | error | `act`, `error` |
/// | upkeep panicked | error | `follows_view` |
/// | unavailable | warn, [limited](#repeated-lines) | `act`, `error`, `suppressed` |
/// | key retired | warn | `kid`, `effective` |
/// | revoked everything | warn | `effective` |
/// | theft | warn | `act`, `subject`, `login` |
/// | unreadable | warn, limited | `act`, `login`, `suppressed` |
/// | store does not answer | warn | `backend`, `keeps`, `cause` |
/// | store answers again | warn | `backend`, `keeps`, `seconds`, `suppressed` |
/// | upkeep failed | warn, limited | `chore`, `error`, `suppressed` |
/// | revocation log took no entry | warn, limited | `calls`, `error`, `suppressed` |
/// | revocation log began anew: its data were lost. (What to do) | warn | |
/// | revocation log lost its last entries: (what to do) | warn | |
/// | logins of another revocation log are rejected as revoked: (what to do) | warn | |
/// | clock differs from that of the store | warn | `ahead_seconds` |
/// | view is stale | warn, limited | `behind_seconds`, `facts`, `suppressed` |
/// | view is fresh again | warn | `facts`, `suppressed` |
/// | upkeep started, upkeep stopped | info | stopped: `follows_view` |
/// | issued | info | `subject`, `login`, `device`, `acr` |
/// | ended | info | `act`, `subject`, `login`, `device`, `cause`, `by`, `effective` |
/// | orphaned | info | `subject`, `login`, `device` |
/// | ticket issued, ticket redeemed | info | `subject`, `login` (the id of the ticket), `purpose` |
/// | revoked, or revoked nothing if there was no such login | info | `act`, `subject`, `login`, `device`, `effective` |
/// | revoked all, updated all | info | `subject`, `count`, `effective` |
/// | revoked others | info | `subject`, `login`, `device`, `count`, `effective` |
/// | updated | info | `act`, `subject`, `login`, `device`, `roles` |
/// | stepped up | info | `act`, `subject`, `login`, `device`, `acr`, `lasts_seconds`, `roles` |
/// | refused | info | `act`, `cause` |
/// | rejected, forged or not for this service | info | `act`, `cause`, `claim` |
/// | denied: failed login, failed second factor, role, age, acr | info | `cause`, `method`, `path`, `subject`, `login`, `device`; `tried`; `required`; `max_age_seconds` |
/// | denied: another origin | info | the same, and `origin`, `host` |
/// | rejected, of any other cause | debug | `act`, `cause`, `claim` |
/// | denied: unclear credentials | debug | `cause`, `method`, `path` |
/// | verified, rotated, replayed | trace | `login` |
/// | denied: no credential | trace | `cause`, `method`, `path` |
/// | view lag | trace | `behind_seconds`, `facts` |
/// | clock skew | trace | `ahead_seconds` |
/// | swept | trace | `rows` |
///
/// A field is missing where its value is unknown. `login` is a [public id](crate::PublicId), computed only if a
/// subscriber wants the event. `act` and `cause` are fixed names such as `"revoke_all"` and `"bad_signature"`.
/// `error` has all causes down to the root. A client chooses `device`, `method`, `path`, `origin` and `host`:
/// they are strings, which a subscriber quotes. `path` has no query. *Ended* is one line for each login that
/// ended without a logout of its own: `login` is the ended one, `cause` is `replaced`, `evicted`, `upgraded`,
/// `user_gone` or, for the login before or after an upgrade of the one that was logged out, `logged_out`, and
/// `by` the public id of the login in favor of which it ended. `by` is missing if there is none, as after a
/// failure: the next line of the call says why. A ticket that other tickets evict is such a line with the act
/// `issue_ticket`. `required` names the roles of which the caller has none, or the class (`acr`) that the caller
/// lacks or, beside `max_age_seconds`, has proven too long ago. `tried` is the user of a failed login, if the
/// application has [noted](crate::web::SignIn::failed) it, or of a failed [second
/// factor](crate::web::SignIn::failed_second_factor).
///
/// The address of the client is not among the fields: behind a proxy only your application knows it. Put it
/// into the span of each request, as the manual on
/// [logs](crate::manual::logs#addresses-of-clients-in-the-log) shows.
///
/// *Stepped up* has the class that the user has just proven as `acr` and the time for which it lasts as
/// `lasts_seconds` (an access token of a hybrid may expire sooner), and takes the place of *updated*. Both have the
/// roles that the login has now. *Updated all* has none, because your edit may have
/// given each login others: log them where you call it.
///
/// # Levels
///
/// At *info* a log has what OWASP ASVS 16.3.1 to 16.3.3 ask for: successful and failed logins,
/// logouts, failed authorization, and attempts to bypass a control. A credential that does not
/// verify is such an attempt only if no honest client could send it: a bad signature, a header or claims
/// that were not issued, or a token for another service. This holds while the keys, the issuer, the
/// audience and the lifetimes stay as they are: after a rotation, honest clients still come back with tokens of
/// a removed key, which have an *unacceptable header*. An expired or unknown credential is what each
/// user sends who comes back the next day: it is *debug*. Verifications and refreshes are *trace*,
/// because there is one for each request.
///
/// # Repeated lines
///
/// An outage fails each request. Of the lines marked as limited, one of each kind in ten seconds is
/// *warn*, and the others are *debug*. A kind is one message with one `act`, or `chore`, and one `error` with
/// all of its causes, so a new root cause is a line at once. The next line at *warn* has the number of lines
/// that were not, as `suppressed`. There are at most 256 kinds: all further ones count as one. Count
/// failures in metrics, which miss none.
///
/// *View is fresh again* ends the outage of *view is stale* and *upkeep failed*. *Store answers again* ends that
/// of *unavailable*, *upkeep failed* and *revocation log took no entry*, for all acts and errors. Both are always
/// *warn*, and have the number of lines that were not *warn* since. The first line of the next outage is *warn*
/// again, however soon it comes.
///
/// `keeps` names the use of the server by the application: `"sessions"`, `"revocations"`, or
/// `"sessions and revocations"`. It tells two servers of one backend from each other.
///
/// ```
/// use std::sync::Arc;
/// use statewise::{Authenticator, Observed};
/// use statewise::observer::TracingObserver;
///
/// fn logged<A: Authenticator>(auth: A) -> Observed<A> {
///     Observed::new(auth, Arc::new(TracingObserver::new()))
/// }
/// ```
#[derive(Debug, Default)]
pub struct TracingObserver {
    throttle: Throttle,
    /// True if the last state of a view was stale.
    is_view_stale: AtomicBool,
}

impl TracingObserver {
    /// Creates an observer. Share one between authenticators and backends: each limits repeated lines on
    /// its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

const TARGET: &str = "statewise";
const STALE: &str = "view is stale";
const UPKEEP: &str = "upkeep failed";
/// Messages of the lines that an outage of a store repeats.
const OF_STORES: [&str; 3] = ["unavailable", UPKEEP, "revocation log took no entry"];

/// Returns a number of lines as a field, which is missing if there are none.
fn count(suppressed: u64) -> Option<u64> {
    (suppressed > 0).then_some(suppressed)
}

/// Logs an event about a login.
macro_rules! of_login {
    ($level:ident, $login:expr, $($field:tt)+) => {
        $level!(
            target: TARGET,
            subject = $login.subject(),
            login = %$login.id(),
            device = $login.device(),
            $($field)+
        )
    };
}

/// Logs at *warn* a line of which one of each kind passes in ten seconds, else at *debug*.
macro_rules! limited {
    ($line:expr, $message:literal, $($field:tt)+) => {
        match $line {
            Line::Passes(suppressed) => {
                let suppressed = count(suppressed);
                warn!(target: TARGET, $($field)+, suppressed, $message);
            }
            Line::HeldBack => debug!(target: TARGET, $($field)+, $message),
        }
    };
}

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        self.observe_at(event, Instant::now);
    }
}

impl TracingObserver {
    fn observe_at(&self, event: &Event<'_>, now: impl Fn() -> Instant) {
        let line = |message, detail| self.throttle.line(message, detail, now());
        match *event {
            Event::Issued { login } => of_login!(info, login, acr = login.acr(), "issued"),
            Event::Ended {
                act,
                login,
                cause,
                by,
                effective,
            } => {
                let by = by.map(|by| tracing::field::display(by.id()));
                let effective = effective.map(tracing::field::debug);
                let (act, cause) = (act.name(), cause.name());
                of_login!(info, login, act, cause, by, effective, "ended");
            }
            Event::Verified { login } => trace!(target: TARGET, login = %login.id(), "verified"),
            Event::Rotated { login } => trace!(target: TARGET, login = %login.id(), "rotated"),
            Event::Replayed { login } => trace!(target: TARGET, login = %login.id(), "replayed"),
            Event::Orphaned { login } => of_login!(info, login, "orphaned"),
            Event::Revoked {
                act,
                login,
                found,
                effective,
            } => {
                let leaked = act == Act::Leaked;
                let act = act.name();
                match login {
                    Some(login) if leaked => of_login!(warn, login, act, ?effective, "revoked"),
                    Some(login) if found => of_login!(info, login, act, ?effective, "revoked"),
                    Some(login) => of_login!(info, login, act, ?effective, "revoked nothing"),
                    None => info!(target: TARGET, act, ?effective, "revoked nothing"),
                }
            }
            Event::RevokedEverything { effective } => {
                warn!(target: TARGET, ?effective, "revoked everything");
            }
            Event::KeyRetired { kid, effective } => {
                warn!(target: TARGET, kid, ?effective, "key retired");
            }
            Event::RevokedAll {
                subject,
                count,
                effective,
            } => {
                info!(target: TARGET, subject, count, ?effective, "revoked all");
            }
            Event::RevokedOthers {
                login,
                count,
                effective,
            } => of_login!(info, login, count, ?effective, "revoked others"),
            Event::Updated {
                act,
                login,
                stepped_up: Some(SteppedUp { acr, lasts }),
            } => of_login!(
                info,
                login,
                act = act.name(),
                acr,
                lasts_seconds = lasts.as_secs(),
                roles = login.roles().map(list),
                "stepped up"
            ),
            Event::Updated { act, login, .. } => of_login!(
                info,
                login,
                act = act.name(),
                roles = login.roles().map(list),
                "updated"
            ),
            Event::UpdatedAll {
                subject,
                count,
                effective,
            } => info!(target: TARGET, subject, count, ?effective, "updated all"),
            Event::TicketIssued { purpose, ticket } => {
                of_login!(info, ticket, purpose, "ticket issued");
            }
            Event::TicketUpdated { purpose, ticket } => {
                of_login!(info, ticket, purpose, "ticket updated");
            }
            Event::TicketRedeemed { purpose, ticket } => {
                of_login!(info, ticket, purpose, "ticket redeemed");
            }
            Event::Denied {
                denied,
                login,
                method,
                path,
            } => {
                let cause = denied.name();
                let subject = login.map(|login| login.subject());
                let device = login.and_then(|login| login.device());
                let login = login.map(|login| tracing::field::display(login.id()));
                match denied {
                    Denied::NoCredential => trace!(target: TARGET, cause, method, path, "denied"),
                    Denied::UnknownCredential => {
                        info!(target: TARGET, cause, method, path, "denied");
                    }
                    Denied::Unclear => debug!(target: TARGET, cause, method, path, "denied"),
                    Denied::FailedLogin { tried } => info!(
                        target: TARGET,
                        cause, method, path, tried, subject, login, device, "denied"
                    ),
                    Denied::FailedSecondFactor { tried } => info!(
                        target: TARGET,
                        cause, method, path, tried, subject, login, device, "denied"
                    ),
                    Denied::MissingRole { any_of } => {
                        let required = any_of.join(" or ");
                        info!(
                            target: TARGET,
                            cause, method, path, required, subject, login, device, "denied"
                        );
                    }
                    Denied::WeakAcr { acr: required } => info!(
                        target: TARGET,
                        cause, method, path, required, subject, login, device, "denied"
                    ),
                    Denied::TooOld {
                        max_age,
                        acr: required,
                    } => {
                        let max_age_seconds = max_age.as_secs();
                        info!(
                            target: TARGET,
                            cause,
                            method,
                            path,
                            required,
                            max_age_seconds,
                            subject,
                            login,
                            device,
                            "denied"
                        );
                    }
                    Denied::CrossOrigin { origin, host } => info!(
                        target: TARGET,
                        cause, method, path, subject, login, device, origin, host, "denied"
                    ),
                    _ => info!(
                        target: TARGET,
                        cause, method, path, subject, login, device, "denied"
                    ),
                }
            }
            Event::Rejected { act, cause, claim } => {
                let (act, name) = (act.name(), cause.name());
                if is_attack(cause) {
                    info!(target: TARGET, act, cause = name, claim, "rejected");
                } else {
                    debug!(target: TARGET, act, cause = name, claim, "rejected");
                }
            }
            Event::Theft { act, theft } => warn!(
                target: TARGET,
                act = act.name(),
                subject = theft.subject(),
                login = %theft.login(),
                "theft"
            ),
            Event::Refused { act, rule } => {
                info!(target: TARGET, act = act.name(), cause = rule.name(), "refused");
            }
            Event::Unreadable { act, login } => {
                let login = login.map(tracing::field::display);
                let act = act.name();
                let line = line("unreadable", act.to_owned());
                limited!(line, "unreadable", act, login);
            }
            Event::Unavailable { act, error } => {
                let (act, error) = (act.name(), chain(error));
                let line = line("unavailable", format!("{act} {error}"));
                limited!(line, "unavailable", act, error);
            }
            Event::Misused { act, error } => {
                error!(target: TARGET, act = act.name(), error = chain(error), "misused");
            }
            Event::StoreSilent {
                backend,
                keeps,
                cause,
            } => {
                warn!(target: TARGET, backend, keeps, cause, "store does not answer");
            }
            Event::StoreAnswers {
                backend,
                keeps,
                after,
            } => {
                let seconds = after.as_secs_f64();
                let suppressed = count(self.throttle.end(&OF_STORES));
                warn!(target: TARGET, backend, keeps, seconds, suppressed, "store answers again");
            }
            Event::ViewLag {
                behind,
                stale,
                facts,
            } => {
                let behind_seconds = behind.map(|behind| behind.as_secs());
                let was_stale = self.is_view_stale.swap(stale, Ordering::Relaxed);
                if stale {
                    let line = line(STALE, String::new());
                    limited!(line, "view is stale", behind_seconds, facts);
                } else if was_stale {
                    // Never held back, or the log would end with a stale view.
                    let suppressed = count(self.throttle.end(&[STALE, UPKEEP]));
                    warn!(target: TARGET, facts, suppressed, "view is fresh again");
                } else {
                    trace!(target: TARGET, behind_seconds, facts, "view lag");
                }
            }
            Event::LogFailed { calls, error } => {
                let error = chain(error);
                let line = line("revocation log took no entry", error.clone());
                limited!(line, "revocation log took no entry", calls, error);
            }
            Event::LogLost => {
                warn!(
                    target: TARGET,
                    "revocation log began anew: its data were lost. Logins from before are rejected; to admit \
                     them, set `accept_other_incarnations`"
                );
            }
            Event::LogShortened => {
                warn!(
                    target: TARGET,
                    "revocation log lost its last entries: if a node stopped at the same time, or the \
                     same server keeps sessions, end all logins"
                );
            }
            Event::OtherLog => {
                warn!(
                    target: TARGET,
                    "logins of another revocation log are rejected as revoked: give all nodes one log, unless \
                     it was lost before this node started"
                );
            }
            Event::ClockSkew {
                ahead,
                is_excessive,
            } => {
                let ahead_seconds = ahead.whole_seconds();
                if is_excessive {
                    warn!(target: TARGET, ahead_seconds, "clock differs from that of the store");
                } else {
                    trace!(target: TARGET, ahead_seconds, "clock skew");
                }
            }
            Event::Swept { rows } => trace!(target: TARGET, rows, "swept"),
            Event::UpkeepStarted => info!(target: TARGET, "upkeep started"),
            Event::UpkeepStopped {
                follows_view,
                panicked: true,
            } => error!(target: TARGET, follows_view, "upkeep panicked"),
            Event::UpkeepStopped { follows_view, .. } => {
                info!(target: TARGET, follows_view, "upkeep stopped");
            }
            Event::UpkeepFailed { chore, error } => {
                let error = chain(error);
                let line = line("upkeep failed", format!("{chore:?} {error}"));
                limited!(line, "upkeep failed", ?chore, error);
            }
        }
    }
}

/// Returns true if no honest client sends a credential that is rejected for this cause, while the
/// configuration stays as it is.
fn is_attack(cause: Rejection) -> bool {
    matches!(
        cause,
        Rejection::UnacceptableHeader
            | Rejection::BadSignature
            | Rejection::InvalidClaims
            | Rejection::MissingClaim
            | Rejection::WrongClaimType
            | Rejection::LivesTooLong
            | Rejection::WrongIssuer
            | Rejection::WrongAudience
            | Rejection::WrongType
    )
}

/// Returns texts as one value. Called only if a subscriber wants the event.
fn list<'a>(texts: impl Iterator<Item = &'a str>) -> tracing::field::DebugValue<Vec<&'a str>> {
    tracing::field::debug(texts.collect())
}

/// Returns an error and all of its causes.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fmt::{Debug, Write as _};
    use std::time::Duration;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Level, Metadata, Subscriber};

    use super::*;

    thread_local! {
        /// The lines at *warn* of this thread.
        static WARNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    struct Warnings;

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            match field.name() {
                "message" => write!(self.0, " {value:?}").unwrap(),
                name => write!(self.0, " {name}={value:?}").unwrap(),
            }
        }
    }

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == TARGET && *metadata.level() <= Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            WARNED.with_borrow_mut(|lines| lines.push(fields.0.trim_start().to_owned()));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Observes events, each at a time in milliseconds. Returns the lines at *warn*.
    fn warned(events: &[(u64, Event<'_>)]) -> Vec<String> {
        let (observer, begun) = (TracingObserver::new(), Instant::now());
        WARNED.take();
        tracing::subscriber::with_default(Warnings, || {
            for (at, event) in events {
                observer.observe_at(event, || begun + Duration::from_millis(*at));
            }
        });
        WARNED.take()
    }

    fn lag(stale: bool) -> Event<'static> {
        Event::ViewLag {
            behind: None,
            stale,
            facts: 0,
        }
    }

    #[test]
    fn the_last_line_about_a_view_is_its_state() {
        let events = [
            (0, lag(true)),
            (1_000, lag(true)),
            (9_000, lag(false)),
            (10_000, lag(true)),
            // Within ten seconds of the last one.
            (11_000, lag(false)),
            (12_000, lag(true)),
            (13_000, lag(false)),
            (14_000, lag(false)),
            (20_000, lag(true)),
            (21_000, lag(true)),
            (22_000, lag(false)),
            (600_000, lag(true)),
        ];
        let [stale, fresh] = ["view is stale facts=0", "view is fresh again facts=0"];
        let counted = &*format!("{fresh} suppressed=1");
        let expected = [
            stale, counted, stale, fresh, stale, fresh, stale, counted, stale,
        ];
        assert_eq!(warned(&events), expected);
    }

    /// An outage that begins a second after another one has ended. The numbers of both are complete.
    #[test]
    fn the_next_outage_of_a_store_begins_with_its_first_line() {
        let down = Error::unavailable("connection refused");
        let failed = || Event::Unavailable {
            act: Act::Verify,
            error: &down,
        };
        let answers = || Event::StoreAnswers {
            backend: "redis",
            keeps: "sessions",
            after: Duration::from_secs(1),
        };
        let events = [
            (0, failed()),
            (1, failed()),
            (2, failed()),
            (1_000, answers()),
            (2_000, failed()),
            (3_000, answers()),
        ];
        let failure = "unavailable act=\"verify\" \
                       error=\"unavailable: the store could not answer: connection refused\"";
        let answer = "store answers again backend=\"redis\" keeps=\"sessions\" seconds=1.0";
        let counted = format!("{answer} suppressed=2");
        assert_eq!(warned(&events), [failure, &*counted, failure, answer]);
    }

    #[test]
    fn a_new_root_cause_is_a_line_at_once() {
        let down = Error::unavailable("connection refused");
        let full = Error::unavailable("out of memory");
        let failed = |error| Event::Unavailable {
            act: Act::Verify,
            error,
        };
        let events = [
            (0, failed(&down)),
            (1, failed(&down)),
            (2, failed(&down)),
            (3, failed(&full)),
            (4, failed(&full)),
            (10_000, failed(&down)),
        ];
        let line = |cause: &str, rest: &str| {
            let error = format!("unavailable: the store could not answer: {cause}");
            format!("unavailable act=\"verify\" error={error:?}{rest}")
        };
        let expected = [
            line("connection refused", ""),
            line("out of memory", ""),
            line("connection refused", " suppressed=2"),
        ];
        assert_eq!(warned(&events), expected);
    }
}
