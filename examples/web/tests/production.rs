//! The example `production` with a private Redis: from the key on the command line to the last signal.

mod support;

#[path = "../../../tests/support/mod.rs"]
mod stores;

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use statewise::token::{Algorithm, Key};
use stores::servers::redis::RedisServer;
use stores::servers::wait_until;
use support::{Answer, Example, Folder, curl};

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
    start_logged(redis, keys, Stdio::inherit())
}

fn start_logged(redis: &RedisServer, keys: &[(&str, &str)], log: Stdio) -> (Example, String) {
    let url = redis.url();
    let variables = [
        ("REDIS_URL", url.as_str()),
        ("ADDRESS", "127.0.0.1:0"),
        ("INTERNAL_ADDRESS", "127.0.0.1:0"),
        ("DRAIN_SECONDS", "0"),
    ];
    let example = Example::start_logged("production", &[&variables, keys].concat(), log);
    let line = example.printed();
    let internal = line.strip_prefix("internal on ").expect("an address");
    (example, internal.to_owned())
}

/// Runs the example with settings with which it does not start.
fn refused(settings: &[(&str, &str)]) -> (Output, String) {
    let output = Command::new(support::program::example("production"))
        .envs([
            ("ADDRESS", "127.0.0.1:0"),
            ("INTERNAL_ADDRESS", "127.0.0.1:0"),
        ])
        .envs(settings.iter().copied())
        .output()
        .expect("the example starts");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{log}");
    assert!(!log.contains('\u{1b}'), "colors in a pipe: {log:?}");
    let errors: Vec<_> = log
        .lines()
        .filter(|line| line.contains(" ERROR "))
        .collect();
    let [error] = errors[..] else {
        panic!("expected one error:\n{log}");
    };
    let error = error.to_owned();
    (output, error)
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
    let body = me(service.origin(), &token).expect(200).body;
    assert!(body.starts_with("alice "), "{body}");
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

/// From the signal on, the probe asks the load balancer for no more connections. The node serves those that
/// still come. The second signal ends the pause.
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
        let url = redis.url();
        let (_, error) = refused(&[&settings(value)[..], &[("REDIS_URL", &url)]].concat());
        assert!(error.contains(reason), "{error}");
    }
}

/// One line of the log names the setting, or has the chain of causes.
#[test]
fn a_start_that_fails_says_why() {
    let key = key();
    // Nothing listens there.
    let unreachable = [("TOKEN_KEY", &*key), ("REDIS_URL", "redis://127.0.0.1:1")];
    let with = |setting| refused(&[&unreachable[..], &[setting]].concat());
    let (output, error) = with(("DRAIN_SECONDS", "ten"));
    assert!(
        error.contains("DRAIN_SECONDS") && error.contains("ten"),
        "{error}"
    );
    assert_eq!(output.stderr.split(|byte| *byte == b'\n').count(), 2);
    let (_, error) = with(("ADDRESS", "nowhere"));
    assert!(error.contains("ADDRESS is"), "{error}");
    // A requirement is not skipped during an outage.
    let (_, error) = with(("REQUIRE_DURABLE", "1"));
    assert!(error.contains(": ") && error.contains("refused"), "{error}");
}

/// A node that starts during an outage waits for its end, and needs no other start.
#[test]
fn it_starts_during_an_outage() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let key = key();
    redis.pause();
    let (service, internal) = start(&redis, &[("TOKEN_KEY", &key)]);
    let probe = |path: &str| curl(&[&format!("{internal}{path}")]);
    assert!(!probe("/ready").expect(503).body.trim().is_empty());
    probe("/live").expect(200);
    redis.resume();
    expect_soon(200, || probe("/ready"));
    me(service.origin(), &log_in(service.origin())).expect(200);
}

