//! A node with another time than its server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::observer::{Event, Observer};
use statewise::session::SessionAuthenticator;
use statewise::store::contract::SessionStore;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Observed};

/// Reported comparisons: the seconds by which this node is ahead, and whether they are too many.
#[derive(Debug, Default)]
struct Comparisons(Mutex<Vec<(i64, bool)>>);

impl Observer for Comparisons {
    fn observe(&self, event: &Event<'_>) {
        if let Event::ClockSkew {
            ahead,
            is_excessive,
        } = event
        {
            let compared = (ahead.whole_seconds(), *is_excessive);
            self.0.lock().unwrap().push(compared);
        }
    }
}

/// The upkeep reports the difference of the clocks, and says if it is more than five seconds, in
/// both directions. Rejects an upkeep that compares nothing, or only in one direction.
pub(crate) async fn a_wrong_clock_is_reported(store: impl SessionStore) {
    let (clock, seen) = (ManualClock::default(), Arc::new(Comparisons::default()));
    let auth = SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(600))
        .absolute(Duration::from_secs(3_600))
        .clock(clock.clone())
        .build()
        .unwrap();
    let upkeep = Observed::new(auth, seen.clone()).upkeep();
    for (ahead, is_excessive) in [
        (0, false),
        (30, true),
        (-30, true),
        (3, false),
        (-86_400, true),
    ] {
        let now = SystemClock.now().unwrap().unix().cast_signed();
        let now = (now + ahead).cast_unsigned();
        clock.set(Timestamp::from_unix(now));
        upkeep.tick().await.unwrap();
        let compared = std::mem::take(&mut *seen.0.lock().unwrap());
        assert_eq!(compared.len(), 1, "comparisons");
        let (seconds, excessive) = compared[0];
        // The test may pause between the two readings.
        assert!((ahead - 2..=ahead).contains(&seconds), "{ahead}: {seconds}");
        assert_eq!(excessive, is_excessive, "{ahead} seconds ahead");
    }
}
