//! Users that lack a right. All other tests run with a user that has the documented rights only.

use redis::aio::MultiplexedConnection;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::Redis;
use statewise::store::contract::{Load, Scope, SessionStore};
use statewise::testkit::Sample;

use crate::common::{patient, run};
use crate::support::servers::redis::{RedisServer, rights};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const TOUCH: Load = Load::new().touch(std::time::Duration::from_secs(3_600));

/// Connects as a user with some of the documented rights and some others.
async fn with_rights(server: &RedisServer, rules: &[&str]) -> Redis<MultiplexedConnection> {
    let user = ["ACL", "SETUSER", "guest", "reset", "on", ">secret"];
    server.ask(&[&user, rules].concat()).unwrap();
    let url = format!("{}?user=guest&pass=secret", server.url());
    let client = redis::Client::open(url).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    patient(connection).build().unwrap()
}

/// Without any one of the documented rights, the check names its command. So no right is listed
/// that is not needed, and none is missing.
#[test]
fn the_check_names_each_missing_right() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let rights: Vec<_> = rights().collect();
    assert!(rights.len() > 20, "{rights:?}");
    run(async {
        let all = [&["~test*"], &*rights].concat();
        with_rights(&server, &all).await.check().await.unwrap();
        for right in &rights {
            let Some(command) = right.strip_prefix('+') else {
                assert_eq!(*right, "-@all");
                continue;
            };
            let less: Vec<_> = all.iter().copied().filter(|other| other != right).collect();
            let checked = with_rights(&server, &less).await.check().await;
            if command == "config|get" {
                checked.unwrap();
                continue;
            }
            let error = checked.unwrap_err();
            let name = format!("`{}`", command.to_uppercase());
            assert!(
                error.is_misuse() && error.to_string().contains(&name),
                "{name}: {error}"
            );
        }
        let elsewhere = [&["~other:*"], &*rights].concat();
        let error = with_rights(&server, &elsewhere)
            .await
            .check()
            .await
            .unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("prefix"),
            "{error}"
        );
    });
}

/// A renamed command is named too.
#[test]
fn the_check_names_a_renamed_command() {
    let Some(server) = RedisServer::with(&["--rename-command", "ZADD", "zadd-2"]) else {
        return;
    };
    run(async {
        let all = [
            &["~test*"],
            &*rights()
                .filter(|right| *right != "+zadd")
                .collect::<Vec<_>>(),
        ];
        let redis = with_rights(&server, &all.concat()).await;
        let error = redis.check().await.unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("`ZADD`"),
            "{error}"
        );
    });
}

/// A missing right is a mistake of the configuration, and never an outage or a wrong credential.
#[test]
fn a_missing_right_is_misuse() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let without = async |right: &str| {
            let left = rights().filter(|other| *other != right);
            let rules: Vec<_> = std::iter::once("~test*").chain(left).collect();
            with_rights(&server, &rules).await
        };
        let row = Sample::of("alice").at(NOW);
        let misuse = |error: statewise::Error, name: &str| {
            assert!(
                error.is_misuse() && error.to_string().contains(name),
                "{error}"
            );
        };
        let store = without("+getex").await.sessions();
        misuse(
            store.load(row.handle(), TOUCH, NOW).await.unwrap_err(),
            "`GETEX`",
        );
        let store = without("+evalsha").await.sessions();
        let created = store.create(&row, Limit::Unlimited, NOW).await;
        misuse(created.unwrap_err(), "`EVALSHA`");
        let store = without("+zadd").await.sessions();
        let created = store.create(&row, Limit::Unlimited, NOW).await;
        misuse(created.unwrap_err(), "a command of a script");
        let store = without("+zrange").await.sessions();
        let removed = store.remove_subject("alice", Scope::all(), NOW).await;
        misuse(removed.unwrap_err(), "a command of a script");
        let elsewhere: Vec<_> = std::iter::once("~other:*").chain(rights()).collect();
        let store = with_rights(&server, &elsewhere).await.sessions();
        misuse(
            store.load(row.handle(), TOUCH, NOW).await.unwrap_err(),
            "~prefix*",
        );
        let created = store.create(&row, Limit::Unlimited, NOW).await;
        misuse(created.unwrap_err(), "~prefix*");
    });
}
