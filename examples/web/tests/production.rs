//! The example `production` with a private Redis: from the key on the command line to the last signal.

mod support;

#[path = "../../../tests/support/mod.rs"]
mod stores;

use std::process::Command;

use stores::servers::redis::RedisServer;
use stores::servers::wait_until;
use support::{Answer, Example, curl};

/// Makes a key by the command in the header of the example.
fn key() -> String {
    let header = include_str!("../production.rs");
    let (_, rest) = header.split_once("TOKEN_KEY=$(").expect("a command");
    let (command, _) = rest.split_once(") \\").expect("the end of the command");
    let made = Command::new("sh").args(["-c", command]).output();
    let key = String::from_utf8(made.expect("sh starts").stdout).expect("text");
    assert_eq!(key.trim().len(), 43, "{key:?}");
    key
}

fn start(redis: &RedisServer, keys: &[(&str, &str)]) -> (Example, String) {
    let url = redis.url();
    let variables = [
        ("REDIS_URL", url.as_str()),
        ("ADDRESS", "127.0.0.1:0"),
        ("INTERNAL_ADDRESS", "127.0.0.1:0"),
    ];
    let example = Example::start_with("production", &[&variables, keys].concat());
    let line = example.printed();
    let internal = line.strip_prefix("internal on ").expect("an address");
    (example, internal.to_owned())
}

fn log_in(origin: &str) -> String {
    let body = r#"{"user":"alice","password":"open sesame"}"#;
    let answer = curl(&["--json", body, &format!("{origin}/token")]).expect(200);
    let rest = answer.body.split("\"access_token\":\"").nth(1);
    let token = rest.and_then(|rest| rest.split('"').next());
    token.expect("a token").to_owned()
}

fn me(origin: &str, token: &str) -> Answer {
    let bearer = format!("Authorization: Bearer {token}");
    curl(&["-H", &bearer, &format!("{origin}/me")])
}

#[test]
fn it_is_ready_counts_logins_notices_an_outage_and_stops_in_order() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let key = key();
    let (mut service, internal) = start(&redis, &[("TOKEN_KEY", &key)]);
    let probe = |path: &str| curl(&[&format!("{internal}{path}")]);
    wait_until(|| match probe("/ready").status {
        200 => Ok(()),
        status => Err(status),
    })
    .expect("ready");
    let token = log_in(service.origin());
    assert_eq!(me(service.origin(), &token).expect(200).body, "alice");
    let metrics = probe("/metrics").expect(200).body;
    assert!(
        metrics.contains("\nstatewise_issued_total 1\n"),
        "{metrics}"
    );

    redis.pause();
    wait_until(|| match probe("/ready").status {
        503 => Ok(()),
        status => Err(status),
    })
    .expect("not ready");
    probe("/live").expect(200);
    redis.resume();
    wait_until(|| match probe("/ready").status {
        200 => Ok(()),
        status => Err(status),
    })
    .expect("ready again");
    me(service.origin(), &token).expect(200);
    assert!(service.terminate().success());
}

/// Two nodes during a rotation, of which one has restarted: each accepts the tokens of the other.
#[test]
fn a_rotation_by_restarts_refuses_no_token() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (present, spare, next) = (key(), key(), key());
    let before = [("TOKEN_KEY", &*present), ("TOKEN_KEY_SPARE", &*spare)];
    let after = [
        ("TOKEN_KEY", &*spare),
        ("TOKEN_KEY_OLD", &*present),
        ("TOKEN_KEY_SPARE", &*next),
    ];
    let (old, _) = start(&redis, &before);
    let (new, _) = start(&redis, &after);
    for issuer in [&old, &new] {
        let token = log_in(issuer.origin());
        for node in [&old, &new] {
            me(node.origin(), &token).expect(200);
        }
    }
}
