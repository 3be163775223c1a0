//! Shows a port: one client, and the service behind it in one deployment after the other.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use statewise::testkit::TestClient;
use tower::ServiceExt as _;

/// The service, as clients see it: whatever is deployed.
#[derive(Clone, Default)]
pub(crate) struct Deployed(Arc<RwLock<Router>>);

impl Deployed {
    pub(crate) fn deploy(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    fn current(&self) -> Router {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Returns a client of the service.
    pub(crate) fn client(&self) -> TestClient<Router> {
        let service = self.clone();
        let forward = move |request: Request| {
            let router = service.current();
            async move { router.oneshot(request).await }
        };
        TestClient::new(Router::new().fallback(forward))
    }
}
