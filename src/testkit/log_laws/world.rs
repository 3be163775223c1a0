//! A revocation log, the time of its callers, and drafts with names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::revocation::log::{Draft, Entry, Fact, KeyId, Nonce, Page, RevocationLog, SubjectKey};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::random::Random;

/// The time at which each law begins.
pub(super) const BEGINNING: Timestamp = Timestamp::from_unix(1_800_000_000);
/// Lifetime in seconds that no law outlasts.
pub(super) const LONG: u64 = 1_000_000;

/// Entries that a law appends at most.
const MAX_ENTRIES: usize = 100_000;

/// A fresh log of a fixture, and the time of its callers.
pub(super) struct World<'f, F: LogFixture> {
    pub(super) fixture: &'f F,
    pub(super) log: Arc<F::Log>,
    now: Timestamp,
}

impl<'f, F: LogFixture> World<'f, F> {
    pub(super) async fn open(fixture: &'f F) -> Self {
        Self {
            fixture,
            log: Arc::new(fixture.open().await),
            now: BEGINNING,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) async fn advance(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(seconds);
        let by = Duration::from_secs(seconds);
        self.fixture.advance(&self.log, by).await;
    }

    /// The same log, opened for another node.
    pub(super) async fn again(&self) -> Arc<F::Log> {
        Arc::new(self.fixture.again(&self.log).await)
    }

    pub(super) async fn append(&self, drafts: &[Draft]) -> Stamp {
        let appended = self.log.append(drafts, self.now).await;
        appended.expect("append answers")
    }

    pub(super) async fn head(&self) -> Stamp {
        self.log.head(self.now).await.expect("head answers")
    }

    pub(super) async fn read(&self, from: u64, limit: usize) -> Page {
        let read = self.log.read(from, limit, self.now).await;
        read.expect("read answers")
    }

    /// All entries.
    pub(super) async fn all(&self) -> Page {
        all(&*self.log, 1, self.now).await
    }
}

/// Counts the writers that are still at work.
#[derive(Clone)]
pub(super) struct Writing(Arc<AtomicUsize>);

impl Writing {
    pub(super) fn of(writers: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(writers)))
    }

    /// Counts one writer down when dropped, also by a panic, so that readers end.
    pub(super) fn guard(&self) -> impl Send + use<> {
        struct Guard(Writing);

        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Ordering::SeqCst);
            }
        }

        Guard(self.clone())
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// All entries from a position on, in as many pages as needed. Panics if the pages do not end.
pub(super) async fn all<L: RevocationLog>(log: &L, from: u64, now: Timestamp) -> Page {
    let read = async |from| {
        let page = log.read(from, usize::MAX, now).await;
        page.expect("read answers")
    };
    let mut page = read(from).await;
    while page.more {
        let last = page
            .entries
            .last()
            .expect("a page without entries, but with more");
        let next = read(last.position + 1).await;
        assert_eq!(next.incarnation, page.incarnation, "another log");
        let first = next.entries.first().map(|entry| entry.position);
        let place = last.position;
        assert_eq!(first, Some(place + 1), "position after {place}");
        let count = page.entries.len();
        assert!(count < MAX_ENTRIES, "{count} entries, and still more");
        page.entries.extend(next.entries);
        page.more = next.more;
    }
    assert_side_by_side(&page.entries);
    page
}

/// Asserts that no position is missing between entries.
pub(super) fn assert_side_by_side(entries: &[Entry]) {
    for pair in entries.windows(2) {
        let [one, next] = [pair[0].position, pair[1].position];
        assert_eq!(next, one + 1, "position after {one}");
    }
}

/// A draft with a name, which is the second half of its nonce.
pub(super) fn draft(name: u64, life: u64) -> Draft {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&Random::new(name).word().to_be_bytes());
    nonce[8..].copy_from_slice(&name.to_be_bytes());
    let (handle, subject) = (Handle::from_bytes(nonce), SubjectKey::from_bytes(nonce));
    let fact = match name % 5 {
        0 => Fact::Login(handle),
        1 => Fact::Subject {
            subject,
            before: None,
        },
        2 => Fact::Changed {
            handle,
            version: name,
        },
        3 => Fact::Key(KeyId::from_bytes(*b"0123456789_")),
        _ => Fact::Everything { before: Some(name) },
    };
    Draft::with_nonce(Nonce::from_bytes(nonce), fact, Duration::from_secs(life))
}

/// Drafts of all these names.
pub(super) fn drafts(names: impl IntoIterator<Item = u64>) -> Vec<Draft> {
    names.into_iter().map(|name| draft(name, LONG)).collect()
}

/// The name of an entry.
pub(super) fn name(entry: &Entry) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *entry.nonce.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

pub(super) fn names(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(name).collect()
}
