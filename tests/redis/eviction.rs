//! Servers that evict keys: the index of a subject, and not its rows.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use statewise::clock::{Clock as _, Timestamp};
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::Limit;
use statewise::store::contract::{Load, Page, Record, Scope, SessionStore};
use statewise::store::{CachedStore, Redis, Survives};
use statewise::testkit::{ManualClock, Sample};

use crate::common::{multiplexed, patient, run};
use crate::support::servers::redis::RedisServer;

const DEVICES: usize = 3;
const USERS: usize = 24;

/// The policies of Redis 4 and later, and whether a server with it parts rows from their index in
/// this test. The index expires last, so that `volatile-ttl` takes the rows first; the LFU policies take
/// new keys first.
const POLICIES: [(&str, bool); 8] = [
    ("volatile-lru", true),
    ("allkeys-lru", true),
    ("volatile-lfu", false),
    ("allkeys-lfu", false),
    ("volatile-random", true),
    ("allkeys-random", true),
    ("volatile-ttl", false),
    ("noeviction", false),
];

fn set(server: &RedisServer, name: &str, value: &str) {
    server.ask(&["CONFIG", "SET", name, value]).unwrap();
}

fn number(server: &RedisServer, section: &str, name: &str) -> u64 {
    let info = server.ask(&["INFO", section]).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

/// Fills the memory with other keys while the rows are in use, until the server has evicted the
/// index of some users and left rows of theirs, or has no more room. Returns for how many users.
async fn evict(
    server: &RedisServer,
    connection: &mut MultiplexedConnection,
    users: &[Vec<Record>],
) -> usize {
    let keys = |kind: &str| {
        let found = server.ask(&["KEYS", &format!("*{kind}*")]).unwrap();
        found.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let index_of = |row: &str| row.split(":s:").next().unwrap().to_owned();
    let fill = r"
        for at = 1, 100 do
            redis.call('SET', 'fill:' .. ARGV[1] .. ':' .. at, string.rep('x', 1000), 'EX', 999999)
        end";
    let rows = keys(":s:");
    assert_eq!(rows.len(), users.len() * DEVICES);
    for round in 0..200 {
        for key in &rows {
            let mut command = redis::cmd("GETEX");
            let _: Option<Vec<u8>> = command.arg(key).query_async(connection).await.unwrap();
        }
        if let Err(error) = server.ask(&["EVAL", fill, "0", &round.to_string()]) {
            assert!(error.contains("OOM"), "{error}");
            break;
        }
        let indexes: Vec<_> = keys(":i:");
        let tags: Vec<_> = indexes
            .iter()
            .map(|key| key.split(":i:").next().unwrap())
            .collect();
        let parted = keys(":s:")
            .iter()
            .filter(|row| !tags.contains(&&*index_of(row)))
            .map(|row| index_of(row))
            .collect::<std::collections::HashSet<_>>();
        if parted.len() >= 6 {
            return parted.len();
        }
    }
    0
}

/// Asserts that a logout everywhere has ended all logins, or has failed. Returns whether it failed.
async fn logs_out(store: &impl SessionStore, rows: &[Record], now: Timestamp) -> bool {
    let removed = store
        .remove_subject(rows[0].subject(), Scope::all(), now)
        .await;
    if let Err(error) = removed {
        assert!(error.is_unavailable(), "{error:?}");
        return true;
    }
    for row in rows {
        let found = store.load(row.handle(), Load::new(), now).await.unwrap();
        assert!(
            found.is_none(),
            "verifies after an acknowledged logout everywhere"
        );
        let found = store
            .load(row.handle(), Load::new().authoritative(), now)
            .await;
        assert!(found.unwrap().is_none());
    }
    false
}

async fn under(policy: &str, parts: bool, cached: bool) {
    let Some(server) = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"])
    else {
        return;
    };
    let mut connection = multiplexed(&server).await;
    let redis = patient(connection.clone()).build().unwrap();
    redis.require_durable().await.unwrap();
    redis.check().await.unwrap();
    let clock = ManualClock::default();
    let now = clock.now().unwrap();
    if cached {
        let view = RevocationView::builder(MemoryLog::new().unwrap())
            .max_lifetime(std::time::Duration::MAX)
            .clock(clock.clone())
            .build()
            .unwrap();
        view.follow().await.unwrap();
        let store = CachedStore::builder(redis.sessions(), &view)
            .build()
            .unwrap();
        parting(
            &server,
            &mut connection,
            &redis,
            &store,
            (policy, parts),
            now,
        )
        .await;
    } else {
        let store = redis.sessions();
        parting(
            &server,
            &mut connection,
            &redis,
            &store,
            (policy, parts),
            now,
        )
        .await;
    }
}

async fn parting(
    server: &RedisServer,
    connection: &mut MultiplexedConnection,
    redis: &Redis<MultiplexedConnection>,
    store: &impl SessionStore,
    (policy, parts): (&str, bool),
    now: Timestamp,
) {
    let mut users = Vec::new();
    for user in 0..USERS {
        let rows: Vec<_> = (0..DEVICES)
            .map(|_| Sample::of(format!("user {user}")).at(now))
            .collect();
        for row in &rows {
            let _ = store.create(row, Limit::Reject(9), now).await.unwrap();
        }
        users.push(rows);
    }
    let used = number(server, "memory", "used_memory:");
    set(server, "maxmemory-policy", policy);
    set(server, "maxmemory", &(used + 200_000).to_string());
    let parted = evict(server, connection, &users).await;
    assert!(
        !parts || parted > 0,
        "{policy} evicted no index: the test is void"
    );

    let evicts = policy != "noeviction";
    let (some, others) = users.split_at(USERS / 2);
    for rows in some {
        assert_eq!(logs_out(store, rows, now).await, evicts, "{policy}");
    }
    if !evicts {
        return;
    }
    // Calls that rely on an index fail, and the start names the setting.
    let subject = others[0][0].subject();
    let listed = store.list(subject, Page::first(9), now).await;
    assert!(
        listed.is_err_and(|error| error.is_unavailable()),
        "{policy}"
    );
    let new = Sample::of(subject).at(now);
    for limit in [Limit::Reject(DEVICES as u32), Limit::EvictOldest(1)] {
        let created = store.create(&new, limit, now).await;
        assert!(
            created.is_err_and(|error| error.is_unavailable()),
            "{policy}"
        );
    }
    let later = now.saturating_add(1);
    let created = store.create(&new, Limit::Unlimited, later).await;
    assert!(
        created.is_err_and(|error| error.is_unavailable()),
        "{policy}"
    );
    for refused in [redis.check().await, redis.require_durable().await] {
        let error = refused.unwrap_err();
        assert!(error.is_misuse(), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("`maxmemory-policy` to `noeviction`"),
            "{error}"
        );
    }
    assert_eq!(redis.durability().await.unwrap().crash, Survives::NotAll);
    // The policy is mended, and the indexes stay lost.
    set(server, "maxmemory-policy", "noeviction");
    for rows in others {
        assert!(logs_out(store, rows, now).await, "{policy}");
    }
    // As the message says.
    server.ask(&["FLUSHALL"]).unwrap();
    server.ask(&["CONFIG", "RESETSTAT"]).unwrap();
    redis.require_durable().await.unwrap();
    let _ = store.create(&new, Limit::Reject(1), later).await.unwrap();
    assert!(!logs_out(store, &[new], later).await);
}

/// After an acknowledged logout everywhere, no login of the subject verifies, under each policy.
/// Rejects a store that takes an index that is gone for a subject without logins.
#[test]
fn a_logout_everywhere_is_complete_under_each_policy() {
    run(async {
        for (policy, parts) in POLICIES {
            under(policy, parts, false).await;
        }
    });
}

#[test]
fn a_logout_everywhere_is_complete_behind_a_cache() {
    run(async {
        for (policy, parts) in POLICIES {
            under(policy, parts, true).await;
        }
    });
}

/// A policy without a memory limit evicts nothing, so nothing is refused.
#[test]
fn a_policy_without_a_limit_is_accepted() {
    let Some(server) = RedisServer::with(&["--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    run(async {
        let redis = patient(multiplexed(&server).await).build().unwrap();
        redis.check().await.unwrap();
        let store = redis.sessions();
        let now = ManualClock::default().now().unwrap();
        let row = Sample::of("alice").at(now);
        let _ = store.create(&row, Limit::Reject(1), now).await.unwrap();
        assert!(!logs_out(&store, &[row], now).await);
    });
}

/// A server that does not report its policy is refused, unless the operator vouches for it.
#[test]
fn a_server_that_hides_its_policy_is_refused_unless_assumed() {
    let Some(server) = RedisServer::with(&["--rename-command", "INFO", ""]) else {
        return;
    };
    run(async {
        let connection = multiplexed(&server).await;
        let redis = patient(connection.clone()).build().unwrap();
        for refused in [redis.check().await, redis.require_durable().await] {
            assert!(refused.is_err_and(|error| error.is_misuse()));
        }
        let now = ManualClock::default().now().unwrap();
        let row = Sample::of("alice").at(now);
        for limit in [Limit::Unlimited, Limit::Reject(1)] {
            let created = redis.sessions().create(&row, limit, now).await;
            assert!(created.is_err_and(|error| error.is_unavailable()));
        }
        let redis = patient(connection).assume_durable().build().unwrap();
        redis.check().await.unwrap();
        let store = Arc::new(redis.sessions());
        let _ = store.create(&row, Limit::Reject(1), now).await.unwrap();
        assert!(!logs_out(&store, &[row], now).await);
    });
}
