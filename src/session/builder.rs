//! The configuration of sessions, impossible to leave half done.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::session::authenticator::SessionAuthenticator;
use crate::session::credential::Purpose;
use crate::session::judge::Windows;
use crate::session::lifetime::Lifetime;
use crate::session::policy::Policy;
use crate::session::replays::Replays;
use crate::store::ask::Limit;
use crate::store::session_store::SessionStore;

/// Seconds in which a replaced credential works whatever happened.
const OVERLAP: Duration = Duration::from_secs(10);
/// Seconds in which it works as long as its successor was not used.
const GRACE: Duration = Duration::from_secs(30);
/// How often one replaced credential is answered within ten seconds.
const REPLAYS: u32 = 1000;
/// Bytes of application data that a session may keep.
const MAX_DATA: usize = 64 * 1024;

/// The idle lifetime must be said next.
pub struct NeedsIdle<S, D> {
    store: S,
    data: PhantomData<fn() -> D>,
}

/// The absolute lifetime must be said next.
pub struct NeedsAbsolute<S, D> {
    store: S,
    idle: Duration,
    data: PhantomData<fn() -> D>,
}

/// A complete configuration: [`build`](Self::build) it, or go on.
#[must_use = "a builder does nothing until it is built"]
pub struct SessionBuilder<S, D> {
    store: S,
    idle: Duration,
    absolute: Duration,
    overlap: Duration,
    grace: Duration,
    rotate_after: Option<Duration>,
    reject_orphaned: bool,
    replays: u32,
    limit: Limit,
    max_data: usize,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) entropy: Option<Arc<dyn Entropy>>,
    data: PhantomData<fn() -> D>,
}

impl<S: SessionStore, D> SessionAuthenticator<S, D> {
    /// Sessions kept in `store`. The two lifetimes must be said next.
    #[must_use]
    pub fn builder(store: S) -> NeedsIdle<S, D> {
        NeedsIdle {
            store,
            data: PhantomData,
        }
    }
}

impl<S: SessionStore, D> NeedsIdle<S, D> {
    /// Ends a session that was not used for this long, in whole seconds (OWASP ASVS 7.3.1).
    /// NIST SP 800-63B-4 recommends at most one hour at AAL2, 15 minutes at AAL3.
    pub fn idle(self, idle: Duration) -> NeedsAbsolute<S, D> {
        NeedsAbsolute {
            store: self.store,
            idle,
            data: PhantomData,
        }
    }
}

impl<S: SessionStore, D> NeedsAbsolute<S, D> {
    /// Ends a session this long after the user proved who they are, however much it is used and
    /// however often it is rotated, in whole seconds (OWASP ASVS 7.3.2). NIST SP 800-63B-4
    /// recommends at most 24 hours at AAL2 and demands at most 12 at AAL3.
    pub fn absolute(self, absolute: Duration) -> SessionBuilder<S, D> {
        SessionBuilder {
            store: self.store,
            idle: self.idle,
            absolute,
            overlap: OVERLAP,
            grace: GRACE,
            rotate_after: None,
            reject_orphaned: false,
            replays: REPLAYS,
            limit: Limit::Unlimited,
            max_data: MAX_DATA,
            clock: None,
            entropy: None,
            data: PhantomData,
        }
    }
}

impl<S: SessionStore, D> SessionBuilder<S, D> {
    /// Makes a credential due for rotation at this age. Default: never; it is rotated when the
    /// application asks, and when its roles change.
    pub fn rotate_after(mut self, age: Duration) -> Self {
        self.rotate_after = Some(age);
        self
    }

    /// For this long after a rotation the replaced credential works on, whatever happened, and the
    /// new one is not rotated again: requests in flight and other tabs lose nothing. It counts anew
    /// from the first use of the new one, whose answer may have been lost and given again.
    /// Default: 10 seconds.
    ///
    /// As each node judges by its own clock, and in whole seconds, a request and the answer before
    /// it may together be in flight for this long less what the clocks differ by, less one second.
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// For this long after a rotation the replaced credential works on as long as its successor
    /// was not used: the answer that carried it may be lost. Default: 30 seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Takes a replaced credential that comes back after the grace for a stolen one, even if its
    /// successor was never used. By default it is taken for a lost answer and gets the same
    /// successor again: a client that slept on a dead network stays logged in, at the price
    /// that a thief of that one credential shares the login until its next rotation.
    pub fn reject_orphaned(mut self) -> Self {
        self.reject_orphaned = true;
        self
    }

