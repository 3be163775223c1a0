//! Logins run out: EXPIRY.

use std::future::{Future as _, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::authenticator::Authenticator;
use crate::clock::{Clock, Timestamp};
use crate::error::Rejection;
use crate::login::Login;
use crate::session::SessionAuthenticator;
use crate::store::contract::{Load, Record, Rotated, SessionStore, Swept, Updated};
use crate::testkit::executor::{interleave, yield_now};
use crate::testkit::faulty::{Fault, FaultyStore, Method, YieldingStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    ABSOLUTE, IDLE, World, assert_accepted, assert_rejected, assert_same, boxed, is_unavailable,
    login, secret,
};

/// How long the upkeep may take for three steps, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A login ends when it was not used for its idle time, or at its deadline however much it is
/// used: the first counts. Rejects a store that knows one of the two.
pub async fn expiry_01_the_first_limit_ends_it<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let unused = login(&auth, "alice").await;
    let used = login(&auth, "alice").await;
    let mut passed = 0;
    while passed + 900 < ABSOLUTE {
        world.advance(900).await;
        passed += 900;
        assert_accepted(&auth, secret(&used), "alice").await;
        if passed == IDLE {
            assert_rejected(&auth, secret(&unused), Rejection::Unknown).await;
        }
    }
    world.advance(ABSOLUTE - passed).await;
    assert_rejected(&auth, secret(&used), Rejection::Unknown).await;
}

/// What is over before it begins is over: a login is refused, and a row is not found.
/// Rejects a store that takes a time in the past for none.
pub async fn expiry_02_the_past_is_over_at_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let now = world.now();
    for deadline in [now, now.saturating_sub(1), Timestamp::MIN] {
        let refused = auth
            .issue(Login::new("alice").deadline(deadline.into()))
            .await;
        assert!(refused.is_err(), "a login that is over was issued");
    }
    let long_ago = now.saturating_sub(ABSOLUTE);
    let refused = auth
        .issue(Login::new("alice").authenticated_at(long_ago.into()))
        .await;
    assert!(refused.is_err(), "a login that is over was issued");
    let rows = [
        Sample::of("alice").absolute(0).at(now),
        Sample::of("alice").idle(0).at(now),
        Sample::of("alice").at(now.saturating_sub(100_000)),
    ];
    for row in rows {
        let limit = crate::store::contract::Limit::Unlimited;
        // Whether a store takes it at all is up to the store.
        let _ = world
            .store
            .create(&row, limit, now)
            .await
            .expect("an answer");
        assert!(
            world.get(&row).await.is_none(),
            "over before it began, and found"
        );
    }
    assert!(world.list("alice", 10).await.is_empty());
}

/// Lifetimes of nothing are a mistake in the configuration; endless ones neither overflow nor
/// make a login immortal. Rejects arithmetic that wraps.
pub async fn expiry_04_no_lifetime_overflows<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let build = |idle, absolute| {
        SessionAuthenticator::<_>::builder(Arc::clone(&world.store))
            .idle(idle)
            .absolute(absolute)
            .clock(world.clock.clone())
            .build()
    };
    let day = Duration::from_secs(86_400);
    for (idle, absolute) in [
        (Duration::ZERO, day),
        (day, Duration::ZERO),
        (Duration::from_millis(999), day),
        (day, Duration::from_secs(1)),
    ] {
        let built: crate::error::Result<SessionAuthenticator<_, ()>> = build(idle, absolute);
        assert!(built.is_err_and(|error| error.is_misuse()));
    }
    for most in [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(1 << 63),
    ] {
        let auth = build(most, most).expect("a configuration that is right");
        let issued = login(&auth, "alice").await;
        assert_accepted(&auth, secret(&issued), "alice").await;
        let last = i64::try_from(Timestamp::MAX.unix()).expect("a small number");
        let last = OffsetDateTime::from_unix_timestamp(last).expect("a date");
        assert_eq!(issued.identity().deadline(), last);
        let endless = auth.issue(Login::new("alice").deadline(last)).await;
        let _ = endless.expect("a login is issued");
        let refused = auth
            .issue(Login::new("alice").deadline(OffsetDateTime::UNIX_EPOCH))
            .await;
        assert!(refused.is_err());
    }
    let endless = Sample::of("alice")
        .idle(u64::MAX)
        .absolute(u64::MAX)
        .at(world.now());
    world.put(&endless).await;
    assert_same(world.get(&endless).await.as_ref(), &endless);
    // At the end of time even the endless are over, and nothing panics.
    world.clock.set(Timestamp::MAX);
    assert!(world.get(&endless).await.is_none(), "an immortal row");
    assert!(world.list("alice", 10).await.is_empty());
    let auth = build(day, day).expect("a configuration that is right");
    let refused: crate::error::Result<_> = auth.issue(Login::new("alice")).await;
    assert!(refused.is_err());
}

