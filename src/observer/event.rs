//! Events that observers receive.

use std::fmt;
use std::time::Duration;

use crate::base::public_id::PublicId;
use crate::error::{EndCause, Error, Refusal, Rejection, Theft};
use crate::login::issued::Revocation;
use crate::login::login_ref::LoginRef;

/// An event. Each completed call of an [`Observed`](crate::Observed) authenticator causes exactly
/// one; a dropped call causes none, and so does an [`update_id`](Act::UpdateId) that finds no login,
/// and a [`begin`](crate::Authenticator::begin) that succeeds. Each further login that the call
/// has ended is one more event, [`Ended`](Self::Ended).
///
/// `Debug` shows no secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A user logged in. The logins that ended in favor of this one are [reported](Self::Ended) before.
    Issued {
        /// The new login.
        login: LoginRef<'a>,
    },
    /// A login was ended that was not logged out, such as the one that a new login
    /// [replaces](crate::Login::replaces), or one of the [others](crate::Logout::others) that end with a logout.
    /// Reported once for each such login, before the event of the call.
    ///
    /// A call that fails reports them too. Where a store has lost its answer, logins may have ended that no
    /// event names: the event of the call is then *unavailable*.
    Ended {
        /// The call: `Issue`, `Refresh`, `Update`, `Revoke`, or `IssueTicket` for a ticket.
        act: Act,
        /// The ended login or ticket.
        login: LoginRef<'a>,
        /// The cause.
        cause: EndCause,
        /// The login or ticket in favor of which it ended, or the one that was logged out. `None` if the call
        /// failed: its event, which
        /// follows, says why.
        by: Option<LoginRef<'a>>,
        /// The time at which it takes effect, where it is known.
        effective: Option<Revocation>,
    },
    /// A credential was verified.
    Verified {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A credential was refreshed and rotated.
    Rotated {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A refresh was repeated and got the same answer.
    Replayed {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A replaced credential was refreshed after the grace, although its successor was never used. The answer
    /// was probably lost; otherwise there is a copy of the replaced credential.
    Orphaned {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A login was ended, by its credential or by its public id, or an API key because it
    /// [leaked](crate::api_keys::ApiKeys::leaked). One event for each logout: the
    /// [others](crate::Logout::others) that ended with it are [`Ended`](Self::Ended).
    Revoked {
        /// The call: `Revoke`, `RevokeId` or `Leaked`.
        act: Act,
        /// The login; that which was asked for if there is none. `None` for an unknown credential.
        login: Option<LoginRef<'a>>,
        /// False if there was no such login: the call succeeds too.
        found: bool,
        /// The time at which it takes effect.
        effective: Revocation,
    },
    /// All logins of a subject were revoked.
    RevokedAll {
        /// The subject.
        subject: &'a str,
        /// Number of logins that ended, where it is known.
        count: Option<u64>,
        /// The time at which it takes effect.
        effective: Revocation,
    },
    /// All logins of all users were revoked. Reported by the call on an [`Observed`](crate::Observed)
    /// authenticator, and once by the upkeep of every other node that follows the log. A node reports
    /// none that the log had before its first read.
    RevokedEverything {
        /// The time at which it takes effect: on all nodes for a call, on this node for the upkeep.
        effective: Revocation,
    },
    /// A key was retired: its tokens are rejected. Reported by the call on an
    /// [`Observed`](crate::Observed) authenticator, and once by the upkeep of every other node that
    /// follows the log. A node reports none that the log had before its first read.
    KeyRetired {
        /// The id of the key. It is no secret.
        kid: &'a str,
        /// The time at which it takes effect: on all nodes for a call, on this node for the upkeep.
        effective: Revocation,
    },
    /// All logins of a subject except one were revoked.
    RevokedOthers {
        /// The login that goes on.
        login: LoginRef<'a>,
        /// Number of ended logins, where it is known.
        count: Option<u64>,
        /// The time at which it takes effect.
        effective: Revocation,
    },
    /// Roles, device or data of a login were updated, or it was [stepped up](crate::Edit::step_up), or
    /// an update has left it as it was.
    Updated {
        /// The call: `Update` or `UpdateId`.
        act: Act,
        /// The login, as it is now.
        login: LoginRef<'a>,
        /// The proof, if this call stepped the login up.
        stepped_up: Option<SteppedUp<'a>>,
    },
    /// All logins of a subject were updated.
    UpdatedAll {
        /// The subject.
        subject: &'a str,
        /// Number of logins, where it is known.
        count: Option<u64>,
        /// The time at which it takes effect.
        effective: Revocation,
    },
    /// A ticket was issued. Sent to the [observer](crate::tickets::TicketsBuilder::observer) of the
    /// tickets, as are their failures.
    TicketIssued {
        /// The purpose.
        purpose: &'a str,
        /// The subject, and the public id of the ticket.
        ticket: LoginRef<'a>,
    },
    /// The payload of a ticket was updated, or an update has left it as it was.
    TicketUpdated {
        /// The purpose.
        purpose: &'a str,
        /// The subject, and the public id of the ticket.
        ticket: LoginRef<'a>,
    },
    /// A ticket was redeemed.
    TicketRedeemed {
        /// The purpose.
        purpose: &'a str,
        /// The subject, and the public id of the ticket.
        ticket: LoginRef<'a>,
    },
    /// A request was denied, not by an error of the authenticator. The web layer sends it; a
    /// framework of your own may [send](crate::observer::Observer::observe) it too.
    ///
    /// ```
    /// use statewise::observer::{Denied, Event, Observer};
    ///
    /// /// Reports a wrong password.
    /// fn log_in_failed(observer: &dyn Observer) {
    ///     observer.observe(&Event::Denied {
    ///         denied: Denied::FailedLogin { tried: None },
    ///         login: None,
    ///         method: Some("POST"),
    ///         path: Some("/login"),
    ///     });
    /// }
    /// # log_in_failed(&());
    /// ```
    Denied {
        /// The cause.
        denied: Denied<'a>,
        /// The verified caller, if there is one.
        login: Option<LoginRef<'a>>,
        /// The method of the request, where it is known. The client controls it.
        method: Option<&'a str>,
        /// The path of the request without the query, where it is known. The client controls it. Do
        /// not put credentials or tickets into paths: a log would show them.
        path: Option<&'a str>,
    },
    /// A credential was rejected, for any cause except theft.
    Rejected {
        /// The attempted call.
        act: Act,
        /// The cause.
        cause: Rejection,
        /// The claim at fault, where it is known: see [`Error::claim`].
        claim: Option<&'a str>,
    },
    /// A replaced credential was used again, so there was a copy. The login has been ended.
    Theft {
        /// The attempted call.
        act: Act,
        /// The ended login.
        theft: &'a Theft,
    },
    /// A rule of the service forbade the call.
    Refused {
        /// The attempted call.
        act: Act,
        /// The rule.
        rule: Refusal,
    },
    /// The service cannot read a login that it has stored or signed itself: see
    /// [`Error::is_unreadable`]. The login goes on.
    Unreadable {
        /// The attempted call.
        act: Act,
        /// The public id of the login, where it is known.
        login: Option<PublicId>,
    },
    /// A store, the clock or the entropy source could not answer.
    Unavailable {
        /// The attempted call.
        act: Act,
        /// The error.
        error: &'a Error,
    },
    /// A server has not answered several calls in a row: three calls waited for their whole deadline, or the
    /// connections failed for half a second, or a mix of both. One connection that breaks with all its calls is
    /// not reported. If a server of Postgres or MySQL accepts no writes, that counts like failing connections,
    /// because this crate uses none of its answers. Sent once in an outage, to the observer in the builder of
    /// the backend, such as `Redis::over(..).observer(..)`.
    ///
    /// After three calls in a row that waited for their whole deadline, calls are *unavailable* at once,
    /// except for one in a quarter of a second, until the server answers. If the server
    /// refuses connections, calls fail at once anyway.
    StoreSilent {
        /// The backend, such as `"redis"`.
        backend: &'a str,
        /// What the application keeps in it: `"sessions"`, `"revocations"`, or
        /// `"sessions and revocations"`.
        keeps: &'a str,
        /// The last cause of a failed connection, such as "connection refused", if there was one.
        cause: Option<&'a str>,
    },
    /// A server answers again.
    StoreAnswers {
        /// The backend, such as `"redis"`.
        backend: &'a str,
        /// What the application keeps in it, as in [`StoreSilent`](Self::StoreSilent).
        keeps: &'a str,
        /// The time since the first failed call. The report that the server is
        /// [silent](Self::StoreSilent) came later, with the third one.
        after: Duration,
    },
    /// The configuration or the calling code is wrong.
    Misused {
        /// The attempted call.
        act: Act,
        /// Instructions for the developer.
        error: &'a Error,
    },
    /// The state of a revocation view, reported after each read of the log, also a failed one.
    ViewLag {
        /// Age of the view: the time since its last complete read was sent. In whole seconds;
        /// `None` before the first.
        behind: Option<Duration>,
        /// True if the age exceeds the bound.
        stale: bool,
        /// Number of facts about logins and subjects in the view.
        facts: usize,
    },
    /// Calls of this node could not append to the revocation log. Reported by the upkeep of the view, in
    /// its next step, once for all calls since the step before.
    ///
    /// A logout of a hybrid or of cached sessions succeeds nevertheless: the store has ended the login.
    /// Its access tokens, or its copies on other nodes, go on until they expire, as the answer says:
    /// [`Revocation::Within`] the lifetime of an access token, or the maximum age of a copy. A call
    /// that needs the log, such as a logout of a token, is *unavailable* and reported itself too. Where an
    /// answer of the log was lost, the log may have taken the entry.
    LogFailed {
        /// Number of failed calls.
        calls: u64,
        /// The cause of the last failure.
        error: &'a Error,
    },
    /// The revocation log has lost all of its data and has begun again. Reported once by the upkeep of each
    /// node that had read it before; a node that starts reports none.
    ///
    /// The nodes append the facts that they remember. Logins that were stamped before are rejected on the
    /// node, unless the view [accepts](crate::revocation::ViewBuilder::accept_other_incarnations) them;
    /// those of another store behind a [`CachedStore`](crate::store::CachedStore) go on.
    LogLost,
    /// The revocation log is shorter than it was: its last entries were lost, in a crash, in a failover, or because
    /// the server started from an older snapshot. Reported once by the upkeep of each node that notices it, by an
    /// entry that it had read or appended, or by the stamp of a presented login.
    ///
    /// The nodes append the facts that they remember, and logins that were stamped in the lost part are rejected
    /// when they are presented. A logout is undone only if no running node had read it, which takes one
    /// [`poll`](crate::revocation::ViewBuilder::poll). If a node stopped at the same time, or if the same server
    /// keeps sessions, whose rows went back too, call
    /// [`revoke_everything`](crate::revocation::RevocationView::revoke_everything), or wait until the longest
    /// lifetime of a login has passed. See the [manual](crate::manual::revocation#losses).
    LogShortened,
    /// This node rejects logins as revoked because they were stamped by another revocation log than the one that
    /// it follows: not all nodes share one log, or the log was lost before this node started. Reported once by
    /// the upkeep of each node; not after [`LogLost`](Self::LogLost), which has the same effect.
    OtherLog,
    /// The upkeep compared the clock of this node with that of its store: Redis, Postgres or MySQL.
    /// Reported once a minute, also if they agree.
    ClockSkew {
        /// Lead of the clock of this node, in whole seconds; negative if it is behind.
        ahead: time::Duration,
        /// True if the clocks differ by more than five seconds, the limit in the
        /// [manual](crate::manual::operations#clocks).
        is_excessive: bool,
    },
    /// The upkeep removed expired sessions, or found none.
    Swept {
        /// Number of rows removed in this step.
        rows: u64,
    },
    /// An upkeep [runs](crate::Upkeep::run).
    UpkeepStarted,
    /// An upkeep runs no more: its task has ended, or was aborted, as at a shutdown.
    UpkeepStopped {
        /// True if it followed the log for a revocation view. If no other upkeep follows it, the view
        /// becomes stale after its bound.
        follows_view: bool,
        /// True if it has stopped by a panic, of its own or of another part of its task.
        panicked: bool,
    },
    /// A step of the upkeep failed. [`run`](crate::Upkeep::run) retries.
    UpkeepFailed {
        /// The chore; its `Debug` output is its name.
        chore: &'a (dyn fmt::Debug + Send + Sync),
        /// The cause.
        error: &'a Error,
    },
}

impl<'a> Event<'a> {
    /// The call, and `"ok"` or the blame for its failure; `None` if the event is about no call.
    #[cfg(feature = "metrics")]
    pub(crate) fn outcome(&self) -> Option<(Act, &'static str)> {
        Some(match *self {
            Self::Issued { .. } => (Act::Issue, "ok"),
            Self::Verified { .. } => (Act::Verify, "ok"),
            Self::Rotated { .. } | Self::Replayed { .. } | Self::Orphaned { .. } => {
                (Act::Refresh, "ok")
            }
            Self::Revoked { act, .. } => (act, "ok"),
            Self::RevokedAll { .. } => (Act::RevokeAll, "ok"),
            Self::RevokedEverything { .. } => (Act::RevokeEverything, "ok"),
            Self::KeyRetired { .. } => (Act::RetireKey, "ok"),
            Self::RevokedOthers { .. } => (Act::RevokeOthers, "ok"),
            Self::Updated { act, .. } => (act, "ok"),
            Self::UpdatedAll { .. } => (Act::UpdateAll, "ok"),
            Self::TicketIssued { .. } => (Act::IssueTicket, "ok"),
            Self::TicketUpdated { .. } => (Act::UpdateTicket, "ok"),
            Self::TicketRedeemed { .. } => (Act::Redeem, "ok"),
            Self::Rejected { act, .. } | Self::Theft { act, .. } => (act, "rejected"),
            Self::Refused { act, .. } => (act, "refused"),
            Self::Unreadable { act, .. } | Self::Unavailable { act, .. } => (act, "unavailable"),
            Self::Misused { act, .. } => (act, "misused"),
            _ => return None,
        })
    }

    /// Creates the event for a failed call.
    pub(crate) fn failed(act: Act, error: &'a Error) -> Self {
        if let Some(theft) = error.theft() {
            Self::Theft { act, theft }
        } else if let Some(cause) = error.rejection() {
            let claim = error.claim();
            Self::Rejected { act, cause, claim }
        } else if let Some(rule) = error.refusal() {
            Self::Refused { act, rule }
        } else if error.is_unreadable() {
            let login = error.unreadable_login();
            Self::Unreadable { act, login }
        } else if error.is_unavailable() {
            Self::Unavailable { act, error }
        } else {
            error.note_reported();
            Self::Misused { act, error }
        }
    }
}

/// A call of an authenticator, or of tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Act {
    /// [`issue`](crate::Authenticator::issue), or [`begin`](crate::Authenticator::begin).
    Issue,
    /// [`verify`](crate::Authenticator::verify) or
    /// [`verify_with`](crate::Authenticator::verify_with).
    Verify,
    /// [`refresh`](crate::Authenticator::refresh).
    Refresh,
    /// [`revoke`](crate::Authenticator::revoke).
    Revoke,
    /// [`revoke_all`](crate::Authenticator::revoke_all).
    RevokeAll,
    /// `revoke_id` of sessions, of the hybrid and of API keys.
    RevokeId,
    /// [`revoke_all_except`](crate::Authenticator::revoke_all_except), and `revoke_others` of sessions and
    /// of the hybrid.
    RevokeOthers,
    /// [`update`](crate::Authenticator::update).
    Update,
    /// [`update_all`](crate::Authenticator::update_all).
    UpdateAll,
    /// `update_id` of sessions and of the hybrid, and `rename` of API keys.
    UpdateId,
    /// `leaked` of API keys.
    Leaked,
    /// `revoke_everything` of tokens and of the hybrid.
    RevokeEverything,
    /// `retire_key` of tokens and of the hybrid.
    RetireKey,
    /// [`issue`](crate::tickets::Tickets::issue) of tickets.
    IssueTicket,
    /// [`update`](crate::tickets::Tickets::update) of tickets.
    UpdateTicket,
    /// [`redeem`](crate::tickets::Tickets::redeem) of tickets.
    Redeem,
}

impl Act {
    /// All calls.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 16] = [
        Self::Issue,
        Self::Verify,
        Self::Refresh,
        Self::Revoke,
        Self::RevokeAll,
        Self::RevokeId,
        Self::RevokeOthers,
        Self::Update,
        Self::UpdateAll,
        Self::UpdateId,
        Self::Leaked,
        Self::RevokeEverything,
        Self::RetireKey,
        Self::IssueTicket,
        Self::UpdateTicket,
        Self::Redeem,
    ];

    /// Name in metrics and structured logs, such as `"issue"` or `"revoke_all"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Verify => "verify",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::RevokeAll => "revoke_all",
            Self::RevokeId => "revoke_id",
            Self::RevokeOthers => "revoke_others",
            Self::Update => "update",
            Self::UpdateAll => "update_all",
            Self::UpdateId => "update_id",
            Self::Leaked => "leaked",
            Self::RevokeEverything => "revoke_everything",
            Self::RetireKey => "retire_key",
            Self::IssueTicket => "issue_ticket",
            Self::UpdateTicket => "update_ticket",
            Self::Redeem => "redeem",
        }
    }
}

