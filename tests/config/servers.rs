//! A configuration opens each kind of store, over private servers.

use std::path::PathBuf;

use serde_json::json;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Login};
use tokio::runtime::Builder;

use crate::support::servers::mariadb::MariaDbServer;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::redis::RedisServer;
use crate::{complete, misuse, with};

/// Logs in on one node, and out on another, with each strategy. Both nodes are built from one file.
fn two_nodes_share(store: &str) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for strategy in ["sessions", "hybrid", "tokens"] {
            let config = with(complete(strategy), &json!({"store": store}));
            let shown = format!("{config:?} {:?}", config.effective());
            assert!(!shown.replace("https://", "").contains("://"), "{shown}");
            // The servers have the time of the machine.
            let [one, other] = [config.build::<()>().await, config.build::<()>().await];
            let (one, other) = (one.unwrap(), other.unwrap());
            let upkeep = tokio::spawn(other.upkeep().run(tokio::time::sleep));
            let issued = one.issue(Login::new("alice")).await.unwrap();
            let credential = issued.credential().reveal();
            let presented = statewise::Presented::new(credential).authoritative();
            assert_eq!(
                other.verify_with(presented).await.unwrap().subject(),
                "alice"
            );
            let _ = one.revoke(credential).await.unwrap();
            let refused = other.verify_with(presented).await.unwrap_err();
            assert!(refused.is_rejected(), "{strategy}: {refused}");
            upkeep.abort();
            let _ = upkeep.await;
            other.upkeep().finish().await.unwrap();
        }
    });
}

#[test]
fn redis() {
    if let Some(server) = RedisServer::start() {
        two_nodes_share(&server.url().replace("unix://", "redis+unix://"));
    }
}

#[test]
fn postgres() {
    if let Some(server) = PostgresServer::start() {
        let folder = server.folder().display().to_string().replace('/', "%2F");
        two_nodes_share(&format!("postgres://postgres@{folder}/postgres"));
    }
}

#[test]
fn mariadb() {
    if let Some(server) = MariaDbServer::start() {
        two_nodes_share(&server.url());
    }
}

#[test]
fn sqlite() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("configured.db");
    let files = ["", "-wal", "-shm"].map(|end| format!("{}{end}", path.display()));
    let remove = || {
        files
            .iter()
            .for_each(|file| drop(std::fs::remove_file(file)));
    };
    remove();
    two_nodes_share(&format!("sqlite:{}", path.display()));
    remove();
}

/// A server that can lose a logout is refused where that is asked for, and one that does not answer
/// is unavailable. Neither error has the password of the address.
#[test]
fn unfit_and_unreachable_servers() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let built = |store: &str, clock: &ManualClock| {
        let config = with(
            complete("sessions"),
            &json!({"store": store, "require_durable": true}),
        );
        runtime
            .block_on(config.clock(clock.clone()).build::<()>())
            .map(drop)
    };
    let clock = ManualClock::default();
    if let Some(server) = RedisServer::start() {
        let text = misuse(built(
            &server.url().replace("unix://", "redis+unix://"),
            &clock,
        ));
        assert!(text.contains("a crash of the server would lose"), "{text}");
    }
    // Nothing listens on port 1.
    for store in [
        "redis://:s3cr3t@127.0.0.1:1",
        "postgres://app:s3cr3t@127.0.0.1:1/app",
        "mysql://app:s3cr3t@127.0.0.1:1/app",
    ] {
        let error = built(store, &clock).expect_err(store);
        assert!(error.is_unavailable(), "{store}: {error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    let error = built("sqlite:/no/such/folder/file", &clock).unwrap_err();
    assert!(error.is_misuse() || error.is_unavailable(), "{error}");
}
