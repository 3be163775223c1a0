//! Indexes with many members, most of them without a row, on a server far away.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::RedisStore;
use statewise::store::contract::{Created, Handle, Load, Page, Record, Scope, SessionStore};
use statewise::testkit::Sample;

use crate::common::{multiplexed, patient, row_keys, run, shift, store};
use crate::support::proxy::Proxy;
use crate::support::servers::redis::RedisServer;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const MEMBERS: u32 = 100_000;
/// A script that runs for longer blocks all users of the server.
const MAX_BLOCK_MICROS: u32 = 5_000;
/// Time of [`REFERENCE`] on a machine on which a script may take so long. On a slower one it may take longer in
/// the same ratio.
const REFERENCE_MICROS: u32 = 1_500;
/// A script with known work.
const REFERENCE: &str = r"
    local texts = {}
    for at = 1, 5000 do
        texts[at] = string.format('%02d%014d', 7, at)
    end
    return #texts";

fn index(server: &RedisServer, prefix: &str) -> String {
    server.ask(&["KEYS", &format!("{prefix}*:i:*")]).unwrap()
}

fn members(server: &RedisServer, index: &str) -> u32 {
    server.ask(&["ZCARD", index]).unwrap().parse().unwrap()
}

/// Adds members without a row: logins that have expired since.
fn add_expired(server: &RedisServer, index: &str, deadline: Timestamp) {
    let script = r"
        for at = 1, 5000 do
            local member = string.format('%02d%014d', ARGV[1], at)
            redis.call('ZADD', KEYS[1], tonumber(ARGV[2]) + at % 7, member)
        end";
    let deadline = deadline.unix().to_string();
    let noted = server
        .ask(&["CONFIG", "GET", "slowlog-log-slower-than"])
        .unwrap();
    let note = |limit: &str| {
        server
            .ask(&["CONFIG", "SET", "slowlog-log-slower-than", limit])
            .unwrap();
    };
    note("-1");
    for part in 10..10 + MEMBERS / 5_000 {
        let command = ["EVAL", script, "1", index, &part.to_string(), &deadline];
        server.ask(&command).unwrap();
    }
    note(noted.lines().last().unwrap());
}

/// Starts a server that notes slow commands, with live logins of a user and many expired ones.
async fn full(
    live: usize,
) -> Option<(RedisServer, RedisStore<MultiplexedConnection>, Vec<Record>)> {
    let server = RedisServer::start()?;
    let store = store(multiplexed(&server).await);
    let mut rows = Vec::new();
    for _ in 0..live {
        let row = Sample::of("alice").absolute(86_400).at(NOW);
        let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
        rows.push(row);
    }
    add_expired(&server, &index(&server, store.prefix()), rows[0].deadline());
    Some((server, store, rows))
}

/// Returns the calls of scripts in the notes of the server: the line of the command, and the microseconds
/// that it took.
fn calls<'l>(lines: &'l [&str]) -> impl Iterator<Item = (usize, u32)> + use<'l> {
    let is_call = |at: &usize| ["EVAL", "EVALSHA"].contains(&lines[*at]);
    let found = (0..lines.len()).filter(is_call);
    found.map(|at| (at, lines[at - 1].parse().unwrap()))
}

/// Returns the longest time that a script may block the server on this machine, as it is now: the best of a
/// few runs of the reference tells how fast that is.
fn max_block_micros(server: &RedisServer) -> u32 {
    for _ in 0..10 {
        server.ask(&["EVAL", REFERENCE, "0"]).unwrap();
    }
    let noted = server.ask(&["SLOWLOG", "GET", "10000"]).unwrap();
    let lines: Vec<_> = noted.lines().collect();
    let best = calls(&lines).map(|(_, micros)| micros).min().unwrap();
    server.ask(&["SLOWLOG", "RESET"]).unwrap();
    MAX_BLOCK_MICROS * best.max(REFERENCE_MICROS) / REFERENCE_MICROS
}