/// A [step-up](crate::Edit::step_up) of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SteppedUp<'a> {
    /// The authentication context class that the user has proven.
    pub acr: &'a str,
    /// The time for which the login has the class, in whole seconds. The login may lose it sooner: an access
    /// token of a hybrid has it until the token expires or is refreshed.
    pub lasts: Duration,
}

/// Cause for which a request was denied, other than an error of the authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied<'a> {
    /// The request carries no credential.
    NoCredential,
    /// The access cookie has a value, and none that the authenticator of this node could have issued: a token
    /// of a key that this node does not have, or a credential of another strategy. It counts as absent.
    UnknownCredential,
    /// The request carries a malformed `Authorization` field, or credentials that may belong to two
    /// users.
    Unclear,
    /// A login failed: unknown user or wrong password. Also a wrong second factor, unless the application
    /// has [noted](Self::FailedSecondFactor) that it was one.
    FailedLogin {
        /// The user, where the application has
        /// [noted](crate::web::SignIn::failed) it.
        tried: Option<&'a str>,
    },
    /// A second factor was wrong, and the password was right before or the user is logged in:
    /// [`SignIn::failed_second_factor`](crate::web::SignIn::failed_second_factor). The response is that of a
    /// failed login.
    FailedSecondFactor {
        /// The user.
        tried: &'a str,
    },
    /// The caller lacks a role.
    MissingRole {
        /// The roles of which the caller needs one.
        any_of: &'a [Box<str>],
    },
    /// The caller presents an API key where only the user may act.
    NotALogin,
    /// The caller fails a condition of the application.
    Forbidden,
    /// The last authentication of the caller is too old.
    TooOld {
        /// The required maximum age, in whole seconds.
        max_age: Duration,
        /// The authentication context class, if one was required too: the caller has it.
        acr: Option<&'a str>,
    },
    /// The caller authenticated in another way than required.
    WeakAcr {
        /// The required authentication context class.
        acr: &'a str,
    },
    /// A page of another origin sent the request. The client controls both texts.
    CrossOrigin {
        /// The field `Origin`, if there is one.
        origin: Option<&'a str>,
        /// The host that the request was sent to.
        host: Option<&'a str>,
    },
}

