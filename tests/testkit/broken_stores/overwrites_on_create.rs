use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::MemoryStore;
use statewise::store::contract::{Created, Record, SessionStore};
use statewise::testkit::{forward_session_store, yield_now};

/// Looks for the handle, and then writes the row even if it exists by now.
#[derive(Debug)]
pub(crate) struct OverwritesOnCreate(pub(crate) MemoryStore);

impl SessionStore for OverwritesOnCreate {
    forward_session_store! {
        0: load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let there = self
            .0
            .load(record.handle(), Default::default(), now)
            .await?;
        if there.is_some() {
            return Ok(Created::Duplicate);
        }
        yield_now().await;
        let _ = self
            .0
            .remove(record.handle(), record.subject(), now)
            .await?;
        self.0.create(record, limit, now).await
    }
}
