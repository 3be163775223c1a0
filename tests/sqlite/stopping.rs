//! A node stops or crashes while uses of sessions wait to be written.

use std::time::Duration;

use statewise::session::SessionAuthenticator;
use statewise::store::SqliteStore;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Login};

use crate::file::{Folder, options, pool, store};
use crate::runtime::block_on;

const MINUTE: Duration = Duration::from_secs(60);

type Auth = SessionAuthenticator<SqliteStore>;

/// A node whose upkeep has just run, so that uses wait for its next step.
async fn node(folder: &Folder, clock: &ManualClock) -> Auth {
    let store = store(pool(options(&folder.file()), 2).await).await;
    let auth = SessionAuthenticator::builder(store)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        .clock(clock.clone())
        .build()
        .unwrap();
    auth.upkeep().tick().await.unwrap();
    auth
}

/// Logs in, waits, uses the session, and stops the node as `stop` does. Returns whether the next
/// node accepts the session after another wait.
async fn survives(waits: [u32; 2], is_finished: bool) -> bool {
    let (folder, clock) = (Folder::new(), ManualClock::default());
    let before = node(&folder, &clock).await;
    let issued = before.issue(Login::new("alice")).await.unwrap();
    let credential = issued.credential().reveal();
    clock.advance(waits[0] * MINUTE);
    let caller = before.verify(credential).await.unwrap();
    assert!(caller.expires_at() > caller.issued_at());
    if is_finished {
        before.upkeep().finish().await.unwrap();
    }
    drop(before);
    clock.advance(waits[1] * MINUTE);
    node(&folder, &clock).await.verify(credential).await.is_ok()
}

#[test]
fn a_crash_shortens_a_session_by_half_of_its_idle_timeout_at_most() {
    block_on(async {
        // Used after 29 minutes, just before the crash: without that use it would end a minute later.
        assert!(survives([29, 29], false).await);
        assert!(survives([15, 29], false).await);
        assert!(!survives([29, 30], false).await);
        // A use after 10 minutes may be lost: the session then ends 30 minutes after its login.
        assert!(survives([10, 19], false).await);
        assert!(
            !survives([10, 20], false).await,
            "nothing waits, so the test shows nothing"
        );
    });
}

#[test]
fn a_node_that_finishes_shortens_no_session() {
    block_on(async {
        assert!(survives([10, 29], true).await);
        assert!(!survives([10, 30], true).await);
    });
}
