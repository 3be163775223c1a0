//! The port from iron-session: the recorded answers of Node, and all users stay logged in.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coming_from::iron_session::old_sessions::{Ended, OldSessions};
use coming_from::iron_session::seal::{Nonces, open, seal};
use coming_from::iron_session::steps::{self, Step, Stores};
use coming_from::users::Users;
use serde_json::Value;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::{Authenticator as _, Login, Rejection};

use common::{AFTER_OVERLAP, Browser, Node};
use common::{differences, is_redirect, recorded, replay, rolling, text, walk};
use support::curl;

const PASSWORD: &str = "open sesame";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn record() -> Value {
    serde_json::from_str(include_str!("data/iron_session.json")).unwrap()
}

fn session(name: &str) -> &'static str {
    text(&record()["session"][name])
}

struct Site {
    stores: Stores,
    clock: ManualClock,
}

impl Site {
    /// Returns a site one day before the session of Node expires.
    fn new(users: Users) -> Self {
        let expires = open(session("password"), session("cookie"))
            .unwrap()
            .expires;
        let expires = Timestamp::from_unix((expires / 1000).unsigned_abs());
        let stores = Stores {
            users,
            password: session("password").to_owned(),
            ended: Ended::default(),
            new: Arc::new(MemoryStore::with_capacity(1000).unwrap()),
        };
        let clock = ManualClock::new(expires.saturating_sub(DAY.as_secs()).into());
        Self { stores, clock }
    }

    fn node(&self, step: Step) -> Node {
        Node::new(steps::node(step, &self.stores, self.clock.clone()).unwrap())
    }

    fn old_sessions(&self) -> OldSessions {
        OldSessions {
            password: self.stores.password.clone(),
            ended: self.stores.ended.clone(),
            clock: Arc::new(self.clock.clone()),
        }
    }
}

fn users() -> Users {
    let users = Users::default().with("alice", PASSWORD, &[]);
    users.with("bob", PASSWORD, &[])
}

