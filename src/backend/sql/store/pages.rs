//! What a sweep and a list have in common: they go through rows in the order of an index.

use std::sync::{Mutex, PoisonError};

use crate::login::handle::Handle;
use crate::store::contract::{Cursor, Listing, Page, Record, Swept};

/// How far a round of sweeping has come: the handle behind which the next step looks.
#[derive(Debug, Default)]
pub(crate) struct Round(Mutex<Option<Handle>>);

impl Round {
    /// Behind which handle to look next; `None` at the beginning.
    pub(crate) fn start(&self) -> Option<Handle> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on behind `last`, the last of `seen` rows, or begins anew if there were fewer than
    /// `limit`. Another step that began at the same place may have been faster.
    pub(crate) fn seen(
        &self,
        start: Option<Handle>,
        last: Option<Handle>,
        seen: usize,
        limit: usize,
        removed: u64,
    ) -> Swept {
        let more = seen >= limit;
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *at == start {
            *at = if more { last } else { None };
        }
        Swept::new(removed, more)
    }
}

/// The page that was asked for, of the rows behind its beginning, of which one more was read than
/// fits: where each stands, and its record if it decodes.
pub(crate) fn listing(page: Page, mut rows: Vec<(Cursor, Option<Record>)>) -> Listing {
    let limit = page.limit.max(1);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|(cursor, _)| *cursor).filter(|_| more);
    let records = rows.into_iter().filter_map(|(_, record)| record).collect();
    Listing::new(records, next)
}
