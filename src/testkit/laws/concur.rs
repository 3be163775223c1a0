//! CONCUR: everything at once, and everything in any order.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::store::contract::{Limit, Load, Record, Rotation, Scope, SessionStore};
use crate::testkit::executor::{give_up_after, interleave, yield_now};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::laws::script::{Act, replay, shrink};
use crate::testkit::linear::{Call, contradiction};
use crate::testkit::model::{Answer, Model, Step, perform};
use crate::testkit::random::{Random, seed};
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, boxed, lock, normal};

/// Polls after which a call is dropped, at most.
const MAX_POLLS: usize = 16;
/// Steps of a failing script that are printed, at most.
const MAX_STEPS_SHOWN: usize = 30;

/// Twelve thousand random steps give the answers, and leave the rows, of a plain map. A failing
/// script is cut down to its shortest form. Rejects everything that shows without concurrency.
pub async fn concur_01_does_what_a_map_would_do<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let seed = seed().wrapping_add(round);
        let mut random = Random::new(seed);
        let acts: Vec<_> = (0..600).map(|_| Act::choose(&mut random)).collect();
        let Err(failure) = replay(fixture, &acts).await else {
            continue;
        };
        let (acts, failure) = shrink(fixture, acts, failure).await;
        let steps = acts
            .iter()
            .enumerate()
            .map(|(at, act)| format!("{at}: {act:?}\n"));
        let steps: String = steps.take(MAX_STEPS_SHOWN).collect();
        let count = acts.len();
        panic!("seed {seed}, {count} steps on a fresh store:\n{steps}{failure}");
    }
}

/// The answers that eight clients get about one row fit into one order, in which a call that
/// returned comes before each call that began later. Rejects stale reads, lost updates, and steps
/// that are not atomic.
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
                    let answer = perform(&*store, &step, now).await;
                    let returned = time.fetch_add(1, Ordering::SeqCst);
                    if let Answer::Row(row) | Answer::Advanced(row) | Answer::Unchanged(row) =
                        &answer
                    {
                        known = Record::decode(row).expect("a row");
                    }
                    lock(&calls).push(Call {
                        client,
                        step,
                        answer,
                        began,
                        returned,
                    });
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
        let mut calls = lock(&calls).clone();
        calls.sort_by_key(|call| call.began);
        if let Some(why) = contradiction(&start, &calls, now) {
            panic!("seed {seed}, calls by the moments of a shared counter:\n{why}");
        }
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
                overlap: Duration::ZERO,
                ..Sample::rotation_of(known)
            };
            Step::Rotate(handle, rotation)
        }
    }
}

/// A call that is dropped at any of its awaits leaves each row as it was before or as it is after
/// the call, and can be made again. Rejects a store that writes in pieces, and a connection that
/// hands a late answer to the next caller.
pub async fn concur_03_may_be_dropped_at_every_step<F: StoreFixture>(fixture: &F) {
    for step in 0..10 {
        for polls in 0..MAX_POLLS {
            if dropped(fixture, step, polls).await {
                break;
            }
        }
    }
}

/// Drops one call after so many polls. Answers whether it was done by then.
async fn dropped<F: StoreFixture>(fixture: &F, step: usize, polls: usize) -> bool {
    let world = World::open(fixture).await;
    let now = world.now();
    let mut before = Model::default();
    let rows = ["alice", "alice", "bob", "alice"].map(|subject| Sample::of(subject).at(now));
    for row in &rows[..3] {
        world.put(row).await;
        before.apply(&Step::Create(row.clone(), Limit::Unlimited), now);
    }
    let handle = rows[0].handle();
    let step = match step {
        0 => Step::Create(rows[3].clone(), Limit::EvictOldest(2)),
        1 => Step::Load(handle, None),
        2 => Step::Rotate(handle, Sample::rotation_of(&rows[0])),
        3 => Step::Update(handle, 0, Sample::update(b"changed")),
        4 => Step::Confirm(handle, 0),
        5 => Step::Touch(handle),
        6 => Step::Remove(handle, "alice".to_owned()),
        7 => Step::RemoveSubject("alice".to_owned(), Scope::all()),
        8 => Step::List("alice".to_owned(), 1),
        _ => Step::Sweep,
    };
    let mut after = before.clone();
    after.apply(&step, now);
    let call = perform(&*world.store, &step, now);
    let done = give_up_after(polls, call).await.is_some();
    let context = format!("{step}, dropped after {polls} polls");
    // A dropped call may leave a copy behind, which a cache serves for its staleness.
    let stored = async |row: &Record| {
        let load = Load::new().authoritative();
        let found = world.store.load(row.handle(), load, now).await;
        found.expect("load answers").as_ref().map(normal)
    };
    for row in &rows {
        let found = stored(row).await;
        let [before, after] = [&before, &after].map(|model| model.row(row.handle()).map(normal));
        let whole = found == after || !done && found == before;
        assert!(whole, "half a call: {context}");
    }
    if !done {
        let again = perform(&*world.store, &step, now).await;
        assert!(!matches!(again, Answer::Failed(_)), "{context}: {again}");
        for row in &rows {
            let found = stored(row).await;
            let expected = after.row(row.handle()).map(normal);
            assert!(found == expected, "wrong after a second try: {context}");
        }
    }
    let other = Sample::of("carol").at(now);
    world.put(&other).await;
    assert!(world.get(&other).await.is_some(), "{context}");
    done
}

/// Dropping a sweep, or the store's upkeep, at any step loses no live login and no noted use, and
/// brings no removed row back. Rejects a sweep that takes rows out before it checks them.
pub async fn concur_07_dropping_the_upkeep_loses_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let mut live = Vec::new();
    let mut gone = Vec::new();
    for polls in 0..30 {
        let [row, ended] = [(); 2].map(|()| Sample::of("alice").idle(20).at(world.now()));
        world.put(&row).await;
        live.push(row);
        world.put(&ended).await;
        assert_eq!(world.remove(&ended).await, 1);
        gone.push(ended);
        world.put(&Sample::of("bob").idle(1).at(world.now())).await;
        world.advance(1).await;
        for row in &live {
            let found = world.use_now(row).await;
            assert!(found.is_some(), "a login expired although it was used");
        }
        let _ = give_up_after(polls, world.store.sweep(5, world.now())).await;
        let upkeep = world.store.upkeep().clock(Arc::new(world.clock.clone()));
        let mut run = pin!(upkeep.run(|_| yield_now()));
        // Polled without being woken: there may be nothing to do.
        let awake = poll_fn(|context| {
            context.waker().wake_by_ref();
            run.as_mut().poll(context)
        });
        let _ = give_up_after(polls, awake).await;
        for row in &live {
            assert!(world.get(row).await.is_some(), "a live login was lost");
        }
        for row in &gone {
            assert!(world.get(row).await.is_none(), "a removed row came back");
        }
    }
}
