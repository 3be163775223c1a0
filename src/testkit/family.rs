//! Logins with short access tokens, for the laws.

use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::Authenticator;
use crate::compose::hybrid::HybridAuthenticator;
use crate::error::Result;
use crate::login::Login;
use crate::login::issued::Issued;
use crate::session::SessionBuilder;
use crate::store::contract::SessionStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::world::World;
use crate::token::{Key, TokenAuthenticator, TokenBuilder};

/// Seconds that an access token lives in the laws.
const ACCESS: u64 = 600;

impl<F: StoreFixture> World<'_, F> {
    /// The strategy of short tokens over this store.
    pub(crate) fn hybrid(&self) -> HybridAuthenticator<Arc<F::Store>> {
        self.hybrid_of(self.builder(Arc::clone(&self.store)))
    }

    /// The same with sessions as they are given.
    pub(crate) fn hybrid_of<S: SessionStore>(
        &self,
        sessions: SessionBuilder<S, ()>,
    ) -> HybridAuthenticator<S> {
        HybridAuthenticator::new(tokens("https://auth.example", "api"), sessions)
            .expect("a configuration that is right")
    }
}

pub(crate) fn tokens(issuer: &str, audience: &str) -> TokenBuilder {
    let key = Key::hs256(b"the key of the laws, known to all").expect("a key");
    TokenAuthenticator::builder(key)
        .issuer(issuer)
        .audience(audience)
        .lifetime(Duration::from_secs(ACCESS))
}

/// Logs somebody in, which must work.
pub(crate) async fn login<S: SessionStore>(auth: &HybridAuthenticator<S>, subject: &str) -> Issued {
    let issued = auth.issue(Login::new(subject)).await;
    issued.expect("a login is issued")
}

/// What refreshes a login.
pub(crate) fn secret(issued: &Issued) -> &str {
    let refresh = issued.refresh_credential();
    refresh.expect("something to refresh with").reveal()
}

/// Presents what refreshes a login.
pub(crate) async fn exchange<S: SessionStore>(
    auth: &HybridAuthenticator<S>,
    issued: &Issued,
) -> Result<Issued> {
    auth.refresh(secret(issued)).await
}

/// Asserts that an access token is its user's.
pub(crate) async fn assert_accepted<S: SessionStore>(
    auth: &HybridAuthenticator<S>,
    issued: &Issued,
) {
    let identity = auth.verify(issued.credential().reveal()).await;
    let identity = identity.expect("an access token is accepted");
    assert_eq!(identity.subject(), issued.identity().subject());
}
