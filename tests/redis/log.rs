//! The revocation log: its laws on one server, and tests that need a real server.

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod reader;

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use statewise::Result;
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::observer::{Event, Observer};
use statewise::revocation::log::{Draft, Fact, MARGIN, Nonce, Page, RevocationLog};
use statewise::revocation::{RedisLog, RevocationView};
use statewise::store::contract::Stamp;
use statewise::store::{Redis, Survives};
use statewise::testkit::LogFixture;

use crate::common::{
    PATIENT, admin, commands, managed, manager, multiplexed, patient, prefix, run, shift_log,
    spread,
};
use crate::support::proxy::Proxy;
use crate::support::servers::redis::RedisServer;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn server() -> Option<&'static RedisServer> {
    static SERVER: OnceLock<Option<RedisServer>> = OnceLock::new();
    SERVER.get_or_init(RedisServer::start).as_ref()
}

fn on_a_server(law: impl Future<Output = ()>) {
    if server().is_some() {
        run(law);
    }
}

struct Fixture;

impl LogFixture for Fixture {
    type Log = RedisLog<MultiplexedConnection>;

    const OWN_CLOCK: bool = true;

    async fn open(&self) -> Self::Log {
        log(multiplexed(server().unwrap()).await, &prefix())
    }

    async fn again(&self, known: &Self::Log) -> Self::Log {
        log(multiplexed(server().unwrap()).await, known.prefix())
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        let by = by.as_millis().to_string();
        let shifted = server().unwrap().ask(&shift_log(log.prefix(), &by));
        assert_eq!(shifted.as_deref(), Ok("1"));
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

mod laws {
    statewise::testkit::revocation_log_laws!(super::Fixture, block_on = super::on_a_server);
}

fn log<C>(connection: C, prefix: &str) -> RedisLog<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let redis = Redis::over(connection).prefix(prefix);
    redis.deadline(PATIENT).build().unwrap().revocations()
}

fn draft(name: u8, life: u64) -> Draft {
    let fact = Fact::Everything {
        before: Some(u64::from(name)),
    };
    Draft::with_nonce(
        Nonce::from_bytes([name; 16]),
        fact,
        Duration::from_secs(life),
    )
}

fn drafts(names: impl IntoIterator<Item = u8>) -> Vec<Draft> {
    names.into_iter().map(|name| draft(name, 1_000)).collect()
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T>) {
    assert!(
        answer.as_ref().is_err_and(|error| error.is_unavailable()),
        "{answer:?}"
    );
}

/// A poll is one command, whether there are new entries or not, and so is an append of several
/// facts. The script runs at most four lookups and one command that a replica refuses. Rejects a reader that fetches the counters and the
/// entries separately.
#[test]
fn a_poll_is_one_command() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let log = log(multiplexed(&server).await, &prefix());
        log.append(&drafts(0..100), NOW).await.unwrap();
        log.read(1, 1, NOW).await.unwrap();
        let reset = || server.ask(&["CONFIG", "RESETSTAT"]).unwrap();
        reset();
        for from in [0, 1, 50, 100, 101, 101, 101, 101] {
            log.read(from, 9, NOW).await.unwrap();
        }
        // Without effect: a replica refuses it.
        let trim = "xtrim";
        let within = ["hmget", "xlen", "xrange", "time", "evalsha", trim];
        let mut counted = commands(&server);
        counted.sort();
        let mut expected = within.map(|name| (name.to_owned(), 8));
        expected.sort();
        assert_eq!(counted, expected);
        reset();
        log.append(&drafts(0..50), NOW).await.unwrap();
        log.head(NOW).await.unwrap();
        log.fence(NOW).await.unwrap();
        let counted = commands(&server);
        assert!(counted.contains(&("evalsha".to_owned(), 3)), "{counted:?}");
    });
}

