//! Tests for every log in an SQL database, and facts for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::entropy::SystemEntropy;
use statewise::revocation::log::{Draft, Fact, Page, RevocationLog};
use statewise::store::contract::Handle;
use statewise::store::contract::Stamp;
use statewise::{Error, Result};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000)
}

/// A log and the name of its table.
#[derive(Debug)]
pub(crate) struct Named<L> {
    pub(crate) log: L,
    pub(crate) table: String,
}

impl<L: RevocationLog> RevocationLog for Named<L> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.log.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.log.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.log.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.log.fence(now).await
    }
}

/// Returns that many distinct facts.
pub(crate) fn facts(count: usize, life: u64) -> Vec<Draft> {
    let fact = |at: usize| Fact::Login(Handle::from_bytes([at as u8; 16]));
    let draft = |at| Draft::new(fact(at), Duration::from_secs(life), &SystemEntropy).unwrap();
    (0..count).map(draft).collect()
}

pub(crate) async fn append(log: &impl RevocationLog, facts: &[Draft]) -> Stamp {
    log.append(facts, now()).await.unwrap()
}

pub(crate) async fn all(log: &impl RevocationLog) -> Page {
    log.read(0, 1_000_000, now()).await.unwrap()
}

pub(crate) fn assert_unavailable<T: std::fmt::Debug>(what: &str, answer: &Result<T>) {
    let unavailable = answer.as_ref().is_err_and(Error::is_unavailable);
    assert!(unavailable, "{what}: {answer:?}");
    let error = format!("{:?}", answer.as_ref().unwrap_err());
    assert!(error.contains("revocation log"), "{error}");
}

#[allow(dead_code, reason = "there is no server to SQLite")]
/// Asserts that every call answers *unavailable*, and quickly.
pub(crate) async fn all_unavailable<L: RevocationLog>(log: &Arc<L>, deadline: Duration) {
    type Act = BoxFuture<'static, Result<()>>;

    let begun = Instant::now();
    let logs: [_; 4] = std::array::from_fn(|_| Arc::clone(log));
    let [one, two, three, four] = logs;
    let acts: [(_, Act); 4] = [
        (
            "append",
            Box::pin(async move { one.append(&facts(2, 9), now()).await.map(drop) }),
        ),
        (
            "head",
            Box::pin(async move { two.head(now()).await.map(drop) }),
        ),
        (
            "read",
            Box::pin(async move { three.read(1, 9, now()).await.map(drop) }),
        ),
        ("fence", Box::pin(async move { four.fence(now()).await })),
    ];
    let acts = acts.map(|(what, act)| (what, tokio::spawn(act)));
    for (what, act) in acts {
        assert_unavailable(what, &act.await.unwrap());
    }
    assert!(
        begun.elapsed() < deadline * 20,
        "took {:?}",
        begun.elapsed()
    );
}

