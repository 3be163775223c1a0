//! A log that loses its tail, and the nodes that follow it. Nodes append lost entries again, fill
//! the log to its former length, and use marks to recognize the former meaning of a position.
//!
//! The model has no time: nothing expires, and a view is fresh from its last complete read until it
//! notices that the log was replaced.

use crate::checker::{Model, Step};

/// Maximum number of positions. The exploration fails if it needs more.
const PLACES: usize = 16;
/// Nonces of entries, which are also the marks of stamps. A filler carries no fact.
const NOISE: [u8; 2] = [2, 15];
/// The same facts, carried into a new incarnation: they end logins older than its first entry.
const CARRIED: [u8; 2] = [13, 14];
const ENDS: [u8; 2] = [3, 4];
const MISPLACED: u8 = 5;
const FILLER: u8 = 6;

/// Knowledge of a node, as bits: the first and second logout everywhere of the subject, and the end
/// of the watched login.
const LOGIN: u8 = 4;
/// The same facts, carried over from another incarnation.
const WAS: u8 = 8;

/// The protocol. Each flag removes one rule.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) marks: bool,
    pub(crate) fillers: bool,
    pub(crate) said_again: bool,
    /// A read begins with the last entry of the previous read.
    pub(crate) inclusive: bool,
    /// After a logout everywhere, a node rejects a login of that subject with a stamp
    /// later than the entries that the node has read.
    pub(crate) unread_waits: bool,
    /// A reader that finds a loss forgets the marks of all positions.
    pub(crate) forgets_marks: bool,
    /// Known facts are carried into a new incarnation of the log.
    pub(crate) carried: bool,
    /// Logins stamped by another incarnation are accepted.
    pub(crate) accepts_other_incarnations: bool,
}

impl Rules {
    pub(crate) const IMPLEMENTED: Self = Self {
        marks: true,
        fillers: true,
        said_again: true,
        inclusive: true,
        unread_waits: true,
        forgets_marks: true,
        carried: true,
        accepts_other_incarnations: false,
    };
}

/// The events of one exploration.
#[derive(Clone, Copy)]
pub(crate) struct Losses {
    pub(crate) rules: Rules,
    /// True if there is a login.
    pub(crate) login: bool,
    /// The node that stamps the login, if it keeps running.
    pub(crate) stamps: Option<usize>,
    /// True if node B only reads the log.
    pub(crate) reader: bool,
    /// The nodes that log the subject out everywhere, in any order.
    pub(crate) ends: &'static [usize],
    /// Number of entries that a node which then disappears may append, and how many of them all
    /// nodes have read at the start.
    pub(crate) noise: usize,
    pub(crate) known_noise: usize,
    /// Maximum number of lost entries.
    pub(crate) lost: u8,
    /// The log may lose everything and start a new incarnation.
    pub(crate) anew: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Log {
    entries: [u8; PLACES],
    len: u8,
    /// True in the second incarnation.
    is_anew: bool,
}

impl Log {
    fn append(&mut self, nonce: u8) -> u8 {
        self.entries[usize::from(self.len)] = nonce;
        self.len += 1;
        self.len
    }

    fn at(&self, position: u8) -> u8 {
        match position.checked_sub(1) {
            Some(before) if position <= self.len => self.entries[usize::from(before)],
            _ => 0,
        }
    }

    /// Returns true if the log has a logout everywhere.
    fn says(&self, end: usize) -> bool {
        self.holds(ENDS[end]) || self.holds(CARRIED[end])
    }

