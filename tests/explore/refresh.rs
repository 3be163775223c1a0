//! Rotation of credentials in use. The actors are two tabs of an honest client with one cookie jar,
//! a thief with a copy of that jar, and a process that ends the login.
//!
//! A client sends a request. The node reads the clock, reads the row, swaps the row if it is
//! unchanged, and answers. Between any two steps the message may be lost or the node may crash. The
//! client then sends the credential that is in its jar.
//!
//! The model has no last tick and no last generation. All times are ages, capped where no rule
//! tells them apart. A credential is identified by its distance from the generation of the row.
//! Secrets are symbols: a secret matches the proof in the row or it does not.

use crate::checker::{Model, Step};

/// The sizes of the world, in ticks.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) overlap: i8,
    pub(crate) grace: i8,
    /// Longest time from sending an honest request until its node has finished with the store.
    pub(crate) out: i8,
    /// Longest time from reading the clock until the answer reaches an honest client.
    pub(crate) back: i8,
    /// Longest stall of every other process after it read the clock.
    pub(crate) stall: i8,
    /// Largest clock skew of a node, in either direction.
    pub(crate) skew: i8,
    /// Time for which an honest client keeps a credential before it refreshes.
    pub(crate) patience: i8,
    /// Lifetime of an access token.
    pub(crate) access: i8,
    /// Time within which a view applies appended entries.
    pub(crate) bound: i8,
}

/// The event that counts as the use of a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The row verifies it and records its first use.
    Session,
    /// It refreshes access tokens. The store does not see their use.
    Hybrid,
}

/// The credential that a client keeps after several answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jar {
    /// The newest.
    Newest,
    /// The one from the answer that arrived last.
    Last,
}

/// The act that ends the login.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Never,
    /// By its handle.
    Login,
    /// With all logins of its subject.
    Subject,
    /// Theft detection.
    Theft,
}

/// The protocol. Each flag removes or changes one rule.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// The overlap ends when the successor is used.
    pub(crate) overlap_ends_early: bool,
    /// The successor is rotated within the overlap.
    pub(crate) rotates_in_overlap: bool,
    /// The successor is random: a repeated refresh gets a different one.
    pub(crate) random_successor: bool,
    /// The first use of a successor is not recorded.
    pub(crate) use_is_not_noted: bool,
    /// The use of any generation is recorded as a use of the current one.
    pub(crate) notes_any_generation: bool,
    /// A credential ends the login without proving that it belonged to it.
    pub(crate) ends_unproven: bool,
    /// A row is written without checking that it is unchanged since the read.
    pub(crate) writes_unchecked: bool,
    /// No entry is appended for a login that ends by theft detection.
    pub(crate) theft_is_not_appended: bool,
    /// A token is stamped when it is signed.
    pub(crate) restamps: bool,
    /// The lifetime of a token starts at signing instead of at reading the clock.
    pub(crate) time_after_swap: bool,
    /// The lifetime of a fact starts before the row is removed.
    pub(crate) time_before_removal: bool,
    /// The overlap restarts at the first use of the successor.
    pub(crate) overlap_from_use: bool,
    /// An unused successor is not rotated: refreshing it counts as its first use.
    pub(crate) unused_rests: bool,
    /// A replaced credential that comes back after the grace ends the login.
    pub(crate) reject_orphaned: bool,
    /// It gets the successor that another holder may have got.
    pub(crate) shares_successor: bool,
    /// A late refresh within the grace does not start the grace again.
    pub(crate) grace_stands: bool,
}

/// The events of one exploration.
#[derive(Clone, Copy)]
pub(crate) struct Refresh {
    pub(crate) times: Times,
    pub(crate) rules: Rules,
    pub(crate) kind: Kind,
    pub(crate) tabs: usize,
    pub(crate) thief: bool,
    /// Nodes may crash after a swap, and answers may be lost.
    pub(crate) losses: bool,
    pub(crate) jar: Jar,
    pub(crate) end: End,
    /// Two holders that alternate, each later than the grace, must be detected.
    pub(crate) tells_apart: bool,
    /// A client uses a credential for a request before it refreshes it.
    pub(crate) uses_first: bool,
}

/// Distance from the generation of the row, up to [`OLDER`], and two flags: the secret differs from
/// the proof in the row, and so does the family.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Credential {
    behind: u8,
    other: bool,
}

