//! A service that may only read the log.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};
use statewise::Error;
use statewise::revocation::RedisLog;
use statewise::revocation::log::RevocationLog as _;
use statewise::store::Redis;

use super::{Fixture, NOW, PATIENT, drafts, log, multiplexed, on_a_server, prefix, run, server};
use crate::log_reader::{Paired, ReaderFixture, follows_with_read_rights};
use crate::support::servers::redis::{RedisServer, reader_rights};
use crate::support::servers::replicated::Replicated;

impl ReaderFixture for Fixture {
    type Reader = RedisLog<MultiplexedConnection>;

    async fn reader(&self, log: &Self::Log) -> Self::Reader {
        let server = server().unwrap();
        allow(server, log.prefix(), &[]);
        reader(server, log.prefix()).await
    }
}

mod laws {
    use super::{Fixture, Paired, on_a_server};

    statewise::testkit::revocation_log_laws!(Paired(Fixture), block_on = on_a_server);
}

/// Creates the user of the documentation for a prefix, with other rules after those.
fn allow(server: &RedisServer, prefix: &str, rules: &[&str]) {
    let user = format!("reader of {}", prefix.trim_end_matches(':')).replace(' ', "-");
    // A pattern cannot contain a space.
    let keys = format!("~{}{{log}}:*", prefix.replace(' ', "?"));
    let command = ["ACL", "SETUSER", &user, "reset", "on", ">secret", &keys];
    let rights: Vec<_> = reader_rights().collect();
    server.ask(&[&command, &*rights, rules].concat()).unwrap();
}

async fn connect(server: &RedisServer, prefix: &str) -> MultiplexedConnection {
    let user = format!("reader of {}", prefix.trim_end_matches(':')).replace(' ', "-");
    let url = format!("{}?user={user}&pass=secret", server.url());
    let client = Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn reader(server: &RedisServer, prefix: &str) -> RedisLog<MultiplexedConnection> {
    let redis = Redis::over(connect(server, prefix).await).prefix(prefix);
    redis.deadline(PATIENT).build_log_reader().unwrap()
}

#[test]
fn a_service_follows_with_read_rights() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let prefix = prefix();
        allow(&server, &prefix, &[]);
        let writer = log(multiplexed(&server).await, &prefix);
        let reader = reader(&server, &prefix).await;
        // It does not begin the log, and says what to do.
        for missing in [
            reader.check().await,
            reader.read(0, 9, NOW).await.map(drop),
            reader.head(NOW).await.map(drop),
        ] {
            let error = missing.unwrap_err();
            assert!(error.is_unavailable(), "{error:?}");
            assert!(error.to_string().contains("begins it"), "{error}");
        }
        assert_eq!(server.ask(&["DBSIZE"]).unwrap(), "0");
        writer.head(NOW).await.unwrap();
        reader.check().await.unwrap();
        // A log that also writes has all rights of a reader.
        writer.check().await.unwrap();
        let (writer, reader) = (Arc::new(writer), Arc::new(reader));
        follows_with_read_rights(
            writer,
            reader,
            async || allow(&server, &prefix, &["-xrange"]),
            async || allow(&server, &prefix, &[]),
        )
        .await;
    });
}

