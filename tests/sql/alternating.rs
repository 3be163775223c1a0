//! One store seen through two nodes that take turns.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::session::{Limit, Removed};
use statewise::store::contract::Stamp;
use statewise::store::contract::{
    ChangeFn, Changed, Created, Handle, Listing, Load, Page, Record, Rotated, Rotation, Scope,
    SessionStore, Swept, Update, Updated,
};
use statewise::{Result, Upkeep};

pub(crate) struct Alternating<S> {
    nodes: [S; 2],
    turn: AtomicUsize,
}

impl<S> Alternating<S> {
    pub(crate) fn new(one: S, other: S) -> Self {
        Self {
            nodes: [one, other],
            turn: AtomicUsize::new(0),
        }
    }

    fn node(&self) -> &S {
        &self.nodes[self.turn.fetch_add(1, Ordering::SeqCst) % 2]
    }
}

impl<S: SessionStore> SessionStore for Alternating<S> {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.node().create(record, limit, now).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.node().load(handle, load, now).await
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.node().change(handle, now, change).await
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        self.node().rotate(handle, rotation, now).await
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        self.node().update(handle, expected, update, now).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        self.node().confirm(handle, generation, now).await
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        self.node().touch(uses, now).await
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        self.node().remove(handle, subject, now).await
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        self.node().remove_subject(subject, scope, now).await
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        self.node().list(subject, page, now).await
    }

    /// One of them sweeps: each keeps its own position.
    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.nodes[0].sweep(limit, now).await
    }

    async fn begin(&self, now: Timestamp) -> Result<Option<Stamp>> {
        self.node().begin(now).await
    }

    fn staleness(&self) -> Duration {
        self.nodes[0].staleness()
    }

    /// Without upkeep, the other node sees each use at once.
    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}

impl<S> fmt::Debug for Alternating<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alternating").finish_non_exhaustive()
    }
}
