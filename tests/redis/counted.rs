//! Numbers of commands, counted by the server.

use std::sync::Arc;
use std::time::Duration;

use statewise::clock::Clock;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::{Load, SessionStore};
use statewise::testkit::{Fault, FaultyStore, ManualClock, Method, Sample};
use statewise::{Authenticator, Login, Outcome};

use crate::common::{commands, multiplexed, patient, row_keys, run, shift, store, two_nodes};
use crate::support::servers::redis::RedisServer;

const IDLE: u64 = 1_800;

/// The counts are those of the whole server, so each of these tests has its own.
fn server() -> Option<RedisServer> {
    RedisServer::start()
}

fn reset(server: &RedisServer) {
    server.ask(&["CONFIG", "RESETSTAT"]).unwrap();
}

fn getex(times: u64) -> Vec<(String, u64)> {
    vec![("getex".to_owned(), times)]
}

/// Each verification is one command, whether this node knows the session or not, and whether the
/// use is recorded or not. Rejects a second round trip for the idle timeout, a script, and a plain
/// GET.
#[test]
fn a_verification_is_one_command() {
    let Some(server) = server() else { return };
    run(async {
        let clock = ManualClock::default();
        let stores = two_nodes(&server).await.map(Arc::new);
        let auths = stores.clone().map(|store| {
            SessionAuthenticator::builder(store)
                .idle(Duration::from_secs(IDLE))
                .absolute(Duration::from_secs(12 * 3_600))
                .clock(clock.clone())
                .build()
                .unwrap()
        });
        let issued = auths[0].issue(Login::new("alice")).await.unwrap();
        let credential = issued.credential().reveal();
        let key = &row_keys(&server, stores[0].prefix())[0];
        let left = || -> u64 { server.ask(&["PTTL", key]).unwrap().parse().unwrap() };
        for (at, auth) in auths.iter().enumerate() {
            reset(&server);
            for _ in 0..50 {
                auth.verify(credential).await.unwrap();
            }
            assert_eq!(
                commands(&server),
                getex(50),
                "node {at}, a use was just noted"
            );
        }
        // Each use is due to be recorded.
        for auth in &auths {
            reset(&server);
            for _ in 0..20 {
                clock.advance(Duration::from_secs(IDLE / 8));
                server.ask(&shift(stores[0].prefix(), "200000")).unwrap();
                assert!(left() <= (IDLE - 200) * 1_000);
                reset(&server);
                auth.verify(credential).await.unwrap();
                assert_eq!(commands(&server), getex(1));
                assert!(left() > (IDLE - 100) * 1_000, "the use was not noted");
            }
        }
        // A node that has not seen the session before.
        clock.advance(Duration::from_secs(IDLE / 8));
        server.ask(&shift(stores[0].prefix(), "200000")).unwrap();
        let third = patient(multiplexed(&server).await).prefix(stores[0].prefix());
        let third = SessionAuthenticator::builder(third.build().unwrap().sessions())
            .idle(Duration::from_secs(IDLE))
            .absolute(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .build()
            .unwrap();
        reset(&server);
        third.verify(credential).await.unwrap();
        assert_eq!(commands(&server), getex(1));
        assert!(left() > (IDLE - 100) * 1_000, "the use was not noted");
        // Unknown sessions too.
        let _ = auths[0].revoke(credential).await.unwrap();
        reset(&server);
        assert!(auths[0].verify(credential).await.is_err());
        assert_eq!(commands(&server), getex(1));
    });
}

/// A refresh is one round trip, and its script writes once. A replay is one round trip and writes
/// nothing. Rejects a read followed by a swap, and a replay that writes.
#[test]
fn a_refresh_is_one_round_trip() {
    let Some(server) = server() else { return };
    run(async {
        let clock = ManualClock::default();
        let store = store(multiplexed(&server).await);
        let auth = SessionAuthenticator::builder(store)
            .idle(Duration::from_secs(IDLE))
            .absolute(Duration::from_secs(12 * 3_600))
            .clock(clock.clone());
        let auth = auth.build().unwrap();
        // Once to send the script to the server.
        for _ in 0..2 {
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            reset(&server);
            let refreshed = auth.refresh(issued.refreshable().reveal()).await.unwrap();
            assert_eq!(refreshed.outcome(), Outcome::Rotated);
        }
        let called = || {
            let mut called = commands(&server);
            called.sort_unstable();
            called
        };
        let once = |names: &[&str]| -> Vec<(String, u64)> {
            names.iter().map(|name| ((*name).to_owned(), 1)).collect()
        };
        assert_eq!(called(), once(&["evalsha", "getex", "pttl", "set"]));
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        let _ = auth.refresh(issued.refreshable().reveal()).await.unwrap();
        reset(&server);
        let replayed = auth.refresh(issued.refreshable().reveal()).await.unwrap();
        assert_eq!(replayed.outcome(), Outcome::Replayed);
        assert_eq!(called(), once(&["evalsha", "getex", "pttl"]));
    });
}

/// A use is written at most once per eighth of the idle timeout. Rejects a store that writes on
/// each request, because writes reach the disk and the replicas.
#[test]
fn a_use_is_written_at_most_once_per_interval() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(&server).await);
        let clock = ManualClock::default();
        let now = || clock.now().unwrap();
        let row = Sample::of("alice").idle(800).at(now());
        let load = Load::new().touch(Duration::from_secs(800));
        let _ = store.create(&row, Default::default(), now()).await.unwrap();
        let written = || -> u64 {
            let info = server.ask(&["INFO", "persistence"]).unwrap();
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("rdb_changes_since_last_save:"));
            line.unwrap().trim().parse().unwrap()
        };
        for (wait, writes) in [(0, 0), (99, 0), (1, 1), (99, 0), (1, 1), (500, 1)] {
            clock.advance(Duration::from_secs(wait));
            let before = written();
            for _ in 0..10 {
                assert!(
                    store
                        .load(row.handle(), load, now())
                        .await
                        .unwrap()
                        .is_some()
                );
            }
            assert_eq!(written() - before, writes, "after {wait} s more");
        }
    });
}

