//! Postgres through a pool of sqlx.

use std::fmt::{self, Write as _};
use std::time::Duration;

use ::sqlx::pool::PoolConnection;
use ::sqlx::postgres::{PgArguments, PgRow};
use ::sqlx::query::Query;
use ::sqlx::{
    AssertSqlSafe, Connection as _, Error, PgConnection, PgPool, Postgres, Row as _, Transaction,
};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backend::breaker::io_cause;
use crate::backend::sql::failure::{Cause, Failure};
use crate::backend::sql::postgres::base::Setup;
use crate::backend::sql::postgres::driver::{
    ASKED_FOR_PROCESS, Array, Driver, Parameter, Processes, of_primary,
};
use crate::backend::sql::postgres::{Connections, IntoConnections};
use crate::backend::sql::value::{bind, row};

/// Time after the deadline in which a server may refuse the connection that an empty pool lacks.
const MAX_REFUSAL_TIME: Duration = Duration::from_millis(20);

/// Client of Postgres that uses a pool of `sqlx`.
pub struct Sqlx {
    pool: PgPool,
    setup: Setup,
}

impl IntoConnections for PgPool {
    type Link = Sqlx;

    fn into_connections(self) -> Connections<Sqlx> {
        Connections {
            count: 1,
            pooled: false,
            make: Box::new(move |setup| Sqlx {
                pool: self.clone(),
                setup,
            }),
        }
    }
}

/// Returns why no connection was opened: the server's code, or the root of a failure of the network.
fn cause(error: &Error) -> Cause {
    match error.as_database_error().and_then(|refused| refused.code()) {
        Some(code) => Failure::refusal(&code),
        None => io_cause(error),
    }
}

impl Sqlx {
    async fn connection(&self, until: Instant) -> Result<PoolConnection<Postgres>, Failure> {
        match timeout_at(until, self.pool.acquire()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(Error::PoolTimedOut)) | Err(_) => {
                Err(Failure::Late(Box::pin(self.refusal()).await))
            }
            Ok(Err(error)) => Err(Failure::Unconnected(cause(&error))),
        }
    }

    /// Returns why the pool has no connection: it keeps a refusal to itself, and tries again.
    async fn refusal(&self) -> Cause {
        if self.pool.size() > 0 {
            return None;
        }
        let options = self.pool.connect_options();
        let opened = timeout(MAX_REFUSAL_TIME, PgConnection::connect_with(&options)).await;
        cause(&opened.ok()?.err()?)
    }

    fn statement<'v>(
        &self,
        query: usize,
        values: &'v [Parameter<'_>],
    ) -> Query<'v, Postgres, PgArguments> {
        // The index is one of the statements that the link was made with.
        let bound = bind!(
            &self.setup.texts[query],
            values,
            |statement, array| match array {
                Array::Bytes(many) => statement.bind(&many[..]),
                Array::Numbers(numbers) => statement.bind(&numbers[..]),
            }
        );
        // Behind a pooler, a named statement would be prepared in one process of the server and
        // sent to another one.
        bound.persistent(!self.setup.pooled)
    }

    /// Begins a transaction. Behind a pooler, its timeout must not stay with the connection, which
    /// other clients use afterwards.
    async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, Error> {
        let mut begin = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
        if self.setup.pooled {
            let timeout = self.setup.server_timeout();
            let _ = write!(begin, "; SET LOCAL statement_timeout = {timeout}");
        }
        connection.begin_with(AssertSqlSafe(begin)).await
    }
}

/// Returns the process of the server that a connection leads to.
async fn process(connection: &mut PgConnection) -> Result<String, Error> {
    let asked = ::sqlx::raw_sql("SELECT pg_backend_pid()::text");
    asked.fetch_one(connection).await?.try_get(0)
}

/// Returns the answer if it is in time. A late answer leaves its connection unusable, so it is
/// closed, and so is a connection to a server that is not the primary. After a dropped call, the
/// pool reads the answer to its end before it hands out the connection.
fn in_time<T>(
    answer: Result<Result<T, Error>, Elapsed>,
    connection: &mut PoolConnection<Postgres>,
) -> Result<T, Failure> {
    let (failure, is_late) = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => (Failure::from(error), false),
        Err(_) => (Failure::Late(None), true),
    };
    if is_late || failure.ends_connection() {
        connection.close_on_drop();
    }
    Err(failure)
}

impl Driver for Sqlx {
    type Row = PgRow;

    async fn rows(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        if self.setup.pooled {
            return Box::pin(self.rows_read_committed(query, values, until)).await;
        }
        let mut connection = self.connection(until).await?;
        let asked = self.statement(query, values).fetch_all(&mut *connection);
        let answer = timeout_at(until, asked).await;
        let rows = in_time(answer, &mut connection)?;
        of_primary(rows).inspect_err(|_| connection.close_on_drop())
    }

    async fn count(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        let mut connection = self.connection(until).await?;
        let asked = async {
            let statement = self.statement(query, values);
            if !self.setup.pooled {
                return statement.execute(&mut *connection).await;
            }
            let mut transaction = self.begin(&mut connection).await?;
            let done = statement.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        let answer = timeout_at(until, asked).await;
        Ok(in_time(answer, &mut connection)?.rows_affected())
    }

    async fn rows_read_committed(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        let mut connection = self.connection(until).await?;
        let asked = async {
            let mut transaction = self.begin(&mut connection).await?;
            let statement = self.statement(query, values);
            let rows = statement.fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        };
        let answer = timeout_at(until, asked).await;
        let rows = in_time(answer, &mut connection)?;
        of_primary(rows).inspect_err(|_| connection.close_on_drop())
    }

    async fn batch(&self, text: String, until: Instant) -> Result<(), Failure> {
        let mut connection = self.connection(until).await?;
        let asked = ::sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection);
        let answer = timeout_at(until, asked).await;
        in_time(answer, &mut connection).map(drop)
    }

    fn connections(&self) -> usize {
        self.pool.size() as usize
    }

    fn sets_isolation(&self) -> bool {
        true
    }

    async fn has_unexpected_pooler(&self, until: Instant) -> Result<bool, Failure> {
        if self.setup.pooled {
            return Ok(false);
        }
        let mut connections = vec![self.connection(until).await?];
        if self.pool.options().get_max_connections() > 1 {
            // A pool that is in use may have no other one to give.
            let now = Instant::now();
            let soon = now + until.saturating_duration_since(now) / 2;
            connections.extend(self.connection(soon).await);
        }
        let asked = async {
            let mut processes = Processes::default();
            for _ in 0..ASKED_FOR_PROCESS {
                for (at, connection) in connections.iter_mut().enumerate() {
                    processes.note(at, process(connection).await?);
                }
            }
            Ok(processes.are_shared())
        };
        let answer: Result<Result<_, Error>, _> = timeout_at(until, asked).await;
        in_time(answer, &mut connections[0])
    }
}

row!(PgRow);

impl fmt::Debug for Sqlx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool: its options contain a host and a user.
        f.debug_struct("Sqlx")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}
