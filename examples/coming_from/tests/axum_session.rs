//! The port from axum_session: the same answers, and all users stay logged in.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use axum_session::{DatabasePool as _, SessionMode, SessionStore};
use coming_from::axum_session::old_sessions::OldSessions;
use coming_from::axum_session::pool::MemoryPool;
use coming_from::axum_session::steps::{self, Step, Stores};
use coming_from::axum_session::{FORM, before};
use coming_from::users::Users;
use statewise::Authenticator as _;
use statewise::clock::{Clock, Timestamp};
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use tokio::runtime::Runtime;

use common::{AFTER_OVERLAP, Browser, Call, NAVIGATION, Node};
use common::{differences, replay, rolling, walk};
use support::{Served, curl};

const PASSWORD: &str = "open sesame";
const HOUR: Duration = Duration::from_secs(3600);
/// An id that no service has issued.
const CHOSEN: &str = "4f1c1fd9-3c3a-4b6e-9a55-0d1f6d1a2b3c";

/// For the tasks that axum_session spawns.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

struct Site {
    stores: Stores,
    clock: ManualClock,
}

impl Site {
    fn new(users: Users) -> Self {
        Self::of(SessionMode::Persistent, users)
    }

    fn of(mode: SessionMode, users: Users) -> Self {
        // The old library reads the clock of the system.
        let clock = ManualClock::new(SystemTime::now().into());
        let stores = Stores {
            users,
            old: MemoryPool::new(clock.clone()),
            new: Arc::new(MemoryStore::with_capacity(1000).unwrap()),
            mode,
        };
        Self { stores, clock }
    }

    fn node(&self, step: Step) -> Node {
        let node = steps::node(step, &self.stores, self.clock.clone());
        Node::new(RUNTIME.block_on(node).unwrap())
    }

    /// Serves the old service with the default memory.
    fn with_memory(&self) -> Served {
        let config = before::config(self.stores.mode.clone());
        let config = config.with_memory_lifetime(time::Duration::HOUR);
        let store = SessionStore::new(Some(self.stores.old.clone()), config);
        let router = async { before::router(self.stores.users.clone(), store.await.unwrap()) };
        Served::new(RUNTIME.block_on(router))
    }

    fn old_sessions(&self) -> OldSessions<MemoryPool> {
        OldSessions {
            pool: self.stores.old.clone(),
            users: self.stores.users.clone(),
            clock: Arc::new(self.clock.clone()),
        }
    }
}

fn users() -> Users {
    Users::default()
        .with("alice", PASSWORD, &[])
        .with("bob", PASSWORD, &[])
}

fn both_modes() -> [Site; 2] {
    [SessionMode::Persistent, SessionMode::OptIn].map(|mode| Site::of(mode, users()))
}

