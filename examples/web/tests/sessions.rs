//! The example `axum_sessions`, driven by curl. curl decides which cookies it stores and sends.

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../axum_sessions.rs"]
mod example;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use statewise::Observed;
use statewise::observer::TracingObserver;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::ManualClock;
use statewise::web::{AuthLayer, Cookie, Transport};

use example::passwords::{Credentials, Passwords};
use support::{Answer, Browser, Example, Served, curl, follow_the_header};

const PASSWORD: &str = "correct horse battery staple";
const REMOVAL: &str = "__Host-id=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";

fn start() -> Example {
    Example::start("axum_sessions")
}

fn logged_in(site: &Example) -> Browser {
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    browser
}

/// Sends a request with a cookie that the jar has dropped.
fn with_cookie(site: &Example, credential: &str, path: &str, args: &[&str]) -> Answer {
    let url = format!("{}{path}", site.origin());
    let cookie = format!("Cookie: __Host-id={credential}");
    curl(&[args, &["-H", &cookie, &url]].concat())
}

/// Returns the ids in the list of devices.
fn devices(browser: &Browser) -> Vec<String> {
    let body = browser.get("/devices").expect(200).body;
    let ids = body.split("action=/devices/").skip(1);
    ids.map(|rest| rest.split('/').next().expect("an id").to_owned())
        .collect()
}

#[test]
fn the_commands_in_its_header_work() {
    follow_the_header(include_str!("../axum_sessions.rs"), start().origin());
}

/// The request in flight is answered, and then the program ends.
#[test]
fn it_stops_in_order_when_it_is_terminated() {
    let mut site = start();
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(303);
    assert!(site.terminate().success());
}

#[test]
fn a_login_sets_a_cookie_that_curl_stores_and_sends() {
    let site = start();
    let browser = Browser::at(site.origin());
    let home = browser.get("/").expect(200);
    assert!(home.body.contains("action=/login"), "{home:?}");
    assert_eq!(browser.get("/me").expect(401).all("set-cookie"), [""; 0]);

    let answer = browser.log_in("alice", PASSWORD).expect(303);
    let set = answer.field("set-cookie");
    let credential = browser.credential();
    assert_eq!(
        set,
        format!("__Host-id={credential}; Path=/; Secure; HttpOnly; SameSite=Lax")
    );
    assert_eq!(answer.field("cache-control"), "no-store");
    let kept = [
        "#HttpOnly_127.0.0.1",
        "FALSE",
        "/",
        "TRUE",
        "0",
        "__Host-id",
    ];
    assert_eq!(browser.cookies()[0][..6], kept);

    let me = browser.get("/me").expect(200);
    assert!(me.body.contains("You are alice,"), "{me:?}");
    assert_eq!(me.field("cache-control"), "no-store");
    assert_eq!(me.field("vary"), "Cookie");
    assert!(browser.get("/").expect(200).body.contains("Hello, alice."));
    assert!(!me.body.contains(&credential));
}

/// Also after a wrong password, but never to another site.
#[test]
fn a_login_leads_back_to_the_page_that_the_visitor_wanted() {
    let site = start();
    let browser = Browser::at(site.origin());
    let navigation = [
        "-H",
        "Sec-Fetch-Mode: navigate",
        "-H",
        "Sec-Fetch-Dest: document",
    ];
    let denied = browser.run("/devices?a=1&b=2", &navigation).expect(303);
    let page = browser.get(denied.field("location")).expect(200);
    let hidden = "name=next value='/devices?a=1&amp;b=2'";
    assert!(page.body.contains(hidden), "{page:?}");

    let log_in = |password: &str, next: &str| {
        let (password, next) = (format!("password={password}"), format!("next={next}"));
        let fields = ["-d", "user=alice", "--data-urlencode", &password];
        browser.run(
            "/login",
            &[&fields[..], &["--data-urlencode", &next]].concat(),
        )
    };
    let again = log_in("guess", "/devices?a=1&b=2").expect(401);
    assert!(again.body.contains(hidden), "{again:?}");
    let led = log_in(PASSWORD, "/devices?a=1&b=2").expect(303);
    assert_eq!(led.field("location"), "/devices?a=1&b=2");
    let led = log_in(PASSWORD, "//evil.example/").expect(303);
    assert_eq!(led.field("location"), "/");
}

