//! Sessions in Redis.

mod row;
mod script;
pub(crate) mod uses;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, LazyLock};

use redis::aio::ConnectionLike;
use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::backend::redis::Redis;
use crate::backend::redis::keys::Keys;
use crate::backend::redis::link::{
    Link, by, bytes, cannot_save, failed, items, number, unexpected,
};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::{Handle, partition};
use crate::store::answer::{Changed, Created, Removed, Rotated, Swept};
use crate::store::ask::{Limit, Load, Rotation, Scope};
use crate::store::listing::{Cursor, Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};
use row::{Row, decode};
use uses::{Uses, whole};

/// Rows that one script is given at most: it keeps the server from everything else.
const BATCH: usize = 256;
/// Bytes of a command that finds a row, beside the key.
const GETEX: usize = 32;
/// Seconds by which an index outlives its rows: clocks may disagree.
const MARGIN: u64 = 86_400;

/// Sessions in Redis, from [`Redis::sessions`].
///
/// # Cost
///
/// A verification is one `GETEX`, whether it notes a use or not. It takes a script after that to
/// note the use of a session that this process has not met before, or whose idle timeout is longer
/// than that of the policy. Every other operation is one script, and one more script where a limit
/// is reached or a row is replaced.
///
/// # Two clocks
///
/// The server enforces the idle timeout, through the time to live of the row. The deadline is
/// compared with the `now` of each call. The server deletes a row at the latest one idle timeout
/// after its deadline, so there is nothing to sweep. A row that is found expired is removed.
///
/// # Security
///
/// The command that reads a row also notes its use, before the credential is verified. An attacker
/// who knows a handle can keep that session from becoming idle until its deadline, and can do
/// nothing else with it. Noting the use after the verification would take a second command. The
/// handle is the public part of a credential and the name of its row; it is neither logged nor
/// shown.
pub struct RedisStore<C> {
    link: Arc<Link<C>>,
    keys: Arc<Keys>,
    uses: Arc<LazyLock<Uses>>,
}

