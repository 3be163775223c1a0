//! What a law sees: a store, a clock that both it and the strategy go by, and logins.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::Authenticator;
use crate::base::boxed::BoxFuture;
use crate::clock::{Clock, Timestamp};
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::issued::Issued;
use crate::session::{SessionAuthenticator, SessionBuilder};
use crate::store::contract::{Limit, Load, Page, Record, SessionStore, Updated};
use crate::testkit::clock::ManualClock;
use crate::testkit::fixture::StoreFixture;

/// The lifetimes of the strategy in all laws that do not say otherwise, in seconds.
pub(crate) const IDLE: u64 = 1_800;
pub(crate) const ABSOLUTE: u64 = 43_200;

/// A fresh store of a fixture, and the clock of those who use it.
pub(crate) struct World<'f, F: StoreFixture> {
    pub(crate) fixture: &'f F,
    pub(crate) store: Arc<F::Store>,
    pub(crate) clock: ManualClock,
}

impl<'f, F: StoreFixture> World<'f, F> {
    pub(crate) async fn open(fixture: &'f F) -> Self {
        Self {
            fixture,
            store: Arc::new(fixture.open().await),
            clock: ManualClock::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().expect("a clock that goes")
    }

    /// Moves on the clock and the store's own time together.
    pub(crate) async fn advance(&self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.clock.advance(by);
        self.fixture.advance(&self.store, by).await;
    }

    /// The strategy over this store.
    pub(crate) fn auth(&self) -> SessionAuthenticator<Arc<F::Store>> {
        self.auth_of()
    }

    /// The strategy over this store, with data of some type.
    pub(crate) fn auth_of<D>(&self) -> SessionAuthenticator<Arc<F::Store>, D> {
        self.builder(Arc::clone(&self.store))
            .build()
            .expect("a configuration that is right")
    }

    /// The strategy over a store that wraps this one.
    pub(crate) fn auth_over<S: SessionStore>(&self, store: S) -> SessionAuthenticator<S> {
        self.builder(store)
            .build()
            .expect("a configuration that is right")
    }

    pub(crate) fn builder<S: SessionStore, D>(&self, store: S) -> SessionBuilder<S, D> {
        SessionAuthenticator::builder(store)
            .idle(Duration::from_secs(IDLE))
            .absolute(Duration::from_secs(ABSOLUTE))
            .clock(self.clock.clone())
    }

    /// Puts a row into the store, which must take it.
    pub(crate) async fn put(&self, row: &Record) {
        use crate::store::contract::Created;
        let created = self.store.create(row, Limit::Unlimited, self.now()).await;
        let created = created.expect("the store answers a create");
        assert!(
            matches!(&created, Created::Stored { evicted } if evicted.is_empty()),
            "a fresh row was not simply stored: {created:?}"
        );
    }

    /// The row as the store holds it, without noting a use.
    pub(crate) async fn get(&self, row: &Record) -> Option<Record> {
        let found = self.store.load(row.handle(), Load::new(), self.now()).await;
        found.expect("the store answers a load")
    }

    /// Notes a use in whichever way the store offers.
    pub(crate) async fn use_now(&self, row: &Record) -> Option<Record> {
        let now = self.now();
        let load = Load::new().touch(row.touch_interval());
        let found = self.store.load(row.handle(), load, now).await;
        let found = found.expect("the store answers a load")?;
        if found.wants_touch(now) {
            let touched = self.store.touch(&[(row.handle(), now)], now).await;
            touched.expect("the store answers a touch");
        }
        Some(found)
    }

    /// Replaces the data of a row.
    pub(crate) async fn write(&self, row: &Record, expected: u64, data: &[u8]) -> Updated {
        let change = crate::testkit::sample::Sample::update(data);
        let updated = self
            .store
            .update(row.handle(), expected, &change, self.now());
        updated.await.expect("the store answers an update")
    }

    /// All live rows of a subject, in pages of `limit`.
    pub(crate) async fn list(&self, subject: &str, limit: usize) -> Vec<Record> {
        let mut all = Vec::new();
        let mut page = Page::first(limit);
        loop {
            let listing = self.store.list(subject, page, self.now()).await;
            let listing = listing.expect("the store answers a list");
            assert!(listing.records.len() <= limit, "a page is too long");
            all.extend(listing.records);
            match listing.next {
                Some(next) => page = Page::after(next, limit),
                None => return all,
            }
            assert!(all.len() < 100_000, "the list has no end");
        }
    }
}

/// A future in the shape that [`interleave`](crate::testkit::interleave) takes.
pub(crate) fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}

/// Logs somebody in, which must work.
pub(crate) async fn login<S: SessionStore>(
    auth: &SessionAuthenticator<S>,
    subject: &str,
) -> Issued {
    let issued = auth.issue(Login::new(subject)).await;
    issued.expect("a login is issued")
}

/// What a client presents of what it was given.
pub(crate) fn secret<D>(issued: &Issued<D>) -> &str {
    issued.credential().reveal()
}

/// Asserts that a credential is the user's.
pub(crate) async fn assert_accepted<S, D>(
    auth: &SessionAuthenticator<S, D>,
    credential: &str,
    subject: &str,
) where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let identity = auth.verify(credential).await;
    let identity = identity.unwrap_or_else(|error| panic!("{subject} is refused: {error:?}"));
    assert_eq!(identity.subject(), subject, "somebody else is logged in");
}

/// Asserts that a credential is rejected, and why.
pub(crate) async fn assert_rejected<S, D>(
    auth: &SessionAuthenticator<S, D>,
    credential: &str,
    cause: Rejection,
) where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let answer = auth.verify(credential).await;
    assert_eq!(rejection(&answer), Some(cause), "verified as {answer:?}");
}

/// Why an act was rejected, if it was.
pub(crate) fn rejection<T>(answer: &Result<T>) -> Option<Rejection> {
    answer
        .as_ref()
        .err()
        .and_then(crate::error::Error::rejection)
}

/// Whether something could not answer.
pub(crate) fn is_unavailable<T>(answer: &Result<T>) -> bool {
    answer
        .as_ref()
        .is_err_and(crate::error::Error::is_unavailable)
}

/// Asserts that two rows are the same to the bit, but for the noted use.
pub(crate) fn assert_same(found: Option<&Record>, expected: &Record) {
    let found = found.expect("the row is there");
    assert!(
        normal(found) == normal(expected),
        "the row came back as another one: {found:?} instead of {expected:?}"
    );
}

/// The bytes of a row, but for the use, which a store may note elsewhere.
pub(crate) fn normal(row: &Record) -> Vec<u8> {
    let mut row = row.clone();
    row.last_seen = Timestamp::MIN;
    row.encode()
}
