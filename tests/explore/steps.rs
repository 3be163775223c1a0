//! Step-ups of a session: two of them at once, each to a class of its own, beside two tabs that verify
//! and refresh, an edit of an administrator, a logout, crashes, and a thief with a copy of the jar.
//!
//! A row has one credential for each generation, so that a credential is its generation. The answer
//! to a client may be lost, and a node may crash, between any two steps. As in
//! [`refresh`](crate::refresh), honest requests take less than the overlap, and a client uses a
//! credential before it refreshes it: time passes only while no honest request is in flight.

use super::checker::{Model, Step};

/// The rules that are kept.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    /// The credential of a step-up is derived from no other one.
    pub(crate) is_underived: bool,
    /// The class belongs to the generation that the step-up has made, and to later ones.
    pub(crate) is_bound: bool,
    /// After a conflict, a step-up whose credential is no longer the current one makes another one.
    pub(crate) starts_again: bool,
    /// After a step-up, an older credential than the previous one is unknown within the overlap.
    pub(crate) waits_for_overlap: bool,
    /// It also is until the new one is used.
    pub(crate) waits_for_use: bool,
    /// A conflict after the rotation does not judge the presented credential again.
    pub(crate) trusts_itself: bool,
    /// The class is written only if the row is there.
    pub(crate) needs_a_row: bool,
    /// Tabs refresh too. Then the row may be two generations ahead of a step-up that is on its way,
    /// which is rejected: the row has no proof of its credential any more.
    pub(crate) refreshes: bool,
    /// A thief may copy the jar, before anything is proven.
    pub(crate) thief: bool,
    /// Nodes may crash, and answers may be lost.
    pub(crate) losses: bool,
    /// The user may log out.
    pub(crate) logout: bool,
    /// Requests that each tab sends.
    pub(crate) requests: u8,
}

