//! An explicit-state model checker. It visits every reachable state breadth first, so that a
//! counterexample is a shortest one.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Maximum number of states. Beyond it the test fails, because the exploration is incomplete.
const CAP: usize = 3_000_000;
const DEEP_CAP: usize = 20_000_000;

/// Returns true if an exploration may take minutes.
pub(crate) fn is_deep() -> bool {
    std::env::var("STATEWISE_EXPLORE").is_ok_and(|how| how == "deep")
}

/// One step: the process and its action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step(pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16} {}", self.0, self.1)
    }
}

/// Processes with shared state that may stall between any two steps.
pub(crate) trait Model {
    type State: Clone + Eq + Hash;

    fn start(&self) -> Self::State;

    /// Lists all possible next steps.
    fn steps(&self, state: &Self::State, next: &mut Vec<(Step, Self::State)>);

    /// Returns the violated invariant, if any.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// Describes a state in a counterexample.
    fn describe(&self, state: &Self::State) -> String;
}

/// Result of an exploration.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) depth: usize,
    pub(crate) violation: Option<Violation>,
}

/// A shortest way to a broken state.
pub(crate) struct Violation {
    pub(crate) what: &'static str,
    pub(crate) trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  violated: {}", self.what)?;
        for (number, step) in (1..).zip(&self.trace) {
            writeln!(f, "  {number:>3}  {step}")?;
        }
        Ok(())
    }
}

/// Explores all reachable states.
///
/// # Panics
///
/// If there are more states than the cap.
pub(crate) fn explore<M: Model>(model: &M) -> Explored {
    let cap = if is_deep() { DEEP_CAP } else { CAP };
    let mut seen = Seen::new(model.start());
    let mut next = Vec::new();
    let mut steps = 0;
    let (mut depth, mut level_end) = (0, 1);
    let mut at = 0;
    while at < seen.states.len() {
        if at == level_end {
            (depth, level_end) = (depth + 1, seen.states.len());
        }
        if let Some(what) = model.broken(&seen.states[at]) {
            let trace = trace(model, &seen, at);
            return Explored {
                states: seen.states.len(),
                steps,
                depth,
                violation: Some(Violation { what, trace }),
            };
        }
        let from = seen.states[at].clone();
        model.steps(&from, &mut next);
        steps += next.len();
        for (_, state) in next.drain(..) {
            seen.add(state, at);
        }
        assert!(
            seen.states.len() <= cap,
            "more than {cap} states: the exploration is incomplete"
        );
        at += 1;
    }
    Explored {
        states: seen.states.len(),
        steps,
        depth,
        violation: None,
    }
}

fn trace<M: Model>(model: &M, seen: &Seen<M::State>, mut at: usize) -> Vec<String> {
    let mut way = vec![at];
    while at != 0 {
        at = seen.parents[at] as usize;
        way.push(at);
    }
    way.reverse();
    let mut next = Vec::new();
    way.windows(2)
        .map(|pair| {
            let (from, to) = (&seen.states[pair[0]], &seen.states[pair[1]]);
            next.clear();
            model.steps(from, &mut next);
            let step = next.iter().find(|(_, state)| state == to);
            let step = step.map_or_else(String::new, |(step, _)| step.to_string());
            format!("{step:<52} {}", model.describe(to))
        })
        .collect()
}

/// The states, each with its first predecessor. An open-addressing table of state numbers keeps
/// each state once.
struct Seen<S> {
    states: Vec<S>,
    parents: Vec<u32>,
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl<S: Eq + Hash> Seen<S> {
    fn new(start: S) -> Self {
        let mut seen = Self {
            states: Vec::new(),
            parents: Vec::new(),
            table: vec![FREE; 1 << 12],
        };
        seen.add(start, 0);
        seen
    }

    fn add(&mut self, state: S, parent: usize) {
        if self.states.len() * 2 >= self.table.len() {
            self.grow();
        }
        let mut place = self.place(&state);
        loop {
            match self.table[place] {
                FREE => break,
                number if self.states[number as usize] == state => return,
                _ => place = (place + 1) & (self.table.len() - 1),
            }
        }
        self.table[place] = self.states.len() as u32;
        self.states.push(state);
        self.parents.push(parent as u32);
    }

    fn place(&self, state: &S) -> usize {
        let mut hasher = Mixing(0);
        state.hash(&mut hasher);
        hasher.finish() as usize & (self.table.len() - 1)
    }

    fn grow(&mut self) {
        self.table = vec![FREE; self.table.len() * 4];
        for (number, state) in (0..).zip(&self.states) {
            let mut place = self.place(state);
            while self.table[place] != FREE {
                place = (place + 1) & (self.table.len() - 1);
            }
            self.table[place] = number;
        }
    }
}

/// A hash that is fast even without optimization.
struct Mixing(u64);

impl Hasher for Mixing {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, _: usize) {
        // The length of an array, or the index of a variant without fields.
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u8(number as u8);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
