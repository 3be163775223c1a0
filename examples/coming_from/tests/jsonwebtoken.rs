//! The port from jsonwebtoken: the same answers, and no token is refused on the way.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coming_from::jsonwebtoken::steps::{self, Shared, Step};
use coming_from::users::Users;
use serde_json::Value;
use statewise::clock::{Clock as _, Timestamp};
use statewise::revocation::MemoryLog;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::Key;

use common::{AFTER_OVERLAP, Node, Seen, rolling, walk};
use support::{Answer, curl};

const PASSWORD: &str = "open sesame";
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Site {
    shared: Shared,
    clock: ManualClock,
}

impl Site {
    fn new(users: Users) -> Self {
        // The old library reads the clock of the system.
        let now = SystemTime::now();
        let shared = Shared {
            users,
            key: Key::generate_hs256().unwrap(),
            log: Arc::new(MemoryLog::new().unwrap()),
            old_until: (now + 7 * DAY).into(),
        };
        let clock = ManualClock::new(now.into());
        Self { shared, clock }
    }

    fn node(&self, step: Step) -> Node {
        Node::new(block_on(steps::node(step, &self.shared, self.clock.clone())).unwrap())
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }
}

fn users() -> Users {
    Users::default()
        .with("alice", PASSWORD, &["reports", "admin"])
        .with("bob", PASSWORD, &[])
}

fn call(node: &Node, path: &str, token: Option<&str>, args: &[&str]) -> Answer {
    let url = format!("{}{path}", node.origin());
    let field = token.map(|token| format!("Authorization: Bearer {token}"));
    match &field {
        Some(field) => curl(&[args, &["-H", field, &url]].concat()),
        None => curl(&[args, &[&url]].concat()),
    }
}

fn ask_token(node: &Node, user: &str, password: &str) -> Answer {
    let given = format!("{{\"user\":\"{user}\",\"password\":\"{password}\"}}");
    call(node, "/token", None, &["--json", &given])
}

fn log_in(node: &Node, user: &str) -> String {
    let answer = ask_token(node, user, PASSWORD).expect(200);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["token_type"], "Bearer");
    body["access_token"].as_str().unwrap().to_owned()
}

/// Sends the same requests to each service. The text of a token is left out.
fn replay(node: &Node) -> Vec<(&'static str, Seen)> {
    let [alice, bob] = ["alice", "bob"].map(|user| log_in(node, user));
    let forged = format!("{}A", &alice[..alice.len() - 2]);
    let basic = ["-u", "alice:open sesame"];
    let mut token = ask_token(node, "alice", PASSWORD);
    let fields: Value = serde_json::from_str(&token.body).unwrap();
    token.body = fields
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    let answers = [
        ("token", token),
        ("wrong password", ask_token(node, "alice", "guess")),
        ("unknown user", ask_token(node, "carol", PASSWORD)),
        ("no JSON", call(node, "/token", None, &["-d", "user=alice"])),
        ("me", call(node, "/me", Some(&alice), &[])),
        ("bob", call(node, "/me", Some(&bob), &[])),
        ("reports", call(node, "/reports", Some(&alice), &[])),
        ("bob's reports", call(node, "/reports", Some(&bob), &[])),
        ("no token", call(node, "/me", None, &[])),
        ("basic", call(node, "/me", None, &basic)),
        ("forged", call(node, "/me", Some(&forged), &[])),
        ("no dots", call(node, "/me", Some("x"), &[])),
        (
            "lower case",
            call(
                node,
                "/me",
                None,
                &["-H", &format!("Authorization: bearer {alice}")],
            ),
        ),
        (
            "logout",
            call(node, "/logout", Some(&alice), &["-X", "POST"]),
        ),
        ("me after the logout", call(node, "/me", Some(&alice), &[])),
        ("bob after it", call(node, "/me", Some(&bob), &[])),
        (
            "logout without a token",
            call(node, "/logout", None, &["-X", "POST"]),
        ),
        ("unknown path", call(node, "/other", None, &[])),
    ];
    answers
        .map(|(name, answer)| (name, Seen::of(&answer)))
        .into()
}

