//! Tokens: one node that verifies and refreshes by its view, and others that issue and revoke.
//!
//! There are no rows. A token carries its login, the stamp of the login and its expiry. The login
//! ends at a deadline, however often it is refreshed.

use crate::checker::{Model, Step};

const NEVER: u8 = u8::MAX;
const DONE: u8 = 9;

/// The bounds of the model, in ticks.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) end: u8,
    pub(crate) bound: u8,
    /// Lifetime of a token, and of a login.
    pub(crate) lifetime: u8,
    pub(crate) deadline: u8,
    pub(crate) margin: u8,
}

/// The protocol. Each flag removes one rule.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) late_reads_count: bool,
    pub(crate) facts_go_by_clock: bool,
    /// A fact is kept for the lifetime of a token instead of that of its login.
    pub(crate) life_of_token: bool,
    /// A refreshed token gets a new stamp.
    pub(crate) restamps: bool,
    /// The stamp is read when the token is signed instead of when the login begins.
    pub(crate) late_stamp: bool,
    /// A stale view accepts.
    pub(crate) accepts_when_stale: bool,
}

impl Rules {
    pub(crate) const IMPLEMENTED: Self = Self {
        late_reads_count: false,
        facts_go_by_clock: false,
        life_of_token: false,
        restamps: false,
        late_stamp: false,
        accepts_when_stale: false,
    };
}

