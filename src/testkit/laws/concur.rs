//! Everything at once, and everything in any order: CONCUR.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::authenticator::Authenticator;
use crate::login::Login;
use crate::session::Replacement;
use crate::store::contract::{Limit, Record, Rotation};
use crate::testkit::executor::{caught, give_up_after, interleave, yield_now};
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::laws::script::{Act, replay, shrink};
use crate::testkit::linear::{Call, is_linearizable};
use crate::testkit::model::{Answer, Model, Step, perform};
use crate::testkit::random::{Random, seed};
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_accepted, boxed, is_unavailable, login, secret};

/// Twelve thousand random steps, by their answers and by what is there in the end, are those of a
/// plain map. What fails is cut down to its shortest form. Rejects everything that shows without
/// concurrency.
pub async fn concur_01_does_what_a_map_would_do<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let seed = seed().wrapping_add(round);
        let mut random = Random::new(seed);
        let acts: Vec<_> = (0..600).map(|_| Act::choose(&mut random)).collect();
        if let Err(failure) = replay(fixture, &acts).await {
            let (acts, failure) = shrink(fixture, acts, failure).await;
            panic!("{failure}\nseed {seed}, {} steps: {acts:#?}", acts.len());
        }
    }
}

/// What eight clients see of one row can be put into one order that respects who came first.
/// Rejects stale reads, lost updates and steps that are not one.
pub async fn concur_02_is_linearizable<F: StoreFixture>(fixture: &F) {
    for round in 0..60 {
        let world = World::open(fixture).await;
        let now = world.now();
        let row = Sample::of("alice").data(b"0").at(now);
        let mut start = Model::default();
        // In some rounds the clients race to create the row, in the others to remove it.
        let racing = round % 3 == 0;
        if !racing {
            world.put(&row).await;
            start.apply(&Step::Create(row.clone(), Limit::Unlimited), now);
        }
        let time = Arc::new(AtomicU64::new(0));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seed = seed().wrapping_add(round);
        let client = |client: usize| {
            let (store, row) = (Arc::clone(&world.store), row.clone());
            let (time, calls) = (Arc::clone(&time), Arc::clone(&calls));
            let mut random = Random::new(seed.wrapping_mul(31).wrapping_add(client as u64));
            boxed(async move {
                let mut known = row.clone();
                for turn in 0..8 {
                    let step = if racing && turn == 0 && client < 4 {
                        Step::Create(row.clone(), Limit::Unlimited)
                    } else {
                        client_step(&mut random, &known, racing)
                    };
                    let began = time.fetch_add(1, Ordering::SeqCst);
                    let answer = perform(&store, &step, now).await;
                    let returned = time.fetch_add(1, Ordering::SeqCst);
                    if let Answer::Row(row) | Answer::Advanced(row) | Answer::Unchanged(row) =
                        &answer
                    {
                        known = Record::decode(row).expect("a row");
                    }
                    let call = Call {
                        step,
                        answer,
                        began,
                        returned,
                    };
                    calls
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(call);
                    if random.once_in(3) {
                        yield_now().await;
                    }
                }
            })
        };
        let clients = (0..8).map(client).collect();
        if round % 4 == 1 {
            interleave(seed, clients).await;
        } else {
            fixture.spread(clients).await;
        }
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        calls.sort_by_key(|call| call.began);
        let ordered = is_linearizable(&start, &calls, now);
        assert!(ordered, "seed {seed}: there is no order of {calls:#?}");
    }
}

fn client_step(random: &mut Random, known: &Record, racing: bool) -> Step {
    let handle = known.handle();
    match random.below(20) {
        0 if !racing => Step::Remove(handle, "alice".to_owned()),
        0..=7 => Step::Load(handle, None),
        8..=13 => {
            let change = Sample::update(random.below(1_000).to_string());
            Step::Update(handle, known.version(), change)
        }
        _ => {
            let rotation = Rotation {
                overlap: std::time::Duration::ZERO,
                ..Sample::rotation_of(known)
            };
            Step::Rotate(handle, rotation)
        }
    }
}

