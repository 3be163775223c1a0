//! Values of statements, and rows of answers.

use std::convert::Infallible;
use std::fmt;

/// A value for a placeholder of a statement. `A` is the type of arrays, which only Postgres has.
#[derive(Clone, Copy)]
pub(crate) enum Value<'v, A = Infallible> {
    Number(i64),
    Flag(bool),
    Bytes(&'v [u8]),
    Optional(Option<&'v [u8]>),
    #[cfg_attr(
        not(any(feature = "sqlx-postgres", feature = "tokio-postgres")),
        expect(dead_code, reason = "only Postgres has arrays")
    )]
    Array(A),
}

impl<A> fmt::Debug for Value<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Redacted: a client may log its parameters.
        f.write_str("..")
    }
}

/// A row of an answer. Columns are counted from zero. A column of another type is `None`.
pub(crate) trait Row: Send + Sync {
    fn number(&self, column: usize) -> Option<i64>;
    fn flag(&self, column: usize) -> Option<bool>;
    fn bytes(&self, column: usize) -> Option<&[u8]>;
    fn optional(&self, column: usize) -> Option<Option<&[u8]>>;
    /// Returns true if the column holds bytes or a number, and is NULL.
    #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
    fn is_null(&self, column: usize) -> bool;
}

/// Implements [`Row`] for the row of a client, through the client's own `try_get`.
macro_rules! row {
    ($row:ty) => {
        impl $crate::backend::sql::value::Row for $row {
            fn number(&self, column: usize) -> Option<i64> {
                self.try_get(column).ok()
            }

            fn flag(&self, column: usize) -> Option<bool> {
                self.try_get(column).ok()
            }

            fn bytes(&self, column: usize) -> Option<&[u8]> {
                self.try_get(column).ok()
            }

            fn optional(&self, column: usize) -> Option<Option<&[u8]>> {
                self.try_get(column).ok()
            }

            #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
            fn is_null(&self, column: usize) -> bool {
                // tokio-postgres reads no NULL of another type.
                let number = || {
                    self.try_get(column)
                        .is_ok_and(|it: Option<i64>| it.is_none())
                };
                self.optional(column).map_or_else(number, |it| it.is_none())
            }
        }
    };
}

/// Binds values to a statement of sqlx. `$array` binds an array, where the database has them.
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
macro_rules! bind {
    ($statement:expr, $values:expr, |$query:ident, $array:ident| $bind:expr) => {{
        use $crate::backend::sql::value::Value;

        // The text holds checked names and placeholders, and no value.
        let statement = sqlx::query(sqlx::AssertSqlSafe(std::sync::Arc::clone($statement)));
        $values.iter().fold(statement, |$query, value| match value {
            Value::Number(number) => $query.bind(*number),
            Value::Flag(flag) => $query.bind(*flag),
            Value::Bytes(bytes) => $query.bind(*bytes),
            Value::Optional(bytes) => $query.bind(*bytes),
            Value::Array($array) => $bind,
        })
    }};
}

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
pub(crate) use bind;
pub(crate) use row;
