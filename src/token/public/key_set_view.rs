//! The public keys of an issuer, as a service follows them.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::{self, Clock, SystemClock, Timestamp, whole_seconds};
use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::token::keyring::Keyring;
use crate::token::public::key_set;
use crate::upkeep::{Chore, Upkeep};

/// Default of [`KeySetViewBuilder::every`].
const DEFAULT_EVERY: Duration = Duration::from_secs(5 * 60);
/// Default of [`KeySetViewBuilder::bound`].
const DEFAULT_BOUND: Duration = Duration::from_secs(3600);
/// Seconds between two attempts, whatever the set contains and however many key ids are unknown.
const MIN_ATTEMPT_SECS: u64 = 30;
/// Pause between two steps of the upkeep: how long an unknown key id waits at most.
const STEP_PAUSE: Duration = Duration::from_secs(1);
/// Text of a failed fetch.
const NOT_FETCHED: &str = "the key set could not be fetched";
/// Text of a fetch whose answer is refused.
const NOT_USABLE: &str = "the fetched key set is not usable";
/// Value of a time before the first attempt.
const NEVER: u64 = u64::MAX;

type FetchFn = dyn Fn() -> BoxFuture<'static, Result<String>> + Send + Sync;

/// The public keys of an issuer, fetched again and again by the upkeep.
///
/// Your application fetches the set with its own HTTP client; this crate has none. A service that
/// verifies tokens of this crate passes the view to
/// [`TokenAuthenticator::verifier`](crate::token::TokenAuthenticator::verifier), one that accepts those of an
/// identity provider to [`Interop::follow`](crate::token::Interop::follow).
///
/// | event | effect |
/// |---|---|
/// | the set changes | new keys verify, and those that are gone do not, from the next fetch on |
/// | a token names an unknown key | the set is fetched early, but not within 30 s of the last fetch. Until it is fetched the token is *unavailable*. Then it is rejected if the key is still unknown |
/// | a token names an unknown key within 30 s after a fetch | the token is rejected (401), also if the issuer has published the key since |
/// | a fetch fails, or its answer is no usable set | the present keys stay |
/// | no fetch has succeeded for the [`bound`](KeySetViewBuilder::bound) | all tokens of the issuer are *unavailable* |
///
/// So the issuer must publish a key before it signs with it: 30 s before at least, and
/// [`every`](KeySetViewBuilder::every) before, so that no service needs an early fetch.
///
/// A set is refused as a whole if it has more than 64 KiB or 100 keys, contains a symmetric or a
/// private key, or gives one id to two keys. Keys for another use or another algorithm are left out.
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Interop, KeySetView};
///
/// # struct Client;
/// # impl Client { async fn get(&self, _: &str) -> std::io::Result<String> { Ok(String::new()) } }
/// # fn example(client: std::sync::Arc<Client>) -> statewise::Result<()> {
/// // The address is the member `jwks_uri` of the provider's discovery document
/// // (`/.well-known/openid-configuration`).
/// let keys = KeySetView::builder(move || {
///     let client = client.clone();
///     async move {
///         let fetched = client.get("https://idp.example/jwks").await;
///         fetched.map_err(statewise::Error::unavailable)
///     }
/// })
/// .build()?;
/// let theirs = Interop::from_issuer("https://idp.example", Duration::from_secs(3600))
///     .audience("api")
///     .follow(&keys);
/// # let _ = theirs;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeySetView(Arc<Inner>);

struct Inner {
    fetch: Box<FetchFn>,
    every_secs: u64,
    bound_secs: u64,
    clock: Arc<dyn Clock>,
    ring: RwLock<Fetched>,
    /// Number of attempts.
    attempts: AtomicU64,
    /// Number of changes of the ring.
    version: AtomicU64,
    /// Time of the last successful fetch, in seconds since 1970.
    fresh_as_of: AtomicU64,
    /// Time of the last attempt.
    attempted_at: AtomicU64,
    /// A token has named an unknown key since the last attempt.
    is_wanted: AtomicBool,
}

