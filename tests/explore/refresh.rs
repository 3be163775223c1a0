//! Credentials that are replaced in use: two tabs of an honest client that share one jar, a thief
//! who has copied what was in it at some moment, and whoever ends the login.
//!
//! A request is sent, its node reads the clock, reads the row, swaps it if it is still what was
//! read, and answers. Any of them may be lost, or its node crash, between any two of these steps;
//! the client then sends again whatever is in its jar.
//!
//! There is no end of time here and no last generation: all times are ages, which stop where no
//! rule can tell them apart any more, and a credential is known by how far it is behind the row.
//! Secrets are symbols: one is what the row has a proof of, or it is another one.

use crate::checker::{Model, Step};

/// The sizes of the world, in ticks.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) overlap: i8,
    pub(crate) grace: i8,
    /// The longest that an honest request is under way until its node is done with the store.
    pub(crate) out: i8,
    /// The longest from the reading of the clock until the answer has arrived at an honest client.
    pub(crate) back: i8,
    /// The longest that anything else is stalled after it has read the clock.
    pub(crate) stall: i8,
    /// What a node's clock is ahead or behind at most.
    pub(crate) skew: i8,
    /// For how long an honest client keeps a credential before it asks for the next one.
    pub(crate) patience: i8,
    /// How long an access token lives.
    pub(crate) access: i8,
    /// Within which a view has applied what was appended to the log.
    pub(crate) bound: i8,
}

/// What counts as the use of a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is verified by the row, and its first use is noted there.
    Session,
    /// It refreshes access tokens, whose use nobody sees.
    Hybrid,
}

/// What a client has after several answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jar {
    /// The newest.
    Newest,
    /// That of the answer which came last.
    Last,
}

/// How the login ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Never,
    /// By its handle.
    Login,
    /// With all logins of its subject.
    Subject,
    /// By whoever finds that its credential was stolen.
    Theft,
}

/// The protocol, and what may be left out of it or changed.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// The overlap ends when the successor is used.
    pub(crate) overlap_ends_early: bool,
    /// The successor is rotated within the overlap.
    pub(crate) rotates_in_overlap: bool,
    /// The successor is random: who asks again is given another one.
    pub(crate) random_successor: bool,
    /// The first use of a successor is not noted.
    pub(crate) use_is_not_noted: bool,
    /// The use of any generation is noted as that of the current one.
    pub(crate) notes_any_generation: bool,
    /// A credential ends the login without a proof of having belonged to it.
    pub(crate) ends_unproven: bool,
    /// A row is written as it was read and changed, whatever has become of it.
    pub(crate) saves_what_it_read: bool,
    /// The log is not told of a login that ends as its credential was stolen.
    pub(crate) theft_is_not_told: bool,
    /// A token is stamped when it is signed.
    pub(crate) restamps: bool,
    /// A token lives from when it is signed, and not from when the clock was read.
    pub(crate) time_after_swap: bool,
    /// What ends tokens lives from before the row was removed.
    pub(crate) time_before_removal: bool,
    /// The overlap counts anew from the first use of the successor.
    pub(crate) overlap_from_use: bool,
    /// A successor that was not used is not rotated: to refresh it is its first use.
    pub(crate) unused_rests: bool,
    /// A replaced credential that comes back after the grace ends the login.
    pub(crate) reject_orphaned: bool,
}

/// What happens.
#[derive(Clone, Copy)]
pub(crate) struct Refresh {
    pub(crate) times: Times,
    pub(crate) rules: Rules,
    pub(crate) kind: Kind,
    pub(crate) tabs: usize,
    pub(crate) thief: bool,
    /// Nodes crash after a swap, and answers get lost.
    pub(crate) losses: bool,
    pub(crate) jar: Jar,
    pub(crate) end: End,
    /// Two who take turns, each later than the grace, must be told apart.
    pub(crate) tells_apart: bool,
    /// A client verifies with a credential before it refreshes it, as what answers requests does.
    pub(crate) uses_first: bool,
}

/// How far behind the row it is, up to [`OLDER`], and whether it is another one than what the row
/// has a proof of: of its secret, and of an older one of its family.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Credential {
    behind: u8,
    other: bool,
}

