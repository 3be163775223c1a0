use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Load, Record, SessionStore};
use statewise::testkit::forward_session_store;

/// Notes a use whenever it reads a row.
#[derive(Debug)]
pub(crate) struct LooksActively(pub(crate) MemoryStore);

impl SessionStore for LooksActively {
    forward_session_store! {
        0: create, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.0.touch(&[(handle, now)], now).await?;
        self.0.load(handle, load, now).await
    }
}

/// Knows of an unnoted use only that it was within the idle timeout.
#[derive(Debug)]
pub(crate) struct GuessesTheLastUse(pub(crate) MemoryStore);

impl SessionStore for GuessesTheLastUse {
    forward_session_store! {
        0: create, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let row = self.0.load(handle, load, now).await?;
        Ok(row.map(|mut row| {
            let within = row.idle() - Duration::from_secs(1);
            row.set_last_seen(now.saturating_sub(within.as_secs()));
            row
        }))
    }
}

/// Notes a use after an eighth of the idle timeout, however long that is.
#[derive(Debug)]
pub(crate) struct NotesUsesRarely(pub(crate) MemoryStore);

impl SessionStore for NotesUsesRarely {
    forward_session_store! {
        0: create, load, change, rotate, update, confirm, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        for &(handle, seen_at) in uses {
            let row = self.0.load(handle, Load::new(), now).await?;
            let is_due = |row: Record| {
                let interval = row.idle().as_secs() / 8;
                seen_at.unix().saturating_sub(row.last_seen().unix()) >= interval
            };
            if row.is_some_and(is_due) {
                self.0.touch(&[(handle, seen_at)], now).await?;
            }
        }
        Ok(())
    }
}
