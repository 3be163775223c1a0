//! A store, the clock of its callers, and the questions that laws ask again and again.

mod shared;

pub(crate) use shared::{World, boxed, lock};

use crate::base::boxed::BoxFuture;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::store::contract::{
    Created, Cursor, Handle, Limit, Load, Page, Peeked, Record, Rotated, Rotation, Scope,
    SessionStore, Updated,
};
use crate::testkit::clock::ManualClock;
use crate::testkit::executor::interleave;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;

/// More rows than any law stores.
const MAX_LISTED: usize = 10_000;
/// More pages than any list of a law needs.
const MAX_PAGES: usize = 1_000;

impl<F: StoreFixture> World<'_, F> {
    /// Creates a row, which the store must take.
    pub(crate) async fn put(&self, row: &Record) {
        let created = self.create(row, Limit::Unlimited).await;
        assert!(
            matches!(&created, Created::Stored { evicted } if evicted.is_empty()),
            "create answered a fresh row with {created:?}"
        );
    }

    pub(crate) async fn create(&self, row: &Record, limit: Limit) -> Created {
        let created = self.store.create(row, limit, self.now()).await;
        created.expect("create answers")
    }

    /// The stored row. Notes no use.
    pub(crate) async fn get(&self, row: &Record) -> Option<Record> {
        let found = self.store.load(row.handle(), Load::new(), self.now()).await;
        found.expect("load answers")
    }

    /// Asserts that `peek` answers like a load.
    pub(crate) async fn assert_peek(&self, row: &Record, context: &str) {
        let checked = check_peek(&*self.store, row.handle(), self.now()).await;
        checked.unwrap_or_else(|wrong| panic!("{context}: {wrong}"));
    }

    /// Notes a use as a caller does: by the load, or by a touch if the load left it to the caller.
    pub(crate) async fn use_now(&self, row: &Record) -> Option<Record> {
        let now = self.now();
        let load = Load::new().touch(row.idle());
        let found = self.store.load(row.handle(), load, now).await;
        let found = found.expect("load answers")?;
        if found.wants_touch(now) {
            self.touch(row, now).await;
        }
        Some(found)
    }

    pub(crate) async fn touch(&self, row: &Record, seen_at: Timestamp) {
        let uses = [(row.handle(), seen_at)];
        let touched = self.store.touch(&uses, self.now()).await;
        touched.expect("touch answers");
    }

    /// Replaces the data of a row.
    pub(crate) async fn write(&self, row: &Record, expected: u64, data: &[u8]) -> Updated {
        let (handle, change) = (row.handle(), Sample::update(data));
        let updated = self
            .store
            .update(handle, expected, &change, self.now())
            .await;
        updated.expect("update answers")
    }

    pub(crate) async fn rotate(&self, row: &Record, rotation: &Rotation) -> Rotated {
        let rotated = self.store.rotate(row.handle(), rotation, self.now()).await;
        rotated.expect("rotate answers")
    }

    /// Rotates a row, which must advance.
    pub(crate) async fn advance_row(&self, row: &Record, rotation: &Rotation) -> Record {
        match self.rotate(row, rotation).await {
            Rotated::Done(row) => row,
            rotated => panic!("rotate did not advance the row: {rotated:?}"),
        }
    }

    pub(crate) async fn confirm(&self, row: &Record, generation: u32, now: Timestamp) {
        let confirmed = self.store.confirm(row.handle(), generation, now).await;
        confirmed.expect("confirm answers");
    }

    /// Removes a row. Returns how many were there.
    pub(crate) async fn remove(&self, row: &Record) -> u64 {
        let removed = self.store.remove(row.handle(), row.subject(), self.now());
        removed.await.expect("remove answers").count
    }

    /// Removes rows of a subject. Returns how many were there.
    pub(crate) async fn remove_subject(&self, subject: &str, scope: Scope) -> u64 {
        let removed = self.store.remove_subject(subject, scope, self.now()).await;
        removed.expect("remove_subject answers").count
    }

    /// All live rows of a subject, in pages of `limit`.
    pub(crate) async fn list(&self, subject: &str, limit: usize) -> Vec<Record> {
        let listed = list(&*self.store, subject, limit, self.now()).await;
        listed
            .expect("list answers")
            .unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// Asserts that neither load nor list finds a row.
    pub(crate) async fn assert_gone(&self, row: &Record, context: &str) {
        let listed = self.list(row.subject(), 100).await;
        let listed = listed.iter().any(|found| found.handle() == row.handle());
        assert!(!listed, "listed {context}");
        assert!(self.get(row).await.is_none(), "found {context}");
    }
}

