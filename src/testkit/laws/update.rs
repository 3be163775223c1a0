//! Logins change: UPDATE, and what is noted about their use.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::authenticator::Authenticator;
use crate::error::{Refusal, Rejection};
use crate::login::Login;
use crate::session::{Replaced, Replacement};
use crate::store::contract::{Load, Rotated, SessionStore, Update, Updated};
use crate::testkit::executor::interleave;
use crate::testkit::faulty::{FaultyStore, YieldingStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    ABSOLUTE, World, assert_accepted, assert_rejected, assert_same, boxed, login, rejection, secret,
};

/// An update changes what it names, raises the version by one, and leaves everything else: who,
/// since when, until when, and the credential. Rejects a store that writes rows anew.
pub async fn update_01_changes_what_it_names<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice")
        .role("a")
        .device("phone")
        .acr("aal2")
        .data(b"1")
        .stamp(1, 7)
        .at(world.now());
    world.put(&row).await;
    world.advance(50).await;
    let update = Update {
        roles: Some(vec!["b".to_owned(), "c".to_owned()]),
        ..Update::default()
    };
    for (change, version) in [
        (update, 0),
        (Sample::update(b"2"), 1),
        (Update::default(), 2),
    ] {
        let mut expected = world.get(&row).await.expect("the row is there");
        assert!(expected.update(version, &change));
        let updated = world
            .store
            .update(row.handle(), version, &change, world.now())
            .await;
        match updated.expect("the store answers an update") {
            Updated::Done(row) => assert_same(Some(&row), &expected),
            updated => panic!("the update was not done: {updated:?}"),
        }
        let found = world.get(&row).await.expect("the row is there");
        assert_same(Some(&found), &expected);
        assert_eq!(found.version(), version + 1);
        assert_eq!(found.created_at(), row.created_at());
        assert_eq!(found.deadline(), row.deadline());
    }
}

/// Once a removal has returned, nothing brings the row back: no update, rotation, touch or
/// confirmation, whether it comes later or was under way. Rejects an upsert.
pub async fn update_02_never_resurrects_what_was_removed<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    world.put(&row).await;
    assert!(world.get(&row).await.is_some());
    let removed = world.store.remove(row.handle(), "alice", now).await;
    assert_eq!(removed.expect("an answer").count, 1);
    let updated = world.write(&row, 0, b"late").await;
    assert!(
        matches!(updated, Updated::Absent),
        "a late update was {updated:?}"
    );
    let rotation = Sample::rotation_of(&row);
    let rotated = world.store.rotate(row.handle(), &rotation, now).await;
    assert!(
        matches!(rotated, Ok(Rotated::Absent)),
        "a late rotation was {rotated:?}"
    );
    world
        .store
        .confirm(row.handle(), 0, now)
        .await
        .expect("an answer");
    world
        .store
        .touch(&[(row.handle(), now)], now)
        .await
        .expect("an answer");
    assert!(
        world.get(&row).await.is_none(),
        "a late write brought the row back"
    );
    assert!(
        world.list("alice", 10).await.is_empty(),
        "a late write brought the row back"
    );

    for round in 0..50 {
        let row = Sample::of("bob").idle(80).at(now);
        world.put(&row).await;
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let handle = row.handle();
        let write = |at: usize| {
            let (store, rotation) = (Arc::clone(&store), Sample::rotation_of(&row));
            boxed(async move {
                let later = now.saturating_add(20);
                match at % 5 {
                    0 => drop(store.update(handle, 0, &Sample::update(b"x"), now).await),
                    1 => drop(store.rotate(handle, &rotation, now).await),
                    2 => drop(store.touch(&[(handle, later)], later).await),
                    3 => drop(store.confirm(handle, 0, now).await),
                    _ => drop(
                        store
                            .load(handle, Load::new().touch(Duration::from_secs(10)), later)
                            .await,
                    ),
                }
            })
        };
        let remover = Arc::clone(&store);
        let mut acts: Vec<_> = (0..10).map(write).collect();
        acts.push(boxed(async move {
            let removed = remover.remove(handle, "bob", now).await;
            assert_eq!(removed.expect("an answer").count, 1);
        }));
        if round % 2 == 0 {
            interleave(seed() + round, acts).await;
        } else {
            fixture.spread(acts).await;
        }
        assert!(
            world.get(&row).await.is_none(),
            "brought back, seed {}",
            seed() + round
        );
        assert!(world.list("bob", 10).await.is_empty());
    }
}

