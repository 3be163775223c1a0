//! A log in Postgres.

mod builder;
pub(crate) mod text;

use std::fmt;

use tokio::time::Instant;

use crate::backend::durability::Durability;
use crate::backend::sql::log::page::{self, Found};
use crate::backend::sql::log::{NO_NONCE, new_incarnation, stay, unanswered, window, without_head};
use crate::backend::sql::postgres::Link;
use crate::backend::sql::postgres::driver::{Failure, Row, Value};
use crate::backend::sql::postgres::durability::durability;
use crate::backend::sql::postgres::setup::{Base, TRIES, until_migrated};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{Page, RevocationLog};
use text::Query;

pub use builder::PostgresLogBuilder;

/// Revocations in Postgres (12 or later), in two tables: [`migrate`](Self::migrate) makes them.
///
/// - `PostgresLog::sqlx`, with the feature `sqlx-postgres`: through the pool that the application
///   has.
/// - `PostgresLog::client` and `PostgresLog::connect`, with `tokio-postgres`: pipelined over few
///   connections.
///
/// An append is one statement, and so is a read. Appends wait for each other, as each locks the row
/// that counts until it is on the disk: several facts in one append cost as much as one. Entries
/// stay by the clock of the server.
///
/// Never point it at a replica: what it answers would be of before. One that can be told from a
/// primary is *unavailable*.
///
/// All acts need a runtime of tokio with its timers on.
///
/// ```no_run
/// use std::time::Duration;
/// use statewise::revocation::{PostgresLog, RevocationView};
///
/// # #[cfg(feature = "sqlx-postgres")]
/// # async fn example(pool: sqlx::PgPool) -> statewise::Result<()> {
/// let log = PostgresLog::sqlx(pool).build()?;
/// log.migrate().await?;
/// log.require_durable().await?;
/// let view = RevocationView::builder(log).max_lifetime(Duration::from_secs(24 * 3600)).build()?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresLog<L> {
    base: Base<L>,
}

fn found(row: &impl Row) -> Option<Found<'_>> {
    Some(Found {
        is_entry: row.number(0).ok()?,
        position: row.number(1).ok()?,
        number: row.number(2).ok()?,
        first: row.number(3).ok()?,
        nonce: row.bytes(4).ok()?,
        fact: row.bytes(5).ok()?,
    })
}

impl<L: Link> PostgresLog<L> {
    /// Makes the tables, where they are not there. Any number of nodes may do so at once, and
    /// again at each start. Takes at most a minute.
    ///
    /// For those who migrate by a tool of their own: [`LOG_SCHEMA`](crate::store::postgres::LOG_SCHEMA) and
    /// [`log_schema()`](crate::store::postgres::log_schema).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer, or if its user may not make tables.
    ///
    /// # Cancel safety
    ///
    /// All of it is done, or nothing.
    pub async fn migrate(&self) -> Result<()> {
        let until = until_migrated()?;
        let schema = text::schema_of(&self.base.table);
        let migrated = self.base.migrate(&schema, until).await;
        migrated.map_err(unanswered)?;
        self.begin(until).await
    }

    /// What the server says about what it keeps; the same as
    /// [`PostgresStore::durability`](crate::store::PostgresStore::durability).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn durability(&self) -> Result<Durability> {
        let until = self.base.until()?;
        let rows = self.base.rows(Query::Durability as usize, true, &[], until);
        durability(&rows.await.map_err(unanswered)?).map_err(unanswered)
    }

    /// Fails unless what was acknowledged survives a crash of the server: ask for it at the start
    /// of a service in which no logout may be undone.
    ///
    /// # Errors
    ///
    /// *Misuse* if it does not, or if the table is not there and nobody
    /// [vouches](PostgresLogBuilder::assume_durable); *unavailable* if the server could not
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(self.base.assumes_durable)
    }

    /// Runs a statement that writes. Where transactions see only what was there at their
    /// beginning, one that waited for another fails: then in one of which it is known that it
    /// does not.
    async fn write(
        &self,
        query: Query,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<L::Row>, Failure> {
        let link = &self.base.link;
        let mut answer = link.rows(query as usize, values, until).await;
        for _ in 1..TRIES {
            match answer {
                Err(failure) if failure.is_undone() => {}
                answer => return answer,
            }
            answer = link
                .rows_read_committed(query as usize, values, until)
                .await;
        }
        answer
    }

    /// Begins the log, unless it has begun.
    async fn begin(&self, until: Instant) -> Result<()> {
        let values = [Value::Number(new_incarnation()?), Value::Bytes(&NO_NONCE)];
        let begun = self.write(Query::Begin, &values, until).await;
        begun.map(drop).map_err(unanswered)
    }

    /// The rows of a statement, as `read` takes them; a log that has no head begins.
    async fn ask<T>(
        &self,
        query: Query,
        values: &[Value<'_>],
        read: impl Fn(&[L::Row]) -> Result<Option<T>> + Send,
    ) -> Result<T> {
        let until = self.base.until()?;
        for has_begun in [false, true] {
            let rows = if query.is_read() {
                self.base.rows(query as usize, true, values, until).await
            } else {
                self.write(query, values, until).await
            };
            if let Some(answer) = read(&rows.map_err(unanswered)?)? {
                return Ok(answer);
            }
            if !has_begun {
                self.begin(until).await?;
            }
        }
        Err(without_head())
    }
}

impl<L: Link> RevocationLog for PostgresLog<L> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        let Some(last) = facts.last() else {
            return self.head(now).await;
        };
        let bytes: Vec<_> = facts.iter().map(|draft| draft.fact.to_bytes()).collect();
        let nonces = facts.iter().map(|draft| &draft.nonce.as_bytes()[..]);
        let lives = facts.iter().map(|draft| draft.life.as_secs().cast_signed());
        let stays = facts.iter().map(|draft| stay(draft.life));
        let values = [
            Value::Many(nonces.collect()),
            Value::Many(bytes.iter().map(|fact| &fact[..]).collect()),
            Value::Numbers(lives.collect()),
            Value::Numbers(stays.collect()),
            Value::Bytes(last.nonce.as_bytes()),
            Value::Number(window(facts.len())),
        ];
        let read = |rows: &[L::Row]| page::stamp(rows.iter().map(found));
        self.ask(Query::Append, &values, read).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        let read = |rows: &[L::Row]| page::stamp(rows.iter().map(found));
        self.ask(Query::Head, &[], read).await
    }

    async fn read(&self, from: u64, limit: usize, _now: Timestamp) -> Result<Page> {
        let limit = limit.max(1);
        let values = [
            Value::Number(i64::try_from(from).unwrap_or(i64::MAX)),
            Value::Number(i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1))),
        ];
        let read = |rows: &[L::Row]| page::page(rows.iter().map(found), from, limit);
        self.ask(Query::Read, &values, read).await
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        let read = |rows: &[L::Row]| Ok(rows.first().map(drop));
        self.ask(Query::Fence, &[], read).await
    }
}

impl<L: fmt::Debug> fmt::Debug for PostgresLog<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog")
            .field("table", &self.base.table)
            .field("link", &self.base.link)
            .field("deadline", &self.base.deadline)
            .finish_non_exhaustive()
    }
}
