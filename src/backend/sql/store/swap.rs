//! Changes by compare-and-swap, for databases that cannot change a row and answer it in one
//! statement that is worth its name: the row is read, [`Record`] decides, and the row is replaced
//! if it is still the one that was read.

use std::future::Future;

use crate::backend::write_behind::{WriteBehind, apply_pending};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::contract::{ChangeFn, Changed, Record};

/// A store that changes rows by comparing and swapping them.
pub(crate) trait Swaps: WriteBehind {
    /// The row of a handle, alive or over.
    fn find(&self, handle: Handle) -> impl Future<Output = Result<Option<Record>>> + Send;

    /// Replaces the row `from` by `to`, unless it has changed since it was read; a use that was
    /// noted meanwhile is no change, and stays. `false` if it has changed or is gone.
    fn swap(&self, from: &Record, to: &Record) -> impl Future<Output = Result<bool>> + Send;

    /// Removes the row of a handle if it is over.
    fn end(&self, handle: Handle, now: Timestamp) -> impl Future<Output = Result<()>> + Send;
}

/// [`SessionStore::load`](crate::store::contract::SessionStore::load), which leaves the use to a touch.
pub(crate) async fn load(
    store: &impl Swaps,
    handle: Handle,
    now: Timestamp,
) -> Result<Option<Record>> {
    let waiting = store.pending().get(handle);
    let Some(mut row) = store.find(handle).await? else {
        return Ok(None);
    };
    apply_pending(&mut row, waiting);
    if row.is_alive(now) {
        return Ok(Some(row));
    }
    // Removed, so that a clock set back does not revive what was refused.
    store.end(handle, now).await?;
    Ok(None)
}

/// [`SessionStore::change`](crate::store::contract::SessionStore::change).
pub(crate) async fn change(
    store: &impl Swaps,
    handle: Handle,
    now: Timestamp,
    change: ChangeFn<'_>,
) -> Result<Option<Changed>> {
    // Ends: another one's change is between each two rounds, and the caller has a deadline.
    loop {
        let Some(row) = load(store, handle, now).await? else {
            return Ok(None);
        };
        let mut next = row.clone();
        if !change(&mut next) {
            return Ok(Some(Changed::new(false, row)));
        }
        if store.swap(&row, &next).await? {
            return Ok(Some(Changed::new(true, next)));
        }
    }
}