/// Returns the scripts, each by its hash or its first line, of whose calls more than three quarters were
/// slow. The server notes how long a call took, and not how long it computed: on a busy machine other
/// processes run in the middle of many calls. No call may have more rows than a batch, or read a
/// larger page.
fn slow_scripts(server: &RedisServer, max_micros: u32) -> HashSet<String> {
    let noted = server.ask(&["SLOWLOG", "GET", "10000"]).unwrap();
    let lines: Vec<_> = noted.lines().collect();
    let mut counts: HashMap<&str, [usize; 2]> = HashMap::new();
    for (at, micros) in calls(&lines) {
        let [all, slow] = counts.entry(lines[at + 1]).or_default();
        *all += 1;
        *slow += usize::from(micros > max_micros);
        if lines[at] == "EVALSHA" {
            let keys: u32 = lines[at + 2].parse().unwrap();
            assert!(keys < 300, "a script with {keys} keys");
            let members = lines[at + 4].parse().ok().filter(|_| keys == 1);
            assert!(
                members.unwrap_or(0) <= 2048,
                "a page of {members:?} members"
            );
        }
    }
    assert!(!counts.is_empty());
    let is_slow = |(_, [all, slow]): &(&str, [usize; 2])| slow * 4 > *all * 3;
    let slow = counts.into_iter().filter(is_slow);
    slow.map(|(script, _)| script.to_owned()).collect()
}

/// Runs an operation with the default deadline on a server 10 ms away. No script of it may block the
/// server in all of a few attempts.
fn blocks_nobody(act: &impl AsyncFn(&RedisServer, &RedisStore<MultiplexedConnection>, &[Record])) {
    run(async {
        let mut always_slow: Option<HashSet<String>> = None;
        for _ in 0..8 {
            let Some((server, near, rows)) = full(3).await else {
                return;
            };
            let proxy = Proxy::to(server.socket());
            proxy.delay(Duration::from_millis(10));
            let client = redis::Client::open(format!("{}?user=app&pass=secret", proxy.url()));
            let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
            let client = client.unwrap();
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            // Ten times the default in a debug build, in which the client parses slowly.
            let deadline = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
            let far = patient(connection.await.unwrap()).prefix(near.prefix());
            let far = far.deadline(deadline).build().unwrap().sessions();
            // Not the commands of the scripts themselves.
            for command in [
                &["CONFIG", "SET", "slowlog-log-slower-than", "50"][..],
                &["CONFIG", "SET", "slowlog-max-len", "10000"],
                &["SLOWLOG", "RESET"],
            ] {
                server.ask(command).unwrap();
            }
            let max_micros = max_block_micros(&server);
            let begun = Instant::now();
            act(&server, &far, &rows).await;
            let took = begun.elapsed();
            println!("{MEMBERS} members, 10 ms away: {took:?}, at most {max_micros} us a script");
            let mut slow = slow_scripts(&server, max_micros);
            if let Some(before) = always_slow {
                slow.retain(|script| before.contains(script));
            }
            if slow.is_empty() {
                return;
            }
            always_slow = Some(slow);
        }
        panic!("scripts that block the server: {always_slow:?}");
    });
}

/// A list removes the members without a row, so that the next one is short.
#[test]
fn a_list_blocks_nobody_and_removes_expired_members() {
    blocks_nobody(&async |server, store, rows| {
        let listed = store.list("alice", Page::first(50), NOW).await.unwrap();
        assert_eq!(listed.records.len(), rows.len());
        assert_eq!(members(server, &index(server, store.prefix())), 3);
    });
}

#[test]
fn a_logout_everywhere_blocks_nobody() {
    blocks_nobody(&async |server, store, rows| {
        let removed = store
            .remove_subject("alice", Scope::all(), NOW)
            .await
            .unwrap();
        assert_eq!(removed.count, rows.len() as u64);
        assert_eq!(index(server, store.prefix()), "");
    });
}

/// A limit counts live logins only, and evicts the oldest of them only.
#[test]
fn a_limit_blocks_nobody_and_counts_live_logins() {
    blocks_nobody(&async |server, store, rows| {
        let new = Sample::of("alice").absolute(86_400).at(NOW);
        let refused = store.create(&new, Limit::Reject(3), NOW).await.unwrap();
        assert_eq!(refused, Created::LimitReached);
        assert_eq!(members(server, &index(server, store.prefix())), 3);
        add_expired(server, &index(server, store.prefix()), rows[0].deadline());
        let created = store
            .create(&new, Limit::EvictOldest(3), NOW)
            .await
            .unwrap();
        let Created::Stored { evicted } = created else {
            panic!("{created:?}");
        };
        assert_eq!(evicted.len(), 1);
        assert!(rows.iter().any(|row| row.handle() == evicted[0]));
        assert_eq!(members(server, &index(server, store.prefix())), 3);
    });
}

