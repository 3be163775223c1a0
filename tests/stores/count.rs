//! The count of live logins, for every store that has one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use statewise::clock::{Clock, Timestamp};
use statewise::session::SessionAuthenticator;
use statewise::store::LiveCount;
use statewise::store::contract::SessionStore;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Login};

/// COUNT-01: the count is the number of logins that verify, and of their subjects: after logouts, by
/// both timeouts, before any sweep, and with uses that are not written yet. Rejects a count of rows.
#[allow(clippy::future_not_send, reason = "each test runs it on one thread")]
pub(crate) async fn count_01_is_the_number_of_logins_that_verify<S, O, C>(open: O, count_live: C)
where
    S: SessionStore,
    O: AsyncFn() -> S,
    C: AsyncFn(&S, Timestamp) -> LiveCount,
{
    // The idle timeout ends the unused logins in the second round, the absolute one all in the 12th.
    // In the last case, stores that write uses behind the read have not written the only use.
    for (pause, rounds, rest, expected) in [
        (300, 0, 0, 5),
        (300, 1, 0, 5),
        (300, 2, 0, 2),
        (300, 11, 0, 2),
        (300, 12, 0, 0),
        (100, 1, 550, 2),
    ] {
        let (store, clock) = (Arc::new(open().await), ManualClock::default());
        let auth = SessionAuthenticator::builder(Arc::clone(&store))
            .idle(Duration::from_secs(600))
            .absolute(Duration::from_secs(3_600))
            .clock(clock.clone())
            .build()
            .unwrap();
        let count = async || {
            let live = count_live(&store, clock.now().unwrap()).await;
            (live.logins, live.subjects)
        };
        assert_eq!(count().await, (0, 0), "an empty store");
        // From now on, stores that write uses behind the read do so.
        auth.upkeep().tick().await.unwrap();
        let mut logins = Vec::new();
        for (subject, times) in [("alice", 3), ("bob", 1), ("carol", 2), ("dave", 1)] {
            for _ in 0..times {
                let issued = auth.issue(Login::new(subject)).await.unwrap();
                logins.push((subject, issued.credential().reveal().to_owned()));
            }
        }
        assert_eq!(count().await, (7, 4), "all logins");
        let _ = auth.revoke(&logins[0].1).await.unwrap();
        let affected = auth.revoke_all("dave").await.unwrap();
        assert_eq!(affected.count, Some(1));
        let affected = auth.revoke_all("Dave").await.unwrap();
        assert_eq!(affected.count, Some(0), "another subject");
        assert_eq!(count().await, (5, 3), "after logouts");
        for _ in 0..rounds {
            clock.advance(Duration::from_secs(pause));
            for used in [1, 4] {
                // Expired after the deadline.
                let _ = auth.verify(&logins[used].1).await;
            }
        }
        clock.advance(Duration::from_secs(rest));
        let counted = count().await;
        let (mut verified, mut subjects) = (0, BTreeSet::new());
        for (subject, credential) in &logins {
            if auth.verify(credential).await.is_ok() {
                verified += 1;
                subjects.insert(subject);
            }
        }
        assert_eq!(
            counted,
            (verified, subjects.len() as u64),
            "{rounds} rounds"
        );
        assert_eq!(verified, expected, "{rounds} rounds");
    }
}
