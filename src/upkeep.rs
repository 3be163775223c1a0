//! Background work, run by the application.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::{self, Clock, SystemClock, Timestamp};
use crate::error::Result;
use crate::observer::Observer;
use crate::observer::event::Event;

/// Default pause after a first failure.
const FIRST_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Shortest pause, so that no chore starves the others.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// Default longest pause after repeated failures.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(300);

/// One piece of background work, for implementers of [`Authenticator`](crate::Authenticator) and
/// [`SessionStore`](crate::store::contract::SessionStore).
pub trait Chore: fmt::Debug + Send + Sync + 'static {
    /// Does one bounded step and returns the pause before the next one. Reports its work to
    /// `observer`; the caller reports a failure.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the step undone, never half done.
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>>;

    /// Writes buffered data, such as recorded uses of logins, before the process ends. Default:
    /// nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some of it unwritten.
    fn finish<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<()>> {
        let _ = (now, observer);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Pause after a first failure, and longest pause after repeated failures; the pause doubles in
    /// between. Default: one second and five minutes.
    fn retries(&self) -> [Duration; 2] {
        [FIRST_RETRY_PAUSE, MAX_RETRY_PAUSE]
    }

    /// Returns true if this work keeps a revocation view fresh. Default: false.
    fn follows_view(&self) -> bool {
        false
    }
}

