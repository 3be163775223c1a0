//! The page of the example `web` in a real browser: every button, and the cookies that scripts
//! cannot read.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "browser/chromium.rs"]
mod chromium;
#[path = "../../../tests/support/mod.rs"]
mod shared;
mod support;

use chromium::Chromium;
use shared::servers::guard::is_running;
use shared::servers::wait_until;
use support::Example;

/// Environment variable that marks the process to be killed.
const CHILD: &str = "STATEWISE_TEST_TO_BE_KILLED";

/// Visitor of the page. Records the buttons that were pressed.
struct Visitor {
    browser: Chromium,
    example: Example,
    pressed: BTreeSet<String>,
    lines: usize,
}

impl Visitor {
    fn new(browser: Chromium) -> Self {
        let example = Example::start("web");
        browser.open(example.origin());
        let mut visitor = Self {
            browser,
            example,
            pressed: BTreeSet::new(),
            lines: 0,
        };
        visitor.until(
            "the first state",
            "nothing: document.cookie is empty",
            |v| v.text("[data-mode=session] .script"),
        );
        visitor
    }

    fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0]).textContent";
        let text = self.browser.run(script, &[json!(selector)]);
        text.as_str().unwrap().to_owned()
    }

    /// Repeats a query until the answer contains a text. Fails after ten seconds.
    fn until(&mut self, what: &str, expected: &str, ask: impl Fn(&Self) -> String) {
        let begun = Instant::now();
        loop {
            let answer = ask(self);
            if answer.contains(expected) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{what}: expected {expected:?}, found {answer:?}"
            );
            std::thread::yield_now();
        }
    }

    /// Presses a button of a card, waits for its line in the timeline, and compares the log in it.
    fn press(&mut self, mode: &str, act: &str, expected: &str) {
        let selector = format!("[data-mode={mode}] [data-act={act}]");
        self.browser.click(&selector);
        self.pressed.insert(format!("{mode} {act}"));
        self.next_lines(&selector, 1);
        let log = self.text("#timeline .log");
        assert!(log.contains(expected), "{selector}: {log}");
    }

    /// Presses a button of a card, and compares the sentence on it.
    fn says(&mut self, mode: &str, act: &str, expected: &str) {
        self.press(mode, act, "");
        let last = self.text(&format!("[data-mode={mode}] .last"));
        assert_eq!(last, expected, "{mode} {act}");
    }

    /// Presses a button of a panel, and compares the sentences in it.
    fn panel(&mut self, panel: &str, act: &str, expected: &[&str]) {
        let lines = match (panel, act) {
            ("demote", _) => 3,
            (_, "both") => 2,
            _ => 1,
        };
        let selector = format!("[data-panel={panel}] [data-act={act}]");
        self.browser.click(&selector);
        self.pressed.insert(format!("{panel} {act}"));
        self.next_lines(&selector, lines);
        let last = format!("[data-panel={panel}] .last");
        for sentence in expected {
            self.until(&selector, sentence, |v| v.text(&last));
        }
    }

    /// Returns the steps of the guided round that are ticked off, such as "12".
    fn ticked(&self) -> String {
        let script = "return [...document.querySelectorAll('.steps li')].map((step, at) => \
                      step.dataset.state === 'done' ? at + 1 : '').join('')";
        self.browser.run(script, &[]).as_str().unwrap().to_owned()
    }

    /// Presses a step of the guided round, which acts with all strategies.
    fn step(&mut self, step: &str, ticked: &str) {
        let id = format!("step-{step}");
        self.browser.click(&format!("#{id}"));
        self.pressed.insert(id.clone());
        self.next_lines(&id, 3);
        assert_eq!(self.ticked(), ticked, "{step}");
    }

    fn wait_five_minutes(&mut self) {
        self.control("wait", "Five minutes pass.");
    }

    /// Presses a button outside of the cards.
    fn control(&mut self, button: &str, expected: &str) {
        self.browser.click(&format!("#{button}"));
        self.pressed.insert(button.to_owned());
        self.next_lines(button, 1);
        let newest = self.text("#timeline li");
        assert!(newest.contains(expected), "{newest}");
    }

    /// Waits until the button of the store has a label.
    fn until_store_button(&mut self, label: &str) {
        self.until("the store's button", label, |v| v.text("#store"));
    }

    /// Returns name and value of each cookie that the browser stores.
    fn kept(&self) -> BTreeSet<(String, String)> {
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        let cookies = self.browser.all_cookies();
        let pairs = cookies.iter();
        pairs
            .map(|cookie| (text(&cookie["name"]), text(&cookie["value"])))
            .collect()
    }

    /// Returns the time at which the browser drops a cookie. Null if it drops it when it is closed.
    fn expiry(&self, name: &str) -> Value {
        let cookies = self.browser.cookies();
        let cookie = cookies.iter().find(|cookie| cookie["name"] == name);
        cookie.unwrap()["expiry"].clone()
    }

    /// Waits until the timeline has some more lines, and no other ones.
    fn next_lines(&mut self, what: &str, count: usize) {
        self.lines += count;
        let lines = format!(" {} lines", self.lines);
        self.until(what, &lines, |v| {
            let count = "return ' ' + document.querySelectorAll('#timeline li').length + ' lines'";
            v.browser.run(count, &[]).to_string()
        });
    }

    fn buttons(&self) -> BTreeSet<String> {
        let script = "return [...document.querySelectorAll('button, input')].map(button => \
                      { \
                      const part = button.closest('[data-mode], [data-panel]')?.dataset; \
                      return button.dataset.act \
                          ? (part.mode || part.panel) + ' ' + button.dataset.act : button.id; })";
        let names = self.browser.run(script, &[]);
        let names = names.as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }
}

