//! Cached sessions. The model watches one node with its copies, its view of the log and its
//! verifications. Acts on the logins of its subject run on that node or on another one.
//!
//! Other nodes affect the watched one only through the store and the log. An acting node therefore
//! needs no copies of its own. A process that crashes, or whose caller drops it, is modelled as
//! stalled forever.
//!
//! Time is in ticks of one clock, because a node compares only times that it read from its own
//! clock. An expired fact or log entry disappears at the first moment at which it may.

use crate::checker::{Model, Step};

pub(crate) const NEVER: u8 = u8::MAX;
/// No row.
const NONE: u8 = 0;

/// The bounds of the model.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// The last tick.
    pub(crate) end: u8,
    /// Bound within which a revocation takes effect.
    pub(crate) bound: u8,
    /// Maximum age of a copy.
    pub(crate) max_age: u8,
    /// Time for which a fact is kept beyond its life.
    pub(crate) margin: u8,
    /// Longest life that the view is configured for.
    pub(crate) longest: u8,
}

/// The node of an act, if the act happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    /// On the watched node.
    Here,
    Elsewhere,
}

/// The protocol. Each flag removes one rule.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// A page is accepted although reading it took longer than the bound.
    pub(crate) late_reads_count: bool,
    /// The facts of a page are kept from its arrival instead of from its request.
    pub(crate) kept_from_arrival: bool,
    /// An expired fact is dropped by the clock instead of by the time of the last read.
    pub(crate) facts_go_by_clock: bool,
    /// Life of a fact that ends all logins of a subject: the longest, or the age of a copy.
    pub(crate) subject_for_longest: bool,
    pub(crate) append_first: bool,
    pub(crate) age_from_fill: bool,
    pub(crate) invalidate_on_event: bool,
    pub(crate) facts_live_too_short: bool,
    pub(crate) time_after_swap: bool,
    pub(crate) no_second_removal: bool,
    pub(crate) no_check_after_create: bool,
    pub(crate) late_stamp: bool,
    /// A row wins over its absence if both were read in one tick.
    pub(crate) row_wins_tie: bool,
}

/// The events of one exploration.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) times: Times,
    pub(crate) rules: Rules,
    /// One login ends.
    pub(crate) revoke: Place,
    /// A second process repeats an act that another one may have left unfinished.
    pub(crate) again: bool,
    /// All logins of the subject end.
    pub(crate) revoke_all: Place,
    pub(crate) update: Place,
    pub(crate) rotate: bool,
    /// The subject logs in a second time.
    pub(crate) login: Place,
    /// Assumption: no process stalls for longer than half the margin between reading the clock and
    /// finishing with the log or the view.
    pub(crate) short_stalls: bool,
    /// The logins that are verified.
    pub(crate) verified: [bool; 2],
    /// Number of concurrent verifications.
    pub(crate) verifiers: usize,
    /// The log may be unreachable for the acting node.
    pub(crate) log_fails: bool,
    /// A login in progress is included even if the log was unreachable.
    pub(crate) strict_in_flight: bool,
    /// After an acknowledged revocation, a refused login is never accepted again here.
    pub(crate) steady: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Copy_ {
    asked: u8,
    row: u8,
}

const NO_COPY: Copy_ = Copy_ {
    asked: NEVER,
    row: NONE,
};

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Verify {
    at: u8,
    login: u8,
    began: u8,
    row: u8,
    /// True if it began after another verification was refused.
    after: bool,
}

/// A process: its program counter and its local state.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Process {
    at: u8,
    time: u8,
    place: u8,
}

const DONE: u8 = 9;
/// At most three facts take positions.
const FACTS: usize = 3;
const ENDED: u8 = 1;
const CHANGED: u8 = 2;
const SUBJECT: u8 = 3;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    now: u8,
    /// No row, or its version plus one.
    rows: [u8; 2],
    /// The facts of the log, the expiry of each, and the number of entries trimmed from the front.
    log: [u8; FACTS],
    log_until: [u8; FACTS],
    head: u8,
    gone: u8,
    /// The view: the send time of its last complete read, the facts it has applied, and the time
    /// until which it keeps each fact.
    fresh: u8,
    cursor: u8,
    known: [u8; FACTS + 1],
    copies: [Copy_; 2],
    follow: Process,
    verify: [Verify; 2],
    revoke: Process,
    again: Process,
    revoke_all: Process,
    update: Process,
    rotate: Process,
    login: Process,
    /// True if the second login had begun when the logout everywhere started.
    login_was_under_way: bool,
    /// Times from which no node may accept each login: when all copies have aged, and as promised.
    dead_by: [u8; 2],
    /// Time from which no node may show the first login with its old roles.
    changed_by: u8,
    /// True if a verification after the acknowledgement refused the first login.
    refused: bool,
    acknowledged: bool,
    broken: u8,
}

