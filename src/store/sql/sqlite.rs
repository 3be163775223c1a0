//! Sessions in SQLite, through the application's own pool of sqlx.

mod durability;
mod schema;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::session::{
    Change, Created, Cursor, Limit, Listing, Load, Page, Record, Removed, Renewal, Renewed, Scope,
    SessionStore, Swept, Touch, Updated,
};
use crate::store::behind::{self, Behind, Use, WritesBehind, settle, settle_all, settle_subject};
use crate::store::sql::failure::{too_late, unavailable};
use crate::store::sql::pages::{Round, listing};
use crate::store::sql::rows::{bind_columns, bind_swap, read_columns};
use crate::store::sql::statements::{SIZES, filled, size_for};
use crate::store::sql::swap::{self, Swaps};
use crate::store::sql::{Columns, Table, fixed, in_seconds, moment, stamps_from, subject_key};
use crate::upkeep::Upkeep;
use schema::{Statements, TABLE};

pub use schema::{SCHEMA, schema};

/// How long a call may take, unless the builder says otherwise.
const DEADLINE: Duration = Duration::from_secs(2);
/// Between two tries while somebody else writes, at first.
const FIRST_RETRY: Duration = Duration::from_millis(1);
/// The longest pause between two tries.
const LAST_RETRY: Duration = Duration::from_millis(25);
/// Rows that one step of sweeping looks at, at most.
const SWEEP: usize = 10_000;

/// Sessions in SQLite, through the application's own [`SqlitePool`].
///
/// For one machine: any number of processes may share the file, one of them writes at a time.
/// The store lets one of its own calls write at a time and the others wait in order, so that
/// readers find a free connection in a pool of at least two.
///
/// ```no_run
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
/// use statewise::store::SqliteStore;
///
/// # async fn open() -> Result<SqliteStore, Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("sessions.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal)
///     .synchronous(SqliteSynchronous::Full);
/// let pool = SqlitePoolOptions::new().test_before_acquire(false).connect_with(options).await?;
/// let store = SqliteStore::sqlx(pool).build()?;
/// store.migrate().await?;
/// store.require_durable().await?;
/// # Ok(store)
/// # }
/// ```
///
/// # The pool
///
/// - **Write-ahead logging** is expected (`journal_mode(Wal)`): without it a reader and a writer
///   shut each other out. [`migrate`](Self::migrate) refuses a file without it.
/// - **`synchronous(Full)`** is what makes an acknowledged logout survive a power failure; with
///   `Normal` it survives the death of the process. [`durability`](Self::durability) tells.
/// - `busy_timeout` is best left shorter than the [deadline](SqliteBuilder::deadline). A
///   statement that was given up waits on in its connection until that is over.
///
/// # When it cannot write
///
/// On a full disk or a read-only file, what writes is *unavailable* and changes nothing; live
/// logins are found and listed as before. A login that is over cannot be removed there, and is
/// *unavailable* instead of absent.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    pool: SqlitePool,
    table: Table,
    statements: Statements,
    deadline: Duration,
    assumes_durable: bool,
    /// Held by the one call that writes. SQLite has one writer; who waits here waits in order, and
    /// keeps no connection from those who read.
    writer: Mutex<()>,
    behind: Behind,
    round: Round,
}

/// Builds a [`SqliteStore`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct SqliteBuilder {
    pool: SqlitePool,
    table: String,
    deadline: Duration,
    assumes_durable: bool,
}

impl SqliteBuilder {
    /// The table, as `name` or as `database.name` with the name under which a database is
    /// attached; each of lower case letters, digits and underscores. Default:
    /// `statewise_sessions`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// How long a call may take in all, waiting for a connection included. Default: two seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Vouches for what [`require_durable`](SqliteStore::require_durable) cannot learn.
    pub fn assume_durable(mut self) -> Self {
        self.assumes_durable = true;
        self
    }

    /// The store. Opens no connection.
    ///
    /// # Errors
    ///
    /// *Misuse* for a name of a table that could escape a statement, or a deadline of zero.
    pub fn build(self) -> Result<SqliteStore> {
        if self.deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline is zero, so that no call could be answered: give it some time",
            ));
        }
        let table = Table::parse(&self.table)?;
        Ok(SqliteStore(Arc::new(Inner {
            statements: Statements::of(&table),
            pool: self.pool,
            table,
            deadline: self.deadline,
            assumes_durable: self.assumes_durable,
            writer: Mutex::new(()),
            behind: Behind::new(),
            round: Round::default(),
        })))
    }
}