/// Checks in every test that the browser logged no errors.
impl Drop for Visitor {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.browser.errors(), Vec::<String>::new());
        }
    }
}

#[test]
fn every_button_works() {
    let Some(browser) = Chromium::start(1280, 1240) else {
        return;
    };
    let mut visitor = Visitor::new(browser);

    // A logout ends a session immediately, for the thief too.
    visitor.press("session", "call", "401, no credential");
    visitor.press("session", "steal", "401, no credential");
    visitor.press("session", "login", "200, logged in");
    visitor.press("session", "call", "200, the caller is alice");
    visitor.until("a row", "1 row of", |v| {
        v.text("[data-mode=session] .server")
    });
    visitor.press("session", "steal", "200, stole 64 characters");
    visitor.press("session", "thief", "200, accepted as alice");
    visitor.says(
        "session",
        "thief",
        "The thief gets in, until Alice logs out.",
    );
    visitor.press("session", "logout", "200, takes effect at once");
    visitor.until("no row", "0 rows", |v| {
        v.text("[data-mode=session] .server")
    });
    visitor.press("session", "thief", "401, credential rejected: unknown");
    visitor.says("session", "thief", "The thief is out at once.");
    visitor.press("session", "call", "401, no credential");
    visitor.says("session", "call", "Alice is not logged in.");
    visitor.press("session", "login", "200");
    visitor.press("session", "steal", "200");
    visitor.press("session", "everywhere", "200, takes effect at once");
    visitor.press("session", "thief", "401, credential rejected: unknown");

    // The hybrid: an access token for minutes, and refreshes after that.
    visitor.press("hybrid", "refresh", "401, no credential");
    visitor.press("hybrid", "login", "200");
    visitor.press("hybrid", "call", "200, the caller is alice");
    visitor.wait_five_minutes();
    visitor.press("hybrid", "call", "401, credential rejected: expired");
    let expired = "Alice is not recognised: her token has expired.";
    visitor.says("hybrid", "call", expired);
    visitor.press("hybrid", "refresh", "200, refreshed for alice");
    visitor.press("hybrid", "call", "200, the caller is alice");
    visitor.press("hybrid", "steal", "200, stole");
    visitor.press("hybrid", "thief", "200, accepted as alice");
    visitor.press("hybrid", "logout", "200, takes effect within");
    visitor.press("hybrid", "thief", "401, credential rejected: revoked");
    let out = "The thief is out: within 5 seconds on every server.";
    visitor.says("hybrid", "thief", out);
    visitor.press("hybrid", "login", "200");
    visitor.press("hybrid", "steal", "200");
    visitor.press("hybrid", "everywhere", "200, takes effect within");
    visitor.press("hybrid", "thief", "401, credential rejected: revoked");

    an_outage_ends_no_login(&mut visitor);
    a_stolen_refresh_credential_is_detected(&mut visitor);

    // A token without a log is valid until it expires.
    visitor.press("token", "login", "200, logged in");
    visitor.press("token", "call", "200, the caller is alice");
    visitor.until("claims", "\"sub\": \"alice\"", |v| v.text(".decoded"));
    visitor.press("token", "steal", "200, stole");
    visitor.press(
        "token",
        "logout",
        "200, takes effect when the token expires",
    );
    visitor.press("token", "thief", "200, accepted as alice");
    visitor.press(
        "token",
        "everywhere",
        "200, takes effect when the token expires",
    );
    visitor.press("token", "thief", "200, accepted as alice");
    for _ in 0..3 {
        visitor.wait_five_minutes();
    }
    visitor.press("token", "thief", "401, credential rejected: expired");
    visitor.says("token", "thief", "The thief is out: his copy has expired.");
    visitor.press("token", "call", "401, credential rejected: expired");

    // With a log, a logout ends it.
    visitor.browser.click("#logged");
    visitor.pressed.insert("logged".to_owned());
    visitor.until("facts", "0 facts in the log", |v| {
        v.text("[data-mode=token] .server")
    });
    visitor.press("token", "login", "200");
    visitor.press("token", "steal", "200");
    visitor.press("token", "thief", "200, accepted as alice");
    visitor.press("token", "logout", "200, takes effect within");
    visitor.press("token", "thief", "401, credential rejected: revoked");
    visitor.until("a fact", "1 fact in the log", |v| {
        v.text("[data-mode=token] .server")
    });

    the_panels(&mut visitor);
    the_round(&mut visitor);

    // Every button has been tested.
    assert_eq!(visitor.buttons(), visitor.pressed);
}