/// Highest generation that a refresh makes. Step-ups may go beyond it.
const REFRESHED: u8 = 2;
/// Classes of the two step-ups. The login has none.
const CLASSES: [u8; 2] = [2, 3];

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Row {
    is_there: bool,
    generation: u8,
    version: u8,
    /// The current credential was used.
    is_used: bool,
    /// The overlap has not passed.
    is_recent: bool,
    /// The generation that has a class, and the class.
    step: Option<(u8, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Tab {
    Idle,
    Sent { credential: u8, refreshes: bool },
    Answered { credential: u8 },
}

/// A step-up: the credential that it presents, and the one that it has made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Act {
    Idle,
    Sent {
        presented: u8,
        made: Option<u8>,
    },
    Loaded {
        presented: u8,
        made: Option<u8>,
        generation: u8,
        version: u8,
    },
    Rotated {
        presented: u8,
        made: u8,
        version: u8,
    },
    Answered {
        made: u8,
    },
    Done,
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    row: Row,
    /// The class that was proven for each generation.
    proven: [u8; 8],
    /// The generations that the one before derives, and those that a client may have, as bits.
    derived: u8,
    handed_out: u8,
    jar: u8,
    tabs: [Tab; 2],
    requests: [u8; 2],
    acts: [Act; 2],
    /// The version that the administrator has read; the edit is made.
    edit: Option<u8>,
    is_edited: bool,
    stolen: u8,
    thief_acted: bool,
    was_lost: bool,
    is_ended: bool,
    broken: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passes,
    Unknown,
    Reused,
}

const BROKEN: [&str; 7] = [
    "",
    "S1: a thief has a class",
    "S2: a credential has a class that was not proven for it",
    "S3: an honest client is taken for a thief",
    "S4: an honest step-up fails",
    "S4: a browser that stepped up has no class",
    "S5: an ended login is there",
];

type Next = Vec<(Step, State)>;

impl Steps {
    pub(crate) const IMPLEMENTED: Self = Self {
        is_underived: true,
        is_bound: true,
        starts_again: true,
        waits_for_overlap: true,
        waits_for_use: true,
        trusts_itself: true,
        needs_a_row: true,
        refreshes: true,
        thief: true,
        losses: true,
        logout: true,
        requests: 1,
    };

    fn judge(&self, s: &State, credential: u8) -> Verdict {
        let row = s.row;
        match row.generation - credential {
            0 => Verdict::Passes,
            1 if row.is_recent || !row.is_used => Verdict::Passes,
            1 => Verdict::Reused,
            _ if s.is_derived(row.generation) => Verdict::Reused,
            _ if self.waits_for_overlap && row.is_recent => Verdict::Unknown,
            _ if self.waits_for_use && !row.is_used => Verdict::Unknown,
            _ => Verdict::Reused,
        }
    }

    /// The class that the row shows for a credential.
    fn class_of(&self, row: Row, credential: u8) -> u8 {
        match row.step {
            Some((since, class)) if since <= credential || !self.is_bound => class,
            _ => 0,
        }
    }

    /// Judges a credential. A theft ends the login.
    fn passes(&self, to: &mut State, credential: u8, is_honest: bool) -> bool {
        if !to.row.is_there {
            return false;
        }
        let verdict = self.judge(to, credential);
        if verdict == Verdict::Reused {
            to.row.is_there = false;
            to.is_ended = true;
            if is_honest && !to.thief_acted {
                to.broken = 3;
            }
        }
        verdict == Verdict::Passes
    }

    /// Verifies or refreshes. Returns the credential of the answer.
    fn serve(
        &self,
        to: &mut State,
        credential: u8,
        refreshes: bool,
        is_honest: bool,
    ) -> Option<u8> {
        let row = to.row;
        let is_current = row.is_there && row.generation == credential;
        let rests = row.is_recent && row.generation > 0;
        if refreshes && is_current && !rests && row.generation < REFRESHED {
            to.rotate(true, to.proven[usize::from(credential)]);
            return Some(to.row.generation);
        }
        if !self.passes(to, credential, is_honest) {
            return None;
        }
        if !refreshes && is_current && !row.is_used {
            (to.row.is_used, to.row.is_recent) = (true, true);
        }
        let successor = to.row.generation;
        Some(match refreshes && to.is_derived(successor) {
            true => successor,
            false => credential,
        })
    }

    fn tab(&self, s: &State, number: usize, next: &mut Next) {
        let process = ["tab 1", "tab 2"][number];
        let mut push = |what, change: &dyn Fn(&mut State)| {
            let mut to = *s;
            change(&mut to);
            next.push((Step(process, what), to));
        };
        match s.tabs[number] {
            Tab::Idle if s.requests[number] < self.requests && !s.is_ended => {
                let is_unused = s.jar == s.row.generation && !s.row.is_used;
                for refreshes in [false, true] {
                    if refreshes && (is_unused || !self.refreshes) {
                        continue;
                    }
                    push(if refreshes { "refreshes" } else { "verifies" }, &|to| {
                        to.requests[number] += 1;
                        let credential = to.jar;
                        to.tabs[number] = Tab::Sent {
                            credential,
                            refreshes,
                        };
                    });
                }
            }
            Tab::Idle => {}
            Tab::Sent {
                credential,
                refreshes,
            } => push("its node judges, and answers", &|to| {
                let answer = self.serve(to, credential, refreshes, true);
                to.tabs[number] = match answer {
                    Some(credential) => Tab::Answered { credential },
                    None => Tab::Idle,
                };
            }),
            Tab::Answered { credential } => {
                push("receives the answer", &|to| {
                    to.receive(credential);
                    to.tabs[number] = Tab::Idle;
                });
                if self.losses {
                    push("its answer is lost", &|to| {
                        to.was_lost = true;
                        to.tabs[number] = Tab::Idle;
                    });
                }
            }
        }
    }

    fn step_up(&self, s: &State, number: usize, next: &mut Next) {
        let process = ["step-up to 2", "step-up to 3"][number];
        let mut push = |what, change: &dyn Fn(&mut State) -> Act| {
            let mut to = *s;
            to.acts[number] = change(&mut to);
            next.push((Step(process, what), to));
        };
        let class = CLASSES[number];
        match s.acts[number] {
            Act::Idle if s.is_ended => return,
            Act::Idle => {
                push("is sent", &|to| Act::Sent {
                    presented: to.jar,
                    made: None,
                });
                return;
            }
            Act::Sent { presented, made } => push("its node loads the row", &|to| {
                let is_first = made.is_none();
                let is_judged = is_first || !self.trusts_itself;
                if !to.row.is_there || (is_judged && !self.passes(to, presented, true)) {
                    to.was_lost |= is_first && self.refreshes;
                    return Act::Failed;
                }
                let Row {
                    generation,
                    version,
                    ..
                } = to.row;
                Act::Loaded {
                    presented,
                    made,
                    generation,
                    version,
                }
            }),
            Act::Loaded {
                presented,
                made,
                generation,
                version,
            } => match made {
                Some(made) if made == generation || !self.starts_again => {
                    push("its node keeps its credential", &|_| Act::Rotated {
                        presented,
                        made,
                        version,
                    });
                }
                _ => push("its node rotates the row", &|to| {
                    if !to.row.is_there || to.row.generation != generation {
                        return Act::Sent { presented, made };
                    }
                    to.rotate(!self.is_underived, class);
                    let made = to.row.generation;
                    Act::Rotated {
                        presented,
                        made,
                        version,
                    }
                }),
            },
            Act::Rotated {
                presented,
                made,
                version,
            } => push("its node writes the class", &|to| {
                if !to.row.is_there && !self.needs_a_row {
                    to.row.is_there = true;
                }
                if !to.row.is_there {
                    return Act::Failed;
                }
                if to.row.version != version {
                    return Act::Sent {
                        presented,
                        made: Some(made),
                    };
                }
                to.row.version += 1;
                to.row.step = Some((made, class));
                to.handed_out |= 1 << made;
                Act::Answered { made }
            }),
            Act::Answered { made } => push("receives its credential", &|to| {
                to.receive(made);
                Act::Done
            }),
            Act::Done | Act::Failed => return,
        }
        if self.losses {
            push("is lost", &|to| {
                to.was_lost = true;
                Act::Done
            });
        }
    }

    fn edit(s: &State, next: &mut Next) {
        let mut to = *s;
        let what = match s.edit {
            _ if s.is_edited || !s.row.is_there => return,
            None => {
                to.edit = Some(s.row.version);
                "reads the row"
            }
            Some(version) if version == s.row.version => {
                to.row.version += 1;
                to.is_edited = true;
                "writes the row"
            }
            Some(_) => {
                to.edit = None;
                "meets a conflict"
            }
        };
        next.push((Step("administrator", what), to));
    }

    fn steal(&self, s: &State, next: &mut Next) {
        let has_class = s.proven[usize::from(s.jar)] != 0;
        if s.stolen == 0 && !has_class && !s.is_ended {
            let mut to = *s;
            to.stolen = 1 << s.jar;
            next.push((Step("thief", "copies the jar"), to));
        }
        for credential in (0..8).filter(|at| s.stolen & 1 << at != 0) {
            for refreshes in [false, true] {
                let mut to = *s;
                to.thief_acted = true;
                if let Some(answer) = self.serve(&mut to, credential, refreshes, false) {
                    to.stolen |= 1 << answer;
                }
                let what = if refreshes { "refreshes" } else { "verifies" };
                next.push((Step("thief", what), to));
            }
        }
    }
}

impl State {
    fn is_derived(&self, generation: u8) -> bool {
        self.derived & 1 << generation != 0
    }

    fn rotate(&mut self, is_derived: bool, class: u8) {
        self.row.generation += 1;
        let generation = self.row.generation;
        (self.row.is_used, self.row.is_recent) = (false, true);
        self.derived |= u8::from(is_derived) << generation;
        self.proven[usize::from(generation)] = class;
        if is_derived {
            self.handed_out |= 1 << generation;
        }
    }

    /// The browser keeps the newest credential.
    fn receive(&mut self, credential: u8) {
        self.jar = self.jar.max(credential);
    }

    fn is_in_flight(&self) -> bool {
        let is_running = |act: &Act| !matches!(act, Act::Idle | Act::Done | Act::Failed);
        self.tabs.iter().any(|tab| *tab != Tab::Idle) || self.acts.iter().any(is_running)
    }
}

impl Model for Steps {
    type State = State;

    fn start(&self) -> State {
        State {
            row: Row {
                is_there: true,
                is_used: true,
                ..Row::default()
            },
            proven: [0; 8],
            derived: 0,
            handed_out: 1,
            jar: 0,
            tabs: [Tab::Idle; 2],
            requests: [0; 2],
            acts: [Act::Idle; 2],
            edit: None,
            is_edited: false,
            stolen: 0,
            thief_acted: false,
            was_lost: false,
            is_ended: false,
            broken: 0,
        }
    }

    fn steps(&self, s: &State, next: &mut Next) {
        for number in 0..2 {
            self.tab(s, number, next);
            self.step_up(s, number, next);
        }
        Self::edit(s, next);
        if self.thief {
            self.steal(s, next);
        }
        if self.logout && !s.is_ended {
            let mut to = *s;
            (to.row.is_there, to.is_ended) = (false, true);
            next.push((Step("user", "logs out"), to));
        }
        if s.row.is_recent && !s.is_in_flight() {
            let mut to = *s;
            to.row.is_recent = false;
            next.push((Step("time", "the overlap passes"), to));
        }
    }

    fn broken(&self, s: &State) -> Option<&'static str> {
        let name = |broken: u8| Some(BROKEN[usize::from(broken)]);
        if s.broken != 0 {
            return name(s.broken);
        }
        if s.is_ended {
            return if s.row.is_there { name(6) } else { None };
        }
        let is_accepted = |credential: &u8| self.judge(s, *credential) == Verdict::Passes;
        let all = (0..=s.row.generation).filter(is_accepted);
        for credential in all.filter(|at| s.handed_out & 1 << at != 0) {
            let class = self.class_of(s.row, credential);
            if s.stolen & 1 << credential != 0 && class != 0 {
                return name(1);
            }
            if class != 0 && class != s.proven[usize::from(credential)] {
                return name(2);
            }
        }
        if s.thief_acted || s.was_lost {
            return None;
        }
        if s.acts.contains(&Act::Failed) {
            return name(4);
        }
        let proven = s.proven[usize::from(s.jar)];
        let is_over = s
            .acts
            .iter()
            .all(|act| matches!(act, Act::Idle | Act::Done));
        if is_over && self.class_of(s.row, s.jar) != proven {
            return name(5);
        }
        None
    }

    fn describe(&self, s: &State) -> String {
        format!(
            "generation {}, version {}, used {}, recent {}, class {:?}, jar {}, stolen {:b}",
            s.row.generation,
            s.row.version,
            s.row.is_used,
            s.row.is_recent,
            s.row.step,
            s.jar,
            s.stolen
        )
    }
}