    fn holds(&self, nonce: u8) -> bool {
        self.entries[..usize::from(self.len)].contains(&nonce)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    /// The entries read so far, up to the cursor.
    read: Log,
    marks: [u8; PLACES],
    knows: u8,
    /// Everything that the node has ever known.
    ever: u8,
    /// Nonces that must be in the log, and those that the current read may have missed.
    expected: u16,
    young: u16,
    highest: u8,
    highest_is_young: bool,
    /// Highest stamp of a presented login, and the end of the last complete read.
    seen: u8,
    head: u8,
    misplaced: bool,
    fresh: bool,
    /// True if the login must be rejected since the last complete read.
    must_refuse: bool,
    // The current read.
    at: u8,
    due: bool,
    knew: u8,
    sent_after_loss: bool,
    /// True if it has read the log since the loss.
    recovered: bool,
    missing: u16,
    fillers: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    log: Log,
    nodes: [Node; 2],
    /// Progress of each logout everywhere, and the position of its entry.
    ends: [(u8, u8); 2],
    /// The positions before which all logins are ended.
    before: [u8; 2],
    end_is_anew: [bool; 2],
    acknowledged: u8,
    stamp: Option<(u8, u8)>,
    stamp_is_anew: bool,
    /// The logouts everywhere that started after the login began.
    preceded: u8,
    /// True if every node must accept the login.
    sure: bool,
    noise_said: u8,
    lost: bool,
    filler: u8,
    broken: u8,
}

const BROKEN: [&str; 4] = [
    "",
    "I2: a login is accepted although its end is acknowledged, in the log and already read",
    "I4: a node that knows a lost fact is fresh although the log lacks the fact",
    "I5: a login that began after the logout everywhere is rejected",
];

impl State {
    /// Drops state that no longer makes a difference, so that equal states merge.
    fn settle(&mut self) {
        for node in &mut self.nodes {
            // A position that was read is appended again if it is lost.
            if node.highest <= node.read.len {
                (node.highest, node.highest_is_young) = (0, false);
            }
            if node.seen <= node.read.len {
                node.seen = 0;
            }
        }
    }
}

type Next = Vec<(Step, State)>;

const WHO: [[&str; 3]; 2] = [
    ["node A", "node A verifies", "node A revokes"],
    ["node B", "node B verifies", "node B revokes"],
];

impl Node {
    fn stamped(&mut self, position: u8, is_young: bool) {
        if position > self.highest {
            (self.highest, self.highest_is_young) = (position, is_young);
        }
    }

    fn apply(&mut self, position: u8, nonce: u8) {
        self.marks[usize::from(position)] = nonce;
        for (bit, end) in ENDS.iter().enumerate() {
            if nonce == *end {
                self.knows |= 1 << bit;
            }
            if nonce == CARRIED[bit] {
                self.knows |= WAS << bit;
            }
        }
        if nonce == MISPLACED {
            self.knows |= LOGIN;
        }
        self.ever |= self.knows;
    }

    fn begin(&mut self) {
        self.stamped(self.seen, false);
        self.young = 0;
        self.highest_is_young = false;
    }

    /// Applies the page. Returns `false` if it does not continue where reading stopped.
    fn take(&mut self, page: &Log, rules: Rules) -> bool {
        let last = self.read.len;
        if page.is_anew && !self.read.is_anew {
            // Old positions have no meaning now; known facts are carried over.
            self.expected = 0;
            for (end, carried) in CARRIED.iter().enumerate() {
                if rules.carried && self.knows & 1 << end != 0 {
                    self.expected |= 1 << carried;
                }
            }
            self.young = self.expected;
            self.knows &= LOGIN;
            self.marks = [0; PLACES];
            (self.highest, self.seen) = (0, 0);
            self.read = EMPTY;
            self.read.is_anew = true;
            return false;
        }
        if rules.inclusive && last > 0 && page.at(last) != self.read.at(last) {
            self.stamped(last, true);
            for nonce in &self.read.entries[..usize::from(last)] {
                self.expected |= 1 << nonce;
                self.young |= 1 << nonce;
            }
            self.read.entries = EMPTY.entries;
            self.read.len = 0;
            if rules.forgets_marks {
                self.marks = [0; PLACES];
            }
            return false;
        }
        for position in last + 1..=page.len {
            let nonce = page.at(position);
            self.apply(position, nonce);
            self.expected &= !(1 << nonce);
            self.young &= !(1 << nonce);
            self.read.append(nonce);
        }
        true
    }
}

const EMPTY: Log = Log {
    entries: [0; PLACES],
    len: 0,
    is_anew: false,
};

impl Losses {
    fn due(&self, state: &State) -> bool {
        (0..2).any(|end| state.preceded & state.acknowledged & 1 << end != 0 && state.log.says(end))
    }

