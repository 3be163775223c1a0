//! Random steps that can be replayed, and cut down to the shortest that fail.

use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::login::handle::Handle;
use crate::login::step_up::StepUp;
use crate::store::contract::{Limit, Record, Rotation, Scope, SessionStore, Update};
use crate::testkit::clock::ManualClock;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::model::{Model, Step, perform, stamp};
use crate::testkit::random::Random;
use crate::testkit::sample::Sample;
use crate::testkit::world::check_peek;

/// Rows that a script can name.
const SLOTS: usize = 9;
/// Seconds of one step in time. Idle timeouts and deadlines are multiples of it and the throttle of
/// a touch equals it: a store that notes every use gives the same answers as one that notes few.
const UNIT: u64 = 100;
const IDLE: u64 = 8 * UNIT;

/// A step that takes its details from the state that it finds, so that it stays meaningful when
/// other steps are left out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Create {
        slot: usize,
        units: u64,
        limit: usize,
    },
    Load {
        slot: usize,
        touch: bool,
    },
    Rotate {
        slot: usize,
        honest: bool,
    },
    Update {
        slot: usize,
        current: bool,
        what: usize,
    },
    Confirm {
        slot: usize,
        current: bool,
    },
    Touch {
        slot: usize,
    },
    Remove {
        slot: usize,
    },
    RemoveSubject {
        slot: usize,
        scope: usize,
    },
    List {
        slot: usize,
        limit: usize,
    },
    Sweep,
    Advance {
        units: u64,
    },
}

impl Act {
    pub(super) fn choose(random: &mut Random) -> Self {
        let slot = random.below(SLOTS);
        match random.below(40) {
            0..=9 => Self::Create {
                slot,
                units: 1 + random.below(20) as u64,
                limit: random.below(6),
            },
            10..=16 => Self::Load {
                slot,
                touch: random.once_in(2),
            },
            17..=21 => Self::Rotate {
                slot,
                honest: !random.once_in(4),
            },
            22..=26 => Self::Update {
                slot,
                current: !random.once_in(4),
                what: random.below(6),
            },
            27..=28 => Self::Confirm {
                slot,
                current: !random.once_in(3),
            },
            29..=30 => Self::Touch { slot },
            31..=32 => Self::Remove { slot },
            33 => Self::RemoveSubject {
                slot,
                scope: random.below(4),
            },
            34..=35 => Self::List {
                slot,
                limit: 1 + random.below(4),
            },
            36 => Self::Sweep,
            _ => Self::Advance {
                units: 1 + random.below(6) as u64,
            },
        }
    }
}

/// The state of a running script.
struct Stage {
    model: Model,
    slots: Vec<Option<Record>>,
    clock: ManualClock,
}

impl Stage {
    fn now(&self) -> Timestamp {
        self.clock.now().expect("the clock shows a time")
    }

    /// Handle and subject of a slot, made up if it was never used.
    fn handle(&self, slot: usize) -> (Handle, String) {
        match &self.slots[slot] {
            Some(row) => (row.handle(), row.subject().to_owned()),
            None => (
                Sample::of("unused").at(self.now()).handle(),
                "unused".to_owned(),
            ),
        }
    }

    /// The step of an act in this state.
    fn step(&mut self, act: Act) -> Option<Step> {
        let now = self.now();
        Some(match act {
            Act::Create { slot, units, limit } => {
                let row = self.row_for(slot, units * UNIT, now);
                let limit = match limit {
                    0 | 1 => Limit::Reject(2),
                    2 | 3 => Limit::EvictOldest(2),
                    _ => Limit::Unlimited,
                };
                Step::Create(row, limit)
            }
            Act::Load { slot, touch } => Step::Load(
                self.handle(slot).0,
                touch.then_some(Duration::from_secs(IDLE)),
            ),
            Act::Rotate { slot, honest } => {
                let (handle, _) = self.handle(slot);
                let known = self.model.row(handle).or(self.slots[slot].as_ref())?;
                let rotation = Sample::rotation_of(known);
                // A dishonest caller presents another secret.
                let presented = if honest {
                    rotation.presented
                } else {
                    rotation.next
                };
                Step::Rotate(
                    handle,
                    Rotation {
                        presented,
                        ..rotation
                    },
                )
            }
            Act::Update {
                slot,
                current,
                what,
            } => {
                let (handle, _) = self.handle(slot);
                let version = self.model.row(handle).map_or(0, Record::version);
                let expected = if current {
                    version
                } else {
                    version.wrapping_add(1)
                };
                Step::Update(handle, expected, change(what))
            }
            Act::Confirm { slot, current } => {
                let (handle, _) = self.handle(slot);
                let generation = self.model.row(handle).map_or(0, Record::generation);
                Step::Confirm(handle, generation + u32::from(!current))
            }
            Act::Touch { slot } => Step::Touch(self.handle(slot).0),
            Act::Remove { slot } => {
                let (handle, subject) = self.handle(slot);
                Step::Remove(handle, subject)
            }
            Act::RemoveSubject { slot, scope } => {
                let (handle, _) = self.handle(slot);
                let scope = match scope {
                    0 => Scope::all(),
                    1 => Scope::others(handle),
                    2 => Scope::all().before(stamp(2)?),
                    _ => Scope::others(handle).before(stamp(2)?),
                };
                Step::RemoveSubject(subject(slot), scope)
            }
            Act::List { slot, limit } => Step::List(subject(slot), limit),
            Act::Sweep => Step::Sweep,
            Act::Advance { .. } => return None,
        })
    }

