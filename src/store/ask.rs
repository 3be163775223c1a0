//! What a store is asked for.

use std::fmt;
use std::time::Duration;

use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::proof::Proof;

/// How many sessions a subject may have at once (OWASP ASVS 7.1.2). At least one: an
/// authenticator that allows none is not built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// As many as there is room for.
    #[default]
    Unlimited,
    /// This many; a further login is refused.
    Reject(u32),
    /// This many; a further login ends the oldest, which is the one with the earliest deadline.
    EvictOldest(u32),
}

/// How to find a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Notes this use in the same round trip, unless a use was noted less than this long ago. A
    /// store that cannot do both in one trip leaves it out.
    pub touch: Option<Duration>,
    /// Ask the authority itself, and skip what is cached.
    pub authoritative: bool,
}

impl Load {
    /// As usual, and without noting a use.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            touch: None,
            authoritative: false,
        }
    }

    /// Notes this use in the same round trip, unless a use was noted less than `interval` ago.
    #[must_use]
    pub const fn touch(mut self, interval: Duration) -> Self {
        self.touch = Some(interval);
        self
    }

    /// Skips what is cached.
    #[must_use]
    pub const fn authoritative(mut self) -> Self {
        self.authoritative = true;
        self
    }
}

/// The replacement of a credential by its successor.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rotation {
    /// The generation of the presented credential.
    pub generation: u32,
    /// The proof of the presented credential.
    pub presented: Proof,
    /// The proof of its successor.
    pub next: Proof,
    /// From which, with the presented credential, anyone who holds it derives the successor.
    pub seed: [u8; 16],
    /// How long after a rotation the row is not rotated again. In whole seconds.
    pub overlap: Duration,
    /// The idle timeout of the strategy, in whole seconds: the row gets it with the rotation, and
    /// a row that was not used for this long is not rotated.
    pub idle: Duration,
}

/// What to replace in a login. What is `None` stays.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// The roles.
    pub roles: Option<Vec<String>>,
    /// The application's data, in the form that the strategy gave it; `Some(None)` takes it away.
    pub data: Option<Option<Vec<u8>>>,
    /// The place in the revocation log.
    pub stamp: Option<Stamp>,
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("roles", &self.roles)
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
    }
}

/// Which logins of a subject: all, or fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Not this one.
    pub keep: Option<Handle>,
    /// Only those that began before this place in the revocation log; those whose place is
    /// unknown, or in another incarnation of the log, count as before.
    pub before: Option<Stamp>,
}

impl Scope {
    /// All.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            keep: None,
            before: None,
        }
    }

    /// All but one.
    #[must_use]
    pub const fn others(keep: Handle) -> Self {
        Self {
            keep: Some(keep),
            before: None,
        }
    }

    /// Only those that began before this place in the revocation log.
    #[must_use]
    pub const fn before(mut self, stamp: Stamp) -> Self {
        self.before = Some(stamp);
        self
    }
}
