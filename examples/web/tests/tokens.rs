//! The example `axum_tokens`, driven by curl.

mod support;

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use support::{Answer, Example, curl, follow_the_header};

const PASSWORD: &str = "correct horse battery staple";

struct Api(Example);

impl Api {
    fn start() -> Self {
        Self(Example::start("axum_tokens"))
    }

    fn call(&self, path: &str, token: Option<&str>, args: &[&str]) -> Answer {
        let url = format!("{}{path}", self.0.origin());
        let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
        let bearer: Vec<&str> = bearer.iter().flat_map(|field| ["-H", field]).collect();
        curl(&[args, &bearer, &[&url]].concat())
    }

    fn get(&self, path: &str, token: &str) -> Answer {
        self.call(path, Some(token), &[])
    }

    fn ask_token(&self, user: &str, password: &str) -> Answer {
        let body = format!(r#"{{"user":"{user}","password":"{password}"}}"#);
        self.call("/token", None, &["--json", &body])
    }

    fn log_in(&self, user: &str, password: &str) -> String {
        access_token(&self.ask_token(user, password).expect(200))
    }
}

/// Returns the value of a string member.
fn member<'a>(body: &'a str, name: &str) -> &'a str {
    let start = format!("\"{name}\":\"");
    let (_, rest) = body.split_once(&start).expect("a member");
    rest.split_once('"').expect("a string").0
}

fn access_token(answer: &Answer) -> String {
    assert_eq!(answer.field("content-type"), "application/json");
    assert_eq!(answer.field("cache-control"), "no-store");
    assert_eq!(member(&answer.body, "token_type"), "Bearer");
    assert!(answer.body.contains("\"expires_in\":900"), "{answer:?}");
    assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
    member(&answer.body, "access_token").to_owned()
}

#[test]
fn the_commands_in_its_header_work() {
    let api = Api::start();
    follow_the_header(include_str!("../axum_tokens.rs"), api.0.origin());
}

#[test]
fn a_token_is_accepted_and_refreshed() {
    let api = Api::start();
    let token = api.log_in("alice", PASSWORD);
    let me = api.get("/me", &token).expect(200);
    assert_eq!(member(&me.body, "user"), "alice");
    assert_eq!(me.field("vary"), "Authorization");

    let body = format!("grant_type=refresh_token&refresh_token={token}");
    let refreshed = api.call("/refresh", None, &["-d", &body]).expect(200);
    let refreshed = access_token(&refreshed);
    let still = api.get("/me", &refreshed).expect(200);
    assert_eq!(still.body, me.body, "the same login");
}

#[test]
fn unknown_callers_are_challenged() {
    let api = Api::start();
    let wrong = api.ask_token("alice", "guess").expect(401);
    let unknown = api.ask_token("mallory", "guess").expect(401);
    for answer in [&wrong, &unknown, &api.call("/me", None, &[]).expect(401)] {
        assert_eq!(answer.field("www-authenticate"), "Bearer realm=\"api\"");
        assert_eq!(answer.body, "401 Unauthorized\n");
    }
    let token = api.log_in("alice", PASSWORD);
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let other: String = signature.chars().rev().collect();
    for credential in [format!("{signed}.{other}"), "x".to_owned()] {
        let answer = api.get("/me", &credential).expect(401);
        let challenge = answer.field("www-authenticate");
        assert_eq!(challenge, "Bearer realm=\"api\", error=\"invalid_token\"");
        assert_eq!(answer.field("cache-control"), "no-store");
    }
    let basic = ["-u", "alice:guess"];
    let answer = api.call("/me", None, &basic).expect(401);
    assert_eq!(answer.field("www-authenticate"), "Bearer realm=\"api\"");
}

#[test]
fn a_route_that_requires_a_role_is_denied_without_it() {
    let api = Api::start();
    let denied = api
        .get("/admin", &api.log_in("alice", PASSWORD))
        .expect(403);
    let challenge = denied.field("www-authenticate");
    assert_eq!(
        challenge,
        "Bearer realm=\"api\", error=\"insufficient_scope\""
    );
    assert_eq!(denied.body, "403 Forbidden\n");
    let served = api.get("/admin", &api.log_in("root", "open sesame"));
    assert!(served.expect(200).body.contains("administrators"));
    api.call("/admin", None, &[]).expect(401);
}