/// Differences that are wanted, beside the status and the body of redirects, from the step on in which they
/// begin.
#[rustfmt::skip]
const WANTED: [(Step, &str); 11] = [
    // The login page leads back.
    (Step::AcceptBoth, "a page of a visitor: location /login -> /login?next=/account"),
    // Scripts and programs cannot fill in a form.
    (Step::AcceptBoth, "the same for a program: status 302 -> 401"),
    (Step::AcceptBoth, "the same for a program: location /login -> none"),
    (Step::AcceptBoth, r#"the same for a program: body "Found. Redirecting to /login" -> "401 Unauthorized\n""#),
    // The data are in the store.
    (Step::IssueNew, r#"another language: cookie "sets" -> """#),
    (Step::AcceptBoth, r#"a language of a visitor: body "Unauthorized" -> "401 Unauthorized\n""#),
    // Protection against forged requests.
    (Step::AcceptBoth, "a form of another site: status 302 -> 403"),
    (Step::AcceptBoth, "a form of another site: location /account -> none"),
    (Step::AcceptBoth, r#"a form of another site: body "Found. Redirecting to /account" -> "403 Forbidden\n""#),
    (Step::AcceptBoth, r#"a form of another site: cookie "sets" -> """#),
    (Step::AcceptBoth, "a page after it: location /login -> /login?next=/account"),
];

#[test]
fn the_port_answers_as_the_record() {
    let (calls, before) = recorded(&record());
    let german = "You are alice, language de.";
    assert!(before.iter().any(|seen| seen.body == german));
    for step in Step::ALL {
        let after = replay(&Site::new(users()).node(step).served, &calls);
        let found = differences(&calls, &before, &after);
        let (redirects, found): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| is_redirect(found));
        assert_eq!(redirects.len(), 16, "{redirects:#?}");
        let wanted = WANTED.iter().filter(|(since, _)| *since <= step);
        let wanted: Vec<_> = wanted.map(|(_, difference)| *difference).collect();
        assert_eq!(found, wanted, "{step:?}");
    }
}

struct ByForm;

impl common::Users for ByForm {
    /// With the name of the user.
    type Client = (Browser, String);

    /// Logs in and changes the data.
    fn log_in(&self, node: &Node, name: &str) -> Self::Client {
        let mut browser = Browser::at(node.origin());
        browser.log_in(name, PASSWORD).expect(303);
        let form = format!("language={name}");
        browser.run("/language", &["-d", &form]).expect(303);
        (browser, name.to_owned())
    }

    fn call(&self, (browser, name): &mut Self::Client, node: &Node) -> Result<(), String> {
        browser.move_to(node);
        let answer = browser.get("/account");
        let expected = format!("You are {name}, language {name}.");
        let is_right = answer.status == 200 && answer.body == expected;
        is_right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    }
}

#[test]
fn nobody_is_logged_out_on_the_way() {
    let names: Vec<_> = (0..rolling(3).len()).map(|n| format!("user{n}")).collect();
    let users = names.iter().fold(Users::default(), |users, name| {
        users.with(name, PASSWORD, &[])
    });
    let site = Site::new(users);
    let start = |step: usize| site.node(Step::ALL[step]);
    let refused = walk(&ByForm, &names, Step::ALL.len(), &site.clock, start);
    assert!(refused.is_empty(), "{refused:#?}");
}

fn account(node: &Node, cookie: &str) -> support::Answer {
    let field = format!("Cookie: {cookie}");
    curl(&["-H", &field, &format!("{}/account", node.origin())])
}

#[test]
fn a_session_of_node_is_accepted_upgraded_and_ended() {
    let cookie = format!("session={}", session("cookie"));
    for logout in [Step::AcceptBoth, Step::IssueNew] {
        let site = Site::new(users());
        let nodes = [Step::AcceptBoth, Step::IssueNew].map(|step| site.node(step));
        for node in &nodes {
            let answer = account(node, &cookie).expect(200);
            assert_eq!(answer.body, "You are alice, language en.");
        }
        let node = site.node(logout);
        let (field, url) = (
            format!("Cookie: {cookie}"),
            format!("{}/logout", node.origin()),
        );
        curl(&["-H", &field, "-X", "POST", &url]).expect(303);
        // The suffix is not signed.
        let shorter = cookie.strip_suffix("~2").unwrap();
        for node in &nodes {
            account(node, &cookie).expect(401);
            account(node, shorter).expect(401);
        }
    }
}

#[test]
fn a_session_of_node_expires() {
    let cookie = format!("session={}", session("cookie"));
    let site = Site::new(users());
    let node = site.node(Step::AcceptBoth);
    site.clock.advance(DAY - Duration::from_secs(1));
    account(&node, &cookie).expect(200);
    site.clock.advance(Duration::from_secs(1));
    account(&node, &cookie).expect(401);
}

/// Cookies that the port seals are those of Node, so Node accepts them.
#[test]
fn the_port_seals_what_node_seals() {
    let (password, cookie) = (session("password"), session("cookie"));
    let opened = open(password, cookie).unwrap();
    assert_eq!(String::from_utf8_lossy(&opened.data), session("data"));
    let parts: Vec<_> = cookie.split('*').collect();
    let nonces = Nonces {
        salt: parts[2].to_owned(),
        mac_salt: parts[6].to_owned(),
        iv: URL_SAFE_NO_PAD
            .decode(parts[3])
            .unwrap()
            .try_into()
            .unwrap(),
    };
    let sealed = seal(password, &opened.data, opened.expires, &nonces).unwrap();
    assert_eq!(sealed, cookie);

    // A login of the port has one value more.
    let old = Site::new(users()).old_sessions();
    let profile = coming_from::express::after::Profile {
        language: "en".to_owned(),
    };
    let issued = block_on(old.issue(Login::new("alice").data(profile))).unwrap();
    let data = open(password, issued.credential().reveal()).unwrap().data;
    let mut data: Value = serde_json::from_slice(&data).unwrap();
    assert!(data.as_object_mut().unwrap().remove("since").is_some());
    let expected: Value = serde_json::from_str(session("data")).unwrap();
    assert_eq!(data, expected);
}

#[test]
fn a_changed_cookie_is_rejected() {
    let (password, cookie) = (session("password"), session("cookie"));
    for at in 0..cookie.len() - "~2".len() {
        let other = if cookie.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        let mut changed = cookie.to_owned();
        changed.replace_range(at..=at, other);
        let error = open(password, &changed).unwrap_err();
        assert!(error.is_rejected(), "{changed}: {error}");
    }
    let error = open("another password of the old service", cookie).unwrap_err();
    assert_eq!(error.rejection(), Some(Rejection::BadSignature));
}

#[test]
fn credentials_are_refused_after_a_logout() {
    for (at, after) in Step::ALL.into_iter().zip(Step::ALL.into_iter().skip(1)) {
        for steps in [[at, after], [after, at]] {
            let site = Site::new(users());
            let nodes = steps.map(|step| site.node(step));
            let mut browser = Browser::at(nodes[0].origin());
            browser.log_in("alice", PASSWORD).expect(303);
            let mut held = browser.cookies();
            browser.move_to(&nodes[1]);
            browser.get("/account").expect(200);
            held.extend(browser.cookies());
            browser.post("/logout").expect(303);
            site.clock.advance(AFTER_OVERLAP);
            for node in &nodes {
                node.tick();
                for cookie in &held {
                    account(node, cookie).expect(401);
                }
            }
        }
    }
}
