use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Load, Renewal, Renewed, SessionStore};
use statewise::testkit::{forward_session_store, yield_now};

/// Compares with what it read a moment ago.
#[derive(Debug)]
pub(crate) struct LetsTwoRenewalsWin(pub(crate) MemoryStore);

impl SessionStore for LetsTwoRenewalsWin {
    forward_session_store! {
        0: create, load, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn renew(&self, handle: Handle, renewal: &Renewal, now: Timestamp) -> Result<Renewed> {
        let Some(mut row) = self.0.load(handle, Load::new(), now).await? else {
            return Ok(Renewed::Absent);
        };
        yield_now().await;
        if !row.renew(renewal, now) {
            return Ok(Renewed::Unchanged(row));
        }
        self.0.renew(handle, renewal, now).await?;
        Ok(Renewed::Advanced(row))
    }
}
