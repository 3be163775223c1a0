//! A connection of sqlx, as those use it who send statements with `?` for each value.

use std::future::Future;
use std::sync::Arc;

/// A value of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'v> {
    Number(i64),
    Flag(bool),
    Bytes(&'v [u8]),
    Optional(Option<&'v [u8]>),
}

/// A row that was answered. `None` for what is not as it was written.
pub(crate) trait Row: Send + Sync {
    fn number(&self, column: usize) -> Option<i64>;
    fn flag(&self, column: usize) -> Option<bool>;
    fn bytes(&self, column: usize) -> Option<&[u8]>;
    fn optional(&self, column: usize) -> Option<Option<&[u8]>>;
}

/// A connection, in a transaction or not.
pub(crate) trait Client: Send {
    type Row: Row;

    /// The rows that a statement answers which does not write. One that writes must not answer
    /// rows: the client may end it behind a row, and does not say if that failed.
    fn rows(
        &mut self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Runs a statement that writes; how many rows it found to write.
    fn write(
        &mut self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
}

/// The two are the same for every database but for their types.
macro_rules! client {
    ($connection:ty, $database:ty, $row:ty) => {
        impl $crate::backend::sql::client::Client for $connection {
            type Row = $row;

            async fn rows(
                &mut self,
                statement: &std::sync::Arc<str>,
                values: &[$crate::backend::sql::client::Value<'_>],
            ) -> Result<Vec<$row>, sqlx::Error> {
                bound(statement, values).fetch_all(self).await
            }

            async fn write(
                &mut self,
                statement: &std::sync::Arc<str>,
                values: &[$crate::backend::sql::client::Value<'_>],
            ) -> Result<u64, sqlx::Error> {
                let done = bound(statement, values).execute(self).await?;
                Ok(done.rows_affected())
            }
        }

        /// The texts hold nothing but checked names and places for values.
        fn bound<'v>(
            statement: &std::sync::Arc<str>,
            values: &'v [$crate::backend::sql::client::Value<'_>],
        ) -> sqlx::query::Query<'v, $database, <$database as sqlx::Database>::Arguments> {
            use $crate::backend::sql::client::Value;

            let statement = sqlx::query(sqlx::AssertSqlSafe(std::sync::Arc::clone(statement)));
            values
                .iter()
                .fold(statement, |statement, value| match value {
                    Value::Number(number) => statement.bind(*number),
                    Value::Flag(flag) => statement.bind(*flag),
                    Value::Bytes(bytes) => statement.bind(*bytes),
                    Value::Optional(bytes) => statement.bind(*bytes),
                })
        }

        impl $crate::backend::sql::client::Row for $row {
            fn number(&self, column: usize) -> Option<i64> {
                sqlx::Row::try_get(self, column).ok()
            }

            fn flag(&self, column: usize) -> Option<bool> {
                sqlx::Row::try_get(self, column).ok()
            }

            fn bytes(&self, column: usize) -> Option<&[u8]> {
                sqlx::Row::try_get(self, column).ok()
            }

            fn optional(&self, column: usize) -> Option<Option<&[u8]>> {
                sqlx::Row::try_get(self, column).ok()
            }
        }
    };
}

pub(crate) use client;
