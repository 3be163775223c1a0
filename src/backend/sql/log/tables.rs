//! The acts of a log over a pool of sqlx, whatever database is behind it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::sql::client::{Row, Value};
use crate::backend::sql::failure::Cause;
use crate::backend::sql::log::append::{Append, Begin};
use crate::backend::sql::log::page::{self, Found};
use crate::backend::sql::log::statements::{Dialect, Statements};
use crate::backend::sql::log::{new_incarnation, unanswered, without_head};
use crate::backend::sql::settings::{Settings, in_time};
use crate::backend::sql::table::Table;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::Page;

/// Carries statements to a database, and deals with what is passing: a busy database, a deadlock.
pub(crate) trait Carrier: fmt::Debug + Send + Sync + 'static {
    type Row: Row;

    /// The rows that a statement answers which does not write.
    fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Self::Row>, Cause>> + Send;

    /// Runs a statement that writes, as a transaction of its own; how many rows it found to
    /// write.
    fn write(&self, statement: &Arc<str>) -> impl Future<Output = Result<u64, Cause>> + Send;

    /// Appends in one transaction.
    fn append(&self, append: &Append<'_>) -> impl Future<Output = Result<Stamp, Cause>> + Send;

    /// Begins the log, unless it has begun.
    fn begin(&self, begin: &Begin<'_>) -> impl Future<Output = Result<(), Cause>> + Send;
}

/// A log in two tables.
pub(crate) struct Tables<C> {
    pub(crate) carrier: C,
    pub(crate) table: Table,
    pub(crate) assumes_durable: bool,
    statements: Statements,
    deadline: Duration,
}

fn found(row: &impl Row) -> Option<Found<'_>> {
    Some(Found {
        is_entry: row.number(0)?,
        position: row.number(1)?,
        number: row.number(2)?,
        first: row.number(3)?,
        nonce: row.bytes(4)?,
        fact: row.bytes(5)?,
    })
}

impl<C> Tables<C> {
    pub(crate) fn new(settings: &Settings, dialect: &Dialect, carrier: C) -> Result<Self> {
        let table = settings.check()?;
        Ok(Self {
            carrier,
            statements: Statements::of(&table, dialect),
            table,
            assumes_durable: settings.assumes_durable,
            deadline: settings.deadline,
        })
    }
}

impl<C: Carrier> Tables<C> {
    /// Does it within the deadline. Not a future around that one: it would have room for the act
    /// once more.
    pub(crate) fn in_time<T: Send>(
        &self,
        act: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        in_time(self.deadline, act, unanswered)
    }

    pub(crate) async fn begin(&self) -> Result<()> {
        let begin = Begin {
            statements: &self.statements,
            incarnation: new_incarnation()?,
        };
        self.carrier.begin(&begin).await.map_err(unanswered)
    }

    pub(crate) async fn append(&self, facts: &[Draft], now: Option<Timestamp>) -> Result<Stamp> {
        if facts.is_empty() {
            return self.head().await;
        }
        let begin = Begin {
            statements: &self.statements,
            incarnation: new_incarnation()?,
        };
        let append = Append {
            begin,
            facts,
            now: now.map(|now| now.unix().cast_signed()),
        };
        self.carrier.append(&append).await.map_err(unanswered)
    }

    /// The rows of a statement, as `read` takes them; a log that has no head begins.
    async fn rows<T>(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
        read: impl Fn(&[C::Row]) -> Result<Option<T>> + Send,
    ) -> Result<T> {
        for has_begun in [false, true] {
            let rows = self.carrier.rows(statement, values).await;
            if let Some(answer) = read(&rows.map_err(unanswered)?)? {
                return Ok(answer);
            }
            if !has_begun {
                self.begin().await?;
            }
        }
        Err(without_head())
    }

    pub(crate) async fn head(&self) -> Result<Stamp> {
        let read = |rows: &[C::Row]| page::stamp(rows.iter().map(found));
        self.rows(&self.statements.head, &[], read).await
    }

    pub(crate) async fn read(
        &self,
        from: u64,
        limit: usize,
        now: Option<Timestamp>,
    ) -> Result<Page> {
        let limit = limit.max(1);
        let values = [
            Value::Number(now.map_or(0, |now| now.unix().cast_signed())),
            Value::Number(i64::try_from(from).unwrap_or(i64::MAX)),
            Value::Number(i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1))),
        ];
        let read = |rows: &[C::Row]| page::page(rows.iter().map(found), from, limit);
        self.rows(&self.statements.read, &values, read).await
    }

    pub(crate) async fn fence(&self) -> Result<()> {
        for has_begun in [false, true] {
            let fenced = self.carrier.write(&self.statements.fence).await;
            if fenced.map_err(unanswered)? > 0 {
                return Ok(());
            }
            if !has_begun {
                self.begin().await?;
            }
        }
        Err(without_head())
    }
}

impl<C: fmt::Debug> fmt::Debug for Tables<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("carrier", &self.carrier)
            .field("table", &self.table)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Makes a log of a type whose first field is [`Tables`]. `$now` says whether the time is that of
/// the caller.
macro_rules! log {
    ($log:ty, $name:literal, |$now:ident| $time:expr) => {
        impl crate::revocation::log::RevocationLog for $log {
            async fn append(
                &self,
                facts: &[crate::revocation::log::Draft],
                $now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Stamp> {
                self.0.in_time(self.0.append(facts, $time)).await
            }

            async fn head(
                &self,
                _now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::store::contract::Stamp> {
                self.0.in_time(self.0.head()).await
            }

            async fn read(
                &self,
                from: u64,
                limit: usize,
                $now: crate::clock::Timestamp,
            ) -> crate::error::Result<crate::revocation::log::Page> {
                self.0.in_time(self.0.read(from, limit, $time)).await
            }

            async fn fence(&self, _now: crate::clock::Timestamp) -> crate::error::Result<()> {
                self.0.in_time(self.0.fence()).await
            }
        }

        /// By hand: addresses belong into no log.
        impl std::fmt::Debug for $log {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple($name).field(&self.0).finish()
            }
        }
    };
}

pub(crate) use log;
