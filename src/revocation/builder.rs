//! The builder of a revocation view.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, whole_seconds};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::revocation::log::{DynRevocationLog, RevocationLog};
use crate::revocation::settings::Settings;
use crate::revocation::view::RevocationView;

/// A builder that needs the [maximum lifetime](Self::max_lifetime) next.
#[derive(Debug)]
pub struct NeedsMaxLifetime {
    log: Arc<dyn DynRevocationLog>,
}

/// Builder of a [`RevocationView`].
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`max_lifetime`](NeedsMaxLifetime::max_lifetime) | required | it depends on the credentials |
/// | [`bound`](Self::bound) | 5 s | a logout counts on every node after so long |
/// | [`capacity`](Self::capacity) | 100 000 facts | more facts than this cannot be revoked at one time |
/// | [`poll`](Self::poll) | 25 ms | one read of the log per poll and node |
/// | [`accept_when_stale`](Self::accept_when_stale) | off | fail closed: a node that cannot know refuses |
/// | [`accept_other_incarnations`](Self::accept_other_incarnations) | off | a log that lost its data may have lost a revocation |
/// | [`fenced`](Self::fenced) | off | needs a log with synchronous replication |
/// | [`clock`](Self::clock) | [`SystemClock`](crate::clock::SystemClock) | |
/// | [`entropy`](Self::entropy) | [`SystemEntropy`](crate::entropy::SystemEntropy) | |
///
/// ```
/// use std::time::Duration;
/// use statewise::revocation::{MemoryLog, RevocationView};
///
/// # fn main() -> statewise::Result<()> {
/// let view = RevocationView::builder(MemoryLog::new()?)
///     // No access token lives longer than this.
///     .max_lifetime(Duration::from_secs(15 * 60))
///     // A logout counts on every node within two seconds ..
///     .bound(Duration::from_secs(2))
///     // .. and up to a million logouts in 15 minutes are possible.
///     .capacity(1_000_000)
///     .build()?;
/// assert_eq!(view.bound(), Duration::from_secs(2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ViewBuilder {
    log: Arc<dyn DynRevocationLog>,
    settings: Settings,
}

impl RevocationView {
    /// Starts the configuration of a view of `log`. Clone an [`Arc`] to share the log.
    pub fn builder(log: impl RevocationLog) -> NeedsMaxLifetime {
        NeedsMaxLifetime { log: Arc::new(log) }
    }
}

impl NeedsMaxLifetime {
    /// The longest life of any credential that the view guards: the maximum lifetime of tokens, or
    /// the maximum age of a cached session. The log keeps each fact about more than one login for
    /// this long. An authenticator with longer-lived credentials cannot be built with this view.
    pub fn max_lifetime(self, lifetime: Duration) -> ViewBuilder {
        ViewBuilder {
            log: self.log,
            settings: Settings::new(lifetime),
        }
    }
}

impl ViewBuilder {
    /// The longest time until a revocation counts on every node that follows the log. A node that
    /// has not read the log for this long is stale and refuses. Whole seconds, at least two.
    /// Default: 5 s.
    ///
    /// The bound holds for nodes that read from the log that takes the writes. A node that is cut
    /// off together with an old primary reads nothing new and cannot notice it: see
    /// [`fenced`](Self::fenced).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::testkit::{ManualClock, block_on};
    /// use statewise::revocation::{MemoryLog, RevocationView};
    ///
    /// # block_on(async {
    /// # let clock = ManualClock::default();
    /// let view = RevocationView::builder(MemoryLog::new()?)
    ///     .max_lifetime(Duration::from_secs(900))
    ///     .bound(Duration::from_secs(10))
    /// #     .clock(clock.clone())
    ///     .build()?;
    /// view.follow().await?;
    /// assert!(!view.health()?.stale);
    /// // The log cannot be read for longer than the bound.
    /// # clock.advance(Duration::from_secs(11));
    /// assert!(view.health()?.stale);
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    pub fn bound(mut self, bound: Duration) -> Self {
        self.settings.bound = bound;
        self
    }

