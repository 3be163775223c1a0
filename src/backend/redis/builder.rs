//! The configuration of a Redis backend.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::aio::ConnectionLike;

use crate::backend::breaker::Part;
use crate::backend::redis::keys::Keys;
use crate::backend::redis::link::{DEFAULT_DEADLINE, Link, Source};
use crate::backend::redis::store::recent_uses::RecentUses;
use crate::backend::redis::{Redis, RedisLog};
use crate::error::Result;
use crate::observer::Observer;

/// Configuration of a [`Redis`], begun by [`Redis::over`] or [`Redis::connect`].
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`prefix`](Self::prefix) | `statewise:` |
/// | [`deadline`](Self::deadline) | 2 seconds |
/// | [`assume_durable`](Self::assume_durable) | off |
/// | [`observer`](Self::observer) | none |
///
/// # A server that does not answer
///
/// After three calls in a row that waited in vain for the whole deadline, further calls are
/// *unavailable* at once. One call in a quarter of a second still asks the server, and the first
/// answer ends this. A single slow call has no such effect. That one call is a request, which waits for its
/// deadline: with fewer than four requests in a second, each of them waits all through such an outage. Set a
/// shorter deadline if your requests cannot wait so long.
///
/// If the server refuses connections, calls fail at once anyway. The observer gets
/// [`StoreSilent`](crate::observer::Event::StoreSilent) in both cases, once in an outage.
#[must_use = "a builder does nothing until `build` is called"]
pub struct RedisBuilder<C> {
    source: Source<C>,
    prefix: String,
    deadline: Duration,
    assume_durable: bool,
    observer: Option<Arc<dyn Observer>>,
}

impl<C> RedisBuilder<C> {
    pub(crate) fn new(source: Source<C>) -> Self {
        Self {
            source,
            prefix: "statewise:".to_owned(),
            deadline: DEFAULT_DEADLINE,
            assume_durable: false,
            observer: None,
        }
    }

    /// Sets the prefix of all keys, so that several applications can share a server: at most 128
    /// bytes, without braces and control characters. Default: `statewise:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the deadline of each call, after which the call is *unavailable*. The client's own
    /// response timeout applies too, if it is shorter. Default: 2 seconds.
    ///
    /// After half of the deadline, an idempotent command such as a read is sent a second time.
    ///
    /// ```
    /// # use statewise::store::RedisBuilder;
    /// # use redis::aio::ConnectionManager;
    /// # fn example(builder: RedisBuilder<ConnectionManager>) -> RedisBuilder<ConnectionManager> {
    /// // The server is in another region: allow for slow round trips.
    /// builder.deadline(std::time::Duration::from_secs(5))
    /// # }
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Treats what the server does not report as durable, in [`Redis::require_durable`] and
    /// wherever an index is relied on. Set it if the server forbids `CONFIG` or `INFO`, or is a
    /// Cluster, and its operator confirms that acknowledged writes survive a crash and that
    /// `maxmemory-policy` is `noeviction`. A server that is known to lose writes is still refused.
    /// Default: off.
    pub fn assume_durable(mut self) -> Self {
        self.assume_durable = true;
        self
    }

    /// Sets the observer that is notified when the server does not answer and calls therefore fail at
    /// once, and when it answers again: [`Event::StoreSilent`] and [`Event::StoreAnswers`]. Default:
    /// none.
    ///
    /// [`Event::StoreSilent`]: crate::observer::Event::StoreSilent
    /// [`Event::StoreAnswers`]: crate::observer::Event::StoreAnswers
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Builds the log of revocations alone, to be read only: for a service that verifies tokens and
    /// ends no login. Its user needs [fewer rights](Redis#rights-of-a-log-reader), and cannot read
    /// sessions. Sends nothing to the server.
    ///
    /// ```no_run
    /// use statewise::store::Redis;
    ///
    /// # async fn example(connection: redis::aio::ConnectionManager) -> statewise::Result<()> {
    /// let log = Redis::over(connection).build_log_reader()?;
    /// // Names each right that is missing.
    /// log.check().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_log_reader(self) -> Result<RedisLog<C>>
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let redis = self.build()?;
        redis.link.note_part(Part::Revocations);
        Ok(RedisLog::new(redis, true))
    }

    /// Builds the backend. Sends nothing to the server.
    ///
    /// # Errors
    ///
    /// *Misuse* if the prefix contains a brace or a control character, or is too long, or if the
    /// deadline is zero.
    pub fn build(self) -> Result<Redis<C>> {
        Ok(Redis {
            link: Arc::new(Link::new(self.source, self.deadline, self.observer)?),
            keys: Arc::new(Keys::new(self.prefix)?),
            uses: Arc::new(LazyLock::new(RecentUses::new)),
            asked_at: Arc::new(AtomicU64::new(u64::MAX)),
            assume_durable: self.assume_durable,
        })
    }
}

impl<C> fmt::Debug for RedisBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("assume_durable", &self.assume_durable)
            .finish_non_exhaustive()
    }
}