/// A log that is lost or truncated becomes another, empty log. Rejects a log that continues with
/// positions without entries, or with entries under new positions: a reader would not notice the
/// loss.
#[test]
fn a_lost_log_starts_over_with_a_new_incarnation() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let log = log(multiplexed(&server).await, &prefix());
        let [numbers, entries] = ["m", "e"].map(|kind| format!("{}{{log}}:{kind}", log.prefix()));
        let losses: [&[&str]; 12] = [
            &["FLUSHALL"],
            &["FLUSHALL", "ASYNC"],
            &["DEL", &numbers],
            &["DEL", &entries],
            &["XTRIM", &entries, "MAXLEN", "0"],
            &["XDEL", &entries, "1-0"],
            &["XDEL", &entries, "2-0"],
            &["XDEL", &entries, "3-0"],
            &["HDEL", &numbers, "incarnation"],
            &["HDEL", &numbers, "first"],
            &["HDEL", &numbers, "last"],
            &["HDEL", &numbers, "nonce"],
        ];
        // The call that discovers it.
        for (turn, loss) in losses.iter().flat_map(|loss| [loss; 4]).enumerate() {
            let before = log.append(&drafts(0..3), NOW).await.unwrap();
            assert_eq!(before.position(), 3, "{loss:?}");
            server.ask(loss).unwrap();
            server.ask(&["SCRIPT", "FLUSH"]).unwrap();
            let place: Stamp = match turn % 4 {
                0 => log.head(NOW).await.unwrap(),
                1 => log.append(&[], NOW).await.unwrap(),
                2 => {
                    log.fence(NOW).await.unwrap();
                    log.head(NOW).await.unwrap()
                }
                _ => {
                    let page = log.read(2, 9, NOW).await.unwrap();
                    assert_eq!((page.entries, page.first, page.more), (vec![], 1, false));
                    Stamp::new(page.incarnation, 0, 0)
                }
            };
            assert_ne!(place.incarnation(), before.incarnation(), "{loss:?}");
            assert_eq!((place.position(), place.mark()), (0, 0), "{loss:?}");
            let appended = log.append(&drafts([9]), NOW).await.unwrap();
            assert_eq!(appended.incarnation(), place.incarnation(), "{loss:?}");
            assert_eq!(appended.position(), 1, "{loss:?}");
            let page = log.read(1, 9, NOW).await.unwrap();
            assert_eq!(page.incarnation, place.incarnation(), "{loss:?}");
            assert_eq!(page.entries.len(), 1, "{loss:?}");
            server.ask(&["DEL", &numbers, &entries]).unwrap();
        }
    });
}

/// An undecodable entry is *unavailable*, however it came there, and is not skipped. The same holds
/// for an entry at a wrong position.
#[test]
fn an_entry_that_does_not_decode_is_unavailable() {
    let Some(server) = server() else { return };
    run(async {
        let log = log(multiplexed(server).await, &prefix());
        let entries = format!("{}{{log}}:e", log.prefix());
        let good = "0".repeat(16) + "\u{6}" + &"\0".repeat(33);
        for (id, value, is_good) in [
            ("3-0", good.as_str(), true),
            ("3-0", "", false),
            ("3-0", &good[1..], false),
            ("3-0", &(good.clone() + "0"), false),
            ("3-0", &good.replace('\u{6}', "\u{7}"), false),
            ("4-0", &good, false),
            ("3-1", &good, false),
        ] {
            server.ask(&["DEL", &entries]).unwrap();
            log.append(&drafts(0..3), NOW).await.unwrap();
            server.ask(&["XDEL", &entries, "3-0"]).unwrap();
            server.ask(&["XSETID", &entries, "2-0"]).unwrap();
            let put = ["XADD", &entries, id, "entry", value, "until", "0"];
            server.ask(&put).unwrap();
            let read = log.read(1, 9, NOW).await;
            if is_good {
                assert_eq!(read.unwrap().entries[2].fact, Fact::Nothing);
            } else {
                unavailable(&read);
                unavailable(&log.read(2, 9, NOW).await);
                // The entries before it can be read.
                let page = log.read(1, 1, NOW).await.unwrap();
                assert_eq!(page.entries.len(), 1);
            }
        }
    });
}

