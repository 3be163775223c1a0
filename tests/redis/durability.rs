//! Durability reports of the server, misuse at build, and `Debug` output.

use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::store::contract::{Load, Page, SessionStore as _};
use statewise::store::{Durability, Redis, Survives};
use statewise::testkit::Sample;

use crate::common::{admin, multiplexed, patient, run};
use crate::support::servers::redis::RedisServer;

async fn crash_of(server: &RedisServer) -> Survives {
    let redis = patient(multiplexed(server).await).build().unwrap();
    let durability = redis.durability().await.unwrap();
    let durable = durability.crash == Survives::All;
    assert_eq!(redis.require_durable().await.is_ok(), durable);
    assert_eq!(
        durability,
        Durability::new(durability.crash, Survives::NotAll)
    );
    durability.crash
}

#[test]
fn durability_follows_the_configuration_of_the_server() {
    let (aof, sync) = (["--appendonly", "yes"], "--appendfsync");
    let always = [aof[0], aof[1], sync, "always"];
    let lazily = [&always[..], &["--no-appendfsync-on-rewrite", "yes"]].concat();
    for (options, expected) in [
        (&[][..], Survives::NotAll),
        (&[aof[0], aof[1], sync, "everysec"], Survives::NotAll),
        (&[aof[0], aof[1], sync, "no"], Survives::NotAll),
        (&lazily, Survives::NotAll),
        (&always, Survives::All),
    ] {
        let Some(server) = RedisServer::with(options) else {
            return;
        };
        run(async { assert_eq!(crash_of(&server).await, expected, "{options:?}") });
    }
}

/// If CONFIG is forbidden, as with many hosting services, durability is unknown and the operator
/// may assume it. Durability that is known to be missing stays refused.
#[test]
fn an_unknown_durability_can_be_assumed() {
    let Some(server) = RedisServer::with(&["--appendonly", "yes"]) else {
        return;
    };
    let rules = [
        "ACL", "SETUSER", "guest", "on", ">secret", "~*", "+@all", "-config",
    ];
    server.ask(&rules).unwrap();
    run(async {
        let url = format!("{}?user=guest&pass=secret", server.url());
        let client = redis::Client::open(url).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let redis = patient(connection.clone()).build().unwrap();
        assert_eq!(redis.durability().await.unwrap().crash, Survives::Unknown);
        let refused = redis.require_durable().await.unwrap_err();
        assert!(refused.is_misuse(), "{refused}");
        let redis = patient(connection).assume_durable().build().unwrap();
        redis.require_durable().await.unwrap();
        server.ask(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
        assert_eq!(redis.durability().await.unwrap().crash, Survives::NotAll);
        assert!(redis.require_durable().await.is_err());
    });
}

#[test]
fn unsafe_prefixes_and_a_zero_deadline_are_refused() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        // Its prefixes are others than those of the tests.
        let connection = admin(&server).await;
        let build = |prefix: &str| Redis::over(connection.clone()).prefix(prefix).build();
        for prefix in ["{", "a}", "{user}:", "a\r\nb", "\0", &"x".repeat(129)] {
            assert!(
                build(prefix).is_err_and(|error| error.is_misuse()),
                "{prefix:?}"
            );
        }
        assert_eq!(build("shop:").unwrap().sessions().prefix(), "shop:");
        let hasty = Redis::over(connection.clone()).deadline(Duration::ZERO);
        assert!(hasty.build().is_err_and(|error| error.is_misuse()));
        // Any call ends before such a deadline.
        let endless = Redis::over(connection).deadline(Duration::MAX);
        let endless = endless.build().unwrap().sessions();
        let now = Timestamp::from_unix(1_800_000_000);
        let row = Sample::of("alice").at(now);
        let found = endless.load(row.handle(), Load::new(), now).await.unwrap();
        assert!(found.is_none());
        let listed = endless.list("nobody", Page::first(1), now).await.unwrap();
        assert!(listed.records.is_empty());
    });
}

/// Neither the store nor its errors show a password or the content of a row.
#[test]
fn shows_no_secret() {
    let Some(server) = RedisServer::with(&["--requirepass", "hunter2"]) else {
        return;
    };
    run(async {
        let url = format!("{}?pass=hunter2", server.url());
        let client = redis::Client::open(url).unwrap();
        let redis = patient(client.get_connection_manager().await.unwrap());
        let shown = format!("{redis:?}");
        assert!(
            shown.contains("prefix") && !shown.contains("hunter2"),
            "{shown}"
        );
        let redis = redis.deadline(Duration::from_millis(300)).build().unwrap();
        let shown = format!("{redis:?}");
        assert!(
            shown.contains("prefix") && !shown.contains("hunter2"),
            "{shown}"
        );
        server.kill9();
        let error = redis.durability().await.unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(
            error.is_unavailable() && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(
            !shown.contains(&*server.socket().to_string_lossy()),
            "{shown}"
        );
    });
}
