//! Durability of a Redis server, from its own configuration.

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};

use crate::backend::durability::Survives;
use crate::backend::redis::link::{Link, failed};
use crate::error::Result;

/// Asks the server for the configuration that decides what survives a crash.
pub(crate) async fn crash<C>(link: &Link<C>) -> Result<Survives>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let mut command = redis::cmd("INFO");
    command.arg("persistence");
    let answer = link.send_idempotent(&command, link.until()).await?;
    let Some(info) = permitted(answer)? else {
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
    let answer = link.send_idempotent(&command, link.until()).await?;
    let Some(config) = permitted(answer)? else {
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
    // On a Cluster, INFO is answered by each primary, but CONFIG by one node only.
    let is_single = !matches!(info, Value::Map(_));
    Ok(match durable {
        _ if durable.contains(&Some(false)) => Survives::NotAll,
        [Some(true), Some(true), Some(true)] if is_single => Survives::All,
        _ => Survives::Unknown,
    })
}

/// Returns the answer, or `None` if the server refuses the command.
fn permitted(answer: RedisResult<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code().is_some() && !error.is_cluster_error() => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// Collects all texts of an answer of any shape.
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