    fn following(&self, state: &State, number: usize, next: &mut Next) {
        let mut to = state.clone();
        let due = self.due(state);
        // A node that has just appended learns of a loss by its next read.
        let settled = state.lost && state.ends.iter().all(|(at, _)| *at != 1);
        let is_reader = self.reader && number == 1;
        let node = &mut to.nodes[number];
        let rules = Rules {
            forgets_marks: self.rules.forgets_marks && is_reader,
            ..self.rules
        };
        let goes_on = node.at == 1 && node.take(&state.log, rules);
        let what = match node.at {
            0 => {
                node.begin();
                (node.at, node.due, node.sent_after_loss) = (1, due, settled);
                node.knew = node.ever;
                "sends a read"
            }
            1 if !goes_on => {
                (node.at, node.fresh) = (0, false);
                (node.due, node.knew) = (false, 0);
                "finds that the log has lost entries"
            }
            1 => {
                node.head = node.read.len;
                if is_reader {
                    // It appends nothing, and ends a misplaced login in its own view.
                    (node.expected, node.young, node.highest) = (0, 0, 0);
                    if std::mem::take(&mut node.misplaced) {
                        node.knows |= LOGIN;
                    }
                }
                node.missing = node.expected & !node.young;
                if !self.rules.said_again {
                    node.missing = 0;
                }
                let short = node.highest.saturating_sub(node.read.len);
                if self.rules.fillers && !node.highest_is_young {
                    node.fillers = short;
                }
                if node.missing != 0 || node.fillers > 0 || node.misplaced {
                    node.at = 2;
                    "reads to the end, and lacks a fact"
                } else {
                    node.at = 0;
                    node.fresh = true;
                    node.must_refuse |= node.due;
                    node.recovered = node.sent_after_loss;
                    node.due = false;
                    let knows = std::mem::take(&mut node.knew);
                    if state.lost && node.sent_after_loss && !is_reader {
                        let forgotten =
                            |end: usize| knows & (1 | WAS) << end != 0 && !state.log.says(end);
                        if (0..2).any(forgotten) {
                            to.broken = 2;
                        }
                    }
                    "reads to the end, and is fresh"
                }
            }
            _ => {
                for nonce in 1..16 {
                    if node.missing & 1 << nonce != 0 {
                        to.log.append(nonce);
                    }
                }
                for _ in 0..node.fillers {
                    to.log.append(FILLER + to.filler);
                    to.filler += 1;
                }
                if node.misplaced {
                    to.log.append(MISPLACED);
                }
                (node.at, node.missing, node.fillers) = (0, 0, 0);
                (node.misplaced, node.due, node.knew) = (false, false, 0);
                "appends the lost facts"
            }
        };
        next.push((Step(WHO[number][0], what), to));
    }

    fn verifying(&self, state: &State, number: usize, next: &mut Next) {
        let Some((position, mark)) = state.stamp else {
            return;
        };
        let mut to = state.clone();
        let node = &mut to.nodes[number];
        if !node.fresh {
            return;
        }
        let is_elsewhere = state.stamp_is_anew != node.read.is_anew;
        let is_beyond = position > node.head && !is_elsewhere;
        if is_beyond {
            node.seen = node.seen.max(position);
        }
        let known = node.marks[usize::from(position)];
        let is_unread = is_beyond && known != mark;
        let is_lost = self.rules.marks && !is_elsewhere && known != 0 && known != mark;
        let ended = (0..2).filter(|end| node.knows & 1 << end != 0);
        let carried = (node.knows & (WAS | WAS << 1) != 0).then_some(1);
        let before = ended.map(|end| state.before[end]).chain(carried).max();
        // A login without a position in this incarnation counts as oldest.
        let position = if is_elsewhere { 0 } else { position };
        let waits = self.rules.unread_waits && is_unread;
        let what = match before {
            _ if is_elsewhere && !self.rules.accepts_other_incarnations => {
                "no, another incarnation"
            }
            Some(before) if position < before => "no, it began before",
            Some(_) if is_lost => {
                // Once is enough: a second append changes nothing.
                node.misplaced |= node.knows & LOGIN == 0;
                "no, its stamp is lost"
            }
            // Not a final rejection: the client may try again.
            Some(_) if waits => "not yet",
            _ if node.knows & LOGIN != 0 => "no, it has ended",
            _ => "yes",
        };
        if what == "yes" && node.must_refuse {
            to.broken = 1;
        } else if what.starts_with("no,") && state.sure {
            to.broken = 3;
        }
        if to != *state {
            next.push((Step(WHO[number][1], what), to));
        }
    }

