//! Postgres through a pool of sqlx.

use std::fmt;
use std::sync::Arc;

use ::sqlx::pool::PoolConnection;
use ::sqlx::postgres::{PgArguments, PgRow};
use ::sqlx::query::Query;
use ::sqlx::{AssertSqlSafe, Connection as _, Error, PgPool, Postgres, Row as _};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::backend::sql::failure::Failure;
use crate::backend::sql::postgres::driver::{Array, Driver, Parameter};
use crate::backend::sql::postgres::{Connections, IntoConnections};
use crate::backend::sql::value::{bind, row};

/// Client of Postgres that uses a pool of `sqlx`.
pub struct Sqlx {
    pool: PgPool,
    texts: Arc<[Arc<str>]>,
}

impl IntoConnections for PgPool {
    type Link = Sqlx;

    fn into_connections(self) -> Connections<Sqlx> {
        Connections {
            count: 1,
            make: Box::new(move |texts, _, _| Sqlx {
                pool: self.clone(),
                texts,
            }),
        }
    }
}

impl Sqlx {
    async fn connection(&self, until: Instant) -> Result<PoolConnection<Postgres>, Failure> {
        let acquired = timeout_at(until, self.pool.acquire()).await;
        acquired
            .map_err(|_| Failure::Late)?
            .map_err(|_| Failure::Unconnected)
    }

    fn statement<'v>(
        &self,
        query: usize,
        values: &'v [Parameter<'_>],
    ) -> Query<'v, Postgres, PgArguments> {
        // The index is one of the statements that the link was made with.
        bind!(&self.texts[query], values, |statement, array| match array {
            Array::Bytes(many) => statement.bind(&many[..]),
            Array::Numbers(numbers) => statement.bind(&numbers[..]),
        })
    }
}

/// Returns the answer if it is in time. A late answer leaves its connection unusable, so it is
/// closed. After a dropped call, the pool reads the answer to its end before it hands out the
/// connection.
fn in_time<T>(
    answer: Result<Result<T, Error>, Elapsed>,
    connection: &mut PoolConnection<Postgres>,
) -> Result<T, Failure> {
    match answer {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => {
            connection.close_on_drop();
            Err(Failure::Late)
        }
    }
}

impl Driver for Sqlx {
    type Row = PgRow;

    async fn rows(
        &self,
        query: usize,
        values: &[Parameter<'_>],
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
        values: &[Parameter<'_>],
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
        values: &[Parameter<'_>],
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

row!(PgRow);

impl fmt::Debug for Sqlx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool: its options contain a host and a user.
        f.debug_struct("Sqlx")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}
