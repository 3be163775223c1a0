//! Revocations in Postgres.

use std::fmt;
use std::sync::Arc;

use crate::backend::sql::columns::at_most;
use crate::backend::sql::log::{
    NO_NONCE, log_failed, max_trimmed, new_incarnation, stay_secs, without_counter,
};
use crate::backend::sql::page;
use crate::backend::sql::postgres::Link;
use crate::backend::sql::postgres::base::{Base, ReadCommitted};
use crate::backend::sql::postgres::driver::{Array, Parameter, Query as _};
use crate::backend::sql::postgres::log_statements::LogQuery;
use crate::backend::sql::value::Value;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{NOT_BEGUN, Page, READ_ONLY, RevocationLog};

/// Revocations in Postgres, from [`Postgres::revocations`](crate::store::Postgres::revocations). A
/// clone shares everything with its original.
///
/// An append is one statement, and so is a read. An append locks the counter until the commit is on
/// the disk, so appends wait for each other. Several facts in one append cost as much as one. The
/// clock of the server decides when an entry expires.
pub struct PostgresLog<L> {
    pub(crate) base: Arc<Base<L, LogQuery>>,
    read_only: bool,
}

impl<L> PostgresLog<L> {
    pub(crate) fn new(base: Base<L, LogQuery>) -> Self {
        Self {
            base: Arc::new(base),
            read_only: false,
        }
    }

    /// Returns this log for a user that may only read.
    pub(crate) fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl<L> Clone for PostgresLog<L> {
    fn clone(&self) -> Self {
        Self {
            base: Arc::clone(&self.base),
            read_only: self.read_only,
        }
    }
}

impl<L: Link> PostgresLog<L> {
    /// Checks that the log can be read, for a log of
    /// [`build_log_reader`](crate::store::PostgresBuilder::build_log_reader). Call it at the start of
    /// the service. [`Postgres::check`](crate::store::Postgres::check) also checks the rights to write.
    ///
    /// # Errors
    ///
    /// *Misuse* that names each right to grant, or a pooler in transaction mode without
    /// [`transaction_pooler`](crate::store::PostgresBuilder::transaction_pooler). *Unavailable* if
    /// the server could not answer, has no log, or accepts no writes.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        self.base.refuse_unexpected_pooler().await?;
        let reads = LogQuery::ALL.iter().filter(|query| query.is_read());
        self.base.check(reads).await?;
        // It decides nothing by the time.
        self.read(0, 1, Timestamp::from_unix(0)).await.map(drop)
    }

    /// # Errors
    ///
    /// *Misuse* if this log may only be read.
    fn refuse_to_write(&self) -> Result<()> {
        if self.read_only {
            return Err(Error::misuse(READ_ONLY));
        }
        Ok(())
    }

    /// Passes the rows of a statement to `read`. Begins the log if there is no counter.
    async fn ask<T>(
        &self,
        query: LogQuery,
        values: &[Parameter<'_>],
        read: impl Fn(&[L::Row]) -> Result<Option<T>> + Send,
    ) -> Result<T> {
        let until = self.base.until()?;
        for has_begun in [false, true] {
            let isolation = if query.is_read() {
                ReadCommitted::Never
            } else {
                ReadCommitted::AfterConflict
            };
            let rows = self.base.rows_with(query, values, until, isolation).await;
            if let Some(answer) = read(&rows.map_err(log_failed)?)? {
                return Ok(answer);
            }
            if self.read_only {
                return Err(Error::could_not(NOT_BEGUN, None));
            }
            if !has_begun {
                let values = [Value::Number(new_incarnation()?), Value::Bytes(&NO_NONCE)];
                let (begin, isolation) = (LogQuery::Begin, ReadCommitted::AfterConflict);
                let begun = self.base.rows_with(begin, &values, until, isolation).await;
                begun.map_err(log_failed)?;
            }
        }
        Err(without_counter())
    }
}

impl<L: Link> RevocationLog for PostgresLog<L> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.refuse_to_write()?;
        let Some(last) = facts.last() else {
            return self.head(now).await;
        };
        let bytes: Vec<_> = facts.iter().map(|draft| draft.fact.to_bytes()).collect();
        let nonces = facts.iter().map(|draft| &draft.nonce.as_bytes()[..]);
        let lives = facts.iter().map(|draft| draft.life.as_secs().cast_signed());
        let stays = facts.iter().map(|draft| stay_secs(draft.life));
        let values = [
            Value::Array(Array::Bytes(nonces.collect())),
            Value::Array(Array::Bytes(bytes.iter().map(|fact| &fact[..]).collect())),
            Value::Array(Array::Numbers(lives.collect())),
            Value::Array(Array::Numbers(stays.collect())),
            Value::Bytes(last.nonce.as_bytes()),
            Value::Number(max_trimmed(facts.len())),
        ];
        self.ask(LogQuery::Append, &values, page::stamp).await
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        self.ask(LogQuery::Head, &[], page::stamp).await
    }

    async fn read(&self, from: u64, limit: usize, _now: Timestamp) -> Result<Page> {
        let limit = limit.max(1);
        let values = [
            Value::Number(at_most(from)),
            Value::Number(at_most(limit as u64).saturating_add(1)),
        ];
        let read = |rows: &[L::Row]| page::page(rows, from, limit);
        self.ask(LogQuery::Read, &values, read).await
    }

    async fn fence(&self, _now: Timestamp) -> Result<()> {
        self.refuse_to_write()?;
        let read = |rows: &[L::Row]| Ok(rows.first().map(drop));
        self.ask(LogQuery::Fence, &[], read).await
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }
}

impl<L: fmt::Debug> fmt::Debug for PostgresLog<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresLog").field(&self.base).finish()
    }
}