/// An act that is dropped at whichever of its steps leaves every login whole, and can be done
/// again. Rejects a store that writes in pieces, and a strategy that counts on getting to its end.
pub async fn concur_03_may_be_dropped_at_every_step<F: StoreFixture>(fixture: &F) {
    for act in [
        "issue",
        "verify",
        "refresh",
        "revoke",
        "replace",
        "revoke_others",
        "revoke_all",
    ] {
        for polls in 0..16 {
            let world = World::open(fixture).await;
            let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
            let builder = world.builder(store).limit(Limit::EvictOldest(4));
            let auth = builder.build().expect("a configuration that is right");
            let first = auth
                .issue(Login::new("alice").data(1))
                .await
                .expect("a login");
            let second = auth
                .issue(Login::new("alice").data(2))
                .await
                .expect("a login");
            let bystander = auth
                .issue(Login::new("bob").data(3))
                .await
                .expect("a login");
            world.advance(60).await;
            let begin = async || match act {
                "issue" => {
                    let login = Login::new("alice").data(4).replaces(secret(&first));
                    auth.issue(login).await.map(drop)
                }
                "verify" => auth.verify(secret(&first)).await.map(drop),
                "refresh" => auth.refresh(secret(&first)).await.map(drop),
                "revoke" => auth.revoke(secret(&first)).await.map(drop),
                "replace" => {
                    let replacement = Replacement::new().data(5).roles(["admin"]);
                    auth.replace(first.identity(), replacement).await.map(drop)
                }
                "revoke_others" => auth.revoke_others(secret(&second)).await.map(drop),
                _ => auth.revoke_all("alice").await.map(drop),
            };
            let done = give_up_after(polls, begin()).await.is_some();
            // Whatever is there is whole: it decodes, and is one of those that may be there.
            let listed = world.list("alice", 100).await;
            assert!(listed.len() <= 3, "{act}, dropped after {polls} polls");
            for row in &listed {
                let data = row.fields.data().expect("data");
                let expected: &[&[u8]] = if row.version() == 1 {
                    &[b"5"]
                } else {
                    &[b"1", b"2", b"4"]
                };
                assert!(
                    expected.contains(&data),
                    "{act}, dropped after {polls} polls"
                );
                assert_eq!(
                    row.fields.roles().count() as u64,
                    row.version(),
                    "half an update"
                );
            }
            assert_accepted(&auth, secret(&bystander), "bob").await;
            if !done {
                let again = begin().await;
                assert!(
                    !is_unavailable(&again),
                    "{act}, dropped after {polls} polls: {again:?}"
                );
            }
            if act == "refresh" {
                let one = auth.refresh(secret(&first)).await.expect("a replay");
                let two = auth.refresh(secret(&first)).await.expect("a replay");
                assert_eq!(secret(&one), secret(&two));
                assert_accepted(&auth, secret(&one), "alice").await;
            }
            if matches!(act, "verify" | "refresh" | "replace") {
                assert_accepted(&auth, secret(&first), "alice").await;
            } else if act != "issue" || done {
                assert!(auth.verify(secret(&first)).await.is_err());
            }
            let gone = act == "revoke_all";
            assert_eq!(auth.verify(secret(&second)).await.is_err(), gone, "{act}");
        }
    }
}

/// Data whose code panics on command.
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
        assert_ne!(
            self.0, ON_WRITE,
            "it panics when it is written, as it should here"
        );
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            ON_READ => panic!("it panics when it is read, as it should here"),
            UNREADABLE => Err(D::Error::custom("unreadable")),
            value => Ok(Self(value)),
        }
    }
}

/// A panic in the application's own code, on writing or on reading its data, ends that one act:
/// the next ones work. Rejects a lock that is held over foreign code.
pub async fn concur_06_survives_panics_of_the_application<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth_of::<Fragile>();
    let issue = |data| auth.issue(Login::new("alice").data(Fragile(data)));
    let good = issue(10).await.expect("a login is issued");
    for _ in 0..3 {
        assert!(
            caught(issue(ON_WRITE)).await.is_none(),
            "it should have panicked"
        );
        let bad = issue(ON_READ).await.expect("a login is issued");
        world.advance(60).await;
        let panicked = caught(auth.verify(secret(&bad))).await.is_none();
        assert!(panicked, "it should have panicked");
        assert!(
            caught(auth.refresh(secret(&bad))).await.is_none(),
            "it should have panicked"
        );
        let replacement = Replacement::new().data(Fragile(ON_WRITE));
        let replace = caught(auth.replace(good.identity(), replacement)).await;
        assert!(replace.is_none(), "it should have panicked");
        assert_accepted(&auth, secret(&good), "alice").await;
        let unreadable = issue(UNREADABLE).await.expect("a login is issued");
        assert!(auth.verify(secret(&unreadable)).await.is_err());
        let _ = auth
            .revoke(secret(&bad))
            .await
            .expect("what cannot be read can be revoked");
        let next = issue(11).await.expect("a login is issued");
        assert_accepted(&auth, secret(&next), "alice").await;
    }
}

/// Dropping the upkeep at whichever step loses nothing that was acknowledged, and brings nothing
/// back that was removed. Rejects a sweep that takes rows out before it knows them.
pub async fn concur_07_dropping_the_upkeep_loses_nothing<F: StoreFixture>(fixture: &F) {
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
        world.put(&Sample::of("bob").idle(1).at(world.now())).await;
        world.advance(1).await;
        let run = auth.upkeep().run(|_| yield_now());
        assert!(
            give_up_after(polls, run).await.is_none(),
            "the upkeep ended"
        );
        for issued in &live {
            assert_accepted(&auth, secret(issued), "alice").await;
        }
        for issued in &gone {
            assert!(
                auth.verify(secret(issued)).await.is_err(),
                "a login came back"
            );
        }
    }
}