#[test]
fn a_wrong_password_and_an_unknown_user_have_the_same_response() {
    let site = start();
    let answers = [
        ("alice", "guess"),
        ("mallory", "guess"),
        ("mallory", "decoy"),
    ];
    let [wrong, unknown, decoy] = answers.map(|(user, password)| {
        let browser = Browser::at(site.origin());
        let mut answer = browser.log_in(user, password).expect(401);
        assert_eq!(browser.cookies().len(), 0);
        answer.fields.retain(|(name, _)| name != "date");
        answer
    });
    assert_eq!(wrong.field("www-authenticate"), "Cookie realm=\"api\"");
    assert!(wrong.body.contains("action=/login"), "{wrong:?}");
    for other in [unknown, decoy] {
        assert_eq!(wrong.fields, other.fields);
        assert_eq!(wrong.body, other.body);
    }
}

#[test]
fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let passwords = Passwords::of(&[("alice", PASSWORD)]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let time = |user: &str| {
        let given = Credentials {
            user: user.to_owned(),
            password: "guess".to_owned(),
        };
        let begun = Instant::now();
        assert!(!runtime.block_on(passwords.check(&given)).unwrap());
        begun.elapsed()
    };
    // In turns, so that other load on the machine meets both.
    let times = (0..20).map(|_| (time("alice"), time("mallory")));
    let (mut wrong, mut unknown) = (Duration::MAX, Duration::MAX);
    for (one, other) in times {
        (wrong, unknown) = (wrong.min(one), unknown.min(other));
    }
    // Without the decoy hash, an unknown user would take almost no time.
    assert!(unknown > wrong / 2, "{unknown:?} and {wrong:?}");
}

#[test]
fn a_planted_session_is_not_logged_in() {
    let site = start();
    // A valid credential, and one that the server never issued.
    let planted = logged_in(&site).credential();
    let made_up: String = planted.chars().rev().collect();
    for planted in [planted, made_up] {
        let form = format!("user=alice&password={PASSWORD}");
        let answer = with_cookie(&site, &planted, "/login", &["-d", &form]).expect(303);
        let set = answer.field("set-cookie");
        let value = set
            .strip_prefix("__Host-id=")
            .and_then(|set| set.split(';').next());
        let issued = value.expect("a cookie");
        assert_ne!(issued, planted);
        with_cookie(&site, &planted, "/me", &[]).expect(401);
        with_cookie(&site, issued, "/me", &[]).expect(200);
    }
}

#[test]
fn a_second_login_ends_the_first_one() {
    let site = start();
    let browser = logged_in(&site);
    let before = browser.credential();
    browser.log_in("alice", PASSWORD).expect(303);
    assert_ne!(browser.credential(), before);
    with_cookie(&site, &before, "/me", &[]).expect(401);
    assert_eq!(devices(&browser).len(), 1);
}

#[test]
fn a_logout_removes_the_cookie_and_ends_the_session() {
    let site = start();
    let browser = logged_in(&site);
    let credential = browser.credential();
    let answer = browser.post("/logout").expect(303);
    assert_eq!(answer.field("set-cookie"), REMOVAL);
    assert_eq!(browser.cookies().len(), 0, "curl has dropped the cookie");

    // A copy of the credential is rejected, and the response removes its cookie.
    let rejected = with_cookie(&site, &credential, "/me", &[]).expect(401);
    let challenge = rejected.field("www-authenticate");
    assert_eq!(challenge, "Cookie realm=\"api\", error=\"invalid_token\"");
    assert_eq!(rejected.field("set-cookie"), REMOVAL);
    // The home page is public: it greets an anonymous visitor.
    let home = with_cookie(&site, &credential, "/", &[]).expect(200);
    assert!(home.body.contains("action=/login"), "{home:?}");
    assert_eq!(home.field("set-cookie"), REMOVAL);
    // The response to a script does not: the request may be older than another login.
    let script = [
        "-H",
        "Sec-Fetch-Mode: cors",
        "-H",
        "Sec-Fetch-Site: same-origin",
    ];
    let late = with_cookie(&site, &credential, "/me", &script).expect(401);
    assert_eq!(late.all("set-cookie"), [""; 0]);
    // A second logout succeeds.
    browser.post("/logout").expect(303);
}

#[test]
fn a_logout_everywhere_ends_the_session_of_another_browser() {
    let site = start();
    let (one, other) = (logged_in(&site), logged_in(&site));
    let answer = one.post("/logout-everywhere").expect(303);
    assert_eq!(answer.field("set-cookie"), REMOVAL);
    assert_eq!(one.cookies().len(), 0);
    assert_eq!(
        other.cookies().len(),
        1,
        "the other browser still has its cookie"
    );
    other.get("/me").expect(401);
    assert_eq!(other.cookies().len(), 0);
    one.post("/logout-everywhere").expect(401);
}