/// Result of an attempt to replace a row.
enum Swap {
    Done,
    Changed,
    Absent,
}

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(redis: &Redis<C>) -> Self {
        Self {
            link: Arc::clone(&redis.link),
            keys: Arc::clone(&redis.keys),
            uses: Arc::clone(&redis.uses),
        }
    }

    /// Returns the prefix of its keys.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.keys.prefix()
    }

    async fn add(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let (handle, subject) = (record.handle(), record.subject());
        if handle.partition() != partition(subject) {
            return Err(Error::misuse(
                "the handle of the record is not in the partition of its subject: \
                 let the authenticator draw it",
            ));
        }
        let (most, evicts) = match limit {
            Limit::Unlimited => (String::new(), "0"),
            Limit::Reject(most) => (most.to_string(), "0"),
            Limit::EvictOldest(most) => (most.to_string(), "1"),
        };
        let idle = whole(record.idle().as_secs());
        let unused = now.saturating_since(record.last_seen());
        let row_lasts = match record.is_alive(now) {
            true => idle.saturating_sub(unused),
            false => 0,
        };
        let to_go = record.deadline().saturating_since(now);
        let index_lasts = whole(to_go.saturating_add(idle).saturating_add(MARGIN));
        let numbers = [now.unix(), record.deadline().unix()].map(|number| number.to_string());
        let lasts = [row_lasts, index_lasts].map(|seconds| (seconds * 1000).to_string());
        let encoded = record.encode();
        let mut keys = vec![
            self.keys.index(handle.partition(), subject),
            self.keys.row(handle),
        ];
        let mut arguments: Vec<Vec<u8>> = [
            numbers[0].as_bytes(),
            numbers[1].as_bytes(),
            handle.as_bytes(),
            lasts[0].as_bytes(),
            lasts[1].as_bytes(),
            most.as_bytes(),
            evicts.as_bytes(),
            &encoded,
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        let (keys_alone, arguments_alone) = (keys.len(), arguments.len());
        loop {
            let given: Vec<_> = arguments.iter().map(Vec::as_slice).collect();
            // Not twice: the second answer would be another one.
            let answer = self.link.run(&script::CREATE, &keys, &given).await;
            let mut answer = items(answer.map_err(|error| failed(&error))?)?.into_iter();
            let word = bytes(answer.next().unwrap_or_default())?;
            match word.as_deref() {
                Some(b"stored") => {
                    if row_lasts == idle {
                        self.uses.note(handle, now, record.idle().as_secs());
                    }
                    let evicted = answer.map(handle_of).collect::<Result<_>>()?;
                    return Ok(Created::Stored { evicted });
                }
                Some(b"duplicate") => return Ok(Created::Duplicate),
                Some(b"limit") => return Ok(Created::LimitReached),
                Some(b"members") => {
                    keys.truncate(keys_alone);
                    arguments.truncate(arguments_alone);
                    for member in answer {
                        let member = handle_of(member)?;
                        keys.push(self.keys.row(member));
                        arguments.push(member.as_bytes().to_vec());
                    }
                }
                _ => return Err(unexpected()),
            }
        }
    }

    async fn find(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let slide = load
            .touch
            .and_then(|interval| self.uses.slide(handle, interval, now));
        let key = self.keys.row(handle);
        let mut command = Cmd::with_capacity(4, key.len() + GETEX);
        command.arg("GETEX").arg(&key);
        if let Some(seconds) = slide {
            command.arg("EX").arg(seconds);
        }
        let until = self.link.until();
        match self.link.send_idempotent(&command, until).await? {
            Ok(answer) => {
                let Some(found) = bytes(answer)? else {
                    return Ok(None);
                };
                let record = decode(&found, handle)?;
                self.judged(record, slide.is_some(), now, until).await
            }
            Err(error) if cannot_save(&error) => {
                by(until, Box::pin(self.find_unnoted(handle, now))).await
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Nobody shall be logged out by a disk that is full, though no use can be noted.
    async fn find_unnoted(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let Some(row) = self.read(handle).await? else {
            return Ok(None);
        };
        let record = row.record(handle, now)?;
        Ok(record.is_alive(now).then_some(record))
    }

    /// Whether a row that the server still had is alive, and when it was last used before now.
    async fn judged(
        &self,
        mut record: Record,
        is_noted: bool,
        now: Timestamp,
        until: Instant,
    ) -> Result<Option<Record>> {
        let (handle, idle) = (record.handle(), record.idle().as_secs());
        if now >= record.deadline() {
            by(until, Box::pin(self.end(&record))).await?;
            return Ok(None);
        }
        let seen = self.uses.seen(handle).filter(|seen| *seen <= now);
        let known = seen.map_or(record.last_seen(), |seen| seen.max(record.last_seen()));
        // Alive, by the server's word: so it was used within its idle time.
        let earliest = now.saturating_sub(idle.saturating_sub(1));
        record.set_last_seen(known.max(earliest));
        let noted_at = if is_noted { now } else { record.last_seen() };
        self.uses.note(handle, noted_at, idle);
        Ok(Some(record))
    }

    async fn read(&self, handle: Handle) -> Result<Option<Row>> {
        let mut rows = self.read_all(&[handle]).await?;
        Ok(rows.pop().flatten())
    }

    async fn read_all(&self, handles: &[Handle]) -> Result<Vec<Option<Row>>> {
        let keys: Vec<_> = handles
            .iter()
            .map(|handle| self.keys.row(*handle))
            .collect();
        let answer = self.link.run_idempotent(&script::READ, &keys, &[]).await?;
        Row::all(
            items(answer.map_err(|error| failed(&error))?)?,
            handles.len(),
        )
    }

    /// Changes a live row by `change`, unless that answers `false`. Optimistic: what was changed by
    /// somebody else meanwhile is read again.
    async fn apply(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        loop {
            let Some(row) = self.read(handle).await? else {
                return Ok(None);
            };
            let mut record = row.record(handle, now)?;
            if !record.is_alive(now) {
                self.end(&record).await?;
                return Ok(None);
            }
            let before = (record.last_seen(), record.idle());
            if !change(&mut record) {
                return Ok(Some(Changed::new(false, record)));
            }
            let lasts = (before != (record.last_seen(), record.idle())).then(|| {
                let unused = now.saturating_since(record.last_seen());
                whole(record.idle().as_secs().saturating_sub(unused))
            });
            match self.swap(&row, &record, lasts).await? {
                Swap::Done => return Ok(Some(Changed::new(true, record))),
                Swap::Absent => return Ok(None),
                Swap::Changed => {}
            }
        }
    }

    /// Rotates a live row; whether it advanced.
    async fn advance(
        &self,
        handle: Handle,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Option<Changed>> {
        let keys = [self.keys.row(handle)];
        let [overlap, idle] = [rotation.overlap, rotation.idle].map(|time| time.as_secs());
        let (at, overlap) = (now.unix().to_string(), overlap.to_string());
        let lasts = (whole(idle) * 1000).to_string();
        let (idle, kept_idle) = (idle.to_string(), idle.to_be_bytes());
        let arguments: [&[u8]; 11] = [
            at.as_bytes(),
            handle.as_bytes(),
            &rotation.generation.to_be_bytes(),
            rotation.presented.as_bytes(),
            rotation.next.as_bytes(),
            &rotation.seed,
            &now.unix().to_be_bytes(),
            &kept_idle,
            overlap.as_bytes(),
            idle.as_bytes(),
            lasts.as_bytes(),
        ];
        // Twice where the answer is lost: the second one finds what the first one did.
        let answer = self
            .link
            .run_idempotent(&script::ROTATE, &keys, &arguments)
            .await?;
        let answer = match answer.map_err(|error| failed(&error))? {
            Value::Nil => return Ok(None),
            Value::Array(answer) => answer,
            _ => return Err(unexpected()),
        };
        let mut answer = answer.into_iter();
        let advanced = number(&answer.next().ok_or_else(unexpected)?)? == 1;
        let rows = Row::all(answer.collect(), 1)?;
        let row = rows.into_iter().next().flatten().ok_or_else(unexpected)?;
        let record = row.record(handle, now)?;
        if !record.is_alive(now) {
            self.end(&record).await?;
            return Ok(None);
        }
        Ok(Some(Changed::new(advanced, record)))
    }

    async fn swap(&self, row: &Row, record: &Record, lasts: Option<u64>) -> Result<Swap> {
        let keys = [self.keys.row(record.handle())];
        let lasts = lasts.map_or(String::new(), |seconds| (seconds * 1000).to_string());
        let encoded = record.encode();
        let arguments = [row.head(), &encoded, lasts.as_bytes()];
        // Not twice: after a lost answer the second one would say that somebody else was faster.
        let answer = self.link.run(&script::SWAP, &keys, &arguments).await;
        let answer = answer.map_err(|error| failed(&error))?;
        match bytes(answer)?.as_deref() {
            Some(b"done") => Ok(Swap::Done),
            Some(b"changed") => Ok(Swap::Changed),
            Some(b"absent") => Ok(Swap::Absent),
            _ => Err(unexpected()),
        }
    }

    async fn note(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        let mut uses = uses.to_vec();
        uses.sort_unstable_by_key(|(handle, _)| *handle);
        let of_one_slot = |one: &(Handle, Timestamp), other: &(Handle, Timestamp)| {
            one.0.partition() == other.0.partition()
        };
        for uses in uses
            .chunk_by(of_one_slot)
            .flat_map(|uses| uses.chunks(BATCH))
        {
            let keys: Vec<_> = uses
                .iter()
                .map(|(handle, _)| self.keys.row(*handle))
                .collect();
            let times: Vec<_> = std::iter::once(now)
                .chain(uses.iter().map(|(_, seen_at)| *seen_at))
                .map(|time| time.unix().to_be_bytes())
                .collect();
            let times: Vec<_> = times.iter().map(<[u8; 8]>::as_slice).collect();
            let answer = self
                .link
                .run_idempotent(&script::TOUCH, &keys, &times)
                .await?;
            answer.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Removes a row that is over, so that a clock set back does not revive it.
    async fn end(&self, record: &Record) -> Result<()> {
        let handle = record.handle();
        let meant = [(handle, &[][..])];
        self.delete(handle.partition(), record.subject(), &meant)
            .await
            .map(drop)
    }

    /// Removes rows of a subject whose head is still as given, or whatever it is if none is
    /// given; how many there were, and which have another head.
    async fn delete(
        &self,
        partition: u16,
        subject: &str,
        meant: &[(Handle, &[u8])],
    ) -> Result<(u64, Vec<Handle>)> {
        let mut keys = vec![self.keys.index(partition, subject)];
        keys.extend(meant.iter().map(|(handle, _)| self.keys.row(*handle)));
        let arguments: Vec<&[u8]> = meant
            .iter()
            .flat_map(|(handle, head)| [&handle.as_bytes()[..], head])
            .collect();
        let answer = self
            .link
            .run_idempotent(&script::REMOVE, &keys, &arguments)
            .await?;
        let mut answer = items(answer.map_err(|error| failed(&error))?)?.into_iter();
        let count = number(&answer.next().unwrap_or_default())?;
        let left = answer.map(handle_of).collect::<Result<_>>()?;
        Ok((u64::try_from(count).unwrap_or_default(), left))
    }

    /// A part of the index of a subject; all of it without a number.
    async fn page(
        &self,
        subject: &str,
        after: Option<Cursor>,
        most: Option<usize>,
    ) -> Result<Vec<Cursor>> {
        let keys = [self.keys.index(partition(subject), subject)];
        let most = most.map_or("-1".to_owned(), |most| most.to_string());
        let deadline = after.map_or(String::new(), |after| after.deadline.unix().to_string());
        let mut arguments = vec![most.as_bytes()];
        if let Some(after) = &after {
            arguments.extend([deadline.as_bytes(), after.handle.as_bytes()]);
        }
        let answer = self
            .link
            .run_idempotent(&script::PAGE, &keys, &arguments)
            .await?;
        let mut answer = items(answer.map_err(|error| failed(&error))?)?.into_iter();
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

    async fn end_all(&self, subject: &str, scope: Scope) -> Result<u64> {
        let handles: Vec<_> = self
            .page(subject, None, None)
            .await?
            .into_iter()
            .map(|cursor| cursor.handle)
            .filter(|handle| scope.keep != Some(*handle))
            .collect();
        let mut count = 0;
        for batch in handles.chunks(BATCH) {
            let mut batch = batch.to_vec();
            while !batch.is_empty() {
                let (ended, left) = self.end_those(subject, &scope, &batch).await?;
                count += ended;
                batch = left;
            }
        }
        Ok(count)
    }

    /// Ends those of some logins that `scope` covers; how many, and which have to be looked at
    /// once more.
    async fn end_those(
        &self,
        subject: &str,
        scope: &Scope,
        handles: &[Handle],
    ) -> Result<(u64, Vec<Handle>)> {
        let partition = partition(subject);
        if scope.before.is_none() {
            let meant: Vec<_> = handles.iter().map(|handle| (*handle, &[][..])).collect();
            return self.delete(partition, subject, &meant).await;
        }
        let rows = self.read_all(handles).await?;
        let meant: Vec<_> = handles
            .iter()
            .zip(&rows)
            .filter_map(|(handle, row)| {
                let head = row.as_ref().map_or(&[][..], Row::head);
                let record = row
                    .as_ref()
                    .and_then(|row| decode(&row.bytes, *handle).ok());
                // What does not decode is in no place, and goes.
                record
                    .is_none_or(|record| record.is_in(scope))
                    .then_some((*handle, head))
            })
            .collect();
        if meant.is_empty() {
            return Ok((0, Vec::new()));
        }
        self.delete(partition, subject, &meant).await
    }

    async fn listing(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let limit = page.limit.max(1);
        let (mut records, mut after) = (Vec::new(), page.after);
        loop {
            // One more than asked for, to know whether there is another page.
            let wanted = (limit - records.len()).saturating_add(1).min(BATCH);
            let cursors = self.page(subject, after, Some(wanted)).await?;
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

fn handle_of(answer: Value) -> Result<Handle> {
    let bytes = bytes(answer)?.and_then(|bytes| bytes.try_into().ok());
    bytes.map(Handle::from_bytes).ok_or_else(unexpected)
}

impl<C> SessionStore for RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.link.within(pin!(self.add(record, limit, now))).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        // The rare ways out of it are boxed, so that little is copied. Keeps its deadline by itself.
        self.find(handle, load, now).await
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let act = pin!(self.advance(handle, rotation, now));
        let rotated = self.link.within(act).await?.into();
        if let Rotated::Advanced(_) = rotated {
            self.uses.note(handle, now, rotation.idle.as_secs());
        }
        Ok(rotated)
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.link
            .within(pin!(self.apply(handle, now, change)))
            .await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        let keys = [self.keys.row(handle)];
        let (generation, kept) = (generation.to_be_bytes(), now.unix().to_be_bytes());
        let now = now.unix().to_string();
        let arguments = [now.as_bytes(), &generation, &kept];
        let act = async {
            let answer = self
                .link
                .run_idempotent(&script::CONFIRM, &keys, &arguments)
                .await?;
            answer.map(drop).map_err(|error| failed(&error))
        };
        // Rare beside a verification, of which it is a part that shall not make it larger.
        self.link.within(Box::pin(act)).await
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        // Not what a load has noted already.
        let is_new = |(handle, seen_at): &&(Handle, Timestamp)| {
            self.uses.seen(*handle).is_none_or(|seen| seen < *seen_at)
        };
        let uses: Vec<_> = uses.iter().filter(is_new).copied().collect();
        if uses.is_empty() {
            return Ok(());
        }
        self.link.within(Box::pin(self.note(&uses, now))).await?;
        for (handle, seen_at) in uses {
            self.uses.touch(handle, seen_at);
        }
        Ok(())
    }

    async fn remove(&self, handle: Handle, subject: &str, _now: Timestamp) -> Result<Removed> {
        let meant = [(handle, &[][..])];
        // Beside the row, so that a subject which is not its own cannot lead astray.
        let act = self.delete(handle.partition(), subject, &meant);
        let (count, _) = self.link.within(Box::pin(act)).await?;
        Ok(Removed::at_once(count))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let count = self.link.within(pin!(self.end_all(subject, scope))).await?;
        Ok(Removed::at_once(count))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        self.link
            .within(pin!(self.listing(subject, page, now)))
            .await
    }

    async fn sweep(&self, _limit: usize, _now: Timestamp) -> Result<Swept> {
        // The server forgets what was not used.
        Ok(Swept::new(0, false))
    }
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: a type of the application's might show its password.
        f.debug_struct("RedisStore")
            .field("prefix", &self.keys.prefix())
            .field("deadline", &self.link.deadline())
            .finish_non_exhaustive()
    }
}
