//! Creation of a row, within a limit.

use redis::aio::ConnectionLike;

use crate::backend::redis::link::{bytes, items, unexpected};
use crate::backend::redis::store::{MAX_BATCH_ROWS, RedisStore, handle_of, script, ttl_secs};
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
        let max = limit.max().map(|max| max as usize);
        let evicts = limit.evicts();
        // More members than this are removed first, in scripts of their own.
        let most = max.unwrap_or_default().saturating_add(MAX_BATCH_ROWS);
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
        // A login without a limit does not rely on the index.
        let asks = max.is_some() || self.0.asks_for_eviction(now);
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
            max.map_or(Vec::new(), |max| number(max as u64)),
            number(u64::from(evicts) + u64::from(limit.is_by_use())),
            record.encode(),
            number(asks.into()),
            number(self.0.assume_durable.into()),
            number(most as u64),
        ];
        let (fixed_keys, fixed_arguments) = (keys.len(), arguments.len());
        let mut all_evicted = Vec::new();
        loop {
            let given: Vec<_> = arguments.iter().map(Vec::as_slice).collect();
            // Not idempotent: a second run would report a duplicate.
            let answer = self.0.link.run_once(&script::CREATE, &keys, &given).await?;
            let mut answer = items(answer)?.into_iter();
            let outcome = bytes(answer.next().unwrap_or_default())?.unwrap_or_default();
            let named = answer.map(handle_of).collect::<Result<Vec<_>>>()?;
            let members = match &*outcome {
                b"stored" | b"large" => {
                    if row_ttl == idle {
                        self.0.uses.note(handle, now, record.idle().as_secs());
                    }
                    if asks {
                        self.0.note_no_eviction(now);
                    }
                    if &*outcome == b"large" {
                        // The login is stored, whether this succeeds or not.
                        let _ = Box::pin(self.prune(subject, &named)).await;
                    } else {
                        all_evicted.extend(named);
                    }
                    return Ok(Created::Stored {
                        evicted: all_evicted,
                    });
                }
                b"duplicate" => return Ok(Created::Duplicate),
                b"limit" => return Ok(Created::LimitReached),
                b"members" => named,
                b"many" => {
                    let mut live = Box::pin(self.prune_all(subject, now)).await?;
                    let max = max.unwrap_or_default();
                    if evicts && live.len() > most {
                        if limit.is_by_use() {
                            live = Box::pin(self.by_use(&live, now)).await?;
                        }
                        // Logins beyond the limit end, whether the new one is stored or not.
                        let newest = live.split_off(live.len() - max);
                        Box::pin(self.remove_many(subject, &live, &[])).await?;
                        all_evicted.append(&mut live);
                        live = newest;
                    }
                    // The newest suffice to refuse the login.
                    live.split_off(live.len().saturating_sub(most))
                }
                other => {
                    self.0.require_index(other)?;
                    return Err(unexpected());
                }
            };
            keys.truncate(fixed_keys);
            arguments.truncate(fixed_arguments);
            for member in members {
                keys.push(self.0.keys.row(member));
                arguments.push(member.as_bytes().to_vec());
            }
        }
    }
}
