//! Link to the server: deadlines, retries, and the translation of its failures to our errors.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::{Instant, timeout_at};

use crate::backend::breaker::{Breaker, Outage, Outcome, Part, io_cause, write_cause};
use crate::backend::redis::opener::{Opener, UNOPENED, refused_login};
use crate::backend::redis::script::Script;
use crate::error::{Error, Result};
use crate::observer::Observer;

/// Default deadline of a call.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);
/// Maximum deadline, 30 years: `Instant` can represent a time that far in the future.
const MAX_DEADLINE: Duration = Duration::from_secs(30 * 365 * 86_400);
/// First pause before the retry of a script, while a Cluster moves its keys.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(2);
/// Maximum pause between such retries.
const MAX_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Errors of a server that is no primary, or not yet, or no longer: the command has not run, and
/// another connection may lead to the primary. `NOREPLICAS` comes from a primary that is cut off from
/// its replicas, of which one may have been promoted.
pub(crate) const UNFIT: [&str; 4] = ["READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS"];

/// Source of connections.
pub(crate) enum Source<C> {
    /// One connection of the application, which is cloned for each call.
    Given(C),
    /// Connections that a function of the application opens.
    Opened(Opener<C>),
}

/// Connections and a deadline.
pub(crate) struct Link<C> {
    source: Source<C>,
    deadline: Duration,
    breaker: Breaker,
}