/// Returns an error with all of its causes.
pub(crate) fn chain(error: &statewise::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Repeats a call until it succeeds, as a node does after *unavailable*.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asserts that every acknowledged entry is present at its position.
pub(crate) async fn holds(log: &impl RevocationLog, acknowledged: &[(Vec<Draft>, Stamp)]) {
    let page = all(log).await;
    for (facts, stamp) in acknowledged {
        assert_eq!(page.incarnation, stamp.incarnation());
        let last = usize::try_from(stamp.position() - page.first).unwrap();
        for (back, fact) in facts.iter().rev().enumerate() {
            let entry = page.entries[last - back];
            assert_eq!((entry.nonce, entry.fact), (fact.nonce, fact.fact));
        }
    }
}

/// Concurrent appends after everything has expired. Each may remove older entries, but none that
/// another append just added. Rejects a log that computes its first position from a statement that
/// ran before it waited for the lock.
pub(crate) async fn new_entries_are_not_trimmed<L: RevocationLog>(
    logs: [Arc<L>; 2],
    expire: impl AsyncFn(),
) {
    let mut later = now();
    for round in 0..25 {
        // The next append removes all of these.
        expire().await;
        later = later.saturating_add(100_000);
        let mut tasks = Vec::new();
        for task in 0..8 {
            let log = Arc::clone(&logs[task % 2]);
            tasks.push(tokio::spawn(async move {
                log.append(&facts(1 + task % 2, 1_000), later)
                    .await
                    .unwrap()
            }));
        }
        let mut last = 0;
        for task in tasks {
            last = last.max(task.await.unwrap().position());
        }
        let page = logs[0].read(0, 1_000, later).await.unwrap();
        let kept = last - 12 + 1;
        assert!(page.first <= kept, "round {round}: {} > {kept}", page.first);
        assert_eq!(page.first, page.entries[0].position);
        assert_eq!(page.entries.last().unwrap().position, last);
    }
}

/// A log that lost its data starts a new incarnation. A log that lost its head row drops its
/// entries. `sql` runs a statement; `{log}` and `{head}` stand for the tables.
pub(crate) async fn lost_data_begins_another_incarnation<L: RevocationLog>(
    log: &L,
    sql: impl AsyncFn(&str),
) {
    let mut seen = vec![append(log, &facts(5, 1_000)).await.incarnation()];
    for (lost, appended) in [
        (&["DELETE FROM {log}", "DELETE FROM {head}"][..], 1),
        (&["DELETE FROM {head}"], 3),
        (&["DELETE FROM {head}"], 0),
        (&["DELETE FROM {log}", "DELETE FROM {head}"], 0),
    ] {
        for statement in lost {
            sql(statement).await;
        }
        let stamp = append(log, &facts(appended, 1_000)).await;
        assert_eq!(stamp.position(), appended as u64);
        let page = all(log).await;
        assert_eq!((page.incarnation, page.first), (stamp.incarnation(), 1));
        assert_eq!(page.entries.len(), appended);
        assert!(!seen.contains(&page.incarnation));
        seen.push(page.incarnation);
        log.fence(now()).await.unwrap();
        append(log, &facts(4, 1_000)).await;
    }
}

/// A reader does not skip undecodable or deleted entries. `bytes` spells a number of bytes in the
/// dialect.
pub(crate) async fn damaged_entries_are_unavailable<L: RevocationLog>(
    log: &L,
    sql: impl AsyncFn(&str),
    bytes: impl Fn(&[u8]) -> String,
) {
    append(log, &facts(6, 1_000)).await;
    let good = facts(1, 1)[0].fact.to_bytes();
    let mut bad = good;
    bad[0] = 250;
    let restore = |bytes: String| format!("UPDATE {{log}} SET fact = {bytes} WHERE position = 3");
    sql(&restore(bytes(&bad))).await;
    let read = async |from, limit| log.read(from, limit, now()).await;
    assert_unavailable("unknown fact", &read(1, 100).await);
    assert_unavailable("unknown fact", &read(3, 1).await);
    assert_eq!(read(4, 100).await.unwrap().entries.len(), 3);
    // The store reads one entry more than requested.
    assert_eq!(read(1, 1).await.unwrap().entries.len(), 1);
    sql(&restore(bytes(&good))).await;
    assert_eq!(read(1, 100).await.unwrap().entries.len(), 6);
    for (what, damage) in [
        ("head behind", "UPDATE {head} SET position = position - 1"),
        ("head ahead", "UPDATE {head} SET position = position + 1"),
    ] {
        sql(damage).await;
        assert_unavailable(what, &read(1, 100).await);
        let heal = if what == "head behind" { "+" } else { "-" };
        sql(&format!("UPDATE {{head}} SET position = position {heal} 1")).await;
        assert_eq!(read(1, 100).await.unwrap().entries.len(), 6);
    }
    sql("DELETE FROM {log} WHERE position = 5").await;
    assert_unavailable("a gap", &read(1, 100).await);
    assert_unavailable("a gap", &read(5, 100).await);
    assert_eq!(read(6, 100).await.unwrap().entries.len(), 1);
    sql("DELETE FROM {log}").await;
    assert_unavailable("no entries", &read(1, 100).await);
    assert_unavailable("no entries", &read(6, 1).await);
}