/// Each documented right is needed, and named when it is missing. None of them writes, or reads a
/// session.
#[test]
fn the_rights_of_a_reader_suffice_and_write_nothing() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let rights: Vec<_> = reader_rights().collect();
    assert_eq!(rights.len(), 8, "{rights:?}");
    run(async {
        let prefix = prefix();
        let writer = log(multiplexed(&server).await, &prefix);
        writer.append(&drafts(1..4), NOW).await.unwrap();
        for right in rights.iter().filter_map(|right| right.strip_prefix('+')) {
            allow(&server, &prefix, &[&format!("-{right}")]);
            let reader = reader(&server, &prefix).await;
            let error = reader.check().await.unwrap_err();
            let name = format!("`{}`", right.to_uppercase());
            assert!(error.is_misuse(), "{right}: {error:?}");
            assert!(error.to_string().contains(&name), "{right}: {error}");
            // The text of a script is sent once, and the server has that of this one.
            if right != "eval" {
                let read = reader.read(0, 9, NOW).await;
                assert!(read.is_err(), "{right}: {read:?}");
            }
        }
        allow(&server, &prefix, &["resetkeys", "~other:*"]);
        let error = reader(&server, &prefix).await.check().await.unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("prefix"),
            "{error}"
        );

        allow(&server, &prefix, &[]);
        let reader = reader(&server, &prefix).await;
        reader.check().await.unwrap();
        let before = reader.read(0, 9, NOW).await.unwrap();
        let mut connection = connect(&server, &prefix).await;
        let [numbers, entries] = ["m", "e"].map(|kind| format!("{prefix}{{log}}:{kind}"));
        let session = format!("{prefix}{{AA}}:s:AAAAAAAAAAAAAAAAAAAAAA");
        let script = "return redis.call('DEL', KEYS[1])";
        for command in [
            &["DEL", &numbers][..],
            &["UNLINK", &entries],
            &["EXPIRE", &numbers, "1"],
            &["RENAME", &numbers, &entries],
            &["HSET", &numbers, "last", "0"],
            &["XADD", &entries, "9-0", "entry", "", "until", "0"],
            &["XTRIM", &entries, "MINID", "9"],
            &["XDEL", &entries, "1-0"],
            &["EVAL", script, "1", &numbers],
            &[
                "EVAL",
                "return redis.call('XTRIM', KEYS[1], 'MINID', '9')",
                "1",
                &entries,
            ],
            &["GET", &session],
            &["HMGET", &session, "x"],
            &["SET", &session, ""],
            &["KEYS", "*"],
            &["FLUSHALL"],
            &["CONFIG", "SET", "maxmemory", "1"],
            &["REPLICAOF", "NO", "ONE"],
            &["ACL", "SETUSER", "default", "nopass"],
        ] {
            let mut refused = cmd(command[0]);
            let refused = refused.arg(&command[1..]);
            let refused = refused.query_async::<redis::Value>(&mut connection).await;
            let error = refused.expect_err(command[0]).to_string();
            assert!(
                error.contains("NoPerm") || error.contains("The user executing the script"),
                "{command:?}: {error}"
            );
        }
        // Also through a log that is built to write.
        let writes = log(connect(&server, &prefix).await, &prefix);
        for refused in [
            writes.append(&drafts(4..5), NOW).await.map(drop),
            writes.fence(NOW).await,
        ] {
            assert!(refused.as_ref().is_err_and(Error::is_misuse), "{refused:?}");
        }
        assert_eq!(reader.read(0, 9, NOW).await.unwrap(), before);
    });
}

/// A replica answers no reader, although it may run all of its commands, and may lag behind. The
/// former primary does not either, as soon as it is a replica.
#[test]
fn a_reader_refuses_a_replica() {
    let Some(servers) = Replicated::start() else {
        return;
    };
    run(async {
        let prefix = prefix();
        let on = async |at: usize| {
            let client = Client::open(format!("redis://127.0.0.1:{}", servers.port(at))).unwrap();
            client.get_multiplexed_async_connection().await.unwrap()
        };
        let writer = log(on(0).await, &prefix);
        writer.append(&drafts(1..4), NOW).await.unwrap();
        let mut readers = Vec::new();
        for at in [0, 1] {
            let redis = Redis::over(on(at).await).prefix(&prefix).deadline(PATIENT);
            readers.push(redis.build_log_reader().unwrap());
        }
        let answers = async |at: usize| {
            let read = readers[at].read(0, 9, NOW).await;
            assert_eq!(read.is_ok(), readers[at].check().await.is_ok());
            match read {
                Ok(page) => Some(page.entries.len()),
                Err(error) => {
                    assert!(error.is_unavailable(), "{error:?}");
                    assert!(format!("{error:?}").contains("READONLY"), "{error:?}");
                    None
                }
            }
        };
        assert_eq!([answers(0).await, answers(1).await], [Some(3), None]);
        servers.ask(1, &["REPLICAOF", "NO", "ONE"]).unwrap();
        let port = servers.port(1).to_string();
        servers.ask(0, &["REPLICAOF", "127.0.0.1", &port]).unwrap();
        assert_eq!([answers(0).await, answers(1).await], [None, Some(3)]);
    });
}
