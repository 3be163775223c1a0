//! The example `two_factor`, driven by curl.

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../two_factor.rs"]
mod example;
mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use statewise::clock::Clock as _;
use statewise::testkit::ManualClock;
use totp_rs::{Builder, Secret, Totp};

use support::{Answer, Browser, Example, Served, follow_the_header_with};

const PASSWORD: &str = "correct horse battery staple";
const HALF_MINUTE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// The app on the phone of alice.
fn app() -> Totp {
    let secret = Secret::try_from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").expect("base32");
    Builder::new().with_secret(secret).build().expect("valid")
}

/// Code of the half minute `ahead` of now.
fn code(now: u64, ahead: u64) -> String {
    app().generate(now + 30 * ahead).to_string()
}

fn system_time() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.expect("after 1970").as_secs()
}

/// Service under a clock of the test.
struct Site {
    served: Served,
    clock: ManualClock,
}

impl Site {
    fn start() -> Self {
        let clock = ManualClock::default();
        clock.advance(HALF_MINUTE * 100);
        let service = example::service(clock.clone());
        let (router, _upkeep) = service.expect("valid settings");
        let served = Served::new(router);
        Self { served, clock }
    }

    fn code(&self, ahead: u64) -> String {
        code(self.clock.now().expect("a time").unix(), ahead)
    }

    /// Returns a browser after the right password.
    fn half_logged_in(&self) -> Browser {
        let browser = Browser::at(self.served.origin());
        let answer = browser.log_in("alice", PASSWORD).expect(303);
        assert_eq!(answer.field("location"), "/login/code");
        browser
    }

    fn logged_in(&self) -> Browser {
        let browser = self.half_logged_in();
        enter(&browser, "/login/code", &self.code(0)).expect(303);
        browser
    }
}

fn enter(browser: &Browser, path: &str, code: &str) -> Answer {
    browser.run(path, &["-d", &format!("code={code}")])
}

fn wrong_for(code: &str) -> String {
    let digit = if code.starts_with('0') { "1" } else { "0" };
    format!("{digit}{}", &code[1..])
}

#[test]
fn the_commands_in_its_header_work() {
    let site = Example::start("two_factor");
    let now = system_time();
    let source = include_str!("../two_factor.rs");
    follow_the_header_with(source, site.origin(), |name| match name {
        "CODE" => code(now, 0),
        _ => code(now, 1),
    });
}

#[test]
fn a_password_alone_is_no_login() {
    let site = Site::start();
    let browser = site.half_logged_in();
    let ticket = browser.cookie("__Host-pending");
    assert_eq!(browser.credential(), ticket, "the only cookie");
    // Nor is its ticket, in any cookie or field.
    for field in ["Cookie: __Host-id=", "Authorization: Bearer "] {
        let field = format!("{field}{ticket}");
        for path in ["/me", "/confirm"] {
            let stranger = Browser::at(site.served.origin());
            stranger.run(path, &["-H", &field]).expect(401);
        }
        let stranger = Browser::at(site.served.origin());
        let denied = stranger.run("/transfer", &["-X", "POST", "-H", &field]);
        denied.expect(401);
    }
    for path in ["/me", "/confirm"] {
        browser.get(path).expect(401);
    }
    enter(&browser, "/confirm", &site.code(0)).expect(401);

    let answer = enter(&browser, "/login/code", &site.code(0)).expect(303);
    assert_eq!(answer.field("location"), "/me");
    let me = browser.get("/me").expect(200);
    assert!(me.body.contains("You are alice, class aal2."), "{me:?}");
    let removal = "__Host-pending=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";
    assert!(answer.all("set-cookie").contains(&removal), "{answer:?}");
}

#[test]
fn a_code_alone_is_no_login_and_a_ticket_works_once() {
    let site = Site::start();
    let stranger = Browser::at(site.served.origin());
    enter(&stranger, "/login/code", &site.code(0)).expect(401);

    let browser = site.half_logged_in();
    let ticket = format!("Cookie: __Host-pending={}", browser.credential());
    enter(&browser, "/login/code", &site.code(0)).expect(303);
    let given = format!("code={}", site.code(1));
    let again = stranger.run("/login/code", &["-H", &ticket, "-d", &given]);
    again.expect(401);
    stranger.get("/me").expect(401);
}

#[test]
fn a_pending_login_waits_for_five_minutes() {
    let site = Site::start();
    let browser = site.half_logged_in();
    site.clock.advance(Duration::from_secs(300));
    enter(&browser, "/login/code", &site.code(0)).expect(401);
    browser.get("/me").expect(401);
}