/// Behind the previous one: recognised by the proof of the family alone.
const OLDER: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Current,
    Overlap,
    Grace,
    Orphaned,
    Reused,
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    is_there: bool,
    /// How long ago the clock was read from which the overlap counts.
    rotated: i8,
    used: bool,
}

/// Where a request is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
enum At {
    #[default]
    Idle,
    Sent,
    Timed,
    /// The row that was read can be rotated.
    Swaps,
    /// The use is to be noted.
    Notes,
    /// The login is to be ended.
    Ends,
    /// A credential is to be handed out, and in the hybrid an access token to be signed.
    Signs,
    Answered,
}

/// A request, or the answer to it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Request {
    at: At,
    refreshes: bool,
    credential: Credential,
    /// How long ago it was sent, and how long ago its node read its clock.
    sent: i8,
    timed: i8,
    /// What that clock was ahead.
    ahead: i8,
}

/// Whoever ends the login: it removes the row, reads the clock, appends to the log, removes the
/// row again, and answers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Ending {
    at: u8,
    timed: i8,
    /// For how long what it says is still kept, and since when it is in the log.
    kept: i8,
    appended: i8,
    applied: bool,
    /// What is left of the promised time.
    left: i8,
}

const APPENDED: u8 = 3;
const ACKNOWLEDGED: u8 = 5;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    row: Row,
    jar: Credential,
    /// How long the client has had it.
    jar_age: i8,
    /// The two tabs, and the thief.
    requests: [Request; 3],
    /// The credentials that the thief holds, by how far they are behind.
    stolen: u8,
    thief_acted: bool,
    /// Whether the current credential was handed out, and whether its use was answered.
    handed_out: bool,
    use_answered: bool,
    /// In how many generations somebody was served late while another one held the successor, and
    /// whether in this one.
    shared: u8,
    shared_now: bool,
    ending: Ending,
    /// What is left of the tokens that are stamped as their login, and of those stamped later.
    tokens: [i8; 2],
    broken: u8,
}

const BROKEN: [&str; 11] = [
    "",
    "I6: one credential has two successors",
    "I6: more than two secrets are accepted",
    "I7: an honest client is taken for a thief",
    "I7: an honest client is refused",
    "I8: a thief who comes back late is not found out",
    "I8: what proves nothing ends a login",
    "I8: two who take turns are never told apart",
    "I1: a login that has ended is refreshed",
    "I1: the credential of a login that has ended is accepted",
    "I2: a token is accepted after the time that the end of its login promised",
];

type Next = Vec<(Step, State)>;

const THIEF: usize = 2;
const WHO: [&str; 3] = ["tab 1", "tab 2", "thief"];

impl Rules {
    /// As it is implemented.
    pub(crate) const IMPLEMENTED: Self = Self {
        overlap_ends_early: false,
        rotates_in_overlap: false,
        random_successor: false,
        use_is_not_noted: false,
        notes_any_generation: false,
        ends_unproven: false,
        saves_what_it_read: false,
        theft_is_not_told: false,
        restamps: false,
        time_after_swap: false,
        time_before_removal: false,
        overlap_from_use: true,
        unused_rests: false,
        reject_orphaned: false,
    };
}

impl Request {
    /// How old the time is by which it is judged.
    fn age(&self) -> i8 {
        self.timed - self.ahead
    }
}

impl Verdict {
    fn lets_pass(self, rules: Rules) -> bool {
        match self {
            Self::Current | Self::Overlap | Self::Grace => true,
            Self::Orphaned => !rules.reject_orphaned,
            Self::Reused | Self::Unknown => false,
        }
    }

    fn ends_the_login(self, rules: Rules) -> bool {
        self == Self::Reused || (self == Self::Orphaned && rules.reject_orphaned)
    }
}

impl Refresh {
    /// An age from which on no rule makes a difference.
    fn long_ago(&self) -> i8 {
        self.times.grace + self.times.stall.max(self.times.back) + self.times.skew + 1
    }

    /// Whether the clock of a row was read less than `window` from the one of a request, on either
    /// side.
    fn within(row: &Row, window: i8, timed: i8) -> bool {
        (row.rotated - timed).abs() < window
    }