    fn ending(&self, state: &State, next: &mut Next) {
        for (end, number) in self.ends.iter().enumerate() {
            let (at, position) = state.ends[end];
            let mut to = state.clone();
            let node = &mut to.nodes[*number];
            let what = match at {
                0 => {
                    let position = to.log.append(ENDS[end]);
                    to.ends[end] = (1, position);
                    to.before[end] = position;
                    to.end_is_anew[end] = state.log.is_anew;
                    if state.stamp.is_some() {
                        to.preceded |= 1 << end;
                        to.sure = false;
                    }
                    "appends the end of all logins"
                }
                1 => {
                    let nonce = if state.log.is_anew && !state.end_is_anew[end] {
                        CARRIED[end]
                    } else {
                        ENDS[end]
                    };
                    if nonce == ENDS[end] || node.read.is_anew {
                        node.expected |= 1 << nonce;
                        node.young |= 1 << nonce;
                    }
                    // The entry belongs to another incarnation, so its position has no meaning.
                    if node.read.is_anew == state.end_is_anew[end] {
                        node.stamped(position, true);
                        node.apply(position, ENDS[end]);
                    }
                    to.ends[end] = (2, 0);
                    "applies it"
                }
                2 => {
                    to.acknowledged |= 1 << end;
                    to.ends[end] = (3, 0);
                    "answers"
                }
                _ => continue,
            };
            next.push((Step(WHO[*number][2], what), to));
        }
    }
}

impl Model for Losses {
    type State = State;

    fn start(&self) -> State {
        let mut log = EMPTY;
        log.append(1);
        for nonce in &NOISE[..self.known_noise] {
            log.append(*nonce);
        }
        let mut marks = [0; PLACES];
        for position in 1..=log.len {
            marks[usize::from(position)] = log.at(position);
        }
        let node = Node {
            read: log,
            marks,
            knows: 0,
            ever: 0,
            expected: 0,
            young: 0,
            highest: 0,
            highest_is_young: false,
            seen: 0,
            head: log.len,
            misplaced: false,
            fresh: true,
            must_refuse: false,
            at: 0,
            due: false,
            knew: 0,
            sent_after_loss: false,
            recovered: false,
            missing: 0,
            fillers: 0,
        };
        State {
            log,
            nodes: [node; 2],
            ends: [(0, 0); 2],
            before: [0; 2],
            end_is_anew: [false; 2],
            acknowledged: 0,
            stamp: None,
            stamp_is_anew: false,
            preceded: 0,
            sure: false,
            noise_said: self.known_noise as u8,
            lost: false,
            filler: 0,
            broken: 0,
        }
    }

    fn steps(&self, state: &State, next: &mut Next) {
        for number in 0..2 {
            self.following(state, number, next);
            self.verifying(state, number, next);
        }
        self.ending(state, next);
        if self.login && state.stamp.is_none() {
            let mut to = state.clone();
            let position = state.log.len;
            to.stamp = Some((position, state.log.at(position)));
            to.stamp_is_anew = state.log.is_anew;
            let recovered = state.nodes.iter().all(|node| node.recovered);
            to.sure = !state.lost || recovered;
            if let Some(number) = self.stamps {
                let node = &mut to.nodes[number];
                if node.read.is_anew == state.log.is_anew {
                    node.stamped(position, true);
                }
            }
            next.push((Step("login", "is stamped with the head"), to));
        }
        let said = usize::from(state.noise_said);
        if said < self.noise {
            let mut to = state.clone();
            to.log.append(NOISE[said]);
            to.noise_said += 1;
            next.push((Step("a node", "appends another fact"), to));
        }
        if !state.lost {
            for count in 1..=self.lost.min(state.log.len) {
                let mut to = state.clone();
                for _ in 0..count {
                    to.log.len -= 1;
                    to.log.entries[usize::from(to.log.len)] = 0;
                }
                to.lost = true;
                let is_due = self.due(&to);
                for node in to.nodes.iter_mut().filter(|node| node.at == 1) {
                    // It cannot find entries that were removed.
                    node.due &= is_due;
                }
                if state
                    .stamp
                    .is_some_and(|(position, _)| position > to.log.len)
                {
                    to.sure = false;
                }
                let what = ["", "loses its last entry", "loses its last two"];
                next.push((Step("log", what[usize::from(count)]), to));
            }
        }
        if !state.lost && self.anew {
            let mut to = state.clone();
            to.log = Log {
                is_anew: true,
                ..EMPTY
            };
            to.lost = true;
            to.sure = false;
            for node in &mut to.nodes {
                node.due &= node.at != 1;
            }
            next.push((Step("log", "begins anew"), to));
        }
        next.iter_mut().for_each(|(_, to)| to.settle());
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        (state.broken != 0).then(|| BROKEN[usize::from(state.broken)])
    }

    fn describe(&self, state: &State) -> String {
        let log = &state.log.entries[..usize::from(state.log.len)];
        format!("log {log:?}, login {:?}", state.stamp)
    }
}
