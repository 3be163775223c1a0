//! Several clients of one server, and many tasks on one connection.

use std::sync::{Arc, OnceLock};

use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{Created, Load, Page, Rotated, Scope, SessionStore, Updated};
use statewise::testkit::Sample;

use crate::common::{multiplexed, row_keys, run, spread, store, two_nodes};
use crate::support::servers::redis::RedisServer;
use crate::{clock_skew, critical, dropped, late_save};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn server() -> Option<&'static RedisServer> {
    static SERVER: OnceLock<Option<RedisServer>> = OnceLock::new();
    SERVER.get_or_init(RedisServer::start).as_ref()
}

/// Each node sees the changes of the other, and a late write undoes nothing: the defect of stores
/// that save the whole session at the end of a request.
#[test]
fn two_nodes_are_one_store() {
    let Some(server) = server() else { return };
    run(async {
        let [one, other] = two_nodes(server).await;
        let row = Sample::of("alice").data(b"1").at(NOW);
        let created = one.create(&row, Limit::Reject(1), NOW).await.unwrap();
        assert!(matches!(created, Created::Stored { .. }));
        let second = Sample::of("alice").at(NOW);
        let refused = other.create(&second, Limit::Reject(1), NOW).await.unwrap();
        assert_eq!(refused, Created::LimitReached);
        let load = Load::new().touch(row.idle());
        let seen = other.load(row.handle(), load, NOW).await.unwrap().unwrap();
        assert_eq!(
            one.list("alice", Page::first(9), NOW)
                .await
                .unwrap()
                .records
                .len(),
            1
        );

        // The other node has read the session, this one logs the user out, and the other one saves
        // late.
        let removed = one.remove(row.handle(), "alice", NOW).await.unwrap();
        assert_eq!(removed.count, 1);
        let late = other
            .update(row.handle(), seen.version(), &Sample::update(b"2"), NOW)
            .await;
        assert!(matches!(late, Ok(Updated::Absent)));
        other.touch(&[(row.handle(), NOW)], NOW).await.unwrap();
        other.confirm(row.handle(), 0, NOW).await.unwrap();
        let late = other
            .rotate(row.handle(), &Sample::rotation_of(&seen), NOW)
            .await;
        assert!(matches!(late, Ok(Rotated::Absent)));
        for node in [&one, &other] {
            assert!(node.load(row.handle(), load, NOW).await.unwrap().is_none());
            assert!(
                node.list("alice", Page::first(9), NOW)
                    .await
                    .unwrap()
                    .records
                    .is_empty()
            );
        }
    });
}

/// Every caller gets its own answer.
#[test]
fn a_hundred_tasks_on_one_connection() {
    let Some(server) = server() else { return };
    run(async {
        let store = Arc::new(store(multiplexed(server).await));
        let task = |at: usize| -> BoxFuture<'static, ()> {
            let store = Arc::clone(&store);
            Box::pin(async move {
                let subject = format!("user {}", at % 10);
                for turn in 0..10 {
                    let row = Sample::of(&subject).data(format!("{at}/{turn}")).at(NOW);
                    let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
                    for _ in 0..3 {
                        let load = Load::new().touch(row.idle());
                        let found = store.load(row.handle(), load, NOW).await.unwrap();
                        assert!(found.unwrap().encode() == row.encode());
                    }
                    let change = Sample::update(b"changed");
                    let done = store.update(row.handle(), 0, &change, NOW).await;
                    assert!(matches!(done, Ok(Updated::Done { .. })));
                    if turn % 2 == 0 {
                        let removed = store.remove(row.handle(), &subject, NOW).await.unwrap();
                        assert_eq!(removed.count, 1);
                    }
                }
            })
        };
        spread((0..100).map(task).collect()).await;
        for at in 0..10 {
            let all = store
                .remove_subject(&format!("user {at}"), Scope::all(), NOW)
                .await;
            assert_eq!(all.unwrap().count, 50);
        }
    });
}

#[test]
fn a_call_may_be_dropped_at_every_step() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(server).await);
        dropped::may_be_dropped_at_every_step(&store).await;
    });
}

/// A removal leaves nothing behind, and expired rows are left alone: a stale index entry costs a
/// lookup in each list and limit, and a change would extend the life of an expired row.
#[test]
fn removed_rows_leave_no_keys_on_the_server() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(server).await);
        let keys = || {
            let found = server.ask(&["KEYS", &format!("{}*", store.prefix())]);
            found.unwrap().lines().count()
        };
        let rows = ["alice", "alice", "bob"].map(|subject| Sample::of(subject).at(NOW));
        for row in &rows {
            let _ = store.create(row, Limit::Unlimited, NOW).await.unwrap();
        }
        assert_eq!(keys(), 5, "rows, and an index for each subject");
        let _ = store.remove(rows[2].handle(), "bob", NOW).await.unwrap();
        assert_eq!(keys(), 3);
        let _ = store
            .remove_subject("alice", Scope::all(), NOW)
            .await
            .unwrap();
        assert_eq!(keys(), 0);

        // Expired, and not yet discovered.
        let over = Sample::of("carol").absolute(10).at(NOW);
        let rotated = Sample::of("carol").absolute(10).at(NOW);
        for row in [&over, &rotated] {
            let _ = store.create(row, Limit::Unlimited, NOW).await.unwrap();
        }
        let rotation = Sample::rotation_of(&rotated);
        let advanced = store.rotate(rotated.handle(), &rotation, NOW).await;
        assert!(matches!(advanced, Ok(Rotated::Done(_))));
        let dump = || {
            let keys = row_keys(server, store.prefix());
            let of = |key: &String| {
                let left: u64 = server.ask(&["PTTL", key]).unwrap().parse().unwrap();
                (server.ask(&["GET", key]).unwrap(), left.div_ceil(60_000))
            };
            keys.iter().map(of).collect::<Vec<_>>()
        };
        let before = dump();
        let later = NOW.saturating_add(1_000);
        let uses = [(over.handle(), later), (rotated.handle(), later)];
        store.touch(&uses, later).await.unwrap();
        store.confirm(rotated.handle(), 1, later).await.unwrap();
        assert_eq!(dump(), before, "an expired row was changed");
        for row in [&over, &rotated] {
            let found = store.load(row.handle(), Load::new(), later).await.unwrap();
            assert!(found.is_none());
        }
        assert_eq!(keys(), 0, "an expired row stays");
    });
}