/// Each panel: what Alice does, and what the thief can do after it.
fn the_panels(visitor: &mut Visitor) {
    const FIRST: &str = "Not yet: press the first button on the left.";
    // The log of logouts was for the card of the token.
    visitor.browser.click("#logged");

    // A changed role, and the copies that still carry the old one.
    visitor.panel("demote", "login", &["Session", "Token", "Both"]);
    visitor.panel("demote", "steal", &["BothThe thief has a copy."]);
    let editor = "The thief is still an editor, ";
    visitor.panel(
        "demote",
        "thief",
        &[&format!("Session{editor}until Alice logs out.")],
    );
    visitor.panel(
        "demote",
        "demote",
        &[
            "SessionAlice is made a reader. It takes effect at once.",
            "TokenAlice is made a reader. It takes effect when the token expires.",
            "BothAlice is made a reader. It takes effect within 5 s.",
        ],
    );
    visitor.panel(
        "demote",
        "thief",
        &[
            "SessionThe thief is only a reader.",
            &format!("Token{editor}for 1"),
            "BothThe thief is out: his copy carries the old role.",
        ],
    );
    let reader = "Alice gets in as reader";
    visitor.panel(
        "demote",
        "alice",
        &[
            &format!("Session{reader}."),
            "TokenAlice gets in as editor.",
            &format!("Both{reader}, after a renewal."),
        ],
    );

    // A second factor: the copy never has the class.
    visitor.panel("step-up", "thief", &[FIRST]);
    visitor.panel("step-up", "login", &["by her password alone"]);
    visitor.panel("step-up", "steal", &["The thief has a copy of the cookie."]);
    let weak = "a login alone is not enough. Alice must enter the code.";
    visitor.panel("step-up", "transfer", &[weak]);
    let refused = "The thief is refused: his copy never gets the second factor.";
    visitor.panel("step-up", "thief", &[refused]);
    visitor.panel(
        "step-up",
        "code",
        &["for 5 minutes her login may move money"],
    );
    let moved = "The server transfers the money for Alice.";
    visitor.panel("step-up", "transfer", &[moved]);
    visitor.panel("step-up", "thief", &[refused]);
    let log = visitor.text("#timeline .log");
    assert_eq!(log, "401, another authentication context class is required");
    visitor.panel("step-up", "transfer", &[moved]);
    visitor.wait_five_minutes();
    let noticed = "The theft is noticed: an old copy came back";
    visitor.panel("step-up", "thief", &[noticed]);
    visitor.panel("step-up", "transfer", &["Refused: this login has ended."]);

    // A link works once, for the first one.
    visitor.panel("link", "alice", &[FIRST]);
    visitor.panel("link", "mail", &["The thief reads it too."]);
    visitor.panel("link", "thief", &["The thief was first and gets in."]);
    // The login of the thief is in his browser, and not in this one.
    let of_link = |(name, _): &(String, String)| name == "__Host-link";
    assert!(!visitor.kept().iter().any(of_link));
    let late = "Alice is refused: the link was used before.";
    visitor.panel("link", "alice", &[late]);
    visitor.panel("link", "mail", &["A link is in the mail"]);
    visitor.panel("link", "alice", &["Alice is in, and the link is spent."]);
    assert!(visitor.kept().iter().any(of_link));
    let late = "The thief is out: the link was used before.";
    visitor.panel("link", "thief", &[late]);
    visitor.panel("link", "mail", &["A link is in the mail"]);
    visitor.panel("link", "both", &["Two clicks at once, one login: "]);

    // A key has a scope, is no login, and is revoked alone.
    visitor.panel("api-key", "leak", &[FIRST]);
    visitor.panel("api-key", "make", &["It may read, and nothing else."]);
    visitor.panel(
        "api-key",
        "leak",
        &["published by mistake. The thief has it."],
    );
    visitor.panel("api-key", "read", &["The thief reads the articles"]);
    visitor.panel(
        "api-key",
        "write",
        &["The thief is refused: the key may only read."],
    );
    visitor.panel(
        "api-key",
        "account",
        &["this page asks for a login, and a key is none"],
    );
    visitor.panel("api-key", "revoke", &["The key is dead at once."]);
    for act in ["read", "write", "account"] {
        let dead = "The thief is out at once: the key is revoked.";
        visitor.panel("api-key", act, &[dead]);
    }

    // A key per audience.
    visitor.panel("audience", "call", &["“billing” recognises Alice"]);
    visitor.panel(
        "audience",
        "forge",
        &["Refused: the key of “orders” signs nothing"],
    );
    visitor.panel("audience", "shared", &["The thief is Alice in “billing”"]);

    // Remember me: a cookie with an end, for Alice and for the thief.
    visitor.panel(
        "remember",
        "login",
        &["goes when the browser closes", "15 minutes"],
    );
    assert_eq!(visitor.expiry("__Host-remember"), Value::Null);
    visitor.panel(
        "remember",
        "steal",
        &["The thief has a copy of the cookie."],
    );
    visitor.panel(
        "remember",
        "thief",
        &["The thief gets in, at most for 8 more hours."],
    );
    visitor.panel("remember", "day", &["A day later: the thief is out"]);
    visitor.panel(
        "remember",
        "remember",
        &["keeps the cookie for 90 days", "30 days"],
    );
    assert!(visitor.expiry("__Host-remember").is_number());
    visitor.panel(
        "remember",
        "steal",
        &["The thief has a copy of the cookie."],
    );
    visitor.panel(
        "remember",
        "day",
        &["the thief gets in, at most for 89 more days."],
    );
    visitor.panel(
        "remember",
        "logout",
        &["Her cookie and each copy of it are dead."],
    );
    visitor.panel(
        "remember",
        "thief",
        &["The thief is out: this login has ended."],
    );
    visitor.control("wait-day", "A day passes.");
}

