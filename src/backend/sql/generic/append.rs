//! The steps of an append: several statements in one transaction.

use crate::backend::sql::generic::driver::{Act, Client};
use crate::backend::sql::generic::log_statements::{LogStatements, SIZES};
use crate::backend::sql::log::{NO_NONCE, max_trimmed, stay_secs};
use crate::backend::sql::value::{Row, Value};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, FACT_BYTES};

/// Facts to append to a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append<'a> {
    pub(crate) begin: Begin<'a>,
    pub(crate) facts: &'a [Draft],
    /// Time of the caller, or zero if the database has the time.
    pub(crate) now: i64,
}

/// The beginning of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin<'a> {
    pub(crate) statements: &'a LogStatements,
    pub(crate) incarnation: i64,
}

fn number(row: &impl Row, column: usize) -> Result<i64, sqlx::Error> {
    row.number(column).ok_or(sqlx::Error::RowNotFound)
}

impl<C: Client> Act<C> for Begin<'_> {
    type Answer = ();

    /// Creates the counter and removes the entries of a former log, unless there is a counter.
    /// Fails with a duplicate if another node creates it at the same time.
    async fn run(&self, connection: &mut C) -> Result<(), sqlx::Error> {
        if !connection
            .rows(&self.statements.count, &[])
            .await?
            .is_empty()
        {
            return Ok(());
        }
        let values = [Value::Number(self.incarnation), Value::Bytes(&NO_NONCE)];
        connection.write(&self.statements.begin, &values).await?;
        connection.write(&self.statements.clear, &[]).await?;
        Ok(())
    }
}

impl<C: Client> Act<C> for Append<'_> {
    /// The position of the last fact.
    type Answer = Stamp;

    async fn run(&self, connection: &mut C) -> Result<Stamp, sqlx::Error> {
        let statements = self.begin.statements;
        let mut rows = connection.rows(&statements.count, &[]).await?;
        if rows.is_empty() {
            self.begin.run(connection).await?;
            rows = connection.rows(&statements.count, &[]).await?;
        }
        let head = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let (position, incarnation) = (number(head, 0)?, number(head, 1)?);
        let mut first = number(head, 2)?;
        let now = number(head, 3)? + self.now;
        if number(head, 4)? <= now {
            first = self.trim(connection, first, now).await?;
        }
        let last = position + i64::try_from(self.facts.len()).unwrap_or(i64::MAX - position);
        self.insert(connection, position).await?;
        let nonce = self.facts.last().map(|fact| fact.nonce);
        let values = [
            Value::Number(last),
            Value::Bytes(nonce.as_ref().map_or(&NO_NONCE, |nonce| nonce.as_bytes())),
            Value::Number(first),
        ];
        connection.write(&statements.advance, &values).await?;
        let mark = nonce.map_or(0, |nonce| nonce.mark());
        let (incarnation, last) = (incarnation.cast_unsigned(), last.cast_unsigned());
        Ok(Stamp::new(incarnation, last, mark))
    }
}

impl Append<'_> {
    /// Removes expired entries from the front, and returns the first position that is left. An
    /// entry that must stay keeps all entries after it, because a reader takes everything before
    /// the first position for expired.
    async fn trim<C: Client>(
        &self,
        connection: &mut C,
        mut first: i64,
        now: i64,
    ) -> Result<i64, sqlx::Error> {
        let statements = self.begin.statements;
        let most = Value::Number(max_trimmed(self.facts.len()));
        let values = [Value::Number(first), most];
        for entry in connection.rows(&statements.front, &values).await? {
            if number(&entry, 1)? > now {
                break;
            }
            first = number(&entry, 0)? + 1;
        }
        let values = [Value::Number(first)];
        connection.write(&statements.trim, &values).await?;
        Ok(first)
    }

    /// Inserts the entries after `position`.
    async fn insert<C: Client>(
        &self,
        connection: &mut C,
        position: i64,
    ) -> Result<(), sqlx::Error> {
        let facts = self.facts.iter().map(|draft| draft.fact.to_bytes());
        let facts: Vec<[u8; FACT_BYTES]> = facts.collect();
        let mut rows = Vec::with_capacity(self.facts.len());
        for ((draft, fact), at) in self.facts.iter().zip(&facts).zip(position + 1..) {
            rows.push([
                Value::Number(at),
                Value::Bytes(draft.nonce.as_bytes()),
                Value::Bytes(fact),
                Value::Number(draft.life.as_secs().cast_signed()),
                Value::Number(self.now + stay_secs(draft.life)),
            ]);
        }
        let mut left = &rows[..];
        for (size, statement) in SIZES.iter().zip(&self.begin.statements.insert) {
            let (whole, rest) = left.split_at(left.len() - left.len() % size);
            for rows in whole.chunks(*size) {
                connection.write(statement, rows.as_flattened()).await?;
            }
            left = rest;
        }
        Ok(())
    }
}
