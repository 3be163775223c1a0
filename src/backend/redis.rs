//! Sessions and revocations in Redis or Valkey.

pub(crate) mod builder;
pub(crate) mod check;
pub(crate) mod durability;
pub(crate) mod eviction;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod log;
pub(crate) mod opener;
pub(crate) mod script;
pub(crate) mod store;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use ::redis::aio::ConnectionLike;

use crate::backend::breaker::Part;
use crate::backend::durability::{Durability, Survives};
use crate::backend::redis::eviction::Eviction;
use crate::backend::redis::keys::Keys;
use crate::backend::redis::link::{Link, Source};
use crate::backend::redis::opener::{BoxError, Opener, Opening};
use crate::backend::redis::store::recent_uses::RecentUses;
use crate::error::{Error, Result};

pub use builder::RedisBuilder;
pub use log::RedisLog;
pub use store::RedisStore;

/// Redis, or a Cluster, over connections that the application opens: a `ConnectionManager`, a
/// `MultiplexedConnection`, a `ClusterConnection`, or a type of your own. Valkey speaks the same
/// protocol, but is not tested.
///
/// Gives you a [`RedisStore`] for sessions and a [`RedisLog`] for revocations. Both use the same
/// key prefix, and their keys are disjoint.
///
/// ```no_run
/// use std::time::Duration;
/// use statewise::revocation::RevocationView;
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::Redis;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1")?;
/// let redis = Redis::over(client.get_connection_manager().await?)
///     .prefix("shop:")
///     .build()?;
/// // Names each right and setting that is missing.
/// redis.check().await?;
/// // Refuses to start if a crash of the server could undo a logout.
/// redis.require_durable().await?;
///
/// let auth = SessionAuthenticator::builder(redis.sessions())
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// let view = RevocationView::builder(redis.revocations())
///     .max_lifetime(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// Requires tokio with its timer enabled, and Redis 6.2 or newer. Tested with 7.0.
///
/// A `ConnectionManager` pauses between attempts to reconnect, longer each time. Once the server is
/// back, sessions stay unavailable until the next attempt: set
/// `ConnectionManagerConfig::set_max_delay` to bound that.
///
/// # Rights
///
/// The user of the server needs these rights, and no other. `CONFIG GET` serves
/// [`require_durable`](Self::require_durable) only. A client of a Cluster needs `+cluster|slots`,
/// too. Call [`check`](Self::check) at the start: it names each right that is missing.
///
/// ```text
/// ACL SETUSER statewise on >password ~statewise:* -@all +config|get +del +eval +evalsha +exists
///     +expire +get +getex +getrange +hmget +hset +info +pexpire +pttl +set +setrange +time +xadd
///     +xlen +xrange +xtrim +zadd +zcard +zcount +zrandmember +zrange +zrangebyscore +zrem +zscore
/// ```
///
/// # Rights of a log reader
///
/// The user of a service that only [follows the log](RedisBuilder::build_log_reader) needs these
/// rights, which [`RedisLog::check`] verifies. It cannot read the keys of sessions. A client of a
/// Cluster needs `+cluster|slots`, too.
///
/// ```text
/// ACL SETUSER reader on >password ~statewise:{log}:* -@all +eval +evalsha +hmget +info +time +xlen
///     +xrange
/// ```
///
/// # Failover
///
/// Use [`Redis::connect`] where a failover may happen: it opens another connection when one leads to
/// a server that is not a primary. With [`Redis::over`], your connection has to do that:
///
/// | connection | after a failover |
/// |---|---|
/// | `MultiplexedConnection`, also of a `SentinelClient` | *unavailable* until the process restarts |
/// | `ConnectionManager` | reconnects when it is closed, and not on `READONLY`: the old primary must close it, after the name leads to the new one |
/// | `ClusterConnection` | follows the Cluster |
///
/// # Replicas
///
/// Nothing is read from a replica, because a replica may lag behind and still hold a removed row. A
/// primary that is cut off from its replicas may answer reads until it notices. Set
/// `min-replicas-to-write`: the primary then refuses writes, verifications and
/// [`fence`](crate::revocation::log::RevocationLog::fence), too. Have the view fence.
#[derive(Clone)]
pub struct Redis<C> {
    link: Arc<Link<C>>,
    keys: Arc<Keys>,
    /// Allocated by the first store: a log does not need it.
    uses: Arc<LazyLock<RecentUses>>,
    /// The second in which a login last asked about evictions. The server reported none.
    asked_at: Arc<AtomicU64>,
    assume_durable: bool,
}