/// Checks that `peek` answers like a load.
///
/// # Errors
///
/// The difference.
pub(crate) async fn check_peek<S: SessionStore>(
    store: &S,
    handle: Handle,
    now: Timestamp,
) -> Result<(), String> {
    let shown = match store.peek(handle, now, |row| row.to_record()) {
        Peeked::Live(row) => Some(row),
        Peeked::Absent => None,
        Peeked::NeedsLoad => return Ok(()),
    };
    let loaded = store.load(handle, Load::new(), now).await;
    let is_same = match (&shown, &loaded) {
        (Some(shown), Ok(Some(loaded))) => shown.encode() == loaded.encode(),
        (None, Ok(None)) => true,
        _ => false,
    };
    if is_same {
        return Ok(());
    }
    Err(format!("peek shows {shown:?}, but load answers {loaded:?}"))
}

/// All live rows of a subject, in pages of `limit`. Stops if the pages do not end.
///
/// # Errors
///
/// The inner one if the pages break the contract.
pub(crate) async fn list<S: SessionStore>(
    store: &S,
    subject: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Result<Vec<Record>, String>> {
    let mut all = Vec::new();
    let mut page = Page::first(limit);
    for _ in 0..MAX_PAGES {
        let listing = store.list(subject, page, now).await?;
        if let Err(wrong) = check_page(&listing.records, listing.next, page) {
            return Ok(Err(wrong));
        }
        all.extend(listing.records);
        let Some(next) = listing.next else {
            return Ok(Ok(all));
        };
        if all.len() > MAX_LISTED {
            break;
        }
        page = Page::after(next, limit);
    }
    let count = all.len();
    Ok(Err(format!(
        "list has no end: {count} rows so far, and still a next page"
    )))
}

/// Checks one page: its length, its order, and that its cursor moves on.
pub(crate) fn check_page(
    records: &[Record],
    next: Option<Cursor>,
    page: Page,
) -> Result<(), String> {
    let (count, limit) = (records.len(), page.limit.max(1));
    if count > limit {
        return Err(format!("a page of {limit} has {count} rows"));
    }
    let name = |cursor: Cursor| cursor.handle.public_id();
    let mut last = page.after;
    for cursor in records.iter().map(Cursor::from) {
        match last {
            Some(after) if after == cursor && page.after == last => {
                let name = name(cursor);
                return Err(format!("the page after {name} begins with {name} again"));
            }
            Some(after) if after >= cursor => {
                let (row, after) = (name(cursor), name(after));
                return Err(format!(
                    "list is not sorted by deadline and handle: {row} follows {after}"
                ));
            }
            _ => last = Some(cursor),
        }
    }
    match (next, page.after) {
        (Some(next), Some(after)) if next <= after => {
            let name = name(after);
            Err(format!("the cursor of the page after {name} does not move"))
        }
        _ => Ok(()),
    }
}

/// Returns true if the store found the bytes of a row unreadable.
pub(crate) fn is_unreadable<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(Error::is_unreadable)
}

/// Asserts that two rows are equal to the bit, apart from the noted use.
pub(crate) fn assert_same(found: Option<&Record>, expected: &Record) {
    let found = found.expect("the row is there");
    assert!(
        normal(found) == normal(expected),
        "another row came back: {found:?} instead of {expected:?}"
    );
}

/// The bytes of a row without the noted use, which a store may keep elsewhere.
pub(crate) fn normal(row: &Record) -> Vec<u8> {
    let mut row = row.clone();
    row.last_seen = Timestamp::MIN;
    row.encode()
}