/// One append removes a bounded number of entries, so the first append after a quiet night is as
/// fast as any other. Positions beyond fourteen digits are exact.
#[test]
fn an_append_trims_a_bounded_number_of_entries() {
    let Some(server) = server() else { return };
    run(async {
        let log = log(multiplexed(server).await, &prefix());
        for _ in 0..20 {
            log.append(&[draft(1, 0); 50], NOW).await.unwrap();
        }
        let by = ((MARGIN.as_secs() + 1) * 1_000).to_string();
        server.ask(&shift_log(log.prefix(), &by)).unwrap();
        let mut first = 1;
        for count in [1, 0, 10] {
            log.append(&drafts(0..count), NOW).await.unwrap();
            let page = log.read(0, 1, NOW).await.unwrap();
            let taken = page.first - first;
            assert_eq!(taken, 2 * u64::from(count) + 16);
            first = page.first;
        }

        let numbers = format!("{}{{log}}:m", log.prefix());
        let entries = format!("{}{{log}}:e", log.prefix());
        server.ask(&["DEL", &entries]).unwrap();
        let last = (1_u64 << 48) - 4;
        let (last_text, first_text) = (last.to_string(), (last + 1).to_string());
        let set = ["HSET", &numbers, "last", &last_text, "first", &first_text];
        server.ask(&set).unwrap();
        let incarnation = log.head(NOW).await.unwrap().incarnation();
        let appended = log.append(&drafts([1]), NOW).await.unwrap();
        let appended_next = log.append(&drafts([2, 3]), NOW).await.unwrap();
        assert_eq!(appended.position(), last + 1);
        assert_eq!(appended_next.position(), last + 3);
        assert_eq!(appended_next.incarnation(), incarnation);
        let page = log.read(last + 2, 9, NOW).await.unwrap();
        assert_eq!((page.entries.len(), page.first), (2, last + 1));
    });
}

/// If the server hangs, each call answers *unavailable* within the deadline; when it continues, so
/// does the log.
#[test]
fn a_server_that_hangs_is_unavailable_in_time() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let deadline = Duration::from_millis(200);
        let redis = Redis::over(multiplexed(&server).await).prefix(prefix());
        let redis = redis.deadline(deadline).build().unwrap();
        let log = redis.revocations();
        let known = self::log(multiplexed(&server).await, log.prefix());
        known.append(&drafts([1]), NOW).await.unwrap();
        server.pause();
        let begun = Instant::now();
        let drafts = drafts([2, 3]);
        let calls = tokio::join!(
            log.append(&drafts, NOW),
            log.head(NOW),
            log.read(1, 9, NOW),
            log.fence(NOW),
            redis.durability(),
        );
        assert!(begun.elapsed() < deadline * 10, "{:?}", begun.elapsed());
        unavailable(&calls.0);
        unavailable(&calls.1);
        unavailable(&calls.2);
        unavailable(&calls.3);
        unavailable(&calls.4);
        server.resume();
        let appended = known.append(&drafts, NOW).await.unwrap();
        // The deadline is short for a busy machine.
        let begun = Instant::now();
        let page = loop {
            match log.read(1, 9, NOW).await {
                Ok(page) => break page,
                Err(error) => assert!(begun.elapsed() < PATIENT, "{error:?}"),
            }
        };
        assert_eq!(page.entries.len() as u64, appended.position());
    });
}