/// A clock that is set back revives nothing that was found over, by whichever method, and nothing
/// that was revoked. Rejects a store that says "over" and keeps the row.
pub async fn expiry_06_a_clock_set_back_revives_nothing<F: StoreFixture>(fixture: &F) {
    let hour = Duration::from_secs(3_600);
    let world = World::open(fixture).await;
    let auth = world.auth();
    let revoked = login(&auth, "alice").await;
    let _ = auth.revoke(secret(&revoked)).await.expect("an answer");
    world.clock.turn_back(hour);
    assert_rejected(&auth, secret(&revoked), Rejection::Unknown).await;

    for asked in ["load", "touching load", "rotate", "update"] {
        for sample in [
            Sample::of("alice").idle(100),
            Sample::of("alice").absolute(100),
        ] {
            let world = World::open(fixture).await;
            let row = sample.at(world.now());
            world.put(&row).await;
            world.advance(100).await;
            let (handle, now) = (row.handle(), world.now());
            let over = match asked {
                "load" => world.get(&row).await.is_none(),
                "touching load" => world.use_now(&row).await.is_none(),
                "rotate" => {
                    let rotation = Sample::rotation_of(&row);
                    let rotated = world.store.rotate(handle, &rotation, now).await;
                    matches!(rotated, Ok(Rotated::Absent))
                }
                _ => matches!(world.write(&row, 0, b"1").await, Updated::Absent),
            };
            assert!(over, "{asked} did not find it over");
            world.clock.turn_back(hour);
            assert!(
                world.get(&row).await.is_none(),
                "found over by {asked}, and revived"
            );
        }
    }
}

/// Sweeping removes what is over and nothing else, in bounded steps; the upkeep goes on after an
/// error and stops when it is dropped. Rejects a sweeper that one hiccup ends for good, and one
/// that locks everybody out.
pub async fn expiry_07_sweeps_what_is_over<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let mut alive = Vec::new();
    for at in 0..400 {
        world
            .put(&Sample::of(format!("user {at}")).idle(100).at(world.now()))
            .await;
        if at % 20 == 0 {
            let row = Sample::of(format!("user {at}")).at(world.now());
            world.put(&row).await;
            alive.push(row);
        }
    }
    let swept = async |limit| {
        let swept = world.store.sweep(limit, world.now()).await;
        swept.expect("the store answers a sweep")
    };
    assert_eq!(swept(1_000).await.removed, 0, "something alive was swept");
    world.advance(100).await;
    // Wherever the round stands, two whole ones see everything.
    let (mut removed, mut rounds, mut calls) = (0, 0, 0);
    while rounds < 2 {
        let Swept { removed: now, more } = swept(50).await;
        assert!(now <= 200, "one step of 50 removed {now}");
        removed += now;
        rounds += u32::from(!more);
        calls += 1;
        assert!(calls < 100_000, "the sweep has no end");
    }
    assert!(removed <= 400);
    if F::SWEEPS {
        assert_eq!(removed, 400, "as many were swept as were over");
    }
    for row in &alive {
        assert!(world.get(row).await.is_some(), "something alive was swept");
    }

    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    store.fail_nth_of(Method::Sweep, 1, Fault::Fails);
    let upkeep = auth.upkeep();
    assert!(is_unavailable(&upkeep.tick().await));
    assert!(upkeep.tick().await.is_ok(), "an error ended the sweeping");
    store.reset();
    store.fail_nth_of(Method::Sweep, 1, Fault::Fails);
    store.fail_nth_of(Method::Sweep, 2, Fault::LosesAnswer);
    let mut run = Box::pin(auth.upkeep().run(|_| yield_now()));
    // By the clock: how often it is polled is up to what else the store has to do.
    let began = Instant::now();
    poll_fn(|context| {
        assert!(run.as_mut().poll(context).is_pending(), "the upkeep ended");
        context.waker().wake_by_ref();
        if store.calls_of(Method::Sweep) > 2 || began.elapsed() > PATIENCE {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    drop(run);
    let calls = store.calls_of(Method::Sweep);
    assert!(calls > 2, "an error ended the sweeping");
    yield_now().await;
    assert_eq!(
        store.calls_of(Method::Sweep),
        calls,
        "it went on after it was dropped"
    );
}

/// A login whose use was noted while it was alive is not swept, even if the sweep began before.
/// Rejects a sweep that looks first and deletes then.
pub async fn expiry_08_a_touch_saves_from_the_sweep<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let rows: Vec<_> = (0..20)
            .map(|at| Sample::of(format!("user {at}")).idle(100).at(world.now()))
            .collect();
        for row in &rows {
            world.put(row).await;
        }
        world.clock.advance(Duration::from_secs(95));
        let now = world.clock.now().expect("a clock that goes");
        // The clock of the sweeping node is ahead.
        let ahead = now.saturating_add(5);
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let survivors = Arc::new(Mutex::new(Vec::new()));
        let sweeper = Arc::clone(&store);
        let mut acts = vec![boxed(async move {
            for _ in 0..20 {
                sweeper.sweep(5, ahead).await.expect("an answer");
            }
        })];
        for rows in rows.chunks(5).map(<[Record]>::to_vec) {
            let (store, survivors) = (Arc::clone(&store), Arc::clone(&survivors));
            acts.push(boxed(async move {
                for row in rows {
                    store
                        .touch(&[(row.handle(), now)], now)
                        .await
                        .expect("an answer");
                    let load = Load::new().touch(row.touch_interval());
                    if let Some(row) = store
                        .load(row.handle(), load, now)
                        .await
                        .expect("an answer")
                    {
                        survivors
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(row);
                    }
                }
            }));
        }
        if round % 2 == 0 {
            interleave(seed() + round, acts).await;
        } else {
            fixture.spread(acts).await;
        }
        world.clock.set(ahead);
        let survivors = survivors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for row in survivors {
            let found = world.get(&row).await;
            assert!(
                found.is_some(),
                "swept after its use was noted, seed {}",
                seed() + round
            );
        }
    }
}
