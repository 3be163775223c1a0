//! The example `production` with a private Redis: from the key on the command line to the last signal.

mod support;

#[path = "../../../tests/support/mod.rs"]
mod stores;

use std::process::Command;

use statewise::token::{Algorithm, Key};
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
        ("DRAIN_SECONDS", "0"),
    ];
    let example = Example::start_with("production", &[&variables, keys].concat());
    let line = example.printed();
    let internal = line.strip_prefix("internal on ").expect("an address");
    (example, internal.to_owned())
}

fn log_in(origin: &str) -> String {
    log_in_as("alice", origin)
}

fn log_in_as(user: &str, origin: &str) -> String {
    let body = format!(r#"{{"user":"{user}","password":"open sesame"}}"#);
    let answer = curl(&["--json", &body, &format!("{origin}/token")]).expect(200);
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

/// Waits until a request has this status.
fn expect_soon(status: u16, ask: impl Fn() -> Answer) {
    let answered = wait_until(|| match ask() {
        answer if answer.status == status => Ok(()),
        answer => Err(answer),
    });
    answered.unwrap_or_else(|last| panic!("{last:?}"));
}

/// From the signal on, the load balancer is told to send no more connections, and those that it still sends
/// are served. The second signal ends the pause.
#[test]
fn it_is_not_ready_while_it_drains() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let key = key();
    let settings = [("TOKEN_KEY", &*key), ("DRAIN_SECONDS", "600")];
    let (mut service, internal) = start(&redis, &settings);
    let ready = || curl(&[&format!("{internal}/ready")]);
    expect_soon(200, ready);
    let token = log_in(service.origin());
    service.signal();
    expect_soon(503, ready);
    curl(&[&format!("{internal}/live")]).expect(200);
    me(service.origin(), &token).expect(200);
    assert!(service.terminate().success());
}

/// A setting that is off is off, and a typing error does not switch it off.
#[test]
fn a_requirement_is_on_or_off() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let key = key();
    let settings = |value| [("TOKEN_KEY", &*key), ("REQUIRE_DURABLE", value)];
    for value in ["0", "false"] {
        let _started = start(&redis, &settings(value));
    }
    // The server of the test would lose its writes in a crash.
    for (value, reason) in [("1", "a crash"), ("yes!", "write 1 or 0")] {
        let refused = Command::new(support::program::example("production"))
            .envs([("REDIS_URL", &*redis.url()), ("ADDRESS", "127.0.0.1:0")])
            .envs(settings(value))
            .output()
            .expect("the example starts");
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && error.contains(reason),
            "{error}"
        );
    }
}

/// The routes for administrators: another user may not, and each act counts on the node and is logged.
#[test]
fn an_administrator_logs_out_a_user_and_retires_a_key() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (present, spare) = (key(), key());
    let settings = [("TOKEN_KEY", &*present), ("TOKEN_KEY_SPARE", &*spare)];
    let (service, internal) = start(&redis, &settings);
    expect_soon(200, || curl(&[&format!("{internal}/ready")]));
    let origin = service.origin();
    let (alice, ann) = (log_in(origin), log_in_as("ann", origin));
    let post = |token: &str, path: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        curl(&[
            "-X",
            "POST",
            "-H",
            &bearer,
            &format!("{origin}/admin/{path}"),
        ])
    };
    post(&alice, "users/ann/revoke").expect(403);
    let answer = post(&ann, "users/alice/revoke").expect(200);
    assert!(answer.body.starts_with("Some(1) logins, "), "{answer:?}");
    expect_soon(401, || me(origin, &alice));
    me(origin, &ann).expect(200);

    let kid = Key::from_text(Algorithm::HS256, &present).expect("a key");
    let retire = format!("keys/{}/retire", kid.kid());
    post(&log_in(origin), &retire).expect(403);
    post(&ann, &retire).expect(200);
    expect_soon(401, || me(origin, &ann));
    // The spare signs.
    let again = log_in_as("ann", origin);
    me(origin, &again).expect(200);
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
