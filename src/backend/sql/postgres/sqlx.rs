//! Postgres through a pool of sqlx.

use std::fmt;
use std::sync::Arc;

use ::sqlx::pool::PoolConnection;
use ::sqlx::postgres::{PgArguments, PgRow};
use ::sqlx::query::Query as Statement;
use ::sqlx::{AssertSqlSafe, Connection as _, Error, PgPool, Postgres, Row as _};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::backend::sql::postgres::driver::{Driver, Failure, Row, Value};
use crate::backend::sql::postgres::setup::Setup;

/// Talks through a pool of `sqlx`.
pub struct Sqlx {
    pool: PgPool,
    texts: Arc<[Arc<str>]>,
}

impl Sqlx {
    /// Over a pool.
    pub(crate) fn setup(pool: PgPool) -> Setup<Self> {
        Setup::new(move |settings| Self {
            pool,
            texts: Arc::clone(&settings.texts),
        })
    }

    async fn connection(&self, until: Instant) -> Result<PoolConnection<Postgres>, Failure> {
        let acquired = timeout_at(until, self.pool.acquire()).await;
        acquired
            .map_err(|_| Failure::Late)?
            .map_err(|_| Failure::Unconnected)
    }

    /// The texts hold nothing but checked names and parameters.
    fn statement<'v>(
        &self,
        query: usize,
        values: &'v [Value<'_>],
    ) -> Statement<'v, Postgres, PgArguments> {
        // The numbers are of the owner of the texts.
        let text = Arc::clone(&self.texts[query]);
        let statement = ::sqlx::query(AssertSqlSafe(text));
        values
            .iter()
            .fold(statement, |statement, value| match value {
                Value::Number(number) => statement.bind(*number),
                Value::Flag(flag) => statement.bind(*flag),
                Value::Bytes(bytes) => statement.bind(*bytes),
                Value::Optional(bytes) => statement.bind(*bytes),
                Value::Many(many) => statement.bind(&many[..]),
                Value::Numbers(numbers) => statement.bind(&numbers[..]),
            })
    }
}

/// An answer, if it is there in time. What is late leaves its connection unfit for others: it is
/// closed. What is dropped is read to its end by the pool before anybody else gets the connection.
fn in_time<T>(
    answer: Result<Result<T, Error>, Elapsed>,
    connection: &mut PoolConnection<Postgres>,
) -> Result<T, Failure> {
    match answer {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => {
            connection.close_on_drop();
            Err(Failure::Late)
        }
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Database(refused) => {
            let code = refused.code().unwrap_or_default().into_owned();
            if code.starts_with("57P0") {
                // The server is shutting down, or an operator ended the connection.
                Failure::Broken
            } else {
                Failure::Refused(code)
            }
        }
        Error::PoolTimedOut | Error::PoolClosed => Failure::Unconnected,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnIndexOutOfBounds { .. } => {
            Failure::Garbled
        }
        _ => Failure::Broken,
    }
}

impl Driver for Sqlx {
    type Row = PgRow;

    async fn rows(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        let mut connection = self.connection(until).await?;
        let asked = self.statement(query, values).fetch_all(&mut *connection);
        let answer = timeout_at(until, asked).await;
        in_time(answer, &mut connection)
    }

    async fn count(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        let mut connection = self.connection(until).await?;
        let asked = self.statement(query, values).execute(&mut *connection);
        let answer = timeout_at(until, asked).await;
        Ok(in_time(answer, &mut connection)?.rows_affected())
    }

    async fn rows_read_committed(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        let mut connection = self.connection(until).await?;
        let asked = async {
            let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
            let mut transaction = connection.begin_with(begin).await?;
            let statement = self.statement(query, values);
            let rows = statement.fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        };
        let answer = timeout_at(until, asked).await;
        in_time(answer, &mut connection)
    }

    async fn batch(&self, text: String, until: Instant) -> Result<(), Failure> {
        let mut connection = self.connection(until).await?;
        let asked = ::sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection);
        let answer = timeout_at(until, asked).await;
        in_time(answer, &mut connection).map(drop)
    }
}

impl Row for PgRow {
    fn number(&self, column: usize) -> Result<i64, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn flag(&self, column: usize) -> Result<bool, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn bytes(&self, column: usize) -> Result<&[u8], Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn optional(&self, column: usize) -> Result<Option<&[u8]>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn many(&self, column: usize) -> Result<Vec<Vec<u8>>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }
}

impl fmt::Debug for Sqlx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the pool, whose options have a host and a user.
        f.debug_struct("Sqlx")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}
