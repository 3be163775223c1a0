use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::MemoryStore;
use statewise::store::contract::{Created, Record, SessionStore};
use statewise::testkit::forward_session_store;

/// Judges the deadline only: stores every row with an endless idle timeout.
#[derive(Debug)]
pub(crate) struct ForgetsTheIdleDeadline(pub(crate) MemoryStore);

impl SessionStore for ForgetsTheIdleDeadline {
    forward_session_store! {
        0: change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let mut bytes = record.encode();
        bytes[56..64].fill(0xff);
        self.0.create(&Record::decode(&bytes)?, limit, now).await
    }

    async fn load(
        &self,
        handle: statewise::store::contract::Handle,
        _: statewise::store::contract::Load,
        now: Timestamp,
    ) -> Result<Option<Record>> {
        let row = self.0.load(handle, Default::default(), now).await?;
        // As if the login had been used just now.
        Ok(row.map(|mut row| {
            row.touch(now);
            row
        }))
    }
}