/// An answer cut at any byte is requested again: acknowledged entries are present, batches are
/// complete, and there is no gap.
#[test]
fn an_answer_that_is_cut_off_is_retried_or_unavailable() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let proxy = Proxy::to(server.socket());
        let client = redis::Client::open(proxy.url()).unwrap();
        let log = log(managed(client).await, &prefix());
        let straight = self::log(multiplexed(&server).await, log.prefix());
        for (turn, cut) in [0, 1, 2, 5, 6, 7, 20, 40, 60, 100].into_iter().enumerate() {
            let name = 2 * turn as u8;
            proxy.cut_after(cut);
            let appended = log.append(&drafts([name, name + 1]), NOW).await.unwrap();
            proxy.cut_after(cut);
            assert_eq!(log.head(NOW).await.unwrap(), appended, "cut after {cut}");
            let all = straight.read(1, 999, NOW).await.unwrap();
            proxy.cut_after(cut);
            assert_eq!(log.read(1, 999, NOW).await.unwrap(), all);
            proxy.cut_after(cut);
            log.fence(NOW).await.unwrap();
            proxy.cut_after(usize::MAX);
            assert_eq!(all.entries.len() as u64, appended.position());
            let names: Vec<_> = all.entries.iter().map(|entry| entry.nonce).collect();
            let (pairs, []) = names.as_chunks::<2>() else {
                panic!("a part of a batch")
            };
            for pair in pairs {
                let [one, next] = pair.map(|nonce| nonce.as_bytes()[0]);
                assert!(one % 2 == 0 && next == one + 1);
            }
            assert_eq!(names.last(), Some(&Nonce::from_bytes([name + 1; 16])));
        }
        assert!(proxy.cuts() > 20, "{} connections were cut", proxy.cuts());
    });
}

/// With an append-only file that is synced on every write, acknowledged entries survive the death
/// of the server, in the same incarnation.
#[test]
fn acknowledged_writes_survive_a_kill() {
    let Some(server) = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"])
    else {
        return;
    };
    run(async {
        let redis = patient(manager(&server).await).build().unwrap();
        redis.require_durable().await.unwrap();
        let log = redis.revocations();
        for round in 0..3 {
            let appended = log.append(&drafts([round, round]), NOW).await.unwrap();
            server.kill9();
            server.restart();
            // The first call may discover that the old connection is closed.
            let head = match log.head(NOW).await {
                Err(_) => log.head(NOW).await,
                head => head,
            };
            assert_eq!(head.unwrap(), appended, "round {round}");
            let page = log.read(1, 99, NOW).await.unwrap();
            assert_eq!(page.entries.len() as u64, appended.position());
        }
    });
}

/// A node that starts reads a long log in pages that block the server for a few milliseconds each, and misses no
/// entry between two of them.
#[test]
fn a_long_log_is_read_in_short_scripts() {
    let Some(server) = server() else {
        return;
    };
    run(async {
        let log = log(multiplexed(server).await, &prefix());
        for name in 0..6 {
            log.append(&[draft(name, 600); 500], NOW).await.unwrap();
        }
        let (mut positions, mut sizes, mut from) = (Vec::new(), Vec::new(), 1);
        loop {
            let page = log.read(from, 10_000, NOW).await.unwrap();
            positions.extend(page.entries.iter().map(|entry| entry.position));
            sizes.push(page.entries.len());
            from += page.entries.len() as u64;
            if !page.more {
                break;
            }
        }
        assert_eq!(sizes, [1024, 1024, 952]);
        assert!(positions.into_iter().eq(1..=3_000));
    });
}