const BROKEN: [&str; 6] = [
    "",
    "I2: a login is accepted after the time that its revocation promised",
    "I3: a login is accepted after every copy has aged",
    "I13: a login is shown with its old roles after the promised time",
    "I5: a login that began after the logout everywhere is rejected",
    "a login that was rejected after its acknowledged end is accepted again",
];

type Next = Vec<(Step, State)>;

impl Rules {
    /// The protocol as implemented.
    pub(crate) const IMPLEMENTED: Self = Self {
        late_reads_count: false,
        kept_from_arrival: false,
        facts_go_by_clock: false,
        subject_for_longest: true,
        append_first: false,
        age_from_fill: false,
        invalidate_on_event: false,
        facts_live_too_short: false,
        time_after_swap: false,
        no_second_removal: false,
        no_check_after_create: false,
        late_stamp: false,
        row_wins_tie: true,
    };
}

impl Scenario {
    /// No acts, only verifications.
    pub(crate) const fn new(times: Times, rules: Rules) -> Self {
        Self {
            times,
            rules,
            revoke: Place::Nowhere,
            again: false,
            revoke_all: Place::Nowhere,
            update: Place::Nowhere,
            rotate: false,
            login: Place::Nowhere,
            short_stalls: false,
            verified: [true; 2],
            verifiers: 1,
            log_fails: false,
            strict_in_flight: false,
            steady: false,
        }
    }

    fn promise(&self, logged: bool) -> u8 {
        if logged {
            self.times.bound.min(self.times.max_age)
        } else {
            self.times.max_age
        }
    }

    fn is_fresh(&self, state: &State, now: u8) -> bool {
        state.fresh != NEVER && now >= state.fresh && now - state.fresh < self.times.bound
    }

    /// Life of a fact, in ticks.
    fn life(&self, fact: u8) -> u8 {
        let life = match fact {
            SUBJECT if self.rules.subject_for_longest => self.times.longest,
            _ => self.times.max_age,
        };
        if self.rules.facts_live_too_short {
            life.saturating_sub(self.times.max_age)
        } else {
            life + self.times.margin
        }
    }

    fn apply(&self, state: &mut State, position: u8, since: u8) {
        let fact = state.log[usize::from(position)];
        let known = &mut state.known[usize::from(fact)];
        *known = (since + self.life(fact)).max(*known);
        if self.rules.invalidate_on_event && fact == ENDED {
            state.copies[0] = NO_COPY;
        }
    }

    fn append(&self, state: &mut State, fact: u8, since: u8) -> u8 {
        let place = state.head;
        state.log[usize::from(place)] = fact;
        state.log_until[usize::from(place)] = since + self.life(fact);
        state.head += 1;
        Self::trim(state);
        place
    }

    fn trim(state: &mut State) {
        while state.gone < state.head && state.log_until[usize::from(state.gone)] <= state.now {
            state.gone += 1;
        }
    }

    /// Position of the fact that ended all logins of the subject. Positions start at one.
    fn subject_at(state: &State) -> Option<u8> {
        (1..)
            .zip(&state.log[..usize::from(state.head)])
            .find_map(|(position, fact)| (*fact == SUBJECT).then_some(position))
    }

    fn keep(&self, state: &mut State, login: usize, row: u8, asked: u8) {
        let asked = if self.rules.age_from_fill {
            state.now
        } else {
            asked
        };
        let known = state.copies[login];
        let rank = |row: u8| {
            if self.rules.row_wins_tie {
                row
            } else {
                row.wrapping_sub(1)
            }
        };
        let is_ahead = if known.row != NONE && row != NONE {
            (known.row, known.asked) > (row, asked)
        } else {
            (known.asked, rank(known.row)) > (asked, rank(row))
        };
        if known.asked == NEVER || !is_ahead {
            state.copies[login] = Copy_ { asked, row };
        }
    }

    /// A row in the store is valid.
    fn ask(&self, state: &mut State, verify: &mut Verify) {
        let login = usize::from(verify.login);
        (verify.at, verify.row) = (3, state.rows[login]);
        if verify.row != NONE && verify.began >= state.dead_by[login] {
            state.broken = 1;
        }
    }

