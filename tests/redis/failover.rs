//! Primaries that are demoted, killed and replaced.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, Value};
use statewise::clock::Timestamp;
use statewise::revocation::log::RevocationLog as _;
use statewise::session::Limit;
use statewise::store::contract::{Load, Page, Record, Scope, SessionStore};
use statewise::store::{Redis, RedisStore};
use statewise::testkit::Sample;

use crate::common::{PATIENT, prefix, run};
use crate::stores_failover::{Failover, loses_no_confirmed_logout};
use crate::support::servers::replicated::{NAME, Replicated};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const TOUCH: Load = Load::new().touch(Duration::from_secs(3_600));
const DEADLINE: Duration = Duration::from_secs(2);

async fn open(port: u16) -> Result<MultiplexedConnection, RedisError> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// A name that leads to one of two servers, as an entry in a name service does.
#[derive(Clone)]
struct Name(Arc<AtomicUsize>);

impl Name {
    fn of(at: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(at)))
    }

    fn leads_to(&self, at: usize) {
        self.0.store(at, Ordering::SeqCst);
    }
}

fn by_name(servers: &Arc<Replicated>, name: &Name, prefix: &str) -> Redis<MultiplexedConnection> {
    let (servers, name) = (Arc::clone(servers), name.clone());
    Redis::connect(move || open(servers.port(name.0.load(Ordering::SeqCst))))
        .prefix(prefix)
        .deadline(DEADLINE)
        .build()
        .unwrap()
}

async fn log_in(store: &impl SessionStore, subject: &str) -> Record {
    let row = Sample::of(subject).at(NOW);
    let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
    row
}

