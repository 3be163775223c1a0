//! Operations on the logins of a subject, through its index.

use redis::Value;
use redis::aio::ConnectionLike;

use crate::backend::redis::link::{all, both, bytes, items, number, unexpected};
use crate::backend::redis::store::row::{Row, decode};
use crate::backend::redis::store::{MAX_BATCH_ROWS, RedisStore, handle_of, script};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::{Handle, partition};
use crate::store::ask::Scope;
use crate::store::listing::{Cursor, Listing, Page};
use crate::store::record::Record;

/// Maximum number of members of an index per script. The server runs nothing else during a script, and a server
/// far away needs few round trips.
///
/// A logout everywhere of 100 000 logins, Redis 7.0, release build: the time of the script (lowest median of a
/// round), and of the whole logout (best of 3 to 14 rounds in random order, 2026-11-30).
///
/// | members | script | unix socket | 1 ms away | 10 ms away |
/// |---|---|---|---|---|
/// | 512 | 0.22 ms | 0.43 s | 0.70 s | 2.5 s |
/// | 1024 | 0.38 ms | 0.44 s | 0.63 s | 1.5 s |
/// | 2048 | 0.62 ms | 0.39 s | 0.48 s | 1.0 s |
/// | 4096 | 1.2 ms | 0.44 s | 0.45 s | 0.9 s |
///
/// A script that returned 4096 members with the deadline of each took 4.0 ms at best, and 4.6 ms in the median.
const MAX_PAGE_MEMBERS: usize = 2048;
/// Head that no row has. A removal with it removes the members of the index that have no row.
const ABSENT: &[u8] = b"-";