#[test]
fn a_logout_ends_the_token_and_tokens_refreshed_from_it() {
    let api = Api::start();
    let (token, other) = (api.log_in("alice", PASSWORD), api.log_in("alice", PASSWORD));
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    let refreshed = api.call("/refresh", None, &["-d", &body]).expect(200);
    let refreshed = access_token(&refreshed);

    api.call("/logout", Some(&token), &["-X", "POST"])
        .expect(204);
    api.get("/me", &token).expect(401);
    api.get("/me", &refreshed).expect(401);
    let refused = api.call("/refresh", None, &["-d", &body]).expect(400);
    assert_eq!(refused.body, r#"{"error":"invalid_grant"}"#);
    // Another login of the same user stays valid.
    api.get("/me", &other).expect(200);
    // A second logout succeeds.
    api.call("/logout", Some(&token), &["-X", "POST"])
        .expect(204);
}

/// An open stream ends with its own login, not with another one.
#[test]
fn a_logout_ends_a_stream_of_events() {
    let api = Api::start();
    let (token, other) = (api.log_in("alice", PASSWORD), api.log_in("alice", PASSWORD));
    let watch = |token: &str| Watch::start(&format!("{}/events", api.0.origin()), token);
    let (mut watch, mut another) = (watch(&token), watch(&other));
    assert_eq!(
        (watch.next(), another.next()),
        ("data: tick".to_owned(), "data: tick".to_owned())
    );
    api.call("/logout", Some(&token), &["-X", "POST"])
        .expect(204);
    let rest = watch.rest();
    assert!(
        rest.ends_with("event: ended\ndata: credential rejected: revoked"),
        "{rest}"
    );
    for _ in 0..2 {
        assert_eq!(another.next(), "data: tick");
    }
    api.call("/logout", Some(&other), &["-X", "POST"])
        .expect(204);
    assert!(another.rest().contains("event: ended"));
    // After the logout, a new stream is denied.
    api.get("/events", &token).expect(401);
}

/// curl that reads a stream of events.
struct Watch {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(url: &str, token: &str) -> Self {
        let bearer = format!("Authorization: Bearer {token}");
        let mut process = Command::new("curl")
            .args([
                "-q",
                "-sSN",
                "--max-time",
                "60",
                "--noproxy",
                "*",
                "-H",
                &bearer,
                url,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    fn next(&mut self) -> String {
        let mut lines = self.lines.by_ref().map(|line| line.expect("text"));
        lines.find(|line| !line.is_empty()).expect("a line")
    }

    /// Returns the remaining lines until the server ends the stream.
    fn rest(&mut self) -> String {
        let lines = self.lines.by_ref().map(|line| line.expect("text"));
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        let ended = self.process.wait().expect("a status");
        assert!(ended.success(), "{ended}: {lines:?}");
        lines.join("\n")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_login_ends_the_one_that_the_request_carries() {
    let api = Api::start();
    let before = api.log_in("alice", PASSWORD);
    let body = format!(r#"{{"user":"alice","password":"{PASSWORD}"}}"#);
    let answer = api.call("/token", Some(&before), &["--json", &body]);
    let after = access_token(&answer.expect(200));
    api.get("/me", &before).expect(401);
    api.get("/me", &after).expect(200);
}

/// As a program would, with the library requests-oauthlib.
#[test]
fn an_oauth_client_refreshes_and_learns_that_it_has_to_log_in_again() {
    let Some(python) = std::env::var_os("STATEWISE_INTEROP_PYTHON") else {
        println!("skipped: STATEWISE_INTEROP_PYTHON names no python that has requests-oauthlib");
        return;
    };
    let api = Api::start();
    let token = api.log_in("alice", PASSWORD);
    let refresh = |token: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oauth/refresh.py");
        let url = format!("{}/refresh", api.0.origin());
        let output = Command::new(&python).args([script, &url, token]).output();
        let output = output.expect("python runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let refreshed = refresh(&token);
    let refreshed = refreshed.trim_end().strip_prefix("Bearer ");
    api.get("/me", refreshed.expect("a token")).expect(200);
    api.call("/logout", Some(&token), &["-X", "POST"])
        .expect(204);
    assert_eq!(refresh(&token), "InvalidGrantError\n");
    assert_eq!(refresh("guess"), "InvalidGrantError\n");
}