    fn accept(&self, state: &mut State, login: usize, verify: Verify) {
        let Verify { began, row, .. } = verify;
        if began >= state.dead_by[login] {
            state.broken = if state.acknowledged { 1 } else { 2 };
        } else if login == 0 && row == 1 && began >= state.changed_by {
            state.broken = 3;
        } else if login == 0 && verify.after {
            state.broken = 5;
        }
    }

    fn refuse(&self, state: &mut State, login: usize) {
        let began_after = Self::subject_at(state).is_some_and(|end| state.login.place >= end);
        if login == 1 && began_after {
            state.broken = 4;
        }
        if login == 0 && state.acknowledged && self.steady {
            state.refused = true;
        }
    }

    fn must_hurry(&self, state: &State) -> bool {
        let is_late = |since: u8| state.now - since >= self.times.margin / 2;
        let looking = state
            .verify
            .iter()
            .any(|verify| (verify.at == 1 || verify.at == 2) && is_late(verify.began));
        let reading = state.follow.at > 0 && is_late(state.follow.time);
        self.short_stalls && (looking || reading)
    }

    fn verifications(&self, state: &State, next: &mut Next) {
        for number in 0..self.verifiers {
            let process = ["verify 1", "verify 2"][number];
            let verify = state.verify[number];
            let login = usize::from(verify.login);
            let mut push = |what, change: &mut dyn FnMut(&mut State, &mut Verify)| {
                let mut to = state.clone();
                let mut verify = verify;
                change(&mut to, &mut verify);
                if verify.at == 0 {
                    verify = Verify::default();
                }
                to.verify[number] = verify;
                next.push((Step(process, what), to));
            };
            match verify.at {
                0 => {
                    let mut begin = |login| {
                        push("begins, and reads the clock", &mut |to, verify| {
                            *verify = Verify {
                                at: 1,
                                login,
                                began: to.now,
                                row: NONE,
                                after: to.refused,
                            };
                        });
                    };
                    if self.verified[0] {
                        begin(0);
                    }
                    if self.verified[1] && state.login.at == DONE {
                        begin(1);
                    }
                }
                1 => {
                    let copy = state.copies[login];
                    let is_young = copy.asked != NEVER
                        && verify.began >= copy.asked
                        && verify.began - copy.asked < self.times.max_age;
                    if is_young && self.is_fresh(state, verify.began) {
                        push("finds a copy", &mut |_, verify| {
                            (verify.at, verify.row) = (2, copy.row);
                        });
                    }
                    // No copy exists, the view is stale, or the caller asks for an authoritative
                    // read.
                    push("asks the store", &mut |to, verify| {
                        self.ask(to, verify);
                    });
                }
                2 => {
                    let asks_view = !self.rules.invalidate_on_event;
                    let known = |fact: u8| asks_view && state.known[usize::from(fact)] > 0;
                    let ended = login == 0 && known(ENDED);
                    let stamp = if login == 0 { 0 } else { state.login.place };
                    let before =
                        known(SUBJECT) && Self::subject_at(state).is_some_and(|end| stamp < end);
                    let changed = login == 0 && known(CHANGED) && verify.row == 1;
                    if !self.is_fresh(state, verify.began) {
                        push("finds the view stale", &mut |to, verify| {
                            self.ask(to, verify);
                        });
                    } else if verify.row == NONE {
                        push("rejects, by the copy", &mut |to, verify| {
                            verify.at = 0;
                            self.refuse(to, login);
                        });
                    } else if before || (changed && !ended) {
                        push("finds a fact, and asks the store", &mut |to, verify| {
                            self.ask(to, verify);
                        });
                    } else if ended {
                        push("rejects, by the view", &mut |to, verify| {
                            verify.at = 0;
                            self.refuse(to, login);
                        });
                    } else {
                        push("accepts, by the copy", &mut |to, verify| {
                            verify.at = 0;
                            self.accept(to, login, *verify);
                        });
                    }
                }
                _ => push(
                    "keeps a copy of the answer, and answers",
                    &mut |to, verify| {
                        verify.at = 0;
                        self.keep(to, login, verify.row, verify.began);
                        let ended = login == 0 && to.known[usize::from(ENDED)] > 0;
                        // If it accepts, the row existed after the verification began.
                        if verify.row == NONE || ended {
                            self.refuse(to, login);
                        }
                    },
                ),
            }
        }
    }

