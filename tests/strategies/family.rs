//! The hybrid: short access tokens, and a refresh credential that is a row.

use std::sync::Arc;
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionBuilder;
use statewise::store::contract::SessionStore;
use statewise::testkit::StoreFixture;
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::{Authenticator, Issued, Result};

use super::world::World;

/// Lifetime of an access token, in seconds.
const ACCESS: u64 = 600;

impl<F: StoreFixture> World<'_, F> {
    /// The hybrid over this store.
    pub(crate) fn hybrid(&self) -> HybridAuthenticator<Arc<F::Store>> {
        self.hybrid_of(self.builder(Arc::clone(&self.store)))
    }

    /// The hybrid over given sessions.
    pub(crate) fn hybrid_of<S: SessionStore>(
        &self,
        sessions: SessionBuilder<S, ()>,
    ) -> HybridAuthenticator<S> {
        HybridAuthenticator::new(tokens("https://auth.example", "api"), sessions)
            .expect("a valid configuration")
    }
}

pub(crate) fn tokens(issuer: &str, audience: &str) -> TokenBuilder<()> {
    let key = Key::hs256(b"the key of the laws, known to all").expect("a key");
    TokenAuthenticator::builder(key)
        .issuer(issuer)
        .audience(audience)
        .lifetime(Duration::from_secs(ACCESS))
}

/// The credential that refreshes a login.
pub(crate) fn secret(issued: &Issued) -> &str {
    let refresh = issued.refresh_credential();
    refresh.expect("a refresh credential").reveal()
}

/// Refreshes a login.
pub(crate) async fn exchange<S: SessionStore>(
    auth: &HybridAuthenticator<S>,
    issued: &Issued,
) -> Result<Issued> {
    auth.refresh(secret(issued)).await
}

/// Asserts that an access token belongs to its user.
pub(crate) async fn assert_accepted<S: SessionStore>(
    auth: &HybridAuthenticator<S>,
    issued: &Issued,
) {
    let identity = auth.verify(issued.credential().reveal()).await;
    let identity = identity.expect("an access token is accepted");
    assert_eq!(identity.subject(), issued.identity().subject());
}