impl<C> Link<C> {
    /// # Errors
    ///
    /// *Misuse* if the deadline is zero.
    pub(crate) fn new(
        source: Source<C>,
        deadline: Duration,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self> {
        if deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline is zero, so no call could succeed: set a longer one",
            ));
        }
        Ok(Self {
            source,
            deadline: deadline.min(MAX_DEADLINE),
            breaker: Breaker::new("redis", observer),
        })
    }

    /// Notes that the application uses a part of the server.
    pub(crate) fn note_part(&self, part: Part) {
        self.breaker.note_part(part);
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Link<C> {
    /// Returns the deadline of a call that begins now.
    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// Runs a part of an operation until the deadline of that operation.
    pub(crate) async fn by<T>(
        &self,
        until: Instant,
        act: impl Future<Output = Result<T>> + Send + Unpin,
    ) -> Result<T> {
        timeout_at(until, act).await.map_err(|_| self.late())?
    }

    /// Runs one operation within its deadline. Takes a pinned future, which is cheap to move.
    pub(crate) async fn within<T>(
        &self,
        act: impl Future<Output = Result<T>> + Send + Unpin,
    ) -> Result<T> {
        let begun = Instant::now();
        self.breaker.admit(begun)?;
        let answer = timeout_at(begun + self.deadline, act).await;
        let answer = answer.unwrap_or_else(|_| {
            self.give_up_before(begun);
            Err(self.late())
        });
        self.breaker.note_answer::<Failure, _>(&answer);
        answer
    }

    /// Error for a call without an answer in time.
    fn late(&self) -> Error {
        Error::unavailable(Failure {
            what: "no answer within the deadline",
            code: None,
            outcome: Outcome::Late(None),
            cause: self.breaker.cause(),
        })
    }

    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.source {
            Source::Given(connection) => command.query_async(&mut connection.clone()).await,
            // Boxed to keep the future of the other source small.
            Source::Opened(opener) => Box::pin(send_opened(opener, command)).await,
        }
    }

    /// Has the next call open another connection, if this one did not answer a call that began
    /// then.
    fn give_up_before(&self, begun: Instant) {
        if let Source::Opened(opener) = &self.source {
            opener.give_up_before(begun);
        }
    }

    /// Returns whether a command that failed so should be sent again, over another connection.
    fn reopens_after(&self, error: &RedisError) -> bool {
        matches!(self.source, Source::Opened(_)) && has_code(error, &UNFIT)
    }

    /// Sends an idempotent command, with a retry. Enforces the deadline.
    pub(crate) async fn send_idempotent(
        &self,
        command: &Cmd,
        until: Instant,
    ) -> Result<RedisResult<Value>> {
        self.breaker.admit(until - self.deadline)?;
        let answer = self.retrying(until, || self.send(command)).await;
        match &answer {
            Ok(Err(error)) => self.breaker.note(outcome(error)),
            answer => self.breaker.note_answer::<Failure, _>(answer),
        }
        answer
    }

    /// Runs an idempotent operation, and runs it a second time if the connection is lost. A client
    /// that loses its connection while it accepts a request may never answer that request. The
    /// second run therefore also begins after half of the deadline, and after a timeout of the
    /// client.
    ///
    /// Enforces the deadline with the timer for the first half: a second timer around this cost 6 %
    /// of the verifications per second with 64 in flight (`cargo bench --bench stores`). The rare
    /// paths are boxed to keep the future small.
    async fn retrying<F>(
        &self,
        until: Instant,
        act: impl Fn() -> F + Send + Sync,
    ) -> Result<RedisResult<Value>>
    where
        F: Future<Output = RedisResult<Value>> + Send,
    {
        let second_run = || {
            Box::pin(async {
                match act().await {
                    Err(error) if is_lost(&error) || self.reopens_after(&error) => act().await,
                    answer => answer,
                }
            })
        };
        let mut first = pin!(act());
        match timeout_at(until - self.deadline / 2, first.as_mut()).await {
            Ok(Err(error))
                if is_lost(&error) || error.is_timeout() || self.reopens_after(&error) =>
            {
                Box::pin(timeout_at(until, second_run()))
                    .await
                    .map_err(|_| self.late())
            }
            Ok(answer) => Ok(answer),
            Err(_) => {
                self.give_up_before(until - self.deadline);
                // The server may only be slow: take the answer that comes first.
                let mut second = second_run();
                let either = poll_fn(|context| match first.as_mut().poll(context) {
                    Poll::Pending => second.as_mut().poll(context),
                    answer => answer,
                });
                Box::pin(timeout_at(until, either))
                    .await
                    .map_err(|_| self.late())
            }
        }
    }

    /// Runs a script that must not run twice.
    pub(crate) async fn run_once(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<Value> {
        let answer = self.evaluate(script, keys, arguments).await;
        answer.map_err(|error| failed(&error))
    }

    /// Runs a script, and sends its text if the server does not have it in its cache.
    async fn evaluate(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> RedisResult<Value> {
        let command = |verb: &str, script: &str| {
            let mut command = redis::cmd(verb);
            command.arg(script).arg(keys.len()).arg(keys);
            for argument in arguments {
                command.arg(*argument);
            }
            command
        };
        let by_hash = command("EVALSHA", script.hash());
        let (mut pause, mut is_first) = (MIN_RETRY_PAUSE, true);
        loop {
            let mut answer = self.send(&by_hash).await;
            if is(&answer, ServerErrorKind::NoScript) {
                answer = self.send(&command("EVAL", script.text())).await;
            }
            if let Err(error) = &answer
                && self.reopens_after(error)
                && std::mem::take(&mut is_first)
            {
                continue;
            }
            if !is(&answer, ServerErrorKind::TryAgain) {
                return answer;
            }
            // The keys are on two nodes while their slot moves, and the script did not run. The
            // caller's deadline ends this loop.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_RETRY_PAUSE);
        }
    }

    /// Runs an idempotent script, with a retry. Enforces the deadline.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<Value> {
        let run = || self.evaluate(script, keys, arguments);
        let answer = self.retrying(self.until(), run).await?;
        answer.map_err(|error| failed(&error))
    }
}

/// Runs futures at the same time, and returns their results in order, or the first error.
pub(crate) async fn all<T: Send>(
    futures: impl Iterator<Item = impl Future<Output = Result<T>> + Send>,
) -> Result<Vec<T>> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (future, result) in &mut running {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(Ok(value)) => *result = Some(value),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await?;
    Ok(running
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect())
}

/// Runs two futures at the same time, and returns both results.
pub(crate) async fn both<A, B>(
    one: impl Future<Output = A> + Send,
    other: impl Future<Output = B> + Send,
) -> (A, B)
where
    A: Send,
    B: Send,
{
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(value) = one.as_mut().poll(context)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = other.as_mut().poll(context)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

async fn send_opened<C>(opener: &Opener<C>, command: &Cmd) -> RedisResult<Value>
where
    C: ConnectionLike + Clone + Send + Sync,
{
    let opened = opener.connection().await?;
    let answer = command.query_async(&mut opened.connection.clone()).await;
    if let Err(error) = &answer
        && (is_lost(error) || has_code(error, &UNFIT))
    {
        opened.give_up();
    }
    answer
}

/// Returns whether the connection was lost. An answer that was cut off cannot be parsed.
fn is_lost(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Parse
}

fn is(answer: &RedisResult<Value>, kind: ServerErrorKind) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(kind))
}

