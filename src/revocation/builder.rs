//! The configuration of a view, impossible to leave half done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::revocation::log::{DynRevocationLog, RevocationLog};
use crate::revocation::settings::Settings;
use crate::revocation::view::RevocationView;

/// Within which time a revocation is obeyed everywhere, unless configured.
const BOUND: Duration = Duration::from_secs(5);
/// Facts that a view is sized for, unless configured.
const CAPACITY: usize = 100_000;
/// Between two looks at the log, unless configured.
const POLL: Duration = Duration::from_millis(25);

/// How long the longest login lives must be said next.
pub struct NeedsMaxLifetime {
    log: Arc<dyn DynRevocationLog>,
}

/// A complete configuration: [`build`](Self::build) it, or go on.
#[must_use = "a builder does nothing until it is built"]
pub struct ViewBuilder {
    log: Arc<dyn DynRevocationLog>,
    longest: Duration,
    bound: Duration,
    capacity: usize,
    poll: Duration,
    accept_when_stale: bool,
    accept_other_incarnations: bool,
    fenced: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl RevocationView {
    /// A view of `log`, which may be shared in an [`Arc`]. What lives longest must be said next.
    pub fn builder(log: impl RevocationLog) -> NeedsMaxLifetime {
        NeedsMaxLifetime { log: Arc::new(log) }
    }
}

impl NeedsMaxLifetime {
    /// The longest life of anything that the view guards: the maximum lifetime of tokens, or the
    /// longest age of a cached session. For so long a fact is kept that is about more than one
    /// login; what lives longer is not built with this view.
    pub fn max_lifetime(self, longest: Duration) -> ViewBuilder {
        ViewBuilder {
            log: self.log,
            longest,
            bound: BOUND,
            capacity: CAPACITY,
            poll: POLL,
            accept_when_stale: false,
            accept_other_incarnations: false,
            fenced: false,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

impl ViewBuilder {
    /// Within which time a revocation is obeyed on every node that follows the log; a node that
    /// cannot know refuses. Whole seconds, at least two. Default: five seconds.
    ///
    /// It holds among nodes that read from the log that takes the writes. One that is cut off
    /// together with an old primary sees nothing new and does not know: see
    /// [`fenced`](Self::fenced).
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Facts that the view holds at most: beyond them a revocation is *unavailable*, and none is
    /// ever forgotten. Default 100 000. Takes twelve bits for each from the beginning.
    pub fn capacity(mut self, facts: usize) -> Self {
        self.capacity = facts;
        self
    }

    /// How long to wait between two looks at the log. Default 25 ms; each is one command.
    pub fn poll(mut self, pause: Duration) -> Self {
        self.poll = pause;
        self
    }

    /// Goes on with what is known when the view is stale, instead of refusing everybody: whoever
    /// was logged out a moment ago may then pass for as long as the log cannot be read. One that has
    /// never read the log to its end knows nothing, and refuses all the same.
    pub fn accept_when_stale(mut self) -> Self {
        self.accept_when_stale = true;
        self
    }

    /// Accepts what was issued under another incarnation of the log, instead of refusing it: what
    /// had been revoked there, and is known to no node any more, then passes again.
    pub fn accept_other_incarnations(mut self) -> Self {
        self.accept_other_incarnations = true;
        self
    }

    /// Proves four times within the bound, by a write, that the log which is read takes writes:
    /// an old primary that was cut off does not, if it is set up so. What is read counts from the
    /// last such proof.
    pub fn fenced(mut self) -> Self {
        self.fenced = true;
        self
    }

    /// Tells the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Gives unguessable bytes. Default: [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do: a bound below two seconds, a longest life below one, a
    /// capacity of zero, a pause that is not shorter than half the bound.
    pub fn build(self) -> Result<RevocationView> {
        let bound = whole_seconds("bound of a revocation view", self.bound)?;
        let longest = whole_seconds("longest life in a revocation view", self.longest)?;
        if bound < 2 {
            return Err(Error::misuse(
                "the bound of a revocation view is below two seconds, and time is told in whole \
                 ones: lengthen it",
            ));
        }
        if self.capacity == 0 {
            return Err(Error::misuse(
                "the capacity of a revocation view is zero, so that nothing could be revoked: say \
                 how many facts it may hold",
            ));
        }
        if self.poll >= self.bound / 2 {
            return Err(Error::misuse(
                "a revocation view would look at its log too rarely for its bound: shorten the \
                 pause, or lengthen the bound",
            ));
        }
        let settings = Settings {
            bound: Duration::from_secs(bound),
            fresh_for: bound - 1,
            longest,
            capacity: self.capacity,
            poll: self.poll,
            accept_when_stale: self.accept_when_stale,
            accept_other_incarnations: self.accept_other_incarnations,
            fence_every: self.fenced.then_some((bound / 4).max(1)),
            clock: self.clock,
            entropy: self.entropy,
        };
        Ok(RevocationView::new(self.log, settings))
    }
}

impl fmt::Debug for NeedsMaxLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedsMaxLifetime").finish_non_exhaustive()
    }
}

impl fmt::Debug for ViewBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewBuilder")
            .field("log", &self.log)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}
