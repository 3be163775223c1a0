//! Sessions in Redis.

mod change;
mod create;
mod load;
pub(crate) mod recent_uses;
mod row;
mod script;
mod subject;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use redis::Value;
use redis::aio::ConnectionLike;

use crate::backend::redis::Redis;
use crate::backend::redis::link::{bytes, number, unexpected};
use crate::backend::server_clock::{self, ServerClock};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::answer::{Changed, Created, Removed, Rotated, Swept};
use crate::store::ask::{Limit, Load, Rotation, Scope};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};
use crate::upkeep::Upkeep;

/// Maximum number of rows per script. The server runs nothing else during a script.
const MAX_BATCH_ROWS: usize = 256;

/// Sessions in Redis, from [`Redis::sessions`].
///
/// # Cost
///
/// A verification is one `GETEX`, with or without noting a use; one script if it is
/// [passive](crate::Presented::passive). Noting the use takes one script
/// more if this process has not met the session before, or if the idle timeout of the session is
/// longer than that of the policy. Every other operation is one script, and one more script where a
/// limit is reached or a row is replaced.
/// A list reads up to 2048 members of the index at a time, and a logout everywhere removes as many, in
/// scripts of at most 256 rows, so that no script blocks the server for long: each takes about a millisecond.
/// A logout everywhere reads the next members while it removes these.
///
/// The index keeps the members of expired sessions until a list, a limit or a later login of the user
/// finds that their rows are gone. A login removes up to 16 of them from an index with more than 64
/// members, with one script more.
///
/// # Evictions
///
/// A logout everywhere, a list and a limit find the logins of a user by an index, a key of its own. A
/// server that evicts keys takes the index and leaves logins. Every operation that relies on an index
/// asks the server in the same script, and is *unavailable* if it may have evicted keys; so is a
/// login, once per second. A logout of one session, a verification and a refresh rely on no index.
///
/// | server | logout everywhere, list, limit, login |
/// |---|---|
/// | `maxmemory-policy noeviction`, or `maxmemory 0` | work |
/// | any other policy with a memory limit | *unavailable*; [`check`](Redis::check) is *misuse* |
/// | has evicted keys since its start (`evicted_keys` of `INFO stats`) | the same, under every policy |
/// | `INFO` is forbidden or renamed | the same, unless you set [`assume_durable`] |
///
/// A server forgets its evictions when it restarts, after `CONFIG RESETSTAT` and in a failover. After
/// evictions, delete all keys with the prefix before that: rows without an index may remain, which a
/// logout everywhere does not find.
///
/// [`assume_durable`]: crate::store::RedisBuilder::assume_durable
///
/// # Two clocks
///
/// The server enforces the idle timeout, through the time to live of the row. The deadline is
/// compared with the `now` of each call. The upkeep compares the two clocks once a minute, and reports
/// [`Event::ClockSkew`](crate::observer::Event::ClockSkew). The server deletes a row at the latest one
/// idle timeout after its deadline, so there is nothing to sweep. A row that is found expired is
/// removed.
///
/// # Counting
///
/// There is no count of all live sessions: the server has no index of them, and a `SCAN` visits every
/// key of every node. Count the logins of one user with
/// [`sessions`](crate::session::SessionAuthenticator::sessions), and all of them from the events of an
/// [observer](crate::observer).
///
/// # Security
///
/// The command that reads a row also notes its use, before the credential is verified. Knowing
/// a handle, an attacker can keep that session from becoming idle until its deadline, and can do
/// nothing else with it. Noting the use after the verification would take a second command. The
/// handle is the public part of a credential and the name of its row; it is neither logged nor
/// shown.
pub struct RedisStore<C>(pub(crate) Redis<C>);

impl<C> RedisStore<C> {
    /// Returns the prefix of its keys.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.keys.prefix()
    }
}

/// Returns the handle of an answer.
fn handle_of(answer: Value) -> Result<Handle> {
    let bytes = bytes(answer)?.and_then(|bytes| bytes.try_into().ok());
    bytes.map(Handle::from_bytes).ok_or_else(unexpected)
}

/// Limits seconds to a time to live that the server accepts.
fn ttl_secs(seconds: u64) -> u64 {
    seconds.clamp(1, Timestamp::MAX.unix())
}

impl<C> SessionStore for RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let act = pin!(self.insert(record, limit, now));
        self.0.link.within(act).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.find(handle, load, now).await
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let act = pin!(self.rotate_row(handle, rotation, now));
        Ok(self.0.link.within(act).await?.into())
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let act = pin!(self.change_row(handle, now, change));
        self.0.link.within(act).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        let keys = [self.0.keys.row(handle)];
        let (generation, stored) = (generation.to_be_bytes(), now.unix().to_be_bytes());
        let now = now.unix().to_string();
        let arguments = [now.as_bytes(), &generation, &stored];
        let act = self.0.link.run(&script::CONFIRM, &keys, &arguments);
        // Boxed to keep the future of a verification small, of which it is a rare part.
        self.0.link.within(Box::pin(act)).await.map(drop)
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        // Without the uses that a load has noted already.
        let is_new = |(handle, seen_at): &&(Handle, Timestamp)| {
            self.0.uses.last(*handle).is_none_or(|last| last < *seen_at)
        };
        let uses: Vec<_> = uses.iter().filter(is_new).copied().collect();
        if uses.is_empty() {
            return Ok(());
        }
        let act = Box::pin(self.touch_rows(&uses, now));
        self.0.link.within(act).await?;
        for (handle, seen_at) in uses {
            self.0.uses.touch(handle, seen_at);
        }
        Ok(())
    }

    async fn remove(&self, handle: Handle, subject: &str, _now: Timestamp) -> Result<Removed> {
        let rows = [(handle, &[][..])];
        // The partition of the handle, not of `subject`: a wrong subject must not select another
        // node.
        let act = self.remove_rows(handle.partition(), subject, &rows);
        let (count, _) = self.0.link.within(Box::pin(act)).await?;
        Ok(Removed::at_once(count))
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        let act = pin!(self.remove_scope(subject, scope, now));
        let count = self.0.link.within(act).await?;
        Ok(Removed::at_once(count))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let act = pin!(self.listing(subject, page, now));
        self.0.link.within(act).await
    }

    async fn sweep(&self, _limit: usize, _now: Timestamp) -> Result<Swept> {
        // The server deletes expired rows.
        Ok(Swept::new(0, false))
    }

    fn upkeep(&self) -> Upkeep {
        server_clock::upkeep(&Arc::new(self.0.clone()))
    }
}

impl<C> ServerClock for Redis<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn server_time(&self) -> Result<Timestamp> {
        let key = [self.keys.check(0)];
        let act = pin!(self.link.run(&script::TIME, &key, &[]));
        let seconds = number(&self.link.within(act).await?)?;
        let seconds = u64::try_from(seconds).map_err(|_| unexpected())?;
        Ok(Timestamp::from_unix(seconds))
    }
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStore").field(&self.0).finish()
    }
}
