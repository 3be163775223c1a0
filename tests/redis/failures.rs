//! Servers that die, hang, lose data, run full and close connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::revocation::log::RevocationLog as _;
use statewise::session::Limit;
use statewise::store::Redis;
use statewise::store::contract::{Load, Page, Rotated, Scope, SessionStore, Updated};
use statewise::testkit::Sample;

use crate::common::{PATIENT, managed, manager, multiplexed, patient, prefix, run, store};
use crate::silence::{self, DEADLINE, Silences};
use crate::support::proxy::Proxy;
use crate::support::servers::redis::RedisServer;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const TOUCH: Load = Load::new().touch(Duration::from_secs(3_600));

fn unavailable<T: std::fmt::Debug>(answer: &Result<T>) {
    assert!(
        answer.as_ref().is_err_and(|error| error.is_unavailable()),
        "{answer:?}"
    );
}

/// With an append-only file that is synced on every write, acknowledged logins and logouts survive
/// the death of the server.
#[test]
fn acknowledged_writes_survive_a_kill() {
    let Some(server) = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"])
    else {
        return;
    };
    run(async {
        let redis = patient(manager(&server).await).build().unwrap();
        let store = redis.sessions();
        redis.require_durable().await.unwrap();
        for round in 0..3 {
            let kept = Sample::of("alice").data(b"kept").at(NOW);
            let ended = Sample::of("alice").at(NOW);
            let _ = store.create(&kept, Limit::Unlimited, NOW).await.unwrap();
            let _ = store.create(&ended, Limit::Unlimited, NOW).await.unwrap();
            let removed = store.remove(ended.handle(), "alice", NOW).await.unwrap();
            assert_eq!(removed.count, 1);
            server.kill9();
            server.restart();
            // The first call may discover that the old connection is closed.
            let found = match store.load(kept.handle(), TOUCH, NOW).await {
                Err(_) => store.load(kept.handle(), TOUCH, NOW).await,
                found => found,
            };
            assert!(
                found.unwrap().unwrap().encode() == kept.encode(),
                "round {round}"
            );
            assert!(
                store
                    .load(ended.handle(), TOUCH, NOW)
                    .await
                    .unwrap()
                    .is_none()
            );
            let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
            assert_eq!(listed.records.len(), round + 1);
        }
    });
}

/// If the server hangs, each call answers *unavailable* within the deadline, and no session appears
/// absent.
#[test]
fn a_server_that_hangs_is_unavailable_in_time() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let deadline = Duration::from_millis(200);
        let redis = Redis::over(multiplexed(&server).await).prefix(prefix());
        let redis = redis.deadline(deadline).build().unwrap();
        let store = redis.sessions();
        let row = Sample::of("alice").at(NOW);
        let patient = patient(multiplexed(&server).await).prefix(store.prefix());
        let patient = patient.build().unwrap().sessions();
        let _ = patient.create(&row, Limit::Unlimited, NOW).await.unwrap();
        server.pause();
        let begun = Instant::now();
        let rotation = Sample::rotation_of(&row);
        let (other, change) = (Sample::of("bob").at(NOW), Sample::update(b"1"));
        let uses = [(row.handle(), NOW)];
        let calls = tokio::join!(
            store.load(row.handle(), TOUCH, NOW),
            store.create(&other, Limit::Unlimited, NOW),
            store.rotate(row.handle(), &rotation, NOW),
            store.update(row.handle(), 0, &change, NOW),
            store.confirm(row.handle(), 0, NOW),
            store.touch(&uses, NOW),
            store.remove(row.handle(), "nobody", NOW),
            store.remove_subject("nobody", Scope::all(), NOW),
            store.list("alice", Page::first(9), NOW),
            redis.durability(),
        );
        assert!(begun.elapsed() < deadline * 10, "{:?}", begun.elapsed());
        unavailable(&calls.0);
        unavailable(&calls.1);
        unavailable(&calls.2);
        unavailable(&calls.3);
        unavailable(&calls.4);
        unavailable(&calls.5);
        unavailable(&calls.6);
        unavailable(&calls.7);
        unavailable(&calls.8);
        unavailable(&calls.9);
        server.resume();
        // The same connection continues behind its earlier commands.
        let found = patient.load(other.handle(), TOUCH, NOW).await;
        assert!(found.is_ok());
        // The deadline is short for a busy machine.
        let begun = Instant::now();
        while store.load(other.handle(), TOUCH, NOW).await.is_err() {
            assert!(begun.elapsed() < PATIENT, "still unavailable");
        }
    });
}