/// Nothing revives a login that is over: no update, rotation, touch or confirmation.
/// Rejects a store that looks at expiry only when it reads.
pub async fn update_03_never_revives_what_is_over<F: StoreFixture>(fixture: &F) {
    for sample in [
        Sample::of("alice").idle(100),
        Sample::of("alice").absolute(100),
    ] {
        let world = World::open(fixture).await;
        let rows: Vec<_> = (0..4).map(|_| sample.at(world.now())).collect();
        for row in &rows {
            world.put(row).await;
        }
        world.advance(100).await;
        let now = world.now();
        let handle = rows[0].handle();
        world
            .store
            .touch(&[(handle, now)], now)
            .await
            .expect("an answer");
        assert!(world.get(&rows[0]).await.is_none(), "revived by a touch");
        world
            .store
            .confirm(rows[1].handle(), 0, now)
            .await
            .expect("an answer");
        assert!(
            world.get(&rows[1]).await.is_none(),
            "revived by a confirmation"
        );
        let updated = world.write(&rows[2], 0, b"late").await;
        assert!(
            matches!(updated, Updated::Absent),
            "a late update was {updated:?}"
        );
        let rotation = Sample::rotation_of(&rows[3]);
        let rotated = world.store.rotate(rows[3].handle(), &rotation, now).await;
        assert!(
            matches!(rotated, Ok(Rotated::Absent)),
            "a late rotation was {rotated:?}"
        );
        assert!(world.list("alice", 10).await.is_empty());
    }
}

/// Of several updates with one version one is done, and the others meet a conflict that changes
/// nothing. Rejects a store that lets the last one win.
pub async fn update_04_loses_no_update<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth_of::<u64>();
    let issued = auth
        .issue(Login::new("alice").data(0))
        .await
        .expect("a login is issued");
    let seen = issued.identity();
    let done = auth.replace(seen, Replacement::new().data(1)).await;
    assert!(matches!(done, Ok(Replaced::Done(_))));
    let lost = auth.replace(seen, Replacement::new().data(2)).await;
    assert!(
        matches!(lost, Ok(Replaced::Conflict)),
        "a stale update was {lost:?}"
    );
    let identity = auth.verify(secret(&issued)).await.expect("it verifies");
    assert_eq!(identity.data(), &1);

    // Eight clients count to ten each, by reading, adding and writing.
    let row = Sample::of("bob").data(b"0").at(world.now());
    world.put(&row).await;
    let now = world.now();
    let client = |_| {
        let (store, handle) = (Arc::clone(&world.store), row.handle());
        boxed(async move {
            let mut done = 0;
            while done < 10 {
                let found = store.load(handle, Load::new(), now).await;
                let found = found.expect("an answer").expect("the row is there");
                let count = std::str::from_utf8(found.fields.data().expect("data")).expect("text");
                let next = count.parse::<u64>().expect("a number") + 1;
                let update = Sample::update(next.to_string());
                match store.update(handle, found.version(), &update, now).await {
                    Ok(Updated::Done(_)) => done += 1,
                    Ok(Updated::Conflict) => {}
                    updated => panic!("the update was {updated:?}"),
                }
            }
        })
    };
    fixture.spread((0..8).map(client).collect()).await;
    let found = world.get(&row).await.expect("the row is there");
    assert_eq!(found.fields.data(), Some(&b"80"[..]), "an update was lost");
    assert_eq!(found.version(), 80);
}

/// Parallel updates, rotations and touches of one row never make a row that none of them wrote,
/// and rotations and touches cause no conflict. Rejects a store that writes rows in pieces.
pub async fn update_05_tears_no_row<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").role("0").data(b"0").at(now);
    world.put(&row).await;
    let writer = |client: usize| {
        let (store, handle) = (Arc::clone(&world.store), row.handle());
        boxed(async move {
            for turn in 0..20 {
                let found = store.load(handle, Load::new(), now).await;
                let found = found.expect("an answer").expect("the row is there");
                let roles: Vec<_> = found.fields.roles().map(str::to_owned).collect();
                let data = found.fields.data().expect("data").to_vec();
                assert!(
                    roles.concat().as_bytes() == data,
                    "roles of one write, data of another"
                );
                assert_eq!(found.subject(), "alice");
                if client < 4 {
                    let text = format!("{client}/{turn}");
                    let update = Update {
                        roles: Some(vec![text.clone()]),
                        data: Some(Some(text.into_bytes())),
                        stamp: None,
                    };
                    drop(store.update(handle, found.version(), &update, now).await);
                } else {
                    let rotation = Sample::rotation_of(&found);
                    store
                        .rotate(handle, &rotation, now)
                        .await
                        .expect("an answer");
                    store.touch(&[(handle, now)], now).await.expect("an answer");
                    store
                        .confirm(handle, found.generation(), now)
                        .await
                        .expect("an answer");
                }
            }
        })
    };
    fixture.spread((0..8).map(writer).collect()).await;

    let found = world.get(&row).await.expect("the row is there");
    let rotation = crate::store::contract::Rotation {
        overlap: std::time::Duration::ZERO,
        ..Sample::rotation_of(&found)
    };
    let rotated = world.store.rotate(row.handle(), &rotation, now).await;
    assert!(matches!(rotated, Ok(Rotated::Advanced(_))));
    world
        .store
        .touch(&[(row.handle(), now)], now)
        .await
        .expect("an answer");
    let updated = world.write(&row, found.version(), b"1").await;
    assert!(
        matches!(updated, Updated::Done(_)),
        "a rotation caused a conflict"
    );
}

