//! Insertion of a login within a limit: several statements in one transaction.

use crate::backend::sql::columns::{Columns, handle, in_seconds, subject_key};
use crate::backend::sql::generic::driver::{Act, Client};
use crate::backend::sql::generic::statements::Statements;
use crate::backend::sql::value::{Row as _, Value};
use crate::clock::Timestamp;
use crate::store::contract::{Created, Limit, Record};

/// A login that becomes a row.
pub(crate) struct Insertion<'r> {
    statements: &'r Statements,
    columns: Columns<'r>,
    subject: [u8; 32],
}

/// An insertion within a limit.
pub(crate) struct Within<'r> {
    insertion: Insertion<'r>,
    limit: Limit,
    /// The maximum number of live logins, by the limit.
    max: u32,
    /// Row that stands for the subject, where one is locked.
    part: Value<'r>,
    now: Timestamp,
}

impl<'r> Insertion<'r> {
    pub(crate) fn new(statements: &'r Statements, record: &'r Record) -> Self {
        Self {
            statements,
            columns: Columns::from(record),
            subject: subject_key(record.subject()),
        }
    }

    /// Returns the values of the new row.
    pub(crate) fn values(&self) -> Vec<Value<'_>> {
        let mut values = self.columns.values().to_vec();
        values.push(Value::Bytes(&self.subject));
        values
    }

    pub(crate) fn within(
        self,
        limit: Limit,
        max: u32,
        part: Value<'r>,
        now: Timestamp,
    ) -> Within<'r> {
        Within {
            insertion: self,
            limit,
            max,
            part,
            now,
        }
    }
}

impl<C: Client> Act<C> for Within<'_> {
    /// `None` if the row that stands for the subject does not exist yet.
    type Answer = Option<Created>;

    /// Locks, counts, evicts and inserts.
    async fn run(&self, connection: &mut C) -> Result<Option<Created>, sqlx::Error> {
        let Insertion {
            statements,
            columns,
            subject,
        } = &self.insertion;
        if let Some(lock) = &statements.lock
            && connection.rows(lock, &[self.part]).await?.is_empty()
        {
            return Ok(None);
        }
        let subject = Value::Bytes(subject);
        let now = Value::Number(in_seconds(self.now));
        let values = [Value::Bytes(&columns.handle), subject, now, now];
        let counts = connection.rows(&statements.count, &values).await?;
        let counts = counts.first().ok_or(sqlx::Error::RowNotFound)?;
        let count = |column| counts.number(column).ok_or(sqlx::Error::RowNotFound);
        let (same, alive) = (count(0)?, count(1)?);
        if same > 0 {
            return Ok(Some(Created::Duplicate));
        }
        let excess = (alive + 1 - i64::from(self.max)).max(0);
        if excess > 0 && !self.limit.evicts() {
            return Ok(Some(Created::LimitReached));
        }
        let mut evicted = Vec::new();
        if excess > 0 {
            let is_by_use = Value::Flag(self.limit.is_by_use());
            let values = [subject, now, now, is_by_use, Value::Number(excess)];
            let rows = connection.rows(&statements.oldest, &values).await?;
            let mut oldest: Vec<_> = rows.iter().filter_map(|row| row.bytes(0)).collect();
            evicted.extend(oldest.iter().filter_map(|oldest| handle(oldest)));
            // In the order in which all others lock rows.
            oldest.sort_unstable();
            for oldest in oldest {
                let values = [Value::Bytes(oldest)];
                connection.write(&statements.remove_within, &values).await?;
            }
        }
        let values = self.insertion.values();
        connection.write(&statements.insert_within, &values).await?;
        Ok(Some(Created::Stored { evicted }))
    }
}
