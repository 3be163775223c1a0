//! CHANGE and RACE: two callers at the same time, aimed at the moment between a read and a write.
//!
//! A store that reads under a lock, drops it, and takes it again to write has no await in between,
//! where another future could run. These laws find it by real threads.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::fields::FieldsBuilder;
use crate::login::handle::Handle;
use crate::store::contract::{
    Created, Limit, Load, Page, Record, Rotated, Rotation, Scope, SessionStore, Update, Updated,
};
use crate::testkit::executor::yield_now;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::Random;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, boxed, lock};

/// Time for which the function of a change waits for its rival. A store that locks the row makes
/// the rival wait all the time.
const HOLD: Duration = Duration::from_millis(20);
/// Changes that are held for each rival.
const HOLDS: usize = 3;
/// Turns of a race: calls that follow a call of another side.
const MAX_TURNS: u64 = 20_000;
/// Time limit of a race, on a busy machine.
const MAX_TIME: Duration = Duration::from_millis(1_500);
/// Duration of a create that does I/O. Other laws interleave its awaits, so that fewer turns are
/// enough.
const SLOW_CREATE: Duration = Duration::from_micros(50);
/// Turns of a race over such a store.
const MAX_SLOW_TURNS: u64 = 200;
/// Handles by which one side of a race to create them may be ahead: more than it creates in a time
/// slice, so that the other side is preempted in a call and not while it waits.
const MAX_LEAD: usize = 2_000;
/// Moments at which a rival strikes, in steps of a spinning loop.
const SHIFTS: u64 = 60;

/// The time in which the function of a change runs.
#[derive(Default)]
struct Window {
    /// True if it was opened; true if the rival is done.
    state: Mutex<(bool, bool)>,
    closed: Condvar,
}

impl Window {
    /// Opens the window and waits until the rival is done or the time is up. Once.
    fn hold(&self) {
        let mut state = lock(&self.state);
        if !state.0 {
            state.0 = true;
            let _ = self
                .closed
                .wait_timeout_while(state, HOLD, |state| !state.1);
        }
    }

    fn is_open(&self) -> bool {
        lock(&self.state).0
    }

    fn close(&self) {
        lock(&self.state).1 = true;
        self.closed.notify_all();
    }
}

/// Opens a window at the latest when the change has ended, also by a panic.
struct OpenOnDrop(Arc<Window>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        lock(&self.0.state).0 = true;
    }
}

/// A call that arrives while the function of a change runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rival {
    Change,
    Update,
    Rotate,
    Touch,
    Remove,
    RemoveSubject,
}

impl Rival {
    /// Makes the call. Answers whether it changed the row.
    async fn call<S: SessionStore>(self, store: &S, row: &Record, now: Timestamp) -> bool {
        let (handle, update) = (row.handle(), Sample::update(b"rival"));
        match self {
            Self::Change => {
                let change = |row: &mut Record| row.update(row.version(), &update);
                let changed = store.change(handle, now, &change).await;
                changed.expect("change answers").is_some()
            }
            Self::Update => {
                let updated = store.update(handle, 0, &update, now).await;
                matches!(updated.expect("update answers"), Updated::Done { .. })
            }
            Self::Rotate => {
                let rotation = Sample::rotation_of(row);
                let rotated = store.rotate(handle, &rotation, now).await;
                matches!(rotated.expect("rotate answers"), Rotated::Done(_))
            }
            Self::Touch => {
                let touched = store.touch(&[(handle, now)], now).await;
                touched.expect("touch answers");
                true
            }
            Self::Remove => {
                let removed = store.remove(handle, row.subject(), now).await;
                removed.expect("remove answers").count == 1
            }
            Self::RemoveSubject => {
                let removed = store.remove_subject(row.subject(), Scope::all(), now).await;
                removed.expect("remove_subject answers").count == 1
            }
        }
    }
}

/// Nothing that arrives while the function of a [`change`](SessionStore::change) runs is lost or
/// undone by it: no other change, update or rotation, no use, and above all no removal. Rejects a
/// store that reads, calls the function, and writes in two steps, with or without an await between
/// them.
pub async fn change_01_is_one_step<F: StoreFixture>(fixture: &F) {
    for rival in [
        Rival::Change,
        Rival::Update,
        Rival::Rotate,
        Rival::Touch,
        Rival::Remove,
        Rival::RemoveSubject,
    ] {
        for _ in 0..HOLDS {
            hold_against(fixture, rival).await;
        }
    }
}

