//! Linearizability: the search for one order that explains the answers of several clients.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::clock::Timestamp;
use crate::testkit::model::{Answer, Model, Step};

/// Calls that an explanation shows at most.
const MAX_SHOWN: usize = 36;

/// A call of a client, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) client: usize,
    pub(crate) step: Step,
    pub(crate) answer: Answer,
    /// The moments at which it began and returned, by a counter that all clients share.
    pub(crate) began: u64,
    pub(crate) returned: u64,
}

/// Explains why no order of the calls gives their answers; `None` if there is one. The verdict is
/// the last line.
pub(crate) fn contradiction(start: &Model, calls: &[Call], now: Timestamp) -> Option<String> {
    let mut ends: Vec<_> = calls.iter().map(|call| call.returned).collect();
    ends.sort_unstable();
    let last = *ends.last()?;
    if is_linearizable(start, calls, last, now) {
        return None;
    }
    // The first answer that does not fit: every longer history contains it.
    let fits = ends.partition_point(|end| is_linearizable(start, calls, *end, now));
    let end = ends[fits];
    let mut shown: Vec<_> = calls.iter().filter(|call| call.began < end).collect();
    shown.sort_unstable_by_key(|call| call.returned);
    let mut text = String::new();
    if let Some(hidden) = shown.len().checked_sub(MAX_SHOWN).filter(|left| *left > 0) {
        let _ = writeln!(text, "({hidden} earlier calls are left out)");
        shown.drain(..hidden);
    }
    for Call {
        client,
        step,
        answer,
        began,
        returned,
    } in shown
    {
        let mark = if *returned == end { "->" } else { "  " };
        let _ = writeln!(
            text,
            "{mark} {began:3}..{returned:<3} client {client}: {step} => {answer}"
        );
    }
    text.push_str("no order of these calls gives the answer marked with ->");
    Some(text)
}

/// Searches for an order of the calls that returned until `end` in which the model gives the same
/// answers, and no call comes before one that had returned when it began. Calls that were in flight
/// at `end` may count or not (Wing and Gong's search, with Lowe's memory of tried states).
fn is_linearizable(start: &Model, calls: &[Call], end: u64, now: Timestamp) -> bool {
    assert!(calls.len() <= 128, "the history has more than 128 calls");
    let required = (0..calls.len()).filter(|at| calls[*at].returned <= end);
    let required = required.fold(0_u128, |all, at| all | (1 << at));
    let mut tried = HashSet::new();
    let mut open = vec![(0_u128, start.clone())];
    while let Some((done, model)) = open.pop() {
        if done & required == required {
            return true;
        }
        let left = |at: &usize| done & (1 << at) == 0 && calls[*at].began < end;
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
            let answer = after.apply(&calls[at].step, now);
            if !answer.allows(&calls[at].answer) {
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
    fn finds_an_order_or_a_contradiction() {
        let now = Timestamp::from_unix(1_000);
        let row = Sample::of("alice").at(now);
        let call = |step: &Step, answer: &Answer, began, returned| Call {
            client: 0,
            step: step.clone(),
            answer: answer.clone(),
            began,
            returned,
        };
        let create = Step::Create(row.clone(), Limit::Unlimited);
        let load = Step::Load(row.handle(), None);
        let stored = Answer::Stored(Vec::new());
        let seen = Answer::Row(normal(&row));
        let judged = |calls: &[Call]| contradiction(&Model::default(), calls, now);
        // Overlapping calls may have either order.
        for answer in [&seen, &Answer::Absent] {
            let calls = [call(&create, &stored, 0, 3), call(&load, answer, 1, 2)];
            assert_eq!(judged(&calls), None);
        }
        // A stale read, and a call after it that is not part of the contradiction.
        let stale = judged(&[
            call(&create, &stored, 0, 1),
            call(&load, &Answer::Absent, 2, 3),
            call(&load, &seen, 4, 5),
        ]);
        let stale = stale.expect("a contradiction");
        assert_eq!(stale.lines().count(), 3, "{stale}");
        assert!(
            stale.contains("->   2..3   client 0: load => Absent"),
            "{stale}"
        );
        // Two creates that both won.
        let won_twice = [call(&create, &stored, 0, 3), call(&create, &stored, 1, 2)];
        assert!(judged(&won_twice).is_some());
        // A long history is cut to its end.
        let mut long: Vec<_> = (0..60)
            .map(|at| call(&load, &Answer::Absent, 2 * at, 2 * at + 1))
            .collect();
        long.push(call(&load, &seen, 120, 121));
        let long = judged(&long).expect("a contradiction");
        assert_eq!(long.lines().count(), MAX_SHOWN + 2, "{long}");
    }
}