    fn following(&self, state: &State, next: &mut Next) {
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step("follower", what), to));
        };
        let Process { at, time, place } = state.follow;
        match at {
            0 => push("reads the clock", &|to| {
                to.follow = Process {
                    at: 1,
                    time: to.now,
                    place: 0,
                };
            }),
            1 => push("reads the log", &|to| {
                // The page omits expired entries.
                to.cursor = to.cursor.max(to.gone);
                to.follow = Process {
                    at: 2,
                    time,
                    place: to.head,
                };
            }),
            _ if !self.rules.late_reads_count && state.now - time >= self.times.bound => {
                push("finds that it took too long", &|to| {
                    to.follow = Process::default();
                });
            }
            _ => push("applies the page, and is fresh", &|to| {
                let since = if self.rules.kept_from_arrival {
                    to.now
                } else {
                    time
                };
                for position in to.cursor..place {
                    self.apply(to, position, since);
                }
                to.cursor = to.cursor.max(place);
                to.fresh = time;
                to.follow = Process::default();
            }),
        }
    }

    /// Ends one login: store, copies, log, own view, answer.
    fn revoking(&self, state: &State, next: &mut Next) {
        let here = self.revoke == Place::Here;
        let Process { at, time, place } = state.revoke;
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step("revoke", what), to));
        };
        let remove = |to: &mut State| {
            to.rows[0] = NONE;
            to.dead_by[0] = to.dead_by[0].min(to.now + self.times.max_age);
        };
        let answer = |to: &mut State, logged: bool| {
            let by = to.now + self.promise(logged);
            to.dead_by[0] = to.dead_by[0].min(by);
            to.acknowledged = true;
            to.revoke = Process {
                at: DONE,
                ..Process::default()
            };
        };
        let first = self.rules.append_first;
        match at {
            0 if !first => push("removes the row", &|to| {
                remove(to);
                to.revoke.at = if here { 1 } else { 2 };
            }),
            1 => push("forgets its copy", &|to| {
                to.copies[0] = NO_COPY;
                to.revoke.at = if first { 6 } else { 2 };
            }),
            0 | 2 => push("reads the clock", &|to| {
                to.revoke.at = 3;
                to.revoke.time = to.now;
            }),
            3 => {
                push("appends to the log", &|to| {
                    let place = self.append(to, ENDED, time);
                    to.revoke = if here {
                        Process { at: 4, time, place }
                    } else {
                        Process {
                            at: 5,
                            time: 0,
                            place: 0,
                        }
                    };
                });
                if self.log_fails {
                    push("cannot reach the log", &|to| to.revoke.at = 7);
                }
            }
            4 => push("applies it to the own view", &|to| {
                self.apply(to, place, time);
                to.revoke = Process {
                    at: 5,
                    ..Process::default()
                };
            }),
            5 if first => push("removes the row", &|to| {
                remove(to);
                to.revoke.at = if here { 1 } else { 6 };
            }),
            5 | 6 => push("answers", &|to| answer(to, true)),
            7 => push("answers: within the age of a copy", &|to| answer(to, false)),
            _ => {}
        }
        if self.again && state.again.at == 0 {
            let mut to = state.clone();
            if state.rows[0] == NONE {
                to.again.at = DONE;
                to.acknowledged = true;
                to.dead_by[0] = to.dead_by[0].min(to.now + self.promise(false));
                next.push((Step("revoke again", "finds no row, and answers"), to));
            }
        }
    }

    /// Ends all logins of the subject: remove, append, remove older logins again, answer.
    fn revoking_all(&self, state: &State, next: &mut Next) {
        let here = self.revoke_all == Place::Here;
        let Process { at, time, place } = state.revoke_all;
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step("revoke all", what), to));
        };
        let answer = |to: &mut State, logged: bool| {
            let by = to.now + self.promise(logged);
            to.dead_by[0] = to.dead_by[0].min(by);
            to.acknowledged = true;
            let began_before = match Self::subject_at(to) {
                Some(end) if logged => to.login.at > 0 && to.login.place < end,
                _ => self.strict_in_flight && to.login_was_under_way,
            };
            if began_before {
                to.dead_by[1] = to.dead_by[1].min(by);
            }
            to.revoke_all = Process {
                at: DONE,
                ..Process::default()
            };
        };
        match at {
            0 => push("removes the rows", &|to| {
                to.login_was_under_way = to.login.at > 0;
                to.rows = [NONE; 2];
                to.dead_by[0] = to.dead_by[0].min(to.now + self.times.max_age);
                to.revoke_all.at = if here { 1 } else { 2 };
            }),
            1 => push("forgets its copies", &|to| {
                to.copies.iter_mut().for_each(|copy| *copy = NO_COPY);
                to.revoke_all.at = 2;
            }),
            2 => push("reads the clock", &|to| {
                to.revoke_all.at = 3;
                to.revoke_all.time = to.now;
            }),
            3 => {
                push("appends to the log", &|to| {
                    let place = self.append(to, SUBJECT, time);
                    to.revoke_all = if here {
                        Process { at: 4, time, place }
                    } else {
                        Process {
                            at: 5,
                            time: 0,
                            place: 0,
                        }
                    };
                });
                if self.log_fails {
                    push("cannot reach the log", &|to| to.revoke_all.at = 7);
                }
            }
            4 => push("applies it to the own view", &|to| {
                self.apply(to, place, time);
                to.revoke_all = Process {
                    at: 5,
                    ..Process::default()
                };
            }),
            5 if !self.rules.no_second_removal => push("removes older logins again", &|to| {
                to.rows[0] = NONE;
                if Self::subject_at(to).is_some_and(|end| to.login.place < end) {
                    to.rows[1] = NONE;
                }
                to.revoke_all.at = 6;
            }),
            5 | 6 => push("answers", &|to| answer(to, true)),
            7 => push("answers: within the age of a copy", &|to| answer(to, false)),
            _ => {}
        }
    }

    /// Changes the roles of the first login: store, copy, log, own view.
    fn updating(&self, state: &State, next: &mut Next) {
        let here = self.update == Place::Here;
        let Process { at, time, place } = state.update;
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step("update", what), to));
        };
        match at {
            0 => push("reads the clock", &|to| {
                to.update.at = 1;
                to.update.time = to.now;
            }),
            1 if state.rows[0] == NONE => push("finds no row", &|to| {
                to.update = Process {
                    at: DONE,
                    ..Process::default()
                };
                if here {
                    to.copies[0] = NO_COPY;
                }
            }),
            1 => push("changes the row", &|to| {
                to.rows[0] = 2;
                to.update.at = if here { 2 } else { 3 };
            }),
            2 => push("keeps a copy", &|to| {
                self.keep(to, 0, 2, time);
                to.update.at = 3;
            }),
            3 => push("reads the clock", &|to| {
                to.update.at = 4;
                to.update.time = to.now;
            }),
            4 => push("appends to the log", &|to| {
                let place = self.append(to, CHANGED, time);
                to.update = if here {
                    Process { at: 5, time, place }
                } else {
                    Process {
                        at: 6,
                        time: 0,
                        place: 0,
                    }
                };
            }),
            5 => push("applies it to the own view", &|to| {
                self.apply(to, place, time);
                to.update = Process {
                    at: 6,
                    ..Process::default()
                };
            }),
            6 => push("answers", &|to| {
                to.changed_by = to.now + self.promise(true);
                to.update = Process {
                    at: DONE,
                    ..Process::default()
                };
            }),
            _ => {}
        }
    }

    /// Rotates the credential of the first login here: one compare-and-swap, then the copy.
    fn rotating(&self, state: &State, next: &mut Next) {
        let Process { at, time, place } = state.rotate;
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step("rotate", what), to));
        };
        match at {
            0 => push("reads the clock", &|to| {
                to.rotate.at = 1;
                to.rotate.time = to.now;
            }),
            1 => push("asks the store to swap", &|to| {
                to.rotate.at = 2;
                if self.rules.time_after_swap {
                    to.rotate.time = 0;
                }
                to.rotate.place = to.rows[0];
            }),
            2 => push("keeps a copy of the row, and answers", &|to| {
                to.rotate = Process {
                    at: DONE,
                    ..Process::default()
                };
                if place == NONE {
                    to.copies[0] = NO_COPY;
                } else if to.known[usize::from(ENDED)] == 0 {
                    let asked = if self.rules.time_after_swap {
                        to.now
                    } else {
                        time
                    };
                    self.keep(to, 0, place, asked);
                }
            }),
            _ => {}
        }
    }

    /// Begins a second login of the subject.
    fn logging_in(&self, state: &State, next: &mut Next) {
        let here = self.login == Place::Here;
        let Process { at, time, place } = state.login;
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step("login", what), to));
        };
        let stamp = |to: &mut State| to.login.place = to.head;
        match at {
            0 => push("begins: the log's head is its stamp", &|to| {
                to.login.at = 1;
                to.login.time = to.now;
                stamp(to);
            }),
            1 => push("stores its row", &|to| {
                if self.rules.late_stamp {
                    stamp(to);
                }
                to.rows[1] = 1;
                to.login.at = if self.rules.no_check_after_create {
                    3
                } else {
                    2
                };
            }),
            2 => {
                // Reads the part of the log behind the stamp that still exists.
                let ended = Self::subject_at(state);
                let ended = ended.is_some_and(|end| end > place && end > state.gone);
                if ended {
                    push("reads that it has ended", &|to| to.login.at = 4);
                } else {
                    push("reads that it has not ended", &|to| to.login.at = 3);
                }
            }
            3 => push("hands out its credential", &|to| {
                if here {
                    self.keep(to, 1, 1, time);
                }
                to.login.at = DONE;
                to.login.time = 0;
            }),
            4 => push("removes its row, and fails", &|to| {
                to.rows[1] = NONE;
                to.login.at = 5;
                to.login.time = 0;
                if Self::subject_at(to).is_some_and(|end| place >= end) {
                    to.broken = 4;
                }
            }),
            _ => {}
        }
    }
}

