//! The one writer: everything that waits becomes one transaction.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::backend::durability::{Durability, Survives};
use crate::backend::redb::engine::Engine;
use crate::backend::redb::failure::{self, Failure};
use crate::backend::redb::reply::{self, Receiver, Sender};
use crate::backend::redb::tables::{Judged, Rows};
use crate::backend::redb::touches::Touches;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;

/// Operations that may wait, and the bytes that they may hold.
const MOST: usize = 4096;
const MOST_BYTES: usize = 64 << 20;
/// The part of both that is kept free for what ends logins: a rush of logins must not keep a
/// logout out.
const KEPT_FREE: usize = 8;
/// How long a use waits for others to be written with.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Uses that one transaction writes at most, so that no logout waits for long behind them.
const FLUSH: usize = 1024;
/// Between two attempts to open a file again.
const NEXT_RECOVERY: Duration = Duration::from_secs(1);

/// What an operation does, so that room can be kept for what matters most.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Usual,
    /// It ends logins.
    Ends,
}

/// An operation that waits. It is judged against the rows as they are when its turn comes.
trait Job: Send {
    /// Does it, within the transaction of its group. Again, if the group has to begin anew.
    fn apply(&mut self, rows: &mut Rows<'_>) -> std::result::Result<(), ::redb::Error>;
    /// Tells the caller, when the group is durable or has failed.
    fn finish(self: Box<Self>, outcome: std::result::Result<(), Failure>);
}

struct Operation<T, F> {
    act: F,
    answer: Option<Result<T>>,
    sender: Sender<T>,
}

impl<T, F> Job for Operation<T, F>
where
    T: Send,
    F: Fn(&mut Rows<'_>) -> Judged<T> + Send,
{
    fn apply(&mut self, rows: &mut Rows<'_>) -> std::result::Result<(), ::redb::Error> {
        self.answer = Some((self.act)(rows)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: std::result::Result<(), Failure>) {
        match (outcome, self.answer) {
            (Ok(()), Some(answer)) => self.sender.send(answer),
            (Ok(()), None) => self.sender.send(Err(failure::ended())),
            (Err(failure), _) => self.sender.send(Err(failure.error())),
        }
    }
}

/// The thread that writes, and what waits for it. Dropping it writes what waits, and ends.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    touches: Touches,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Box<dyn Job>>,
    bytes: usize,
    /// When the uses that are noted are to be written.
    flush_at: Option<Instant>,
    /// No more comes.
    ending: bool,
}

/// What the thread does next.
struct Turn {
    jobs: Vec<Box<dyn Job>>,
    flushes: bool,
    recovers: bool,
    ends: bool,
}

impl Committer {
    pub(crate) fn start(engine: Engine) -> Result<Self> {
        let shared = Arc::new(Shared {
            engine,
            touches: Touches::default(),
            queue: Mutex::default(),
            wake: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("statewise-redb".to_owned())
            .spawn(move || work(&own))
            .map_err(Error::unavailable)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What survives, as far as this process can tell.
    pub(crate) fn durability(&self) -> Result<Durability> {
        if self.engine().has_failed() {
            return Err(failure::closed());
        }
        Ok(Durability::new(Survives::All, Survives::Unknown))
    }

    pub(crate) fn touches(&self) -> &Touches {
        &self.shared.touches
    }

    /// Lets an operation wait for its turn. From here on it is done or not done, whether or not
    /// anybody waits for the answer. `bytes` is what it holds on to.
    pub(crate) fn submit<T, F>(&self, urgency: Urgency, bytes: usize, act: F) -> Result<Receiver<T>>
    where
        T: Send + 'static,
        F: Fn(&mut Rows<'_>) -> Judged<T> + Send + 'static,
    {
        if self.shared.engine.has_failed() {
            return Err(failure::closed());
        }
        let (sender, receiver) = reply::pair();
        let job = Operation {
            act,
            answer: None,
            sender,
        };
        let mut queue = self.shared.queue();
        let full = |most: usize| match urgency {
            Urgency::Usual => most - most / KEPT_FREE,
            Urgency::Ends => most,
        };
        let held = queue.bytes.saturating_add(bytes);
        if queue.jobs.len() >= full(MOST) || (held > full(MOST_BYTES) && !queue.jobs.is_empty()) {
            return Err(failure::overloaded());
        }
        if queue.ending {
            return Err(failure::ended());
        }
        queue.bytes = held;
        queue.jobs.push(Box::new(job));
        drop(queue);
        self.shared.wake.notify_one();
        Ok(receiver)
    }

    /// Notes a use that the row takes for one; `false` if there is no room for it.
    pub(crate) fn note(&self, handle: Handle, seen_at: Timestamp) -> bool {
        let noted = self.shared.touches.note(handle, seen_at);
        let pause = if noted { FLUSH_AFTER } else { Duration::ZERO };
        let at = Instant::now() + pause;
        let mut queue = self.shared.queue();
        if queue.flush_at.is_none_or(|planned| at < planned) {
            queue.flush_at = Some(at);
            drop(queue);
            self.shared.wake.notify_one();
        }
        noted
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.queue().ending = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            // A caller that was woken by the thread may be the last one to hold the store.
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until there is something to do.
    fn next(&self) -> Turn {
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            let flushes = queue.flush_at.is_some_and(|at| at <= now);
            if flushes || queue.ending || !queue.jobs.is_empty() {
                queue.bytes = 0;
                return Turn {
                    jobs: std::mem::take(&mut queue.jobs),
                    flushes: flushes || queue.ending,
                    recovers: false,
                    ends: queue.ending,
                };
            }
            let failed = self.engine.has_failed() && self.engine.may_recover();
            let pause = match queue.flush_at {
                Some(at) => Some(at.saturating_duration_since(now)),
                None if failed => Some(NEXT_RECOVERY),
                None => None,
            };
            let Some(pause) = pause else {
                queue = self
                    .wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, timeout) = self
                .wake
                .wait_timeout(queue, pause)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if failed && timeout.timed_out() {
                return Turn {
                    jobs: Vec::new(),
                    flushes: false,
                    recovers: true,
                    ends: false,
                };
            }
        }
    }

    /// Writes what waits, as one transaction, and tells the callers.
    fn commit(&self, mut jobs: Vec<Box<dyn Job>>, mut uses: Vec<(Handle, Timestamp)>) {
        while !(jobs.is_empty() && uses.is_empty()) {
            let mut doomed = Vec::new();
            let attempt = AssertUnwindSafe(|| self.attempt(&mut jobs, &uses, &mut doomed));
            let outcome = catch_unwind(attempt).unwrap_or_else(|_| {
                let failure = Failure::panicked();
                self.engine.fail(&failure);
                Err(Stop::all(failure))
            });
            let spare = || doomed.iter().for_each(|handle| self.touches.spare(*handle));
            match outcome {
                Ok(()) => {
                    self.touches.written(&uses);
                    spare();
                    jobs.into_iter().for_each(|job| finish(job, Ok(())));
                    return;
                }
                Err(Stop { failure, culprit }) if failure.is_local() && culprit != Culprit::All => {
                    spare();
                    // The others of the group need not suffer for it.
                    match culprit {
                        Culprit::Job(at) => finish(jobs.remove(at), Err(failure)),
                        _ => self.touches.written(&std::mem::take(&mut uses)),
                    }
                }
                Err(Stop { failure, .. }) => {
                    spare();
                    for job in jobs {
                        finish(job, Err(failure.clone()));
                    }
                    return;
                }
            }
        }
    }

    fn attempt(
        &self,
        jobs: &mut [Box<dyn Job>],
        uses: &[(Handle, Timestamp)],
        doomed: &mut Vec<Handle>,
    ) -> std::result::Result<(), Stop> {
        let transaction = self.engine.begin_write().map_err(Stop::all)?;
        let stop = |cause, culprit| {
            let failure = Failure::of(cause);
            self.engine.fail(&failure);
            Stop { failure, culprit }
        };
        let mut rows = Rows::open(&transaction, &self.engine.names, &self.touches, doomed)
            .map_err(|error| stop(error.into(), Culprit::All))?;
        rows.write_touches(uses)
            .map_err(|cause| stop(cause, Culprit::Uses))?;
        for (at, job) in jobs.iter_mut().enumerate() {
            job.apply(&mut rows)
                .map_err(|cause| stop(cause, Culprit::Job(at)))?;
        }
        let changed = rows.changed;
        drop(rows);
        if changed {
            return self.engine.commit(transaction).map_err(Stop::all);
        }
        transaction
            .abort()
            .map_err(|error| stop(error.into(), Culprit::All))
    }
}

/// Why a group did not come to its end.
struct Stop {
    failure: Failure,
    culprit: Culprit,
}

impl Stop {
    fn all(failure: Failure) -> Self {
        Self {
            failure,
            culprit: Culprit::All,
        }
    }
}

/// What of a group met the failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Culprit {
    Job(usize),
    Uses,
    All,
}

/// Tells a caller. What that wakes is code of others, and its panic no business of the store.
fn finish(job: Box<dyn Job>, outcome: std::result::Result<(), Failure>) {
    let _ = catch_unwind(AssertUnwindSafe(|| job.finish(outcome)));
}

/// Lets nobody wait for a thread that is gone.
struct Gone<'s>(&'s Shared);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.ending = true;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        for job in jobs {
            finish(job, Err(Failure::panicked()));
        }
    }
}

/// The thread.
fn work(shared: &Shared) {
    let _gone = Gone(shared);
    loop {
        let turn = shared.next();
        if turn.recovers {
            shared.engine.recover();
            continue;
        }
        let noted = shared.touches.len();
        let uses = if turn.flushes {
            shared.touches.some(FLUSH)
        } else {
            Vec::new()
        };
        let had_failed = shared.engine.has_failed();
        shared.commit(turn.jobs, uses);
        if !had_failed && shared.engine.has_failed() && shared.engine.may_recover() {
            shared.engine.recover();
        }
        let mut queue = shared.queue();
        // Under the lock of the queue, as who notes a use plans its writing under it.
        let left = shared.touches.len();
        if turn.ends && (left == 0 || left >= noted) {
            return;
        }
        if turn.flushes {
            let pause = if left > FLUSH && left < noted {
                Duration::ZERO
            } else {
                FLUSH_AFTER
            };
            queue.flush_at = (left > 0).then(|| Instant::now() + pause);
        }
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("engine", &self.shared.engine)
            .field("touches", &self.shared.touches)
            .field("waiting", &self.shared.queue().jobs.len())
            .finish_non_exhaustive()
    }
}