async fn hold_against<F: StoreFixture>(fixture: &F, rival: Rival) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(100).at(world.now());
    world.put(&row).await;
    world.advance(60).await;
    let (window, done) = (
        Arc::new(Window::default()),
        Arc::new(AtomicBool::new(false)),
    );
    let (handle, now) = (row.handle(), world.now());
    let store = Arc::clone(&world.store);
    let held = OpenOnDrop(Arc::clone(&window));
    let changer = boxed(async move {
        let update = Update {
            roles: Some(vec!["changer".to_owned()]),
            ..Update::default()
        };
        let change = |row: &mut Record| {
            held.0.hold();
            row.update(row.version(), &update)
        };
        let changed = store.change(handle, now, &change).await;
        changed.expect("change answers");
    });
    let (store, rows, was_done) = (Arc::clone(&world.store), row.clone(), Arc::clone(&done));
    let contender = boxed(async move {
        while !window.is_open() {
            yield_now().await;
        }
        let answer = rival.call(&*store, &rows, now).await;
        was_done.store(answer, Ordering::SeqCst);
        window.close();
    });
    fixture.spread(vec![changer, contender]).await;

    let done = done.load(Ordering::SeqCst);
    if matches!(rival, Rival::Remove | Rival::RemoveSubject) {
        assert!(done, "{rival:?} during change found no row");
        let context = format!("because change undid {rival:?}");
        return world.assert_gone(&row, &context).await;
    }
    if rival == Rival::Touch {
        world.advance(60).await;
    }
    let found = world.get(&row).await;
    let found = found.unwrap_or_else(|| panic!("{rival:?} during change was lost: no row"));
    let versions = 1 + u64::from(done && matches!(rival, Rival::Change | Rival::Update));
    let generations = u32::from(done && rival == Rival::Rotate);
    let roles: String = found.fields.roles().collect();
    assert_eq!(
        (found.version(), found.generation(), &*roles),
        (versions, generations, "changer"),
        "version, generation and roles after {rival:?} during change"
    );
}

/// Callers that race against each other in loops of calls.
///
/// A loop of calls spends a good part of its time between the read and the write of a broken store.
/// A rival that runs at the same time, or while the loop is preempted, soon hits that part.
struct Race<S> {
    store: Arc<S>,
    now: Timestamp,
    began: Instant,
    max_turns: u64,
    turns: AtomicU64,
    /// The side that made the last call.
    side: AtomicUsize,
    stopped: AtomicBool,
    wrong: Mutex<Option<String>>,
}

impl<S: SessionStore> Race<S> {
    async fn open<F: StoreFixture<Store = S>>(world: &World<'_, F>) -> Arc<Self> {
        let mut fastest = Duration::MAX;
        for _ in 0..4 {
            let row = Sample::of("alice").at(world.now());
            let began = Instant::now();
            world.put(&row).await;
            fastest = fastest.min(began.elapsed());
            world.remove(&row).await;
        }
        let max_turns = if fastest > SLOW_CREATE {
            MAX_SLOW_TURNS
        } else {
            MAX_TURNS
        };
        Arc::new(Self {
            store: Arc::clone(&world.store),
            now: world.now(),
            began: Instant::now(),
            max_turns,
            turns: AtomicU64::new(0),
            side: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            wrong: Mutex::default(),
        })
    }

    /// Notes a call of a side, and answers whether it makes another one.
    async fn continues(&self, side: usize) -> bool {
        if self.side.swap(side, Ordering::SeqCst) != side {
            self.turns.fetch_add(1, Ordering::SeqCst);
            // Lets a side run that shares this thread.
            yield_now().await;
        }
        !self.stopped.load(Ordering::SeqCst)
            && self.turns.load(Ordering::SeqCst) < self.max_turns
            && self.began.elapsed() < MAX_TIME
    }

    /// Waits for a round of another side. Answers `false` if the race stops before.
    async fn reached(&self, counter: &AtomicU64, round: u64) -> bool {
        loop {
            for _ in 0..200 {
                if counter.load(Ordering::SeqCst) >= round {
                    return true;
                }
                if self.stopped.load(Ordering::SeqCst) {
                    return false;
                }
                spin_loop();
            }
            thread::yield_now();
            yield_now().await;
        }
    }

    /// Stops the race: the store is broken.
    fn fail(&self, wrong: impl Into<String>) {
        lock(&self.wrong).get_or_insert(wrong.into());
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Runs the sides of the race.
    async fn run<F: StoreFixture>(&self, fixture: &F, sides: Vec<BoxFuture<'static, ()>>) {
        fixture.spread(sides).await;
        if let Some(wrong) = lock(&self.wrong).take() {
            panic!("{wrong}");
        }
    }

    async fn create(&self, row: &Record, limit: Limit) -> bool {
        let created = self.store.create(row, limit, self.now).await;
        matches!(created.expect("create answers"), Created::Stored { .. })
    }

    async fn load(&self, row: &Record) -> Option<Record> {
        let found = self.store.load(row.handle(), Load::new(), self.now).await;
        found.expect("load answers")
    }

    async fn remove(&self, row: &Record) {
        let removed = self.store.remove(row.handle(), row.subject(), self.now);
        let _ = removed.await.expect("remove answers");
    }
}

/// Stops a race when a side ends, also by a panic.
struct StopOnDrop<S>(Arc<Race<S>>);

impl<S> Drop for StopOnDrop<S> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
    }
}