/// The keys of an attempt.
struct Fetched {
    ring: Arc<Keyring>,
    attempt: u64,
}

/// A configuration of a [`KeySetView`]: change its defaults or [`build`](Self::build) it.
///
/// # Defaults
///
/// | setting | default | unit |
/// |---|---|---|
/// | [`every`](Self::every) | 5 minutes | whole seconds, 30 or more |
/// | [`bound`](Self::bound) | 1 hour | whole seconds, longer than `every` |
/// | [`clock`](Self::clock) | [`SystemClock`] | |
#[must_use = "a builder does nothing until you call `build`"]
pub struct KeySetViewBuilder {
    fetch: Box<FetchFn>,
    every: Duration,
    bound: Duration,
    clock: Arc<dyn Clock>,
}

impl KeySetView {
    /// Starts a configuration with the function that fetches the set. Limit its time and the size of
    /// the answer, and demand TLS: an attacker that can change the answer can log in as any user.
    pub fn builder<F, R>(fetch: F) -> KeySetViewBuilder
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String>> + Send + 'static,
    {
        KeySetViewBuilder {
            fetch: Box::new(move || Box::pin(fetch())),
            every: DEFAULT_EVERY,
            bound: DEFAULT_BOUND,
            clock: Arc::new(SystemClock),
        }
    }

    /// Fetches the set now. Call it at the start of the service, so that its first tokens are
    /// verified. Otherwise the upkeep does it.
    ///
    /// # Errors
    ///
    /// Any error of the fetch. *Unavailable* if the answer is no usable set, or the clock cannot
    /// tell the time. The present keys stay. Of two fetches at once, the one that began last counts.
    ///
    /// # Cancel safety
    ///
    /// The set may have been fetched, or not.
    pub async fn fetch(&self) -> Result<()> {
        let inner = &*self.0;
        let now = clock::read(&*inner.clock)?;
        let attempt = inner.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        inner.is_wanted.store(false, Ordering::Relaxed);
        inner.attempted_at.store(now.unix(), Ordering::Relaxed);
        let text = (inner.fetch)()
            .await
            .map_err(|error| error.naming(NOT_FETCHED))?;
        let old = self.ring();
        let ring = key_set::read(&text, &old)
            .map_err(|error| Error::could_not(NOT_USABLE, Some(error.into())))?;
        let ring = Arc::new(ring);
        let mut fetched = inner.ring.write().unwrap_or_else(PoisonError::into_inner);
        if fetched.attempt > attempt {
            return Ok(());
        }
        *fetched = Fetched { ring, attempt };
        inner.version.fetch_add(1, Ordering::Release);
        inner.fresh_as_of.store(now.unix(), Ordering::Release);
        Ok(())
    }

    /// Returns the background work: it fetches the set. The upkeep of an authenticator that has this
    /// view includes it.
    pub fn upkeep(&self) -> Upkeep {
        Upkeep::of(self.clone()).clock(Arc::clone(&self.0.clock))
    }

