//! Listing the logins of a subject, through its index.

use redis::aio::ConnectionLike;

use crate::backend::redis::link::{bytes, items, unexpected};
use crate::backend::redis::store::{MAX_BATCH_ROWS, RedisStore, handle_of, script};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::partition;
use crate::store::listing::{Cursor, Listing, Page};

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Reads a page of a subject's index; the whole index without `limit`.
    pub(super) async fn index_page(
        &self,
        subject: &str,
        after: Option<Cursor>,
        limit: Option<usize>,
    ) -> Result<Vec<Cursor>> {
        let keys = [self.keys.index(partition(subject), subject)];
        let limit = limit.map_or("-1".to_owned(), |limit| limit.to_string());
        let deadline = after.map_or(String::new(), |after| after.deadline.unix().to_string());
        let mut arguments = vec![limit.as_bytes()];
        if let Some(after) = &after {
            arguments.extend([deadline.as_bytes(), after.handle.as_bytes()]);
        }
        let answer = self
            .link
            .run_idempotent(&script::PAGE, &keys, &arguments)
            .await?;
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
