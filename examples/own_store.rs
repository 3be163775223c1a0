//! A session store of your own, tested with the laws of the kit.
//!
//! ```text
//! cargo run --example own_store
//! cargo test --example own_store
//! ```
//!
//! This store is a map behind a lock. Replace `rows` by your database, and keep three rules: each
//! method is one atomic step, only `create` inserts a row, and a row that is found expired is
//! removed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::session::{Cursor, Limit, Removed, SessionAuthenticator};
use statewise::store::contract::{
    ChangeFn, Changed, Created, Handle, Listing, Load, Page, Record, Scope, SessionStore, Swept,
};
use statewise::testkit::block_on;
use statewise::{Authenticator, Login, Result};

type Rows = BTreeMap<Handle, Record>;

#[derive(Default)]
struct MapStore {
    rows: Mutex<Rows>,
}

impl MapStore {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the live row of a handle. Removes an expired row, so that it stays expired if the clock is
/// set back.
fn alive(rows: &mut Rows, handle: Handle, now: Timestamp) -> Option<&mut Record> {
    if !rows.get(&handle)?.is_alive(now) {
        rows.remove(&handle);
    }
    rows.get_mut(&handle)
}

/// Returns the live rows of a subject, in the order of lists and evictions.
fn of_subject(rows: &Rows, subject: &str, now: Timestamp) -> Vec<Cursor> {
    let rows = rows.values();
    let mut found: Vec<_> = rows
        .filter(|row| row.subject() == subject && row.is_alive(now))
        .map(Cursor::from)
        .collect();
    found.sort_unstable();
    found
}

/// Removes at most `limit` rows for which `is_meant` is true. Returns their number.
fn remove_where(rows: &mut Rows, limit: usize, is_meant: impl Fn(&Record) -> bool) -> u64 {
    let picked = rows.values().filter(|row| is_meant(row));
    let picked: Vec<_> = picked.map(Record::handle).take(limit).collect();
    picked.iter().for_each(|handle| drop(rows.remove(handle)));
    picked.len() as u64
}

impl SessionStore for MapStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let mut rows = self.rows();
        if rows.contains_key(&record.handle()) {
            return Ok(Created::Duplicate);
        }
        let alive = of_subject(&rows, record.subject(), now);
        let alive = alive.iter().filter_map(|cursor| rows.get(&cursor.handle));
        let Some(evicted) = limit.to_evict(alive) else {
            return Ok(Created::LimitReached);
        };
        evicted.iter().for_each(|handle| drop(rows.remove(handle)));
        rows.insert(record.handle(), record.clone());
        Ok(Created::Stored { evicted })
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        // `touch` records the use, after the strategy has verified the credential.
        Ok(alive(&mut self.rows(), handle, now).cloned())
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        // Under the lock, so that `change` sees the latest row and no other call comes in between.
        Ok(alive(&mut self.rows(), handle, now).map(|row| Changed::new(change(row), row.clone())))
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], _now: Timestamp) -> Result<()> {
        let mut rows = self.rows();
        for (handle, seen_at) in uses {
            // Never inserts a row. `Record::touch` never shortens and never revives a login.
            if let Some(row) = rows.get_mut(handle) {
                row.touch(*seen_at);
            }
        }
        Ok(())
    }

    async fn remove(&self, handle: Handle, _subject: &str, _now: Timestamp) -> Result<Removed> {
        let removed = self.rows().remove(&handle);
        Ok(Removed::at_once(u64::from(removed.is_some())))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let is_meant = |row: &Record| row.subject() == subject && row.is_in(&scope);
        let count = remove_where(&mut self.rows(), usize::MAX, is_meant);
        Ok(Removed::at_once(count))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let rows = self.rows();
        let mut found = of_subject(&rows, subject, now);
        found.retain(|cursor| page.after.is_none_or(|after| *cursor > after));
        let limit = page.limit.max(1);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().copied().filter(|_| more);
        let records = found.iter().filter_map(|cursor| rows.get(&cursor.handle));
        Ok(Listing::new(records.cloned().collect(), next))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let limit = limit.max(1);
        let removed = remove_where(&mut self.rows(), limit, |row| !row.is_alive(now));
        Ok(Swept::new(removed, removed == limit as u64))
    }
}

/// Written by hand, so that no log shows the rows: they are personal data.
impl fmt::Debug for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapStore").finish_non_exhaustive()
    }
}

fn main() -> Result<()> {
    let auth = SessionAuthenticator::builder(MapStore::default())
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    block_on(async {
        let mut issued = Vec::new();
        for device in ["phone", "laptop", "tablet"] {
            let login = Login::new("alice").device(device);
            issued.push((device, auth.issue(login).await?));
        }
        let last = &issued[2].1;
        let _ = auth.revoke(last.credential().reveal()).await?;
        for (device, issued) in &issued {
            match auth.verify(issued.credential().reveal()).await {
                Ok(caller) => println!("{device}: {}", caller.subject()),
                Err(error) => println!("{device}: {error}"),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod laws {
    use super::MapStore;
    use std::time::Duration;

    /// Opens the stores that the kit tests.
    struct Fixture;

    impl statewise::testkit::StoreFixture for Fixture {
        type Store = MapStore;

        async fn open(&self) -> MapStore {
            MapStore::default()
        }

        /// Does nothing, as this store has no clock: it uses the `now` of each call.
        async fn advance(&self, _: &MapStore, _: Duration) {}
    }

    statewise::testkit::session_store_laws!(Fixture);
}
