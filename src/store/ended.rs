//! Rows of logins that have ended by a revocation log, and are still in the store.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::listing::Page;
use crate::store::record::Record;
use crate::store::session_store::SessionStore;

/// Rows that are read at a time.
const ROWS_PER_PAGE: usize = 100;

/// Removes the rows of ended logins of a subject, as they still count for its limit. Returns
/// whether there were any.
pub(crate) async fn remove_ended<S: SessionStore>(
    store: &S,
    subject: &str,
    now: Timestamp,
    has_ended: impl Fn(&Record) -> bool + Send + Sync,
) -> Result<bool> {
    let (mut page, mut any) = (Page::first(ROWS_PER_PAGE), false);
    loop {
        let listing = store.list(subject, page, now).await?;
        for row in listing.records.iter().filter(|row| has_ended(row)) {
            let removed = store.remove(row.handle(), subject, now).await?;
            any |= removed.count > 0;
        }
        match listing.next {
            Some(next) => page = Page::after(next, ROWS_PER_PAGE),
            None => return Ok(any),
        }
    }
}
