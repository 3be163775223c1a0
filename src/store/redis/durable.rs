//! What a server says about keeping what it acknowledges.

use std::pin::pin;

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};

use crate::durability::{Durability, Survives};
use crate::error::Result;
use crate::store::redis::RedisStore;
use crate::store::redis::link::{Link, failed};

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

/// What survives a crash, by what the server says.
pub(crate) async fn crash<C>(link: &Link<C>) -> Result<Survives>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let mut command = redis::cmd("INFO");
    command.arg("persistence");
    let answer = link.send_twice(&command).await;
    let Some(info) = told(answer)? else {
        return Ok(Survives::Unknown);
    };
    let mut reports = Vec::new();
    texts(&info, &mut reports);
    if reports
        .iter()
        .any(|report| report.contains("aof_enabled:0"))
    {
        return Ok(Survives::NotAll);
    }
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("*append*");
    let answer = link.send_twice(&command).await;
    let Some(config) = told(answer)? else {
        return Ok(Survives::Unknown);
    };
    let mut words = Vec::new();
    texts(&config, &mut words);
    let (pairs, _) = words.as_chunks::<2>();
    let is = |name: &str, value: &str| {
        let found = pairs.iter().find(|[known, _]| known == name);
        found.map(|[_, known]| known == value)
    };
    let durable = [
        is("appendonly", "yes"),
        is("appendfsync", "always"),
        is("no-appendfsync-on-rewrite", "no"),
    ];
    // Of a Cluster each primary has reported, but only one of its nodes was configured so.
    let whole = !matches!(info, Value::Map(_));
    Ok(match durable {
        _ if durable.contains(&Some(false)) => Survives::NotAll,
        [Some(true), Some(true), Some(true)] if whole => Survives::All,
        _ => Survives::Unknown,
    })
}

/// What the server says, if it is not one that refuses to.
fn told(answer: RedisResult<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code().is_some() && !error.is_cluster_error() => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// All texts of an answer, whatever its shape.
fn texts(answer: &Value, into: &mut Vec<String>) {
    match answer {
        Value::BulkString(bytes) => into.push(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => into.push(text.clone()),
        Value::Array(items) | Value::Set(items) => {
            items.iter().for_each(|item| texts(item, into));
        }
        Value::Map(items) => items.iter().for_each(|(key, value)| {
            texts(key, into);
            texts(value, into);
        }),
        _ => {}
    }
}
