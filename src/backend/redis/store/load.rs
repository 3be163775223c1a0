//! Reading rows, and noting their use.

use redis::Cmd;
use redis::aio::ConnectionLike;
use tokio::time::Instant;

use crate::backend::redis::link::{bytes, cannot_save, failed, items};
use crate::backend::redis::store::row::{Row, decode};
use crate::backend::redis::store::{MAX_BATCH_ROWS, RedisStore, script, ttl_secs};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::store::ask::Load;
use crate::store::record::Record;

/// Bytes of a `GETEX` command apart from its key.
const GETEX_BYTES: usize = 32;

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Reads a row and notes its use, in one command. Enforces the deadline. The rare paths are
    /// boxed to keep the future small.
    pub(super) async fn find(
        &self,
        handle: Handle,
        load: Load,
        now: Timestamp,
    ) -> Result<Option<Record>> {
        let Some(idle) = load.touch else {
            // By the time to live of the row, its last use is known.
            let act = Box::pin(self.find_read_only(handle, now));
            return self.0.link.within(act).await;
        };
        let ttl = self.0.uses.ttl_to_set(handle, idle.as_secs(), now);
        let key = self.0.keys.row(handle);
        let mut command = Cmd::with_capacity(4, key.len() + GETEX_BYTES);
        command.arg("GETEX").arg(&key);
        if let Some(seconds) = ttl {
            command.arg("EX").arg(seconds);
        }
        let until = self.0.link.until();
        match self.0.link.send_idempotent(&command, until).await? {
            Ok(answer) => {
                let Some(found) = bytes(answer)? else {
                    return Ok(None);
                };
                let record = decode(&found, handle)?;
                self.check(record, ttl, now, until).await
            }
            Err(error) if cannot_save(&error) => {
                let act = Box::pin(self.find_read_only(handle, now));
                self.0.link.by(until, act).await
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Reads a row without noting its use: also from a server with a full disk, which must not end
    /// sessions.
    async fn find_read_only(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let Some(row) = self.read(handle).await? else {
            return Ok(None);
        };
        let mut record = row.record(handle, now)?;
        // The time to live may tell a use by a second early.
        if let Some(last) = self.known_use(handle, now) {
            record.set_last_seen(record.last_seen().max(last));
        }
        if record.is_alive(now) {
            return Ok(Some(record));
        }
        // A server with a full disk keeps it, and the next lookup finds it expired again.
        let _ = self.remove_expired(&record).await;
        Ok(None)
    }

    /// Checks the deadline of a row that the server has not expired, and sets its last use before
    /// `now`. `ttl` is the time to live that was set, in seconds: that of the policy for a session
    /// that this process has not seen before. A shorter timeout of the row is restored, which takes a
    /// second command once. A longer one is not: the use is noted only after the policy has judged
    /// the row, by a touch, and until then no rotation may take the lookup for a use.
    async fn check(
        &self,
        mut record: Record,
        ttl: Option<u64>,
        now: Timestamp,
        until: Instant,
    ) -> Result<Option<Record>> {
        let (handle, idle) = (record.handle(), record.idle().as_secs());
        if now >= record.deadline() {
            let act = Box::pin(self.remove_expired(&record));
            self.0.link.by(until, act).await?;
            return Ok(None);
        }
        let last = self.known_use(handle, now);
        let known = last.map_or(record.last_seen(), |last| last.max(record.last_seen()));
        // The server has not expired it, so it was used within its idle timeout.
        let earliest = now.saturating_sub(idle.saturating_sub(1));
        record.set_last_seen(known.max(earliest));
        let own = ttl_secs(idle);
        if ttl.is_some_and(|ttl| ttl > own) {
            let mut command = redis::cmd("EXPIRE");
            command.arg(self.0.keys.row(handle)).arg(own);
            let answer = Box::pin(self.0.link.send_idempotent(&command, until)).await?;
            answer.map_err(|error| failed(&error))?;
        }
        // A policy with a shorter timeout than the row has its uses noted in the row, by a touch.
        let is_noted = ttl.is_some_and(|ttl| ttl >= own);
        let noted_at = if is_noted { now } else { record.last_seen() };
        self.0.uses.note(handle, noted_at, idle);
        Ok(Some(record))
    }

    /// Returns the last use that this process has noted, unless the clock was set back.
    fn known_use(&self, handle: Handle, now: Timestamp) -> Option<Timestamp> {
        self.0.uses.last(handle).filter(|last| *last <= now)
    }

    pub(super) async fn read(&self, handle: Handle) -> Result<Option<Row>> {
        let mut rows = self.read_all(&[handle]).await?;
        Ok(rows.pop().flatten())
    }

    /// Reads rows of one partition, in the order of `handles`.
    pub(super) async fn read_all(&self, handles: &[Handle]) -> Result<Vec<Option<Row>>> {
        let keys: Vec<_> = handles
            .iter()
            .map(|handle| self.0.keys.row(*handle))
            .collect();
        let answer = self.0.link.run(&script::READ, &keys, &[]).await?;
        Row::all(items(answer)?, handles.len())
    }

    /// Notes uses, with one script per partition.
    pub(super) async fn touch_rows(
        &self,
        uses: &[(Handle, Timestamp)],
        now: Timestamp,
    ) -> Result<()> {
        let mut uses = uses.to_vec();
        uses.sort_unstable_by_key(|(handle, _)| *handle);
        let is_same_partition = |one: &(Handle, Timestamp), other: &(Handle, Timestamp)| {
            one.0.partition() == other.0.partition()
        };
        for uses in uses
            .chunk_by(is_same_partition)
            .flat_map(|uses| uses.chunks(MAX_BATCH_ROWS))
        {
            let keys: Vec<_> = uses
                .iter()
                .map(|(handle, _)| self.0.keys.row(*handle))
                .collect();
            let times: Vec<_> = std::iter::once(now)
                .chain(uses.iter().map(|(_, seen_at)| *seen_at))
                .map(|time| time.unix().to_be_bytes())
                .collect();
            let times: Vec<_> = times.iter().map(<[u8; 8]>::as_slice).collect();
            self.0.link.run(&script::TOUCH, &keys, &times).await?;
        }
        Ok(())
    }
}