impl SqliteStore {
    /// A store in the database of a pool, which stays the application's.
    pub fn sqlx(pool: SqlitePool) -> SqliteBuilder {
        SqliteBuilder {
            pool,
            table: TABLE.to_owned(),
            deadline: DEADLINE,
            assumes_durable: false,
        }
    }

    /// Makes the table and its index, if they are not there: [`SCHEMA`]. Any number of
    /// processes may do so at once.
    ///
    /// # Errors
    ///
    /// *Misuse* if the database is a file without write-ahead logging; *unavailable* if it could
    /// not answer.
    ///
    /// # Cancel safety
    ///
    /// All of it is made or nothing. Trying again is safe.
    pub async fn migrate(&self) -> Result<()> {
        self.0.within(self.0.migrate()).await
    }
}

/// A statement with its values.
type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

/// A statement without values yet.
fn query<'q>(statement: &Arc<str>) -> Query<'q> {
    sqlx::query(AssertSqlSafe(Arc::clone(statement)))
}

/// Whether somebody else was writing, so that it is worth trying again.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // The lower byte is the code without its reason: busy, or locked within a shared cache.
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Waits between two tries, longer each time.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(FIRST_RETRY)
    }

    async fn pass(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LAST_RETRY);
    }
}

impl Inner {
    /// Does it within the deadline.
    async fn within<T>(&self, act: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let answer = tokio::time::timeout(self.deadline, act).await;
        answer.unwrap_or_else(|_| Err(too_late()))
    }

    async fn connection(&self) -> Result<PoolConnection<Sqlite>> {
        let connection = self.pool.acquire().await;
        connection.map_err(|error| unavailable(&error))
    }

    /// The rows that a statement answers which does not write. One that writes must not be asked
    /// for rows one by one: the client ends it behind the row, and does not say if that failed.
    async fn read<'q>(&self, build: impl Fn() -> Query<'q> + Sync) -> Result<Vec<SqliteRow>> {
        let mut pause = Pause::new();
        loop {
            let mut connection = self.connection().await?;
            match build().fetch_all(&mut *connection).await {
                Err(error) if is_busy(&error) => {}
                answer => return answer.map_err(|error| unavailable(&error)),
            }
            drop(connection);
            pause.pass().await;
        }
    }

    /// Runs a statement that writes; how many rows it wrote. It is a transaction of its own.
    async fn write_one<'q>(&self, build: impl Fn() -> Query<'q> + Sync) -> Result<u64> {
        let _turn = self.writer.lock().await;
        let mut pause = Pause::new();
        loop {
            let mut connection = self.connection().await?;
            match build().execute(&mut *connection).await {
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(unavailable(&error)),
                Ok(done) => return Ok(done.rows_affected()),
            }
            drop(connection);
            pause.pass().await;
        }
    }

    /// Runs several statements in one transaction, which has the right to write from its beginning,
    /// so that nobody else's write comes between.
    async fn write_all<T>(&self, act: &impl Transact<Answer = T>) -> Result<T> {
        let _turn = self.writer.lock().await;
        let mut pause = Pause::new();
        loop {
            let mut connection = self.connection().await?;
            match transact(&mut connection, &self.statements, act).await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_busy(&error) => {}
                // An earlier transaction of this connection was ended by the database itself, as a
                // full disk does, and the client takes it for open.
                Err(sqlx::Error::InvalidSavePointStatement) => connection.close_on_drop(),
                Err(error) => {
                    connection.close_on_drop();
                    return Err(unavailable(&error));
                }
            }
            drop(connection);
            pause.pass().await;
        }
    }

    async fn insert(&self, record: &Record) -> Result<Created> {
        let (columns, subject) = (Columns::from(record), subject_key(record.subject()));
        let insert = || bind_columns!(query(&self.statements.insert), columns).bind(&subject[..]);
        Ok(match self.write_one(insert).await? {
            0 => Created::Duplicate,
            _ => Created::Stored {
                evicted: Vec::new(),
            },
        })
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let (most, evicts) = match limit {
            Limit::Unlimited => return self.insert(record).await,
            Limit::Reject(most) => (most, false),
            Limit::EvictOldest(most) => (most, true),
        };
        settle_subject(self, record.subject()).await?;
        let insertion = Insertion {
            record,
            most,
            evicts,
            now,
        };
        self.write_all(&insertion).await
    }

    async fn remove_subject(&self, subject: &str, scope: Scope) -> Result<Removed> {
        let subject = subject_key(subject);
        // No row has the empty handle.
        let keep = scope.keep.as_ref().map_or(&[][..], |keep| keep.as_bytes());
        let stamps = scope.before.map(stamps_from);
        let remove = || match &stamps {
            None => query(&self.statements.remove_subject)
                .bind(&subject[..])
                .bind(keep),
            Some((first, last)) => query(&self.statements.remove_subject_before)
                .bind(&subject[..])
                .bind(keep)
                .bind(&first[..])
                .bind(&last[..]),
        };
        Ok(Removed::at_once(self.write_one(remove).await?))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        settle_subject(self, subject).await?;
        let (subject, now) = (subject_key(subject), in_seconds(now));
        let after = page
            .after
            .map(|after| (in_seconds(after.deadline), after.handle));
        let deadline = after.as_ref().map_or(-1, |(deadline, _)| *deadline);
        let handle = after
            .as_ref()
            .map_or(&[][..], |(_, handle)| handle.as_bytes());
        let limit = i64::try_from(page.limit.max(1)).unwrap_or(i64::MAX);
        let list = || {
            query(&self.statements.list)
                .bind(&subject[..])
                .bind(now)
                .bind(now)
                .bind(deadline)
                .bind(deadline)
                .bind(handle)
                .bind(limit.saturating_add(1))
        };
        let rows = self.read(list).await?;
        let rows = rows.iter().map(|row| {
            let deadline = row.try_get(6).unwrap_or_default();
            let handle = row.try_get(1).unwrap_or_default();
            (place(deadline, handle), read_columns!(row).ok())
        });
        Ok(listing(page, rows.collect()))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        settle_all(self).await?;
        let limit = limit.clamp(1, SWEEP);
        let (start, now) = (self.round.start(), in_seconds(now));
        let behind = start.as_ref().map_or(&[][..], |start| start.as_bytes());
        let look = || {
            query(&self.statements.look)
                .bind(now)
                .bind(now)
                .bind(behind)
                .bind(limit as i64)
        };
        let rows = self.read(look).await?;
        let seen = rows
            .iter()
            .filter_map(|row| Some((fixed(row.try_get(0).ok()?).ok()?, row.try_get(1).ok()?)));
        let seen: Vec<([u8; 16], bool)> = seen.collect();
        let last = seen.last().map(|(handle, _)| Handle::from_bytes(*handle));
        let over = seen.iter().filter(|(_, over)| *over);
        let over: Vec<_> = over.map(|(handle, _)| handle).collect();
        let mut removed = 0;
        for handles in over.chunks(SIZES[SIZES.len() - 1]) {
            let at = size_for(handles.len());
            let purge = || {
                let purge = query(&self.statements.purge[at]);
                let handles = filled(handles, SIZES[at]);
                let purge = handles.fold(purge, |purge, handle| purge.bind(&handle[..]));
                purge.bind(now).bind(now)
            };
            removed += self.write_one(purge).await?;
        }
        Ok(self.round.seen(start, last, rows.len(), limit, removed))
    }
}

