//! Stores that break the law about fields of later versions, each of which must fail.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{
    ChangeFn, Changed, Handle, Listing, Load, Page, Record, Rotated, Rotation, SessionStore,
    Update, Updated,
};
use statewise::testkit::{EditBytes, MemoryFixture, StoreFixture, block_on, forward_session_store};

use crate::strategies;
use crate::strategies::world::lock;

/// The mistake of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Reads a row as if it had no further field.
    Overlooks,
    /// Rotates a row before it has read it.
    RotatesUnread,
    /// Updates a row before it has read it.
    UpdatesUnread,
}

/// A store of which some rows have a critical field.
#[derive(Debug)]
struct Marking {
    flaw: Flaw,
    store: MemoryStore,
    marked: Mutex<HashSet<Handle>>,
}

impl Marking {
    /// Fails for a row with a critical field.
    async fn check(&self, handle: Handle, now: Timestamp) -> Result<()> {
        let is_marked = lock(&self.marked).contains(&handle) && self.flaw != Flaw::Overlooks;
        match is_marked && self.store.load(handle, Load::new(), now).await?.is_some() {
            true => Record::decode(&[]).map(drop),
            false => Ok(()),
        }
    }
}

impl SessionStore for Marking {
    forward_session_store! {
        store: create, confirm, touch, remove, remove_subject, sweep, begin, staleness, upkeep
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.check(handle, now).await?;
        self.store.load(handle, load, now).await
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.check(handle, now).await?;
        self.store.change(handle, now, change).await
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        if self.flaw != Flaw::UpdatesUnread {
            self.check(handle, now).await?;
        }
        let updated = self.store.update(handle, expected, update, now).await;
        self.check(handle, now).await.and(updated)
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        if self.flaw != Flaw::RotatesUnread {
            self.check(handle, now).await?;
        }
        let rotated = self.store.rotate(handle, rotation, now).await;
        self.check(handle, now).await.and(rotated)
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let mut listing = self.store.list(subject, page, now).await?;
        if !matches!(self.flaw, Flaw::Overlooks | Flaw::UpdatesUnread) {
            let marked = lock(&self.marked);
            listing
                .records
                .retain(|row| !marked.contains(&row.handle()));
        }
        Ok(listing)
    }
}

struct Flawed(Flaw);

impl StoreFixture for Flawed {
    type Store = Marking;

    async fn open(&self) -> Marking {
        Marking {
            flaw: self.0,
            store: MemoryFixture.open().await,
            marked: Mutex::default(),
        }
    }

    async fn advance(&self, _: &Marking, _: Duration) {}

    async fn rewrite(
        &self,
        store: &Marking,
        handle: Handle,
        _: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        let mut marked = lock(&store.marked);
        let mut field = match marked.contains(&handle) {
            true => strategies::CRITICAL_FIELD.to_vec(),
            false => Vec::new(),
        };
        edit(&mut field);
        match field.is_empty() {
            true => marked.remove(&handle),
            false => marked.insert(handle),
        }
    }
}

#[test]
fn read_15_rejects_what_overlooks_a_field_or_writes_first() {
    let law = |flaw| {
        let fixture = Flawed(flaw);
        let law = strategies::read_15_a_critical_field_is_refused_by_each_act(&fixture);
        let panic = catch_unwind(AssertUnwindSafe(|| block_on(law))).err()?;
        let text = panic.downcast_ref::<String>().cloned();
        Some(text.expect("a message"))
    };
    assert_eq!(law(Flaw::None), None);
    for (flaw, message) in [
        (Flaw::Overlooks, "a use"),
        (Flaw::RotatesUnread, "(1, 0)"),
        (Flaw::UpdatesUnread, "an answer"),
    ] {
        let failed = law(flaw);
        let is_rejected = failed.as_ref().is_some_and(|text| text.contains(message));
        assert!(is_rejected, "{flaw:?}: {failed:?}");
    }
}
