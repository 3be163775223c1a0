//! Limit of lines that repeat during an outage.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);
/// Maximum number of kinds. All further ones count as one kind.
const MAX_KINDS: usize = 256;

/// Lets one line of each kind pass in ten seconds, and counts the others. After ten seconds without a line of
/// the kind, the outage is over, and the count starts at zero.
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
    /// Time of the last line, whether it passed or was held back.
    last_at: Instant,
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
                last_at: now,
            };
            kinds.insert(kind, passed);
            return Line::Passes(0);
        };
        let is_new_outage = now.saturating_duration_since(last.last_at) >= PAUSE;
        last.last_at = now;
        if now.saturating_duration_since(last.at) < PAUSE {
            last.suppressed += 1;
            return Line::HeldBack;
        }
        last.at = now;
        let suppressed = std::mem::take(&mut last.suppressed);
        Line::Passes(if is_new_outage { 0 } else { suppressed })
    }

    /// Notes that the outage behind the lines with `message` and without a detail has ended. Lines that
    /// were held back during it are not counted in a line of the next one.
    pub(crate) fn end(&self, message: &'static str) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = kinds.get_mut(&(message, String::new())) {
            last.suppressed = 0;
        }
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

    /// Lines that were held back during an outage are not counted after it.
    #[test]
    fn a_count_does_not_outlive_ten_seconds_without_a_line() {
        let (throttle, begun) = (Throttle::default(), Instant::now());
        let line = |at: u64| {
            let now = begun + Duration::from_millis(at);
            throttle.line("unavailable", "verify".to_owned(), now)
        };
        assert_eq!(line(0), Line::Passes(0));
        assert_eq!(line(5_000), Line::HeldBack);
        // The next outage.
        assert_eq!(line(15_000), Line::Passes(0));
        assert_eq!(line(15_001), Line::HeldBack);
        assert_eq!(line(25_000), Line::Passes(1));
        assert_eq!(line(25_001), Line::HeldBack);
        // Minutes later.
        assert_eq!(line(600_000), Line::Passes(0));
        assert_eq!(line(610_000), Line::Passes(0));
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
