//! A request that outlives its session, on any store.

#![allow(dead_code, reason = "a part of the tests: each binary uses some of it")]

use std::sync::Arc;
use std::time::Duration;

use statewise::clock::Clock;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::{Load, Page, Rotated, SessionStore, Updated};
use statewise::testkit::{ManualClock, Sample};
use statewise::{Authenticator, Edit, Login, Rejection};

/// A request loads a session on one node, the user logs out on another, and then the request saves,
/// touches and rotates. Each call is refused, and the user stays logged out on both nodes. Rejects
/// a store that inserts a removed row on a save, or that answers from the memory of a node.
pub(crate) async fn a_late_save_does_not_undo_a_logout<S: SessionStore>(nodes: [S; 2]) {
    a_late_save_by(&ManualClock::default(), nodes).await;
}

/// The same on nodes with an existing clock.
pub(crate) async fn a_late_save_by<S: SessionStore>(clock: &ManualClock, nodes: [S; 2]) {
    let [here, there] = nodes.map(|store| {
        SessionAuthenticator::builder(store)
            .idle(Duration::from_secs(1_800))
            .absolute(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .with_data::<String>()
            .build()
            .unwrap()
    });
    let clocked: Arc<dyn Clock> = Arc::new(clock.clone());
    let upkeeps = [&here, &there].map(|node| node.store().upkeep().clock(Arc::clone(&clocked)));
    let login = || Login::new("alice").data("empty cart".to_owned());
    for logout in ["this one", "all", "from the list", "all others"] {
        // With its upkeep running, a store may defer the recording of uses.
        for upkeep in &upkeeps {
            let _ = upkeep.tick().await.unwrap();
        }
        let issued = here.issue(login()).await.unwrap();
        let credential = issued.credential().reveal();
        // A request arrives on either node and records its use ...
        clock.advance(Duration::from_secs(600));
        for upkeep in &upkeeps {
            let _ = upkeep.tick().await.unwrap();
        }
        let identity = here.verify(credential).await.unwrap();
        there.verify(credential).await.unwrap();
        let now = clock.now().unwrap();
        let listing = here
            .store()
            .list("alice", Page::first(9), now)
            .await
            .unwrap();
        assert_eq!(listing.records.len(), 1, "{logout}");
        let row = &listing.records[0];

        // ... the user logs out on another node ...
        let stays = match logout {
            "this one" => {
                let _ = there.revoke(credential).await.unwrap();
                None
            }
            "all" => {
                let _ = there.revoke_all("alice").await.unwrap();
                None
            }
            "from the list" => {
                let removed = there.revoke_id("alice", identity.id()).await.unwrap();
                assert_eq!(removed.count, 1);
                None
            }
            _ => {
                let other = there.issue(login()).await.unwrap();
                let removed = there.revoke_others(other.credential().reveal()).await;
                assert_eq!(removed.unwrap().count, 1);
                Some(other)
            }
        };

        // ... and the request continues.
        let mut save = |session: &mut Edit<String>| {
            session.data = "full cart".to_owned();
            Ok(())
        };
        let saved = here.update_id("alice", identity.id(), &mut save).await;
        assert!(matches!(saved, Ok(None)), "{logout}: {saved:?}");
        let refused = |error: statewise::Error| error.rejection() == Some(Rejection::Unknown);
        let saved = here.update(credential, &mut save).await;
        assert!(saved.is_err_and(refused), "{logout}: saved");
        let rotated = here.refresh(credential).await;
        assert!(rotated.is_err_and(refused), "{logout}: rotated");
        // The same with a record from the store, and through both nodes.
        for node in [&here, &there] {
            let store = node.store();
            let change = Sample::update(b"\"full cart\"");
            let updated = store.update(row.handle(), row.version(), &change, now);
            let updated = updated.await.unwrap();
            assert!(matches!(updated, Updated::Absent), "{logout}: {updated:?}");
            let uses = [(row.handle(), now)];
            store.touch(&uses, now).await.unwrap();
            store.confirm(row.handle(), 0, now).await.unwrap();
            let rotation = Sample::rotation_of(row);
            let rotated = store.rotate(row.handle(), &rotation, now).await.unwrap();
            assert!(matches!(rotated, Rotated::Absent), "{logout}: {rotated:?}");
        }
        for upkeep in &upkeeps {
            let _ = upkeep.tick().await.unwrap();
        }

        for node in [&here, &there] {
            let verified = node.verify(credential).await;
            assert!(verified.is_err_and(refused), "{logout}: it was undone");
            let found = node.store().load(row.handle(), Load::new(), now).await;
            assert!(found.unwrap().is_none(), "{logout}: it was undone");
            let left = node.sessions("alice", None).await.unwrap().sessions;
            assert_eq!(left.len(), usize::from(stays.is_some()), "{logout}");
        }
        let _ = there.revoke_all("alice").await.unwrap();
    }
}
