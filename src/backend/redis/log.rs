//! Revocation log in Redis.

mod reply;

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use redis::aio::ConnectionLike;

use crate::backend::redis::Redis;
use crate::backend::redis::check;
use crate::backend::redis::link::items;
use crate::backend::redis::script::Script;
use crate::clock::Timestamp;
use crate::entropy::{self, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{MARGIN, NOT_BEGUN, Page, READ_ONLY, RevocationLog};
use reply::Reply;

static APPEND: Script = Script::new(include_str!("log/append.lua"));
static READ: Script = Script::new(concat!(
    include_str!("primary.lua"),
    include_str!("log/probe.lua"),
    include_str!("log/read.lua")
));
/// The same for a user that may not write.
static READ_ONLY_READ: Script = Script::new(concat!(
    include_str!("log/role.lua"),
    include_str!("log/read.lua")
));
static CHECK: Script = Script::new(concat!(
    include_str!("try.lua"),
    include_str!("log/check.lua")
));

/// Maximum number of entries per page. The server runs nothing else during a script.
///
/// Redis 7.0 took 3 us for each entry: 1.5 ms for 512, 2.7 ms for 1024, 5.4 ms for 2048, 11 ms for 4096 (best of
/// 30 in random order, 2026-11-30). Only a node that starts, or was away for long, reads full pages.
const MAX_PAGE_ENTRIES: usize = 1024;

/// A revocation log in Redis, from [`Redis::revocations`](crate::store::Redis::revocations).
///
/// # Cost
///
/// An append, a head, a read and a fence are one script each, and one round trip. The server sends
/// at most 1024 entries per read. The entries are a stream, and a hash beside it holds the numbers
/// of the log. On a Cluster both keys are on one node, which takes all appends. Entries expire by
/// the clock of the server.
///
/// # When the server loses data
///
/// The log starts over with a new incarnation when all or a part of it is missing: after
/// `FLUSHALL`, an eviction, or when one of its two keys is deleted by hand:
/// [`Event::LogLost`](crate::observer::Event::LogLost).
///
/// It comes back shorter, in the same incarnation, after a crash with `appendfsync everysec` or `no`, from an older
/// snapshot, or after a failover. Each follower that had read more, or appended more, reports
/// [`Event::LogShortened`](crate::observer::Event::LogShortened) and repairs the log. If all nodes have restarted too,
/// none remembers the lost entries: only a login that was stamped in the lost part shows the loss.
/// [`Redis::require_durable`](crate::store::Redis::require_durable) at the start refuses a server on which a crash
/// loses entries: without `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no`. It
/// checks neither failovers nor backups that an operator restores. See
/// [`Redis::durability`](crate::store::Redis::durability) for what survives which.
///
/// # When the connection is lost
///
/// If the answer to an append is lost, the append is sent a second time. Its entries may then be in
/// the log twice, which has the same effect as once.
pub struct RedisLog<C> {
    redis: Redis<C>,
    read_only: bool,
}

impl<C> RedisLog<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(redis: Redis<C>, read_only: bool) -> Self {
        Self { redis, read_only }
    }

    /// Returns the prefix of its keys.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.redis.keys.prefix()
    }

    /// Checks that the log can be read: runs each command of a reader, and names those that are
    /// missing. For a log of [`build_log_reader`](crate::store::RedisBuilder::build_log_reader). Call it
    /// at the start of the service. [`Redis::check`](crate::store::Redis::check) also checks the rights
    /// to write.
    ///
    /// # Errors
    ///
    /// *Misuse* that names each command to grant. *Unavailable* if the server could not answer, has
    /// no log, or is no primary.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        self.redis.link.within(pin!(self.check_all())).await
    }

    async fn check_all(&self) -> Result<()> {
        let Redis { link, keys, .. } = &self.redis;
        check::require_eval(link).await?;
        let found = link.run(&CHECK, &[keys.check_log()], &[]).await?;
        check::require_none(check::problems(items(found)?)?)?;
        self.fetch(0, 1).await.map(drop)
    }

    /// # Errors
    ///
    /// *Misuse* if this log may only be read.
    fn refuse_to_write(&self) -> Result<()> {
        if self.read_only {
            return Err(Error::misuse(READ_ONLY));
        }
        Ok(())
    }

    /// Appends entries and returns the new head. Writes to the server even without entries.
    async fn add(&self, facts: &[Draft]) -> Result<Stamp> {
        let keys = self.redis.keys.log();
        // The incarnation of the log, if this append creates it.
        let incarnation: [u8; 6] = entropy::draw(&SystemEntropy)?;
        let entries: Vec<_> = facts.iter().map(|draft| reply::encode(*draft)).collect();
        let lives: Vec<_> = facts
            .iter()
            .map(|draft| milliseconds(draft.life).to_string())
            .collect();
        let mut arguments: Vec<&[u8]> = vec![&incarnation];
        for (entry, life) in entries.iter().zip(&lives) {
            arguments.extend([entry.as_slice(), life.as_bytes()]);
        }
        let answer = self.redis.link.run(&APPEND, &keys, &arguments).await?;
        reply::stamp(answer)
    }

    /// Reads entries together with the numbers of the log. Creates the log if there is none, unless
    /// it may only be read.
    async fn fetch(&self, from: u64, limit: usize) -> Result<Reply> {
        let numbers = [from.to_string(), limit.to_string()];
        let arguments = [numbers[0].as_bytes(), numbers[1].as_bytes()];
        let keys = self.redis.keys.log();
        let script = if self.read_only {
            &READ_ONLY_READ
        } else {
            &READ
        };
        let read = || self.redis.link.run(script, &keys, &arguments);
        if let Some(reply) = Reply::of(read().await?)? {
            return Ok(reply);
        }
        if self.read_only {
            return Err(Error::could_not(NOT_BEGUN, None));
        }
        // There is no log, or it lost a part: the append starts a new one.
        self.add(&[]).await?;
        let missing = || Error::unavailable("the revocation log was lost again while it was read");
        Reply::of(read().await?)?.ok_or_else(missing)
    }
}

/// Returns how long the server keeps an entry, within the range of its numbers.
fn milliseconds(life: Duration) -> u64 {
    let seconds = life
        .saturating_add(MARGIN)
        .as_secs()
        .min(Timestamp::MAX.unix());
    seconds * 1000
}

impl<C> RevocationLog for RedisLog<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn append(&self, facts: &[Draft], _now: Timestamp) -> Result<Stamp> {
        self.refuse_to_write()?;
        self.redis.link.within(pin!(self.add(facts))).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        let reply = self.redis.link.within(pin!(self.fetch(0, 0))).await?;
        Ok(reply.head)
    }

    async fn read(&self, from: u64, limit: usize, _now: Timestamp) -> Result<Page> {
        let limit = limit.clamp(1, MAX_PAGE_ENTRIES);
        // One entry more than the limit shows whether there is another page.
        let reply = self
            .redis
            .link
            .within(pin!(self.fetch(from, limit + 1)))
            .await?;
        reply.page(from, limit)
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        self.refuse_to_write()?;
        let fence = pin!(self.add(&[]));
        self.redis.link.within(fence).await.map(drop)
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }
}

impl<C> fmt::Debug for RedisLog<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisLog").field(&self.redis).finish()
    }
}
