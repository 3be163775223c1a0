//! Postgres through tokio-postgres: many statements on their way at once over one connection.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Row as PgRow, Statement};

use crate::backend::sql::postgres::driver::{Driver, Failure, Row, Value};
use crate::backend::sql::postgres::setup::Setup;

/// Why a connection could not be opened.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = Result<Arc<Client>, BoxError>> + Send>>;

/// Where connections come from.
enum Source {
    /// This one, and no other when it is closed.
    Given(Arc<Client>),
    /// Opened by the application, whenever one is wanted.
    Opened(Box<dyn Fn() -> Connecting + Send + Sync>),
}

/// Talks through connections of `tokio-postgres`.
///
/// Statements are prepared once for each connection, and any number of them is on its way at
/// once. A dropped call leaves nothing half read: the answer is read and thrown away.
pub struct Pipelined {
    source: Source,
    slots: Box<[Slot]>,
    next: AtomicUsize,
    texts: Arc<[Arc<str>]>,
    /// How long the server works on one statement: nobody waits for it any longer.
    patience: Duration,
}

/// The place of a connection.
#[derive(Default)]
struct Slot {
    current: Mutex<Option<Arc<Prepared>>>,
    /// Held by whoever opens the next one.
    opening: tokio::sync::Mutex<()>,
}

impl Slot {
    fn current(&self) -> Option<Arc<Prepared>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current
            .clone()
            .filter(|prepared| !prepared.client.is_closed())
    }

    fn set(&self, prepared: Option<Arc<Prepared>>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = prepared;
    }

    /// Gives a connection up, unless somebody did so before.
    fn give_up(&self, late: &Arc<Prepared>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, late))
        {
            *current = None;
        }
    }
}

/// A connection, and the statements that were prepared on it: on another one they mean nothing.
struct Prepared {
    client: Arc<Client>,
    statements: Box<[OnceLock<Statement>]>,
}

impl Prepared {
    async fn statement(&self, query: usize, texts: &[Arc<str>]) -> Result<Statement, Error> {
        let place = &self.statements[query];
        if let Some(statement) = place.get() {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&texts[query]).await?;
        Ok(place.get_or_init(|| statement).clone())
    }
}

impl Pipelined {
    /// Over one connection.
    pub(crate) fn given(client: Arc<Client>) -> Setup<Self> {
        Self::over(Source::Given(client))
    }

    /// Over connections that `open` opens.
    pub(crate) fn opened<F, R, E>(open: F) -> Setup<Self>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Arc<Client>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let open = move || {
            let opening = open();
            Box::pin(async { opening.await.map_err(Into::into) }) as _
        };
        Self::over(Source::Opened(Box::new(open)))
    }

    fn over(source: Source) -> Setup<Self> {
        Setup::new(move |settings| {
            let connections = 0..settings.connections.max(1);
            Self {
                source,
                slots: connections.map(|_| Slot::default()).collect(),
                next: AtomicUsize::new(0),
                texts: Arc::clone(&settings.texts),
                patience: settings.deadline,
            }
        })
    }

    fn slot(&self) -> &Slot {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        // In range: there is at least one.
        &self.slots[turn % self.slots.len()]
    }

    /// The connection of a slot; opens one if there is none.
    async fn connection(&self, slot: &Slot, until: Instant) -> Result<Arc<Prepared>, Failure> {
        if let Some(prepared) = slot.current() {
            return Ok(prepared);
        }
        timeout_at(until, self.open(slot))
            .await
            .map_err(|_| Failure::Late)?
    }

    async fn open(&self, slot: &Slot) -> Result<Arc<Prepared>, Failure> {
        let _opening = slot.opening.lock().await;
        if let Some(prepared) = slot.current() {
            return Ok(prepared);
        }
        let client = match &self.source {
            Source::Given(client) => Arc::clone(client),
            // The error stays with the application, which has opened it: it may name the host.
            Source::Opened(open) => open().await.map_err(|_| Failure::Unconnected)?,
        };
        let settings = format!(
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET statement_timeout = {}",
            self.patience
                .as_millis()
                .clamp(1, i32::MAX.unsigned_abs().into())
        );
        let set = client.batch_execute(&settings).await;
        set.map_err(|error| failure(&error))?;
        let prepared = Arc::new(Prepared {
            client,
            statements: self.texts.iter().map(|_| OnceLock::new()).collect(),
        });
        slot.set(Some(Arc::clone(&prepared)));
        Ok(prepared)
    }

    /// Waits for an answer, but not for ever. A connection that is late is given up, if there is a
    /// way to another one: what others have on their way over it goes on.
    async fn in_time<T>(
        &self,
        slot: &Slot,
        prepared: &Arc<Prepared>,
        until: Instant,
        answer: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Failure> {
        match timeout_at(until, answer).await {
            Ok(answer) => answer.map_err(|error| failure(&error)),
            Err(_) => {
                if matches!(self.source, Source::Opened(_)) {
                    slot.give_up(prepared);
                }
                Err(Failure::Late)
            }
        }
    }
}

