//! Failing fast: while a server does not answer, calls do not wait for it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::observer::event::Event;

/// Number of calls in a row without an answer after which the breaker opens.
const MAX_LATE_CALLS: u32 = 3;
/// Pause between two calls that an open breaker lets through. With a deadline of two seconds, at most
/// eight calls wait at a time.
const PROBE_PAUSE: Duration = Duration::from_millis(250);

/// Result of a call, as far as the server is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has answered.
    Answered,
    /// The deadline passed.
    Late,
    /// The connection failed at once, with its last cause if it is known.
    Lost(Option<String>),
}

/// A failure of a backend that knows its outcome.
pub(crate) trait Outage: StdError + 'static {
    fn outcome(&self) -> Outcome;
}

/// A circuit breaker. It opens after [`MAX_LATE_CALLS`] calls in a row that waited in vain for their
/// whole deadline, so no single slow call opens it. While it is open, one call per [`PROBE_PAUSE`] is
/// let through, and the first answer closes it. A call costs two loads while all is well.
pub(crate) struct Breaker {
    backend: &'static str,
    observer: Option<Arc<dyn Observer>>,
    /// True if the last call had no answer.
    is_troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    late_calls: u32,
    /// Time at which the breaker opened, and time of the next call that it lets through.
    open: Option<(Instant, Instant)>,
    /// The last cause of a lost connection.
    cause: Option<String>,
}

impl Breaker {
    pub(crate) fn new(backend: &'static str, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            backend,
            observer,
            is_troubled: AtomicBool::new(false),
            state: Mutex::default(),
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
        match &mut state.open {
            Some((_, next)) if now < *next => {
                let cause = state.cause.clone();
                drop(state);
                Err(Error::unavailable(NotAsked { cause }))
            }
            Some((_, next)) => {
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
        match outcome {
            Outcome::Lost(cause) => state.cause = cause.or(state.cause.take()),
            Outcome::Answered => {
                let was = std::mem::take(&mut *state);
                drop(state);
                if let Some((since, _)) = was.open {
                    self.report(&Event::StoreAnswers {
                        backend: self.backend,
                        after: now.saturating_duration_since(since),
                    });
                }
            }
            Outcome::Late => {
                state.late_calls = state.late_calls.saturating_add(1);
                if state.late_calls >= MAX_LATE_CALLS && state.open.is_none() {
                    state.open = Some((now, now + PROBE_PAUSE));
                    let cause = state.cause.clone();
                    drop(state);
                    self.report(&Event::StoreSilent {
                        backend: self.backend,
                        cause: cause.as_deref(),
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

/// Returns the error of the operating system at the root of a failure, such as "connection refused".
/// Only its kind: a text may name a host, or contain a secret.
pub(crate) fn io_cause(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.find_map(|error| {
        let shared = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>();
        let error = shared.map_or(error, |shared| &**shared);
        Some(error.downcast_ref::<io::Error>()?.kind().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(breaker: &Breaker, now: Instant) {
        for _ in 0..MAX_LATE_CALLS {
            assert!(breaker.admit(now).is_ok());
            breaker.note_trouble(Outcome::Late, now);
        }
        assert!(breaker.admit(now).is_err());
    }

    #[test]
    fn slow_calls_between_answers_open_nothing() {
        let (breaker, now) = (Breaker::new("test", None), Instant::now());
        for _ in 0..10 {
            for _ in 1..MAX_LATE_CALLS {
                breaker.note_trouble(Outcome::Late, now);
                assert!(breaker.admit(now).is_ok());
            }
            breaker.note(Outcome::Answered);
        }
        for _ in 0..10 {
            breaker.note(Outcome::Lost(None));
            assert!(breaker.admit(now).is_ok());
        }
    }

    #[test]
    fn one_call_per_pause_is_let_through_until_an_answer() {
        let (breaker, begun) = (Breaker::new("test", None), Instant::now());
        opened(&breaker, begun);
        for round in 1..5 {
            let now = begun + PROBE_PAUSE * round;
            assert!(breaker.admit(now - Duration::from_millis(1)).is_err());
            assert!(breaker.admit(now).is_ok());
            assert!(breaker.admit(now).is_err());
            breaker.note_trouble(Outcome::Late, now);
        }
        breaker.note(Outcome::Answered);
        assert!(breaker.admit(begun).is_ok());
        opened(&breaker, begun);
    }

    #[test]
    fn the_last_cause_is_kept_until_an_answer() {
        let (breaker, now) = (Breaker::new("test", None), Instant::now());
        breaker.note(Outcome::Lost(Some("connection refused".to_owned())));
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
