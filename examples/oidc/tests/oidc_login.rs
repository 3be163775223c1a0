//! The example `oidc_login`, driven by curl, with a provider in this process.

#[path = "../provider.rs"]
mod provider;
#[path = "../../web/tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};

use provider::{CLIENT_ID, CLIENT_SECRET, KEY, Keys};
use support::{Answer, Browser, Example, Served, curl, follow_the_header};

/// Key that the provider does not publish.
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIEJernCU1f7x/vtt3YMbGF7rbVak9yHE6DVSt6fNuWJ9\n\
    -----END PRIVATE KEY-----\n";
const NO_PROXY: (&str, &str) = ("NO_PROXY", "127.0.0.1");

struct Site {
    service: Example,
    provider: Served,
}

impl Site {
    fn start() -> Self {
        Self::start_with(KEY, |_| {})
    }

    /// Starts a service. Its provider signs with `key` and rewrites the claims.
    fn start_with(key: &'static str, rewrite: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        let signs = ("one", key);
        let keys = Keys {
            signs,
            ..Keys::one()
        };
        let provider = Served::with(|origin| provider::provider(origin, keys.shared(), rewrite));
        let settings = [
            ("OIDC_ISSUER", provider.origin()),
            ("OIDC_CLIENT_ID", CLIENT_ID),
            ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
            NO_PROXY,
        ];
        let service = Example::start_with("oidc_login", &settings);
        Self { service, provider }
    }

    fn browser(&self) -> Browser {
        Browser::at(self.service.origin())
    }

    /// Returns the path of the service to which the provider leads this browser back.
    fn led_back(&self, browser: &Browser, path: &str) -> String {
        let asked = browser.get(path).expect(303);
        let address = asked.field("location");
        assert!(address.starts_with(self.provider.origin()), "{address}");
        let led = curl(&[address]).expect(303);
        let path = led.field("location").strip_prefix(self.service.origin());
        path.expect("an address of the service").to_owned()
    }

    fn log_in(&self, browser: &Browser) -> Answer {
        browser.get(&self.led_back(browser, "/login?next=/account?a=1"))
    }
}

/// Returns a parameter of a path.
fn parameter<'a>(path: &'a str, name: &str) -> &'a str {
    let (_, query) = path.split_once('?').expect("a query");
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|pair| pair.0 == name);
    value.expect("the parameter").1
}

fn names(browser: &Browser) -> Vec<String> {
    let cookies = browser.cookies().into_iter();
    cookies.map(|fields| fields[5].clone()).collect()
}

#[test]
fn the_commands_in_its_header_work() {
    let service = Example::start_with("oidc_login", &[NO_PROXY]);
    follow_the_header(include_str!("../oidc_login.rs"), service.origin());
}

#[test]
fn a_login_leads_back_to_the_page_that_the_visitor_wanted() {
    let site = Site::start();
    let browser = site.browser();
    browser.get("/account").expect(401);
    let back = site.led_back(&browser, "/login?next=/account?a=1%26b=2");
    assert_eq!(names(&browser), ["__Host-login"], "no login yet");
    let answer = browser.get(&back).expect(303);
    assert_eq!(answer.field("location"), "/account?a=1&b=2");
    let removal = "__Host-login=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";
    assert!(answer.all("set-cookie").contains(&removal), "{answer:?}");
    let account = browser.get("/account").expect(200);
    assert!(
        account.body.contains("You are alice, 248289761001"),
        "{account:?}"
    );

    let elsewhere = site.browser();
    let back = site.led_back(&elsewhere, "/login?next=//evil.example/");
    assert_eq!(elsewhere.get(&back).expect(303).field("location"), "/");
}

/// Otherwise an attacker could log a visitor in as another user (login CSRF; RFC 6749, section 10.12).
#[test]
fn the_state_of_another_browser_is_refused_and_not_spent() {
    let site = Site::start();
    let (browser, other) = (site.browser(), site.browser());
    let back = site.led_back(&browser, "/login");
    other.get(&back).expect(401);
    // Also if the other browser has started a login of its own.
    let others = site.led_back(&other, "/login");
    other.get(&back).expect(401);
    assert_eq!(names(&other), ["__Host-login"]);
    browser.get(&back).expect(303);
    other.get(&others).expect(303);
}

#[test]
fn a_replayed_callback_is_refused() {
    let site = Site::start();
    let browser = site.browser();
    let back = site.led_back(&browser, "/login");
    let secret = format!("Cookie: __Host-login={}", browser.credential());
    browser.get(&back).expect(303);
    // With the secret of the browser, and without it.
    for fields in [&["-H", &*secret][..], &[]] {
        let again = site.browser();
        let denied = again.run(&back, fields).expect(401);
        assert_eq!(denied.all("set-cookie"), [""; 0]);
    }
    browser.get("/account").expect(200);
}

/// The provider binds each code to the PKCE challenge of its request (RFC 7636).
#[test]
fn a_code_of_another_login_is_refused() {
    let site = Site::start();
    let (browser, thief) = (site.browser(), site.browser());
    let stolen = site.led_back(&browser, "/login");
    let own = site.led_back(&thief, "/login");
    let (code, state) = (parameter(&stolen, "code"), parameter(&own, "state"));
    let mixed = format!("/callback?code={code}&state={state}");
    thief.get(&mixed).expect(401);
    thief.get("/account").expect(401);
}

#[test]
fn a_user_who_refuses_is_not_logged_in() {
    let site = Site::start();
    let browser = site.browser();
    let back = site.led_back(&browser, "/login");
    let state = parameter(&back, "state");
    let refused = format!("/callback?error=access_denied&state={state}");
    browser.get(&refused).expect(401);
    browser.get(&back).expect(401);
    site.log_in(&browser).expect(303);
}

#[test]
fn a_wrong_id_token_is_refused() {
    let wrongs: [(&str, Value); 5] = [
        ("nonce", json!("of another request")),
        ("nonce", Value::Null),
        ("aud", json!("another-client")),
        ("iss", json!("https://evil.example")),
        ("exp", json!(1_000_000_000)),
    ];
    for (claim, wrong) in wrongs {
        let (name, value) = (claim.to_owned(), wrong.clone());
        let site = Site::start_with(KEY, move |claims| claims[&name] = value.clone());
        let browser = site.browser();
        let denied = site.log_in(&browser);
        assert_eq!(denied.status, 401, "{claim}: {wrong}");
        browser.get("/account").expect(401);
    }
    let site = Site::start_with(OTHER_KEY, |_| {});
    site.log_in(&site.browser()).expect(401);
}

#[test]
fn an_outage_of_the_provider_is_no_failed_login() {
    let site = Site::start();
    let browser = site.browser();
    let back = site.led_back(&browser, "/login");
    drop(site.provider);
    let answer = browser.get(&back).expect(503);
    assert!(!answer.all("retry-after").is_empty(), "{answer:?}");
}
