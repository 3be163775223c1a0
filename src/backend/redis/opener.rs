//! Connections that a function of the application opens.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult};
use tokio::time::Instant;

use crate::backend::breaker::io_cause;

/// Time for which an unfit connection stays in use, so that a server that refuses everything is not
/// flooded with new connections.
const MIN_LIFE: Duration = Duration::from_millis(50);

/// Error of the application when it opens a connection.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type Opening<C> = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

/// Opens a connection at the first use, and another one when it is no longer fit.
pub(crate) struct Opener<C> {
    open: Box<dyn Fn() -> Opening<C> + Send + Sync>,
    current: Mutex<Option<Arc<Opened<C>>>>,
    /// Held by the call that opens the next connection.
    opening: tokio::sync::Mutex<()>,
    failures: AtomicU64,
    /// The root of the last failure.
    cause: Mutex<Option<String>>,
}

/// An open connection.
pub(crate) struct Opened<C> {
    pub(crate) connection: C,
    at: Instant,
    unfit: AtomicBool,
}

impl<C> Opened<C> {
    /// Has the next call open another connection.
    pub(crate) fn give_up(&self) {
        self.unfit.store(true, Ordering::Relaxed);
    }
}

impl<C: Send + Sync> Opener<C> {
    pub(crate) fn new(open: impl Fn() -> Opening<C> + Send + Sync + 'static) -> Self {
        Self {
            open: Box::new(open),
            current: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
            cause: Mutex::default(),
        }
    }

    fn current(&self) -> Option<Arc<Opened<C>>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_used = |opened: &Arc<Opened<C>>| {
            !opened.unfit.load(Ordering::Relaxed) || opened.at.elapsed() < MIN_LIFE
        };
        current.clone().filter(is_used)
    }

    /// Gives up the connection if it was opened before `begun`: a call that began then had no answer.
    pub(crate) fn give_up_before(&self, begun: Instant) {
        if let Some(opened) = self.current().filter(|opened| opened.at <= begun) {
            opened.give_up();
        }
    }

    /// Error of a failed attempt, with its root as the detail.
    fn unopened(&self) -> RedisError {
        let what = "no connection could be opened";
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        match cause.clone() {
            Some(cause) => RedisError::from((UNOPENED, what, cause)),
            None => RedisError::from((UNOPENED, what)),
        }
    }

    /// Returns the connection. Concurrent calls wait for one attempt to open the next one.
    pub(crate) async fn connection(&self) -> RedisResult<Arc<Opened<C>>> {
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        let failures = self.failures.load(Ordering::Relaxed);
        let _opening = self.opening.lock().await;
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        if self.failures.load(Ordering::Relaxed) != failures {
            return Err(self.unopened());
        }
        // The root cause only: the error may name the host, and the application has seen it.
        let connection = (self.open)().await.map_err(|error| {
            self.failures.fetch_add(1, Ordering::Relaxed);
            let cause = opening_cause(&*error);
            *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause;
            self.unopened()
        })?;
        let opened = Arc::new(Opened {
            connection,
            at: Instant::now(),
            unfit: AtomicBool::new(false),
        });
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

/// Kind of the error of an attempt to connect.
pub(crate) const UNOPENED: ErrorKind = ErrorKind::InvalidClientConfig;

/// Returns the root of an error of the application's function.
fn opening_cause(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut errors = std::iter::successors(Some(error), |error| (*error).source());
    let refused = errors.find_map(|error| refused_login(error.downcast_ref()?));
    refused.map(str::to_owned).or_else(|| io_cause(error))
}

/// Returns the reason for which the server admits no connection with this address. The texts are fixed:
/// one of the server may contain a secret.
pub(crate) fn refused_login(error: &RedisError) -> Option<&'static str> {
    let (code, detail) = (error.code(), error.detail().unwrap_or_default());
    if error.kind() == ErrorKind::AuthenticationFailed || code == Some("WRONGPASS") {
        Some("the server refuses the user or the password: correct them in the address")
    } else if code == Some("NOAUTH") || detail.starts_with("Authentication required") {
        Some("the server asks for a password: add it to the address")
    } else if error.to_string().starts_with(UNSELECTED) || detail.contains("DB index") {
        Some("the server refuses the number of the database: correct it in the address")
    } else {
        None
    }
}

/// Start of the text of the client if it cannot select its database. The error has no kind of its own.
const UNSELECTED: &str = "Redis server refused to switch database";