#[test]
fn devices_are_listed_and_ended_individually() {
    let site = start();
    let phone = Browser::at(site.origin());
    let form = format!("user=alice&password={PASSWORD}");
    let agent = "<script>&'\"";
    phone.run("/login", &["-A", agent, "-d", &form]).expect(303);
    let phones = devices(&phone);
    let laptop = logged_in(&site);

    let listed = laptop.get("/devices").expect(200).body;
    assert!(
        listed.contains("&lt;script&gt;&amp;&#39;&quot;, last seen"),
        "{listed}"
    );
    assert!(!listed.contains("<script>"), "{listed}");
    assert_eq!(listed.matches("(this one)").count(), 1);
    assert_eq!(devices(&laptop).len(), 2);
    for credential in [phone.credential(), laptop.credential()] {
        assert!(!listed.contains(&credential));
    }

    let end = |id: &str| laptop.post(&format!("/devices/{id}/end"));
    assert_eq!(end(&phones[0]).expect(303).field("location"), "/devices");
    phone.get("/me").expect(401);
    laptop.get("/me").expect(200);
    assert_eq!(devices(&laptop).len(), 1);
    // A session that has ended already, and a malformed id.
    end(&phones[0]).expect(303);
    end("x").expect(404);
    Browser::at(site.origin())
        .post("/devices/x/end")
        .expect(401);
}

#[test]
fn other_sites_cannot_act_with_the_cookie() {
    let site = start();
    let browser = logged_in(&site);
    let credential = browser.credential();
    for field in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: https://evil.example",
        "Origin: null",
    ] {
        for path in ["/logout", "/logout-everywhere", "/password", "/login"] {
            let form = format!("user=alice&password={PASSWORD}");
            let denied = browser.run(path, &["-H", field, "-d", &form]).expect(403);
            assert_eq!(denied.all("set-cookie"), [""; 0], "{path} with {field}");
            assert_eq!(denied.body, "403 Forbidden\n");
        }
    }
    assert_eq!(browser.credential(), credential);
    // Links from other sites work.
    browser
        .run("/me", &["-H", "Sec-Fetch-Site: cross-site"])
        .expect(200);
    let own = format!("Origin: {}", site.origin());
    browser
        .run("/logout", &["-X", "POST", "-H", &own])
        .expect(303);
}

#[test]
fn a_new_password_ends_all_other_logins() {
    let site = start();
    let (browser, other) = (logged_in(&site), logged_in(&site));
    let before = browser.credential();
    browser
        .run("/password", &["-d", "password=new"])
        .expect(303);
    assert_ne!(browser.credential(), before);
    browser.get("/me").expect(200);
    with_cookie(&site, &before, "/me", &[]).expect(401);
    other.get("/me").expect(401);
    other.log_in("alice", PASSWORD).expect(401);
    other.log_in("alice", "new").expect(303);
}

#[test]
fn a_new_password_requires_a_recent_login() {
    let clock = ManualClock::default();
    let store = MemoryStore::with_capacity(10).unwrap();
    let hour = Duration::from_secs(3600);
    let auth = SessionAuthenticator::builder(store)
        .idle(hour)
        .absolute(hour)
        .clock(clock.clone())
        .build();
    let auth = Observed::new(auth.unwrap(), Arc::new(TracingObserver::new()));
    let auth = Arc::new(auth);
    let layer = AuthLayer::new(auth.clone(), Transport::cookie(Cookie::default())).unwrap();
    let layer = layer.login_page("/login").unwrap();
    let passwords = Passwords::of(&[("alice", PASSWORD)]).unwrap();
    let site = Served::new(example::router(auth, layer.clock(clock.clone()), passwords));
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(303);

    clock.advance(Duration::from_secs(300));
    browser
        .run("/password", &["-d", "password=new"])
        .expect(303);
    clock.advance(Duration::from_secs(301));
    let denied = browser
        .run("/password", &["-d", "password=newer"])
        .expect(401);
    assert_eq!(
        denied.field("www-authenticate"),
        "Cookie realm=\"api\", error=\"insufficient_user_authentication\", max_age=\"300\""
    );
    assert_eq!(denied.all("set-cookie"), [""; 0], "still logged in");
    // A browser shows the login page, which says why.
    let navigation = ["-H", "Sec-Fetch-Mode: navigate", "-d", "password=newer"];
    let led = browser.run("/password", &navigation).expect(303);
    let page = browser.get(led.field("location")).expect(200);
    assert!(page.body.contains("enter your password again"), "{page:?}");
    assert!(page.body.contains("action=/login"), "{page:?}");
    browser.get("/me").expect(200);
    browser.log_in("alice", "newer").expect(401);
    browser.log_in("alice", "new").expect(303);
    browser
        .run("/password", &["-d", "password=newer"])
        .expect(303);
}