/// Returns whether an error of the server has one of some codes. Redis before version 7 reports the
/// code of an error in a script within the text of another error.
pub(crate) fn has_code(error: &RedisError, codes: &[&str]) -> bool {
    let is_within = |text: &str, code: &str| {
        let mut parts = text.split('-');
        parts.any(|part| {
            part.strip_prefix(code)
                .is_some_and(|rest| rest.starts_with(' '))
        })
    };
    codes.iter().any(|code| {
        error.code() == Some(code)
            || error.code() == Some("ERR")
                && error.detail().is_some_and(|text| is_within(text, code))
    })
}

/// Returns whether the server refuses writes because it cannot save to its disk.
pub(crate) fn cannot_save(error: &RedisError) -> bool {
    has_code(error, &["MISCONF"])
}

/// Returns the error for a command that the user of the server may not run.
fn forbidden(error: &RedisError) -> Option<Error> {
    let text = error.detail().unwrap_or_default();
    if !has_code(error, &["NOPERM"]) && !text.contains("The user executing the script") {
        return None;
    }
    if text.contains("access") {
        return Some(Error::misuse(
            "the user of the Redis server may not access the keys with the prefix of the store: \
             grant it `~prefix*`, see the documentation of `Redis`",
        ));
    }
    // The name only: the rest of a text of the server may contain secrets.
    let is_name = |name: &&str| {
        (1..=20).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let name = text.split('\'').nth(1).filter(is_name);
    Some(Error::misuse(match name {
        Some(name) => format!(
            "the user of the Redis server may not run `{}`: grant it the commands in the \
             documentation of `Redis`",
            name.to_ascii_uppercase()
        ),
        None => "the user of the Redis server may not run a command of a script: grant it the \
                 commands in the documentation of `Redis`. `Redis::check` names those that lack"
            .to_owned(),
    }))
}

/// Description of a failure. Contains no text of the server or the network, because such a text may
/// contain secrets.
#[derive(Debug)]
struct Failure {
    what: &'static str,
    code: Option<String>,
    outcome: Outcome,
    cause: Option<String>,
}

impl Outage for Failure {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis: {}", self.what)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        write_cause(f, self.cause.as_deref())
    }
}

impl std::error::Error for Failure {}

/// Translates an error of the client.
pub(crate) fn failed(error: &RedisError) -> Error {
    if let Some(error) = forbidden(error) {
        return error;
    }
    let what = if error.is_timeout() {
        "no answer within the client's own response timeout"
    } else if error.kind() == UNOPENED {
        "no connection could be opened"
    } else if is_lost(error) {
        "the connection was lost"
    } else if let Some(refused) = refused_login(error) {
        refused
    } else if error.code().is_some() {
        "the server refused the command"
    } else {
        "the client failed"
    };
    // The error code of the server, such as OOM.
    let is_code =
        |code: &&str| code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let code = error.code().filter(is_code).map(str::to_owned);
    Error::unavailable(Failure {
        what,
        code,
        outcome: outcome(error),
        cause: cause(error),
    })
}

/// Returns the root of a failure of the connection.
pub(crate) fn cause(error: &RedisError) -> Option<String> {
    if error.kind() == UNOPENED {
        return error.detail().map(str::to_owned);
    }
    io_cause(error)
}

fn outcome(error: &RedisError) -> Outcome {
    if error.is_timeout() {
        Outcome::Late(None)
    } else if is_lost(error) || error.kind() == UNOPENED || error.is_io_error() {
        Outcome::Lost(cause(error))
    } else if let Some(refused) = refused_login(error) {
        // The server answers, but runs nothing.
        Outcome::Lost(Some(refused.to_owned()))
    } else {
        Outcome::Answered
    }
}

/// Error for an answer of an unexpected shape.
pub(crate) fn unexpected() -> Error {
    Error::unavailable("Redis: the answer has an unexpected shape")
}

/// Returns the items of a list.
pub(crate) fn items(answer: Value) -> Result<Vec<Value>> {
    match answer {
        Value::Array(items) => Ok(items),
        _ => Err(unexpected()),
    }
}

/// Returns the bytes of an answer; `None` for nil.
pub(crate) fn bytes(answer: Value) -> Result<Option<Vec<u8>>> {
    match answer {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(unexpected()),
    }
}

/// Returns the number of an answer.
pub(crate) fn number(answer: &Value) -> Result<i64> {
    match answer {
        Value::Int(number) => Ok(*number),
        _ => Err(unexpected()),
    }
}