/// If the server is gone, calls answer *unavailable*; when it returns, they succeed.
#[test]
fn a_killed_server_is_unavailable_until_it_is_back() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let redis = Redis::over(manager(&server).await).prefix(prefix());
        let redis = redis.deadline(Duration::from_millis(200)).build().unwrap();
        let store = redis.sessions();
        let row = Sample::of("alice").at(NOW);
        server.kill9();
        unavailable(&store.load(row.handle(), TOUCH, NOW).await);
        unavailable(&store.load(row.handle(), TOUCH, NOW).await);
        server.restart();
        let begun = Instant::now();
        while store.load(row.handle(), TOUCH, NOW).await.is_err() {
            assert!(begun.elapsed() < PATIENT, "still unavailable");
        }
    });
}

/// An answer cut at any byte is *unavailable* or retried, and never misread.
#[test]
fn an_answer_that_is_cut_off_is_retried_or_unavailable() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let proxy = Proxy::to(server.socket());
        let client = redis::Client::open(proxy.url()).unwrap();
        let store = store(managed(client).await);
        let straight = patient(multiplexed(&server).await).prefix(store.prefix());
        let straight = straight.build().unwrap().sessions();
        for cut in [0, 1, 2, 5, 6, 7, 40, 100, 170, 171] {
            let row = Sample::of("alice").data(b"data").at(NOW);
            let _ = straight.create(&row, Limit::Unlimited, NOW).await.unwrap();
            // Repeatable commands are retried.
            proxy.cut_after(cut);
            let found = store.load(row.handle(), TOUCH, NOW).await.unwrap();
            assert!(found.unwrap().encode() == row.encode(), "cut after {cut}");
            proxy.cut_after(cut);
            let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
            assert_eq!(listed.records.len(), 1, "cut after {cut}");

            // Other commands answer *unavailable*; their change was made completely or not at all.
            proxy.cut_after(cut);
            match store
                .update(row.handle(), 0, &Sample::update(b"new"), NOW)
                .await
            {
                Ok(Updated::Done { record: row, .. }) => assert_eq!(row.version(), 1),
                other => unavailable(&other),
            }
            let found = straight
                .load(row.handle(), TOUCH, NOW)
                .await
                .unwrap()
                .unwrap();
            assert!(found.version() <= 1);
            // A second rotation finds the result of the first one, so it may be retried.
            proxy.cut_after(cut);
            let rotation = Sample::rotation_of(&found);
            let rotated = store.rotate(row.handle(), &rotation, NOW).await.unwrap();
            let (Rotated::Done(rotated) | Rotated::Unchanged(rotated)) = rotated else {
                panic!("cut after {cut}: {rotated:?}");
            };
            assert_eq!(rotated.generation(), 1, "cut after {cut}");
            let new = Sample::of("alice").at(NOW);
            proxy.cut_after(cut);
            match store.create(&new, Limit::Unlimited, NOW).await {
                Ok(_) => {}
                other => unavailable(&other),
            }

            proxy.cut_after(cut);
            let _ = store.remove(row.handle(), "alice", NOW).await.unwrap();
            assert!(
                straight
                    .load(row.handle(), TOUCH, NOW)
                    .await
                    .unwrap()
                    .is_none()
            );
            proxy.cut_after(cut);
            let _ = store
                .remove_subject("alice", Scope::all(), NOW)
                .await
                .unwrap();
            assert!(
                straight
                    .load(new.handle(), TOUCH, NOW)
                    .await
                    .unwrap()
                    .is_none()
            );
            proxy.cut_after(usize::MAX);
        }
        assert!(proxy.cuts() > 50, "{} connections were cut", proxy.cuts());
    });
}

/// A connection closed by an operator costs a reconnecting client nothing.
#[test]
fn a_connection_closed_by_the_server_is_replaced() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(manager(&server).await);
        let row = Sample::of("alice").at(NOW);
        let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
        for _ in 0..5 {
            server
                .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
                .unwrap();
            assert!(
                store
                    .load(row.handle(), TOUCH, NOW)
                    .await
                    .unwrap()
                    .is_some()
            );
        }
    });
}

/// An emptied server has no sessions and no scripts. The next login succeeds.
#[test]
fn an_emptied_server_has_no_sessions_and_accepts_new_ones() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        for forget in [
            &["FLUSHALL"][..],
            &["SCRIPT", "FLUSH"],
            &["FLUSHALL", "ASYNC"],
        ] {
            let row = Sample::of("alice").at(NOW);
            let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
            let before = store.load(row.handle(), TOUCH, NOW).await.unwrap();
            assert!(before.is_some());
            server.ask(forget).unwrap();
            server.ask(&["SCRIPT", "FLUSH"]).unwrap();
            let lost = forget[0] == "FLUSHALL";
            let found = store.load(row.handle(), TOUCH, NOW).await.unwrap();
            assert_eq!(found.is_none(), lost);
            let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
            assert_eq!(listed.records.is_empty(), lost);
            server.ask(&["SCRIPT", "FLUSH"]).unwrap();
            let updated = store
                .update(row.handle(), 0, &Sample::update(b"1"), NOW)
                .await;
            assert_eq!(matches!(updated, Ok(Updated::Absent)), lost);
            server.ask(&["SCRIPT", "FLUSH"]).unwrap();
            let removed = store.remove(row.handle(), "alice", NOW).await.unwrap();
            assert_eq!(removed.count, u64::from(!lost));
        }
    });
}