/// The guided round: its steps tick themselves off.
fn the_round(visitor: &mut Visitor) {
    // By the buttons of a card, too, and in their order only.
    visitor.browser.open(visitor.example.origin());
    visitor.lines = 0;
    visitor.until("the page", "Alice is not logged in.", |v| v.text(".last"));
    assert_eq!(visitor.ticked(), "");
    visitor.step("thief", "");
    visitor.press("hybrid", "login", "200");
    assert_eq!(visitor.ticked(), "1");
    visitor.press("hybrid", "logout", "200");
    assert_eq!(visitor.ticked(), "1");

    // All strategies at once, and the answer for each.
    visitor.step("login", "1");
    visitor.step("steal", "12");
    visitor.step("logout", "123");
    visitor.step("thief", "1234");
    let answer = |name: &str, sentence: &str| format!("{name}{sentence}");
    for part in [
        answer("Session", "The thief is out at once."),
        answer("Token", "The thief gets in for 1"),
        answer(
            "Both",
            "The thief is out: within 5 seconds on every server.",
        ),
        "One theft, three answers".to_owned(),
    ] {
        visitor.until("the round", &part, |v| v.text("#round-result"));
    }
    if let Some(file) = std::env::var_os("STATEWISE_SCREENSHOT") {
        visitor.browser.run("window.scrollTo(0, 0)", &[]);
        std::fs::write(file, visitor.browser.screenshot()).unwrap();
    }
    visitor.step("login", "1");
}