    fn judge(&self, row: &Row, credential: Credential, timed: i8) -> Verdict {
        let overlaps = Self::within(row, self.times.overlap, timed);
        match credential {
            Credential {
                behind: OLDER,
                other: true,
            } if self.rules.ends_unproven => Verdict::Reused,
            Credential { other: true, .. } => Verdict::Unknown,
            Credential { behind: 0, .. } => Verdict::Current,
            Credential { behind: 1, .. } => {
                if overlaps && !(self.rules.overlap_ends_early && row.used) {
                    Verdict::Overlap
                } else if row.used {
                    Verdict::Reused
                } else if Self::within(row, self.times.grace, timed) {
                    Verdict::Grace
                } else {
                    Verdict::Orphaned
                }
            }
            _ => Verdict::Reused,
        }
    }

    /// How many secrets the row accepts now, of all that there can be.
    fn accepted(&self, row: &Row) -> usize {
        let secrets =
            (0..=OLDER).flat_map(|behind| [false, true].map(|other| Credential { behind, other }));
        secrets
            .filter(|secret| self.judge(row, *secret, 0).lets_pass(self.rules))
            .count()
    }

    fn is_refreshable(&self, state: &State, request: Request) -> bool {
        let rests = Self::within(&state.row, self.times.overlap, request.age());
        let rests = (rests && !self.rules.rotates_in_overlap)
            || (self.rules.unused_rests && !state.row.used);
        request.credential == Credential::default() && !rests
    }

    fn is_honest(&self, number: usize) -> bool {
        number < THIEF
    }

    /// Looks at the verdict over a request as the invariants do.
    fn check(&self, to: &mut State, number: usize, verdict: Verdict) {
        let request = to.requests[number];
        let passes = verdict.lets_pass(self.rules);
        if to.ending.at == ACKNOWLEDGED && passes {
            to.broken = if request.refreshes { 8 } else { 9 };
        }
        let is_late = to.row.rotated - request.age() >= self.times.grace;
        let was_used = match request.credential.behind {
            0 => false,
            1 => to.use_answered,
            _ => true,
        };
        if !self.is_honest(number) {
            if was_used && is_late && verdict != Verdict::Reused {
                to.broken = 5;
            }
        } else if !to.thief_acted {
            // With a thief about, whoever comes second is rightly taken for one.
            match verdict {
                Verdict::Reused => to.broken = 3,
                Verdict::Unknown => to.broken = 4,
                _ => {}
            }
        }
        let another_holds_it = if self.is_honest(number) {
            to.stolen & 1 != 0
        } else {
            to.jar == Credential::default()
        };
        let shares = self.tells_apart && passes && verdict == Verdict::Orphaned;
        if shares && another_holds_it && !to.shared_now {
            (to.shared, to.shared_now) = (to.shared + 1, true);
            if to.shared > 1 {
                to.broken = 7;
            }
        }
    }

    /// What a node does about a request once it has the row.
    fn decide(&self, to: &mut State, number: usize) {
        if !to.row.is_there {
            to.requests[number] = Request::default();
            return;
        }
        let request = to.requests[number];
        let verdict = self.judge(&to.row, request.credential, request.age());
        self.check(to, number, verdict);
        let passes = verdict.lets_pass(self.rules);
        let at = if verdict.ends_the_login(self.rules) {
            At::Ends
        } else if passes && request.refreshes {
            At::Signs
        } else if passes && self.is_first_use(to, verdict) {
            At::Notes
        } else {
            At::Idle
        };
        if request.refreshes && self.rules.unused_rests {
            self.note(to, request);
        }
        let replaces =
            self.rules.random_successor && at == At::Signs && verdict != Verdict::Current;
        if replaces {
            self.replace(to);
        }
        let credential = if at == At::Signs {
            // Of its own generation or the successor: the one that the row has a proof of.
            Credential::default()
        } else {
            request.credential
        };
        let keeps_time = at == At::Signs || (at == At::Notes && self.rules.overlap_from_use);
        to.requests[number] = Request {
            at,
            // The answer is another credential than the one that was sent.
            refreshes: request.refreshes && verdict != Verdict::Current,
            credential,
            sent: 0,
            timed: if keeps_time { request.timed } else { 0 },
            ahead: if keeps_time { request.ahead } else { 0 },
        };
        if at == At::Idle || at == At::Ends {
            to.requests[number] = Request {
                at,
                ..Request::default()
            };
        }
    }

    fn is_first_use(&self, to: &State, verdict: Verdict) -> bool {
        let is_current = verdict == Verdict::Current && !to.use_answered;
        is_current && !to.row.used
    }

