//! Assignment of positions in the log, and the way a reader follows them.

use crate::checker::{Model, Step};

/// The source of positions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Places {
    /// A counter that is raised in the same step in which the entry becomes visible.
    Counter,
    /// A sequence, which assigns the position before the entry becomes visible.
    Sequence,
}

/// Two writers and one reader.
#[derive(Clone, Copy)]
pub(crate) struct Appends {
    pub(crate) places: Places,
    /// The reader accepts an entry only after its predecessor.
    pub(crate) minds_gaps: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Reader {
    at: u8,
    cursor: u8,
    applied: u8,
    /// Entries that were acknowledged when the read was sent.
    due: u8,
    page: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Number of assigned positions.
    given: u8,
    /// Bit set of the positions with visible entries.
    visible: u8,
    acknowledged: u8,
    /// Progress of each writer, and the bit of its position.
    appending: [(u8, u8); 3],
    reader: Reader,
    broken: bool,
}

impl Model for Appends {
    type State = State;

    fn start(&self) -> State {
        State {
            given: 0,
            visible: 0,
            acknowledged: 0,
            appending: [(0, 0); 3],
            reader: Reader {
                at: 0,
                cursor: 0,
                applied: 0,
                due: 0,
                page: 0,
            },
            broken: false,
        }
    }

    fn steps(&self, state: &State, next: &mut Vec<(Step, State)>) {
        for number in 0..state.appending.len() {
            let who = ["append 1", "append 2", "append 3"][number];
            let (at, place) = state.appending[number];
            let mut push = |what, change: &dyn Fn(&mut State)| {
                let mut to = state.clone();
                change(&mut to);
                next.push((Step(who, what), to));
            };
            match at {
                0 => push("gets a position", &|to| {
                    let place = 1 << to.given;
                    to.given += 1;
                    to.appending[number] = (1, place);
                    if self.places == Places::Counter {
                        to.visible |= place;
                        to.appending[number] = (2, place);
                    }
                }),
                1 => {
                    push("commits", &|to| {
                        to.visible |= place;
                        to.appending[number].0 = 2;
                    });
                    push("is rolled back", &|to| to.appending[number].0 = 3);
                }
                2 => push("answers", &|to| {
                    to.acknowledged |= place;
                    to.appending[number].0 = 3;
                }),
                _ => {}
            }
        }
        let mut to = state.clone();
        let reader = &mut to.reader;
        let what = match reader.at {
            0 => {
                (reader.at, reader.due) = (1, state.acknowledged);
                "sends a read"
            }
            1 => {
                (reader.at, reader.page) = (2, state.visible & !((1 << reader.cursor) - 1));
                "reads the entries after its cursor"
            }
            _ => {
                let mut is_whole = true;
                for place in reader.cursor..8 {
                    if reader.page >> place & 1 == 0 {
                        continue;
                    }
                    is_whole &= !self.minds_gaps || place == reader.cursor;
                    if is_whole {
                        reader.applied |= 1 << place;
                        reader.cursor = place + 1;
                    }
                }
                to.broken = is_whole && reader.due & !reader.applied != 0;
                (reader.at, reader.due, reader.page) = (0, 0, 0);
                "applies it"
            }
        };
        next.push((Step("reader", what), to));
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let what = "I4: a fresh reader has skipped an acknowledged entry";
        state.broken.then_some(what)
    }

    fn describe(&self, state: &State) -> String {
        let Reader {
            cursor, applied, ..
        } = state.reader;
        format!("cursor {cursor}, applied {applied:03b}")
    }
}
