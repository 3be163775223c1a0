//! Creation of a row, within a limit.

use redis::aio::ConnectionLike;

use crate::backend::redis::link::{bytes, items, unexpected};
use crate::backend::redis::store::{RedisStore, handle_of, script, ttl_secs};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::partition;
use crate::store::answer::Created;
use crate::store::ask::Limit;
use crate::store::record::Record;

/// Time that an index is kept beyond its rows, because clocks differ.
const INDEX_MARGIN_SECS: u64 = 86_400;

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Inserts a row, and evicts others if the limit requires it.
    pub(super) async fn insert(
        &self,
        record: &Record,
        limit: Limit,
        now: Timestamp,
    ) -> Result<Created> {
        let (handle, subject) = (record.handle(), record.subject());
        if handle.partition() != partition(subject) {
            return Err(Error::misuse(
                "the handle of the record is not in the partition of its subject: use a handle \
                 that the authenticator has drawn",
            ));
        }
        let (max_rows, evicts) = match limit {
            Limit::Unlimited => (String::new(), "0"),
            Limit::Reject(max) => (max.to_string(), "0"),
            Limit::EvictOldest(max) => (max.to_string(), "1"),
        };
        let idle = ttl_secs(record.idle().as_secs());
        let row_ttl = if record.is_alive(now) {
            idle.saturating_sub(now.saturating_since(record.last_seen()))
        } else {
            0
        };
        let remaining = record.deadline().saturating_since(now);
        let index_ttl = remaining
            .saturating_add(idle)
            .saturating_add(INDEX_MARGIN_SECS);
        let number = |number: u64| number.to_string().into_bytes();
        let mut keys = vec![
            self.0.keys.index(handle.partition(), subject),
            self.0.keys.row(handle),
        ];
        let mut arguments = vec![
            number(now.unix()),
            number(record.deadline().unix()),
            handle.as_bytes().to_vec(),
            number(row_ttl * 1000),
            number(ttl_secs(index_ttl) * 1000),
            max_rows.into_bytes(),
            evicts.into(),
            record.encode(),
        ];
        let (fixed_keys, fixed_arguments) = (keys.len(), arguments.len());
        loop {
            let given: Vec<_> = arguments.iter().map(Vec::as_slice).collect();
            // Not idempotent: a second run would report a duplicate.
            let answer = self.0.link.run_once(&script::CREATE, &keys, &given).await?;
            let mut answer = items(answer)?.into_iter();
            let outcome = bytes(answer.next().unwrap_or_default())?;
            match outcome.as_deref() {
                Some(b"stored") => {
                    if row_ttl == idle {
                        self.0.uses.note(handle, now, record.idle().as_secs());
                    }
                    let evicted = answer.map(handle_of).collect::<Result<_>>()?;
                    return Ok(Created::Stored { evicted });
                }
                Some(b"duplicate") => return Ok(Created::Duplicate),
                Some(b"limit") => return Ok(Created::LimitReached),
                Some(b"members") => {
                    keys.truncate(fixed_keys);
                    arguments.truncate(fixed_arguments);
                    for member in answer {
                        let member = handle_of(member)?;
                        keys.push(self.0.keys.row(member));
                        arguments.push(member.as_bytes().to_vec());
                    }
                }
                _ => return Err(unexpected()),
            }
        }
    }
}