    /// How often this node answers one replaced credential, within ten seconds, with the successor
    /// that it has already. Beyond it the credential is *refused* as
    /// [`RefreshLimit`](crate::Refusal::RefreshLimit), and works again afterwards. Default: 1000.
    pub fn replays(mut self, most: u32) -> Self {
        self.replays = most;
        self
    }

    /// How many sessions a subject may have at once. Default: unlimited.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Bytes of application data that a session may keep. Default: 64 KiB.
    pub fn max_data(mut self, bytes: usize) -> Self {
        self.max_data = bytes;
        self
    }

    /// Tells the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Gives unguessable bytes. Default: [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Some(Arc::new(entropy));
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do: a lifetime below one second, an idle lifetime longer than the
    /// absolute one, a grace shorter than the overlap, a rotation that would never come, a limit
    /// of zero sessions.
    pub fn build(self) -> Result<SessionAuthenticator<S, D>> {
        self.build_for(Purpose::Session)
    }

    /// The same for credentials of another purpose.
    pub(crate) fn build_for(self, purpose: Purpose) -> Result<SessionAuthenticator<S, D>> {
        let lifetime = Lifetime::new(self.idle, self.absolute)?;
        if self.grace < self.overlap {
            return Err(Error::misuse(
                "the grace is shorter than the overlap, in which every replaced credential \
                 works: make it at least as long",
            ));
        }
        if self.grace >= self.absolute {
            return Err(Error::misuse(
                "the grace is as long as the absolute lifetime: shorten it",
            ));
        }
        let rotate_after = match self.rotate_after {
            Some(age) if age >= self.absolute => {
                return Err(Error::misuse(
                    "credentials would be rotated after the absolute lifetime, and so never: \
                     rotate earlier",
                ));
            }
            Some(age) => Some(whole_seconds("age at which credentials are rotated", age)?),
            None => None,
        };
        if matches!(self.limit, Limit::Reject(0) | Limit::EvictOldest(0)) {
            return Err(Error::misuse(
                "the limit of sessions is zero, so that nobody could log in: allow at least one",
            ));
        }
        let policy = Policy {
            lifetime,
            windows: Windows {
                overlap: rounded_up(self.overlap),
                grace: rounded_up(self.grace),
            },
            rotate_after,
            reject_orphaned: self.reject_orphaned,
            limit: self.limit,
            max_data: self.max_data,
        };
        Ok(SessionAuthenticator::new(
            purpose,
            self.store,
            policy,
            Replays::new(self.replays),
            self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            self.entropy.unwrap_or_else(|| Arc::new(SystemEntropy)),
        ))
    }

    /// The idle and the absolute lifetime.
    pub(crate) fn lifetimes(&self) -> [Duration; 2] {
        [self.idle, self.absolute]
    }

    /// For how long a replaced credential works whatever happened.
    pub(crate) fn overlaps(&self) -> Duration {
        self.overlap
    }

    /// Whether credentials become due for rotation with age.
    pub(crate) fn rotates(&self) -> bool {
        self.rotate_after.is_some()
    }
}

/// Whole seconds: a window that was asked for is not lost to rounding.
fn rounded_up(window: Duration) -> u64 {
    window.as_secs() + u64::from(window.subsec_nanos() > 0)
}

impl<S: fmt::Debug, D> fmt::Debug for NeedsIdle<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedsIdle").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, D> fmt::Debug for NeedsAbsolute<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedsAbsolute")
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, D> fmt::Debug for SessionBuilder<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("store", &self.store)
            .field("idle", &self.idle)
            .field("absolute", &self.absolute)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
