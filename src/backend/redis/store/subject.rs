//! Operations on the logins of a subject, through its index.

use redis::aio::ConnectionLike;

use crate::backend::redis::link::{bytes, items, number, unexpected};
use crate::backend::redis::store::row::{Row, decode};
use crate::backend::redis::store::{MAX_BATCH_ROWS, RedisStore, handle_of, script};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::{Handle, partition};
use crate::store::ask::Scope;
use crate::store::listing::{Cursor, Listing, Page};
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
        let mut keys = vec![self.0.keys.index(partition, subject)];
        keys.extend(rows.iter().map(|(handle, _)| self.0.keys.row(*handle)));
        let arguments: Vec<&[u8]> = rows
            .iter()
            .flat_map(|(handle, head)| [&handle.as_bytes()[..], head])
            .collect();
        let answer = self.0.link.run(&script::REMOVE, &keys, &arguments).await?;
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

    /// Removes those of some rows that `scope` covers. Returns their number, and the handles of
    /// rows that changed meanwhile and must be read again.
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

    /// Reads a page of a subject's index; the whole index without `limit`.
    pub(super) async fn index_page(
        &self,
        subject: &str,
        after: Option<Cursor>,
        limit: Option<usize>,
    ) -> Result<Vec<Cursor>> {
        let keys = [self.0.keys.index(partition(subject), subject)];
        let limit = limit.map_or("-1".to_owned(), |limit| limit.to_string());
        let deadline = after.map_or(String::new(), |after| after.deadline.unix().to_string());
        let mut arguments = vec![limit.as_bytes()];
        if let Some(after) = &after {
            arguments.extend([deadline.as_bytes(), after.handle.as_bytes()]);
        }
        let answer = self.0.link.run(&script::PAGE, &keys, &arguments).await?;
        let mut answer = items(answer)?.into_iter();
        let mut cursors = Vec::new();
        while let Some(member) = answer.next() {
            let deadline = bytes(answer.next().unwrap_or_default())?.unwrap_or_default();
            let deadline = std::str::from_utf8(&deadline).ok();
            let deadline = deadline.and_then(|deadline| deadline.parse().ok());
            cursors.push(Cursor {
                deadline: Timestamp::from_unix(deadline.ok_or_else(unexpected)?),
                handle: handle_of(member)?,
            });
        }
        Ok(cursors)
    }

    pub(super) async fn listing(
        &self,
        subject: &str,
        page: Page,
        now: Timestamp,
    ) -> Result<Listing> {
        let limit = page.limit.max(1);
        let (mut records, mut after) = (Vec::new(), page.after);
        loop {
            // One row more than the limit shows whether there is another page.
            let wanted = (limit - records.len())
                .saturating_add(1)
                .min(MAX_BATCH_ROWS);
            let cursors = self.index_page(subject, after, Some(wanted)).await?;
            let handles: Vec<_> = cursors.iter().map(|cursor| cursor.handle).collect();
            if handles.is_empty() {
                return Ok(Listing::new(records, None));
            }
            for (handle, row) in handles.iter().zip(self.read_all(&handles).await?) {
                let record = row.and_then(|row| row.record(*handle, now).ok());
                let Some(record) = record.filter(|record| record.is_alive(now)) else {
                    continue;
                };
                if records.len() == limit {
                    let next = records.last().map(Cursor::from);
                    return Ok(Listing::new(records, next));
                }
                records.push(record);
            }
            if cursors.len() < wanted {
                return Ok(Listing::new(records, None));
            }
            after = cursors.last().copied();
        }
    }
}
