//! Background work, owned by the application.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Clock, Timestamp};
use crate::error::Result;

/// Time between two rounds when there is little to do.
const INTERVAL: Duration = Duration::from_secs(15);
/// Time between two rounds when the last one left something to do.
const BUSY: Duration = Duration::from_millis(20);
/// The longest time to wait after failures in a row.
const BACKOFF: Duration = Duration::from_secs(300);

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A piece of background work, for implementers of [`Authenticator`](crate::Authenticator).
pub trait Chore: fmt::Debug + Send + Sync + 'static {
    /// Does one bounded step. `true` if there is more to do at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the step undone, never half done.
    fn step(&self, now: Timestamp) -> BoxFuture<'_, Result<bool>>;
}

/// The background work of an authenticator: a future that the application runs where and how it
/// likes. Nothing in this crate spawns a task or knows a runtime.
///
/// Without it everything stays correct: expiry is decided on each read. What it does is to give
/// back the space of what has expired.
///
/// ```no_run
/// # use statewise::{Authenticator, session::SessionAuthenticator, store::MemoryStore};
/// # async fn sleep(_: std::time::Duration) {}
/// # mod tokio { pub fn spawn(_: impl Future + Send + 'static) {} }
/// # fn start(auth: SessionAuthenticator<MemoryStore>) {
/// // With tokio, `sleep` is `tokio::time::sleep`.
/// tokio::spawn(auth.upkeep().run(sleep));
/// # }
/// ```
#[must_use = "upkeep does nothing until it is run"]
pub struct Upkeep {
    clock: Option<Arc<dyn Clock>>,
    chores: Vec<Arc<dyn Chore>>,
}

impl Upkeep {
    /// Nothing to do.
    pub fn none() -> Self {
        Self {
            clock: None,
            chores: Vec::new(),
        }
    }

    /// One piece of work, told the time by `clock`.
    pub fn new(clock: Arc<dyn Clock>, chore: impl Chore) -> Self {
        Self {
            clock: Some(clock),
            chores: vec![Arc::new(chore)],
        }
    }

    /// Both this work and `other`'s.
    pub fn and(mut self, other: Self) -> Self {
        self.chores.extend(other.chores);
        self.clock = self.clock.or(other.clock);
        self
    }

    /// Does one bounded step of each piece of work. `true` if there is more to do at once.
    ///
    /// # Errors
    ///
    /// The first failure, after every piece has had its turn. The next tick tries again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a step undone, never half done.
    pub async fn tick(&self) -> Result<bool> {
        let Some(clock) = &self.clock else {
            return Ok(false);
        };
        let now = clock::read(&**clock)?;
        let mut outcome = Ok(false);
        for chore in &self.chores {
            match (chore.step(now).await, &mut outcome) {
                (Ok(more), Ok(any)) => *any |= more,
                (Err(error), Ok(_)) => outcome = Err(error),
                (_, Err(_)) => {}
            }
        }
        outcome
    }

    /// Works for ever; ends when the future is dropped. A failure does not end it: the next
    /// round comes later, at most five minutes later, and tries again.
    ///
    /// `sleep` is the runtime's, such as `tokio::time::sleep`.
    pub async fn run<S, F>(self, sleep: S)
    where
        S: Fn(Duration) -> F + Send,
        F: Future<Output = ()> + Send,
    {
        let mut pause = INTERVAL;
        loop {
            pause = match self.tick().await {
                Ok(true) => BUSY,
                Ok(false) => INTERVAL,
                Err(_) => (pause.max(INTERVAL) * 2).min(BACKOFF),
            };
            sleep(pause).await;
        }
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep")
            .field("chores", &self.chores)
            .finish_non_exhaustive()
    }
}
