//! The checks of all ports: a replay against the old service and the port, and a walk through the
//! deployments in which users stay logged in.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use statewise::Upkeep;
use statewise::testkit::{ManualClock, block_on};

use crate::support::{Answer, Served, curl};

/// Fields of a browser that shows a page.
pub(crate) const NAVIGATION: [&str; 4] = [
    "-H",
    "Sec-Fetch-Mode: navigate",
    "-H",
    "Sec-Fetch-Dest: document",
];
/// More than the overlap of an upgrade, and more than the time in which it is repeated.
pub(crate) const AFTER_OVERLAP: Duration = Duration::from_secs(61);

/// curl with the cookies of one user, for all ports of the host. (With a file of cookies, curl 7.88
/// forgets a removal that another one follows.)
pub(crate) struct Browser {
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn at(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn move_to(&mut self, node: &Node) {
        node.origin().clone_into(&mut self.origin);
    }

    /// Returns the cookies as pairs.
    pub(crate) fn cookies(&self) -> Vec<String> {
        let pairs = self.cookies.iter();
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    pub(crate) fn run(&mut self, path: &str, args: &[&str]) -> Answer {
        let (url, cookies) = (format!("{}{path}", self.origin), self.cookies().join("; "));
        let answer = match &*cookies {
            "" => curl(&[args, &[&url]].concat()),
            cookies => curl(&[args, &["-b", cookies, &url]].concat()),
        };
        for set in answer.all("set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').expect("a name");
            if is_removal(attributes) {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.run(path, &[])
    }

    pub(crate) fn post(&mut self, path: &str) -> Answer {
        self.run(path, &["-X", "POST"])
    }

    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Answer {
        let form = format!("user={user}&password={password}");
        self.run("/login", &["-d", &form])
    }
}

fn is_removal(attributes: &str) -> bool {
    attributes
        .split("; ")
        .any(|attribute| attribute.trim() == "Max-Age=0")
}

/// A request of the replay.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// Number of the browser that sends it.
    pub(crate) by: usize,
    pub(crate) path: &'static str,
    pub(crate) args: Vec<&'static str>,
}

/// An answer, as a client sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
    /// Effect on the cookies: `sets`, `removes` or nothing.
    pub(crate) cookie: &'static str,
}

impl Seen {
    pub(crate) fn of(answer: &Answer) -> Self {
        let set = answer.all("set-cookie");
        Self {
            status: answer.status,
            location: answer.all("location").first().map(|&to| to.to_owned()),
            body: answer.body.clone(),
            cookie: match &set[..] {
                [] => "",
                all if all.iter().all(|set| is_removal(set)) => "removes",
                _ => "sets",
            },
        }
    }
}

pub(crate) fn text(value: &Value) -> &'static str {
    value.as_str().unwrap().to_owned().leak()
}

/// Returns the recorded requests for curl, and the recorded answers.
pub(crate) fn recorded(record: &Value) -> (Vec<Call>, Vec<Seen>) {
    let calls = record["calls"].as_array().unwrap().iter();
    let pairs = calls.map(|call| {
        let mut args = Vec::new();
        for (name, value) in call["fields"].as_object().unwrap() {
            let field: &str = format!("{name}: {}", text(value)).leak();
            args.extend(["-H", field]);
        }
        if !call["form"].is_null() {
            args.extend(["-d", text(&call["form"])]);
        }
        let seen = &call["seen"];
        let seen = Seen {
            status: seen["status"].as_u64().unwrap().try_into().unwrap(),
            location: seen["location"].as_str().map(str::to_owned),
            body: text(&seen["body"]).to_owned(),
            cookie: text(&seen["cookie"]),
        };
        let call = Call {
            name: text(&call["name"]),
            by: call["by"].as_u64().unwrap().try_into().unwrap(),
            path: text(&call["path"]),
            args,
        };
        (call, seen)
    });
    pairs.unzip()
}

/// Sends the calls to one service.
pub(crate) fn replay(service: &Served, calls: &[Call]) -> Vec<Seen> {
    let count = calls.iter().map(|call| call.by + 1).max().unwrap();
    let mut browsers: Vec<_> = (0..count).map(|_| Browser::at(service.origin())).collect();
    let seen = calls.iter().map(|call| {
        let answer = browsers[call.by].run(call.path, &call.args);
        Seen::of(&answer)
    });
    seen.collect()
}

/// Lists the differences, one a line.
pub(crate) fn differences(calls: &[Call], before: &[Seen], after: &[Seen]) -> Vec<String> {
    let mut found = Vec::new();
    for (call, (before, after)) in calls.iter().zip(before.iter().zip(after)) {
        compare(call.name, before, after, &mut found);
    }
    found
}

/// Adds the differences of two answers.
pub(crate) fn compare(name: &str, before: &Seen, after: &Seen, found: &mut Vec<String>) {
    let mut note = |what: &str, before: String, after: String| {
        if before != after {
            found.push(format!("{name}: {what} {before} -> {after}"));
        }
    };
    let location = |seen: &Seen| seen.location.clone().unwrap_or_else(|| "none".to_owned());
    let text = |text: &str| format!("{text:?}");
    note(
        "status",
        before.status.to_string(),
        after.status.to_string(),
    );
    note("location", location(before), location(after));
    note("body", text(&before.body), text(&after.body));
    note("cookie", text(before.cookie), text(after.cookie));
}

/// A redirect of axum is 303, which is what browsers make of 302, and has no body.
pub(crate) fn is_redirect(difference: &str) -> bool {
    difference.ends_with("status 302 -> 303")
        || difference.contains(r#"body "Found. Redirecting to "#)
            && difference.ends_with(r#" -> """#)
}

/// A node of one deployment.
pub(crate) struct Node {
    pub(crate) served: Served,
    pub(crate) upkeep: Upkeep,
}

impl Node {
    pub(crate) fn new((router, upkeep): (Router, Upkeep)) -> Self {
        Self {
            served: Served::new(router),
            upkeep,
        }
    }

    pub(crate) fn origin(&self) -> &str {
        self.served.origin()
    }

    /// Does the background work that is due.
    pub(crate) fn tick(&self) {
        block_on(self.upkeep.tick()).expect("the stores answer");
    }
}

/// Returns the steps of two nodes in a rolling deployment of `count` steps: forward, back and forward
/// again over each of them.
pub(crate) fn rolling(count: usize) -> Vec<(usize, usize)> {
    let mut pairs = vec![(0, 0)];
    for step in 1..count {
        let before = step - 1;
        for next in [step, before, step] {
            let last = if next == step { before } else { step };
            pairs.extend([(next, last), (next, next)]);
        }
    }
    pairs
}

/// Users of a service, for the walk.
pub(crate) trait Users {
    /// A client with its credential.
    type Client;

    /// Logs in at a node.
    fn log_in(&self, node: &Node, name: &str) -> Self::Client;

    /// Calls a node; returns the problem if it does not answer as for this user.
    fn call(&self, client: &mut Self::Client, node: &Node) -> Result<(), String>;
}

/// Walks two nodes through all steps. At each moment one more user logs in, and all users call both
/// nodes. Returns the users that were refused, and prints the count.
pub(crate) fn walk<U: Users>(
    users: &U,
    names: &[String],
    count: usize,
    clock: &ManualClock,
    start: impl Fn(usize) -> Node,
) -> Vec<String> {
    let (mut clients, mut refused, mut calls) = (Vec::new(), Vec::new(), 0);
    let mut nodes: Option<[(usize, Node); 2]> = None;
    let pairs = rolling(count);
    assert!(names.len() >= pairs.len(), "too few users");
    for (number, (first, second)) in pairs.into_iter().enumerate() {
        let mut old = nodes.take().map_or([None, None], |nodes| nodes.map(Some));
        let mut node = |index: usize, step: usize| match old[index].take() {
            Some(node) if node.0 == step => node,
            _ => (step, start(step)),
        };
        let running = [node(0, first), node(1, second)];
        // After a pause, nodes read the log again.
        running.iter().for_each(|(_, node)| node.tick());
        // Logs in before the nodes are used, and half of the time at each of them.
        clients.push(users.log_in(&running[number % 2].1, &names[number]));
        for (user, client) in clients.iter_mut().enumerate() {
            for at in [number % 2, 1 - number % 2] {
                calls += 1;
                if let Err(problem) = users.call(client, &running[at].1) {
                    let steps = (first, second);
                    refused.push(format!("user {user} at {steps:?}, node {at}: {problem}"));
                }
            }
        }
        clock.advance(AFTER_OVERLAP);
        running.iter().for_each(|(_, node)| node.tick());
        nodes = Some(running);
    }
    println!("{} of {calls} calls refused", refused.len());
    refused
}
