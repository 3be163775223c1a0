//! The way to the server: deadlines, second tries, and what its failures are to a caller.

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

/// How long a call to the server may take, unless configured.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);
/// The longest that there is: a moment so far ahead can be named. Thirty years.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);
/// Before a script is tried again whose keys a Cluster is moving.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest such pause.
const LAST_PAUSE: Duration = Duration::from_millis(100);

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
                "the deadline is zero, so that no call could succeed: give a longer one",
            ));
        }
        Ok(Self {
            connection,
            deadline: deadline.min(LONGEST),
        })
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Link<C> {
    /// When a call ends that begins now.
    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// All that one call of the store does, within its deadline. Pinned where it is: it is moved
    /// more than once here.
    pub(crate) async fn within<T>(
        &self,
        act: impl Future<Output = Result<T>> + Send + Unpin,
    ) -> Result<T> {
        by(self.until(), act).await
    }

    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// Sends what may be done twice. Keeps the deadline by itself.
    pub(crate) async fn send_twice(
        &self,
        command: &Cmd,
        until: Instant,
    ) -> Result<RedisResult<Value>> {
        self.twice(until, || self.send(command)).await
    }

    /// What may be done twice: once more, if the connection was lost on the way. A client that
    /// loses it just as it is given a request may never answer that one, so that what has no
    /// answer in half of the deadline, or in the client's own time, is asked once more too.
    ///
    /// Keeps the deadline by itself, with the timer that it has anyway: one more around it took 6 %
    /// of the verifications that are done in a second with 64 in flight. What is rare is boxed, so
    /// that the future stays small.
    async fn twice<F>(
        &self,
        until: Instant,
        act: impl Fn() -> F + Send + Sync,
    ) -> Result<RedisResult<Value>>
    where
        F: Future<Output = RedisResult<Value>> + Send,
    {
        let once_more = || {
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
                Box::pin(timeout_at(until, once_more()))
                    .await
                    .map_err(|_| late())
            }
            Ok(answer) => Ok(answer),
            Err(_) => {
                // A slow server answers the first one, and knows what it has done.
                let mut second = once_more();
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

    /// Runs a script, which the server may have forgotten.
    pub(crate) async fn run(
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
        let mut pause = FIRST_PAUSE;
        loop {
            let mut answer = self.send(&by_hash).await;
            if is(&answer, ServerErrorKind::NoScript) {
                answer = self.send(&command("EVAL", script.text())).await;
            }
            if !is(&answer, ServerErrorKind::TryAgain) {
                return answer;
            }
            // Some of its keys are here and some there. Nothing was done; the deadline ends this.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Runs a script that may run twice.
    pub(crate) async fn run_twice(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<RedisResult<Value>> {
        self.twice(self.until(), || self.run(script, keys, arguments))
            .await
    }
}

/// A part of a call that ends by then.
pub(crate) async fn by<T>(
    until: Instant,
    act: impl Future<Output = Result<T>> + Send + Unpin,
) -> Result<T> {
    timeout_at(until, act).await.map_err(|_| late())?
}

fn late() -> Error {
    Error::unavailable("no answer within the deadline")
}

/// Whether the connection was lost: an answer that was cut off cannot be parsed.
fn is_lost(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Parse
}

fn is(answer: &RedisResult<Value>, kind: ServerErrorKind) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(kind))
}

/// Whether the server refuses writes since it could not save to its disk.
pub(crate) fn cannot_save(error: &RedisError) -> bool {
    error.code() == Some("MISCONF")
}

/// What went wrong, without any text of the server's or of the network's: nobody knows what that
/// contains.
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
    // The server's own word for it, such as OOM.
    let is_word =
        |code: &&str| code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let code = error.code().filter(is_word).map(str::to_owned);
    Error::unavailable(Failure { what, code })
}

/// An answer of another shape than asked for.
pub(crate) fn unexpected() -> Error {
    Error::unavailable("Redis answered something else than was asked")
}

/// The items of an answer that is a list.
pub(crate) fn items(answer: Value) -> Result<Vec<Value>> {
    match answer {
        Value::Array(items) => Ok(items),
        _ => Err(unexpected()),
    }
}

/// The bytes of an answer, if there are any.
pub(crate) fn bytes(answer: Value) -> Result<Option<Vec<u8>>> {
    match answer {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(unexpected()),
    }
}

pub(crate) fn number(answer: &Value) -> Result<i64> {
    match answer {
        Value::Int(number) => Ok(*number),
        _ => Err(unexpected()),
    }
}
