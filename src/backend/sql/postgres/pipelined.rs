//! Postgres through tokio-postgres: many statements at once over one connection.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Row as PgRow, SimpleQueryMessage, Statement};

use crate::backend::breaker::io_cause;
use crate::backend::sql::builder::Builder;
use crate::backend::sql::failure::Failure;
use crate::backend::sql::postgres::base::Setup;
use crate::backend::sql::postgres::driver::{
    ASKED_FOR_PROCESS, Array, Driver, Parameter, Processes, of_primary,
};
use crate::backend::sql::postgres::{Connections, IntoConnections, Postgres, PostgresBuilder};
use crate::backend::sql::value::row;

/// Error of the application when it opens a connection.
type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = Result<Arc<Client>, BoxError>> + Send>>;

/// Source of connections.
enum Source {
    /// One connection, without a replacement once it is closed.
    Given(Arc<Client>),
    /// A function of the application that opens a connection.
    Opened(Arc<dyn Fn() -> Connecting + Send + Sync>),
}

/// Client of Postgres that uses connections of `tokio-postgres`.
///
/// It prepares each statement once for a connection, and sends any number of statements at the same
/// time. The answer of a dropped call is read and discarded.
pub struct Pipelined {
    source: Source,
    slots: Box<[Slot]>,
    next: AtomicUsize,
    setup: Setup,
}

/// Place of a connection.
#[derive(Default)]
struct Slot {
    current: Mutex<Option<Arc<Prepared>>>,
    /// Held by the call that opens the next connection.
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

    /// Removes a connection, unless it was replaced already.
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

/// A connection, and the statements that were prepared on it. They are valid there only.
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

impl IntoConnections for Arc<Client> {
    type Link = Pipelined;

    fn into_connections(self) -> Connections<Pipelined> {
        Pipelined::connections(move || Source::Given(Self::clone(&self)))
    }
}

impl Postgres<Pipelined> {
    /// Begins the configuration of a database that `open` connects to: at the first use, and
    /// whenever a connection is closed or did not answer in time. Concurrent calls wait for one
    /// attempt.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use statewise::store::Postgres;
    /// # async fn connect() -> Result<(tokio_postgres::Client, impl Future), tokio_postgres::Error> {
    /// #     Ok((unimplemented!(), async {}))
    /// # }
    /// # fn spawn(_: impl Future) {}
    ///
    /// let db = Postgres::connect(|| async {
    ///     // `tokio_postgres::connect("postgres://..", tls)`
    ///     let (client, connection) = connect().await?;
    ///     spawn(connection);
    ///     Ok::<_, tokio_postgres::Error>(Arc::new(client))
    /// })
    /// .connections(2)
    /// .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn connect<F, R, E>(open: F) -> PostgresBuilder<Pipelined>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Arc<Client>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let open = Arc::new(move || {
            let opening = open();
            Box::pin(async { opening.await.map_err(Into::into) }) as Connecting
        });
        Builder::new(Pipelined::connections(move || {
            Source::Opened(Arc::clone(&open) as _)
        }))
    }
}

impl Builder<Connections<Pipelined>> {
    /// Sets the number of connections that [`connect`](Postgres::connect) opens for sessions, and
    /// as many for the log if you use it. Each is a process of the server. Zero counts as one.
    /// Default: 1.
    pub fn connections(mut self, connections: usize) -> Self {
        self.source.count = connections;
        self
    }
}

impl Pipelined {
    fn connections(source: impl Fn() -> Source + Send + 'static) -> Connections<Self> {
        Connections {
            count: 1,
            pooled: false,
            make: Box::new(move |setup| Self {
                source: source(),
                slots: (0..setup.count.max(1)).map(|_| Slot::default()).collect(),
                next: AtomicUsize::new(0),
                setup,
            }),
        }
    }

    fn slot(&self) -> &Slot {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        // In range: there is at least one slot.
        &self.slots[turn % self.slots.len()]
    }

    /// Returns the connection of a slot, and opens one if there is none.
    async fn connection(&self, slot: &Slot, until: Instant) -> Result<Arc<Prepared>, Failure> {
        if let Some(prepared) = slot.current() {
            return Ok(prepared);
        }
        timeout_at(until, self.open(slot))
            .await
            .map_err(|_| Failure::Late(None))?
    }

    async fn open(&self, slot: &Slot) -> Result<Arc<Prepared>, Failure> {
        let _opening = slot.opening.lock().await;
        if let Some(prepared) = slot.current() {
            return Ok(prepared);
        }
        let client = self.client().await?;
        // Behind a pooler, the settings would stay with the connection, which other clients use.
        if !self.setup.pooled {
            let settings = format!(
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                 SET statement_timeout = {}",
                self.setup.server_timeout()
            );
            let set = client.batch_execute(&settings).await;
            set.map_err(Failure::from)?;
        }
        let statements = self.setup.texts.iter().map(|_| OnceLock::new());
        let prepared = Arc::new(Prepared {
            client,
            statements: statements.collect(),
        });
        slot.set(Some(Arc::clone(&prepared)));
        Ok(prepared)
    }

