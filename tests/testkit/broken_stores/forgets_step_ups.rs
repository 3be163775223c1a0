use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Rotated, Rotation, SessionStore, Update, Updated};
use statewise::testkit::forward_session_store;

/// Writes the parts of an update that have a name in its contract, one by one.
#[derive(Debug)]
pub(crate) struct ForgetsStepUps(pub(crate) MemoryStore);

impl SessionStore for ForgetsStepUps {
    forward_session_store! {
        0: create, load, change, rotate, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let mut named = Update::default();
        named.roles.clone_from(&update.roles);
        named.device.clone_from(&update.device);
        named.data.clone_from(&update.data);
        named.stamp = update.stamp;
        self.0.update(handle, expected, &named, now).await
    }
}

/// Keeps to an overlap of its own, whatever the rotation says.
#[derive(Debug)]
pub(crate) struct WaitsForAnOverlap(pub(crate) MemoryStore);

impl SessionStore for WaitsForAnOverlap {
    forward_session_store! {
        0: create, load, change, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let mut later = *rotation;
        later.overlap = later.overlap.max(Duration::from_secs(10));
        self.0.rotate(handle, &later, now).await
    }
}