    /// Returns the keys of the last fetch.
    pub(crate) fn ring(&self) -> Arc<Keyring> {
        let ring = self.0.ring.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&ring.ring)
    }

    /// Returns a number that changes with the keys.
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Fails if the last successful fetch is older than the bound.
    pub(crate) fn check_fresh(&self, now: Timestamp) -> Result<()> {
        let fresh_as_of = self.0.fresh_as_of.load(Ordering::Acquire);
        // Also stale before the first fetch, and where a clock was set back.
        if age(fresh_as_of, now).is_some_and(|age| age <= self.0.bound_secs) {
            return Ok(());
        }
        let what = match fresh_as_of {
            NEVER => {
                "the key set of the issuer has not been fetched yet: run the upkeep of the \
                 authenticator, or call `KeySetView::fetch` at the start"
            }
            _ => "the key set of the issuer could not be fetched within its bound",
        };
        Err(Error::could_not(what, None))
    }

    /// Notes that a token names an unknown key. Fails as *unavailable* if the set is about to be
    /// fetched again, or could not be fetched; otherwise the key does not exist.
    pub(crate) fn want(&self, now: Timestamp) -> Result<()> {
        match self.0.is_due(now, MIN_ATTEMPT_SECS) {
            true => self.0.is_wanted.store(true, Ordering::Relaxed),
            false if self.0.has_failed() => {}
            false => return Ok(()),
        }
        let what = "the token names a key that is not in the key set: the set is fetched again";
        Err(Error::could_not(what, None).with_retry_after(STEP_PAUSE * 2))
    }

    /// Checks if two views are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Inner {
    /// Checks if the next attempt comes early: the last one failed, or a token has named an unknown
    /// key.
    fn is_early(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed) || self.has_failed()
    }

    /// Checks if the last attempt failed, or is still under way.
    fn has_failed(&self) -> bool {
        let attempted_at = self.attempted_at.load(Ordering::Relaxed);
        attempted_at != self.fresh_as_of.load(Ordering::Acquire)
    }

    /// Checks if the last attempt is that old.
    fn is_due(&self, now: Timestamp, secs: u64) -> bool {
        let attempted_at = self.attempted_at.load(Ordering::Relaxed);
        // Also due before the first attempt, and where a clock was set back.
        age(attempted_at, now).is_none_or(|age| age >= secs)
    }
}

/// Returns the seconds since `time`. `None` if there is no such time, or it is ahead of the clock by
/// more than threads and corrections of a clock explain.
fn age(time: u64, now: Timestamp) -> Option<u64> {
    let is_time = time != NEVER && !clock::is_ahead(Timestamp::from_unix(time), now);
    is_time.then(|| now.unix().saturating_sub(time))
}

impl Chore for KeySetView {
    fn step<'a>(&'a self, now: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let secs = match self.0.is_early() {
                true => MIN_ATTEMPT_SECS,
                false => self.0.every_secs,
            };
            if self.0.is_due(now, secs) {
                self.fetch().await?;
            }
            Ok(STEP_PAUSE)
        })
    }

    fn retries(&self) -> [Duration; 2] {
        let pause = Duration::from_secs(MIN_ATTEMPT_SECS);
        [pause, pause]
    }
}

impl KeySetViewBuilder {
    /// Sets how often the set is fetched. Default: 5 minutes. A key that its issuer removes verifies
    /// until then.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Sets how long the keys count after the last successful fetch. Default: 1 hour. After that, all
    /// tokens of the issuer are *unavailable*: it may have removed a key.
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Sets the source of time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the configuration. Fetches nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* if the set would be fetched more often than every 30 s, or less often than the bound
    /// allows.
    pub fn build(self) -> Result<KeySetView> {
        let every_secs = whole_seconds("time between two fetches of a key set", self.every)?;
        let bound_secs = whole_seconds("bound of a key set", self.bound)?;
        if every_secs < MIN_ATTEMPT_SECS {
            return Err(Error::misuse(
                "the key set would be fetched more often than every 30 s: its issuer would refuse \
                 that, so choose minutes",
            ));
        }
        if bound_secs <= every_secs {
            return Err(Error::misuse(
                "the bound of the key set is not longer than the time between two fetches, so that \
                 it would be stale each time: lengthen it",
            ));
        }
        Ok(KeySetView(Arc::new(Inner {
            fetch: self.fetch,
            every_secs,
            bound_secs,
            clock: self.clock,
            ring: RwLock::new(Fetched {
                ring: Arc::new(Keyring::empty()),
                attempt: 0,
            }),
            attempts: AtomicU64::new(0),
            version: AtomicU64::new(0),
            fresh_as_of: AtomicU64::new(NEVER),
            attempted_at: AtomicU64::new(NEVER),
            is_wanted: AtomicBool::new(false),
        })))
    }
}

impl fmt::Debug for KeySetView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetView")
            .field("ring", &self.ring())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeySetViewBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetViewBuilder").finish_non_exhaustive()
    }
}
