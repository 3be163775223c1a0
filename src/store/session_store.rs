//! The contract of a place where sessions are kept.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::answer::{Changed, Created, Removed, Rotated, Swept, Updated};
use crate::store::ask::{Limit, Load, Rotation, Scope, Update};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::upkeep::Upkeep;

/// The function of a [`change`](SessionStore::change). It changes a row and answers whether it did;
/// a store may call it again, on the row as it is then.
pub type ChangeFn<'f> = &'f (dyn Fn(&mut Record) -> bool + Sync + 'f);

/// Keeps one [`Record`] per login.
///
/// # Contract
///
/// - **Logout wins.** Once [`remove`](Self::remove) or [`remove_subject`](Self::remove_subject)
///   has returned, nothing that was in flight brings a row back: no update, no touch, no rotation,
///   no fill of a cache. Only [`create`](Self::create) creates a row, and no handle comes twice.
/// - **Each method is one atomic step**, also between processes. What a compare-and-swap found is
///   an enum, not an error.
/// - **Absent is not an error, and an error is never "absent".** Missing and expired are
///   `Ok(None)`; `Err` means that the store could not answer, or that the row does not decode.
/// - A row is alive as [`Record::is_alive`] says. Each of the two limits is judged by one clock:
///   the deadline by `now`, the idle time by `now` or by the store's own server. A row that was
///   once found over never comes back to life, not even if the clock is set back.
/// - What is kept comes back to the bit, [fields](Record::encode) of later versions included.
///
/// All of it is put to the test by the `testkit` feature's kit.
///
/// # Security
///
/// Handles passed to [`load`](Self::load), [`rotate`](Self::rotate) and [`confirm`](Self::confirm)
/// are under the control of whoever is calling; those passed to [`create`](Self::create) are
/// random. Records hold no secret that can be presented, but they are the users' business:
/// nothing of them belongs into a log.
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a login, if its handle is not there and the limit allows it.
    ///
    /// # Contract
    ///
    /// Counting the live rows of the subject, evicting the oldest and inserting are one step:
    /// at no time has a subject more live rows than the limit. Never overwrites.
    ///
    /// # Returns
    ///
    /// See [`Created`].
    ///
    /// # Concurrency
    ///
    /// Of several callers with one handle, one stores and all others learn of a duplicate. Of
    /// several with one subject, as many store as the limit has room for.
    ///
    /// # Cancel safety
    ///
    /// The row may be there or not, never in part. Trying again with the same record is safe.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer.
    ///
    /// # Backend notes
    ///
    /// - memory: at capacity, what is over in the same shard makes room first.
    /// - MySQL: within a limit one transaction, which locks a row that stands for the subject.
    /// - SQLite: within a limit one transaction with the right to write from its beginning.
    /// - Postgres: with a limit, one call of a function that locks the subject first; never full.
    /// - redb: returns when the row is on the device; the file grows as far as there is room.
    /// - redis: one script, and a second one with the rows of the subject at a limit. A server that
    ///   is out of memory makes it *unavailable*.
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
    /// Looking for a login creates nothing. A store that notes [the use](Load::touch) in the same
    /// round trip answers with [`Record::last_seen`] as it was *before* this use, so that the
    /// strategy can judge it by its own idle timeout. The caller then sends a
    /// [`touch`](Self::touch), which such a store may answer without doing anything. A store that
    /// cannot do both in one trip ignores [`Load::touch`].
    ///
    /// # Returns
    ///
    /// The row; `None` if there is none or it has expired, in which case it is also removed. The
    /// store judges the row alone. The strategy judges by its policy, and removes a row that has
    /// expired by that.
    ///
    /// # Concurrency
    ///
    /// Sees every change whose call returned before this one began.
    ///
    /// # Cancel safety
    ///
    /// The use may have been noted or not.
    ///
    /// # Security
    ///
    /// The handle is the caller's; the row returned must be of that handle. A store that notes the
    /// use in the same trip does so before the credential is proven: an attacker who knows a handle
    /// can then keep that session from going idle, though not beyond its deadline. Leaving it to
    /// [`touch`](Self::touch) avoids that.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer; *unreadable* if the row does not decode.
    ///
    /// # Backend notes
    ///
    /// - memory: leaves the use to [`touch`](Self::touch), so that it is noted only of a proven
    ///   credential.
    /// - MySQL, SQLite: one statement that reads; leaves the use to [`touch`](Self::touch). An
    ///   expired login where nothing can be written is *unavailable*.
    /// - Postgres: one statement, and the use as in memory; a second one removes an expired row.
    /// - redb: as Postgres. Reads on the calling thread; an expired row waits for the commit that
    ///   removes it.
    /// - redis: notes the use in the one command, before the credential is proven, if this process
    ///   knows the idle timeout of the row from an earlier call.
    fn load(
        &self,
        handle: Handle,
        load: Load,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Record>>> + Send;

    /// Changes a live row by a function, as one atomic step. The one step on which
    /// [`rotate`](Self::rotate), [`update`](Self::update) and [`confirm`](Self::confirm) are built.
    ///
    /// # Contract
    ///
    /// `change` is called with the row as it is, and the row is replaced by what `change` made of
    /// it, unless another change came in between: then `change` is called again, with the row as
    /// that left it. A use noted in between is no such change, and is kept. Where `change` answers
    /// `false`, nothing is written. Never inserts.
    ///
    /// # Returns
    ///
    /// The row after the call, and whether it was changed; `None` if there is none or it has
    /// expired, in which case it is also removed.
    ///
    /// # Concurrency
    ///
    /// Of any number of callers, each one's `change` sees what all that were done before it left.
    ///
    /// # Cancel safety
    ///
    /// It may be done or not, never in part.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite, Postgres: reads, and replaces the row if it is still the one that was read.
    /// - redb: a lookup, and a transaction that replaces the row if it is still the one that was
    ///   found. One that changes nothing needs no transaction.
    /// - redis: a read, and a script that replaces the row if it is still the one that was read.
    fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> impl Future<Output = Result<Option<Changed>>> + Send;

    /// Replaces the credential of a login, if the presented one is current:
    /// [`Record::rotate`] as one step.
    ///
    /// # Returns
    ///
    /// See [`Rotated`]. In each case with a row, it is the row as it is after the call.
    ///
    /// # Concurrency
    ///
    /// Of any number of callers that present one credential, one advances the row, and all others
    /// see the row that it made.
    ///
    /// # Cancel safety
    ///
    /// It may have advanced or not. Trying again is safe: the second try finds it unchanged.
    ///
    /// # Security
    ///
    /// The handle and the presented proof are the caller's, and may be forged.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite: reads, and replaces the row if it is still the one that was read.
    /// - Postgres: one statement; a second one where a race was lost or the row is over.
    /// - redb: one that does not advance costs a lookup and no transaction.
    /// - redis: one script, which does what [`Record::rotate`] does to the bytes of the row.
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

    /// Replaces roles, data or stamp of a live login, if its version is `expected`:
    /// [`Record::update`] as one step.
    ///
    /// # Returns
    ///
    /// See [`Updated`].
    ///
    /// # Concurrency
    ///
    /// Of several callers with one version, one is done and all others meet a conflict. Does not
    /// interfere with [`rotate`](Self::rotate) and [`touch`](Self::touch): they leave the version.
    ///
    /// # Cancel safety
    ///
    /// It may be done or not, never in part.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite: as for [`rotate`](Self::rotate); a rotation in between is no conflict.
    /// - Postgres: reads, then writes if the version is still the same.
    /// - redb: judged within the write transaction.
    /// - redis: a read, and a script that replaces what was read, if it is still that.
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

    /// Notes that the credential of `generation` has been used: [`Record::confirm`] as one step.
    ///
    /// # Contract
    ///
    /// Never inserts, never shortens, never raises the version. A row that is gone, or has moved
    /// on to another generation, is left alone.
    ///
    /// # Concurrency
    ///
    /// Any number of calls are as good as one.
    ///
    /// # Cancel safety
    ///
    /// It may be noted or not. The next use notes it.
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
    /// - redb: one that notes nothing costs a lookup and no transaction.
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

    /// Notes uses behind the read: [`Record::touch`] for each, in any order, not as one step.
    ///
    /// # Contract
    ///
    /// Never inserts, never shortens, never revives, never raises the version.
    ///
    /// # Concurrency
    ///
    /// Of several uses of one login, the latest counts, in whatever order they come.
    ///
    /// # Cancel safety
    ///
    /// Any of them may be noted or not.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some may not have been noted.
    ///
    /// # Backend notes
    ///
    /// - memory: in place, under shared locks.
    /// - MySQL, SQLite: while the upkeep is being run, written behind the read, many in one
    ///   statement, at most a second later; another node may see a login idle that much early.
    /// - Postgres: behind the read and many in one statement while the upkeep is being run, and at
    ///   once if not. What waits counts in its own process; another node may find the login over
    ///   early by the delay of the flush.
    /// - redb: in memory, counting from then on, and written about a second later.
    /// - redis: a script for each partition. Not needed for what [`load`](Self::load) has noted.
    fn touch(
        &self,
        uses: &[(Handle, Timestamp)],
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Ends a login. `subject` is [its subject](Record::subject), by which it is indexed.
    ///
    /// # Contract
    ///
    /// Reliable when it returns, to the durability that the store states. Also removes a row that
    /// does not decode.
    ///
    /// # Returns
    ///
    /// How many were there, 0 or 1, and when it takes effect everywhere.
    ///
    /// # Concurrency
    ///
    /// Wins against everything; see the contract of the trait.
    ///
    /// # Cancel safety
    ///
    /// The row may be gone or not. Trying again is safe.
    ///
    /// # Errors
    ///
    /// *Unavailable*: it may not have been removed.
    ///
    /// # Backend notes
    ///
    /// - memory: under the lock of one shard.
    /// - MySQL, SQLite: one statement, durable as their `durability` says.
    /// - Postgres: one statement, which reads nothing of the row.
    /// - redb: returns when the removal is on the device.
    /// - redis: one script for row and index.
    fn remove(
        &self,
        handle: Handle,
        subject: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Removed>> + Send;

    /// Ends the logins of a subject that `scope` covers.
    ///
    /// # Contract
    ///
    /// Ends every one whose [`create`](Self::create) returned before this call began; one that
    /// is created during the call may be ended or not. Also removes rows that do not decode,
    /// unless the scope keeps them.
    ///
    /// # Returns
    ///
    /// How many there were, and when it takes effect everywhere.
    ///
    /// # Concurrency
    ///
    /// Wins against everything; see the contract of the trait.
    ///
    /// # Cancel safety
    ///
    /// Some may be gone. Trying again is safe.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some may not have been removed.
    ///
    /// # Backend notes
    ///
    /// - memory: one step, as all logins of a subject share a shard.
    /// - MySQL, SQLite: one statement.
    /// - Postgres: one statement, and so one step.
    /// - redb: one transaction, on the device when it returns.
    /// - redis: what the index holds, in steps of 256.
    fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        now: Timestamp,
    ) -> impl Future<Output = Result<Removed>> + Send;

    /// The live logins of a subject, by deadline and then by handle, page by page.
    ///
    /// # Contract
    ///
    /// A login that is there from the first page to the last is listed exactly once. Rows that
    /// do not decode are passed over.
    ///
    /// # Returns
    ///
    /// See [`Listing`].
    ///
    /// # Concurrency
    ///
    /// Pages are not one snapshot: what is created or ended in between may be listed or not.
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
    /// - redis: two scripts for each 256, on a primary.
    fn list(
        &self,
        subject: &str,
        page: Page,
        now: Timestamp,
    ) -> impl Future<Output = Result<Listing>> + Send;

    /// Gives back the space of some logins that are over.
    ///
    /// # Contract
    ///
    /// Removes nothing that is alive, not even if it is touched at the same moment. Bounded:
    /// removes about `limit` rows at most and looks at a bounded number, so that called again and
    /// again it gets round to all. A limit of zero counts as one. Leaves no lock held for long.
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
    /// Some may be gone.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store could not answer.
    ///
    /// # Backend notes
    ///
    /// - memory: whole shards, one at a time.
    /// - MySQL, SQLite: looks at `limit` rows in the order of their handles, without a lock, and
    ///   asks again of each row as it removes it.
    /// - Postgres: looks at `limit` rows in the order of handles and skips what is locked; rows of
    ///   a newer format are left to those who know it.
    /// - redb: looks through the rows in the order of their handles; a step that finds nothing over
    ///   writes nothing.
    /// - redis: nothing, the server forgets by itself.
    fn sweep(&self, limit: usize, now: Timestamp) -> impl Future<Output = Result<Swept>> + Send;

    /// Where a login that begins now stands in the revocation log: the strategy asks before
    /// anything else, and keeps it in the row.
    ///
    /// # Contract
    ///
    /// `None` for a store without a log. With one, what ends the logins of the subject after this
    /// call ends this login too, which lives until `deadline` at most.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log could not answer; *misuse* if the login would outlive what the log
    /// keeps.
    ///
    /// # Backend notes
    ///
    /// - [`CachedStore`](crate::store::CachedStore): the head of its log. All others: none.
    fn begin(
        &self,
        deadline: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Stamp>>> + Send {
        let _ = (deadline, now);
        std::future::ready(Ok(None))
    }

    /// For how long, at most, somebody may still be served a login that this store no longer has,
    /// and of whose removal nobody was told. Zero where every read asks the store itself.
    fn staleness(&self) -> Duration {
        Duration::ZERO
    }

    /// The background work that this store wants done: writing behind the read, following a log.
    /// [`sweep`](Self::sweep) is not part of it; the strategy calls that one.
    ///
    /// # Contract
    ///
    /// Without it everything stays correct.
    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}
