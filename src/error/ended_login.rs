//! A login that a call has ended on its way to another result.

use crate::base::public_id::PublicId;

/// The cause for which a call ended a login that was not itself logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndCause {
    /// A new login was to [replace](crate::Login::replaces) it: its browser logged in again.
    Replaced,
    /// The [limit](crate::session::Limit) of logins per user, or of
    /// [outstanding](crate::tickets::TicketsBuilder::outstanding) tickets, was reached.
    Evicted,
    /// [`Migrating`](crate::migrating::Migrating) upgraded its credential to a login of the new strategy.
    Upgraded,
    /// The user was not found when the login was
    /// [reloaded](crate::token::TokenBuilder::reload).
    UserGone,
    /// The login that it was upgraded to, or that it was upgraded from by
    /// [`Migrating`](crate::migrating::Migrating), was logged out: both are one login to the user.
    LoggedOut,
}

impl EndCause {
    /// Name in metrics and structured logs, such as `"evicted"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::Upgraded => "upgraded",
            Self::UserGone => "user_gone",
            Self::LoggedOut => "logged_out",
        }
    }
}

/// A login that a call ended before it failed.
#[derive(Clone, Debug)]
pub(crate) struct EndedLogin {
    pub(crate) subject: Box<str>,
    pub(crate) login: PublicId,
    pub(crate) cause: EndCause,
}

impl EndedLogin {
    pub(crate) fn new(subject: &str, login: PublicId, cause: EndCause) -> Self {
        Self {
            subject: subject.into(),
            login,
            cause,
        }
    }
}
