//! The configuration of a Redis store.

use std::fmt;
use std::time::Duration;

use redis::aio::ConnectionLike;

use crate::backend::redis::keys::Keys;
use crate::backend::redis::link::{DEADLINE, Link};
use crate::backend::redis::store::RedisStore;
use crate::backend::redis::store::uses::Uses;
use crate::error::Result;

/// A complete configuration: [`build`](Self::build) it, or go on.
#[must_use = "a builder does nothing until it is built"]
pub struct RedisStoreBuilder<C> {
    connection: C,
    prefix: String,
    deadline: Duration,
    assume_durable: bool,
}

impl<C> RedisStoreBuilder<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: "statewise:".to_owned(),
            deadline: DEADLINE,
            assume_durable: false,
        }
    }

    /// What all keys begin with, so that several applications may share a server. At most 128
    /// bytes, without braces and control characters. Default: `statewise:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long each call of the store may take at most, after which it is *unavailable*. The
    /// client's own response timeout counts as well, if it is shorter. What may be done twice, such
    /// as a read, is asked once more when half of it has passed. Default: 2 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Vouches for a server that cannot tell whether what it acknowledged survives a crash: see
    /// [`RedisStore::require_durable`].
    pub fn assume_durable(mut self) -> Self {
        self.assume_durable = true;
        self
    }

    /// The store. Asks the server nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* if the prefix could escape a key, or the deadline is zero.
    pub fn build(self) -> Result<RedisStore<C>> {
        Ok(RedisStore {
            link: Link::new(self.connection, self.deadline)?,
            keys: Keys::new(self.prefix)?,
            uses: Uses::new(),
            assume_durable: self.assume_durable,
        })
    }
}

impl<C> fmt::Debug for RedisStoreBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("assume_durable", &self.assume_durable)
            .finish_non_exhaustive()
    }
}