impl State {
    /// Drops state that no longer makes a difference, so that equal states merge.
    fn settle(&mut self, times: Times, facts_go_by_clock: bool) {
        let goes_by = match self.fresh {
            _ if facts_go_by_clock => self.now,
            NEVER => 0,
            fresh => fresh,
        };
        for known in &mut self.known {
            if *known <= goes_by {
                *known = 0;
            }
        }
        let mut oldest = self.now;
        for verify in self.verify {
            if verify.at == 1 || verify.at == 2 {
                oldest = oldest.min(verify.began);
            }
        }
        for copy in &mut self.copies {
            if copy.asked != NEVER && copy.asked + times.max_age <= oldest {
                *copy = NO_COPY;
            }
        }
        for verify in &mut self.verify {
            if verify.at == 3 {
                // Its copy, and the fact that it began before the logout.
                verify.began = verify.began.max(oldest.saturating_sub(times.max_age));
            }
        }
        if self.fresh != NEVER && self.fresh + times.bound <= oldest {
            self.fresh = NEVER;
        }
        for dead_by in self.dead_by.iter_mut().chain([&mut self.changed_by]) {
            if *dead_by <= oldest {
                *dead_by = 0;
            }
        }
        for place in 0..self.gone {
            self.log_until[usize::from(place)] = 0;
        }
    }
}