/// A write in a loop, each time with what the one before returned.
#[derive(Clone, Copy)]
enum LoopedWrite {
    Update,
    Rotate,
    Touch,
}

impl LoopedWrite {
    /// Answers whether it changed the row. A store may give up where others change the row all the
    /// time.
    async fn call<S: SessionStore>(self, race: &Race<S>, known: &mut Record) -> Result<bool> {
        let (store, handle, now) = (&race.store, known.handle(), race.now);
        match self {
            Self::Update => {
                let update = Sample::update(b"late");
                let updated = store.update(handle, known.version(), &update, now).await;
                if let Updated::Done { record: row, .. } = updated? {
                    *known = row;
                    return Ok(true);
                }
            }
            Self::Rotate => {
                let rotation = Rotation {
                    overlap: Duration::ZERO,
                    ..Sample::rotation_of(known)
                };
                let rotated = store.rotate(handle, &rotation, now).await;
                if let Rotated::Done(row) = rotated? {
                    *known = row;
                    return Ok(true);
                }
            }
            Self::Touch => {
                let seen_at = known.last_seen().saturating_add(1);
                store.touch(&[(handle, seen_at)], now).await?;
                return Ok(known.touch(seen_at));
            }
        }
        Ok(false)
    }
}

/// The row of a round, and the rounds that were begun and ended.
#[derive(Default)]
struct Rounds {
    row: Mutex<Option<Record>>,
    begun: AtomicU64,
    removed: AtomicU64,
}

/// Removes row after row while another caller writes to it in a loop.
async fn against_removals<F: StoreFixture>(fixture: &F, write: LoopedWrite, name: &'static str) {
    let world = World::open(fixture).await;
    let race = Race::open(&world).await;
    let rounds = Arc::new(Rounds::default());
    let (writes, removes) = (Arc::clone(&rounds), rounds);
    let own = StopOnDrop(Arc::clone(&race));
    let writer = boxed(async move {
        let race = &own.0;
        for round in 1.. {
            let sample = Sample::of("alice").idle(1_000_000).absolute(2_000_000);
            let mut known = sample.at(race.now);
            race.create(&known, Limit::Unlimited).await;
            *lock(&writes.row) = Some(known.clone());
            writes.begun.store(round, Ordering::SeqCst);
            while writes.removed.load(Ordering::SeqCst) < round {
                let _ = write.call(race, &mut known).await;
                if !race.continues(0).await {
                    return;
                }
            }
            if race.load(&known).await.is_some() {
                race.fail(format!("{name} brought a removed row back"));
            }
        }
    });
    let own = StopOnDrop(Arc::clone(&race));
    let remover = boxed(async move {
        let race = &own.0;
        for round in 1.. {
            if !race.reached(&removes.begun, round).await {
                return;
            }
            let row = lock(&removes.row).clone().expect("the row of the round");
            (0..round % SHIFTS).for_each(|_| spin_loop());
            race.remove(&row).await;
            removes.removed.store(round, Ordering::SeqCst);
            if !race.continues(1).await {
                return;
            }
        }
    });
    race.run(fixture, vec![writer, remover]).await;
}

/// No update that races with a removal brings the row back. Rejects a store that reads and writes
/// in two steps, even without an await between them.
pub async fn race_01_no_update_revives_a_removed_row<F: StoreFixture>(fixture: &F) {
    against_removals(fixture, LoopedWrite::Update, "update").await;
}

/// No rotation that races with a removal brings the row back. Rejects the same as `race_01`.
pub async fn race_02_no_rotation_revives_a_removed_row<F: StoreFixture>(fixture: &F) {
    against_removals(fixture, LoopedWrite::Rotate, "rotate").await;
}

/// No touch that races with a removal brings the row back. Rejects the same as `race_01`.
pub async fn race_03_no_touch_revives_a_removed_row<F: StoreFixture>(fixture: &F) {
    against_removals(fixture, LoopedWrite::Touch, "touch").await;
}

