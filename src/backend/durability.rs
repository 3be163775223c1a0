//! Durability: which acknowledged writes survive a crash and a failover.

use crate::error::{Error, Result};

/// Survival of acknowledged writes after an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Survives {
    /// All of them.
    All,
    /// Not all: the most recent ones are lost, or all.
    NotAll,
    /// Unknown: the backend cannot tell, or its server does not report it.
    Unknown,
}

/// Durability of a backend, as far as its server reports it.
///
/// A crash that undoes a logout brings a session back. If your service must not see that, call the
/// backend's `require_durable` at its start.
///
/// ```
/// use statewise::store::{Durability, Survives};
///
/// let durability = Durability::new(Survives::All, Survives::Unknown);
/// assert!(durability.require(false).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// After a crash: the process or machine of the backend was killed and started again.
    pub crash: Survives,
    /// After a failover to another machine.
    pub failover: Survives,
}

impl Durability {
    /// Creates a report from what survives a crash and what survives a failover.
    #[must_use]
    pub const fn new(crash: Survives, failover: Survives) -> Self {
        Self { crash, failover }
    }

    /// Fails unless all acknowledged writes survive a crash. With `assume`, *unknown* counts as
    /// durable; a known loss is refused in any case.
    ///
    /// Does not check the failover: few servers know how the next primary will be chosen.
    ///
    /// # Errors
    ///
    /// *Misuse*: a crash loses acknowledged writes, or it is unknown whether it does.
    pub fn require(self, assume: bool) -> Result<()> {
        match self.crash {
            Survives::All => Ok(()),
            Survives::Unknown if assume => Ok(()),
            Survives::Unknown => Err(Error::misuse(
                "the server does not report whether acknowledged writes survive a crash: set \
                 `assume_durable` if you know that they do, or use another server",
            )),
            Survives::NotAll => Err(Error::misuse(
                "a crash of the server would lose acknowledged writes: change its settings to those \
                 in the documentation of `durability`, such as `appendfsync always` of Redis",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_durability_can_be_assumed() {
        let require = |crash, assume| {
            Durability::new(crash, Survives::Unknown)
                .require(assume)
                .is_ok()
        };
        assert!(require(Survives::All, false));
        assert!(!require(Survives::Unknown, false) && require(Survives::Unknown, true));
        assert!(!require(Survives::NotAll, true));
    }
}
