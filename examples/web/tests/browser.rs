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

    /// Presses a button and waits for its line in the timeline.
    fn press(&mut self, mode: &str, act: &str, expected: &str) {
        let selector = format!("[data-mode={mode}] [data-act={act}]");
        self.browser.click(&selector);
        self.pressed.insert(format!("{mode} {act}"));
        self.next_line(&selector);
        let last = format!("[data-mode={mode}] .last");
        self.until(&selector, expected, |v| v.text(&last));
    }

    fn wait_five_minutes(&mut self) {
        self.control("wait", "five minutes have passed");
    }

    /// Presses a button outside of the cards.
    fn control(&mut self, button: &str, expected: &str) {
        self.browser.click(&format!("#{button}"));
        self.pressed.insert(button.to_owned());
        self.next_line(button);
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

    /// Waits for the next line of the timeline.
    fn next_line(&mut self, what: &str) {
        self.lines += 1;
        let lines = self.lines.to_string();
        self.until(what, &lines, |v| {
            let count = "return document.querySelectorAll('#timeline li').length";
            v.browser.run(count, &[]).to_string()
        });
    }

    fn buttons(&self) -> BTreeSet<String> {
        let script = "return [...document.querySelectorAll('button, input')].map(button => \
                      button.dataset.act ? button.closest('.card').dataset.mode + ' ' \
                      + button.dataset.act : button.id)";
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
    visitor.press("session", "logout", "200, takes effect at once");
    visitor.until("no row", "0 rows", |v| {
        v.text("[data-mode=session] .server")
    });
    visitor.press("session", "thief", "401, credential rejected: unknown");
    visitor.press("session", "call", "401, no credential");
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
    visitor.press("hybrid", "refresh", "200, refreshed for alice");
    visitor.press("hybrid", "call", "200, the caller is alice");
    visitor.press("hybrid", "steal", "200, stole");
    visitor.press("hybrid", "thief", "200, accepted as alice");
    visitor.press("hybrid", "logout", "200, takes effect within");
    visitor.press("hybrid", "thief", "401, credential rejected: revoked");
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
    if let Some(file) = std::env::var_os("STATEWISE_SCREENSHOT") {
        std::fs::write(file, visitor.browser.screenshot()).unwrap();
    }
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

    // Every button has been tested.
    assert_eq!(visitor.buttons(), visitor.pressed);
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

    visitor.control("store", "every call of it fails; all users stay logged in");
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

    visitor.control("store", "all its data is still there");
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
    let Some(browser) = Chromium::start(390, 800) else {
        return;
    };
    let mut visitor = Visitor::new(browser);
    let focused = "const focus = document.activeElement; const card = focus.closest('.card'); \
                   return (card ? card.dataset.mode + ' ' : '') + (focus.dataset.act || focus.id)";
    let last = "[data-mode=session] .last";
    for (wanted, output, expected) in [
        ("session login", last, "200, logged in"),
        ("session call", last, "200, the caller is alice"),
        ("store", "#store", "Start the store"),
        ("session call", last, "503, unavailable"),
        ("store", "#store", "Stop the store"),
        ("session logout", last, "200, takes effect at once"),
    ] {
        let mut tabs = 0;
        while visitor.browser.run(focused, &[]) != json!(wanted) {
            visitor.browser.key("\u{e004}");
            tabs += 1;
            assert!(tabs < 30, "the keyboard does not reach {wanted}");
        }
        let outline = "return getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(visitor.browser.run(outline, &[]), json!("solid"));
        visitor.browser.key("\u{e007}");
        visitor.until(wanted, expected, |v| v.text(output));
    }
    let wide = "return document.documentElement.scrollWidth - window.innerWidth";
    let wide = visitor.browser.run(wide, &[]);
    assert!(wide.as_i64().unwrap() <= 0, "{wide} pixels too wide");
    // Screen readers have a name for every control.
    let nameless = "return [...document.querySelectorAll('button, input')].filter(one => \
                    !one.textContent.trim() && !one.labels?.length).length";
    assert_eq!(visitor.browser.run(nameless, &[]), json!(0));
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