impl Model for Scenario {
    type State = State;

    fn start(&self) -> State {
        State {
            now: 0,
            rows: [1, NONE],
            log: [0; FACTS],
            log_until: [0; FACTS],
            head: 0,
            gone: 0,
            fresh: NEVER,
            cursor: 0,
            known: [0; FACTS + 1],
            copies: [NO_COPY; 2],
            follow: Process::default(),
            verify: [Verify::default(); 2],
            revoke: Process::default(),
            again: Process::default(),
            revoke_all: Process::default(),
            update: Process::default(),
            rotate: Process::default(),
            login: Process::default(),
            login_was_under_way: false,
            dead_by: [NEVER; 2],
            changed_by: NEVER,
            refused: false,
            acknowledged: false,
            broken: 0,
        }
    }

    fn steps(&self, state: &State, next: &mut Next) {
        if state.now < self.times.end && !self.must_hurry(state) {
            let mut to = state.clone();
            to.now += 1;
            Self::trim(&mut to);
            next.push((Step("time", "passes"), to));
        }
        self.verifications(state, next);
        self.following(state, next);
        if self.revoke != Place::Nowhere {
            self.revoking(state, next);
        }
        if self.revoke_all != Place::Nowhere {
            self.revoking_all(state, next);
        }
        if self.update != Place::Nowhere {
            self.updating(state, next);
        }
        if self.rotate {
            self.rotating(state, next);
        }
        if self.login != Place::Nowhere {
            self.logging_in(state, next);
        }
        for (_, to) in next {
            to.settle(self.times, self.rules.facts_go_by_clock);
        }
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        (state.broken != 0).then(|| BROKEN[usize::from(state.broken)])
    }

    fn describe(&self, state: &State) -> String {
        format!("time {}", state.now)
    }
}