    /// Maximum number of facts in the view. A full view forgets nothing: further revocations fail
    /// as *unavailable*. Default: 100 000. Each takes ten to eighteen bytes from the start, used or
    /// not.
    ///
    /// Size it as logouts per second times the [maximum lifetime](NeedsMaxLifetime::max_lifetime). In a
    /// hybrid, the logout of one login is kept for the lifetime of a token only.
    /// One user cannot fill it: once half of it is used, a node that has ended 64 logins of one
    /// subject one by one ends all logins of that subject with its next logout, which is one fact.
    /// Updates of roles take half of it at most.
    pub fn capacity(mut self, facts: usize) -> Self {
        self.settings.capacity = facts;
        self
    }

    /// Pause between two reads of the log. Each read is one command. Default: 25 ms.
    pub fn poll(mut self, pause: Duration) -> Self {
        self.settings.poll = pause;
        self
    }

    /// Makes a stale view accept each login that no known fact ends, instead of refusing all
    /// logins.
    ///
    /// While the log cannot be read, a login that was just ended on another node then passes. A
    /// view that has never read the log to its end refuses in any case.
    pub fn accept_when_stale(mut self) -> Self {
        self.settings.accept_when_stale = true;
        self
    }

    /// Accepts credentials that were issued under another incarnation of the log, instead of
    /// refusing them.
    ///
    /// A revocation that was lost with the data of the log, and that no running node remembers, is
    /// then undone.
    pub fn accept_other_incarnations(mut self) -> Self {
        self.settings.accept_other_incarnations = true;
        self
    }

    /// Fences the log four times per bound: proves by a write that the log which is read is the one
    /// that takes writes. A read then counts from the last fence.
    ///
    /// Use it where an old primary that was cut off refuses writes, for example Redis with
    /// `min-replicas-to-write` or a database with synchronous replication.
    ///
    /// A view that [only reads](RevocationView::is_read_only) counts from the fences of other nodes
    /// instead, which it sees in the log: one of them must fence, with a bound that is not longer
    /// than this one. Without such a node the view is stale, and refuses all logins.
    pub fn fenced(mut self) -> Self {
        self.settings.fenced = true;
        self
    }

    /// Source of the time. Default: [`SystemClock`](crate::clock::SystemClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Source of unguessable bytes. Default: [`SystemEntropy`](crate::entropy::SystemEntropy).
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.settings.entropy = Arc::new(entropy);
        self
    }

    /// Checks the configuration and builds the view.
    ///
    /// # Errors
    ///
    /// *Misuse*, with what to do: a bound below two seconds, a maximum lifetime below one second, a
    /// capacity of zero, a poll pause of half the bound or longer; a view that [only
    /// reads](RevocationView::is_read_only), is fenced, and has a bound below four seconds.
    pub fn build(mut self) -> Result<RevocationView> {
        let settings = &mut self.settings;
        settings.read_only = self.log.is_read_only();
        let poll_limit = settings.bound / 2;
        let bound = whole_seconds("bound of a revocation view", settings.bound)?;
        let lifetime = whole_seconds(
            "maximum lifetime in a revocation view",
            settings.max_lifetime,
        )?;
        settings.bound = Duration::from_secs(bound);
        settings.max_lifetime = Duration::from_secs(lifetime);
        let problem = if bound < 2 {
            "the bound of a revocation view is below two seconds, and the clock counts whole \
             seconds: lengthen it"
        } else if settings.read_only && settings.fenced && bound < 4 {
            "a revocation view that only reads would be stale between two fences of other nodes: \
             set its bound to four seconds or more"
        } else if settings.capacity == 0 {
            "the capacity of a revocation view is zero, so nothing could be revoked: pass the \
             number of facts that it may hold"
        } else if settings.poll >= poll_limit {
            "a revocation view would read its log too rarely for its bound: shorten the poll \
             pause, or lengthen the bound"
        } else {
            return Ok(RevocationView::new(self.log, self.settings));
        };
        Err(Error::misuse(problem))
    }
}
