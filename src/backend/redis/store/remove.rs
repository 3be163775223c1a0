//! Removal of rows.

use redis::aio::ConnectionLike;

use crate::backend::redis::link::{items, number};
use crate::backend::redis::store::row::{Row, decode};
use crate::backend::redis::store::{MAX_BATCH_ROWS, RedisStore, handle_of, script};
use crate::error::Result;
use crate::login::handle::{Handle, partition};
use crate::store::ask::Scope;
use crate::store::record::Record;

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Removes an expired row, so that a clock that is set back does not revive it.
    pub(super) async fn remove_expired(&self, record: &Record) -> Result<()> {
        let handle = record.handle();
        let rows = [(handle, &[][..])];
        self.remove_rows(handle.partition(), record.subject(), &rows)
            .await
            .map(drop)
    }

    /// Removes rows of a subject, each if its head is still the given one; an empty head matches
    /// any. Returns the number of removed rows, and the handles of rows with another head.
    pub(super) async fn remove_rows(
        &self,
        partition: u16,
        subject: &str,
        rows: &[(Handle, &[u8])],
    ) -> Result<(u64, Vec<Handle>)> {
        let mut keys = vec![self.keys.index(partition, subject)];
        keys.extend(rows.iter().map(|(handle, _)| self.keys.row(*handle)));
        let arguments: Vec<&[u8]> = rows
            .iter()
            .flat_map(|(handle, head)| [&handle.as_bytes()[..], head])
            .collect();
        let answer = self
            .link
            .run_idempotent(&script::REMOVE, &keys, &arguments)
            .await?;
        let mut answer = items(answer)?.into_iter();
        let count = number(&answer.next().unwrap_or_default())?;
        let changed = answer.map(handle_of).collect::<Result<_>>()?;
        Ok((u64::try_from(count).unwrap_or_default(), changed))
    }

    /// Removes the rows of a subject that `scope` covers, and returns their number.
    pub(super) async fn remove_scope(&self, subject: &str, scope: Scope) -> Result<u64> {
        let handles: Vec<_> = self
            .index_page(subject, None, None)
            .await?
            .into_iter()
            .map(|cursor| cursor.handle)
            .filter(|handle| scope.keep != Some(*handle))
            .collect();
        let mut count = 0;
        for batch in handles.chunks(MAX_BATCH_ROWS) {
            let mut batch = batch.to_vec();
            while !batch.is_empty() {
                let (removed, changed) = self.remove_batch(subject, &scope, &batch).await?;
                count += removed;
                batch = changed;
            }
        }
        Ok(count)
    }

    /// Removes those of some rows that `scope` covers. Returns their number, and the handles of rows
    /// that changed meanwhile and must be read again.
    async fn remove_batch(
        &self,
        subject: &str,
        scope: &Scope,
        handles: &[Handle],
    ) -> Result<(u64, Vec<Handle>)> {
        let partition = partition(subject);
        if scope.before.is_none() {
            let rows: Vec<_> = handles.iter().map(|handle| (*handle, &[][..])).collect();
            return self.remove_rows(partition, subject, &rows).await;
        }
        let rows = self.read_all(handles).await?;
        let covered: Vec<_> = handles
            .iter()
            .zip(&rows)
            .filter_map(|(handle, row)| {
                let head = row.as_ref().map_or(&[][..], Row::head);
                let record = row
                    .as_ref()
                    .and_then(|row| decode(&row.bytes, *handle).ok());
                // A row that does not decode has no known stamp, so it is covered.
                record
                    .is_none_or(|record| record.is_in(scope))
                    .then_some((*handle, head))
            })
            .collect();
        if covered.is_empty() {
            return Ok((0, Vec::new()));
        }
        self.remove_rows(partition, subject, &covered).await
    }
}
