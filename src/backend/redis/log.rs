//! A log in Redis.

mod builder;
mod reply;

use std::fmt;
use std::pin::pin;

use redis::Value;
use redis::aio::ConnectionLike;

use crate::backend::durability::{Durability, Survives};
use crate::backend::redis::durability;
use crate::backend::redis::link::{Link, failed};
use crate::backend::redis::script::Script;
use crate::clock::Timestamp;
use crate::entropy::{self, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{MARGIN, Page, RevocationLog};
use reply::Reply;

pub use builder::RedisLogBuilder;

static APPEND: Script = Script::new(include_str!("log/append.lua"));
static READ: Script = Script::new(include_str!("log/read.lua"));

/// Entries of one page at most: a script keeps the server from everything else.
const PAGE: usize = 4096;

/// A revocation log in Redis or Valkey, or in a Cluster of them, over the application's own
/// connection: that of a [`RedisStore`](crate::store::RedisStore), or another.
///
/// ```no_run
/// use std::time::Duration;
/// use statewise::revocation::{RedisLog, RevocationView};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1")?;
/// let log = RedisLog::builder(client.get_connection_manager().await?)
///     .prefix("shop:")
///     .build()?;
/// let view = RevocationView::builder(log)
///     .longest(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// Runs on tokio, with its time enabled. Wants Redis 6.2 or newer.
///
/// # What it costs
///
/// An append, a head, a read and a fence are one script each, and one round trip. Of all that is
/// read at once the server sends at most 4096 entries. The entries are a stream, beside a hash with
/// the numbers of the log; on a Cluster both are on one node, which carries all appends. They go
/// by the clock of the server.
///
/// # When the server loses something
///
/// A log that is not there, or only in part, such as after `FLUSHALL`, an eviction or a hand that
/// deletes one of the two keys, begins anew with another incarnation. One that came back shorter
/// than it was, after a crash or a failover, is found out by those who follow it. What survives
/// which is in the table of [`durability`](Self::durability).
///
/// # Replicas
///
/// Nothing is read from a replica. A primary that is cut off from the others answers reads with
/// nothing new until it notices: set `min-replicas-to-write`, by which it refuses
/// [`fence`](RevocationLog::fence), and have the view fence.
///
/// # A connection that is lost
///
/// An append whose answer is lost is sent once more, so that what it says may stand twice, which
/// comes to the same.
pub struct RedisLog<C> {
    link: Link<C>,
    prefix: String,
    /// The log's own numbers, and its entries.
    keys: [String; 2],
    assume_durable: bool,
}

impl<C> RedisLog<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// A log behind `connection`, which is cloned for each call.
    pub fn builder(connection: C) -> RedisLogBuilder<C> {
        RedisLogBuilder::new(connection)
    }

    /// What both of its keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the server says about keeping what it acknowledges, by its configuration of now: the
    /// same as of a [`RedisStore`](crate::store::RedisStore::durability).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        let crash = self
            .link
            .within(pin!(durability::crash(&self.link)))
            .await?;
        Ok(Durability::new(crash, Survives::NotAll))
    }

    /// Fails unless everything that was acknowledged survives a crash of the server: for a service
    /// that must not see a logout undone, at its start. What the server cannot tell fails too,
    /// unless the operator vouches with [`assume_durable`](RedisLogBuilder::assume_durable).
    ///
    /// # Errors
    ///
    /// *Misuse* if the server is not set up to keep what it acknowledges, or does not say;
    /// *unavailable* if it could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(self.assume_durable)
    }

    /// Adds entries, also none, which is a write all the same; where the head is then.
    async fn add(&self, facts: &[Draft]) -> Result<Stamp> {
        // In case that the log begins with this.
        let incarnation: [u8; 6] = entropy::draw(&SystemEntropy)?;
        let entries: Vec<_> = facts.iter().map(|draft| reply::encode(*draft)).collect();
        let stays: Vec<_> = facts
            .iter()
            .map(|draft| milliseconds(draft.life).to_string())
            .collect();
        let mut arguments: Vec<&[u8]> = vec![&incarnation];
        for (entry, stays) in entries.iter().zip(&stays) {
            arguments.extend([entry.as_slice(), stays.as_bytes()]);
        }
        let answer = self.link.run_twice(&APPEND, &self.keys, &arguments).await?;
        reply::stamp(answer.map_err(|error| failed(&error))?)
    }

    /// Reads entries, and the numbers of the log at the same moment.
    async fn look(&self, from: u64, most: usize) -> Result<Reply> {
        let numbers = [from.to_string(), most.to_string()];
        let arguments = [numbers[0].as_bytes(), numbers[1].as_bytes()];
        let ask = async || -> Result<Value> {
            let answer = self.link.run_twice(&READ, &self.keys, &arguments).await?;
            answer.map_err(|error| failed(&error))
        };
        if let Some(reply) = Reply::of(ask().await?)? {
            return Ok(reply);
        }
        // It is not there: it begins with the first who asks.
        self.add(&[]).await?;
        let missing = || Error::unavailable("the revocation log was lost once more");
        Reply::of(ask().await?)?.ok_or_else(missing)
    }
}

/// How long an entry stays, as far as the server can count.
fn milliseconds(life: u64) -> u64 {
    let seconds = life.saturating_add(MARGIN).min(Timestamp::MAX.unix());
    seconds * 1000
}

impl<C> RevocationLog for RedisLog<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn append(&self, facts: &[Draft], _now: Timestamp) -> Result<Stamp> {
        self.link.within(pin!(self.add(facts))).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        let reply = self.link.within(pin!(self.look(0, 0))).await?;
        Ok(reply.head)
    }

    async fn read(&self, from: u64, limit: usize, _now: Timestamp) -> Result<Page> {
        let limit = limit.clamp(1, PAGE);
        // One more than asked for, to know whether there are more.
        let reply = self.link.within(pin!(self.look(from, limit + 1))).await?;
        reply.page(from, limit)
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        self.link.within(pin!(self.add(&[]))).await.map(drop)
    }
}

impl<C> fmt::Debug for RedisLog<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: a type of the application's might show its password.
        f.debug_struct("RedisLog")
            .field("prefix", &self.prefix)
            .field("deadline", &self.link.deadline())
            .finish_non_exhaustive()
    }
}