    /// The row takes another secret for its current generation.
    fn replace(&self, to: &mut State) {
        if to.handed_out {
            to.broken = 1;
        }
        to.each_credential(|credential| credential.other |= credential.behind == 0);
        to.stolen &= !1;
    }

    /// The row moves on to the successor of the current credential.
    fn advance(&self, to: &mut State, timed: i8) {
        to.each_credential(|credential| {
            credential.behind = (credential.behind + 1).min(OLDER);
            credential.other &= credential.behind < OLDER;
        });
        let stolen = to.stolen;
        to.stolen = (stolen << 1 | stolen & 1 << OLDER) & 0b111;
        to.row = Row {
            is_there: true,
            rotated: timed,
            used: false,
        };
        to.handed_out = false;
        to.use_answered = false;
        to.shared_now = false;
    }

    /// Notes a use, if it is one of the current credential.
    fn note(&self, to: &mut State, request: Request) {
        let is_current = request.credential == Credential::default();
        if !to.row.used && (is_current || self.rules.notes_any_generation) {
            to.row.used = !self.rules.use_is_not_noted;
            if self.rules.overlap_from_use {
                to.row.rotated = to.row.rotated.min(request.age());
            }
        }
        to.use_answered |= is_current;
    }

    fn sign(&self, to: &mut State, timed: i8) {
        to.handed_out = true;
        if self.kind == Kind::Hybrid && self.end != End::Never {
            let is_late = self.rules.restamps && to.ending.at >= APPENDED;
            let left = if self.rules.time_after_swap {
                self.times.access
            } else {
                self.times.access - timed
            };
            let token = &mut to.tokens[usize::from(is_late)];
            *token = left.max(*token);
        }
    }

    fn sending(&self, state: &State, number: usize, next: &mut Next) {
        let mut push = |credential: Credential, refreshes: bool| {
            let mut to = state.clone();
            to.requests[number] = Request {
                at: At::Sent,
                refreshes,
                credential,
                ..Request::default()
            };
            to.thief_acted |= !self.is_honest(number);
            let what = match (refreshes, credential.behind) {
                (true, 0) => "sends the current one, to refresh",
                (true, 1) => "sends the previous one, to refresh",
                (true, _) => "sends an older one, to refresh",
                (false, 0) => "sends the current one",
                (false, 1) => "sends the previous one",
                (false, _) => "sends an older one",
            };
            next.push((Step(WHO[number], what), to));
        };
        let verifies = self.kind == Kind::Session;
        if self.is_honest(number) {
            if verifies {
                push(state.jar, false);
            }
            let is_unused = state.jar == Credential::default() && !state.row.used;
            if state.jar_age >= self.times.patience && !(self.uses_first && is_unused) {
                push(state.jar, true);
            }
            return;
        }
        for behind in 0..=OLDER {
            if state.stolen & 1 << behind != 0 {
                let other = false;
                if verifies {
                    push(Credential { behind, other }, false);
                }
                push(Credential { behind, other }, true);
            }
        }
    }