/// Stores 600 logins of one user, with the earliest deadline first.
async fn put_many(store: &impl SessionStore) -> Vec<Handle> {
    let mut handles = Vec::new();
    for deadline in 0..600 {
        let row = Sample::of("alice").absolute(10_000 + deadline).at(NOW);
        let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
        handles.push(row.handle());
    }
    handles
}

/// A limit is introduced for a user with many more live logins: it refuses, or evicts the oldest.
#[test]
fn a_limit_far_below_the_number_of_logins() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        let rows = put_many(&store).await;
        let new = Sample::of("alice").absolute(86_400).at(NOW);
        for limit in [Limit::Reject(5), Limit::Reject(300), Limit::Reject(600)] {
            let refused = store.create(&new, limit, NOW).await.unwrap();
            assert_eq!(refused, Created::LimitReached, "{limit:?}");
        }
        let created = store
            .create(&new, Limit::EvictOldest(5), NOW)
            .await
            .unwrap();
        let Created::Stored { evicted } = created else {
            panic!("{created:?}");
        };
        assert_eq!(evicted, rows[..596], "the oldest, and no other");
        let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
        assert_eq!(listed.records.len(), 5);
        for handle in evicted {
            let found = store.load(handle, Load::new(), NOW).await.unwrap();
            assert!(found.is_none());
        }
    });
}

/// Logins past their deadline count for no limit, although the server still has their rows.
#[test]
fn a_limit_counts_no_login_past_its_deadline() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        put_many(&store).await;
        let name = index(&server, store.prefix());
        // 301 of the 600 are over.
        let later = NOW.saturating_add(10_300);
        let new = Sample::of("alice").absolute(86_400).at(later);
        let refused = store.create(&new, Limit::Reject(299), later).await.unwrap();
        assert_eq!(refused, Created::LimitReached);
        assert_eq!(members(&server, &name), 299);
        put_many(&store).await;
        let created = store.create(&new, Limit::Reject(599), later).await.unwrap();
        assert_eq!(created, Created::Stored { evicted: vec![] });
        assert_eq!(members(&server, &name), 599);
    });
}

/// The same for the least recently used ones: those that are used stay, although their deadlines are
/// the earliest.
#[test]
fn a_limit_by_use_far_below_the_number_of_logins() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        let mut rows = put_many(&store).await;
        let later = NOW.saturating_add(2_000);
        server.ask(&shift(store.prefix(), "2000000")).unwrap();
        let uses: Vec<_> = rows[..4].iter().map(|handle| (*handle, later)).collect();
        store.touch(&uses, later).await.unwrap();
        let new = Sample::of("alice").absolute(86_400).at(later);
        let limit = Limit::EvictLeastRecentlyUsed(5);
        let created = store.create(&new, limit, later).await.unwrap();
        let Created::Stored { mut evicted } = created else {
            panic!("{created:?}");
        };
        evicted.sort_unstable();
        rows[4..].sort_unstable();
        assert_eq!(evicted, rows[4..], "the unused ones, and no other");
        let listed = store.list("alice", Page::first(9), later).await.unwrap();
        assert_eq!(listed.records.len(), 5);
    });
}

/// Each login removes some members without a row, so that the index does not grow with the number
/// of logins. Rejects an index that keeps them until their deadlines.
#[test]
fn an_index_grows_with_live_logins_only() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        let kept = Sample::of("robot").absolute(86_400 * 90).at(NOW);
        let _ = store.create(&kept, Limit::Unlimited, NOW).await.unwrap();
        let name = index(&server, store.prefix());
        for _ in 0..500 {
            let row = Sample::of("robot").absolute(86_400 * 90).at(NOW);
            let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
            // The server deletes the row when its idle timeout has passed.
            let rows = row_keys(&server, store.prefix());
            let kept = key_end(&kept);
            for key in rows.iter().filter(|key| !key.ends_with(&kept)) {
                server.ask(&["DEL", key]).unwrap();
            }
        }
        assert!(members(&server, &name) < 100, "{}", members(&server, &name));
        let found = store.load(kept.handle(), Load::new(), NOW).await.unwrap();
        assert!(found.is_some());
        let listed = store.list("robot", Page::first(9), NOW).await.unwrap();
        assert_eq!(listed.records.len(), 1, "a live login left the index");
    });
}

/// The end of the key of a row.
fn key_end(row: &Record) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(row.handle().as_bytes())
}