/// A deadline or an idle time that became shorter counts at once. Rejects a store that remembers
/// an expiry from before.
pub async fn update_09_a_shorter_life_counts_at_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let loose = world.auth();
    let builder = world.builder(Arc::clone(&world.store));
    let strict = builder.rotate_after(std::time::Duration::from_secs(60));
    let strict = strict.build().expect("a configuration that is right");
    let tight = crate::session::SessionAuthenticator::<_, ()>::builder(Arc::clone(&world.store))
        .idle(std::time::Duration::from_secs(60))
        .absolute(std::time::Duration::from_secs(ABSOLUTE))
        .clock(world.clock.clone())
        .build()
        .expect("a configuration that is right");
    let verified = login(&loose, "alice").await;
    let refreshed = login(&loose, "alice").await;
    world.advance(61).await;
    assert_accepted::<_, ()>(&strict, secret(&verified), "alice").await;
    // Noted just now, if at all by the throttle of half an hour.
    world.advance(61).await;
    assert_rejected(&tight, secret(&verified), Rejection::Unknown).await;
    assert_rejected(&loose, secret(&verified), Rejection::Unknown).await;
    let answer = tight.refresh(secret(&refreshed)).await;
    assert_eq!(rejection(&answer), Some(Rejection::Unknown));

    let soon = world.now().saturating_add(30);
    let short = loose.issue(Login::new("bob").deadline(soon.into())).await;
    let short = short.expect("a login is issued");
    world.advance(30).await;
    assert_rejected(&loose, secret(&short), Rejection::Unknown).await;
}

/// Taking all data and all roles away is a change like any other.
/// Rejects a store that takes "nothing" for "as before".
pub async fn update_11_emptying_is_a_change<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth_of::<Value>();
    let login = Login::new("alice")
        .role("admin")
        .data(Value::from("profile"));
    let issued = auth.issue(login).await.expect("a login is issued");
    let nothing = Replacement::new().roles([""; 0]).data(Value::Null);
    let done = auth.replace(issued.identity(), nothing).await;
    assert!(matches!(done, Ok(Replaced::Done(_))));
    let identity = auth.verify(secret(&issued)).await.expect("it verifies");
    assert_eq!(
        (identity.roles().count(), identity.data()),
        (0, &Value::Null)
    );
    assert_eq!(identity.version(), 1);
    let emptied = Sample::of("bob").data(b"profile").at(world.now());
    world.put(&emptied).await;
    let updated = world.write(&emptied, 0, b"").await;
    assert!(matches!(updated, Updated::Done(_)));
    let found = world.get(&emptied).await.expect("the row is there");
    assert_eq!(
        found.fields.data(),
        Some(&b""[..]),
        "no data, and data of no bytes"
    );
}

/// What is too large is *refused* before the store is asked anything.
/// Rejects a strategy that lets the store find out.
pub async fn update_13_too_large_never_reaches_the_store<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let builder = world.builder::<_, String>(Arc::clone(&store)).max_data(100);
    let auth = builder.build().expect("a configuration that is right");
    // Two bytes of the JSON are its quotes.
    let issued = auth.issue(Login::new("alice").data("x".repeat(98))).await;
    let issued = issued.expect("as large as it may be");
    store.reset();
    let large = || "x".repeat(99);
    for login in [
        Login::new("alice").data(large()),
        Login::new("a".repeat(5_000)).data(String::new()),
        Login::new("alice")
            .role("a".repeat(5_000))
            .data(String::new()),
        Login::new("alice")
            .device("a".repeat(5_000))
            .data(String::new()),
        Login::new("alice")
            .roles(vec!["a"; 5_000])
            .data(String::new()),
    ] {
        let refused = auth.issue(login).await.expect_err("too large");
        assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
    }
    let replacement = Replacement::new().data(large());
    let refused = auth.replace(issued.identity(), replacement).await;
    assert_eq!(
        refused.expect_err("too large").refusal(),
        Some(Refusal::TooLarge)
    );
    assert_eq!(
        store.calls(),
        0,
        "the store was asked to keep what is too large"
    );
}