/// A full server refuses logins and keeps serving existing ones. Nothing is evicted for a login
/// that then fails.
#[test]
fn a_full_server_refuses_logins_and_evicts_none() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let store = store(multiplexed(&server).await);
        let rows = ["alice", "alice", "bob"].map(|subject| Sample::of(subject).at(NOW));
        for row in &rows {
            let _ = store.create(row, Limit::Unlimited, NOW).await.unwrap();
        }
        let full = |is: bool| {
            server
                .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
                .unwrap();
            let most = if is { "1" } else { "0" };
            server.ask(&["CONFIG", "SET", "maxmemory", most]).unwrap();
        };
        full(true);
        let new = Sample::of("alice").at(NOW);
        for limit in [Limit::Unlimited, Limit::EvictOldest(1)] {
            unavailable(&store.create(&new, limit, NOW).await);
        }
        // One use that is due to be recorded, and one that is not.
        for seconds in [0, 1_000] {
            for row in &rows {
                let now = NOW.saturating_add(seconds);
                assert!(
                    store
                        .load(row.handle(), TOUCH, now)
                        .await
                        .unwrap()
                        .is_some()
                );
            }
        }
        let removed = store.remove(rows[0].handle(), "alice", NOW).await.unwrap();
        assert_eq!(removed.count, 1);
        let removed = store
            .remove_subject("bob", Scope::all(), NOW)
            .await
            .unwrap();
        assert_eq!(removed.count, 1);
        assert!(
            store
                .load(rows[0].handle(), TOUCH, NOW)
                .await
                .unwrap()
                .is_none()
        );
        full(false);
        let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
        let listed: Vec<_> = listed.records.iter().map(|row| row.handle()).collect();
        assert_eq!(
            listed,
            [rows[1].handle()],
            "a login was evicted for nothing"
        );
        let _ = store.create(&new, Limit::Unlimited, NOW).await.unwrap();
    });
}

/// A server that cannot save to disk refuses writes, and no user is logged out.
#[test]
fn a_server_that_cannot_save_still_verifies() {
    let Some(server) = RedisServer::with(&["--enable-protected-configs", "yes"]) else {
        return;
    };
    run(async {
        let store = Arc::new(store(multiplexed(&server).await));
        let row = Sample::of("alice").data(b"1").at(NOW);
        let over = Sample::of("alice").absolute(10).at(NOW);
        let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
        let _ = store.create(&over, Limit::Unlimited, NOW).await.unwrap();
        let nowhere = server.folder().join("nowhere");
        std::fs::create_dir(&nowhere).unwrap();
        server
            .ask(&["CONFIG", "SET", "dir", nowhere.to_str().unwrap()])
            .unwrap();
        server.ask(&["CONFIG", "SET", "save", "3600 1"]).unwrap();
        std::fs::remove_dir(&nowhere).unwrap();
        let _ = server.ask(&["SAVE"]);
        crate::support::servers::wait_until(|| {
            let info = server.ask(&["INFO", "persistence"])?;
            let failed = info.contains("rdb_last_bgsave_status:err");
            if failed {
                Ok(())
            } else {
                server.ask(&["BGSAVE"]).map(drop).and(Err(info))
            }
        })
        .unwrap();
        let refused = server.ask(&["SET", "a", "b"]).unwrap_err();
        assert!(refused.starts_with("MISCONF"), "{refused}");

        let later = NOW.saturating_add(600);
        let found = store.load(row.handle(), TOUCH, later).await.unwrap();
        assert_eq!(found.unwrap().handle(), row.handle());
        assert!(
            store
                .load(over.handle(), TOUCH, later)
                .await
                .unwrap()
                .is_none()
        );
        let nobody = Sample::of("bob").at(NOW);
        assert!(
            store
                .load(nobody.handle(), TOUCH, NOW)
                .await
                .unwrap()
                .is_none()
        );
        unavailable(&store.create(&nobody, Limit::Unlimited, NOW).await);
        unavailable(&store.remove(row.handle(), "alice", NOW).await);
        assert!(
            store
                .load(row.handle(), TOUCH, NOW)
                .await
                .unwrap()
                .is_some()
        );
    });
}