    fn requesting(&self, state: &State, number: usize, next: &mut Next) {
        let request = state.requests[number];
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step(WHO[number], what), to));
        };
        match request.at {
            At::Idle => {
                self.sending(state, number, next);
                return;
            }
            At::Sent => {
                for ahead in -self.times.skew..=self.times.skew {
                    push("its node reads the clock", &|to| {
                        to.requests[number].at = At::Timed;
                        to.requests[number].ahead = ahead;
                    });
                }
            }
            At::Timed if !state.row.is_there => push("its node finds no row", &|to| {
                to.requests[number] = Request::default();
            }),
            At::Timed if request.refreshes && self.is_refreshable(state, request) => {
                push("its node reads a row that is to be rotated", &|to| {
                    to.requests[number].at = At::Swaps;
                });
            }
            At::Timed => push("its node reads the row, and judges", &|to| {
                self.decide(to, number);
            }),
            At::Swaps => {
                let is_as_it_was = state.row.is_there && self.is_refreshable(state, request);
                if is_as_it_was || self.rules.saves_what_it_read {
                    push("its node swaps the row", &|to| {
                        self.check(to, number, Verdict::Current);
                        self.advance(to, request.age());
                        to.requests[number].at = At::Signs;
                        to.requests[number].sent = 0;
                        to.requests[number].credential = Credential::default();
                    });
                } else {
                    push("its node finds it changed, and judges", &|to| {
                        self.decide(to, number);
                    });
                }
            }
            At::Notes => push("its use is noted", &|to| {
                self.note(to, request);
                to.requests[number] = Request::default();
            }),
            At::Ends => push("is taken for a thief: the login ends", &|to| {
                to.row.is_there = false;
                to.requests[number] = Request::default();
                if self.end == End::Theft && to.ending.at == 0 {
                    to.ending.at = 1;
                    if self.rules.theft_is_not_told {
                        to.ending = Ending {
                            at: ACKNOWLEDGED,
                            applied: true,
                            left: self.times.bound,
                            ..Ending::default()
                        };
                    }
                }
            }),
            At::Signs => push("its node answers with a credential", &|to| {
                self.sign(to, request.age());
                to.requests[number].at = At::Answered;
                to.requests[number].ahead = 0;
                if !self.is_honest(number) {
                    to.requests[number].timed = 0;
                }
            }),
            At::Answered => push("has the answer", &|to| {
                to.requests[number] = Request::default();
                let credential = request.credential;
                if self.is_honest(number) {
                    let is_newer = credential.behind < to.jar.behind;
                    let comes_last = self.jar == Jar::Last && request.refreshes;
                    if is_newer || (comes_last && credential != to.jar) {
                        (to.jar, to.jar_age) = (credential, 0);
                    }
                } else if !credential.other {
                    to.stolen |= 1 << credential.behind;
                }
            }),
        }
        let holds_an_answer = matches!(request.at, At::Signs | At::Answered);
        if self.losses || !holds_an_answer {
            push("is lost", &|to| to.requests[number] = Request::default());
        }
    }

    /// Handles are public: with one, and no more, anybody may come.
    fn forging(&self, state: &State, next: &mut Next) {
        let other = true;
        let ends = (0..=OLDER).any(|behind| {
            let verdict = self.judge(&state.row, Credential { behind, other }, 0);
            verdict.ends_the_login(self.rules)
        });
        if ends && state.row.is_there {
            let mut to = state.clone();
            to.row.is_there = false;
            to.broken = 6;
            next.push((Step("anybody", "makes up a credential: the login ends"), to));
        }
    }

    fn ending(&self, state: &State, next: &mut Next) {
        let who = match self.end {
            End::Never => return,
            End::Login => "revoke",
            End::Subject => "revoke all",
            End::Theft => "theft",
        };
        let Ending { at, timed, .. } = state.ending;
        let mut push = |who, what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step(who, what), to));
        };
        let is_early = self.rules.time_before_removal;
        match at {
            0 if self.end == End::Theft => {}
            0 if is_early => push(who, "reads the clock", &|to| to.ending.at = 1),
            0 => push(who, "removes the row", &|to| {
                to.row.is_there = false;
                to.ending.at = 1;
            }),
            1 if is_early => push(who, "removes the row", &|to| {
                to.row.is_there = false;
                to.ending.at = 2;
            }),
            1 => push(who, "reads the clock", &|to| to.ending.at = 2),
            2 => push(who, "appends to the log", &|to| {
                to.ending = Ending {
                    at: APPENDED,
                    kept: self.times.access - timed,
                    ..Ending::default()
                };
            }),
            APPENDED if self.end == End::Subject => {
                push(who, "removes what began before", &|to| {
                    to.row.is_there = false;
                    to.ending.at = 4;
                });
            }
            APPENDED | 4 => push(who, "answers", &|to| {
                to.ending.at = ACKNOWLEDGED;
                to.ending.left = self.times.bound;
            }),
            _ => {}
        }
        if at >= APPENDED && !state.ending.applied {
            push("follower", "applies the end of the login", &|to| {
                to.ending.applied = true;
                to.ending.appended = 0;
            });
        }
    }

    fn accepts_a_token(&self, state: &State) -> bool {
        let ending = state.ending;
        let is_known = ending.applied && ending.kept > 0;
        // The end of all logins of a subject is no end of what is stamped after it.
        let covers_late = self.end != End::Subject;
        let [stamped, late] = state.tokens;
        (stamped > 0 && !is_known) || (late > 0 && !(is_known && covers_late))
    }

    fn must_hurry(&self, state: &State) -> bool {
        let times = self.times;
        let requests = (0..).zip(state.requests).any(|(number, request)| {
            let is_under_way = matches!(request.at, At::Sent | At::Timed | At::Swaps);
            if !self.is_honest(number) {
                return request.timed >= times.stall;
            }
            let is_at_node = matches!(request.at, At::Notes | At::Ends);
            let holds_an_answer = matches!(request.at, At::Signs | At::Answered);
            let is_timed = is_under_way && request.at != At::Sent;
            (is_under_way && request.sent >= times.out)
                || (is_timed && request.timed >= times.back)
                || (is_at_node && request.timed >= times.stall)
                || (holds_an_answer && request.timed >= times.back)
        });
        let ending = state.ending;
        let appended = ending.at >= APPENDED && !ending.applied;
        requests || ending.timed >= times.stall || (appended && ending.appended + 1 >= times.bound)
    }

    fn pass(&self, state: &State, next: &mut Next) {
        let mut to = state.clone();
        to.row.rotated = (to.row.rotated + 1).min(self.long_ago());
        to.jar_age = (to.jar_age + 1).min(self.times.patience);
        for (number, request) in (0..).zip(&mut to.requests) {
            let is_under_way = matches!(request.at, At::Sent | At::Timed | At::Swaps);
            if is_under_way && self.is_honest(number) {
                request.sent += 1;
            }
            let counts = match request.at {
                At::Timed | At::Swaps | At::Signs => true,
                At::Notes => self.rules.overlap_from_use,
                At::Answered => self.is_honest(number),
                At::Idle | At::Sent | At::Ends => false,
            };
            request.timed += i8::from(counts);
        }
        for token in &mut to.tokens {
            *token = (*token - 1).max(0);
        }
        let ending = &mut to.ending;
        let is_timed = ending.at == 2 || (ending.at == 1 && self.rules.time_before_removal);
        ending.timed += i8::from(is_timed);
        ending.appended += i8::from(ending.at >= APPENDED && !ending.applied);
        ending.kept = (ending.kept - 1).max(0);
        ending.left = (ending.left - 1).max(0);
        next.push((Step("time", "passes"), to));
    }
}

