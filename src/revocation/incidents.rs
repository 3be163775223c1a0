//! Failures and losses of the log, which the upkeep of each node reports once.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::observer::Observer;
use crate::observer::event::Event;

/// Failures and losses of the log that this node has noticed and not reported.
#[derive(Default)]
pub(super) struct Incidents {
    /// Number of failed calls, and the last error.
    failed: Mutex<Option<(u64, Error)>>,
    /// True if the log has another incarnation than the one that this node had read.
    has_begun_anew: AtomicBool,
    /// True if the log lacks entries that it had in this incarnation.
    is_shortened: AtomicBool,
    /// State of the report about logins of another log: `UNMET`, `MET` or `REPORTED`.
    other_log: AtomicU8,
}

/// No such login was met.
const UNMET: u8 = 0;
/// One was met. The report is due.
const MET: u8 = 1;
/// The cause is reported, by this event or by that of a lost log.
const REPORTED: u8 = 2;

impl Incidents {
    /// Notes that a call of this node could not append its facts. A mistake of the caller is none of
    /// the log.
    #[cold]
    pub(super) fn note_failure(&self, error: &Error) {
        let Some(error) = error.shared_outage() else {
            return;
        };
        let mut failed = self.failed();
        let before = failed.as_ref().map_or(0, |(calls, _)| *calls);
        *failed = Some((before + 1, error));
    }

    /// Notes that the log has another incarnation than the one that this node had read.
    pub(super) fn note_loss(&self) {
        self.has_begun_anew.store(true, Ordering::Relaxed);
    }

    /// Notes that a login was stamped by another log, or by another incarnation of this one.
    #[cold]
    pub(super) fn note_other_log(&self) {
        let (order, met) = (Ordering::Relaxed, MET);
        let _ = self.other_log.compare_exchange(UNMET, met, order, order);
    }

    /// Notes that the log lacks entries that it had in this incarnation.
    pub(super) fn note_shortened(&self) {
        self.is_shortened.store(true, Ordering::Relaxed);
    }

    /// Reports the failures and the losses since the last report.
    pub(super) fn report(&self, observer: &dyn Observer) {
        // No lock is held while the observer runs.
        let failed = self.failed().take();
        if let Some((calls, error)) = failed {
            let error = &error;
            observer.observe(&Event::LogFailed { calls, error });
        }
        if self.has_begun_anew.swap(false, Ordering::Relaxed) {
            // It is the cause of each such login.
            self.other_log.store(REPORTED, Ordering::Relaxed);
            observer.observe(&Event::LogLost);
        }
        if self.other_log.load(Ordering::Relaxed) == MET {
            self.other_log.store(REPORTED, Ordering::Relaxed);
            observer.observe(&Event::OtherLog);
        }
        if self.is_shortened.swap(false, Ordering::Relaxed) {
            observer.observe(&Event::LogShortened);
        }
    }

    fn failed(&self) -> MutexGuard<'_, Option<(u64, Error)>> {
        // No code under the lock panics.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