/// Two servers of one backend, of which one keeps the logins and the other the log.
#[test]
fn an_outage_says_what_the_server_keeps() {
    #[derive(Debug, Default)]
    struct Kept(std::sync::Mutex<Vec<String>>);

    impl statewise::observer::Observer for Kept {
        fn observe(&self, event: &statewise::observer::Event<'_>) {
            if let statewise::observer::Event::StoreSilent { keeps, .. } = event {
                self.0.lock().unwrap().push((*keeps).to_owned());
            }
        }
    }

    let kept = Arc::new(Kept::default());
    let down = || {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Redis::connect(
            move || async move { Err::<redis::aio::MultiplexedConnection, _>(refused()) },
        )
        .observer(kept.clone())
    };
    run(async {
        let logins = down().build().unwrap().sessions();
        let log = down().build().unwrap().revocations();
        let reader = down().build_log_reader().unwrap();
        let one = down().build().unwrap();
        let both = (one.sessions(), one.revocations());
        for _ in 0..3 {
            assert!(logins.list("alice", Page::first(9), NOW).await.is_err());
            assert!(log.head(NOW).await.is_err());
            assert!(reader.head(NOW).await.is_err());
            assert!(both.1.head(NOW).await.is_err());
            tokio::time::sleep(std::time::Duration::from_millis(260)).await;
        }
    });
    let expected = [
        "sessions",
        "revocations",
        "revocations",
        "sessions and revocations",
    ];
    assert_eq!(*kept.0.lock().unwrap(), expected);
}

#[test]
fn a_server_that_hangs_is_not_waited_for() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let silences = Arc::new(Silences::default());
        let redis = Redis::over(multiplexed(&server).await).prefix(prefix());
        let redis = redis.deadline(DEADLINE).observer(silences.clone());
        let redis = redis.build().unwrap();
        let parts = (redis.sessions(), redis.revocations());
        let (pause, resume) = (|| server.pause(), || server.resume());
        silence::a_server_that_hangs_is_not_waited_for("redis", parts, silences, pause, resume)
            .await;
    });
}

/// A call after the kill takes no longer than a refused connection, so the breaker need not open.
#[test]
fn a_server_that_is_killed_is_reported() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let silences = Arc::new(Silences::default());
        let client = redis::Client::open(server.app_url()).unwrap();
        let redis = Redis::connect(move || {
            let client = client.clone();
            async move { client.get_multiplexed_async_connection().await }
        });
        let redis = redis.prefix(prefix()).observer(silences.clone());
        let store = redis.build().unwrap().sessions();
        let (kill, restart) = (|| server.kill9(), || server.restart());
        let longest =
            silence::a_server_that_is_killed_is_reported("redis", store, silences, kill, restart)
                .await;
        assert!(longest < Duration::from_secs(1), "{longest:?}");
    });
}

/// A password that the server refuses is the cause of the silence.
#[test]
fn a_refused_password_is_reported() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let silences = Arc::new(Silences::default());
        let client = redis::Client::open(format!("{}?pass=sesame", server.url())).unwrap();
        let redis = Redis::connect(move || {
            let client = client.clone();
            async move { client.get_multiplexed_async_connection().await }
        });
        let redis = redis.prefix(prefix()).observer(silences.clone());
        let store = redis.build().unwrap().sessions();
        let row = Sample::of("alice").at(NOW);
        let begun = Instant::now();
        while silences.seen().is_empty() {
            unavailable(&store.load(row.handle(), TOUCH, NOW).await);
            assert!(begun.elapsed() < PATIENT);
        }
        let cause = "the server refuses the user or the password: correct them in the address";
        assert_eq!(silences.seen(), [format!("redis silent Some({cause:?})")]);
    });
}

/// A port that refuses connections is named in the error, and no text that could contain a secret.
#[test]
fn the_root_of_a_lost_connection_is_kept() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let client = redis::Client::open(server.app_url()).unwrap();
        let redis = Redis::connect(move || {
            let client = client.clone();
            async move { client.get_multiplexed_async_connection().await }
        });
        let store = redis.prefix(prefix()).build().unwrap().sessions();
        let row = Sample::of("alice").at(NOW);
        assert!(
            store
                .load(row.handle(), TOUCH, NOW)
                .await
                .unwrap()
                .is_none()
        );
        server.kill9();
        let begun = Instant::now();
        loop {
            let error = store.load(row.handle(), TOUCH, NOW).await.unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            if source == "Redis: no connection could be opened: connection refused" {
                break;
            }
            // The old connection stays in use for a moment.
            assert_eq!(source, "Redis: the connection was lost: broken pipe");
            assert!(begun.elapsed() < PATIENT);
        }
    });
}