    /// The row of a create: the live one of the slot, or a fresh one, since no handle is used
    /// twice.
    fn row_for(&mut self, slot: usize, absolute: u64, now: Timestamp) -> Record {
        if let Some(row) = &self.slots[slot]
            && self
                .model
                .row(row.handle())
                .is_some_and(|row| row.is_alive(now))
        {
            return row.clone();
        }
        let sample = Sample::of(subject(slot)).idle(IDLE).absolute(absolute);
        let sample = match slot {
            0..=2 => sample,
            _ => sample.data([7; 90]).stamp(1, slot as u64 - 3),
        };
        let row = sample.at(now);
        self.slots[slot] = Some(row.clone());
        row
    }
}

/// Three subjects, with three slots each.
fn subject(slot: usize) -> String {
    format!("user {}", slot % 3)
}

fn change(what: usize) -> Update {
    match what {
        0 => Sample::update(b"some data"),
        1 => Update {
            roles: Some(vec!["admin".to_owned(), "user".to_owned()]),
            ..Update::default()
        },
        2 => Update {
            data: Some(None),
            ..Update::default()
        },
        3 => Update {
            stamp: stamp(3),
            ..Update::default()
        },
        4 => Update {
            step: Some(StepUp {
                since: 1,
                at: Timestamp::from_unix(1),
                until: Timestamp::from_unix(2),
                acr: "aal2".to_owned(),
            }),
            ..Update::default()
        },
        _ => Update::default(),
    }
}

/// Makes the acts on a fresh store and on the model.
///
/// # Errors
///
/// The first difference between the two.
pub(super) async fn replay<F: StoreFixture>(fixture: &F, acts: &[Act]) -> Result<(), String> {
    let store = fixture.open().await;
    let mut stage = Stage {
        model: Model::default(),
        slots: vec![None; SLOTS],
        clock: ManualClock::default(),
    };
    for (at, act) in acts.iter().enumerate() {
        if let Act::Advance { units } = act {
            let by = Duration::from_secs(units * UNIT);
            stage.clock.advance(by);
            fixture.advance(&store, by).await;
            continue;
        }
        let Some(step) = stage.step(*act) else {
            continue;
        };
        compare(&mut stage, &store, &step, || format!("step {at}")).await?;
        for slot in 0..SLOTS {
            let checked = check_peek(&store, stage.handle(slot).0, stage.now()).await;
            checked.map_err(|wrong| format!("after step {at}, {step}: {wrong}"))?;
        }
    }
    for slot in 0..SLOTS {
        let step = Step::Load(stage.handle(slot).0, None);
        compare(&mut stage, &store, &step, || {
            format!("in the end, slot {slot}")
        })
        .await?;
        let step = Step::List(subject(slot), 2);
        compare(&mut stage, &store, &step, || "in the end".to_owned()).await?;
    }
    Ok(())
}

async fn compare<S: SessionStore>(
    stage: &mut Stage,
    store: &S,
    step: &Step,
    place: impl Fn() -> String + Send,
) -> Result<(), String> {
    let now = stage.now();
    let given = perform(store, step, now).await;
    let expected = stage.model.apply(step, now);
    if expected.allows(&given) {
        return Ok(());
    }
    Err(format!(
        "{}, {step}: the store answered {given}, a map {expected}",
        place()
    ))
}

/// Leaves out all acts without which the script still fails.
pub(super) async fn shrink<F: StoreFixture>(
    fixture: &F,
    mut acts: Vec<Act>,
    mut failure: String,
) -> (Vec<Act>, String) {
    let mut size = acts.len().div_ceil(2);
    loop {
        let mut start = 0;
        while start < acts.len() {
            let mut fewer = acts.clone();
            fewer.drain(start..(start + size).min(acts.len()));
            match replay(fixture, &fewer).await {
                Ok(()) => start += size,
                Err(still) => {
                    acts = fewer;
                    failure = still;
                }
            }
        }
        if size == 1 {
            return (acts, failure);
        }
        size = size.div_ceil(2);
    }
}
