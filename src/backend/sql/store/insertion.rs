//! A new login within a limit: several statements that must be one step.

use crate::backend::sql::client::{Client, Row as _, Value};
use crate::backend::sql::store::rows::values;
use crate::backend::sql::store::statements::Statements;
use crate::backend::sql::store::{Columns, fixed, in_seconds, subject_key};
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::contract::{Created, Limit, Record};

/// A new login within a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Insertion<'r> {
    pub(crate) record: &'r Record,
    most: u32,
    evicts: bool,
    now: Timestamp,
}

impl<'r> Insertion<'r> {
    /// `None` if there is no limit, so that one statement will do.
    pub(crate) fn new(record: &'r Record, limit: Limit, now: Timestamp) -> Option<Self> {
        let (most, evicts) = match limit {
            Limit::Unlimited => return None,
            Limit::Reject(most) => (most, false),
            Limit::EvictOldest(most) => (most, true),
        };
        Some(Self {
            record,
            most,
            evicts,
            now,
        })
    }

    /// Counts, evicts and inserts: to be run in a transaction that keeps other logins of the
    /// subject out, and to be committed then.
    pub(crate) async fn run<C: Client>(
        &self,
        connection: &mut C,
        statements: &Statements,
    ) -> Result<Created, sqlx::Error> {
        let columns = Columns::from(self.record);
        let subject = subject_key(self.record.subject());
        let [handle, subject, now] = [
            Value::Bytes(&columns.handle),
            Value::Bytes(&subject),
            Value::Number(in_seconds(self.now)),
        ];
        let counts = [handle, subject, now, now];
        let counts = connection.rows(&statements.count, &counts).await?;
        let counts = counts.first().ok_or(sqlx::Error::RowNotFound)?;
        let count = |column| counts.number(column).ok_or(sqlx::Error::RowNotFound);
        let (same, alive) = (count(0)?, count(1)?);
        if same > 0 {
            return Ok(Created::Duplicate);
        }
        let excess = (alive + 1 - i64::from(self.most)).max(0);
        if excess > 0 && !self.evicts {
            return Ok(Created::LimitReached);
        }
        let mut evicted = Vec::new();
        if excess > 0 {
            let oldest = [subject, now, now, Value::Number(excess)];
            for row in connection.rows(&statements.oldest, &oldest).await? {
                let handle = row.bytes(0).ok_or(sqlx::Error::RowNotFound)?;
                let removal = [Value::Bytes(handle)];
                connection.write(&statements.remove, &removal).await?;
                evicted.extend(fixed(handle).map(Handle::from_bytes));
            }
        }
        let mut insert = values(&columns).to_vec();
        insert.push(subject);
        connection.write(&statements.insert, &insert).await?;
        Ok(Created::Stored { evicted })
    }
}