/// Tries until the store serves again, and returns how long that took.
async fn restored(store: &impl SessionStore, row: &Record) -> Duration {
    let begun = Instant::now();
    loop {
        match store.load(row.handle(), TOUCH, NOW).await {
            Ok(found) => break assert!(found.is_some(), "an outage was reported as a logout"),
            Err(error) => assert!(error.is_unavailable(), "{error:?}"),
        }
        assert!(begun.elapsed() < PATIENT, "still unavailable");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

/// A node stays connected to a primary that was demoted. It accepts no user that was logged out on
/// the new primary, and reads nothing of the old one's; once the name leads to the new primary, the
/// node does too. Rejects a client that stays on a connection that says `READONLY`, and a script that
/// reads on a replica.
#[test]
fn a_demoted_primary_is_left() {
    let Some(servers) = Replicated::start().map(Arc::new) else {
        return;
    };
    run(async {
        let (name, prefix) = (Name::of(0), prefix());
        let node = by_name(&servers, &name, &prefix);
        let store = node.sessions();
        let [alice, bob] = [log_in(&store, "alice").await, log_in(&store, "bob").await];
        let rotation = Sample::rotation_of(&bob);
        let _ = store.rotate(bob.handle(), &rotation, NOW).await.unwrap();
        node.revocations().fence(NOW).await.unwrap();
        servers.wait_in_sync(0);
        servers.promote(1);

        let other = by_name(&servers, &Name::of(1), &prefix).sessions();
        let removed = other
            .remove_subject("bob", Scope::all(), NOW)
            .await
            .unwrap();
        assert_eq!(removed.count, 1);
        // The demoted server follows the new one, but late: without that it still has the row.
        servers.wait_in_sync(1);
        let again = Sample::of("bob").at(NOW);
        let _ = other.create(&again, Limit::Unlimited, NOW).await.unwrap();
        servers.wait_in_sync(1);
        servers.ask(0, &["REPLICAOF", "127.0.0.1", "1"]).unwrap();
        let _ = other
            .remove_subject("bob", Scope::all(), NOW)
            .await
            .unwrap();

        let unavailable = |error: statewise::Error| error.is_unavailable();
        for _ in 0..20 {
            let found = store.load(again.handle(), TOUCH, NOW).await;
            assert!(found.is_err_and(unavailable));
            let listed = store.list("bob", Page::first(9), NOW).await;
            assert!(listed.is_err_and(unavailable));
            let rotated = store
                .rotate(again.handle(), &Sample::rotation_of(&again), NOW)
                .await;
            assert!(rotated.is_err_and(unavailable));
            let removed = store.remove_subject("alice", Scope::all(), NOW).await;
            assert!(removed.is_err_and(unavailable));
            let full = store.create(&again, Limit::Reject(1), NOW).await;
            assert!(full.is_err_and(unavailable));
            let log = node.revocations();
            for refused in [log.head(NOW).await.map(drop), log.fence(NOW).await] {
                let error = refused.unwrap_err();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                assert!(cause.contains("READONLY"), "{error:?}: {cause}");
            }
            assert!(
                node.revocations()
                    .read(1, 9, NOW)
                    .await
                    .is_err_and(unavailable)
            );
            assert!(node.check().await.is_err_and(unavailable));
        }
        name.leads_to(1);
        assert!(restored(&store, &alice).await < Duration::from_secs(5));
        let found = store.load(again.handle(), TOUCH, NOW).await.unwrap();
        assert!(found.is_none());
        let removed = store
            .remove_subject("alice", Scope::all(), NOW)
            .await
            .unwrap();
        assert_eq!(removed.count, 1);
        node.revocations().head(NOW).await.unwrap();
        node.check().await.unwrap();
    });
}

/// A primary that hangs closes no connection. The store opens another one after half of its
/// deadline. Rejects a store that waits for the connection to be closed.
#[test]
fn a_primary_that_hangs_is_left() {
    let Some(servers) = Replicated::start().map(Arc::new) else {
        return;
    };
    run(async {
        let name = Name::of(0);
        let store = by_name(&servers, &name, &prefix()).sessions();
        let alice = log_in(&store, "alice").await;
        servers.wait_in_sync(0);
        servers.pause(0);
        servers.ask(1, &["REPLICAOF", "NO", "ONE"]).unwrap();
        name.leads_to(1);
        // The first call waits for half of the deadline, and is answered by the new primary.
        let found = store.load(alice.handle(), TOUCH, NOW).await.unwrap();
        assert!(found.is_some());
        let removed = store.remove(alice.handle(), "alice", NOW).await.unwrap();
        assert_eq!(removed.count, 1);
        servers.resume(0);
        let found = store.load(alice.handle(), TOUCH, NOW).await.unwrap();
        assert!(found.is_none());
    });
}

/// A connection that answers its first commands with errors of the server.
#[derive(Clone)]
struct Failing {
    errors: Arc<Mutex<VecDeque<&'static str>>>,
    answer: Value,
}

impl ConnectionLike for Failing {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        let error = self.errors.lock().unwrap().pop_front();
        let answer = error.map_or_else(
            || Ok(self.answer.clone()),
            |error| redis::parse_redis_value(format!("-{error}\r\n").as_bytes()),
        );
        Box::pin(async { answer?.extract_error() })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        unimplemented!("the store sends no pipelines")
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// The errors after which another connection is opened, and others, after which it is kept.
#[test]
fn only_an_unfit_connection_is_replaced() {
    const SCRIPT: &str = "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: \
                          -READONLY You can't write against a read only replica.";
    run(async {
        for (error, replaces) in [
            (
                "READONLY You can't write against a read only replica.",
                true,
            ),
            ("LOADING Redis is loading the dataset in memory", true),
            ("MASTERDOWN Link with MASTER is down", true),
            ("NOREPLICAS Not enough good replicas to write.", true),
            (SCRIPT, true),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                false,
            ),
            ("ERR READONLY", false),
            ("BUSY Redis is busy running a script.", false),
        ] {
            let opened = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&opened);
            let errors = Arc::new(Mutex::new(VecDeque::new()));
            let shared = Arc::clone(&errors);
            let store = Redis::connect(move || {
                count.fetch_add(1, Ordering::SeqCst);
                let (errors, answer) = (Arc::clone(&shared), Value::Nil);
                async { Ok::<_, RedisError>(Failing { errors, answer }) }
            });
            let store = store.prefix(prefix()).build().unwrap().sessions();
            let row = Sample::of("alice").at(NOW);
            assert!(
                store
                    .load(row.handle(), TOUCH, NOW)
                    .await
                    .unwrap()
                    .is_none()
            );
            assert_eq!(opened.load(Ordering::SeqCst), 1);
            // A connection stays in use for a moment, so that a server is not flooded.
            tokio::time::sleep(Duration::from_millis(60)).await;
            errors.lock().unwrap().push_back(error);
            let found = store.load(row.handle(), TOUCH, NOW).await;
            assert_eq!(found.is_ok(), replaces, "{error}");
            let _ = store.load(row.handle(), TOUCH, NOW).await;
            assert_eq!(
                opened.load(Ordering::SeqCst),
                1 + u64::from(replaces),
                "{error}"
            );
        }
    });
}

/// While a server refuses everything, connections are opened seldom, and concurrent calls share one.
#[test]
fn a_server_that_refuses_everything_is_not_flooded() {
    run(async {
        let opened = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&opened);
        let store = Redis::connect(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let errors = Arc::new(Mutex::new(["LOADING ..."; 1_000].into()));
            let answer = Value::Nil;
            async { Ok::<_, RedisError>(Failing { errors, answer }) }
        });
        let store = store.prefix(prefix()).build().unwrap().sessions();
        let row = Sample::of("alice").at(NOW);
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(store.load(row.handle(), TOUCH, NOW).await.is_err());
        }
        let most = 2 + begun.elapsed().as_millis() as u64 / 50;
        assert!(opened.load(Ordering::SeqCst) <= most);
        // An attempt that fails is shared too.
        let tried = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&tried);
        let store = Redis::<Failing>::connect(move || {
            count.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::task::yield_now().await;
                Err("the name does not resolve")
            }
        });
        let store = store.prefix(prefix()).build().unwrap().sessions();
        let load = || store.load(row.handle(), TOUCH, NOW);
        let (one, other, third) = tokio::join!(load(), load(), load());
        for found in [one, other, third] {
            let error = found.unwrap_err();
            assert!(error.is_unavailable(), "{error:?}");
        }
        assert_eq!(tried.load(Ordering::SeqCst), 1);
    });
}

