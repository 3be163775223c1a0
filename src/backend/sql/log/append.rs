//! The steps of an append, for databases that take several statements for it: one transaction.

use crate::backend::sql::client::{Client, Row, Value};
use crate::backend::sql::log::statements::{SIZES, Statements};
use crate::backend::sql::log::{NO_NONCE, stay, window};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, FACT_BYTES};

/// Facts on their way into a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append<'a> {
    pub(crate) begin: Begin<'a>,
    pub(crate) facts: &'a [Draft],
    /// The time, where it is not the database's.
    pub(crate) now: Option<i64>,
}

/// The beginning of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin<'a> {
    pub(crate) statements: &'a Statements,
    pub(crate) incarnation: i64,
}

/// A number of a row.
fn number(row: &impl Row, column: usize) -> Result<i64, sqlx::Error> {
    row.number(column).ok_or(sqlx::Error::RowNotFound)
}

impl Begin<'_> {
    /// Makes the row that counts, and leaves nothing of a log that had another one. Fails for a
    /// duplicate if it is there.
    pub(crate) async fn run<C: Client>(&self, connection: &mut C) -> Result<(), sqlx::Error> {
        let values = [Value::Number(self.incarnation), Value::Bytes(&NO_NONCE)];
        connection.write(&self.statements.begin, &values).await?;
        connection.write(&self.statements.clear, &[]).await?;
        Ok(())
    }
}

impl Append<'_> {
    /// Where the last of the facts is.
    pub(crate) async fn run<C: Client>(&self, connection: &mut C) -> Result<Stamp, sqlx::Error> {
        let statements = self.begin.statements;
        let mut rows = connection.rows(&statements.count, &[]).await?;
        if rows.is_empty() {
            self.begin.run(connection).await?;
            rows = connection.rows(&statements.count, &[]).await?;
        }
        let head = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let (position, incarnation) = (number(head, 0)?, number(head, 1)?);
        let mut first = number(head, 2)?;
        let now = self.now.map_or_else(|| number(head, 3), Ok)?;
        if number(head, 4)? <= now {
            first = self.trim(connection, first, now).await?;
        }
        let last = position + i64::try_from(self.facts.len()).unwrap_or(i64::MAX - position);
        self.insert(connection, position).await?;
        let nonce = self
            .facts
            .last()
            .map_or(&NO_NONCE, |fact| fact.nonce.as_bytes());
        let values = [
            Value::Number(last),
            Value::Bytes(nonce),
            Value::Number(first),
        ];
        connection.write(&statements.advance, &values).await?;
        let mark = self.facts.last().map_or(0, |fact| fact.nonce.mark());
        let (incarnation, last) = (incarnation.cast_unsigned(), last.cast_unsigned());
        Ok(Stamp::new(incarnation, last, mark))
    }

    /// Lets go of what has had its time, from the front; the first position that is left. One that
    /// must stay keeps all behind it: a reader knows what has gone by the first that is there.
    async fn trim<C: Client>(
        &self,
        connection: &mut C,
        mut first: i64,
        now: i64,
    ) -> Result<i64, sqlx::Error> {
        let statements = self.begin.statements;
        let window = Value::Number(window(self.facts.len()));
        let front = [Value::Number(first), window];
        for entry in connection.rows(&statements.front, &front).await? {
            if number(&entry, 1)? > now {
                break;
            }
            first = number(&entry, 0)? + 1;
        }
        let trim = [Value::Number(first)];
        connection.write(&statements.trim, &trim).await?;
        Ok(first)
    }

    /// Adds the entries behind `position`.
    async fn insert<C: Client>(
        &self,
        connection: &mut C,
        position: i64,
    ) -> Result<(), sqlx::Error> {
        let now = self.now.unwrap_or_default();
        let facts: Vec<[u8; FACT_BYTES]> = self
            .facts
            .iter()
            .map(|draft| draft.fact.to_bytes())
            .collect();
        let mut rows = Vec::with_capacity(self.facts.len());
        for ((draft, fact), at) in self.facts.iter().zip(&facts).zip(position + 1..) {
            rows.push([
                Value::Number(at),
                Value::Bytes(draft.nonce.as_bytes()),
                Value::Bytes(fact),
                Value::Number(draft.life.as_secs().cast_signed()),
                Value::Number(now + stay(draft.life)),
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
