//! What a server says about keeping what it acknowledges.

use std::pin::pin;

use redis::aio::ConnectionLike;

use crate::backend::durability::{Durability, Survives};
use crate::backend::redis::durability::crash;
use crate::backend::redis::store::RedisStore;
use crate::error::Result;

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// What the server says about keeping what it acknowledges, by its configuration of now.
    ///
    /// | configuration | after a crash |
    /// |---|---|
    /// | `appendonly yes`, `appendfsync always`, `no-appendfsync-on-rewrite no` | all |
    /// | any other | not all: about the last second, or everything since the last snapshot |
    /// | `CONFIG` forbidden, as by many hosting services | unknown |
    /// | a Cluster whose nodes all have an append-only file | unknown: a client cannot ask each |
    ///
    /// A failover keeps *not all*: replicas are told after the client is. With
    /// `min-replicas-to-write` a primary that has lost its replicas refuses writes, and also
    /// verifications, after `min-replicas-max-lag`.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        let crash = self.link.within(pin!(crash(&self.link))).await?;
        Ok(Durability::new(crash, Survives::NotAll))
    }

    /// Fails unless everything that was acknowledged survives a crash of the server: for a service
    /// that must not see a logout undone, at its start. What the server cannot tell fails too,
    /// unless the operator vouches with
    /// [`assume_durable`](crate::store::RedisStoreBuilder::assume_durable).
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
}