/// A session with a shorter idle timeout than the current policy keeps its own timeout: with a
/// second command once, and one command from then on.
#[test]
fn a_longer_policy_leaves_a_session_its_own_idle_timeout() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(&server).await);
        let now = ManualClock::default().now().unwrap();
        let row = Sample::of("alice").idle(100).at(now);
        let _ = store.create(&row, Default::default(), now).await.unwrap();
        let other = patient(multiplexed(&server).await).prefix(store.prefix());
        let other = other.build().unwrap().sessions();
        let load = Load::new().touch(Duration::from_secs(800));
        let key = &row_keys(&server, store.prefix())[0];
        let mut used_at = now;
        for seconds in [0, 20, 40] {
            let now = now.saturating_add(seconds);
            reset(&server);
            let found = other.load(row.handle(), load, now).await.unwrap().unwrap();
            assert_eq!(found.expires_at(), used_at.saturating_add(100));
            used_at = now;
            let all: u64 = commands(&server).iter().map(|(_, calls)| calls).sum();
            assert_eq!(all, if seconds == 0 { 2 } else { 1 });
            let left: u64 = server.ask(&["PTTL", key]).unwrap().parse().unwrap();
            assert!((90_000..=100_000).contains(&left), "{left} ms are left");
        }
    });
}

/// A session older than a tightened policy lives on, on every node, while it is used within the
/// shorter timeout, and expires otherwise.
#[test]
fn a_shorter_policy_ends_sessions_that_are_idle_by_it() {
    let Some(server) = server() else { return };
    run(async {
        let nodes = two_nodes(&server).await.map(Arc::new);
        let clock = ManualClock::default();
        let with_idle = |node: usize, seconds| {
            SessionAuthenticator::builder(Arc::clone(&nodes[node]))
                .idle(Duration::from_secs(seconds))
                .absolute(Duration::from_secs(12 * 3_600))
                .clock(clock.clone())
                .build()
                .unwrap()
        };
        let issued = with_idle(0, 800).issue(Login::new("alice")).await.unwrap();
        let credential = issued.credential().reveal();
        let wait = |seconds: u64| {
            clock.advance(Duration::from_secs(seconds));
            let milliseconds = (seconds * 1_000).to_string();
            server
                .ask(&shift(nodes[0].prefix(), &milliseconds))
                .unwrap();
        };
        let tight = [with_idle(0, 100), with_idle(1, 100)];
        // From node to node, for much longer than the shorter timeout.
        for turn in 0..6 {
            wait(60);
            let caller = tight[turn % 2].verify(credential).await;
            let expires_at = clock.now().unwrap().saturating_add(100);
            let expires_at = time::OffsetDateTime::from(expires_at);
            assert_eq!(caller.unwrap().expires_at(), expires_at, "turn {turn}");
        }
        wait(100);
        assert!(tight[0].verify(credential).await.is_err());
        // Expired under every policy, also if the clock is set back.
        clock.turn_back(Duration::from_secs(100));
        assert!(with_idle(1, 800).verify(credential).await.is_err());
        assert!(row_keys(&server, nodes[0].prefix()).is_empty());
    });
}

/// A node with a tightened policy finds a session expired, and cannot remove it: the removal is lost,
/// or the client goes away. A later refresh does not revive the session. Rejects a lookup that counts
/// as a use before the policy has judged the row.
#[test]
fn a_session_found_expired_is_not_revived_by_a_refresh() {
    let Some(server) = server() else { return };
    run(async {
        let clock = ManualClock::default();
        let [first, second] = two_nodes(&server).await.map(Arc::new);
        let loose = SessionAuthenticator::builder(Arc::clone(&first))
            .idle(Duration::from_secs(800))
            .absolute(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .build()
            .unwrap();
        let issued = loose.issue(Login::new("alice")).await.unwrap();
        let credential = issued.credential().reveal();
        clock.advance(Duration::from_secs(150));
        server.ask(&shift(first.prefix(), "150000")).unwrap();
        let faulty = Arc::new(FaultyStore::new(second));
        faulty.fail_nth_of(Method::Remove, 1, Fault::Fails);
        let tight = SessionAuthenticator::builder(Arc::clone(&faulty))
            .idle(Duration::from_secs(100))
            .absolute(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .build()
            .unwrap();
        assert!(tight.verify(credential).await.is_err());
        assert_eq!(faulty.calls_of(Method::Remove), 1);
        let refreshed = tight.refresh(credential).await;
        assert!(refreshed.is_err(), "revived by a refresh: {refreshed:?}");
        assert!(tight.verify(credential).await.is_err());
    });
}