/// A page of an index.
struct IndexPage {
    /// In the order of their deadlines.
    handles: Vec<Handle>,
    /// Number of handles after their deadline.
    over: usize,
    /// Place of the last handle; `None` if there is none.
    last: Option<Cursor>,
    /// *Unavailable* if the server may have evicted the index, so that members are missing.
    is_complete: Result<()>,
}

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

    /// Removes many rows of a subject, in scripts that run at the same time. Rows with a head other
    /// than `head` stay, and their handles are returned.
    pub(super) async fn remove_many(
        &self,
        subject: &str,
        handles: &[Handle],
        head: &[u8],
    ) -> Result<Vec<Handle>> {
        let batches = handles.chunks(MAX_BATCH_ROWS).map(|batch| async move {
            let rows: Vec<_> = batch.iter().map(|handle| (*handle, head)).collect();
            self.remove_rows(partition(subject), subject, &rows).await
        });
        let removed = all(batches).await?;
        Ok(removed.into_iter().flat_map(|(_, stay)| stay).collect())
    }

    /// Removes members of the index that have no row. Returns the others.
    pub(super) async fn prune(&self, subject: &str, handles: &[Handle]) -> Result<Vec<Handle>> {
        self.remove_many(subject, handles, ABSENT).await
    }

    /// Removes all members of the index that have no row, or are past their deadline, with their
    /// rows. Returns the others, oldest first.
    pub(super) async fn prune_all(&self, subject: &str, now: Timestamp) -> Result<Vec<Handle>> {
        let (mut live, mut next) = (Vec::new(), self.full_page(subject, None, now).await?);
        while let Some(page) = next {
            let (over, rest) = page.handles.split_at(page.over);
            let prune = async {
                self.remove_many(subject, over, &[]).await?;
                self.prune(subject, rest).await
            };
            let (stay, following) = both(prune, self.page_after(subject, &page, now)).await;
            live.extend(stay?);
            next = following?;
        }
        Ok(live)
    }

    /// Returns logins of a subject in the order of their last use. Keeps the order of those with the
    /// same last use, and puts rows that are gone or do not decode first.
    pub(super) async fn by_use(&self, handles: &[Handle], now: Timestamp) -> Result<Vec<Handle>> {
        let batches = handles.chunks(MAX_BATCH_ROWS);
        let rows = all(batches.map(|batch| self.read_all(batch))).await?;
        let last_seen = |(row, handle): (Option<Row>, &Handle)| {
            let record = row.and_then(|row| row.record(*handle, now).ok());
            (record.map(|record| record.last_seen()), *handle)
        };
        let rows = rows.into_iter().flatten().zip(handles);
        let mut logins: Vec<_> = rows.map(last_seen).collect();
        logins.sort_by_key(|(last_seen, _)| *last_seen);
        Ok(logins.into_iter().map(|(_, handle)| handle).collect())
    }

    /// Removes the rows of a subject that `scope` covers, and returns their number.
    pub(super) async fn remove_scope(
        &self,
        subject: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<u64> {
        let (mut count, mut is_complete) = (0, Ok(()));
        let mut next = self.full_page(subject, None, now).await?;
        while let Some(page) = next {
            let is_covered = |handle: &Handle| scope.keep != Some(*handle);
            let handles: Vec<_> = page.handles.iter().copied().filter(is_covered).collect();
            let batches = handles.chunks(MAX_BATCH_ROWS).map(|batch| async {
                let (mut batch, mut count) = (batch.to_vec(), 0);
                while !batch.is_empty() {
                    let (removed, changed) = self.remove_batch(subject, &scope, &batch).await?;
                    count += removed;
                    batch = changed;
                }
                Ok(count)
            });
            let following = self.page_after(subject, &page, now);
            let (counts, following) = both(all(batches), following).await;
            count += counts?.iter().sum::<u64>();
            is_complete = is_complete.and(page.is_complete);
            next = following?;
        }
        // The members that were found are removed in any case.
        is_complete.map(|()| count)
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

    /// Reads a page of a subject's index with as many members as a script may read.
    async fn full_page(
        &self,
        subject: &str,
        after: Option<Cursor>,
        now: Timestamp,
    ) -> Result<Option<IndexPage>> {
        let page = self.index_page(subject, after, MAX_PAGE_MEMBERS, now);
        page.await.map(Some)
    }

    /// Reads the page after a full one, beside the work on that one: a server far away needs one round trip
    /// for both. `None` if that one is the last.
    async fn page_after(
        &self,
        subject: &str,
        page: &IndexPage,
        now: Timestamp,
    ) -> Result<Option<IndexPage>> {
        match page.handles.len() == MAX_PAGE_MEMBERS {
            true => self.full_page(subject, page.last, now).await,
            false => Ok(None),
        }
    }

    /// Reads a page of a subject's index.
    async fn index_page(
        &self,
        subject: &str,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<IndexPage> {
        let keys = [self.0.keys.index(partition(subject), subject)];
        let (limit, now) = (limit.to_string(), now.unix().to_string());
        let deadline = after.map_or(String::new(), |after| after.deadline.unix().to_string());
        let mut arguments = vec![limit.as_bytes(), now.as_bytes()];
        if let Some(after) = &after {
            arguments.extend([deadline.as_bytes(), after.handle.as_bytes()]);
        }
        let answer = self.0.link.run(&script::PAGE, &keys, &arguments).await?;
        let [over, deadline, eviction, handles] =
            <[Value; 4]>::try_from(items(answer)?).map_err(|_| unexpected())?;
        let eviction = bytes(eviction)?.unwrap_or_default();
        let handles = items(handles)?.into_iter().map(handle_of);
        let handles: Vec<Handle> = handles.collect::<Result<_>>()?;
        let over = usize::try_from(number(&over)?).ok();
        let over = over.filter(|over| *over <= handles.len());
        let last = match handles.last() {
            Some(handle) => {
                let deadline = bytes(deadline)?.unwrap_or_default();
                let deadline = std::str::from_utf8(&deadline).ok();
                let deadline = deadline.and_then(|deadline| deadline.parse().ok());
                Some(Cursor {
                    deadline: Timestamp::from_unix(deadline.ok_or_else(unexpected)?),
                    handle: *handle,
                })
            }
            None => None,
        };
        Ok(IndexPage {
            handles,
            over: over.ok_or_else(unexpected)?,
            last,
            is_complete: self.0.require_index(&eviction),
        })
    }

    pub(super) async fn listing(
        &self,
        subject: &str,
        page: Page,
        now: Timestamp,
    ) -> Result<Listing> {
        let limit = page.limit.max(1);
        let mut records = Vec::new();
        // One row more than the limit shows whether there is another page.
        let mut wanted = limit.saturating_add(1).min(MAX_BATCH_ROWS);
        let mut index = self.index_page(subject, page.after, wanted, now).await?;
        loop {
            let handles = index.handles;
            index.is_complete?;
            let batches = handles.chunks(MAX_BATCH_ROWS);
            let rows = all(batches.map(|batch| self.read_all(batch))).await?;
            let rows: Vec<_> = rows.into_iter().flatten().collect();
            let no_row = |(handle, row): (&Handle, &Option<Row>)| row.is_none().then_some(*handle);
            let gone: Vec<_> = handles.iter().zip(&rows).filter_map(no_row).collect();
            let is_live = |record: &Record| record.is_alive(now);
            let live = handles.iter().zip(rows).filter_map(|(handle, row)| {
                let record = row.and_then(|row| row.record(*handle, now).ok());
                record.filter(is_live)
            });
            let mut live = live.fuse();
            records.extend(live.by_ref().take(limit - records.len()));
            let has_more = live.next().is_some();
            // A server that cannot write still lists.
            if has_more || handles.len() < wanted {
                let _ = self.prune(subject, &gone).await;
                let next = records.last().filter(|_| has_more).map(Cursor::from);
                return Ok(Listing::new(records, next));
            }
            // Most of these logins have expired: read more at once.
            wanted = (wanted * 16).min(MAX_PAGE_MEMBERS);
            let next = self.index_page(subject, index.last, wanted, now);
            let (_, next) = both(self.prune(subject, &gone), next).await;
            index = next?;
        }
    }
}