/// During an outage credentials are not rejected, and the browser keeps its cookies.
fn an_outage_ends_no_login(visitor: &mut Visitor) {
    const OUTAGE: &str = "503, unavailable: the store could not answer, Retry-After: 5";
    visitor.press("session", "login", "200");
    visitor.press("session", "steal", "200");
    visitor.press("hybrid", "login", "200");
    visitor.press("token", "login", "200");
    let kept = visitor.kept();
    assert_eq!(kept.len(), 3, "{kept:?}");

    visitor.control(
        "store",
        "The store does not answer. All users stay logged in.",
    );
    visitor.until_store_button("Start the store");
    for mode in ["session", "hybrid"] {
        let field = format!("[data-mode={mode}] .server");
        visitor.until(&field, "unknown: the store does not answer", |v| {
            v.text(&field)
        });
    }
    for act in ["call", "thief", "login", "logout", "everywhere"] {
        visitor.press("session", act, OUTAGE);
    }
    visitor.press("token", "call", "200, the caller is alice");
    visitor.press("hybrid", "call", "200, the caller is alice");
    for act in ["refresh", "login", "logout", "everywhere"] {
        visitor.press("hybrid", act, OUTAGE);
    }
    assert_eq!(visitor.kept(), kept);
    let outage = "No answer: the store is stopped. Nobody is logged out by that.";
    visitor.says("session", "call", outage);
    visitor.panel("link", "mail", &[outage]);

    visitor.control("store", "The store is back, with all its data.");
    visitor.until_store_button("Stop the store");
    visitor.until("the row", "1 row of", |v| {
        v.text("[data-mode=session] .server")
    });
    visitor.press("session", "call", "200, the caller is alice");
    visitor.press("hybrid", "call", "200, the caller is alice");
    visitor.press("hybrid", "refresh", "200, refreshed for alice");
    visitor.press("session", "logout", "200, takes effect at once");
    visitor.press("session", "thief", "401, credential rejected: unknown");
}