    async fn client(&self) -> Result<Arc<Client>, Failure> {
        match &self.source {
            Source::Given(client) => Ok(Arc::clone(client)),
            // The root cause only: the error may name the host, and the application has seen it.
            Source::Opened(open) => open().await.map_err(|error| {
                let refused: Option<&Error> = error.downcast_ref();
                Failure::Unconnected(match refused.and_then(Error::code) {
                    Some(code) => Failure::refusal(code.code()),
                    None => io_cause(&*error),
                })
            }),
        }
    }

    /// Waits for an answer until the deadline. A connection that is late, that breaks, or that
    /// leads to a server that is not the primary, is removed if another one can be opened. Other
    /// calls that wait for its answers still get them.
    async fn in_time<T>(
        &self,
        slot: &Slot,
        prepared: &Arc<Prepared>,
        until: Instant,
        answer: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let (failure, is_late) = match timeout_at(until, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => (failure, false),
            Err(_) => (Failure::Late(None), true),
        };
        if (is_late || failure.ends_connection()) && matches!(self.source, Source::Opened(_)) {
            slot.give_up(prepared);
        }
        Err(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.code() {
            Some(code) => Self::of_state(code.code()),
            None => Self::Broken(io_cause(&error)),
        }
    }
}

fn parameters<'v>(
    values: &'v [Parameter<'_>],
) -> impl ExactSizeIterator<Item = &'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync))
}

/// Returns the parameters of a statement that is not prepared, with their types.
fn typed<'v>(values: &'v [Parameter<'_>]) -> Vec<(&'v (dyn ToSql + Sync), Type)> {
    let types = values.iter().map(|value| match value {
        Parameter::Number(_) => Type::INT8,
        Parameter::Flag(_) => Type::BOOL,
        Parameter::Bytes(_) | Parameter::Optional(_) => Type::BYTEA,
        Parameter::Array(Array::Bytes(_)) => Type::BYTEA_ARRAY,
        Parameter::Array(Array::Numbers(_)) => Type::INT8_ARRAY,
    });
    parameters(values).zip(types).collect()
}

impl Driver for Pipelined {
    type Row = PgRow;

    async fn rows(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        let slot = self.slot();
        let prepared = self.connection(slot, until).await?;
        let asked = async {
            let (client, texts) = (&prepared.client, &self.setup.texts);
            let rows = if self.setup.pooled {
                client.query_typed(&texts[query], &typed(values)).await?
            } else {
                let statement = prepared.statement(query, texts).await?;
                let values: Vec<_> = parameters(values).collect();
                client.query(&statement, &values).await?
            };
            of_primary(rows)
        };
        self.in_time(slot, &prepared, until, asked).await
    }

    async fn count(
        &self,
        query: usize,
        values: &[Parameter<'_>],
        until: Instant,
    ) -> Result<u64, Failure> {
        let slot = self.slot();
        let prepared = self.connection(slot, until).await?;
        let asked = async {
            let (client, texts) = (&prepared.client, &self.setup.texts);
            Ok(if self.setup.pooled {
                client.execute_typed(&texts[query], &typed(values)).await?
            } else {
                let statement = prepared.statement(query, texts).await?;
                let values: Vec<_> = parameters(values).collect();
                client.execute(&statement, &values).await?
            })
        };
        self.in_time(slot, &prepared, until, asked).await
    }

    async fn rows_read_committed(
        &self,
        _: usize,
        _: &[Parameter<'_>],
        _: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        // Each connection is set to this isolation when it is opened. The application has changed it
        // since, or the user has another default behind a pooler, which `check` reports.
        Err(Failure::Unconnected(None))
    }

    async fn batch(&self, text: String, until: Instant) -> Result<(), Failure> {
        let slot = self.slot();
        let prepared = self.connection(slot, until).await?;
        let asked = async { Ok(prepared.client.batch_execute(&text).await?) };
        self.in_time(slot, &prepared, until, asked).await
    }

    fn connections(&self) -> usize {
        self.slots.len()
    }

    fn sets_isolation(&self) -> bool {
        !self.setup.pooled
    }

    async fn has_unexpected_pooler(&self, until: Instant) -> Result<bool, Failure> {
        if self.setup.pooled {
            return Ok(false);
        }
        let asked = async {
            let clients = match &self.source {
                Source::Given(client) => vec![Arc::clone(client)],
                Source::Opened(_) => vec![self.client().await?, self.client().await?],
            };
            let mut processes = Processes::default();
            for _ in 0..ASKED_FOR_PROCESS {
                for (at, client) in clients.iter().enumerate() {
                    let rows = client.simple_query("SELECT pg_backend_pid()").await?;
                    for message in rows {
                        if let SimpleQueryMessage::Row(row) = message {
                            processes.note(at, row.get(0).unwrap_or_default().to_owned());
                        }
                    }
                }
            }
            Ok(processes.are_shared())
        };
        timeout_at(until, asked)
            .await
            .unwrap_or(Err(Failure::Late(None)))
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self {
            Self::Number(number) => number.to_sql(kind, out),
            Self::Flag(flag) => flag.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
            Self::Optional(bytes) => bytes.to_sql(kind, out),
            Self::Array(Array::Bytes(many)) => many.to_sql(kind, out),
            Self::Array(Array::Numbers(numbers)) => numbers.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each statement casts each of its parameters to a type.
        true
    }

    to_sql_checked!();
}

row!(PgRow);

impl fmt::Debug for Pipelined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipelined")
            .field("connections", &self.slots.len())
            .finish_non_exhaustive()
    }
}
