//! The port against the old service: the same requests, and users stay logged in.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use coming_from_actix::browser::{Answer, Browser, NAVIGATION};
use coming_from_actix::deployment::{Deployment, Node, Step};

const PAGE: &str = include_str!("../../../src/manual/coming/actix.md");
const LOGIN: &str = "user=alice&password=open+sesame";
const FOREIGN: (&str, &str) = ("origin", "https://evil.example");

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    location: Option<String>,
    body: String,
    /// Of the cookie: set, removed, or neither.
    cookie: &'static str,
}

impl From<&Answer> for Seen {
    fn from(answer: &Answer) -> Self {
        let cookies: Vec<_> = answer.cookies().collect();
        Self {
            status: answer.status,
            location: answer.location().map(str::to_owned),
            body: answer.body.clone(),
            cookie: match &cookies[..] {
                [] => "kept",
                cookies if cookies.iter().all(|(_, value)| value.is_empty()) => "removed",
                _ => "set",
            },
        }
    }
}

/// A change of the old answer into that of the port, and its line on the page.
type Difference = (fn(&mut Seen), &'static str);

/// A request, and how the answer of the port differs.
struct Act {
    browser: usize,
    path: &'static str,
    form: Option<&'static str>,
    fields: &'static [(&'static str, &'static str)],
    differs: Option<Difference>,
}

const fn get(browser: usize, path: &'static str) -> Act {
    Act {
        browser,
        path,
        form: None,
        fields: &[NAVIGATION],
        differs: None,
    }
}

const fn post(browser: usize, path: &'static str, form: &'static str) -> Act {
    Act {
        form: Some(form),
        ..get(browser, path)
    }
}

impl Act {
    const fn with(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { fields, ..self }
    }

    const fn differs(self, how: fn(&mut Seen), why: &'static str) -> Self {
        Self {
            differs: Some((how, why)),
            ..self
        }
    }
}

const NEXT: &str = "The login page gets the parameter `next`.";

fn with_next(seen: &mut Seen) {
    seen.location = Some("/login?next=/account".to_owned());
}

fn unauthorized(seen: &mut Seen) {
    seen.status = 401;
    seen.location = None;
    seen.body = "401 Unauthorized\n".to_owned();
}

/// Browsers 0 and 1 belong to alice. Browser 2 gets the cookies of browser 0 before bob logs in there.
fn acts() -> Vec<Act> {
    vec![
        get(0, "/"),
        get(0, "/account").differs(with_next, NEXT),
        get(0, "/account").with(&[]).differs(
            unauthorized,
            "Programs and scripts get 401 instead of a redirect to a page.",
        ),
        get(0, "/login"),
        post(0, "/login", "user=alice&password=guess"),
        post(0, "/login", LOGIN),
        get(0, "/account"),
        get(0, "/"),
        post(0, "/language", "language=de").differs(
            |seen| seen.cookie = "kept",
            "A change of the data does not set the cookie again.",
        ),
        get(0, "/account"),
        post(1, "/login", LOGIN),
        get(1, "/account"),
        post(3, "/language", "language=de")
            .with(&[])
            .differs(unauthorized, "A denial has a body."),
        post(0, "/language", "language=de")
            .with(&[FOREIGN])
            .differs(
                |seen| {
                    seen.status = 403;
                    seen.location = None;
                    seen.body = "403 Forbidden\n".to_owned();
                    seen.cookie = "kept";
                },
                "Forms of other sites are denied with 403.",
            ),
        post(0, "/login", "user=bob&password=open+sesame"),
        get(0, "/account"),
        get(2, "/").differs(
            |seen| seen.cookie = "removed",
            "The cookie of a login that has ended is removed.",
        ),
        post(0, "/logout", ""),
        get(0, "/account").differs(with_next, NEXT),
        post(0, "/logout", "").differs(
            |seen| {
                seen.status = 303;
                seen.location = Some("/".to_owned());
                seen.cookie = "removed";
            },
            "A logout without a login succeeds.",
        ),
        get(1, "/account"),
    ]
}

fn send(browser: &mut Browser, node: &Node, act: &Act) -> Answer {
    let url = format!("{}{}", node.origin(), act.path);
    browser.send(&url, act.form, act.fields).unwrap()
}

/// Sends all requests to a node, and returns the parts of its answers.
fn replay(deployment: &Deployment, step: Step) -> Vec<Seen> {
    let node = deployment.node(step).unwrap();
    let mut browsers = vec![Browser::default(); 4];
    let acts = acts();
    let answers = acts.iter().map(|act| {
        if act.form.is_some_and(|form| form.contains("bob")) {
            browsers[2] = browsers[0].clone();
        }
        Seen::from(&send(&mut browsers[act.browser], &node, act))
    });
    answers.collect()
}

#[test]
fn the_port_answers_as_the_old_service_but_for_listed_differences() {
    let deployment = Deployment::new().unwrap();
    let before = replay(&deployment, Step::Before);
    assert!(
        before
            .iter()
            .any(|seen| seen.body == "You are alice, language de.")
    );
    for step in &Step::ALL[1..] {
        let after = replay(&deployment, *step);
        for ((act, old), new) in acts().iter().zip(&before).zip(&after) {
            let mut expected = old.clone();
            if let Some((change, why)) = &act.differs {
                change(&mut expected);
                assert_ne!(expected, *old, "no difference: {why}");
                assert!(PAGE.contains(why), "not on the page: {why}");
            }
            assert_eq!(*new, expected, "{step:?} {} {:?}", act.path, act.form);
        }
    }
}

fn logged_in(node: &Node) -> Browser {
    let mut browser = Browser::default();
    let answer = send(&mut browser, node, &post(0, "/login", LOGIN));
    assert_eq!(answer.status, 303);
    browser
}

fn is_in(browser: &mut Browser, node: &Node) -> bool {
    let answer = send(browser, node, &get(0, "/account"));
    assert!([200, 303].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

#[test]
fn users_stay_logged_in_from_step_to_step_and_one_step_back() {
    let deployment = Deployment::new().unwrap();
    let (mut users, mut visits) = (Vec::new(), 0);
    for steps in Step::ALL.windows(2) {
        let nodes = [steps[0], steps[1]].map(|step| deployment.node(step).unwrap());
        users.extend(nodes.iter().map(logged_in));
        for node in [&nodes[0], &nodes[1], &nodes[0], &nodes[1], &nodes[1]] {
            for (number, user) in users.iter_mut().enumerate() {
                assert!(is_in(user, node), "user {number} at {steps:?}");
                visits += 1;
            }
            // Longer than the overlap of an upgrade, in which its old session is valid too.
            deployment.clock.advance(Duration::from_secs(90));
        }
    }
    assert_eq!((users.len(), visits), (8, 5 * (2 + 4 + 6 + 8)));
}

#[test]
fn a_user_who_comes_every_day_stays_logged_in_and_one_who_does_not_is_logged_out() {
    const HOUR: Duration = Duration::from_secs(3600);
    for step in Step::ALL {
        let deployment = Deployment::new().unwrap();
        let node = deployment.node(step).unwrap();
        let (mut daily, mut absent) = (logged_in(&node), logged_in(&node));
        for _ in 0..3 {
            deployment.clock.advance(20 * HOUR);
            assert!(is_in(&mut daily, &node), "{step:?}");
        }
        assert!(!is_in(&mut absent, &node), "{step:?}");
        deployment.clock.advance(25 * HOUR);
        assert!(!is_in(&mut daily, &node), "{step:?}");
    }
}

#[test]
fn a_login_gains_no_time_by_its_upgrade() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let deployment = Deployment::new().unwrap();
    let [before, both, new] =
        [Step::Before, Step::AcceptBoth, Step::IssueNew].map(|step| deployment.node(step).unwrap());
    let mut users = [logged_in(&before), logged_in(&both)];
    for day in 1..=36 {
        deployment.clock.advance(DAY * 20 / 24);
        for user in &mut users {
            // 36 times 20 hours are 30 days.
            assert_eq!(is_in(user, &new), day < 36, "day {day}");
        }
    }
}

#[test]
fn a_change_at_one_node_is_seen_at_the_other() {
    let deployment = Deployment::new().unwrap();
    for steps in Step::ALL.windows(2) {
        let nodes = [steps[0], steps[1]].map(|step| deployment.node(step).unwrap());
        for login in [0, 1] {
            let mut user = logged_in(&nodes[login]);
            for (node, language) in [(0, "de"), (1, "fr"), (0, "it")] {
                let form = format!("language={language}");
                let url = format!("{}/language", nodes[node].origin());
                user.send(&url, Some(&form), &[NAVIGATION]).unwrap();
                let answer = send(&mut user, &nodes[1 - node], &get(0, "/account"));
                let expected = format!("You are alice, language {language}.");
                assert_eq!(answer.body, expected, "{steps:?} {login}");
            }
        }
    }
}

#[test]
fn a_credential_is_refused_after_the_logout() {
    let deployment = Deployment::new().unwrap();
    for steps in Step::ALL.windows(2) {
        let nodes = [steps[0], steps[1]].map(|step| deployment.node(step).unwrap());
        for login in [0, 1] {
            for logout in [0, 1] {
                let mut user = logged_in(&nodes[login]);
                let mut copies = vec![user.clone()];
                assert!(is_in(&mut user, &nodes[logout]));
                copies.push(user.clone());
                let answer = send(&mut user, &nodes[logout], &post(0, "/logout", ""));
                assert_eq!((answer.status, user.cookies().len()), (303, 0));
                for (number, copy) in copies.iter().enumerate() {
                    for node in &nodes {
                        let is_in = is_in(&mut copy.clone(), node);
                        assert!(!is_in, "{steps:?} {login} {logout} copy {number}");
                    }
                }
            }
        }
    }
}

/// Upgrades are known to the node that made them: another node ends the new login alone, and the old
/// session ends with its overlap.
#[test]
fn a_logout_at_another_node_leaves_the_old_session_for_the_overlap_at_most() {
    let deployment = Deployment::new().unwrap();
    let [one, other] = [Step::IssueNew; 2].map(|step| deployment.node(step).unwrap());
    let mut user = logged_in(&deployment.node(Step::Before).unwrap());
    let mut copy = user.clone();
    assert!(is_in(&mut user, &one));
    send(&mut user, &other, &post(0, "/logout", ""));
    deployment.clock.advance(Duration::from_secs(61));
    // Its upkeep does the same every second.
    let mut next = logged_in(&deployment.node(Step::Before).unwrap());
    assert!(is_in(&mut next, &one));
    for node in [&one, &other] {
        assert!(!is_in(&mut copy, node));
    }
}

/// Without `login_deadline`, sessions have no time of their login.
#[test]
fn a_session_without_the_time_of_its_login_is_upgraded() {
    use actix_session::storage::SessionStore as _;
    use actix_web::cookie::{Cookie, CookieJar, Key, time};

    let deployment = Deployment::new().unwrap();
    let state = [("actix_identity.user_id".to_owned(), "\"alice\"".to_owned())];
    let saved = deployment
        .old_store
        .save(state.into(), &time::Duration::DAY);
    let id = statewise::testkit::block_on(saved).unwrap();
    let mut jar = CookieJar::new();
    let cookie = Cookie::new("id", String::from(id));
    jar.private_mut(&Key::from(&deployment.key)).add(cookie);
    let sealed = jar.get("id").unwrap().encoded().to_string();
    let (name, value) = sealed.split_once('=').unwrap();

    let mut user = Browser::default();
    user.set_cookies(vec![(name.to_owned(), value.to_owned())]);
    let node = deployment.node(Step::IssueNew).unwrap();
    assert!(is_in(&mut user, &node));
    assert_ne!(user.cookies()[0].1, value);
    assert!(is_in(&mut user, &node));
}

/// Lines without their indentation.
fn lines(code: &str) -> String {
    let lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn the_page_quotes_this_package() {
    let sources = [
        include_str!("../before.rs"),
        include_str!("../after.rs"),
        include_str!("../steps.rs"),
        include_str!("../manifest/Cargo.toml"),
    ]
    .map(lines);
    let mut quoted = 0;
    for block in PAGE.split("```").skip(1).step_by(2) {
        let (_, code) = block.split_once('\n').unwrap();
        // A line of dots stands for lines that are left out.
        for part in code.split("// ..\n") {
            let part = lines(part);
            let is_found = sources.iter().any(|source| source.contains(&part));
            assert!(is_found, "not in the package:\n{part}");
        }
        quoted += 1;
    }
    assert!(quoted >= 4, "{quoted}");
}
