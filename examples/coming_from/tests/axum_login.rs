//! The port from axum-login: the same answers, and all users stay logged in.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::SystemTime;

use coming_from::axum_login::old_sessions::OldSessions;
use coming_from::axum_login::steps::{self, Step, Stores};
use coming_from::axum_login::{FORM, before};
use coming_from::users::Users;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::{Authenticator as _, Revocation};

use common::{AFTER_OVERLAP, Browser, Call, NAVIGATION, Node};
use common::{differences, replay, rolling, walk};
use support::{Served, curl};

const PASSWORD: &str = "open sesame";

struct Site {
    stores: Stores,
    clock: ManualClock,
}

impl Site {
    fn new(users: Users) -> Self {
        let stores = Stores {
            users,
            old: Default::default(),
            new: Arc::new(MemoryStore::with_capacity(1000).unwrap()),
        };
        // The old library reads the clock of the system.
        let clock = ManualClock::new(SystemTime::now().into());
        Self { stores, clock }
    }

    fn node(&self, step: Step) -> Node {
        Node::new(steps::node(step, &self.stores, self.clock.clone()).unwrap())
    }
}

fn users() -> Users {
    Users::default()
        .with("alice", PASSWORD, &["reports", "admin"])
        .with("bob", PASSWORD, &["reports"])
}

fn calls() -> Vec<Call> {
    const ALICE: &[&str] = &["-d", "user=alice&password=open sesame"];
    const BOB: &[&str] = &["-d", "user=bob&password=open sesame"];
    const POST: &[&str] = &["-X", "POST"];
    let call = |name, by, path, args: &[&'static str]| Call {
        name,
        by,
        path,
        args: args.into(),
    };
    vec![
        call("public page of a stranger", 0, "/", &[]),
        call("account of a stranger", 0, "/account?tab=1", &NAVIGATION),
        call("account by a script", 0, "/account", &[]),
        call("reports of a stranger", 0, "/reports", &[]),
        call("form", 0, "/login", &[]),
        call(
            "wrong password",
            0,
            "/login",
            &["-d", "user=alice&password=guess"],
        ),
        call("right password", 0, "/login?next=%2Faccount", ALICE),
        call("account", 0, "/account", &NAVIGATION),
        call("public page", 0, "/", &[]),
        call("reports", 0, "/reports", &[]),
        call("bob logs in", 1, "/login", BOB),
        call("bob's reports", 1, "/reports", &[]),
        call("bob demotes", 1, "/members/alice/demote", POST),
        call("alice demotes", 0, "/members/bob/demote", POST),
        call("bob's reports afterwards", 1, "/reports", &[]),
        call("bob's account", 1, "/account", &NAVIGATION),
        call("unknown member", 0, "/members/carol/demote", POST),
        call("other device", 2, "/login", ALICE),
        call(
            "new password",
            0,
            "/password",
            &["-d", "password=open barley"],
        ),
        call("account with it", 0, "/account", &NAVIGATION),
        call("other device, public page", 2, "/", &[]),
        call("other device, account", 2, "/account", &NAVIGATION),
        call("old password", 2, "/login", ALICE),
        call("next elsewhere", 2, "/login?next=https://evil.example", BOB),
        call(
            "form of another site",
            3,
            "/login",
            &[
                "-H",
                "Origin: https://evil.example",
                "-d",
                "user=bob&password=open sesame",
            ],
        ),
        call("logout", 0, "/logout", POST),
        call("account after the logout", 0, "/account", &NAVIGATION),
        call("logout of a stranger", 4, "/logout", POST),
    ]
}