/// Of updates and rotations that race on one row, each one that was answered as done counts. One
/// that was answered as *unavailable* may count or not.
/// Rejects a store that reads and writes in two steps, even without an await between them.
pub async fn race_04_updates_and_rotations_all_count<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let race = Race::open(&world).await;
    let row = Sample::of("alice").at(world.now());
    world.put(&row).await;
    let done = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let unclear = Arc::new(AtomicU64::new(0));
    let side = |(side, write): (usize, LoopedWrite)| {
        let (race, done, mut known) = (Arc::clone(&race), Arc::clone(&done), row.clone());
        let unclear = Arc::clone(&unclear);
        boxed(async move {
            while race.continues(side).await {
                let answer = write.call(&race, &mut known).await;
                match answer {
                    Ok(true) => done[write as usize].fetch_add(1, Ordering::SeqCst),
                    Ok(false) => 0,
                    Err(_) => unclear.fetch_add(1, Ordering::SeqCst),
                };
                if !matches!(answer, Ok(true)) {
                    let before = known;
                    known = race.load(&before).await.expect("the row is there");
                    let lost = known.version() < before.version()
                        || known.generation() < before.generation();
                    if lost {
                        race.fail("an update or rotation that was answered as done is lost");
                    }
                }
            }
        })
    };
    let sides = [
        LoopedWrite::Update,
        LoopedWrite::Update,
        LoopedWrite::Rotate,
    ];
    let sides = sides.into_iter().enumerate().map(side);
    race.run(fixture, sides.collect()).await;
    let found = world.get(&row).await.expect("the row is there");
    let [updates, rotations] = [&done[0], &done[1]].map(|done| done.load(Ordering::SeqCst));
    let unclear = unclear.load(Ordering::SeqCst);
    for (name, counted, done) in [
        ("updates", found.version(), updates),
        ("rotations", u64::from(found.generation()), rotations),
    ] {
        assert!(
            (done..=done + unclear).contains(&counted),
            "{done} {name} were answered as done, {unclear} as unavailable, and the row has {counted}"
        );
    }
}

/// A row under the handle of a number, which is cheaper than a random one. It has some data, so
/// that it takes a while to encode.
fn numbered(sample: &Record, subject: &str, number: usize) -> Record {
    let mut row = sample.clone();
    let mut fields = FieldsBuilder::new(subject);
    fields.data(&[7; 4_000]);
    row.fields = fields.build();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&Random::new(number as u64).word().to_be_bytes());
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    row.handle = Handle::of_subject(subject.as_bytes(), bytes);
    row
}

/// Of two creates of one handle that race, one is stored. Rejects a store that looks and inserts in
/// two steps, even without an await between them.
pub async fn race_05_one_create_of_a_handle_wins<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let race = Race::open(&world).await;
    let sample = Sample::of("alice").at(world.now());
    // The next handle, the one of each side, and the handles that were stored.
    let next = Arc::new(AtomicUsize::new(1));
    let at = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let stored: Arc<[_]> = (0..2 * MAX_LEAD).map(|_| AtomicUsize::new(0)).collect();
    let side = |side: usize| {
        let (race, sample, at) = (Arc::clone(&race), sample.clone(), Arc::clone(&at));
        let (next, stored) = (Arc::clone(&next), Arc::clone(&stored));
        boxed(async move {
            while race.continues(side).await {
                let number = next.load(Ordering::SeqCst);
                at[side].store(number, Ordering::SeqCst);
                // A side that was preempted in its create must meet the row of the other one.
                if number > at[1 - side].load(Ordering::SeqCst) + MAX_LEAD {
                    thread::yield_now();
                    yield_now().await;
                    continue;
                }
                // A subject of its own, so that a store does not count them.
                let row = numbered(&sample, &number.to_string(), number);
                if !race.create(&row, Limit::Unlimited).await {
                    continue;
                }
                next.fetch_max(number + 1, Ordering::SeqCst);
                let before = stored[number % stored.len()].swap(number, Ordering::SeqCst);
                if before == number {
                    race.fail("create stored one handle twice");
                }
                if let Some(behind) = number.checked_sub(stored.len() - 1) {
                    race.remove(&numbered(&sample, &behind.to_string(), behind))
                        .await;
                }
            }
        })
    };
    race.run(fixture, [0, 1].map(side).into()).await;
}

/// Of two creates that race for one place, one is stored. Rejects a store that counts and inserts
/// in two steps, even without an await between them.
pub async fn race_06_creates_stay_within_the_limit<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let race = Race::open(&world).await;
    let sample = Sample::of("alice").at(world.now());
    let side = |side: usize| {
        let (race, sample) = (Arc::clone(&race), sample.clone());
        boxed(async move {
            let mut number = side;
            while race.continues(side).await {
                number += 2;
                let row = numbered(&sample, "alice", number);
                if !race.create(&row, Limit::Reject(1)).await {
                    continue;
                }
                let listed = race.store.list("alice", Page::first(10), race.now).await;
                let listed = listed.expect("list answers").records.len();
                if listed > 1 {
                    race.fail(format!("{listed} logins within a limit of 1"));
                }
                race.remove(&row).await;
            }
        })
    };
    race.run(fixture, [0, 1].map(side).into()).await;
}