/// Several statements that are one step.
trait Transact: Sync {
    type Answer: Send;

    fn run(
        &self,
        connection: &mut SqliteConnection,
        statements: &Statements,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;
}

async fn transact<T: Transact>(
    connection: &mut SqliteConnection,
    statements: &Statements,
    act: &T,
) -> Result<T::Answer, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let answer = act.run(&mut transaction, statements).await?;
    transaction.commit().await?;
    Ok(answer)
}

/// A login within a limit.
struct Insertion<'r> {
    record: &'r Record,
    most: u32,
    evicts: bool,
    now: Timestamp,
}

impl Transact for Insertion<'_> {
    type Answer = Created;

    async fn run(
        &self,
        connection: &mut SqliteConnection,
        statements: &Statements,
    ) -> Result<Created, sqlx::Error> {
        let columns = Columns::from(self.record);
        let (subject, now) = (subject_key(self.record.subject()), in_seconds(self.now));
        let counts = query(&statements.count)
            .bind(&columns.handle[..])
            .bind(&subject[..])
            .bind(now)
            .bind(now)
            .fetch_all(&mut *connection)
            .await?;
        let counts = counts.first().ok_or(sqlx::Error::RowNotFound)?;
        let (same, alive): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
        if same > 0 {
            return Ok(Created::Duplicate);
        }
        let excess = (alive + 1 - i64::from(self.most)).max(0);
        if excess > 0 && !self.evicts {
            return Ok(Created::LimitReached);
        }
        let mut evicted = Vec::new();
        if excess > 0 {
            let oldest = query(&statements.oldest)
                .bind(&subject[..])
                .bind(now)
                .bind(now)
                .bind(excess)
                .fetch_all(&mut *connection)
                .await?;
            for row in &oldest {
                let handle: &[u8] = row.try_get(0)?;
                let removal = query(&statements.remove).bind(handle);
                removal.execute(&mut *connection).await?;
                evicted.extend(fixed(handle).map(Handle::from_bytes));
            }
        }
        let insert = bind_columns!(query(&statements.insert), columns).bind(&subject[..]);
        insert.execute(&mut *connection).await?;
        Ok(Created::Stored { evicted })
    }
}

