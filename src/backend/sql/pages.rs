//! Progress of a sweep, and pages of a list: both walk through rows in the order of an index.

use std::sync::{Mutex, PoisonError};

use crate::backend::sql::columns::{cursor, record};
use crate::backend::sql::value::Row;
use crate::login::handle::Handle;
use crate::store::contract::{Listing, Page, Swept};

/// Progress of a round of sweeping: the handle after which the next step begins.
#[derive(Debug, Default)]
pub(crate) struct Round(Mutex<Option<Handle>>);

impl Round {
    /// Returns the handle after which the next step begins. `None` at the beginning of a round.
    pub(crate) fn start(&self) -> Option<Handle> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advances to `last`, the last row that a step from `start` saw. A step that saw fewer rows
    /// than its limit ends the round. Does nothing if a concurrent step has advanced first.
    pub(crate) fn advance(
        &self,
        start: Option<Handle>,
        last: Option<Handle>,
        more: bool,
        removed: u64,
    ) -> Swept {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *at == start {
            *at = if more { last } else { None };
        }
        Swept::new(removed, more)
    }
}

/// Returns the page of a list. `rows` holds one row more than the limit if there are more.
pub(crate) fn listing(page: Page, rows: &[impl Row]) -> Listing {
    let limit = page.limit.max(1);
    let shown = &rows[..rows.len().min(limit)];
    let next = shown.last().filter(|_| rows.len() > limit).and_then(cursor);
    // A record that does not decode is left out.
    let records = shown.iter().filter_map(|row| record(row).ok()).collect();
    Listing::new(records, next)
}
