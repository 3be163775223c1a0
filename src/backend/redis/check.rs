//! Check of a server: rights, renamed commands, evictions, and whether it is a primary.

use redis::Value;
use redis::aio::ConnectionLike;

use crate::backend::redis::Redis;
use crate::backend::redis::eviction::Eviction;
use crate::backend::redis::link::{Link, UNFIT, all, bytes, failed, items, unexpected};
use crate::backend::redis::script::Script;
use crate::error::{Error, Result};

static CHECK: Script = Script::new(concat!(
    include_str!("eviction.lua"),
    include_str!("try.lua"),
    include_str!("check.lua")
));

/// Number of partitions to check. Each node of a small Cluster has some of them.
const ASKED_PARTITIONS: u16 = 16;

/// State of a node.
struct Report {
    eviction: Eviction,
    problems: Vec<String>,
}

impl<C> Redis<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Fails if the server lacks anything.
    pub(crate) async fn check_all(&self) -> Result<()> {
        require_eval(&self.link).await?;
        let mut problems = Vec::new();
        for report in self.reports().await? {
            problems.extend(report.problems);
            let eviction = report.eviction.problem(self.assume_durable);
            problems.extend(eviction.map(str::to_owned));
        }
        require_none(problems)
    }

    /// Returns the worst of what the nodes report about evictions.
    pub(crate) async fn evictions(&self) -> Result<Eviction> {
        let reports = self.reports().await?;
        let mut found = reports.into_iter().map(|report| report.eviction);
        Ok(found
            .find(|eviction| *eviction != Eviction::Never)
            .unwrap_or(Eviction::Never))
    }

    async fn reports(&self) -> Result<Vec<Report>> {
        let partitions = (0..ASKED_PARTITIONS).map(|at| at * (4096 / ASKED_PARTITIONS));
        all(partitions.map(|partition| self.report(partition))).await
    }

    async fn report(&self, partition: u16) -> Result<Report> {
        let key = [self.keys.check(partition)];
        let mut found = items(self.link.run(&CHECK, &key, &[]).await?)?;
        let refused = found.split_off(found.len().min(1));
        let eviction = bytes(found.pop().unwrap_or_default())?;
        Ok(Report {
            eviction: Eviction::of(&eviction.unwrap_or_default())?,
            problems: problems(refused)?,
        })
    }
}

/// Fails if the user may not send the text of a script, as its first use does.
pub(crate) async fn require_eval<C>(link: &Link<C>) -> Result<()>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let mut command = redis::cmd("EVAL");
    let answer = link.send(command.arg("return 1").arg(0)).await;
    answer.map(drop).map_err(|error| failed(&error))
}

/// # Errors
///
/// *Misuse* with all problems, if there are any.
pub(crate) fn require_none(mut problems: Vec<String>) -> Result<()> {
    problems.sort_unstable();
    problems.dedup();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::misuse(problems.join("; ")))
}

/// Explains the commands that the server refused: each a name and an error.
pub(crate) fn problems(refused: Vec<Value>) -> Result<Vec<String>> {
    let mut refused = refused.into_iter();
    let mut next = || bytes(refused.next().unwrap_or_default());
    let mut problems = Vec::new();
    while let (Some(name), Some(error)) = (next()?, next()?) {
        let name = String::from_utf8(name).map_err(|_| unexpected())?;
        // The text of the server is not shown: it may contain secrets.
        let error = String::from_utf8_lossy(&error);
        if let Some(code) = UNFIT.iter().find(|code| error.contains(*code)) {
            return Err(Error::unavailable(format!(
                "Redis: the server is no primary that accepts writes ({code}): connect to it"
            )));
        }
        problems.push(if error.contains("Unknown") {
            format!("the Redis server does not know `{name}`: do not rename or disable it")
        } else if error.contains("access") {
            "the user of the Redis server may not access keys with the prefix of the store: grant \
             it `~prefix*`, or `~prefix{log}:*` to a log reader"
                .to_owned()
        } else if error.contains("can't run") || error.contains("NOPERM") {
            let right = name.to_ascii_lowercase();
            format!("the user of the Redis server may not run `{name}`: grant it `+{right}`")
        } else {
            format!("the Redis server refuses `{name}`")
        });
    }
    Ok(problems)
}
