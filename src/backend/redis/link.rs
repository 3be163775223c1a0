//! Link to the server: deadlines, retries, and the translation of its failures to our errors.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::{Instant, timeout_at};

use crate::backend::redis::script::Script;
use crate::error::{Error, Result};

/// Default deadline of a call.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);
/// Maximum deadline, 30 years: `Instant` can represent a time that far in the future.
const MAX_DEADLINE: Duration = Duration::from_secs(30 * 365 * 86_400);
/// First pause before the retry of a script, while a Cluster moves its keys.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(2);
/// Maximum pause between such retries.
const MAX_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A connection and its deadline.
pub(crate) struct Link<C> {
    connection: C,
    deadline: Duration,
}

impl<C> Link<C> {
    /// # Errors
    ///
    /// *Misuse* if the deadline is zero.
    pub(crate) fn new(connection: C, deadline: Duration) -> Result<Self> {
        if deadline.is_zero() {
            return Err(Error::misuse(
                "the deadline is zero, so no call could succeed: set a longer one",
            ));
        }
        Ok(Self {
            connection,
            deadline: deadline.min(MAX_DEADLINE),
        })
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

    /// Runs one operation within its deadline. Takes a pinned future, which is cheap to move.
    pub(crate) async fn within<T>(
        &self,
        act: impl Future<Output = Result<T>> + Send + Unpin,
    ) -> Result<T> {
        by(self.until(), act).await
    }

    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// Sends an idempotent command, with a retry. Enforces the deadline.
    pub(crate) async fn send_idempotent(
        &self,
        command: &Cmd,
        until: Instant,
    ) -> Result<RedisResult<Value>> {
        self.retrying(until, || self.send(command)).await
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
                    Err(error) if is_lost(&error) => act().await,
                    answer => answer,
                }
            })
        };
        let mut first = pin!(act());
        match timeout_at(until - self.deadline / 2, first.as_mut()).await {
            Ok(Err(error)) if is_lost(&error) || error.is_timeout() => {
                Box::pin(timeout_at(until, second_run()))
                    .await
                    .map_err(|_| late())
            }
            Ok(answer) => Ok(answer),
            Err(_) => {
                // The server may only be slow: take the answer that comes first.
                let mut second = second_run();
                let either = poll_fn(|context| match first.as_mut().poll(context) {
                    Poll::Pending => second.as_mut().poll(context),
                    answer => answer,
                });
                Box::pin(timeout_at(until, either))
                    .await
                    .map_err(|_| late())
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
        let mut pause = MIN_RETRY_PAUSE;
        loop {
            let mut answer = self.send(&by_hash).await;
            if is(&answer, ServerErrorKind::NoScript) {
                answer = self.send(&command("EVAL", script.text())).await;
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

/// Runs a part of an operation until the deadline of that operation.
pub(crate) async fn by<T>(
    until: Instant,
    act: impl Future<Output = Result<T>> + Send + Unpin,
) -> Result<T> {
    timeout_at(until, act).await.map_err(|_| late())?
}

fn late() -> Error {
    Error::unavailable("no answer within the deadline")
}

/// Returns whether the connection was lost. An answer that was cut off cannot be parsed.
fn is_lost(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Parse
}

fn is(answer: &RedisResult<Value>, kind: ServerErrorKind) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(kind))
}

/// Returns whether the server refuses writes because it cannot save to its disk.
pub(crate) fn cannot_save(error: &RedisError) -> bool {
    error.code() == Some("MISCONF")
}

/// Description of a failure. Contains no text of the server or the network, because such a text may
/// contain secrets.
struct Failure {
    what: &'static str,
    code: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis: {}", self.what)?;
        self.code
            .as_ref()
            .map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// Translates an error of the client.
pub(crate) fn failed(error: &RedisError) -> Error {
    let what = if error.is_timeout() {
        "no answer within the client's own response timeout"
    } else if is_lost(error) {
        "the connection was lost"
    } else if error.code().is_some() {
        "the server refused the command"
    } else {
        "the client failed"
    };
    // The error code of the server, such as OOM.
    let is_code =
        |code: &&str| code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let code = error.code().filter(is_code).map(str::to_owned);
    Error::unavailable(Failure { what, code })
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
