use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::MemoryStore;
use statewise::store::contract::{Created, Page, Record, SessionStore};
use statewise::testkit::{forward_session_store, yield_now};

/// Counts the rows, and inserts in a second step.
#[derive(Debug)]
pub(crate) struct ExceedsTheLimit(pub(crate) MemoryStore);

impl SessionStore for ExceedsTheLimit {
    forward_session_store! {
        0: load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        if let Limit::Reject(most) = limit {
            let all = Page::first(usize::MAX);
            let listing = self.0.list(record.subject(), all, now).await?;
            if listing.records.len() >= most as usize {
                return Ok(Created::LimitReached);
            }
            yield_now().await;
        }
        self.0.create(record, Limit::Unlimited, now).await
    }
}