/// A replaced refresh credential ends the login for both, whether Alice or the thief presents it.
fn a_stolen_refresh_credential_is_detected(visitor: &mut Visitor) {
    const THEFT: &str = "401, credential rejected: reused after it was replaced: \
                         a theft; this login of alice has ended";
    visitor.press("hybrid", "thief-refresh", "401, no credential");
    // Alice refreshes first.
    visitor.press("hybrid", "login", "200");
    visitor.press("hybrid", "steal-refresh", "200, stole 67 characters");
    visitor.press("hybrid", "refresh", "200, refreshed for alice");
    // Within the overlap it could be a second tab of hers.
    visitor.press("hybrid", "thief-refresh", "200, refreshed for alice");
    visitor.wait_five_minutes();
    visitor.press("hybrid", "refresh", "200, refreshed for alice");
    visitor.wait_five_minutes();
    visitor.press("hybrid", "thief-refresh", THEFT);
    visitor.press("hybrid", "refresh", "401, credential rejected: unknown");

    // The thief refreshes first, and keeps access until Alice refreshes.
    visitor.press("hybrid", "login", "200");
    visitor.press("hybrid", "steal-refresh", "200, stole 67 characters");
    visitor.press("hybrid", "thief-refresh", "200, refreshed for alice");
    visitor.press("hybrid", "thief", "200, accepted as alice");
    visitor.wait_five_minutes();
    visitor.press("hybrid", "thief", "401, credential rejected: expired");
    visitor.press("hybrid", "thief-refresh", "200, refreshed for alice");
    visitor.press("hybrid", "thief", "200, accepted as alice");
    visitor.press("hybrid", "refresh", THEFT);
    visitor.press(
        "hybrid",
        "thief-refresh",
        "401, credential rejected: unknown",
    );
    visitor.press("hybrid", "thief", "401, credential rejected: revoked");
}

#[test]
fn no_script_can_read_the_cookies() {
    let Some(browser) = Chromium::start(1280, 900) else {
        return;
    };
    let mut visitor = Visitor::new(browser);
    visitor.press("session", "login", "200");
    visitor.press("hybrid", "login", "200");
    let cookies = visitor.browser.cookies();
    let cookie = |name: &str| -> &Value {
        let found = cookies.iter().find(|cookie| cookie["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {cookies:?}"))
    };
    for name in ["__Host-id", "__Host-access"] {
        let cookie = cookie(name);
        assert_eq!(cookie["httpOnly"], true, "{name}");
        assert_eq!(cookie["secure"], true, "{name}");
        assert_eq!(cookie["sameSite"], "Lax", "{name}");
        assert_eq!(cookie["path"], "/", "{name}");
        // For this host only, until the browser's session ends.
        assert_eq!(cookie["domain"], "127.0.0.1", "{name}");
        assert_eq!(cookie.get("expiry"), None, "{name}");
    }
    // No interface of the browser gives a script the cookies.
    let script = "const done = arguments[arguments.length - 1]; (async () => { \
         const login = await fetch('/session/auth/login', { method: 'POST' }); \
         const me = await fetch('/session/me'); \
         const kept = window.cookieStore ? await cookieStore.getAll() : []; \
         return [document.cookie, [...login.headers].join(), [...me.headers].join(), \
             await login.text(), await me.text(), JSON.stringify(kept), \
             JSON.stringify({ ...localStorage, ...sessionStorage })]; })().then(done)";
    let readable = visitor.browser.run_async(script).to_string();
    for cookie in visitor.browser.cookies() {
        let (name, value) = (
            cookie["name"].as_str().unwrap(),
            cookie["value"].as_str().unwrap(),
        );
        assert!(
            !readable.contains(name) && !readable.contains(value),
            "{readable}"
        );
    }
    assert!(readable.contains("alice"));

    // The refresh credential is sent to its path only.
    let kept = visitor.browser.all_cookies();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let refresh = kept
        .iter()
        .find(|cookie| cookie["name"] == "__Secure-refresh")
        .unwrap();
    assert_eq!(refresh["path"], "/hybrid/auth");
    assert_eq!(refresh["sameSite"], "Strict");
    assert_eq!(
        (&refresh["httpOnly"], &refresh["secure"]),
        (&json!(true), &json!(true))
    );
    assert!(
        !cookies
            .iter()
            .any(|cookie| cookie["name"] == "__Secure-refresh")
    );

    // The page reports the cookies that the browser sends, also after a reload.
    visitor.browser.open(visitor.example.origin());
    for (mode, holds) in [("session", "a cookie of 64"), ("hybrid", "two cookies")] {
        let field = format!("[data-mode={mode}] .holds");
        visitor.until(&field, holds, |v| v.text(&field));
    }
}

