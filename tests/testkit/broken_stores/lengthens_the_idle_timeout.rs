use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Record, Rotated, Rotation, SessionStore};
use statewise::testkit::forward_session_store;

/// Stores the idle timeout of each rotation, also a longer one.
#[derive(Debug)]
pub(crate) struct LengthensTheIdleTimeout(pub(crate) MemoryStore);

impl SessionStore for LengthensTheIdleTimeout {
    forward_session_store! {
        0: create, load, change, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let rotated = self.0.rotate(handle, rotation, now).await?;
        let Rotated::Done(row) = rotated else {
            return Ok(rotated);
        };
        let mut bytes = row.encode();
        bytes[56..64].copy_from_slice(&rotation.idle.as_secs().to_be_bytes());
        let longer = Record::decode(&bytes)?;
        let replace = |row: &mut Record| {
            *row = longer.clone();
            true
        };
        let _ = self.0.change(handle, now, &replace).await?;
        Ok(Rotated::Done(longer))
    }
}