/// The events: a login on another node, its logout or a logout everywhere, and verifications and
/// refreshes on the watched node.
#[derive(Clone, Copy)]
pub(crate) struct Tokens {
    pub(crate) times: Times,
    pub(crate) rules: Rules,
    pub(crate) revoke: bool,
    pub(crate) revoke_all: bool,
    /// Assumption: no process stalls for longer than half the margin between reading the clock and
    /// finishing with the log or the view.
    pub(crate) short_stalls: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Token {
    exists: bool,
    stamp: u8,
    expires: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Process {
    at: u8,
    time: u8,
    place: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    now: u8,
    head: u8,
    /// Positions of the logout of this login and of the logout everywhere, and the time until which
    /// the log and the view keep each.
    position: [u8; 2],
    log_until: [u8; 2],
    known: [u8; 2],
    cursor: u8,
    fresh: u8,
    tokens: [Token; 2],
    issue: Process,
    ends: [Process; 2],
    follow: Process,
    verify: Process,
    refresh: Process,
    dead_by: u8,
    /// True if the login began after the logout everywhere.
    is_after: bool,
    broken: u8,
}

const BROKEN: [&str; 3] = [
    "",
    "I2: a token is accepted after the bound of its revocation",
    "I5: a token of a login that began after the logout everywhere is rejected",
];

type Next = Vec<(Step, State)>;

impl Tokens {
    fn is_fresh(&self, state: &State, now: u8) -> bool {
        state.fresh != NEVER && now >= state.fresh && now - state.fresh < self.times.bound
    }

    /// Verdict of the view on a token: accepted, revoked, or stale.
    fn check(&self, state: &State, stamp: u8, now: u8) -> Option<bool> {
        if !self.is_fresh(state, now) && !self.rules.accepts_when_stale {
            return None;
        }
        let ended = state.known[0] > 0;
        let before = state.known[1] > 0 && stamp < state.position[1];
        Some(!ended && !before)
    }

    fn following(&self, state: &State, next: &mut Next) {
        let mut to = state.clone();
        let Process { at, time, place } = state.follow;
        let what = match at {
            0 => {
                to.follow = Process {
                    at: 1,
                    time: state.now,
                    place: 0,
                };
                "reads the clock"
            }
            1 => {
                // The page holds the facts behind the cursor that still exist.
                let is_there = |fact: usize| {
                    state.position[fact] > state.cursor && state.log_until[fact] > state.now
                };
                let page = u8::from(is_there(0)) | u8::from(is_there(1)) << 1;
                to.cursor = state.head;
                to.follow = Process {
                    at: 2,
                    time,
                    place: page,
                };
                "reads the log"
            }
            _ if !self.rules.late_reads_count && state.now - time >= self.times.bound => {
                // Reads from the same position again.
                to.cursor = 0;
                to.follow = Process::default();
                "finds that the read took too long"
            }
            _ => {
                for fact in 0..2 {
                    if place & 1 << fact != 0 {
                        let life = state.log_until[fact] - state.ends[fact].time;
                        to.known[fact] = to.known[fact].max(time + life);
                    }
                }
                to.fresh = time;
                to.follow = Process::default();
                "applies the page, and is fresh"
            }
        };
        next.push((Step("follower", what), to));
    }

    fn verifying(&self, state: &State, next: &mut Next) {
        let Process { at, time, place } = state.verify;
        let token = state.tokens[usize::from(place)];
        let mut to = state.clone();
        if at == 0 {
            for (number, token) in (0..).zip(state.tokens) {
                if token.exists && token.expires > state.now {
                    let mut to = state.clone();
                    to.verify = Process {
                        at: 1,
                        time: state.now,
                        place: number,
                    };
                    next.push((Step("verify", "reads the clock"), to));
                }
            }
            return;
        }
        to.verify = Process::default();
        let what = match self.check(state, token.stamp, time) {
            Some(true) => {
                if time >= state.dead_by {
                    to.broken = 1;
                }
                "yes"
            }
            Some(false) => {
                if state.is_after && state.ends[0].at == 0 {
                    to.broken = 2;
                }
                "no"
            }
            None => "stale",
        };
        next.push((Step("verify", what), to));
    }

    fn refreshing(&self, state: &State, next: &mut Next) {
        let Process { at, time, place } = state.refresh;
        let mut to = state.clone();
        let what = match at {
            0 if state.tokens[0].exists && state.tokens[0].expires > state.now => {
                to.refresh = Process {
                    at: 1,
                    time: state.now,
                    place: 0,
                };
                "reads the clock"
            }
            1 if self.check(state, state.tokens[0].stamp, time) == Some(true) => {
                to.refresh.at = 2;
                to.refresh.place = if self.rules.restamps {
                    state.head
                } else {
                    state.tokens[0].stamp
                };
                "is accepted"
            }
            1 => {
                to.refresh = Process::default();
                "is refused"
            }
            2 => {
                to.tokens[1] = Token {
                    exists: true,
                    stamp: place,
                    expires: (time + self.times.lifetime).min(self.times.deadline),
                };
                to.refresh = Process {
                    at: DONE,
                    ..Process::default()
                };
                "signs another token"
            }
            _ => return,
        };
        next.push((Step("refresh", what), to));
    }

    fn issuing(&self, state: &State, next: &mut Next) {
        let mut to = state.clone();
        let what = match state.issue.at {
            0 => {
                to.issue.at = 1;
                to.issue.place = state.head;
                to.is_after = state.ends[1].at == DONE;
                "begins: the log's head is its stamp"
            }
            1 => {
                let stamp = if self.rules.late_stamp {
                    state.head
                } else {
                    state.issue.place
                };
                to.tokens[0] = Token {
                    exists: true,
                    stamp,
                    expires: (state.now + self.times.lifetime).min(self.times.deadline),
                };
                to.issue.at = DONE;
                "signs a token"
            }
            _ => return,
        };
        next.push((Step("issue", what), to));
    }

    fn ending(&self, state: &State, fact: usize, next: &mut Next) {
        let who = ["revoke", "revoke all"][fact];
        let Process { at, time, .. } = state.ends[fact];
        let mut to = state.clone();
        let what = match at {
            0 if fact == 1 || state.tokens[0].exists => {
                to.ends[fact] = Process {
                    at: 1,
                    time: state.now,
                    place: 0,
                };
                "reads the clock"
            }
            1 => {
                to.head += 1;
                to.position[fact] = to.head;
                let life = match fact {
                    0 if self.rules.life_of_token => state.tokens[0].expires.saturating_sub(time),
                    0 => self.times.deadline.saturating_sub(time),
                    _ => self.times.deadline,
                };
                to.log_until[fact] = time + life + self.times.margin;
                to.ends[fact].at = 2;
                "appends to the log"
            }
            2 => {
                let began = state.issue.at > 0;
                if fact == 0 || (began && state.issue.place < state.position[1]) {
                    to.dead_by = to.dead_by.min(state.now + self.times.bound);
                }
                to.ends[fact].at = DONE;
                "answers"
            }
            _ => return,
        };
        next.push((Step(who, what), to));
    }
}

impl Model for Tokens {
    type State = State;

    fn start(&self) -> State {
        State {
            now: 0,
            head: 0,
            position: [0; 2],
            log_until: [0; 2],
            known: [0; 2],
            cursor: 0,
            fresh: NEVER,
            tokens: [Token::default(); 2],
            issue: Process::default(),
            ends: [Process::default(); 2],
            follow: Process::default(),
            verify: Process::default(),
            refresh: Process::default(),
            dead_by: NEVER,
            is_after: false,
            broken: 0,
        }
    }

    fn steps(&self, state: &State, next: &mut Next) {
        let is_late = |process: Process| {
            matches!(process.at, 1 | 2) && state.now - process.time >= self.times.margin / 2
        };
        let hurries = self.short_stalls && (is_late(state.verify) || is_late(state.follow));
        if state.now < self.times.end && !hurries {
            let mut to = state.clone();
            to.now += 1;
            next.push((Step("time", "passes"), to));
        }
        self.following(state, next);
        self.verifying(state, next);
        self.refreshing(state, next);
        self.issuing(state, next);
        if self.revoke {
            self.ending(state, 0, next);
        }
        if self.revoke_all {
            self.ending(state, 1, next);
        }
        for (_, to) in next {
            let goes_by = match to.fresh {
                _ if self.rules.facts_go_by_clock => to.now,
                NEVER => 0,
                fresh => fresh,
            };
            for known in &mut to.known {
                if *known <= goes_by {
                    *known = 0;
                }
            }
        }
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        (state.broken != 0).then(|| BROKEN[usize::from(state.broken)])
    }

    fn describe(&self, state: &State) -> String {
        format!("time {}", state.now)
    }
}