/// Servers with a Sentinel, and a store that asks it for the primary.
struct BySentinel {
    servers: Arc<Replicated>,
    store: RedisStore<MultiplexedConnection>,
    opened: Arc<AtomicU64>,
    primary: AtomicUsize,
}

impl BySentinel {
    fn over(servers: Arc<Replicated>) -> Self {
        let opened = Arc::new(AtomicU64::new(0));
        let (sentinel, count) = (servers.sentinel_port(), Arc::clone(&opened));
        let redis = Redis::connect(move || {
            let count = Arc::clone(&count);
            async move {
                let mut asked = open(sentinel).await?;
                let mut command = redis::cmd("SENTINEL");
                command.arg("GET-MASTER-ADDR-BY-NAME").arg(NAME);
                let (_, port): (String, u16) = command.query_async(&mut asked).await?;
                let connection = open(port).await?;
                count.fetch_add(1, Ordering::SeqCst);
                Ok::<_, RedisError>(connection)
            }
        });
        let redis = redis.prefix(prefix()).deadline(DEADLINE).build().unwrap();
        Self {
            servers,
            store: redis.sessions(),
            opened,
            primary: AtomicUsize::new(0),
        }
    }
}

impl Failover for BySentinel {
    type Store = RedisStore<MultiplexedConnection>;

    fn store(&self) -> &Self::Store {
        &self.store
    }

    fn connections(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    async fn confirm(&self) -> bool {
        let primary = self.primary.load(Ordering::SeqCst);
        tokio::task::block_in_place(|| self.servers.confirms(primary, Duration::from_millis(200)))
    }

    fn kill(&self) {
        self.servers.kill9(self.primary.load(Ordering::SeqCst));
    }

    fn wait_promoted(&self) {
        let killed = self.primary.load(Ordering::SeqCst);
        self.servers.wait_promoted(1 - killed);
        self.primary.store(1 - killed, Ordering::SeqCst);
    }

    fn rejoin(&self) {
        let primary = self.primary.load(Ordering::SeqCst);
        self.servers.rejoin(1 - primary);
        let primary = self.servers.wait_settled();
        self.primary.store(primary, Ordering::SeqCst);
    }
}

/// A primary is killed under load, and a Sentinel promotes its replica. No logout that the replica
/// had confirmed is undone, and the store serves again within 5 seconds. `STATEWISE_FAILOVERS` is
/// the number of rounds.
#[test]
fn failovers_by_sentinel_undo_no_confirmed_logout() {
    let Some(servers) = Replicated::with_sentinel().map(Arc::new) else {
        return;
    };
    let servers = Arc::new(BySentinel::over(servers));
    run(loses_no_confirmed_logout("Redis with Sentinel", servers));
}