#[test]
fn the_keyboard_is_enough_and_a_phone_is_wide_enough() {
    let Some(browser) = Chromium::start(360, 740) else {
        return;
    };
    let mut visitor = Visitor::new(browser);
    let focused = "const focus = document.activeElement; \
                   const part = focus.closest('[data-mode], [data-panel]')?.dataset; \
                   return (part ? (part.mode || part.panel) + ' ' : '') \
                       + (focus.dataset.act || focus.id)";
    let last = "[data-mode=session] .last";
    let panel = "[data-panel=step-up] .last";
    let round = "#round-result";
    for (wanted, output, expected) in [
        ("step-login", round, "Alice is logged in, three times."),
        ("session call", last, "The server recognises Alice."),
        ("store", "#store", "Start the store"),
        ("session call", last, "No answer: the store is stopped."),
        ("store", "#store", "Stop the store"),
        ("session logout", last, "Alice has logged out."),
        ("step-up login", panel, "Alice is logged in"),
        ("step-up code", panel, "The code is right"),
    ] {
        let mut tabs = 0;
        while visitor.browser.run(focused, &[]) != json!(wanted) {
            visitor.browser.key("\u{e004}");
            tabs += 1;
            assert!(tabs < 90, "the keyboard does not reach {wanted}");
        }
        let outline = "return getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(visitor.browser.run(outline, &[]), json!("solid"));
        visitor.browser.key("\u{e007}");
        visitor.until(wanted, expected, |v| v.text(output));
    }
    // With everything open, and an answer in each panel.
    visitor.browser.run(OPEN_ALL, &[]);
    let wide = "return document.documentElement.scrollWidth - window.innerWidth";
    let wide = visitor.browser.run(wide, &[]);
    assert!(wide.as_i64().unwrap() <= 0, "{wide} pixels too wide");
    // The steps that are done are described as such.
    let described = "return document.getElementById('step-login').ariaDescription";
    assert_eq!(visitor.browser.run(described, &[]), json!("done"));
    // Screen readers have a name for every control.
    let nameless = "return [...document.querySelectorAll('button, input')].filter(one => \
                    !one.textContent.trim() && !one.labels?.length).length";
    assert_eq!(visitor.browser.run(nameless, &[]), json!(0));
}

/// Opens all folded parts, and shows a sentence of each kind.
const OPEN_ALL: &str = "document.querySelectorAll('details').forEach((part) => { part.open = true; }); \
    document.querySelectorAll('.last').forEach((last, at) => { \
        last.classList.remove('good', 'bad', 'wait'); \
        last.classList.add(['good', 'bad', 'wait'][at % 3]); })";