fn failure(error: &Error) -> Failure {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        // The server is shutting down, or an operator ended the connection.
        Some(code) if code.starts_with("57P0") => Failure::Broken,
        // The patience of the server has ended a little before ours.
        Some("57014") => Failure::Late,
        Some(code) => Failure::Refused(code.to_owned()),
        None => Failure::Broken,
    }
}

fn parameters<'v>(
    values: &'v [Value<'_>],
) -> impl ExactSizeIterator<Item = &'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync))
}

impl Driver for Pipelined {
    type Row = PgRow;

    async fn rows(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        let slot = self.slot();
        let prepared = self.connection(slot, until).await?;
        let values: Vec<_> = parameters(values).collect();
        let asked = async {
            let statement = prepared.statement(query, &self.texts).await?;
            prepared.client.query(&statement, &values).await
        };
        self.in_time(slot, &prepared, until, asked).await
    }

    async fn count(
        &self,
        query: usize,
        values: &[Value<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        let slot = self.slot();
        let prepared = self.connection(slot, until).await?;
        let values: Vec<_> = parameters(values).collect();
        let asked = async {
            let statement = prepared.statement(query, &self.texts).await?;
            prepared.client.execute(&statement, &values).await
        };
        self.in_time(slot, &prepared, until, asked).await
    }

    async fn rows_read_committed(
        &self,
        _: usize,
        _: &[Value<'_>],
        _: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        // The connection was set so when it was opened: somebody has set it otherwise since.
        Err(Failure::Unconnected)
    }

    async fn batch(&self, text: String, until: Instant) -> Result<(), Failure> {
        let slot = self.slot();
        let prepared = self.connection(slot, until).await?;
        let asked = prepared.client.batch_execute(&text);
        self.in_time(slot, &prepared, until, asked).await
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self {
            Self::Number(number) => number.to_sql(kind, out),
            Self::Flag(flag) => flag.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
            Self::Optional(bytes) => bytes.to_sql(kind, out),
            Self::Many(many) => many.to_sql(kind, out),
            Self::Numbers(numbers) => numbers.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Every parameter of every statement says its type.
        true
    }

    to_sql_checked!();
}

impl Row for PgRow {
    fn number(&self, column: usize) -> Result<i64, Failure> {
        self.try_get(column).map_err(|_| Failure::Garbled)
    }

    fn flag(&self, column: usize) -> Result<bool, Failure> {
        self.try_get(column).map_err(|_| Failure::Garbled)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], Failure> {
        self.try_get(column).map_err(|_| Failure::Garbled)
    }

    fn optional(&self, column: usize) -> Result<Option<&[u8]>, Failure> {
        self.try_get(column).map_err(|_| Failure::Garbled)
    }

    fn many(&self, column: usize) -> Result<Vec<Vec<u8>>, Failure> {
        self.try_get(column).map_err(|_| Failure::Garbled)
    }
}

impl fmt::Debug for Pipelined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipelined")
            .field("connections", &self.slots.len())
            .finish_non_exhaustive()
    }
}
