//! Changes by compare-and-swap, for databases that cannot change a row and answer it in one
//! statement that is worth its name: the row is read, [`Record`] decides, and the row is replaced
//! if it is still the one that was read.

use std::future::Future;

use crate::backend::write_behind::{WriteBehind, apply_pending};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::contract::{Change, Load, Record, Rotated, Rotation, Touch, Updated};

/// A store that changes rows by comparing and swapping them.
pub(crate) trait Swaps: WriteBehind {
    /// The row of a handle, alive or over.
    fn find(&self, handle: Handle) -> impl Future<Output = Result<Option<Record>>> + Send;

    /// Replaces the row `from` by `to`, unless it has changed since it was read; a use that was
    /// noted meanwhile is no change, and stays. `false` if it has changed or is gone.
    fn swap(&self, from: &Record, to: &Record) -> impl Future<Output = Result<bool>> + Send;

    /// Removes the row of a handle if it is over, by its own idle time or by the one of `touch`.
    fn end(
        &self,
        handle: Handle,
        touch: Option<Touch>,
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// [`SessionStore::load`](crate::store::contract::SessionStore::load), which leaves the use to a touch.
pub(crate) async fn load(
    store: &impl Swaps,
    handle: Handle,
    load: Load,
    now: Timestamp,
) -> Result<Option<Record>> {
    let waiting = store.pending().get(handle);
    let Some(mut row) = store.find(handle).await? else {
        return Ok(None);
    };
    apply_pending(&mut row, waiting);
    if row.is_alive_for(load.touch, now) {
        return Ok(Some(row));
    }
    // Removed, so that a clock set back does not revive what was refused.
    store.end(handle, load.touch, now).await?;
    Ok(None)
}

/// [`SessionStore::rotate`](crate::store::contract::SessionStore::rotate).
pub(crate) async fn rotate(
    store: &impl Swaps,
    handle: Handle,
    rotation: &Rotation,
    now: Timestamp,
) -> Result<Rotated> {
    // Ends: another one's change is between each two rounds, and the caller has a deadline.
    loop {
        let Some(row) = load(store, handle, Load::new(), now).await? else {
            return Ok(Rotated::Absent);
        };
        let mut next = row.clone();
        if !next.rotate(rotation, now) {
            return Ok(Rotated::Unchanged(row));
        }
        if store.swap(&row, &next).await? {
            return Ok(Rotated::Advanced(next));
        }
    }
}

/// [`SessionStore::update`](crate::store::contract::SessionStore::update). A rotation or a confirmation
/// between reading and writing is no conflict: the change is made anew on what they left.
pub(crate) async fn update(
    store: &impl Swaps,
    handle: Handle,
    expected: u64,
    change: &Change,
    now: Timestamp,
) -> Result<Updated> {
    loop {
        let Some(row) = load(store, handle, Load::new(), now).await? else {
            return Ok(Updated::Absent);
        };
        let mut next = row.clone();
        if !next.update(expected, change) {
            return Ok(Updated::Conflict);
        }
        if store.swap(&row, &next).await? {
            return Ok(Updated::Done(next));
        }
    }
}
