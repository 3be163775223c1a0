//! What the laws of a log share.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::revocation::log::{Draft, Entry, Fact, KeyId, Nonce, Page, RevocationLog, SubjectKey};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::random::Random;

/// When each law begins.
pub(super) const BEGINNING: Timestamp = Timestamp::from_unix(1_800_000_000);
/// A life that no law outlasts.
pub(super) const LONG: u64 = 1_000_000;

/// A log, and the time that passes.
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

    /// The same log, as another node has it.
    pub(super) async fn again(&self) -> Arc<F::Log> {
        Arc::new(self.fixture.again(&self.log).await)
    }

    pub(super) async fn append(&self, drafts: &[Draft]) -> Stamp {
        let appended = self.log.append(drafts, self.now).await;
        appended.expect("the log takes entries")
    }

    pub(super) async fn head(&self) -> Stamp {
        self.log.head(self.now).await.expect("the log has a head")
    }

    pub(super) async fn read(&self, from: u64, limit: usize) -> Page {
        let read = self.log.read(from, limit, self.now).await;
        read.expect("the log can be read")
    }

    /// All that is there.
    pub(super) async fn all(&self) -> Page {
        all(&*self.log, 1, self.now).await
    }
}

/// All entries from a place on, however many pages it takes.
pub(super) async fn all<L: RevocationLog>(log: &L, from: u64, now: Timestamp) -> Page {
    let read = async |from| {
        let page = log.read(from, usize::MAX, now).await;
        page.expect("the log can be read")
    };
    let mut page = read(from).await;
    while page.more {
        let last = page.entries.last().expect("more, after nothing");
        let next = read(last.position + 1).await;
        assert_eq!(next.incarnation, page.incarnation, "another log");
        page.entries.extend(next.entries);
        page.more = next.more;
    }
    assert_side_by_side(&page.entries);
    page
}

/// No gap between entries.
pub(super) fn assert_side_by_side(entries: &[Entry]) {
    for pair in entries.windows(2) {
        let [one, next] = [pair[0].position, pair[1].position];
        assert_eq!(next, one + 1, "{next} stands behind {one}");
    }
}

/// A draft with a name of its own: the second half of its nonce.
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