impl<C> Redis<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Begins the configuration of a server behind `connection`, which is cloned for each call. It
    /// is never replaced: see [failover](Self#failover).
    pub fn over(connection: C) -> RedisBuilder<C> {
        RedisBuilder::new(Source::Given(connection))
    }

    /// Begins the configuration of a server that `open` connects to: at the first use, and whenever
    /// the connection is lost, did not answer for half of the deadline, or leads to a server that is
    /// no primary that accepts writes (`READONLY`, `LOADING`, `MASTERDOWN`, `NOREPLICAS`). Concurrent
    /// calls wait for one attempt. Prefer it where a failover may happen.
    ///
    /// ```no_run
    /// use statewise::store::Redis;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// // The name leads to the primary. It is resolved for each new connection.
    /// let client = redis::Client::open("redis://sessions.internal")?;
    /// let redis = Redis::connect(move || {
    ///     let client = client.clone();
    ///     async move { client.get_multiplexed_async_connection().await }
    /// })
    /// .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// With Sentinel, ask for the primary in `open`. The client of the `redis` crate for Sentinel
    /// does the same, with the crate's feature `sentinel`:
    ///
    /// ```no_run
    /// use statewise::store::Redis;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let sentinel = redis::Client::open("redis://sentinel.internal:26379")?;
    /// let redis = Redis::connect(move || {
    ///     let sentinel = sentinel.clone();
    ///     async move {
    ///         let mut sentinel = sentinel.get_multiplexed_async_connection().await?;
    ///         let (host, port): (String, u16) = redis::cmd("SENTINEL")
    ///             .arg("GET-MASTER-ADDR-BY-NAME")
    ///             .arg("sessions")
    ///             .query_async(&mut sentinel)
    ///             .await?;
    ///         let primary = redis::Client::open(format!("redis://{host}:{port}"))?;
    ///         primary.get_multiplexed_async_connection().await
    ///     }
    /// })
    /// .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect<F, R, E>(open: F) -> RedisBuilder<C>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<C, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        RedisBuilder::new(Source::Opened(Opener::new(move || {
            let opening = open();
            Box::pin(async { opening.await.map_err(Into::into) }) as Opening<C>
        })))
    }

    /// Returns a store for sessions. All stores of one `Redis` share their connection and their
    /// memory of noted uses.
    #[must_use]
    pub fn sessions(&self) -> RedisStore<C> {
        self.link.note_part(Part::Sessions);
        RedisStore(self.clone())
    }

    /// Returns a log for revocations.
    #[must_use]
    pub fn revocations(&self) -> RedisLog<C> {
        self.link.note_part(Part::Revocations);
        RedisLog::new(self.clone(), false)
    }

    /// Returns what the server keeps of acknowledged writes, by its current configuration.
    ///
    /// | configuration | after a crash |
    /// |---|---|
    /// | `appendonly yes`, `appendfsync always`, `no-appendfsync-on-rewrite no` | all |
    /// | any other | not all: about the last second is lost, or everything since the last snapshot |
    /// | it may evict keys, or has evicted some | not all |
    /// | `CONFIG` or `INFO` forbidden, as by many hosting services | unknown |
    /// | a Cluster, all of its nodes with an append-only file | unknown: a client cannot ask each node |
    ///
    /// After a failover it is always *not all*: the server answers the client before its replicas
    /// have the write. With `min-replicas-to-write` a primary without replicas refuses writes, and
    /// verifications too, after `min-replicas-max-lag`.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        let act = pin!(durability::crash(&self.link));
        let crash = self.link.within(act).await?;
        let evictions = self.link.within(pin!(self.evictions())).await?;
        let crash = match (evictions, crash) {
            (Eviction::Never, crash) => crash,
            (Eviction::Unknown, Survives::All) => Survives::Unknown,
            (Eviction::Unknown, crash) => crash,
            (Eviction::Allowed | Eviction::Happened, _) => Survives::NotAll,
        };
        Ok(Durability::new(crash, Survives::NotAll))
    }

    /// Fails unless every acknowledged write survives a crash of the server. Call it at the start
    /// of a service in which a crash must not undo a logout. An unknown durability fails too,
    /// unless you set [`assume_durable`](RedisBuilder::assume_durable).
    ///
    /// # Errors
    ///
    /// *Misuse* if the server is configured to lose acknowledged writes, or its configuration is
    /// unknown; *unavailable* if it could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn require_durable(&self) -> Result<()> {
        let evictions = self.link.within(pin!(self.evictions())).await?;
        if let Some(what) = evictions.problem(self.assume_durable) {
            return Err(Error::misuse(what));
        }
        self.durability().await?.require(self.assume_durable)
    }

    /// Runs every command of the store and of the log against keys that do not exist, and fails with
    /// all that is missing: a right of the user, a command that was renamed, a primary that accepts
    /// writes, an eviction policy under which a logout everywhere is reliable. Call it at the start
    /// of a service. It changes nothing. On a Cluster, nodes without a key of 16 partitions are not
    /// asked.
    ///
    /// # Errors
    ///
    /// *Misuse* that names each command and setting to change; *unavailable* if the server could
    /// not answer, or is no primary that accepts writes.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        self.link.within(pin!(self.check_all())).await
    }
}

impl<C> fmt::Debug for Redis<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the connection: an application's own type might show its password.
        f.debug_struct("Redis")
            .field("prefix", &self.keys.prefix())
            .field("deadline", &self.link.deadline())
            .field("assume_durable", &self.assume_durable)
            .finish_non_exhaustive()
    }
}
