//! A store, the clock of its users, and logins.

#[path = "../../src/testkit/world/shared.rs"]
mod shared;

pub(crate) use shared::{World, boxed, lock};

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use statewise::authenticator::BoxFuture;
use statewise::clock::{Clock, Timestamp};
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::contract::{Page, Record, SessionStore};
use statewise::testkit::{ManualClock, StoreFixture, interleave, seed};
use statewise::{Authenticator, Error, Issued, Login, Rejection, Result};

/// Idle timeout of the sessions in the laws, in seconds.
pub(crate) const IDLE: u64 = 1_800;
/// Absolute timeout of the sessions in the laws, in seconds.
pub(crate) const ABSOLUTE: u64 = 43_200;

impl<F: StoreFixture> World<'_, F> {
    /// Sessions over this store.
    pub(crate) fn auth(&self) -> SessionAuthenticator<Arc<F::Store>> {
        self.auth_of()
    }

    /// Sessions over this store, with data of some type.
    pub(crate) fn auth_of<D>(&self) -> SessionAuthenticator<Arc<F::Store>, D> {
        let builder = self.builder(Arc::clone(&self.store));
        builder.build().expect("a valid configuration")
    }

    /// Sessions over a store that wraps this one.
    pub(crate) fn auth_over<S: SessionStore>(&self, store: S) -> SessionAuthenticator<S> {
        self.builder(store).build().expect("a valid configuration")
    }

    pub(crate) fn builder<S: SessionStore, D>(&self, store: S) -> SessionBuilder<S, D> {
        SessionAuthenticator::builder(store)
            .idle(Duration::from_secs(IDLE))
            .absolute(Duration::from_secs(ABSOLUTE))
            .clock(self.clock.clone())
            .with_data()
    }

    /// The live rows of a subject.
    pub(crate) async fn list(&self, subject: &str) -> Vec<Record> {
        let listing = self.store.list(subject, Page::first(100), self.now()).await;
        listing.expect("the store answers a list").records
    }
}

/// Logs a user in, which must succeed.
pub(crate) async fn login<A: Authenticator<Data = ()>>(auth: &A, subject: &str) -> Issued {
    let issued = auth.issue(Login::new(subject)).await;
    issued.expect("a login is issued")
}

/// The credential that a client presents.
pub(crate) fn secret<D>(issued: &Issued<D>) -> &str {
    issued.credential().reveal()
}

/// Asserts that a credential belongs to a user.
pub(crate) async fn assert_accepted<S, D>(
    auth: &SessionAuthenticator<S, D>,
    credential: &str,
    subject: &str,
) where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let identity = auth.verify(credential).await;
    let identity = identity.unwrap_or_else(|error| panic!("{subject} is rejected: {error:?}"));
    assert_eq!(identity.subject(), subject, "another user is logged in");
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

/// The cause of a rejection, if the act was rejected.
pub(crate) fn rejection<T>(answer: &Result<T>) -> Option<Rejection> {
    answer.as_ref().err().and_then(Error::rejection)
}

/// Returns true if the store could not answer.
pub(crate) fn is_unavailable<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(Error::is_unavailable)
}
