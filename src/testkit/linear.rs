//! Whether what several clients saw can be put into one order.

use std::collections::HashSet;

use crate::clock::Timestamp;
use crate::testkit::model::{Answer, Model, Step};

/// A call that a client made, and what it saw.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) step: Step,
    pub(crate) answer: Answer,
    /// When it began and when it returned, by a counter that all clients share.
    pub(crate) began: u64,
    pub(crate) returned: u64,
}

/// Whether there is one order of the calls in which the model gives the same answers, and in
/// which no call comes before one that had returned when it began (Wing and Gong's search, with
/// Lowe's memory of what was tried).
pub(crate) fn is_linearizable(start: &Model, calls: &[Call], now: Timestamp) -> bool {
    assert!(calls.len() <= 128, "a history is too long to be judged");
    let all = if calls.len() == 128 {
        u128::MAX
    } else {
        (1 << calls.len()) - 1
    };
    let mut tried = HashSet::new();
    let mut open = vec![(0_u128, start.clone())];
    while let Some((done, model)) = open.pop() {
        if done == all {
            return true;
        }
        let left = |at: &usize| done & (1 << at) == 0;
        let first_return = (0..calls.len())
            .filter(left)
            .map(|at| calls[at].returned)
            .min()
            .unwrap_or(u64::MAX);
        for at in (0..calls.len()).filter(left) {
            if calls[at].began > first_return {
                continue;
            }
            let mut after = model.clone();
            let said = after.apply(&calls[at].step, now);
            if !said.allows(&calls[at].answer) {
                continue;
            }
            let done = done | (1 << at);
            if tried.insert((done, after.fingerprint())) {
                open.push((done, after));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::Limit;
    use crate::testkit::sample::Sample;
    use crate::testkit::world::normal;

    #[test]
    fn tells_an_order_from_none() {
        let now = Timestamp::from_unix(1_000);
        let row = Sample::of("alice").at(now);
        let call = |step: Step, answer, began, returned| Call {
            step,
            answer,
            began,
            returned,
        };
        let create = Step::Create(row.clone(), Limit::Unlimited);
        let load = Step::Load(row.handle(), None);
        let stored = Answer::Stored(Vec::new());
        let seen = Answer::Row(normal(&row));
        let judged = |calls: &[Call]| is_linearizable(&Model::default(), calls, now);
        // Overlapping: either order will do.
        for answer in [&seen, &Answer::Absent] {
            assert!(judged(&[
                call(create.clone(), stored.clone(), 0, 3),
                call(load.clone(), answer.clone(), 1, 2),
            ]));
        }
        // One after the other: a stale read is none of any order.
        assert!(!judged(&[
            call(create.clone(), stored.clone(), 0, 1),
            call(load.clone(), Answer::Absent, 2, 3),
        ]));
        // Two that both won.
        assert!(!judged(&[
            call(create.clone(), stored.clone(), 0, 3),
            call(create, stored, 1, 2),
        ]));
    }
}