impl State {
    /// All that anybody holds or sends, but what the thief keeps.
    fn each_credential(&mut self, change: impl Fn(&mut Credential)) {
        change(&mut self.jar);
        for request in &mut self.requests {
            if request.at != At::Idle && request.at != At::Ends {
                change(&mut request.credential);
            }
        }
    }
}

impl Model for Refresh {
    type State = State;

    fn start(&self) -> State {
        State {
            row: Row {
                is_there: true,
                rotated: self.long_ago(),
                used: true,
            },
            jar: Credential::default(),
            jar_age: self.times.patience,
            requests: [Request::default(); 3],
            stolen: 0,
            thief_acted: false,
            handed_out: true,
            use_answered: true,
            shared: 0,
            shared_now: false,
            ending: Ending::default(),
            tokens: [0; 2],
            broken: 0,
        }
    }

    fn steps(&self, state: &State, next: &mut Next) {
        let is_over = !state.row.is_there && self.end == End::Never;
        if is_over {
            return;
        }
        if !self.must_hurry(state) {
            self.pass(state, next);
        }
        for number in 0..self.tabs {
            self.requesting(state, number, next);
        }
        if self.thief {
            if state.stolen == 0 && !state.jar.other {
                let mut to = state.clone();
                to.stolen = 1 << state.jar.behind;
                next.push((Step("thief", "copies what is in the jar"), to));
            } else if state.stolen != 0 {
                self.requesting(state, THIEF, next);
            }
        }
        self.ending(state, next);
        self.forging(state, next);
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let mut broken = state.broken;
        let is_due = state.ending.at == ACKNOWLEDGED && state.ending.left == 0;
        if self.accepted(&state.row) > 2 {
            broken = 2;
        } else if is_due && self.accepts_a_token(state) {
            broken = 10;
        }
        (broken != 0).then(|| BROKEN[usize::from(broken)])
    }

    fn describe(&self, state: &State) -> String {
        let row = match (state.row.is_there, state.row.used) {
            (false, _) => "no row",
            (true, true) => "used",
            (true, false) => "not used",
        };
        format!("{row}, rotated {} ago", state.row.rotated)
    }
}
