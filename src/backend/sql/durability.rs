//! Durability of tables, which may not exist yet: `None` stands for that.

use crate::backend::durability::{Durability, Survives};
use crate::error::{Error, Result};

/// Returns the report for a user: nothing is known about tables that do not exist.
pub(crate) fn report(reported: Option<Durability>) -> Durability {
    reported.unwrap_or(Durability::new(Survives::Unknown, Survives::Unknown))
}

/// As [`Durability::require`]. Tables that do not exist have an error of their own.
pub(crate) fn require(reported: Option<Durability>, assume: bool) -> Result<()> {
    if reported.is_none() && !assume {
        return Err(Error::misuse(
            "the tables do not exist, so that nothing is known about their durability: call \
             `migrate` first",
        ));
    }
    report(reported).require(assume)
}
