//! What a store promises to keep.

use crate::error::{Error, Result};

/// Whether what a store acknowledged is still there after something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Survives {
    /// All of it.
    All,
    /// All but what was acknowledged shortly before, or nothing at all.
    NotAll,
    /// The store could not learn it.
    Unknown,
}

/// What a store could learn about what it keeps.
///
/// A logout that a crash undoes is a session that comes back to life: a service that must not see
/// one asks for a durable store at its start, with the store's `require_durable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// After the process or the machine that keeps it was killed and started again.
    pub crash: Survives,
    /// After another machine took over.
    pub failover: Survives,
}

impl Durability {
    /// What survives a crash, and what survives a failover.
    #[must_use]
    pub const fn new(crash: Survives, failover: Survives) -> Self {
        Self { crash, failover }
    }

    /// Fails unless everything that was acknowledged survives a crash. With `assumed`, the
    /// operator vouches for what could not be learned; what is known to be lost stays refused.
    ///
    /// A failover is not asked for: few stores can know how the next primary will be chosen.
    ///
    /// # Errors
    ///
    /// *Misuse*: the store is not set up to keep what it acknowledges, or cannot tell.
    pub fn require(self, assumed: bool) -> Result<()> {
        match self.crash {
            Survives::All => Ok(()),
            Survives::Unknown if assumed => Ok(()),
            Survives::Unknown => Err(Error::misuse(
                "the store cannot tell whether it survives a crash: vouch for it, or use another",
            )),
            Survives::NotAll => Err(Error::misuse(
                "the store forgets after a crash what it acknowledged: set it up to be durable",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unknown_can_be_vouched_for() {
        let require = |crash, assumed| {
            Durability::new(crash, Survives::Unknown)
                .require(assumed)
                .is_ok()
        };
        assert!(require(Survives::All, false));
        assert!(!require(Survives::Unknown, false) && require(Survives::Unknown, true));
        assert!(!require(Survives::NotAll, true));
    }
}
