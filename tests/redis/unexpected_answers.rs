//! Servers with wrong answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisFuture, Value};
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{Load, Page, Rotated, Scope, SessionStore, Updated};
use statewise::store::{Redis, Survives};
use statewise::testkit::Sample;

use crate::common::{multiplexed, prefix, row_keys, run, store};
use crate::support::servers::redis::RedisServer;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const TOUCH: Load = Load::new().touch(Duration::from_secs(3_600));

/// A connection that answers everything with the same value.
#[derive(Clone)]
struct FixedAnswer(Arc<Value>);

impl ConnectionLike for FixedAnswer {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Value::clone(&self.0))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async { Err((ErrorKind::Client, "the store sends no pipelines").into()) })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// Whatever the server answers, no caller is accepted, no call reports a change that was not made,
/// and each call ends. Rejects a login that retries forever, and a store that trusts the index.
#[test]
fn an_unexpected_answer_never_lets_a_caller_in() {
    let other = Sample::of("mallory").at(NOW);
    let answers = [
        Value::Int(0),
        Value::Int(-1),
        Value::Okay,
        Value::Boolean(true),
        Value::Double(1.0),
        Value::SimpleString("stored".to_owned()),
        text(""),
        text("members"),
        text("absent"),
        Value::BulkString(vec![1; 160]),
        Value::BulkString(vec![0xff; 1 << 20]),
        Value::BulkString(other.encode()),
        Value::Array(Vec::new()),
        Value::Array(vec![Value::Nil]),
        Value::Array(vec![Value::Int(i64::MIN); 3]),
        Value::Array(vec![text("members")]),
        Value::Array(vec![text("members"), text("sixteen bytes!!!")]),
        Value::Array(vec![text("members"), text("short")]),
        Value::Array(vec![text("stored"), text("short")]),
        Value::Array(vec![text("sixteen bytes!!!"), text("-1")]),
        Value::Array(vec![text("sixteen bytes!!!"), text("1e400")]),
        Value::Array(vec![
            Value::BulkString(other.encode()),
            Value::Int(i64::MAX),
        ]),
        Value::Map(vec![(text("stored"), Value::Int(1))]),
    ];
    run(async {
        for answer in answers {
            let shown = format!("{answer:.60?}");
            let redis = Redis::over(FixedAnswer(Arc::new(answer))).prefix(prefix());
            let deadline = Duration::from_millis(100);
            let redis = redis.deadline(deadline).build().unwrap();
            let store = redis.sessions();
            let row = Sample::of("alice").at(NOW);
            let begun = Instant::now();

            let found = store.load(row.handle(), TOUCH, NOW).await;
            assert!(!matches!(found, Ok(Some(_))), "{shown}: {found:?}");
            let created = store.create(&row, Limit::Reject(1), NOW).await;
            assert!(
                created.is_err_and(|error| error.is_unavailable()),
                "{shown}"
            );
            let change = Sample::update(b"1");
            let updated = store.update(row.handle(), 0, &change, NOW).await;
            assert!(!matches!(updated, Ok(Updated::Done { .. })), "{shown}");
            let rotation = Sample::rotation_of(&row);
            let rotated = store.rotate(row.handle(), &rotation, NOW).await;
            assert!(matches!(rotated, Ok(Rotated::Absent) | Err(_)), "{shown}");
            if let Ok(listed) = store.list("alice", Page::first(9), NOW).await {
                assert!(listed.records.is_empty(), "{shown}");
            }
            let _ = store.remove(row.handle(), "alice", NOW).await;
            let _ = store.remove_subject("alice", Scope::all(), NOW).await;
            let durability = redis.durability().await;
            assert!(
                !durability.is_ok_and(|durability| durability.crash == Survives::All),
                "{shown}"
            );
            assert!(begun.elapsed() < 80 * deadline, "{shown}");
        }
    });
}

/// A row under the key of another login is useless, however it came there. Rejects a store that
/// checks only the key.
#[test]
fn a_row_under_the_key_of_another_login_is_unavailable() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        let mallory = Sample::of("mallory").at(NOW);
        let _ = store.create(&mallory, Limit::Unlimited, NOW).await.unwrap();
        let hers = row_keys(&server, store.prefix()).remove(0);
        let alice = Sample::of("alice").at(NOW);
        let _ = store.create(&alice, Limit::Unlimited, NOW).await.unwrap();
        let all = row_keys(&server, store.prefix());
        let target = all.iter().find(|key| **key != hers).unwrap();
        server.ask(&["COPY", &hers, target, "REPLACE"]).unwrap();

        let handle = alice.handle();
        let refused = |error: statewise::Error| error.is_unavailable();
        let found = store.load(handle, TOUCH, NOW).await;
        assert!(found.is_err_and(refused));
        let change = Sample::update(b"1");
        let updated = store.update(handle, 0, &change, NOW).await;
        assert!(updated.is_err_and(refused));
        let rotation = Sample::rotation_of(&mallory);
        let rotated = store.rotate(handle, &rotation, NOW).await;
        assert!(rotated.is_err_and(refused));
        let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
        assert!(listed.records.is_empty());
        // It still belongs to its own subject, and can be removed.
        let found = store.load(mallory.handle(), TOUCH, NOW).await.unwrap();
        assert!(found.unwrap().encode() == mallory.encode());
        let removed = store.remove(handle, "alice", NOW).await.unwrap();
        assert_eq!(removed.count, 1);
    });
}
