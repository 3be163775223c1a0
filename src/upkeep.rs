//! Background work, owned by the application.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::{self, Clock, SystemClock, Timestamp};
use crate::error::Result;
use crate::observer::Observer;
use crate::observer::event::Event;

/// The pause after a first failure, unless the piece of work says otherwise.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The shortest pause, so that no piece of work keeps the others from theirs.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause after failures in a row, unless the piece of work says otherwise.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// A piece of background work, for implementers of [`Authenticator`](crate::Authenticator) and
/// [`SessionStore`](crate::store::contract::SessionStore).
pub trait Chore: fmt::Debug + Send + Sync + 'static {
    /// Does one bounded step, and says after which pause it wants the next one. Tells `observer`
    /// what it did, but not that it failed: whoever runs it does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the step undone, never half done.
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>>;

    /// The pause after a first failure and the longest one after failures in a row, between which
    /// they double. Default: from one second to five minutes.
    fn retries(&self) -> [Duration; 2] {
        [FIRST_RETRY, LAST_RETRY]
    }
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
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    chores: Vec<Arc<dyn Chore>>,
}

impl Upkeep {
    /// Nothing to do.
    pub fn none() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            observer: None,
            chores: Vec::new(),
        }
    }

    /// One piece of work.
    pub fn of(chore: impl Chore) -> Self {
        Self {
            chores: vec![Arc::new(chore)],
            ..Self::none()
        }
    }

    /// Both this work and `other`'s, with the clock of this one, and with its observer if it has
    /// one.
    pub fn and(mut self, other: Self) -> Self {
        self.observer = self.observer.or(other.observer);
        self.chores.extend(other.chores);
        self
    }

    /// The clock that tells all of it the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who is told what all of it does, and where it fails. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.chores.is_empty()
    }

    /// Does one bounded step of each piece of work, one after the other. Says after which pause
    /// the most eager one wants the next; `None` if there is nothing to do.
    ///
    /// # Errors
    ///
    /// The first failure, after every piece has had its turn. The next tick tries again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a step undone, never half done.
    pub async fn tick(&self) -> Result<Option<Duration>> {
        let mut outcome = Ok(None);
        for chore in &self.chores {
            match (self.step(&**chore).await, &mut outcome) {
                (Ok(pause), Ok(soonest)) => {
                    *soonest = Some(soonest.map_or(pause, |soonest: Duration| soonest.min(pause)));
                }
                (Err(error), Ok(_)) => outcome = Err(error),
                (_, Err(_)) => {}
            }
        }
        outcome
    }

    /// Works for ever, all pieces side by side; ends when the future is dropped. A failure does
    /// not end it: the piece that failed tries again, after pauses that grow to five minutes.
    ///
    /// `sleep` is the runtime's, such as `tokio::time::sleep`.
    pub async fn run<S, F>(self, sleep: S)
    where
        S: Fn(Duration) -> F + Send + Sync,
        F: Future<Output = ()> + Send,
    {
        let mut workers: Vec<BoxFuture<'_, Infallible>> = self
            .chores
            .iter()
            .map(|chore| Box::pin(self.work(&**chore, &sleep)) as BoxFuture<'_, Infallible>)
            .collect();
        poll_fn(|context| {
            for worker in &mut workers {
                match worker.as_mut().poll(context) {
                    Poll::Pending => {}
                    Poll::Ready(never) => match never {},
                }
            }
            Poll::<()>::Pending
        })
        .await;
    }

    /// One step of one piece of work.
    async fn step(&self, chore: &dyn Chore) -> Result<Duration> {
        let observer = self.observer.as_deref().unwrap_or(&());
        let outcome = match clock::read(&*self.clock) {
            Ok(now) => chore.step(now, observer).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            observer.observe(&Event::UpkeepFailed { chore, error });
        }
        outcome
    }

    /// One piece of work, for ever.
    async fn work<S, F>(&self, chore: &dyn Chore, sleep: &S) -> Infallible
    where
        S: Fn(Duration) -> F + Send + Sync,
        F: Future<Output = ()> + Send,
    {
        let [first_retry, last_retry] = chore.retries();
        let mut retry = first_retry;
        loop {
            match self.step(chore).await {
                Ok(pause) => {
                    retry = first_retry;
                    sleep(pause.max(LEAST_PAUSE)).await;
                }
                Err(_) => {
                    sleep(retry.max(LEAST_PAUSE)).await;
                    retry = (retry * 2).min(last_retry);
                }
            }
        }
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep")
            .field("chores", &self.chores)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
