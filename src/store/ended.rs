//! Cleanup of rows whose login has ended elsewhere.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::listing::Page;
use crate::store::record::Record;
use crate::store::session_store::SessionStore;

/// Rows per page of the search.
const PAGE: usize = 100;

/// Removes the rows of a subject whose logins have ended, because they count toward its limit.
/// Returns true if it removed any.
pub(crate) async fn clear_ended<S: SessionStore>(
    store: &S,
    subject: &str,
    now: Timestamp,
    has_ended: impl Fn(&Record) -> bool + Send + Sync,
) -> Result<bool> {
    let (mut page, mut cleared) = (Page::first(PAGE), false);
    loop {
        let listing = store.list(subject, page, now).await?;
        for row in listing.records.iter().filter(|row| has_ended(row)) {
            let removed = store.remove(row.handle(), subject, now).await?;
            cleared |= removed.count > 0;
        }
        match listing.next {
            Some(next) => page = Page::after(next, PAGE),
            None => return Ok(cleared),
        }
    }
}
