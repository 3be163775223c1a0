use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Load, Rotated, Rotation, SessionStore};
use statewise::testkit::{forward_session_store, yield_now};

/// Judges a rotation by a row that it read earlier.
#[derive(Debug)]
pub(crate) struct LetsTwoRotationsWin(pub(crate) MemoryStore);

impl SessionStore for LetsTwoRotationsWin {
    forward_session_store! {
        0: create, load, change, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let Some(mut row) = self.0.load(handle, Load::new(), now).await? else {
            return Ok(Rotated::Absent);
        };
        yield_now().await;
        if !row.rotate(rotation, now) {
            return Ok(Rotated::Unchanged(row));
        }
        self.0.rotate(handle, rotation, now).await?;
        Ok(Rotated::Done(row))
    }
}
