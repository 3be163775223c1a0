//! Acts that are dropped, and applications that panic.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use statewise::store::contract::Limit;
use statewise::testkit::{Sample, StoreFixture, YieldingStore, caught, give_up_after, yield_now};
use statewise::{Authenticator, Edit, Login};

use super::world::{World, assert_accepted, is_unavailable, login, secret};

/// Offset of the fields in an encoded row.
const FIELDS: usize = 160;

/// An act that is dropped at any of its steps leaves every login whole, and can be done again.
/// Rejects a store that writes in pieces, and a strategy that relies on reaching its end.
pub(crate) async fn concur_03_may_be_dropped_at_every_step<F: StoreFixture>(fixture: &F) {
    for act in [
        "issue",
        "verify",
        "refresh",
        "revoke",
        "update",
        "revoke_others",
        "revoke_all",
    ] {
        for polls in 0..16 {
            let context = format!("{act}, dropped after {polls} polls");
            let world = World::open(fixture).await;
            let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
            let builder = world.builder(store).limit(Limit::EvictOldest(4));
            let auth = builder.build().expect("a valid configuration");
            let issue = async |subject, data: u64| {
                let issued = auth.issue(Login::new(subject).data(data)).await;
                issued.expect("a login")
            };
            let first = issue("alice", 1).await;
            let second = issue("alice", 2).await;
            let bystander = issue("bob", 3).await;
            world.advance(60).await;
            let begin = async || match act {
                "issue" => {
                    let login = Login::new("alice").data(4).replaces(secret(&first));
                    auth.issue(login).await.map(drop)
                }
                "verify" => auth.verify(secret(&first)).await.map(drop),
                "refresh" => auth.refresh(secret(&first)).await.map(drop),
                "revoke" => auth.revoke(secret(&first)).await.map(drop),
                "update" => {
                    let edit = &mut |session: &mut Edit<u64>| {
                        session.data = 5;
                        session.roles = vec!["admin".to_owned()];
                        Ok(())
                    };
                    auth.update(secret(&first), edit).await.map(drop)
                }
                "revoke_others" => auth.revoke_others(secret(&second)).await.map(drop),
                _ => auth.revoke_all("alice").await.map(drop),
            };
            let done = give_up_after(polls, begin()).await.is_some();
            // Each row that is left is whole: one of the expected versions.
            let listed = world.list("alice").await;
            assert!(listed.len() <= 3, "{context}");
            for row in &listed {
                let roles: &[&str] = if row.version() == 1 { &["admin"] } else { &[] };
                let whole = if row.version() == 1 { 5..=5 } else { 1..=4 };
                let bytes = row.encode();
                let holds = |data: u64| {
                    let mut sample = Sample::of("alice").data(data.to_string());
                    for role in roles {
                        sample = sample.role(*role);
                    }
                    let expected = sample.at(world.now()).encode();
                    bytes[FIELDS..] == expected[FIELDS..]
                };
                assert!(whole.into_iter().any(holds), "half an update: {context}");
            }
            assert_accepted(&auth, secret(&bystander), "bob").await;
            if !done {
                let again = begin().await;
                assert!(!is_unavailable(&again), "{context}: {again:?}");
            }
            if act == "refresh" {
                let one = auth.refresh(secret(&first)).await.expect("a replay");
                let two = auth.refresh(secret(&first)).await.expect("a replay");
                assert_eq!(secret(&one), secret(&two));
                assert_accepted(&auth, secret(&one), "alice").await;
            }
            if matches!(act, "verify" | "refresh" | "update") {
                assert_accepted(&auth, secret(&first), "alice").await;
            } else if act != "issue" || done {
                assert!(auth.verify(secret(&first)).await.is_err());
            }
            let gone = act == "revoke_all";
            assert_eq!(auth.verify(secret(&second)).await.is_err(), gone, "{act}");
        }
    }
}

/// Data that panic on command.
#[derive(Debug, PartialEq, Eq)]
struct Fragile(u32);

/// Panics when it is written.
const ON_WRITE: u32 = 1;
/// Panics when it is read.
const ON_READ: u32 = 2;
/// Fails when it is read.
const UNREADABLE: u32 = 3;

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, ON_WRITE, "this panic is part of the test");
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            ON_READ => panic!("this panic is part of the test"),
            UNREADABLE => Err(D::Error::custom("unreadable")),
            value => Ok(Self(value)),
        }
    }
}

/// A panic in the application's own code, while its data are written or read, ends that one act.
/// The next acts work. Rejects a lock that is held while foreign code runs.
pub(crate) async fn concur_06_survives_panics_of_the_application<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth_of::<Fragile>();
    let issue = |data| auth.issue(Login::new("alice").data(Fragile(data)));
    let good = issue(10).await.expect("a login is issued");
    for _ in 0..3 {
        let written = caught(issue(ON_WRITE)).await;
        assert!(written.is_none(), "the write should have panicked");
        let bad = issue(ON_READ).await.expect("a login is issued");
        world.advance(60).await;
        let verified = caught(auth.verify(secret(&bad))).await;
        assert!(verified.is_none(), "the read should have panicked");
        let refreshed = caught(auth.refresh(secret(&bad))).await;
        assert!(refreshed.is_none(), "the read should have panicked");
        let edit = &mut |session: &mut Edit<Fragile>| {
            session.data = Fragile(ON_WRITE);
            Ok(())
        };
        let updated = caught(auth.update(secret(&good), edit)).await;
        assert!(updated.is_none(), "the write should have panicked");
        assert_accepted(&auth, secret(&good), "alice").await;
        let unreadable = issue(UNREADABLE).await.expect("a login is issued");
        assert!(auth.verify(secret(&unreadable)).await.is_err());
        let revoked = auth.revoke(secret(&bad)).await;
        let _ = revoked.expect("unreadable data can be revoked");
        let next = issue(11).await.expect("a login is issued");
        assert_accepted(&auth, secret(&next), "alice").await;
    }
}

/// Dropping the upkeep at any step loses no acknowledged login, and brings no removed one back.
/// Rejects a sweep that takes rows out before it knows them.
pub(crate) async fn concur_07_dropping_the_upkeep_loses_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(store);
    let mut live = Vec::new();
    let mut gone = Vec::new();
    for polls in 0..30 {
        live.push(login(&auth, "alice").await);
        let ended = login(&auth, "alice").await;
        let _ = auth.revoke(secret(&ended)).await.expect("an answer");
        gone.push(ended);
        let soon = world.now().saturating_add(1);
        let short = auth.issue(Login::new("bob").deadline(soon.into())).await;
        let _ = short.expect("a login is issued");
        world.advance(1).await;
        let run = auth.upkeep().run(|_| yield_now());
        let ended = give_up_after(polls, run).await;
        assert!(ended.is_none(), "the upkeep ended");
        for issued in &live {
            assert_accepted(&auth, secret(issued), "alice").await;
        }
        for issued in &gone {
            let verified = auth.verify(secret(issued)).await;
            assert!(verified.is_err(), "a removed login came back");
        }
    }
}