/// Where a row stands in a list, also one that does not decode.
fn place(deadline: i64, handle: &[u8]) -> Cursor {
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(handle)
        .for_each(|(to, from)| *to = *from);
    Cursor {
        deadline: moment(deadline).unwrap_or_default(),
        handle: Handle::from_bytes(bytes),
    }
}

impl WritesBehind for Inner {
    fn behind(&self) -> &Behind {
        &self.behind
    }

    async fn write(&self, uses: &[Use]) -> Result<()> {
        for uses in uses.chunks(SIZES[SIZES.len() - 1]) {
            let at = size_for(uses.len());
            let touch = || {
                let uses = filled(uses, SIZES[at]);
                uses.fold(
                    query(&self.statements.touch[at]),
                    |touch, (handle, time)| {
                        touch.bind(&handle.as_bytes()[..]).bind(in_seconds(*time))
                    },
                )
            };
            self.within(self.write_one(touch)).await?;
        }
        Ok(())
    }
}

impl Swaps for Inner {
    async fn find(&self, handle: Handle) -> Result<Option<Record>> {
        let find = || query(&self.statements.find).bind(&handle.as_bytes()[..]);
        let rows = self.read(find).await?;
        rows.first().map(|row| read_columns!(row)).transpose()
    }

    async fn swap(&self, from: &Record, to: &Record) -> Result<bool> {
        let (from, to) = (Columns::from(from), Columns::from(to));
        let swap = || bind_swap!(query(&self.statements.swap), from, to);
        Ok(self.write_one(swap).await? > 0)
    }

    async fn end(&self, handle: Handle, touch: Option<Touch>, now: Timestamp) -> Result<()> {
        let last_use = last_use(touch, now);
        let end = || {
            query(&self.statements.end)
                .bind(&handle.as_bytes()[..])
                .bind(in_seconds(now))
                .bind(in_seconds(now))
                .bind(last_use)
        };
        self.write_one(end).await.map(drop)
    }
}

/// The last use with which a login is over by the idle time of a touch.
fn last_use(touch: Option<Touch>, now: Timestamp) -> i64 {
    let idle = touch.and_then(|touch| i64::try_from(touch.idle()).ok());
    idle.map_or(i64::MIN, |idle| in_seconds(now) - idle)
}

impl SessionStore for SqliteStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.0.within(self.0.create(record, limit, now)).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let found = swap::load(&*self.0, handle, load, now);
        self.0.within(found).await
    }

    async fn renew(&self, handle: Handle, renewal: &Renewal, now: Timestamp) -> Result<Renewed> {
        let renewed = swap::renew(&*self.0, handle, renewal, now);
        self.0.within(renewed).await
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        change: &Change,
        now: Timestamp,
    ) -> Result<Updated> {
        let updated = swap::update(&*self.0, handle, expected, change, now);
        self.0.within(updated).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        let now = in_seconds(now);
        let confirm = || {
            query(&self.0.statements.confirm)
                .bind(&handle.as_bytes()[..])
                .bind(i64::from(generation))
                .bind(now)
                .bind(now)
        };
        let confirmed = async {
            settle(&*self.0, handle).await?;
            self.0.write_one(confirm).await
        };
        self.0.within(confirmed).await.map(drop)
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], _now: Timestamp) -> Result<()> {
        self.0.within(behind::touch(&*self.0, uses)).await
    }

    async fn remove(&self, handle: Handle, _subject: &str, _now: Timestamp) -> Result<Removed> {
        let remove = || query(&self.0.statements.remove).bind(&handle.as_bytes()[..]);
        let removed = self.0.within(self.0.write_one(remove)).await;
        removed.map(Removed::at_once)
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        self.0.within(self.0.remove_subject(subject, scope)).await
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        self.0.within(self.0.list(subject, page, now)).await
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.0.within(self.0.sweep(limit, now)).await
    }

    fn upkeep(&self) -> Upkeep {
        behind::upkeep(&self.0)
    }
}

/// By hand: the pool says where the database is.
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("table", &self.table)
            .field("deadline", &self.deadline)
            .field("behind", &self.behind)
            .finish_non_exhaustive()
    }
}