/// The routes for administrators: another user may not, and each act counts on the node and is logged.
#[test]
fn an_administrator_logs_out_a_user_and_retires_a_key() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (present, spare) = (key(), key());
    let settings = [("TOKEN_KEY", &*present), ("TOKEN_KEY_SPARE", &*spare)];
    let (folder, name) = (Folder::new(), |number| format!("log-{number}"));
    let log = |number| {
        let path = folder.path().join(name(number));
        fs::read_to_string(path).expect("a log")
    };
    let start = |settings: &[(&str, &str)], number| {
        let file = File::create(folder.path().join(name(number))).expect("a file");
        start_logged(&redis, settings, file.into())
    };
    let (service, internal) = start(&settings, 1);
    // The first request after the start.
    curl(&[&format!("{internal}/ready")]).expect(200);
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
    // One device of a user, and of the caller.
    let send = |token: &str, method: &str, path: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        curl(&["-X", method, "-H", &bearer, &format!("{origin}{path}")])
    };
    let id_of = |token: &str| {
        let body = me(origin, token).expect(200).body;
        body.split_whitespace().nth(1).expect("an id").to_owned()
    };
    let (id, ann_id) = (id_of(&alice), id_of(&ann));
    let listed = send(&alice, "GET", "/devices").expect(200).body;
    assert!(listed.starts_with(&format!("{id} \"curl/")), "{listed}");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    send(&alice, "DELETE", &format!("/devices/{ann_id}")).expect(404);
    send(&alice, "DELETE", "/devices/mistyped").expect(404);
    let other = log_in(origin);
    send(&alice, "DELETE", &format!("/devices/{}", id_of(&other))).expect(204);
    expect_soon(401, || me(origin, &other));
    let third = log_in(origin);
    let ended = format!("/admin/users/alice/devices/{}", id_of(&third));
    send(&alice, "DELETE", &ended).expect(403);
    send(&ann, "DELETE", &ended).expect(204);
    expect_soon(401, || me(origin, &third));
    me(origin, &alice).expect(200);
    post(&alice, "users/ann/revoke").expect(403);
    let answer = post(&ann, "users/alice/revoke").expect(200);
    assert!(answer.body.starts_with("Some(1) logins, "), "{answer:?}");
    expect_soon(401, || me(origin, &alice));
    me(origin, &ann).expect(200);

    let kid = Key::from_text(Algorithm::HS256, &present).expect("a key");
    let retire = format!("keys/{}/retire", kid.kid());
    post(&log_in(origin), &retire).expect(403);
    let unknown = post(&ann, "keys/mistyped/retire").expect(404);
    assert!(unknown.body.contains(kid.kid()), "{unknown:?}");
    // Also an act that fails has a name in the log.
    redis.pause();
    post(&ann, "users/bob/revoke").expect(503);
    redis.resume();
    let lines = log(1);
    for act in [
        r#"device="#,
        r#"user="alice""#,
        r#"user="bob""#,
        r#"kid="mistyped""#,
    ] {
        let names = |line: &str| {
            line.contains(r#"admin="ann""#)
                && line.contains(&format!("login={ann_id}"))
                && line.contains(act)
        };
        assert!(lines.lines().any(names), "{act}\n{lines}");
    }
    expect_soon(200, || post(&ann, &retire));
    expect_soon(401, || me(origin, &ann));
    // The spare signs.
    let again = log_in_as("ann", origin);
    me(origin, &again).expect(200);

    // A node that restarts has read this before it logs its keys, and before the first request.
    let (restarted, _) = start(&settings, 2);
    me(restarted.origin(), &again).expect(200);
    let retired = format!(r#"("{}", Retired)"#, kid.kid());
    let lines = log(2);
    assert!(lines.contains(&retired), "{lines}");
    // Without the spare, it could sign nothing.
    let (_keyless, internal) = start(&settings[..1], 3);
    let answer = curl(&[&format!("{internal}/ready")]).expect(503);
    assert!(answer.body.contains("`Keyring::new`"), "{answer:?}");

    // The only key of a node: a conflict, with the next step, and the key goes on.
    let (single, _) = start(&[("TOKEN_KEY", &*spare)], 4);
    let last = Key::from_text(Algorithm::HS256, &spare).expect("a key");
    let bearer = format!("Authorization: Bearer {again}");
    let path = format!("{}/admin/keys/{}/retire", single.origin(), last.kid());
    let refused = curl(&["-X", "POST", "-H", &bearer, &path]).expect(409);
    assert!(
        refused.body.contains("first give every node"),
        "{refused:?}"
    );
    me(single.origin(), &again).expect(200);

    let alice = log_in(origin);
    post(&alice, "revoke-everything").expect(403);
    post(&again, "revoke-everything").expect(200);
    for token in [&alice, &again] {
        expect_soon(401, || me(origin, token));
    }
    let bearer = format!("Authorization: Bearer {}", log_in(origin));
    let path = format!("{origin}/logout");
    let ended = curl(&["-X", "POST", "-H", &bearer, &path]).expect(200);
    assert_eq!(ended.body, "Within(5s)\n");
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
