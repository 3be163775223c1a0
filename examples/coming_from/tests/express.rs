//! The port from express-session: the recorded answers of the old service, and all users stay
//! logged in. `express/record` makes the record; this test needs no Node.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use coming_from::express::after::Profile;
use coming_from::express::old_sessions::{OldSessions, Rows};
use coming_from::express::steps::{self, Step, Stores};
use coming_from::users::Users;
use serde_json::Value;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::{Authenticator as _, Revocation};

use common::{AFTER_OVERLAP, Browser, Node};
use common::{differences, is_redirect, recorded, replay, rolling, text, walk};
use support::curl;

const PASSWORD: &str = "open sesame";

fn record() -> Value {
    serde_json::from_str(include_str!("data/express.json")).unwrap()
}

struct Site {
    stores: Stores,
    clock: ManualClock,
}

impl Site {
    /// Returns a site with the session that Node has written.
    fn new(users: Users) -> Self {
        let (clock, session) = (ManualClock::default(), &record()["session"]);
        let rows = Rows::new(clock.clone());
        let row = serde_json::from_str(text(&session["row"])).unwrap();
        rows.set(text(&session["id"]), row);
        let stores = Stores {
            users,
            rows,
            secret: text(&session["secret"]).to_owned(),
            new: Arc::new(MemoryStore::with_capacity(1000).unwrap()),
        };
        Self { stores, clock }
    }

    fn node(&self, step: Step) -> Node {
        Node::new(steps::node(step, &self.stores, self.clock.clone()).unwrap())
    }
}

fn users() -> Users {
    let users = Users::default().with("alice", PASSWORD, &[]);
    users.with("bob", PASSWORD, &[])
}

/// Differences that are wanted, beside the status and the body of redirects.
#[rustfmt::skip]
const WANTED: [&str; 9] = [
    // The login page leads back.
    "a page of a visitor: location /login -> /login?next=/account",
    // Scripts and programs cannot fill in a form.
    "the same for a program: status 302 -> 401",
    "the same for a program: location /login -> none",
    r#"the same for a program: body "Found. Redirecting to /login" -> "401 Unauthorized\n""#,
    r#"a language of a visitor: body "Unauthorized" -> "401 Unauthorized\n""#,
    // Protection against forged requests.
    "a form of another site: status 302 -> 403",
    "a form of another site: location /account -> none",
    r#"a form of another site: body "Found. Redirecting to /account" -> "403 Forbidden\n""#,
    "a page after it: location /login -> /login?next=/account",
];

#[test]
fn the_port_answers_as_the_record() {
    let (calls, before) = recorded(&record());
    assert!(
        before
            .iter()
            .any(|seen| seen.body == "You are alice, language de.")
    );
    for step in Step::ALL {
        let after = replay(&Site::new(users()).node(step).served, &calls);
        let found = differences(&calls, &before, &after);
        let (redirects, found): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| is_redirect(found));
        assert_eq!(redirects.len(), 16, "{redirects:#?}");
        assert_eq!(found, WANTED, "{step:?}");
    }
}

struct ByForm;

impl common::Users for ByForm {
    /// With the name of the user.
    type Client = (Browser, String);

    fn log_in(&self, node: &Node, name: &str) -> Self::Client {
        let mut browser = Browser::at(node.origin());
        browser.log_in(name, PASSWORD).expect(303);
        (browser, name.to_owned())
    }

