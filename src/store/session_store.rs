//! The trait that every session store implements.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::answer::{Changed, Created, Peeked, Removed, Rotated, Swept, Updated};
use crate::store::ask::{Limit, Load, Rotation, Scope, Update};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::store::record_ref::RecordRef;
use crate::upkeep::Upkeep;

/// The function of a [`change`](SessionStore::change). It modifies a row and returns true if it
/// changed anything. A store may call it again, with a newer state of the row.
pub type ChangeFn<'f> = &'f (dyn Fn(&mut Record) -> bool + Sync + 'f);

/// Stores one [`Record`] per login.
///
/// [`store::contract`](crate::store::contract) is a guide to writing a store.
///
/// # Contract
///
/// - **Logout wins.** After [`remove`](Self::remove) or [`remove_subject`](Self::remove_subject)
///   has returned, no concurrent call brings a row back: no update, no touch, no rotation, no fill
///   of a cache. Only [`create`](Self::create) inserts a row, and no handle is inserted twice.
/// - **Each method is one atomic step**, also between processes, unless it says otherwise. The
///   result of a compare-and-swap is an enum, not an error.
/// - **Absent is not an error, and an error is never "absent".** Missing and expired rows are
///   `Ok(None)`. `Err` means that the store could not answer, or that the row does not decode.
/// - [`Record::is_alive`] defines when a row is expired. One clock judges each of the two limits:
///   `now` judges the deadline; `now` or the store's own server judges the idle timeout. A row that
///   was once found expired never comes back to life, even if the clock is set back.
/// - Records are stored without loss, including [fields](Record::encode) of later versions.
///
/// The kit of the `testkit` feature tests this contract.
///
/// # Security
///
/// Clients control the handles passed to [`load`](Self::load), [`rotate`](Self::rotate) and
/// [`confirm`](Self::confirm); handles passed to [`create`](Self::create) are random. Records hold
/// no secret that could be presented, but they contain personal data: do not log them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    label = "not a session store",
    note = "pass a store itself: write `?` after a call that returns a `Result`, such as \
            `MemoryStore::with_capacity(100_000)?`",
    note = "a backend has its store in `sessions()`: \
            `SessionAuthenticator::builder(redis.sessions())`"
)]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Inserts a login, unless its handle exists or the limit forbids it.
    ///
    /// # Contract
    ///
    /// Counting the live rows of the subject, evicting those that [the limit](Limit::to_evict) picks and
    /// inserting are one step: a subject never has more live rows than the limit. Never overwrites a
    /// row.
    ///
    /// # Returns
    ///
    /// See [`Created`].
    ///
    /// # Concurrency
    ///
    /// Of several callers with one handle, one succeeds and the others get a duplicate. Of several
    /// callers with one subject, as many succeed as the limit allows.
    ///
    /// # Cancel safety
    ///
    /// The row may exist or not, never in part. A retry with the same record is safe.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer.
    ///
    /// # Backend notes
    ///
    /// - memory: at capacity, expired rows of any shard are removed first.
    /// - MySQL: with a limit, one transaction that locks a row for the subject.
    /// - SQLite: with a limit, one immediate transaction.
    /// - Postgres: with a limit, one call of a function that locks the subject first. Never full.
    /// - redb: returns when the row is on the device. The file grows while the disk has room.
    /// - redis: one script, and a second one with the rows of the subject if the limit is reached.
    ///   *Unavailable* if the server is out of memory.
    fn create(
        &self,
        record: &Record,
        limit: Limit,
        now: Timestamp,
    ) -> impl Future<Output = Result<Created>> + Send;

    /// Finds a login.
    ///
    /// # Contract
    ///
    /// A lookup inserts nothing. A store that records [the use](Load::touch) in the same round trip
    /// returns [`Record::last_seen`] as it was *before* this use, so that the strategy can judge it
    /// by its own idle timeout. The caller then sends a [`touch`](Self::touch), which such a store
    /// may ignore. A store that would need a second round trip ignores [`Load::touch`]. Without
    /// [`Load::touch`], [`Record::last_seen`] is exact, or a second early.
    ///
    /// # Returns
    ///
    /// The row, or `None` if there is none or it has expired; an expired row is also removed. The
    /// store judges the row alone. The strategy judges by its policy, and removes rows that have
    /// expired by it.
    ///
    /// # Concurrency
    ///
    /// Sees every change that was acknowledged before this call began.
    ///
    /// # Cancel safety
    ///
    /// The use may have been recorded or not.
    ///
    /// # Security
    ///
    /// The client controls the handle, and the returned row must have that handle. A store that
    /// records the use in the same round trip does so before the credential is proven: an attacker
    /// with a handle can then keep that session alive until its deadline. Recording uses only in
    /// [`touch`](Self::touch) avoids that.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer; *unreadable* if the row does not decode.
    ///
    /// # Backend notes
    ///
    /// - memory: only [`touch`](Self::touch) records uses, so that only proven credentials do.
    /// - MySQL, SQLite: one statement that reads; only [`touch`](Self::touch) records uses. If an
    ///   expired row cannot be removed, the answer is *unavailable*.
    /// - Postgres: one statement, and uses as in memory. A second statement removes an expired row.
    /// - redb: as Postgres. Reads on the calling thread. The answer for an expired row waits for
    ///   the commit that removes it.
    /// - redis: one command, which also records the use before the credential is proven. A second
    ///   command corrects the timeout of a row that differs from the policy, once per process.
    fn load(
        &self,
        handle: Handle,
        load: Load,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Record>>> + Send;

    /// Shows a live login in place, without a copy and without a future. The strategy calls it
    /// before [`load`](Self::load). If it shows a row with the presented credential as the current
    /// one and no use to record, or answers [`Peeked::Absent`], `load` is not called.
    ///
    /// # Contract
    ///
    /// `Live` and `Absent` equal what `load` would return at that moment. It does no I/O; it may wait
    /// briefly for a lock. [`Peeked::NeedsLoad`] is always correct. Answer it where `load` would do
    /// more than read: for an expired row, which `load` removes, and for a row that may be older than
    /// [`staleness`](Self::staleness) allows.
    ///
    /// Call `look` once at most, and only for a live row. You may call it under a lock of the store:
    /// it is short and does not call the store.
    ///
    /// Default: [`Peeked::NeedsLoad`]. Forward this method in a wrapper only if your `load` adds
    /// nothing to the inner one: otherwise the strategy bypasses your `load`.
    ///
    /// # Returns
    ///
    /// See [`Peeked`].
    ///
    /// # Security
    ///
    /// As for [`load`](Self::load): the client controls the handle. Does not record a use.
    ///
    /// # Backend notes
    ///
    /// - memory: under a shared lock of one shard.
    /// - [`CachedStore`](crate::store::CachedStore): its copies, while its view is fresh.
    /// - all others: [`Peeked::NeedsLoad`].
    fn peek<T>(
        &self,
        handle: Handle,
        now: Timestamp,
        look: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Peeked<T> {
        let _ = (handle, now, look);
        Peeked::NeedsLoad
    }

    /// Applies a function to a live row, as one atomic step. [`rotate`](Self::rotate),
    /// [`update`](Self::update) and [`confirm`](Self::confirm) are built on it.
    ///
    /// # Contract
    ///
    /// The store calls `change` with the current row and replaces the row by the result. If another
    /// change came in between, the store calls `change` again with the new row. A use recorded in
    /// between does not count as a change, and is kept. If `change` returns `false`, nothing is
    /// written. Never inserts a row.
    ///
    /// # Returns
    ///
    /// The row after the call, with a flag that is true if it was changed. `None` if there is none
    /// or it has expired; an expired row is also removed.
    ///
    /// # Concurrency
    ///
    /// Each call of `change` sees the result of all changes before it.
    ///
    /// # Cancel safety
    ///
    /// The change may be made or not, never in part.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite, Postgres: reads the row, and replaces it if it is unchanged.
    /// - redb: a lookup, and a transaction that replaces the row if it is unchanged. Without a
    ///   change there is no transaction.
    /// - redis: a read, and a script that replaces the row if it is unchanged.
    fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> impl Future<Output = Result<Option<Changed>>> + Send;

    /// Replaces the credential of a login if the presented one is current: [`Record::rotate`] as
    /// one step.
    ///
    /// # Returns
    ///
    /// See [`Rotated`]. A returned row is the row after the call. A row that was not used for
    /// [`Rotation::idle`] stays unchanged: the caller finds it expired by its policy, and removes
    /// it.
    ///
    /// # Concurrency
    ///
    /// Of any number of callers with one credential, one rotates the row, and all others get the
    /// rotated row.
    ///
    /// # Cancel safety
    ///
    /// The row may be rotated or not. A retry is safe: it finds a rotated row and leaves it.
    ///
    /// # Security
    ///
    /// The client controls the handle and the presented proof. Both may be forged.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite: reads the row, and replaces it if it is unchanged.
    /// - Postgres: one statement, and a second one after a lost race or for an expired row.
    /// - redb: without a rotation, one lookup and no transaction.
    /// - redis: one script, which applies [`Record::rotate`] to the bytes of the row.
    fn rotate(
        &self,
        handle: Handle,
        rotation: &Rotation,
        now: Timestamp,
    ) -> impl Future<Output = Result<Rotated>> + Send {
        async move {
            let rotate = |row: &mut Record| row.rotate(rotation, now);
            Ok(self.change(handle, now, &rotate).await?.into())
        }
    }

    /// Replaces roles, device, data or stamp of a live login if its version is `expected`:
    /// [`Record::update`] as one step.
    ///
    /// # Returns
    ///
    /// See [`Updated`].
    ///
    /// # Concurrency
    ///
    /// Of several callers with one version, one succeeds and the others get a conflict. Does not
    /// conflict with [`rotate`](Self::rotate) and [`touch`](Self::touch), which leave the version.
    ///
    /// # Cancel safety
    ///
    /// The change may be made or not, never in part.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// # Backend notes
    ///
    /// As for [`change`](Self::change). A rotation in between is not a conflict.
    fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> impl Future<Output = Result<Updated>> + Send {
        async move {
            let apply = |row: &mut Record| row.update(expected, update);
            Ok(self.change(handle, now, &apply).await?.into())
        }
    }

    /// Records the first use of the credential of `generation`: [`Record::confirm`] as one step.
    ///
    /// # Contract
    ///
    /// Never inserts a row, never shortens a login, never raises the version. A row of another
    /// generation stays unchanged.
    ///
    /// # Concurrency
    ///
    /// Repeated calls have the effect of one.
    ///
    /// # Cancel safety
    ///
    /// The use may be recorded or not. The next use records it.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer.
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite: one statement.
    /// - Postgres: one statement.
    /// - redb: if there is nothing to record, one lookup and no transaction.
    /// - redis: one script.
    fn confirm(
        &self,
        handle: Handle,
        generation: u32,
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            let confirm = |row: &mut Record| row.confirm(generation, now);
            self.change(handle, now, &confirm).await.map(drop)
        }
    }

    /// Records uses: [`Record::touch`] for each, in any order. Not one atomic step.
    ///
    /// # Contract
    ///
    /// Never inserts a row, never shortens or revives a login, never raises the version.
    ///
    /// # Concurrency
    ///
    /// Of several uses of one login the latest counts, in any order of arrival.
    ///
    /// # Cancel safety
    ///
    /// Each use may be recorded or not.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some uses may not have been recorded.
    ///
    /// # Backend notes
    ///
    /// - memory: in place, under shared locks.
    /// - MySQL, SQLite, Postgres: while the upkeep runs, uses are queued and written together at
    ///   most a second later. Queued uses count in their own process at once; another node may see
    ///   the login expire early by that second. Without the upkeep they are written at once.
    /// - redb: in memory, where they count at once, and written about a second later.
    /// - redis: one script per partition. Not needed for uses that [`load`](Self::load) has
    ///   recorded.
    fn touch(
        &self,
        uses: &[(Handle, Timestamp)],
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes a login. `subject` is [its subject](Record::subject), by which it is indexed.
    ///
    /// # Contract
    ///
    /// The removal is as durable as the store states when the call returns. Also removes a row that
    /// does not decode.
    ///
    /// # Returns
    ///
    /// The number of removed rows, 0 or 1, and the time at which the removal takes effect
    /// everywhere.
    ///
    /// # Concurrency
    ///
    /// Wins against every concurrent call; see the contract of the trait.
    ///
    /// # Cancel safety
    ///
    /// The row may be removed or not. A retry is safe.
    ///
    /// # Errors
    ///
    /// *Unavailable*: the row may not have been removed.
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite: one statement, as durable as `durability` reports.
    /// - Postgres: one statement that does not read the row.
    /// - redb: returns when the removal is on the device.
    /// - redis: one script for row and index.
    fn remove(
        &self,
        handle: Handle,
        subject: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Removed>> + Send;

    /// Removes the logins of a subject that `scope` covers.
    ///
    /// # Contract
    ///
    /// Removes every covered login that [`create`](Self::create) acknowledged before this call
    /// began. A login created during the call may be removed or not. Also removes rows that do not
    /// decode, unless the scope keeps them.
    ///
    /// # Returns
    ///
    /// The number of removed rows, and the time at which the removal takes effect everywhere.
    ///
    /// # Concurrency
    ///
    /// Wins against every concurrent call; see the contract of the trait.
    ///
    /// # Cancel safety
    ///
    /// Some rows may be removed. A retry is safe.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some rows may not have been removed.
    ///
    /// # Backend notes
    ///
    /// - memory: one step, because all logins of a subject share a shard.
    /// - MySQL, SQLite: one statement.
    /// - Postgres: one statement.
    /// - redb: one transaction, on the device when it returns.
    /// - redis: the logins in the index, in steps of 256.
    fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        now: Timestamp,
    ) -> impl Future<Output = Result<Removed>> + Send;

    /// Lists the live logins of a subject page by page, ordered by deadline and then by handle.
    ///
    /// # Contract
    ///
    /// A login that exists from the first page to the last is listed exactly once. Rows that do not
    /// decode are skipped.
    ///
    /// # Returns
    ///
    /// See [`Listing`].
    ///
    /// # Concurrency
    ///
    /// Pages are not one snapshot: a login created or removed in between may be listed or not.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer.
    ///
    /// # Backend notes
    ///
    /// - memory: under a shared lock of one shard.
    /// - MySQL, SQLite: one statement, by an index.
    /// - Postgres: one statement over an index.
    /// - redb: each page is one snapshot.
    /// - redis: two scripts per 256 logins, on a primary.
    fn list(
        &self,
        subject: &str,
        page: Page,
        now: Timestamp,
    ) -> impl Future<Output = Result<Listing>> + Send;

    /// Removes some expired rows, to free their space.
    ///
    /// # Contract
    ///
    /// Never removes a live row, even if it is touched at the same moment. Each call is bounded: it
    /// removes about `limit` rows at most and visits a bounded number, so that repeated calls reach
    /// all rows. A limit of zero counts as one. Holds no lock for long.
    ///
    /// # Returns
    ///
    /// See [`Swept`].
    ///
    /// # Concurrency
    ///
    /// Safe from several processes at once.
    ///
    /// # Cancel safety
    ///
    /// Some rows may be removed.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer.
    ///
    /// # Backend notes
    ///
    /// - memory: whole shards, one at a time.
    /// - MySQL, SQLite: visits `limit` rows in the order of their handles without a lock, and
    ///   checks each row again when it removes it.
    /// - Postgres: visits `limit` rows in the order of their handles and skips locked rows. Rows of
    ///   a newer format are left to nodes of that version.
    /// - redb: visits the rows in the order of their handles. A step without expired rows writes
    ///   nothing.
    /// - redis: does nothing, because the server expires rows.
    fn sweep(&self, limit: usize, now: Timestamp) -> impl Future<Output = Result<Swept>> + Send;

    /// Returns the stamp of a login that begins now. The strategy asks for it before every other
    /// step and stores it in the row.
    ///
    /// # Contract
    ///
    /// `None` for a store without a revocation log. With a log, a fact that ends the logins of the
    /// subject after this call also ends this login.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer.
    ///
    /// # Backend notes
    ///
    /// - [`CachedStore`](crate::store::CachedStore): the head of its log. All others: `None`.
    fn begin(&self, now: Timestamp) -> impl Future<Output = Result<Option<Stamp>>> + Send {
        let _ = now;
        std::future::ready(Ok(None))
    }

    /// Refuses a new login whose subject has ended since the stamp of the row, or has changed since
    /// the login `began`. The two differ if the login continues another one. The strategy calls it
    /// after [`create`](Self::create), and removes the row again if it fails.
    ///
    /// # Contract
    ///
    /// Finds each fact that was appended before this call. With [`remove_subject`], which removes the
    /// rows of a subject once more after it has appended its fact, no login in progress survives a
    /// logout of all logins.
    ///
    /// Provided: `Ok`, for a store without a revocation log.
    ///
    /// [`remove_subject`]: Self::remove_subject
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Refused* as [outdated](crate::Refusal::Outdated); *unavailable* if the log could not answer.
    ///
    /// # Backend notes
    ///
    /// - [`CachedStore`](crate::store::CachedStore): one read of its log. All others: `Ok`.
    fn check_new(
        &self,
        record: &Record,
        began: Option<Stamp>,
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (record, began, now);
        std::future::ready(Ok(()))
    }

    /// Makes the logins of `subject` outdated that are in progress on other nodes: their
    /// [`check_new`](Self::check_new) refuses them. The strategy calls it before it updates all logins
    /// of a subject.
    ///
    /// Provided: nothing. A store with a revocation log appends to it.
    ///
    /// # Errors
    ///
    /// *Unavailable*.
    ///
    /// # Cancel safety
    ///
    /// They may be outdated.
    fn outdate(&self, subject: &str, now: Timestamp) -> impl Future<Output = Result<()>> + Send {
        let _ = (subject, now);
        std::future::ready(Ok(()))
    }

    /// Maximum age of a cached read. Zero (the default) if every read reaches the store.
    fn staleness(&self) -> Duration {
        Duration::ZERO
    }

    /// Longest life of a login in this store. A strategy with a longer one is refused when it is
    /// built. Default: unlimited.
    fn max_lifetime(&self) -> Duration {
        Duration::MAX
    }

    /// Returns the background work of this store, such as writing queued uses or following a log.
    /// Default: none. It does not include [`sweep`](Self::sweep), which the strategy calls.
    ///
    /// # Contract
    ///
    /// Every answer stays correct without the background work.
    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}