#[derive(Debug, Default)]
struct Losses(Mutex<Vec<&'static str>>);

impl Observer for Losses {
    fn observe(&self, event: &Event<'_>) {
        let loss = match event {
            Event::LogLost => "lost",
            Event::LogShortened => "shortened",
            _ => return,
        };
        self.0.lock().unwrap().push(loss);
    }
}

/// A server that starts from an older snapshot keeps the incarnation of the log and lacks its end. Each node says so
/// once, and the log gets back what they had read.
#[test]
fn a_start_from_an_older_snapshot_is_reported() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let prefix = prefix();
        let mut nodes = Vec::new();
        for _ in 0..2 {
            let redis = patient(manager(&server).await).prefix(&prefix);
            let redis = redis.build().unwrap();
            // `require_durable` refuses such a server.
            assert!(redis.require_durable().await.unwrap_err().is_misuse());
            let view = RevocationView::builder(redis.revocations())
                .max_lifetime(Duration::from_secs(3_600))
                .build()
                .unwrap();
            nodes.push((view, Arc::new(Losses::default())));
        }
        let follow = async |expected: &[&str]| {
            for (view, losses) in &nodes {
                let upkeep = view.upkeep().observer(losses.clone());
                // The first calls may discover that the old connection is closed.
                while upkeep.tick().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                assert_eq!(std::mem::take(&mut *losses.0.lock().unwrap()), expected);
            }
        };
        let end = async |user: &str| {
            let _ = nodes[0].0.revoke_subject(user).await.unwrap();
        };
        follow(&[]).await;
        end("alice").await;
        follow(&[]).await;
        server.ask(&["SAVE"]).unwrap();
        end("bob").await;
        follow(&[]).await;
        let before = nodes[1].0.health().unwrap();
        server.kill9();
        server.restart();
        follow(&["shortened"]).await;
        follow(&[]).await;
        // A node that starts now knows both.
        let redis = patient(manager(&server).await).prefix(&prefix);
        let log = redis.build().unwrap().revocations();
        let late = RevocationView::builder(log).max_lifetime(Duration::from_secs(3_600));
        let late = late.build().unwrap();
        late.follow().await.unwrap();
        let health = late.health().unwrap();
        assert_eq!(health.facts, 2);
        assert!(health.position >= before.position, "{health:?}");
    });
}

/// The fence detects a server that refuses writes. Reads are answered, and an append is not stored
/// in part. Rejects a fence that only reads.
#[test]
fn a_fence_fails_on_a_server_that_refuses_writes() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let log = log(multiplexed(&server).await, &prefix());
        log.append(&[draft(1, 0); 30], NOW).await.unwrap();
        let set = |name: &str, value: &str| {
            server.ask(&["CONFIG", "SET", name, value]).unwrap();
        };
        let by = ((MARGIN.as_secs() + 1) * 1_000).to_string();
        for (name, refusing, taking) in
            [("min-replicas-to-write", "1", "0"), ("maxmemory", "1", "0")]
        {
            let appended = log.append(&drafts([2]), NOW).await.unwrap();
            let before = log.read(1, 99, NOW).await.unwrap();
            server.ask(&shift_log(log.prefix(), &by)).unwrap();
            set(name, refusing);
            unavailable(&log.fence(NOW).await);
            unavailable(&log.append(&drafts([3, 4]), NOW).await);
            assert_eq!(log.head(NOW).await.unwrap(), appended, "{name}");
            let page = log.read(1, 99, NOW).await.unwrap();
            let places = |page: &Page| -> Vec<_> {
                let entries = page.entries.iter();
                entries.map(|entry| (entry.position, entry.nonce)).collect()
            };
            assert!(places(&before).ends_with(&places(&page)), "{name}");
            set(name, taking);
            log.fence(NOW).await.unwrap();
            let next = log.append(&drafts([3, 4]), NOW).await.unwrap();
            assert_eq!(next.incarnation(), appended.incarnation(), "{name}");
            assert_eq!(next.position(), appended.position() + 2, "{name}");
        }
    });
}

/// Misuse at build, and `Debug` output.
#[test]
fn invalid_settings_are_refused_and_secrets_are_not_shown() {
    let Some(server) = server() else { return };
    run(async {
        let connection = admin(server).await;
        let builder = || Redis::over(connection.clone());
        for refused in [
            builder().prefix("a{b}").build(),
            builder().prefix("a\n").build(),
            builder().prefix("x".repeat(129)).build(),
            builder().deadline(Duration::ZERO).build(),
        ] {
            assert!(refused.is_err_and(|error| error.is_misuse()));
        }
        let redis = builder().prefix("app:").assume_durable().build().unwrap();
        let shown = format!("{:?} {:?}", redis.revocations(), builder().prefix("app:"));
        assert!(shown.contains("app:") && !shown.contains("unix"), "{shown}");
        assert_eq!(redis.durability().await.unwrap().crash, Survives::NotAll);
        assert!(
            redis
                .require_durable()
                .await
                .is_err_and(|error| error.is_misuse())
        );
    });
}