#[test]
fn a_critical_field_is_not_rotated() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(server).await);
        let prefix = store.prefix().to_owned();
        let change = |row: &str| {
            let key = &row_keys(server, &prefix)[0];
            let script = format!(
                "local row = redis.call('GET', KEYS[1])
                return redis.call('SET', KEYS[1], {row}, 'KEEPTTL')"
            );
            server.ask(&["EVAL", &script, "1", key]).unwrap();
        };
        let append = async |bytes: &[u8]| {
            let codes: Vec<_> = bytes.iter().map(u8::to_string).collect();
            change(&format!("row .. string.char({})", codes.join(", ")));
        };
        let cut = async |bytes: usize| change(&format!("row:sub(1, -{})", bytes + 1));
        critical::a_critical_field_is_not_rotated(store, append, cut).await;
    });
}

#[test]
fn a_wrong_clock_is_reported() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(server).await);
        clock_skew::a_wrong_clock_is_reported(store).await;
    });
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let Some(server) = server() else { return };
    run(async {
        let nodes = two_nodes(server).await;
        late_save::a_late_save_does_not_undo_a_logout(nodes).await;
    });
}

/// Calls that change rows leave a row of a newer format as it is, and calls that end logins remove
/// it. Rejects a script that treats the bytes of another version as its own.
#[test]
fn a_row_of_a_newer_format_is_never_changed() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(server).await);
        let row = Sample::of("alice").idle(100).at(NOW);
        let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
        // `confirm` would record the use of its generation.
        let rotation = Sample::rotation_of(&row);
        let rotated = store.rotate(row.handle(), &rotation, NOW).await.unwrap();
        assert!(matches!(rotated, Rotated::Done(_)));
        let key = &row_keys(server, store.prefix())[0];
        server.ask(&["SETRANGE", key, "0", "\u{2}"]).unwrap();
        let hash = "return redis.sha1hex(redis.call('GET', KEYS[1]))";
        let kept = || server.ask(&["EVAL", hash, "1", key]).unwrap();
        let left = || -> u64 { server.ask(&["PTTL", key]).unwrap().parse().unwrap() };
        let before = (kept(), left());
        let later = NOW.saturating_add(50);
        let refused = |error: statewise::Error| error.is_unreadable();
        let found = store.load(row.handle(), Load::new(), NOW).await;
        assert!(found.is_err_and(refused));
        let change = Sample::update(b"1");
        let updated = store.update(row.handle(), 0, &change, NOW).await;
        assert!(updated.is_err_and(refused));
        let rotated = store.rotate(row.handle(), &rotation, NOW).await;
        assert!(rotated.is_err_and(refused));
        store.touch(&[(row.handle(), later)], later).await.unwrap();
        store.confirm(row.handle(), 1, NOW).await.unwrap();
        assert_eq!(kept(), before.0, "the row was changed");
        assert!(left() <= before.1, "its time to live was extended");
        let removed = store.remove(row.handle(), "alice", NOW).await.unwrap();
        assert_eq!(removed.count, 1);
    });
}

/// An evicted login leaves the index together with its row. Rejects an index that grows with each
/// login until the deadlines of removed logins, one that never expires, and one that expires with
/// the login added last.
#[test]
fn evicted_logins_leave_the_index() {
    let Some(server) = server() else { return };
    run(async {
        let store = store(multiplexed(server).await);
        for _ in 0..5 {
            let row = Sample::of("alice").at(NOW);
            let _ = store
                .create(&row, Limit::EvictOldest(2), NOW)
                .await
                .unwrap();
        }
        let rows = row_keys(server, store.prefix());
        assert_eq!(rows.len(), 2);
        let keys = server
            .ask(&["KEYS", &format!("{}*", store.prefix())])
            .unwrap();
        let index = keys.lines().find(|key| !rows.iter().any(|row| row == key));
        let index = index.unwrap();
        let members = server.ask(&["ZCARD", index]).unwrap();
        assert_eq!(members, "2");
        // It lasts as long as any of its rows may, and about one day longer at most.
        let left = || -> i64 { server.ask(&["PTTL", index]).unwrap().parse().unwrap() };
        let long = Sample::of("alice").absolute(1_000_000).at(NOW);
        let short = Sample::of("alice").absolute(100).at(NOW);
        for row in [&long, &short] {
            let _ = store.create(row, Limit::Unlimited, NOW).await.unwrap();
            assert!(
                (1_000_000_000..1_200_000_000).contains(&left()),
                "{}",
                left()
            );
        }
    });
}