fn calls() -> Vec<Call> {
    const ALICE: &[&str] = &["-d", "user=alice&password=open sesame"];
    const BOB: &[&str] = &["-d", "user=bob&password=open sesame&remember=on"];
    const GERMAN: &[&str] = &["-d", "language=de"];
    const POST: &[&str] = &["-X", "POST"];
    let call = |name, by, path, args: &[&'static str]| Call {
        name,
        by,
        path,
        args: args.into(),
    };
    vec![
        call("home of a stranger", 0, "/", &[]),
        call("account of a stranger", 0, "/account", &NAVIGATION),
        call("account by a script", 0, "/account", &[]),
        call("form", 0, "/login", &[]),
        call(
            "wrong password",
            0,
            "/login",
            &["-d", "user=alice&password=guess"],
        ),
        call("right password", 0, "/login?next=%2Faccount", ALICE),
        call("account", 0, "/account", &NAVIGATION),
        call("home", 0, "/", &[]),
        call("language", 0, "/language", GERMAN),
        call("account with it", 0, "/account", &NAVIGATION),
        call("bob logs in", 1, "/login", BOB),
        call("bob's account", 1, "/account", &NAVIGATION),
        call("language of a visitor", 2, "/language", GERMAN),
        call("login of the visitor", 2, "/login", ALICE),
        call("account of the visitor", 2, "/account", &NAVIGATION),
        call("next elsewhere", 3, "/login?next=https://evil.example", BOB),
        call(
            "form of another site",
            4,
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
        call("bob after it", 1, "/account", &NAVIGATION),
        call("logout of a stranger", 5, "/logout", POST),
    ]
}

/// Differences that are wanted, beside the cookie that the old service sets with each answer.
#[rustfmt::skip]
const WANTED: [&str; 12] = [
    // Scripts cannot show a form.
    "account by a script: status 303 -> 401",
    "account by a script: location /login?next=/account -> none",
    r#"account by a script: body "" -> "401 Unauthorized\n""#,
    // A visitor has no data.
    "language of a visitor: status 303 -> 401",
    "language of a visitor: location /account -> none",
    r#"language of a visitor: body "" -> "401 Unauthorized\n""#,
    r#"account of the visitor: body "account of alice, language de" -> "account of alice, language en""#,
    // No open redirect.
    "next elsewhere: location https://evil.example -> /",
    // Protection against forged requests.
    "form of another site: status 303 -> 403",
    "form of another site: location / -> none",
    r#"form of another site: body "" -> "403 Forbidden\n""#,
    r#"form of another site: cookie "sets" -> """#,
];

/// Answers that set the cookie of axum_session again, or that of a visitor.
const AGAIN: [&str; 14] = [
    "home of a stranger",
    "account of a stranger",
    "account by a script",
    "form",
    "wrong password",
    "account",
    "home",
    "language",
    "account with it",
    "bob's account",
    "language of a visitor",
    "account of the visitor",
    "account after the logout",
    "bob after it",
];

#[test]
fn the_port_answers_as_the_old_service() {
    let seen = |step| replay(&Site::new(users()).node(step).served, &calls());
    let before = seen(Step::Before);
    assert!(before.iter().any(|seen| seen.body == FORM), "{before:?}");
    for step in [Step::AcceptBoth, Step::IssueNew, Step::After] {
        let found = differences(&calls(), &before, &seen(step));
        let again = AGAIN.map(|name| format!(r#"{name}: cookie "sets" -> """#));
        let (again, found): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| again.contains(found));
        assert_eq!(again.len(), AGAIN.len(), "{again:#?}");
        assert_eq!(found, WANTED, "{step:?}");
    }
}

impl common::Users for Site {
    /// A browser, and the name of the user.
    type Client = (Browser, String);

    /// Logs in after a visit. Each second user is remembered.
    fn log_in(&self, node: &Node, name: &str) -> Self::Client {
        let mut browser = Browser::at(node.origin());
        browser.get("/").expect(200);
        let remember = if name.ends_with(['1', '3', '5', '7', '9']) {
            "&remember=on"
        } else {
            ""
        };
        let form = format!("user={name}&password={PASSWORD}{remember}");
        browser.run("/login", &["-d", &form]).expect(303);
        let form = format!("language={name}");
        browser.run("/language", &["-d", &form]).expect(303);
        (browser, name.to_owned())
    }

    fn call(&self, (browser, name): &mut Self::Client, node: &Node) -> Result<(), String> {
        browser.move_to(node);
        let answer = browser.get("/account");
        let expected = format!("account of {name}, language {name}");
        let is_right = answer.status == 200 && answer.body == expected;
        is_right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    }
}

#[test]
fn nobody_is_logged_out_on_the_way() {
    for mode in [SessionMode::Persistent, SessionMode::OptIn] {
        let names: Vec<_> = (0..rolling(4).len()).map(|n| format!("user{n}")).collect();
        let users = names.iter().fold(Users::default(), |users, name| {
            users.with(name, PASSWORD, &[])
        });
        let site = Site::of(mode, users);
        let start = |step: usize| site.node(Step::ALL[step]);
        let refused = walk(&site, &names, Step::ALL.len(), &site.clock, start);
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

/// Returns true if the account is shown. The old service redirects all others.
fn is_accepted(origin: &str, cookie: &str) -> bool {
    let (field, url) = (format!("Cookie: {cookie}"), format!("{origin}/account"));
    let status = curl(&["-H", &field, &url]).status;
    assert!([200, 303, 401].contains(&status), "{status}");
    status == 200
}

#[test]
fn credentials_are_refused_after_a_logout() {
    for (at, after) in Step::ALL.into_iter().zip(Step::ALL.into_iter().skip(1)) {
        for steps in [[at, after], [after, at]] {
            for site in both_modes() {
                let nodes = steps.map(|step| site.node(step));
                let mut browser = Browser::at(nodes[0].origin());
                browser.log_in("alice", PASSWORD).expect(303);
                let mut held = browser.cookies();
                browser.move_to(&nodes[1]);
                browser.get("/account").expect(200);
                held.extend(browser.cookies());
                browser.post("/logout").expect(303);
                assert!(
                    !browser
                        .cookies()
                        .iter()
                        .any(|held| held.starts_with("session="))
                );
                site.clock.advance(AFTER_OVERLAP);
                for (step, node) in steps.iter().zip(&nodes) {
                    node.tick();
                    for cookie in &held {
                        let cookie = format!("{cookie}; store=true");
                        let is_accepted = is_accepted(node.origin(), &cookie);
                        assert!(!is_accepted, "{steps:?}, {step:?}: {cookie}");
                    }
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
        assert!(!is_accepted(node.origin(), &session[0]));
    }
}

#[test]
fn each_kind_of_login_has_its_timeout_in_all_steps() {
    for (first, second) in [
        (Step::Before, Step::AcceptBoth),
        (Step::AcceptBoth, Step::Before),
        (Step::AcceptBoth, Step::IssueNew),
        (Step::IssueNew, Step::After),
    ] {
        let site = Site::new(users());
        let nodes = [first, second].map(|step| site.node(step));
        let [mut usual, mut remembered] = [(); 2].map(|()| Browser::at(nodes[0].origin()));
        usual.log_in("alice", PASSWORD).expect(303);
        let form = "user=bob&password=open sesame&remember=on";
        remembered.run("/login", &["-d", form]).expect(303);
        site.clock.advance(7 * HOUR);
        for browser in [&mut usual, &mut remembered] {
            browser.move_to(&nodes[1]);
        }
        let cookies = usual.cookies();
        assert!(!is_accepted(nodes[1].origin(), &cookies[0]), "{second:?}");
        remembered.get("/account").expect(200);
        if second > Step::Before {
            // The old service extends its rows by the clock of the system.
            site.clock.advance(59 * 24 * HOUR);
            remembered.get("/account").expect(200);
        }
    }
}

#[test]
fn a_request_extends_an_old_session() {
    let site = Site::new(users());
    let [old, node] = [Step::Before, Step::AcceptBoth].map(|step| site.node(step));
    let mut browser = Browser::at(old.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    browser.move_to(&node);
    for _ in 0..3 {
        site.clock.advance(5 * HOUR);
        browser.get("/account").expect(200);
    }
}

#[test]
fn a_session_of_step_1_ends_in_spite_of_requests() {
    let site = Site::new(users());
    let node = site.node(Step::AcceptBoth);
    let mut browser = Browser::at(node.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    let days_7 = 7 * 24 * HOUR;
    let pause = 4 * HOUR;
    for _ in 1..days_7.as_secs() / pause.as_secs() {
        site.clock.advance(pause);
        browser.get("/account").expect(200);
    }
    site.clock.advance(pause);
    browser.get("/account").expect(401);
}

/// A visitor of the old service has a session, and logs in at each later step.
#[test]
fn the_session_of_a_visitor_is_no_obstacle() {
    for step in [Step::AcceptBoth, Step::IssueNew, Step::After] {
        let site = Site::new(users());
        let old = site.node(Step::Before);
        let nodes = [Step::AcceptBoth, Step::IssueNew].map(|step| site.node(step));
        let node = site.node(step);
        let mut browser = Browser::at(old.origin());
        browser.get("/").expect(200);
        assert_eq!(browser.cookies().len(), 1);
        let visitor = browser.cookies();
        browser.move_to(&node);
        browser.log_in("alice", PASSWORD).expect(303);
        browser.get("/account").expect(200);
        for node in nodes.iter().chain([&node]) {
            assert!(!is_accepted(node.origin(), &visitor[0]));
        }
        for node in &nodes {
            browser.move_to(node);
            browser.get("/account").expect(200);
        }
    }
}

#[test]
fn all_old_sessions_of_a_user_end_and_change_together() {
    let site = Site::new(users());
    let node = site.node(Step::Before);
    let [mut phone, mut tablet, mut bob] = [(); 3].map(|()| Browser::at(node.origin()));
    for browser in [&mut phone, &mut tablet] {
        browser.log_in("alice", PASSWORD).expect(303);
    }
    bob.log_in("bob", PASSWORD).expect(303);
    bob.get("/").expect(200);
    Browser::at(node.origin()).get("/").expect(200);
    let alice = site.stores.users.by_name("alice").unwrap().id.to_string();
    let old = site.old_sessions();
    let changed = block_on(old.update_all(&alice, &mut |login| {
        login.data.language = "fr".to_owned();
        Ok(())
    }));
    assert_eq!(changed.unwrap().count, Some(2));
    for browser in [&mut phone, &mut tablet] {
        let answer = browser.get("/account").expect(200);
        assert_eq!(answer.body, "account of alice, language fr");
    }
    assert_eq!(block_on(old.revoke_all(&alice)).unwrap().count, Some(2));
    for browser in [&mut phone, &mut tablet] {
        browser.get("/account").expect(303);
    }
    let answer = bob.get("/account").expect(200);
    assert_eq!(answer.body, "account of bob, language en");
}

/// The reason for a memory without a lifetime: a node of the old service writes its memory.
#[test]
fn the_memory_of_an_old_node_undoes_a_logout() {
    let site = Site::new(users());
    let nodes = [site.with_memory(), site.with_memory()];
    let mut browser = Browser::at(nodes[0].origin());
    browser.log_in("alice", PASSWORD).expect(303);
    let session = browser.cookies();
    let row = session[0].strip_prefix("session=").unwrap();
    assert!(is_accepted(nodes[1].origin(), &session[0]));
    browser.post("/logout").expect(303);
    let is_stored = || block_on(site.stores.old.exists(row, before::TABLE)).unwrap();
    assert!(!is_stored());
    assert!(is_accepted(nodes[1].origin(), &session[0]));
    let (field, url) = (
        format!("Cookie: {}", session[0]),
        format!("{}/language", nodes[1].origin()),
    );
    curl(&["-H", &field, "-d", "language=de", &url]).expect(303);
    assert!(is_stored());
    assert!(is_accepted(
        site.node(Step::AcceptBoth).origin(),
        &session[0]
    ));
}

/// The reason for the second cookie in step 1.
#[test]
fn an_old_node_deletes_a_session_without_the_store_cookie() {
    let site = Site::of(SessionMode::OptIn, users());
    let [old, node] = [Step::Before, Step::AcceptBoth].map(|step| site.node(step));
    let mut browser = Browser::at(node.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    let cookies = browser.cookies();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert_eq!(cookies[1], "store=true");
    assert!(is_accepted(old.origin(), &cookies.join("; ")));
    assert!(is_accepted(node.origin(), &cookies[0]));
    assert!(is_accepted(old.origin(), &cookies[0]));
    assert!(!is_accepted(node.origin(), &cookies[0]));
    browser.post("/logout").expect(303);
    assert_eq!(browser.cookies(), [""; 0]);
}

#[test]
fn only_the_old_service_adopts_an_id_of_the_client() {
    let site = Site::new(users());
    let cookie = format!("Cookie: session={CHOSEN}");
    let set_by = |step| {
        let node = site.node(step);
        let answer = curl(&["-H", &cookie, node.origin()]);
        let set = answer.all("set-cookie").into_iter().map(str::to_owned);
        set.collect::<Vec<_>>().join("\n")
    };
    let adopted = format!("session={CHOSEN};");
    assert!(set_by(Step::Before).contains(&adopted));
    for step in [Step::AcceptBoth, Step::IssueNew, Step::After] {
        assert!(!set_by(step).contains(&adopted), "{step:?}");
    }
}

/// The reason for step 1. The new login survives it.
#[test]
fn an_old_node_does_not_know_a_new_login() {
    let site = Site::new(users());
    let [old, node] = [Step::Before, Step::IssueNew].map(|step| site.node(step));
    let mut browser = Browser::at(node.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    browser.move_to(&old);
    browser.get("/account").expect(303);
    browser.move_to(&node);
    browser.get("/account").expect(200);
}

/// Clock of a table that answers no reads while it is down.
#[derive(Clone, Debug)]
struct Table {
    clock: ManualClock,
    is_down: Arc<AtomicBool>,
}

impl Clock for Table {
    fn now(&self) -> Option<Timestamp> {
        let is_up = !self.is_down.load(Ordering::Relaxed);
        is_up.then(|| self.clock.now()).flatten()
    }
}

#[test]
fn only_the_old_service_loses_a_session_by_an_outage() {
    for step in [Step::Before, Step::AcceptBoth, Step::IssueNew] {
        let mut site = Site::new(users());
        let is_down = Arc::new(AtomicBool::new(false));
        site.stores.old = MemoryPool::new(Table {
            clock: site.clock.clone(),
            is_down: is_down.clone(),
        });
        let [old, node] = [Step::Before, step].map(|step| site.node(step));
        let mut browser = Browser::at(old.origin());
        browser.log_in("alice", PASSWORD).expect(303);
        browser.move_to(&node);
        is_down.store(true, Ordering::Relaxed);
        let during = if step == Step::Before { 303 } else { 503 };
        browser.get("/account").expect(during);
        is_down.store(false, Ordering::Relaxed);
        let afterwards = if step == Step::Before { 303 } else { 200 };
        browser.get("/account").expect(afterwards);
    }
}
