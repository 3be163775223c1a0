//! Events for logs, metrics and alarms.
//!
//! An [`Observer`] receives each [`Event`]. Wrap any authenticator in [`Observed`](crate::Observed)
//! to get them; without it there is no cost. The features `tracing` and `metrics` bring
//! `TracingObserver` and `MetricsObserver`. A pair of observers is an observer too.
//!
//! An event contains public ids, subjects and causes. It never contains a credential, a handle, or
//! the application's data.
//!
//! Debug builds also print some mistakes of the developer on the standard error stream, once each and only
//! if the process has no subscriber of `tracing`: a request that has passed no layer, cookies over plain
//! HTTP, which browsers drop, and a revocation view without its upkeep. Release builds print
//! nothing.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::time::Duration;
//! use statewise::Observed;
//! use statewise::observer::{Event, Observer};
//! use statewise::{Authenticator, Login, session::SessionAuthenticator, store::MemoryStore};
//!
//! #[derive(Debug, Default)]
//! struct Alarm {
//!     rejections: AtomicUsize,
//! }
//!
//! impl Observer for Alarm {
//!     fn observe(&self, event: &Event<'_>) {
//!         match event {
//!             Event::Rejected { .. } => {
//!                 self.rejections.fetch_add(1, Ordering::Relaxed);
//!             }
//!             Event::Theft { theft, .. } => eprintln!("{} was robbed", theft.subject()),
//!             _ => {}
//!         }
//!     }
//! }
//!
//! # async fn example() -> statewise::Result<()> {
//! let alarm = Arc::new(Alarm::default());
//! let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
//!     .idle(Duration::from_secs(30 * 60))
//!     .absolute(Duration::from_secs(12 * 3600))
//!     .build()?;
//! let auth = Observed::new(auth, alarm.clone());
//!
//! let issued = auth.issue(Login::new("alice")).await?;
//! assert!(auth.verify("forged").await.is_err());
//! assert_eq!(alarm.rejections.load(Ordering::Relaxed), 1);
//! # Ok(())
//! # }
//! # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//! # let mut example = pin!(example());
//! # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

pub(crate) mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod throttle;
#[cfg(feature = "tracing")]
mod tracing;

pub use crate::error::EndCause;
pub use crate::login::login_ref::LoginRef;
pub use event::{Act, Denied, Event, SteppedUp};
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use metrics::MetricsObserver;
#[cfg(feature = "tracing")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub use tracing::TracingObserver;

/// Receives events. See [the module](self).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an observer",
    label = "not an observer",
    note = "implement `Observer` for a type with `Debug`, and pass it in an `Arc`"
)]
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Handles an event.
    ///
    /// Called by many threads at once, within a request and before its answer. Do not block: hand
    /// slow work to another task.
    fn observe(&self, event: &Event<'_>);

    /// Handles the event of a call that took this long, by the monotonic clock of the process.
    /// Default: calls [`observe`](Self::observe).
    fn observe_call(&self, event: &Event<'_>, took: Duration) {
        let _ = took;
        self.observe(event);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, event: &Event<'_>) {
        (**self).observe(event);
    }

    fn observe_call(&self, event: &Event<'_>, took: Duration) {
        (**self).observe_call(event, took);
    }
}

/// Reports a call that began at `begun`: the event of its answer, or of its failure.
pub(crate) fn report<'a, T>(
    observer: &dyn Observer,
    act: Act,
    begun: Instant,
    answer: &'a Result<T>,
    event: impl FnOnce(&'a T) -> Event<'a>,
) {
    let event = match answer {
        Ok(answer) => event(answer),
        Err(error) => {
            report_ended(observer, act, error);
            Event::failed(act, error)
        }
    };
    observer.observe_call(&event, begun.elapsed());
}

/// Reports the logins that a failed call has ended.
pub(crate) fn report_ended(observer: &dyn Observer, act: Act, error: &Error) {
    for ended in error.ended() {
        observer.observe(&Event::Ended {
            act,
            login: LoginRef::of(&ended.subject, ended.login),
            cause: ended.cause,
            by: None,
            effective: None,
        });
    }
}

/// Logs a mistake of the developer at the level *error*, with the feature `tracing`, also where no
/// observer is set. [Prints](print_mistake) it where nothing else would show it. Call it once for each
/// mistake.
pub(crate) fn log_mistake(what: &str) {
    #[cfg(feature = "tracing")]
    ::tracing::error!(target: "statewise", "{what}");
    print_mistake(what);
}

/// Prints a mistake of the developer to the standard error stream, in debug builds and unless the
/// process has a subscriber of `tracing`: without a log, the developer sees it on the terminal.
pub(crate) fn print_mistake(what: &str) {
    #[cfg(feature = "tracing")]
    let is_shown = ::tracing::dispatcher::has_been_set();
    #[cfg(not(feature = "tracing"))]
    let is_shown = false;
    if cfg!(debug_assertions) && !is_shown {
        eprintln!("statewise: {what}");
    }
}

/// Ignores all events.
impl Observer for () {
    fn observe(&self, _: &Event<'_>) {}
}

/// Passes each event to both observers, the first one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&self, event: &Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }

    fn observe_call(&self, event: &Event<'_>, took: Duration) {
        self.0.observe_call(event, took);
        self.1.observe_call(event, took);
    }
}