impl Denied<'_> {
    /// All names.
    #[cfg(feature = "metrics")]
    pub(crate) const NAMES: [&'static str; 11] = [
        Self::NoCredential.name(),
        Self::UnknownCredential.name(),
        Self::Unclear.name(),
        Self::FailedLogin { tried: None }.name(),
        Self::FailedSecondFactor { tried: "" }.name(),
        Self::MissingRole { any_of: &[] }.name(),
        Self::NotALogin.name(),
        Self::Forbidden.name(),
        Self::TooOld {
            max_age: Duration::ZERO,
            acr: None,
        }
        .name(),
        Self::WeakAcr { acr: "" }.name(),
        Self::CrossOrigin {
            origin: None,
            host: None,
        }
        .name(),
    ];

    /// Name in metrics and structured logs, such as `"failed_login"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::UnknownCredential => "unknown_credential",
            Self::Unclear => "unclear",
            Self::FailedLogin { .. } => "failed_login",
            Self::FailedSecondFactor { .. } => "failed_second_factor",
            Self::MissingRole { .. } => "missing_role",
            Self::NotALogin => "not_a_login",
            Self::Forbidden => "forbidden",
            Self::TooOld { .. } => "too_old",
            Self::WeakAcr { .. } => "weak_acr",
            Self::CrossOrigin { .. } => "cross_origin",
        }
    }
}