/// Older than the previous generation: only the family proof recognizes it.
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
    /// Time since the clock reading at which the overlap starts.
    rotated: i8,
    used: bool,
}

/// Progress of a request.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
enum At {
    #[default]
    Idle,
    Sent,
    Timed,
    /// The row that was read can be rotated.
    Swaps,
    /// The use will be recorded.
    Notes,
    /// The login will be ended.
    Ends,
    /// A credential will be returned; in the hybrid an access token will be signed too.
    Signs,
    Answered,
}

/// A request or its answer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Request {
    at: At,
    refreshes: bool,
    credential: Credential,
    /// Time since it was sent, and time since its node read the clock.
    sent: i8,
    timed: i8,
    /// Lead of that clock.
    ahead: i8,
}

/// The process that ends the login. It removes the row, reads the clock, appends to the log,
/// removes the row again and answers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Ending {
    at: u8,
    timed: i8,
    /// Remaining life of its fact, and the time since the fact was appended.
    kept: i8,
    appended: i8,
    applied: bool,
    /// Remaining part of the promised time.
    left: i8,
}

const APPENDED: u8 = 3;
const ACKNOWLEDGED: u8 = 5;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    row: Row,
    jar: Credential,
    /// Time for which the client has had it.
    jar_age: i8,
    /// The two tabs, and the thief.
    requests: [Request; 3],
    /// The credentials of the thief, by their distance from the row.
    stolen: u8,
    thief_acted: bool,
    /// True if the current credential was returned; true if its use was answered.
    handed_out: bool,
    use_answered: bool,
    /// Number of generations in which one holder was served late while another held the successor;
    /// true if this generation is one of them.
    shared: u8,
    shared_now: bool,
    ending: Ending,
    /// Remaining life of tokens with the stamp of their login, and of tokens stamped later.
    tokens: [i8; 2],
    broken: u8,
}

const BROKEN: [&str; 11] = [
    "",
    "I6: one credential has two successors",
    "I6: more than two secrets are accepted",
    "I7: an honest client is flagged as a thief",
    "I7: an honest client is rejected",
    "I8: a thief that returns late is not detected",
    "I8: a credential without a proof ends a login",
    "I8: two holders that take turns are never told apart",
    "I1: an ended login is refreshed",
    "I1: the credential of an ended login is accepted",
    "I2: a token is accepted after the time that the end of its login promised",
];

type Next = Vec<(Step, State)>;

const THIEF: usize = 2;
const PROCESSES: [&str; 3] = ["tab 1", "tab 2", "thief"];

impl Rules {
    /// The protocol as implemented.
    pub(crate) const IMPLEMENTED: Self = Self {
        overlap_ends_early: false,
        rotates_in_overlap: false,
        random_successor: false,
        use_is_not_noted: false,
        notes_any_generation: false,
        ends_unproven: false,
        writes_unchecked: false,
        theft_is_not_appended: false,
        restamps: false,
        time_after_swap: false,
        time_before_removal: false,
        overlap_from_use: true,
        unused_rests: false,
        reject_orphaned: false,
        shares_successor: false,
        grace_stands: false,
    };
}

impl Request {
    /// Age of the time that the judgement uses.
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
    /// Age from which on no rule makes a difference.
    fn long_ago(&self) -> i8 {
        self.times.grace + self.times.stall.max(self.times.back) + self.times.skew + 1
    }

    /// Returns true if the clock readings of row and request are less than `window` apart.
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

    /// Counts the secrets that the row accepts now.
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

