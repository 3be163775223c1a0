//! Limit of lines that repeat during an outage.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);
/// Maximum number of kinds. All further ones count as one kind.
const MAX_KINDS: usize = 256;

/// Lets one line of each kind pass in ten seconds, and counts the others until the next line that passes, or
/// the end of the outage.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Kind, Passed>>);

/// The message of a line, and the call and the error with all causes that tell it from lines with the same
/// message.
type Kind = (&'static str, String);

/// The last line that passed.
#[derive(Debug)]
struct Passed {
    at: Instant,
    /// Number of lines that were held back since.
    suppressed: u64,
}

/// Decision about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It passes, after this number of lines of its kind that were held back.
    Passes(u64),
    HeldBack,
}

impl Throttle {
    pub(crate) fn line(&self, message: &'static str, detail: String, now: Instant) -> Line {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = (message, detail);
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind) {
            kind = ("", String::new());
        }
        let Some(last) = kinds.get_mut(&kind) else {
            let passed = Passed {
                at: now,
                suppressed: 0,
            };
            kinds.insert(kind, passed);
            return Line::Passes(0);
        };
        if now.saturating_duration_since(last.at) < PAUSE {
            last.suppressed += 1;
            return Line::HeldBack;
        }
        last.at = now;
        Line::Passes(std::mem::take(&mut last.suppressed))
    }

    /// Notes that the outage behind the lines with these messages has ended: the next line of each kind
    /// passes. Returns the number of lines that were held back since the last line of their kind.
    pub(crate) fn end(&self, messages: &[&'static str]) -> u64 {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut suppressed = 0;
        kinds.retain(|(message, _), last| {
            let ends = messages.contains(message);
            suppressed += if ends { last.suppressed } else { 0 };
            !ends
        });
        suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_each_kind_passes_in_ten_seconds() {
        let (throttle, begun) = (Throttle::default(), Instant::now());
        let line = |detail: &str, at: u64| {
            let now = begun + Duration::from_millis(at);
            throttle.line("unavailable", detail.to_owned(), now)
        };
        assert_eq!(line("verify", 0), Line::Passes(0));
        for at in 1..10_000 {
            assert_eq!(line("verify", at), Line::HeldBack);
        }
        assert_eq!(line("issue", 9_999), Line::Passes(0));
        assert_eq!(line("verify", 10_000), Line::Passes(9_999));
        assert_eq!(line("verify", 10_001), Line::HeldBack);
        assert_eq!(line("verify", 19_000), Line::HeldBack);
        assert_eq!(line("verify", 28_999), Line::Passes(2));
    }

    #[test]
    fn an_outage_that_has_ended_starts_afresh_and_no_count_is_lost() {
        let (throttle, begun) = (Throttle::default(), Instant::now());
        let line = |message, at: u64| {
            let now = begun + Duration::from_millis(at);
            throttle.line(message, "verify".to_owned(), now)
        };
        assert_eq!(line("unavailable", 0), Line::Passes(0));
        assert_eq!(line("unavailable", 5_000), Line::HeldBack);
        // No end was reported.
        assert_eq!(line("unavailable", 15_000), Line::Passes(1));
        assert_eq!(line("unavailable", 15_001), Line::HeldBack);
        assert_eq!(line("view is stale", 15_002), Line::Passes(0));
        assert_eq!(throttle.end(&["unavailable"]), 1);
        // The next outage.
        assert_eq!(line("unavailable", 15_003), Line::Passes(0));
        assert_eq!(line("view is stale", 15_003), Line::HeldBack);
        assert_eq!(throttle.end(&["unavailable"]), 0);
        assert_eq!(line("view is stale", 600_000), Line::Passes(1));
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let line = |detail: usize| throttle.line("unavailable", detail.to_string(), now);
        for detail in 0..=MAX_KINDS {
            assert_eq!(line(detail), Line::Passes(0));
        }
        for detail in 0..10_000 {
            assert_eq!(line(detail), Line::HeldBack);
        }
        assert!(throttle.0.lock().unwrap().len() <= MAX_KINDS + 1);
    }
}