/// Returns the texts with a contrast below 4.5:1 (WCAG 2.2, 1.4.3), and the number of all texts.
const CONTRAST: &str = "const parse = (text) => text.match(/[\\d.]+/g).map(Number); \
    const light = (text) => { const [r, g, b] = parse(text).map((part) => { const c = part / 255; \
        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); \
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
    const behind = (one) => { for (; one; one = one.parentElement) { \
        const colour = getComputedStyle(one).backgroundColor; \
        if (parse(colour)[3] !== 0) return colour; } return 'rgb(255, 255, 255)'; }; \
    const texts = [...document.body.querySelectorAll('*')].filter((one) => one.checkVisibility() && \
        [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())); \
    const low = texts.map((one) => { const style = getComputedStyle(one); \
        const front = light(one.ownerSVGElement ? style.fill : style.color); \
        const back = light(behind(one)); \
        const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05); \
        return [ratio, ratio.toFixed(2) + ' ' + one.textContent.trim()]; }) \
        .filter(([ratio]) => ratio < 4.5).map(([, text]) => text); \
    return [texts.length, low];";

#[test]
fn every_text_is_legible_in_light_and_dark() {
    let Some(browser) = Chromium::start(1280, 900) else {
        return;
    };
    let mut visitor = Visitor::new(browser);
    visitor.step("login", "1");
    visitor.step("steal", "12");
    visitor.browser.run(OPEN_ALL, &[]);
    let mut papers = BTreeSet::new();
    for scheme in ["light", "dark"] {
        visitor.browser.prefer("prefers-color-scheme", scheme);
        let paper = "return getComputedStyle(document.body).backgroundColor";
        papers.insert(visitor.browser.run(paper, &[]).to_string());
        // Colours change within a fraction of a second, unless the user wants no motion.
        visitor.until(scheme, "[]", |v| {
            v.browser.run(CONTRAST, &[])[1].to_string()
        });
        let texts = visitor.browser.run(CONTRAST, &[])[0].as_u64().unwrap();
        assert!(texts > 100, "{texts} texts");
    }
    assert_eq!(papers.len(), 2, "{papers:?}");

    // Users that want no motion get none.
    let motion = "return getComputedStyle(document.querySelector('button')).transitionDuration";
    for (wish, expected) in [("no-preference", "0.2s"), ("reduce", "0s")] {
        visitor.browser.prefer("prefers-reduced-motion", wish);
        let found = visitor.browser.run(motion, &[]);
        assert!(
            found.as_str().unwrap().starts_with(expected),
            "{wish}: {found}"
        );
    }

    // No script and no style but the files of the page, and nothing from elsewhere.
    let policy = "const done = arguments[arguments.length - 1]; \
        fetch('/').then((page) => done(page.headers.get('content-security-policy')))";
    let policy = visitor.browser.run_async(policy).to_string();
    for rule in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
}

/// Does nothing unless it runs as the child process of the next test: starts a browser, prints pids
/// and folder, and waits.
#[test]
fn to_be_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let Some(browser) = Chromium::start(390, 800) else {
        return;
    };
    let pids: Vec<_> = browser.pids().iter().map(u32::to_string).collect();
    println!("browser {} {}", pids.join(","), browser.folder().display());
    // Until the parent process ends.
    let _ = std::io::stdin().lines().count();
}

#[test]
fn a_killed_test_leaves_no_browser_behind() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "to_be_killed", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let started = lines.find_map(|line| Some(line.split_once("browser ")?.1.to_owned()));
    // SIGKILL: nothing in the process can clean up.
    child.kill().unwrap();
    child.wait().unwrap();
    let Some(started) = started else {
        // Without a browser the child prints no line, and `start` printed the reason.
        return assert!(std::env::var_os("STATEWISE_REQUIRE_BROWSER").is_none());
    };
    let (pids, folder) = started.split_once(' ').unwrap();
    let pids: Vec<u32> = pids.split(',').map(|pid| pid.parse().unwrap()).collect();
    assert!(
        pids.len() > 3,
        "shell, driver, browser and its parts expected: {pids:?}"
    );
    let gone = || {
        let left = pids.iter().find(|pid| is_running(**pid));
        match (left, Path::new(folder).exists()) {
            (None, false) => Ok(()),
            left => Err(left),
        }
    };
    let left = wait_until(gone);
    assert!(
        left.is_ok(),
        "a process or the folder {folder} remains: {left:?}"
    );
}
