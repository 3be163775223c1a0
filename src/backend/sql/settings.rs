//! What is told before something is built over a pool of sqlx.

use std::future::Future;
use std::time::Duration;

use crate::backend::sql::DEADLINE;
use crate::backend::sql::failure::Cause;
use crate::backend::sql::table::Table;
use crate::error::{Error, Result};

/// What is told before it is built.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) table: String,
    pub(crate) deadline: Duration,
    pub(crate) assumes_durable: bool,
}

impl Settings {
    pub(crate) fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            deadline: DEADLINE,
            assumes_durable: false,
        }
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// *Misuse* for a name that could escape a statement, or a deadline of zero.
    pub(crate) fn check(&self) -> Result<Table> {
        let table = Table::parse(&self.table)?;
        if self.deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline is zero, so that nothing could be answered: give it some time",
            ));
        }
        Ok(table)
    }
}

/// Does it within a deadline. `late` says what the failure is.
pub(crate) async fn in_time<T>(
    deadline: Duration,
    act: impl Future<Output = Result<T>> + Send,
    late: impl FnOnce(Cause) -> Error,
) -> Result<T> {
    let answer = tokio::time::timeout(deadline, act).await;
    answer.unwrap_or_else(|_| Err(late(Cause::late())))
}
