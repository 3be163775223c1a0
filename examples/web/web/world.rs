//! Clock and stores of the page. Every part of the page uses them, and the visitor controls both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::web::{AuthLayer, Transport};
use statewise::{DynAuthenticator, Identity, Result};

use crate::store::DemoStore;

/// The only user.
pub(crate) const USER: &str = "alice";
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Clock of the machine plus the time that the visitor has added.
#[derive(Clone, Debug, Default)]
pub(crate) struct DemoClock {
    added_secs: Arc<AtomicU64>,
}

impl Clock for DemoClock {
    fn now(&self) -> Option<Timestamp> {
        let added = self.added_secs.load(Ordering::Relaxed);
        Some(SystemClock.now()?.saturating_add(added))
    }
}

/// Clock and switch that all parts of the page share.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) clock: DemoClock,
    pub(crate) stopped: Arc<AtomicBool>,
}

impl World {
    /// Creates a store. All stores stop together.
    pub(crate) fn store(&self) -> Result<DemoStore> {
        DemoStore::new(&self.stopped)
    }

    /// Returns the builder of all sessions of the page: 15 minutes without use, at most 8 hours.
    pub(crate) fn sessions(&self, store: DemoStore) -> SessionBuilder<DemoStore, ()> {
        SessionAuthenticator::builder(store)
            .idle(15 * MINUTE)
            .absolute(8 * HOUR)
            .clock(self.clock.clone())
    }

    pub(crate) fn layer(
        &self,
        auth: Arc<dyn DynAuthenticator<()>>,
        transport: Transport,
    ) -> Result<AuthLayer> {
        Ok(AuthLayer::new(auth, transport)?.clock(self.clock.clone()))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or_default()
    }

    /// Returns the seconds for which a credential stays valid if it is not used again.
    pub(crate) fn rest(&self, caller: &Identity) -> u64 {
        Timestamp::from(caller.expires_at()).saturating_since(self.now())
    }

    /// Returns the seconds until the absolute end of a login.
    pub(crate) fn deadline(&self, caller: &Identity) -> u64 {
        Timestamp::from(caller.deadline()).saturating_since(self.now())
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.clock
            .added_secs
            .fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    /// Returns the seconds that the visitor has added.
    pub(crate) fn added_secs(&self) -> u64 {
        self.clock.added_secs.load(Ordering::Relaxed)
    }
}