/// The background work of an authenticator. Your application runs it as a future, on any runtime:
/// this crate spawns no task. Call [`upkeep`](crate::Authenticator::upkeep) once and spawn
/// [`run`](Self::run).
///
/// The upkeep of an authenticator includes that of its store and of its revocation view.
///
/// | authenticator | without the upkeep |
/// |---|---|
/// | with a [`RevocationView`](crate::revocation::RevocationView): tokens, the hybrid | the view becomes stale after its bound, and **all tokens are refused as *unavailable*** |
/// | with a [`CachedStore`](crate::store::CachedStore) | the view becomes stale, and each verification asks the store, or is *unavailable* with [`refuse_when_stale`](crate::store::CachedBuilder::refuse_when_stale) |
/// | any other | answers stay correct, because each read checks expiry; expired logins keep their space |
///
/// A token service that forgets it issues tokens, and refuses each verification with 503 from the start.
/// It and a cached store log the mistake once at the level *error* (feature `tracing`), also without an
/// observer: when the view was found stale and, for its
/// [bound](crate::revocation::RevocationView::bound) after that, nothing has tried to read the log.
/// The same happens after an upkeep has ended. [`run`](Self::run) reports its start and its end to the
/// observer, and the gauge `statewise_upkeep_running` shows them.
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
    /// Creates an upkeep without work.
    pub fn none() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            observer: None,
            chores: Vec::new(),
        }
    }

    /// Creates an upkeep of one chore.
    pub fn of(chore: impl Chore) -> Self {
        Self {
            chores: vec![Arc::new(chore)],
            ..Self::none()
        }
    }

    /// Combines this work with that of `other`. Keeps the clock of this one if it has work, and its
    /// observer if it has one.
    pub fn and(mut self, other: Self) -> Self {
        if self.is_none() {
            self.clock = other.clock;
        }
        self.observer = self.observer.or(other.observer);
        self.chores.extend(other.chores);
        self
    }

    /// Sets the clock for all chores. Default: [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the observer that receives the work and the failures of all chores. Default: none.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Returns true if there is no work.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.chores.is_empty()
    }

    /// Does one bounded step of each chore, one after the other. Returns the shortest requested
    /// pause, or `None` if there is no work.
    ///
    /// # Errors
    ///
    /// The first failure, after every chore has done its step. The next tick retries.
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

    /// Runs all chores concurrently and forever. Drop the future to stop it. Reports
    /// [`UpkeepStarted`](Event::UpkeepStarted) with its first poll, and
    /// [`UpkeepStopped`](Event::UpkeepStopped) when it is dropped or panics.
    ///
    /// After a failure, a chore tries again after a pause, which doubles with each further failure:
    ///
    /// | work | first pause | longest pause |
    /// |---|---|---|
    /// | following a revocation log | [`poll`](crate::revocation::ViewBuilder::poll), 25 ms | an eighth of the [bound](crate::revocation::RevocationView::bound): 0.6 s |
    /// | fetching the keys of another issuer | 30 s | 30 s |
    /// | all other, such as removing expired sessions | 1 s | 5 minutes |
    ///
    /// `sleep` is the sleep function of your runtime, such as `tokio::time::sleep`.
    pub async fn run<S, F>(self, sleep: S)
    where
        S: Fn(Duration) -> F + Send + Sync,
        F: Future<Output = ()> + Send,
    {
        let _running = Running::begin(&self);
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

    /// Writes buffered data, such as recorded uses of logins, to the store. Call it once before the
    /// process ends, after the server has answered its last request and [`run`](Self::run) has
    /// ended. A new upkeep of the same authenticator will do. It sweeps nothing.
    ///
    /// The stores in SQL databases and in redb buffer uses, at most 100 000 and 65 536 of them. For
    /// all others there is nothing to write.
    ///
    /// ```no_run
    /// # use statewise::{Authenticator, session::SessionAuthenticator, store::MemoryStore};
    /// # async fn sleep(_: std::time::Duration) {}
    /// # async fn serve_until_stopped() {}
    /// # mod tokio {
    /// #     use std::future::{IntoFuture, Ready, ready};
    /// #     pub struct Task;
    /// #     impl Task { pub fn abort(&self) {} }
    /// #     impl IntoFuture for Task {
    /// #         type Output = ();
    /// #         type IntoFuture = Ready<()>;
    /// #         fn into_future(self) -> Ready<()> { ready(()) }
    /// #     }
    /// #     pub fn spawn(_: impl Future + Send + 'static) -> Task { Task }
    /// # }
    /// # async fn stop(auth: SessionAuthenticator<MemoryStore>) -> statewise::Result<()> {
    /// let upkeep = tokio::spawn(auth.upkeep().run(sleep));
    /// serve_until_stopped().await;
    /// // It may be in the middle of a step: wait until it has stopped.
    /// upkeep.abort();
    /// let _ = upkeep.await;
    /// auth.upkeep().finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first failure. Every other chore is still called, unless the clock cannot tell the time.
    /// Unwritten uses are lost: some logins may end early, by at most half of their idle timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some of it unwritten.
    pub async fn finish(&self) -> Result<()> {
        let observer = self.observer.as_deref().unwrap_or(&());
        let mut outcome = Ok(());
        for chore in &self.chores {
            let finished = match clock::read(&*self.clock) {
                Ok(now) => chore.finish(now, observer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &finished {
                observer.observe(&Event::UpkeepFailed {
                    chore: &**chore,
                    error,
                });
            }
            outcome = outcome.and(finished);
        }
        outcome
    }

    /// Does one step of one chore.
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

    /// Runs one chore forever.
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
                    sleep(pause.max(MIN_PAUSE)).await;
                }
                Err(_) => {
                    sleep(retry.max(MIN_PAUSE)).await;
                    retry = (retry * 2).min(last_retry);
                }
            }
        }
    }
}

/// Reports that an upkeep runs, and on drop that it has stopped.
struct Running<'a>(&'a Upkeep);

impl<'a> Running<'a> {
    fn begin(upkeep: &'a Upkeep) -> Self {
        if let Some(observer) = &upkeep.observer {
            observer.observe(&Event::UpkeepStarted);
        }
        Self(upkeep)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(observer) = &self.0.observer else {
            return;
        };
        let event = Event::UpkeepStopped {
            follows_view: self.0.chores.iter().any(|chore| chore.follows_view()),
            panicked: std::thread::panicking(),
        };
        // The observer may be the part that panics. A second panic would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(&event)));
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
