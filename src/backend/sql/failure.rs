//! What went wrong in a database, without what it may quote.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// Why a database could not answer: its own code, and no word of a row, a statement or an address.
#[derive(Debug)]
pub(crate) struct Cause(String);

impl Cause {
    /// The deadline has passed.
    pub(crate) fn late() -> Self {
        Self("no answer within the deadline".to_owned())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

/// Whatever the client says.
impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&sqlx::Error> for Cause {
    fn from(error: &sqlx::Error) -> Self {
        Self(match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                format!("the database refused it with code {code}")
            }
            sqlx::Error::Io(error) => format!("the connection broke: {}", error.kind()),
            sqlx::Error::PoolTimedOut => "no connection of the pool came free".to_owned(),
            sqlx::Error::PoolClosed => "the pool is closed".to_owned(),
            sqlx::Error::WorkerCrashed => "the worker of the connection is gone".to_owned(),
            sqlx::Error::Protocol(_) => "the server said what the client did not expect".to_owned(),
            _ => "the client could not do it".to_owned(),
        })
    }
}

/// *Unavailable*: of a session store, unless somebody says of what.
impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self::unavailable(cause)
    }
}
