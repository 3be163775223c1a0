//! Failing fast: while a server does not answer, calls do not wait for it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::observer::event::Event;

/// Number of failures in a row after which a server is reported as silent, and number of late calls
/// in a row after which the breaker opens.
const MAX_FAILURES: u32 = 3;
/// Pause between two lost connections that count. One connection that breaks fails all calls in
/// flight at once, and counts once.
const LOSS_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two calls that an open breaker lets through. With a deadline of two seconds, at most
/// eight calls wait at a time.
const PROBE_PAUSE: Duration = Duration::from_millis(250);

/// Result of a call, as far as the server is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has answered.
    Answered,
    /// The deadline passed, with the cause of the last failed connection if it is known.
    Late(Option<String>),
    /// The connection failed, with its last cause if it is known.
    Lost(Option<String>),
}

/// What the application keeps in a server. It tells two servers of one backend from each other.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Part {
    Sessions = 1,
    Revocations = 2,
}

/// A failure of a backend that knows its outcome.
pub(crate) trait Outage: StdError + 'static {
    fn outcome(&self) -> Outcome;
}

/// A circuit breaker. It opens after [`MAX_FAILURES`] calls in a row that waited in vain for their
/// whole deadline, so no single slow call opens it. While it is open, one call per [`PROBE_PAUSE`] is
/// let through, and the first answer closes it. A call costs two loads while all is well.
///
/// Lost connections do not open it, because a call fails at once then: in the test
/// `a_server_that_is_killed_is_reported` of Redis, the longest one took 0.4 ms (2026-11-30, debug
/// build). A client that waits to reconnect makes calls late. Failures of both kinds count towards the
/// report of a silent server.
pub(crate) struct Breaker {
    backend: &'static str,
    /// The [parts](Part) that the application has asked for.
    parts: AtomicU8,
    observer: Option<Arc<dyn Observer>>,
    /// True if the last call had no answer.
    is_troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Late calls in a row.
    late_calls: u32,
    /// Failures in a row that count.
    failures: u32,
    /// Time of the first one.
    failing_since: Option<Instant>,
    /// Time of the last one.
    failed_at: Option<Instant>,
    /// True if the server was reported as silent.
    is_silent: bool,
    /// Time of the next call that the open breaker lets through.
    next_probe: Option<Instant>,
    /// The last cause of a lost connection.
    cause: Option<String>,
}

impl State {
    /// Counts a failure. Returns true if the server is silent from now on.
    fn count(&mut self, is_late: bool, now: Instant) -> bool {
        let is_new = |last: Instant| now.saturating_duration_since(last) >= LOSS_PAUSE;
        if is_late || self.failed_at.is_none_or(is_new) {
            self.failures = self.failures.saturating_add(1);
            self.failing_since.get_or_insert(now);
            self.failed_at = Some(now);
        }
        if is_late {
            self.late_calls = self.late_calls.saturating_add(1);
            if self.late_calls >= MAX_FAILURES {
                self.next_probe.get_or_insert(now + PROBE_PAUSE);
            }
        }
        let was_silent = std::mem::replace(&mut self.is_silent, self.failures >= MAX_FAILURES);
        self.is_silent && !was_silent
    }
}