    /// Checks the verdict about a request against the invariants.
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
            // While a thief is active, flagging the second holder is correct.
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
        if matches!(verdict, Verdict::Overlap | Verdict::Grace) {
            // No rule tells apart two holders that refresh within these windows of each other.
            to.shared = 0;
        }
        let shares = self.tells_apart && passes && verdict == Verdict::Orphaned;
        if shares && another_holds_it && !to.shared_now {
            (to.shared, to.shared_now) = (to.shared + 1, true);
            // The holder that is served late, and then the other one, whose next refresh is flagged.
            if to.shared > 2 {
                to.broken = 7;
            }
        }
    }

    /// Lists the next steps of a node that has read the row.
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
        let sees_each_use = self.kind == Kind::Hybrid && !self.rules.reject_orphaned;
        if at == At::Signs && sees_each_use && !self.rules.shares_successor {
            match verdict {
                Verdict::Grace if !self.rules.grace_stands => {
                    let restarted = request.age() + self.times.overlap;
                    to.row.rotated = to.row.rotated.min(restarted);
                }
                Verdict::Orphaned => self.replace_successor(to, request.age()),
                _ => {}
            }
        }
        let replaces =
            self.rules.random_successor && at == At::Signs && verdict != Verdict::Current;
        if replaces {
            self.replace(to);
        }
        let credential = if at == At::Signs {
            // The credential of the proof in the row: the same generation or the successor.
            Credential::default()
        } else {
            request.credential
        };
        let keeps_time = at == At::Signs || (at == At::Notes && self.rules.overlap_from_use);
        to.requests[number] = Request {
            at,
            // The answer differs from the credential that was sent.
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

    /// Gives the row another secret for its current generation.
    fn replace(&self, to: &mut State) {
        if to.handed_out {
            to.broken = 1;
        }
        to.each_credential(|credential| credential.other |= credential.behind == 0);
        to.stolen &= !1;
    }

    /// Rotates the row to the successor of the current credential.
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

    /// Replaces the unused current credential by another successor of the previous one.
    fn replace_successor(&self, to: &mut State, timed: i8) {
        to.each_credential(|credential| {
            if credential.behind == 0 {
                *credential = Credential {
                    behind: OLDER,
                    other: false,
                };
            }
        });
        let current = to.stolen & 1;
        to.stolen = to.stolen & !1 | current << OLDER;
        to.row.rotated = timed;
        to.handed_out = false;
        to.use_answered = false;
        to.shared_now = false;
    }

    /// Records a use of the current credential.
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
            next.push((Step(PROCESSES[number], what), to));
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
            next.push((Step(PROCESSES[number], what), to));
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
                push("its node reads a row that can be rotated", &|to| {
                    to.requests[number].at = At::Swaps;
                });
            }
            At::Timed => push("its node reads the row, and judges", &|to| {
                self.decide(to, number);
            }),
            At::Swaps => {
                let is_unchanged = state.row.is_there && self.is_refreshable(state, request);
                if is_unchanged || self.rules.writes_unchecked {
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
            At::Ends => push("is flagged as a thief: the login ends", &|to| {
                to.row.is_there = false;
                to.requests[number] = Request::default();
                if self.end == End::Theft && to.ending.at == 0 {
                    to.ending.at = 1;
                    if self.rules.theft_is_not_appended {
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
            At::Answered => push("receives the answer", &|to| {
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

    /// Handles are public: an attacker may present a handle without a secret.
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
            next.push((Step("attacker", "invents a credential: the login ends"), to));
        }
    }

    fn ending(&self, state: &State, next: &mut Next) {
        let process = match self.end {
            End::Never => return,
            End::Login => "revoke",
            End::Subject => "revoke all",
            End::Theft => "theft",
        };
        let Ending { at, timed, .. } = state.ending;
        let mut push = |process, what, change: &dyn Fn(&mut State)| {
            let mut to = state.clone();
            change(&mut to);
            next.push((Step(process, what), to));
        };
        let is_early = self.rules.time_before_removal;
        match at {
            0 if self.end == End::Theft => {}
            0 if is_early => push(process, "reads the clock", &|to| to.ending.at = 1),
            0 => push(process, "removes the row", &|to| {
                to.row.is_there = false;
                to.ending.at = 1;
            }),
            1 if is_early => push(process, "removes the row", &|to| {
                to.row.is_there = false;
                to.ending.at = 2;
            }),
            1 => push(process, "reads the clock", &|to| to.ending.at = 2),
            2 => push(process, "appends to the log", &|to| {
                to.ending = Ending {
                    at: APPENDED,
                    kept: self.times.access - timed,
                    ..Ending::default()
                };
            }),
            APPENDED if self.end == End::Subject => {
                push(process, "removes older logins again", &|to| {
                    to.row.is_there = false;
                    to.ending.at = 4;
                });
            }
            APPENDED | 4 => push(process, "answers", &|to| {
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
        // Ending all logins of a subject does not end logins that are stamped later.
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
    /// Lists every credential held or in flight, except those that the thief keeps.
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
        let is_ended = !state.row.is_there && self.end == End::Never;
        if is_ended {
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
                next.push((Step("thief", "copies the jar"), to));
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