#[test]
fn a_logout_everywhere_ends_a_pending_login() {
    let site = Site::start();
    let (browser, other) = (site.logged_in(), site.half_logged_in());
    browser.post("/logout-everywhere").expect(303);
    enter(&other, "/login/code", &site.code(1)).expect(401);
    other.get("/me").expect(401);
}

#[test]
fn a_login_leads_back_to_the_page_that_the_visitor_wanted() {
    let site = Site::start();
    let browser = Browser::at(site.served.origin());
    let password = format!("password={PASSWORD}");
    let fields = ["-d", "user=alice", "--data-urlencode", &password];
    let next = ["--data-urlencode", "next=/me?a=1&b=2"];
    browser
        .run("/login", &[fields.as_slice(), &next].concat())
        .expect(303);
    // Also after a wrong code.
    enter(&browser, "/login/code", &wrong_for(&site.code(0))).expect(401);
    let answer = enter(&browser, "/login/code", &site.code(0)).expect(303);
    assert_eq!(answer.field("location"), "/me?a=1&b=2");
}

/// RFC 6238, section 5.2: also in another browser, and as a step-up.
#[test]
fn a_code_is_accepted_once() {
    let site = Site::start();
    let browser = site.logged_in();
    let used = site.code(0);
    enter(&site.half_logged_in(), "/login/code", &used).expect(401);
    enter(&browser, "/confirm", &used).expect(401);
    site.clock.advance(HALF_MINUTE);
    // It would still be in the window.
    enter(&browser, "/confirm", &used).expect(401);
    enter(&browser, "/confirm", &site.code(0)).expect(303);
}

#[test]
fn attempts_are_limited_for_the_user_not_for_the_browser() {
    let site = Site::start();
    let thief = site.half_logged_in();
    let wrong = wrong_for(&site.code(0));
    for _ in 0..3 {
        enter(&thief, "/login/code", &wrong).expect(401);
    }
    let thief = site.half_logged_in();
    for _ in 0..2 {
        enter(&thief, "/login/code", &wrong).expect(401);
    }
    let thief = site.half_logged_in();
    enter(&thief, "/login/code", &site.code(0)).expect(429);
    thief.get("/me").expect(401);

    site.clock.advance(Duration::from_secs(15 * 60));
    site.logged_in().get("/me").expect(200);
}

#[test]
fn a_dangerous_act_asks_for_another_code_every_five_minutes() {
    let site = Site::start();
    let browser = site.logged_in();
    // Older than a transfer allows, which no password cures.
    site.clock.advance(6 * MINUTE);
    let led_to_the_code = |parameters: &str| {
        let denied = browser.post("/transfer").expect(401);
        let error = "Cookie realm=\"api\", error=\"insufficient_user_authentication\"";
        let challenge = format!("{error}, acr_values=\"confirmed\"{parameters}");
        assert_eq!(denied.field("www-authenticate"), challenge);
        let navigation = [
            "-X",
            "POST",
            "-H",
            "Sec-Fetch-Mode: navigate",
            "-H",
            "Sec-Fetch-Dest: document",
        ];
        let led = browser.run("/transfer", &navigation).expect(303);
        assert_eq!(led.field("location"), "/confirm");
    };
    led_to_the_code("");
    enter(&browser, "/confirm", &wrong_for(&site.code(1))).expect(401);
    browser.post("/transfer").expect(401);

    let before = browser.cookie("__Host-id");
    enter(&browser, "/confirm", &site.code(1)).expect(303);
    // A copy from before cannot transfer.
    assert_ne!(browser.cookie("__Host-id"), before);
    let copy = format!("Cookie: __Host-id={before}");
    let thief = Browser::at(site.served.origin());
    thief
        .run("/transfer", &["-X", "POST", "-H", &copy])
        .expect(401);
    browser.post("/transfer").expect(200);

    site.clock.advance(6 * MINUTE);
    led_to_the_code(", max_age=\"300\"");
    enter(&browser, "/confirm", &site.code(0)).expect(303);
    browser.post("/transfer").expect(200);

    // The step-up has expired.
    site.clock.advance(10 * MINUTE);
    led_to_the_code("");
    let me = browser.get("/me").expect(200);
    assert!(me.body.contains("class aal2."), "{me:?}");
    enter(&browser, "/confirm", &site.code(0)).expect(303);
    browser.post("/transfer").expect(200);
}