impl Breaker {
    pub(crate) fn new(backend: &'static str, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            backend,
            parts: AtomicU8::new(0),
            observer,
            is_troubled: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Notes that the application uses a part of the server.
    pub(crate) fn note_part(&self, part: Part) {
        self.parts.fetch_or(part as u8, Ordering::Relaxed);
    }

    fn keeps(&self) -> &'static str {
        const SESSIONS: u8 = Part::Sessions as u8;
        const REVOCATIONS: u8 = Part::Revocations as u8;
        match self.parts.load(Ordering::Relaxed) {
            SESSIONS => "sessions",
            REVOCATIONS => "revocations",
            _ => "sessions and revocations",
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a call at `now`.
    ///
    /// # Errors
    ///
    /// *Unavailable* while the breaker is open.
    #[inline]
    pub(crate) fn admit(&self, now: Instant) -> Result<()> {
        if self.is_troubled.load(Ordering::Relaxed) {
            return self.admit_in_trouble(now);
        }
        Ok(())
    }

    #[cold]
    fn admit_in_trouble(&self, now: Instant) -> Result<()> {
        let mut state = self.state();
        match &mut state.next_probe {
            Some(next) if now < *next => {
                let cause = state.cause.clone();
                drop(state);
                Err(Error::unavailable(NotAsked { cause }))
            }
            Some(next) => {
                *next = now + PROBE_PAUSE;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes the outcome of a call that was admitted.
    #[inline]
    pub(crate) fn note(&self, outcome: Outcome) {
        if outcome != Outcome::Answered || self.is_troubled.load(Ordering::Relaxed) {
            self.note_trouble(outcome, Instant::now());
        }
    }

    /// Notes the outcome of a call that failed with an error of `F`, or succeeded.
    #[cfg(any(feature = "redis", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
    #[inline]
    pub(crate) fn note_answer<F: Outage, T>(&self, answer: &Result<T>) {
        let source = answer.as_ref().err().and_then(StdError::source);
        if source.is_some_and(|source| source.is::<NotAsked>()) {
            return;
        }
        let failure = source.and_then(|source| source.downcast_ref::<F>());
        self.note(failure.map_or(Outcome::Answered, Outage::outcome));
    }

    #[cold]
    fn note_trouble(&self, outcome: Outcome, now: Instant) {
        let mut state = self.state();
        self.is_troubled
            .store(outcome != Outcome::Answered, Ordering::Relaxed);
        let is_late = matches!(outcome, Outcome::Late(_));
        let (backend, keeps) = (self.backend, self.keeps());
        match outcome {
            Outcome::Answered => {
                let was = std::mem::take(&mut *state);
                drop(state);
                if let (true, Some(since)) = (was.is_silent, was.failing_since) {
                    let after = now.saturating_duration_since(since);
                    self.report(&Event::StoreAnswers {
                        backend,
                        keeps,
                        after,
                    });
                }
            }
            Outcome::Late(cause) | Outcome::Lost(cause) => {
                state.cause = cause.or(state.cause.take());
                if state.count(is_late, now) {
                    let cause = state.cause.clone();
                    drop(state);
                    let cause = cause.as_deref();
                    self.report(&Event::StoreSilent {
                        backend,
                        keeps,
                        cause,
                    });
                }
            }
        }
    }

    /// Returns the last cause of a lost connection, if the server has not answered since.
    pub(crate) fn cause(&self) -> Option<String> {
        self.state().cause.clone()
    }

    fn report(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }
}

/// Source of the error of a call that an open breaker did not let through.
#[derive(Debug)]
struct NotAsked {
    cause: Option<String>,
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not asked, because it did not answer the last calls")?;
        write_cause(f, self.cause.as_deref())
    }
}

impl StdError for NotAsked {}

/// Writes the root of a failure behind its description.
pub(crate) fn write_cause(f: &mut fmt::Formatter<'_>, cause: Option<&str>) -> fmt::Result {
    cause.map_or(Ok(()), |cause| write!(f, ": {cause}"))
}

/// Start of the text of the standard library for a host name without an address. Such an error has no
/// kind of its own.
const UNRESOLVED: &str = "failed to lookup address information";

/// Returns the error of the operating system at the root of a failure, such as "connection refused".
/// Only its kind: a text may name a host, or contain a secret.
pub(crate) fn io_cause(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.find_map(|error| {
        let shared = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>();
        let error = shared.map_or(error, |shared| &**shared);
        let error = error.downcast_ref::<io::Error>()?;
        if error.to_string().starts_with(UNRESOLVED) {
            return Some("the host name does not resolve".to_owned());
        }
        Some(error.kind().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records the reports as text.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Observer for Notes {
        fn observe(&self, event: &Event<'_>) {
            let noted = match event {
                Event::StoreSilent { cause, .. } => format!("silent {cause:?}"),
                Event::StoreAnswers { after, .. } => format!("answers {after:?}"),
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(noted);
        }
    }

    fn observed() -> (Breaker, Arc<Notes>) {
        let notes = Arc::new(Notes::default());
        (Breaker::new("test", Some(notes.clone())), notes)
    }

    fn lost(cause: &str) -> Outcome {
        Outcome::Lost(Some(cause.to_owned()))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn opened(breaker: &Breaker, now: Instant) {
        for _ in 0..MAX_FAILURES {
            assert!(breaker.admit(now).is_ok());
            breaker.note_trouble(Outcome::Late(None), now);
        }
        assert!(breaker.admit(now).is_err());
    }

    #[test]
    fn slow_calls_between_answers_open_nothing() {
        let ((breaker, notes), now) = (observed(), Instant::now());
        for _ in 0..10 {
            for _ in 1..MAX_FAILURES {
                breaker.note_trouble(Outcome::Late(None), now);
                assert!(breaker.admit(now).is_ok());
            }
            breaker.note(Outcome::Answered);
        }
        assert!(notes.0.lock().unwrap().is_empty());
    }

    /// All calls in flight and their retries fail when a connection breaks, and the next one answers.
    #[test]
    fn one_broken_connection_is_not_reported() {
        let ((breaker, notes), begun) = (observed(), Instant::now());
        for round in 0..10 {
            let now = begun + ms(10_000) * round;
            for call in 0..64 {
                breaker.note_trouble(lost("broken pipe"), now + ms(call));
            }
            // A server that restarts.
            breaker.note_trouble(lost("connection refused"), now + LOSS_PAUSE);
            breaker.note_trouble(Outcome::Answered, now + LOSS_PAUSE * 2);
        }
        assert!(notes.0.lock().unwrap().is_empty());
    }

    #[test]
    fn connections_that_fail_for_half_a_second_are_reported_once_and_open_nothing() {
        let ((breaker, notes), begun) = (observed(), Instant::now());
        for at in (0..60_000).step_by(50) {
            let now = begun + ms(at);
            assert!(breaker.admit(now).is_ok());
            breaker.note_trouble(lost("connection refused"), now);
            assert_eq!(notes.0.lock().unwrap().len(), usize::from(at >= 500));
        }
        breaker.note_trouble(Outcome::Answered, begun + ms(60_500));
        breaker.note_trouble(Outcome::Answered, begun + ms(60_600));
        let expected = ["silent Some(\"connection refused\")", "answers 60.5s"];
        assert_eq!(*notes.0.lock().unwrap(), expected);
    }

    /// A server that is killed while calls wait for it, and one that hangs after it has restarted.
    #[test]
    fn failures_of_both_kinds_are_one_silence_and_late_ones_open() {
        let ((breaker, notes), begun) = (observed(), Instant::now());
        breaker.note_trouble(lost("connection refused"), begun);
        for second in 1..4 {
            let now = begun + ms(1_000) * second;
            assert!(breaker.admit(now).is_ok());
            breaker.note_trouble(Outcome::Late(None), now);
            assert_eq!(notes.0.lock().unwrap().len(), usize::from(second >= 2));
        }
        assert!(breaker.admit(begun + ms(3_100)).is_err());
        breaker.note_trouble(Outcome::Answered, begun + ms(3_200));
        assert!(breaker.admit(begun + ms(3_200)).is_ok());
        let expected = ["silent Some(\"connection refused\")", "answers 3.2s"];
        assert_eq!(*notes.0.lock().unwrap(), expected);
    }

    #[test]
    fn one_call_per_pause_is_let_through_until_an_answer() {
        let ((breaker, notes), begun) = (observed(), Instant::now());
        opened(&breaker, begun);
        for round in 1..5 {
            let now = begun + PROBE_PAUSE * round;
            assert!(breaker.admit(now - ms(1)).is_err());
            assert!(breaker.admit(now).is_ok());
            assert!(breaker.admit(now).is_err());
            breaker.note_trouble(Outcome::Late(None), now);
        }
        breaker.note(Outcome::Answered);
        assert!(breaker.admit(begun).is_ok());
        assert_eq!(notes.0.lock().unwrap().len(), 2);
        opened(&breaker, begun);
    }

    #[test]
    fn the_last_cause_is_kept_until_an_answer() {
        let (breaker, now) = (Breaker::new("test", None), Instant::now());
        breaker.note(lost("connection refused"));
        breaker.note(Outcome::Lost(None));
        opened(&breaker, now);
        let error = breaker.admit(now).unwrap_err();
        assert!(error.is_unavailable());
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(source.ends_with(": connection refused"), "{source}");
        breaker.note(Outcome::Answered);
        assert_eq!(breaker.cause(), None);
    }
}
