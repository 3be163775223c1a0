//! What went wrong in a database, without what it may quote.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// Why a database could not answer: its own code, and no word of a row, a statement or an address.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

/// *Unavailable*, for whatever the client says.
pub(crate) fn unavailable(error: &sqlx::Error) -> Error {
    let cause = match error {
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
    };
    Error::unavailable(Cause(cause))
}

/// *Unavailable*, since the deadline has passed.
pub(crate) fn too_late() -> Error {
    Error::unavailable(Cause("no answer within the deadline".to_owned()))
}
