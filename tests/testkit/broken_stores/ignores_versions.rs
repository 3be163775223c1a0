use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Load, SessionStore, Update, Updated};
use statewise::testkit::forward_session_store;

/// Ignores the expected version, so that the last write wins.
#[derive(Debug)]
pub(crate) struct IgnoresVersions(pub(crate) MemoryStore);

impl SessionStore for IgnoresVersions {
    forward_session_store! {
        0: create, load, change, rotate, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn update(
        &self,
        handle: Handle,
        _: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let Some(row) = self.0.load(handle, Load::new(), now).await? else {
            return Ok(Updated::Absent);
        };
        self.0.update(handle, row.version(), update, now).await
    }
}
