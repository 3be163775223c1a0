//! Failures of a database, without the rows, statements and addresses that an error may quote.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// A reason why a database did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The database refused the statement with a code: an SQLSTATE in Postgres, the number of the
    /// error in MySQL and SQLite.
    Refused(String),
    /// The connection broke. It is unknown whether the statement took effect.
    Broken,
    /// There was no connection to use.
    Unconnected,
    /// The deadline passed.
    Late,
    /// The answer does not have the expected shape.
    Unexpected,
}

impl Failure {
    /// Returns true if the database undid the work because of another transaction, so that it may
    /// be tried again.
    #[cfg(any(
        feature = "sqlx-mysql",
        feature = "sqlx-postgres",
        feature = "tokio-postgres"
    ))]
    pub(crate) fn is_conflict(&self) -> bool {
        // Postgres: serialization failure, deadlock. MySQL: deadlock, timeout of a lock, row
        // changed since it was read.
        self.has_code(&["40001", "40P01", "1213", "1205", "1020"])
    }

    /// Returns true if a row with the same key exists.
    pub(crate) fn is_duplicate(&self) -> bool {
        // Postgres, MySQL.
        self.has_code(&["23505", "1062"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused(code) if codes.contains(&&**code))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Postgres: table, function or column. MySQL: table.
            Self::Refused(code) if self.has_code(&["42P01", "42883", "42703", "1146"]) => {
                write!(
                    f,
                    "the database answered with error {code}: call `migrate` first"
                )
            }
            Self::Refused(code) => write!(f, "the database answered with error {code}"),
            Self::Broken => f.write_str("the connection to the database broke"),
            Self::Unconnected => f.write_str("no connection to the database was available"),
            Self::Late => f.write_str("the database did not answer within the deadline"),
            Self::Unexpected => f.write_str("the database sent an answer of an unexpected shape"),
        }
    }
}

impl StdError for Failure {}

/// *Unavailable*: the store. A log makes its own error.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure)
    }
}

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refused) => {
                #[cfg(feature = "sqlx-mysql")]
                if let Some(error) = refused.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                    return Self::Refused(error.number().to_string());
                }
                let code = refused.code().unwrap_or_default();
                // Postgres: the server shuts down, or an operator ended the connection.
                if code.starts_with("57P0") {
                    return Self::Broken;
                }
                Self::Refused(code.into_owned())
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Unconnected,
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::RowNotFound => Self::Unexpected,
            _ => Self::Broken,
        }
    }
}