/// Differences that are wanted, from the step on in which they begin.
#[rustfmt::skip]
const WANTED: [(Step, &str); 20] = [
    // A redirect after a GET needs no 307; the `/` in a query needs no escape (RFC 3986, section 3.4).
    (Step::AcceptBoth, "account of a stranger: status 307 -> 303"),
    (Step::AcceptBoth, "account of a stranger: location /login?next=%2Faccount%3Ftab%3D1 -> /login?next=/account%3Ftab%3D1"),
    // Scripts cannot show a form.
    (Step::AcceptBoth, "account by a script: status 307 -> 401"),
    (Step::AcceptBoth, "account by a script: location /login?next=%2Faccount -> none"),
    (Step::AcceptBoth, r#"account by a script: body "" -> "401 Unauthorized\n""#),
    // 403 is for known users (RFC 9110, section 15.5.2).
    (Step::AcceptBoth, "reports of a stranger: status 403 -> 401"),
    (Step::AcceptBoth, r#"reports of a stranger: body "" -> "401 Unauthorized\n""#),
    // A denial has a text, unless `on_denial` gives another one.
    (Step::AcceptBoth, r#"bob demotes: body "" -> "403 Forbidden\n""#),
    (Step::AcceptBoth, r#"bob's reports afterwards: body "" -> "403 Forbidden\n""#),
    // Changed roles give the session a new id (OWASP ASVS 7.2.4).
    (Step::IssueNew, r#"bob's reports afterwards: cookie "" -> "sets""#),
    (Step::AcceptBoth, "other device, account: status 307 -> 303"),
    (Step::AcceptBoth, "other device, account: location /login?next=%2Faccount -> /login?next=/account"),
    // No open redirect.
    (Step::AcceptBoth, "next elsewhere: location https://evil.example -> /"),
    // Protection against forged requests.
    (Step::AcceptBoth, "form of another site: status 303 -> 403"),
    (Step::AcceptBoth, "form of another site: location / -> none"),
    (Step::AcceptBoth, r#"form of another site: body "" -> "403 Forbidden\n""#),
    (Step::AcceptBoth, r#"form of another site: cookie "sets" -> """#),
    (Step::AcceptBoth, "account after the logout: status 307 -> 303"),
    (Step::AcceptBoth, "account after the logout: location /login?next=%2Faccount -> /login?next=/account"),
    // Each logout removes the cookies, also those that the request did not carry.
    (Step::AcceptBoth, r#"logout of a stranger: cookie "" -> "removes""#),
];

#[test]
fn the_port_answers_as_the_old_service() {
    let seen = |step| {
        let node = Site::new(users()).node(step);
        replay(&node.served, &calls())
    };
    let before = seen(Step::Before);
    assert!(before.iter().any(|seen| seen.body == FORM), "{before:?}");
    for step in [Step::AcceptBoth, Step::IssueNew, Step::After] {
        let wanted = WANTED.iter().filter(|(since, _)| *since <= step);
        let wanted: Vec<_> = wanted.map(|(_, difference)| *difference).collect();
        let found = differences(&calls(), &before, &seen(step));
        assert_eq!(found, wanted, "{step:?}");
    }
}

impl common::Users for Site {
    /// A browser, and the name of the user.
    type Client = (Browser, String);

    fn log_in(&self, node: &Node, name: &str) -> Self::Client {
        let mut browser = Browser::at(node.origin());
        browser.log_in(name, PASSWORD).expect(303);
        (browser, name.to_owned())
    }

    fn call(&self, (browser, name): &mut Self::Client, node: &Node) -> Result<(), String> {
        browser.move_to(node);
        let answer = browser.get("/account");
        let is_right = answer.status == 200 && answer.body == format!("account of {name}");
        is_right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    }
}

#[test]
fn nobody_is_logged_out_on_the_way() {
    let names: Vec<_> = (0..rolling(4).len()).map(|n| format!("user{n}")).collect();
    let users = names.iter().fold(Users::default(), |users, name| {
        users.with(name, PASSWORD, &[])
    });
    let site = Site::new(users);
    let start = |step: usize| site.node(Step::ALL[step]);
    let refused = walk(&site, &names, Step::ALL.len(), &site.clock, start);
    assert!(refused.is_empty(), "{refused:#?}");
}

fn status_with(node: &Node, cookie: &str) -> u16 {
    let (field, url) = (
        format!("Cookie: {cookie}"),
        format!("{}/account", node.origin()),
    );
    curl(&["-H", &field, &url]).status
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
            assert_eq!(browser.cookies(), [""; 0], "{steps:?}");
            site.clock.advance(AFTER_OVERLAP);
            for (step, node) in steps.iter().zip(&nodes) {
                node.tick();
                for cookie in &held {
                    let status = status_with(node, cookie);
                    assert!(
                        [307, 401].contains(&status),
                        "{steps:?}, {step:?}: {status}"
                    );
                }
            }
        }
    }
}

/// Another node than that of the upgrade ends the new login; the old session ends with the overlap.
#[test]
fn an_old_session_ends_a_minute_after_a_logout_on_another_node() {
    let site = Site::new(users());
    let [old, first, second] =
        [Step::Before, Step::IssueNew, Step::IssueNew].map(|step| site.node(step));
    let mut browser = Browser::at(old.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    let session = browser.cookies();
    browser.move_to(&first);
    browser.get("/account").expect(200);
    browser.move_to(&second);
    browser.post("/logout").expect(303);
    site.clock.advance(AFTER_OVERLAP);
    first.tick();
    for node in [&first, &second] {
        assert_eq!(status_with(node, &session[0]), 401);
    }
}

#[test]
fn a_new_password_ends_sessions_of_both_kinds() {
    for step in [Step::AcceptBoth, Step::IssueNew] {
        let site = Site::new(users());
        let old = site.node(Step::Before);
        let node = site.node(step);
        let [mut alice, mut phone, mut tablet] =
            [&old, &old, &node].map(|node| Browser::at(node.origin()));
        for browser in [&mut alice, &mut phone, &mut tablet] {
            browser.log_in("alice", PASSWORD).expect(303);
        }
        alice.move_to(&node);
        alice
            .run("/password", &["-d", "password=open barley"])
            .expect(303);
        alice.get("/account").expect(200);
        phone.move_to(&node);
        for ended in [&mut phone, &mut tablet] {
            ended.get("/account").expect(401);
        }
    }
}

/// A service that skips `AcceptBoth` logs its users out: the reason for that step.
#[test]
fn an_old_node_removes_a_new_cookie_of_its_name() {
    let site = Site::new(users());
    let old = Served::new(before::router(
        site.stores.users.clone(),
        site.stores.old.clone(),
    ));
    let mut browser = Browser::at(old.origin());
    let unknown = ["-H", "Cookie: id=AAAAAAAAAAAAAAAAAAAAAA"];
    let answer = browser.run("/", &unknown).expect(200);
    assert!(answer.field("set-cookie").starts_with("id=;"), "{answer:?}");
}

/// A logout everywhere without a new password does not reach old sessions, and says until when they live.
#[test]
fn a_logout_everywhere_says_how_long_old_sessions_live() {
    let site = Site::new(users());
    let node = site.node(Step::AcceptBoth);
    let mut browser = Browser::at(node.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    let cookie = browser.cookies().remove(0);
    let (_, credential) = cookie.split_once('=').unwrap();
    let old = OldSessions {
        store: site.stores.old.clone(),
        users: site.stores.users.clone(),
    };
    let alice = site.stores.users.by_name("alice").unwrap().id.to_string();
    let ended = block_on(old.revoke_all(&alice)).unwrap();
    let caller = block_on(old.verify(credential)).unwrap();
    let Revocation::AtExpiry(latest) = ended.effective else {
        panic!("{ended:?}");
    };
    assert!(caller.expires_at() <= latest, "{ended:?}");
    assert_eq!(ended.count, None);
}