/// Differences that are wanted, from the step on in which they begin.
#[rustfmt::skip]
const WANTED: [(Step, &str); 5] = [
    // RFC 6749, section 5.1.
    (Step::IssueNew, r#"token: body "access_token token_type" -> "access_token expires_in token_type""#),
    // The name of a scheme has no case (RFC 9110, section 11.1).
    (Step::AcceptBoth, "lower case: status 401 -> 200"),
    (Step::AcceptBoth, r#"lower case: body "{\"error\":\"missing token\"}" -> "{\"user\":\"1000\",\"company\":\"ACME\"}""#),
    // A logout ends the token.
    (Step::AcceptBoth, "me after the logout: status 200 -> 401"),
    (Step::AcceptBoth, r#"me after the logout: body "{\"user\":\"1000\",\"company\":\"ACME\"}" -> "{\"error\":\"invalid token\"}""#),
];

#[test]
fn the_port_answers_as_the_old_service() {
    let seen = |step| replay(&Site::new(users()).node(step));
    let before = seen(Step::Before);
    for step in [Step::AcceptBoth, Step::IssueNew, Step::After] {
        let mut found = Vec::new();
        for ((name, before), (_, after)) in before.iter().zip(&seen(step)) {
            common::compare(name, before, after, &mut found);
        }
        let wanted = WANTED.iter().filter(|(since, _)| *since <= step);
        let wanted: Vec<_> = wanted.map(|(_, difference)| *difference).collect();
        assert_eq!(found, wanted, "{step:?}");
    }
}

struct Client {
    name: String,
    token: String,
    until: Timestamp,
}

impl common::Users for Site {
    type Client = Client;

    fn log_in(&self, node: &Node, name: &str) -> Client {
        Client {
            name: name.to_owned(),
            token: log_in(node, name),
            until: self.now().saturating_add(DAY.as_secs()),
        }
    }

    /// A client with an expired token logs in again, as before the port.
    fn call(&self, client: &mut Client, node: &Node) -> Result<(), String> {
        if client.until <= self.now() {
            *client = self.log_in(node, &client.name);
        }
        let answer = call(node, "/me", Some(&client.token), &[]);
        let user = self.shared.users.by_name(&client.name).unwrap();
        let me = format!("{{\"user\":\"{}\",\"company\":\"ACME\"}}", user.id);
        let is_right = answer.status == 200 && answer.body == me;
        is_right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    }
}

#[test]
fn nobody_is_refused_on_the_way() {
    let names: Vec<_> = (0..rolling(4).len()).map(|n| format!("user{n}")).collect();
    let users = names.iter().fold(Users::default(), |users, name| {
        users.with(name, PASSWORD, &[])
    });
    let site = Site::new(users);
    let begin = site.now();
    let start = |step: usize| {
        let step = Step::ALL[step];
        // The third deployment begins when the tokens of the first one have expired.
        if step == Step::After && site.now() < begin.saturating_add(DAY.as_secs()) {
            site.clock.advance(DAY + AFTER_OVERLAP);
        }
        site.node(step)
    };
    let refused = walk(&site, &names, Step::ALL.len(), &site.clock, start);
    assert!(refused.is_empty(), "{refused:#?}");
}

/// From the first deployment on. The old service has no logout.
#[test]
fn tokens_are_refused_after_a_logout() {
    for steps in [
        [Step::AcceptBoth, Step::AcceptBoth],
        [Step::AcceptBoth, Step::IssueNew],
        [Step::IssueNew, Step::AcceptBoth],
        [Step::IssueNew, Step::After],
        [Step::After, Step::IssueNew],
    ] {
        let site = Site::new(users());
        let nodes = steps.map(|step| site.node(step));
        // Not of one user: two old tokens of the same second are equal.
        let [token, other] = ["alice", "bob"].map(|user| log_in(&nodes[0], user));
        let out = if steps == [Step::AcceptBoth, Step::IssueNew] {
            &nodes[1]
        } else {
            &nodes[0]
        };
        call(out, "/me", Some(&token), &[]).expect(200);
        call(out, "/logout", Some(&token), &["-X", "POST"]).expect(204);
        // Within the bound of the log.
        site.clock.advance(Duration::from_secs(1));
        for node in &nodes {
            node.tick();
            call(node, "/me", Some(&token), &[]).expect(401);
            call(node, "/me", Some(&other), &[]).expect(200);
        }
    }
}

/// The reason for the first deployment.
#[test]
fn an_old_node_refuses_new_tokens() {
    let site = Site::new(users());
    let [old, new] = [Step::Before, Step::IssueNew].map(|step| site.node(step));
    let token = log_in(&new, "alice");
    call(&old, "/me", Some(&token), &[]).expect(401);
    call(&new, "/me", Some(&log_in(&old, "alice")), &[]).expect(200);
}

/// The short secret is accepted until its end date only.
#[test]
fn the_old_secret_has_an_end() {
    let site = Site::new(users());
    let [old, new] = [Step::Before, Step::IssueNew].map(|step| site.node(step));
    let token = log_in(&old, "alice");
    call(&new, "/me", Some(&token), &[]).expect(200);
    let mut shared = site.shared.clone();
    shared.old_until = site.now().into();
    let ended =
        Node::new(block_on(steps::node(Step::IssueNew, &shared, site.clock.clone())).unwrap());
    call(&ended, "/me", Some(&token), &[]).expect(401);
}