    fn call(&self, (browser, name): &mut Self::Client, node: &Node) -> Result<(), String> {
        browser.move_to(node);
        let answer = browser.get("/account");
        let expected = format!("You are {name}, language en.");
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

fn carried(cookie: &str) -> [String; 2] {
    ["-H".to_owned(), format!("Cookie: {cookie}")]
}

fn account(node: &Node, cookie: &str) -> support::Answer {
    let [flag, field] = carried(cookie);
    curl(&[&flag, &field, &format!("{}/account", node.origin())])
}

#[test]
fn a_session_of_node_is_accepted_upgraded_and_ended() {
    let session = &record()["session"];
    let cookie = format!("connect.sid={}", text(&session["cookie"]));
    for logout in [Step::AcceptBoth, Step::IssueNew] {
        let site = Site::new(users());
        let [both, new] = [Step::AcceptBoth, Step::IssueNew].map(|step| site.node(step));
        for node in [&both, &new] {
            let answer = account(node, &cookie).expect(200);
            assert_eq!(answer.body, "You are alice, language en.");
        }
        // The id of a session, without its signature.
        let (id, _) = cookie.rsplit_once('.').unwrap();
        let wrong = format!("{id}.{}", "A".repeat(43));
        account(&both, &wrong).expect(401);
        account(&new, &wrong).expect(401);

        let node = if logout == Step::AcceptBoth {
            &both
        } else {
            &new
        };
        let [flag, field] = carried(&cookie);
        let url = format!("{}/logout", node.origin());
        curl(&[&flag, &field, "-X", "POST", &url]).expect(303);
        account(&both, &cookie).expect(401);
        account(&new, &cookie).expect(401);
    }
}

#[test]
fn a_change_of_the_session_is_stored_as_node_stores_it() {
    let session = &record()["session"];
    let cookie = format!("connect.sid={}", text(&session["cookie"]));
    let site = Site::new(users());
    let node = site.node(Step::AcceptBoth);
    let [flag, field] = carried(&cookie);
    let url = format!("{}/language", node.origin());
    curl(&[&flag, &field, "-d", "language=de", &url]).expect(303);
    let mut expected: Value = serde_json::from_str(text(&session["row"])).unwrap();
    expected["language"] = "de".into();
    assert_eq!(site.stores.rows.get(text(&session["id"])), Some(expected));
}

/// Rows and cookies that the port writes are those of Node, so Node accepts them.
#[test]
fn the_port_writes_what_node_writes() {
    let session = &record()["session"];
    let site = Site::new(users());
    let old = OldSessions {
        rows: site.stores.rows.clone(),
        secret: site.stores.secret.clone(),
    };
    let sealed = old.seal(text(&session["id"])).unwrap();
    assert_eq!(sealed.reveal(), text(&session["cookie"]));
    let language = "en".to_owned();
    let row = OldSessions::row("alice", &Profile { language });
    let recorded: Value = serde_json::from_str(text(&session["row"])).unwrap();
    assert_eq!(row, recorded);
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

#[test]
fn all_old_sessions_of_a_user_end_and_change_together() {
    let site = Site::new(users());
    let node = site.node(Step::AcceptBoth);
    let [mut phone, mut tablet, mut bob] = [(); 3].map(|()| Browser::at(node.origin()));
    for browser in [&mut phone, &mut tablet] {
        browser.log_in("alice", PASSWORD).expect(303);
    }
    bob.log_in("bob", PASSWORD).expect(303);
    let old = OldSessions {
        rows: site.stores.rows.clone(),
        secret: site.stores.secret.clone(),
    };
    // And the session that Node has written.
    let changed = block_on(old.update_all("alice", &mut |login| {
        login.data.language = "fr".to_owned();
        Ok(())
    }));
    assert_eq!(changed.unwrap().count, Some(3));
    for browser in [&mut phone, &mut tablet] {
        let answer = browser.get("/account").expect(200);
        assert_eq!(answer.body, "You are alice, language fr.");
    }
    let ended = block_on(old.revoke_all("alice")).unwrap();
    assert_eq!(
        (ended.count, ended.effective),
        (Some(3), Revocation::Immediate)
    );
    for browser in [&mut phone, &mut tablet] {
        browser.get("/account").expect(401);
    }
    let answer = bob.get("/account").expect(200);
    assert_eq!(answer.body, "You are bob, language en.");
}
