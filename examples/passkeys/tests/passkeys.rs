//! The example `passkeys`, driven by curl and an authenticator in software.

#[path = "../../web/tests/support/mod.rs"]
mod support;

use webauthn_authenticator_rs::prelude::{RequestChallengeResponse, Url};
use webauthn_authenticator_rs::softpasskey::SoftPasskey;
use webauthn_authenticator_rs::{AuthenticatorBackend as _, WebauthnAuthenticator as _};

use support::{Answer, Browser, Example, curl, follow_the_header};

fn start() -> Example {
    Example::start("passkeys")
}

/// A browser with an authenticator.
struct Device {
    browser: Browser,
    authenticator: SoftPasskey,
    origin: Url,
}

impl Device {
    fn new(site: &Example) -> Self {
        let origin = site.origin().replace("127.0.0.1", "localhost");
        Self {
            browser: Browser::at(site.origin()),
            // Says that its user was verified.
            authenticator: SoftPasskey::new(true),
            origin: origin.parse().expect("an origin"),
        }
    }

    fn post(&self, path: &str, json: &str) -> Answer {
        self.browser.run(path, &["--json", json])
    }

    fn start(&self, what: &str, name: &str) -> Answer {
        let name = format!("{{\"name\":\"{name}\"}}");
        self.post(&format!("/{what}/start"), &name)
    }

    /// Starts a registration, and returns the answer of the authenticator.
    fn registration(&mut self, name: &str) -> String {
        let options = self.start("register", name).expect(200).body;
        let options = serde_json::from_str(&options).expect("options");
        let answer = self
            .authenticator
            .do_registration(self.origin.clone(), options);
        serde_json::to_string(&answer.expect("a passkey")).expect("JSON")
    }

    /// Starts a login, and returns the answer of the authenticator.
    fn login(&mut self, name: &str) -> String {
        let options = self.start("login", name).expect(200).body;
        let options = serde_json::from_str(&options).expect("options");
        let answer = self
            .authenticator
            .do_authentication(self.origin.clone(), options);
        serde_json::to_string(&answer.expect("a signature")).expect("JSON")
    }

    fn register(&mut self, name: &str) {
        let answer = self.registration(name);
        self.post("/register/finish", &answer).expect(204);
    }

    fn log_in(&mut self, name: &str) {
        let answer = self.login(name);
        self.post("/login/finish", &answer).expect(204);
    }

    fn log_out(&self) {
        self.browser.post("/logout").expect(303);
    }

    #[track_caller]
    fn expect_caller(&self, name: &str) {
        let me = self.browser.get("/me").expect(200);
        assert!(me.body.contains(&format!("You are {name},")), "{me:?}");
    }

    /// Returns the cookie of the challenge.
    fn challenge(&self) -> String {
        let name = "__Host-challenge";
        format!("Cookie: {name}={}", self.browser.cookie(name))
    }
}

/// Sends an answer with a copy of the cookie of its challenge.
fn replay(site: &Example, path: &str, cookie: &str, answer: &str) -> Answer {
    let url = format!("{}{path}", site.origin());
    curl(&["-H", cookie, "--json", answer, &url])
}

#[test]
fn the_commands_in_its_header_work() {
    follow_the_header(include_str!("../passkeys.rs"), start().origin());
}

#[test]
fn a_passkey_is_registered_and_logs_in() {
    let site = start();
    let mut device = Device::new(&site);
    device.browser.get("/me").expect(401);
    device.register("alice");
    device.expect_caller("alice");
    device.log_out();
    device.browser.get("/me").expect(401);
    device.log_in("alice");
    device.expect_caller("alice");
    device.log_in("alice");
    device.expect_caller("alice");
}

#[test]
fn a_challenge_that_is_used_twice_is_refused() {
    let site = start();
    let mut device = Device::new(&site);
    let answer = device.registration("alice");
    let cookie = device.challenge();
    device.post("/register/finish", &answer).expect(204);
    replay(&site, "/register/finish", &cookie, &answer).expect(401);
    device.log_out();

    let answer = device.login("alice");
    let cookie = device.challenge();
    device.post("/login/finish", &answer).expect(204);
    let again = replay(&site, "/login/finish", &cookie, &answer).expect(401);
    assert_eq!(again.all("set-cookie"), [""; 0]);
    device.expect_caller("alice");
}

#[test]
fn a_challenge_of_another_browser_is_refused_and_not_spent() {
    let site = start();
    let (mut device, mut thief) = (Device::new(&site), Device::new(&site));
    device.register("alice");
    device.log_out();
    thief.register("mallory");
    thief.log_out();

    let answer = device.login("alice");
    // Without a challenge, with one for the same user, and with one of its own.
    thief.post("/login/finish", &answer).expect(401);
    thief.start("login", "alice").expect(200);
    thief.post("/login/finish", &answer).expect(401);
    thief.start("login", "mallory").expect(200);
    thief.post("/login/finish", &answer).expect(401);
    thief.browser.get("/me").expect(401);
    device.post("/login/finish", &answer).expect(204);
    device.expect_caller("alice");
}

#[test]
fn a_challenge_of_another_kind_is_refused() {
    let site = start();
    let mut device = Device::new(&site);
    device.register("alice");
    device.log_out();
    let answer = device.login("alice");
    device.start("register", "bob").expect(200);
    device.post("/login/finish", &answer).expect(401);
}

#[test]
fn a_passkey_of_somebody_else_is_refused() {
    let site = start();
    let (mut alice, mut mallory) = (Device::new(&site), Device::new(&site));
    alice.register("alice");
    alice.log_out();
    mallory.register("mallory");
    mallory.log_out();
    let own = mallory.login("mallory");
    let options = mallory.start("login", "alice").expect(200).body;
    // Her authenticator has no passkey of alice.
    let options = serde_json::from_str(&options).expect("options");
    let answer = mallory
        .authenticator
        .do_authentication(mallory.origin.clone(), options);
    assert!(answer.is_err());
    mallory.post("/login/finish", &own).expect(401);
    mallory.browser.get("/me").expect(401);
}

/// A site in between has another origin, which the browser signs.
#[test]
fn an_answer_for_another_origin_is_refused() {
    let site = start();
    let mut device = Device::new(&site);
    device.register("alice");
    device.log_out();
    let options = device.start("login", "alice").expect(200).body;
    let options: RequestChallengeResponse = serde_json::from_str(&options).expect("options");
    let elsewhere = "http://evil.localhost:3000".parse().expect("an origin");
    // Signs without the checks of a browser.
    let authenticator = &mut device.authenticator;
    let answer = authenticator.perform_auth(elsewhere, options.public_key, 1000);
    let answer = serde_json::to_string(&answer.expect("a signature")).expect("JSON");
    device.post("/login/finish", &answer).expect(401);
    device.log_in("alice");
}

#[test]
fn another_passkey_needs_the_login() {
    let site = start();
    let (mut laptop, mut phone) = (Device::new(&site), Device::new(&site));
    laptop.register("alice");
    phone.start("register", "alice").expect(409);
    // The name is taken while the registration waits.
    let late = phone.registration("bob");
    Device::new(&site).register("bob");
    phone.post("/register/finish", &late).expect(409);
    phone.browser.get("/me").expect(401);

    // The laptop registers the passkey of the phone, whatever name it gives.
    let browser = std::mem::replace(&mut phone.browser, laptop.browser);
    phone.register("bob");
    laptop.browser = std::mem::replace(&mut phone.browser, browser);
    laptop.log_out();
    phone.log_in("alice");
    phone.expect_caller("alice");
    laptop.log_in("alice");
    laptop.expect_caller("alice");
}

/// Anyone may start logins under any name, and that ends no login of its user. Rejects tickets under
/// the name: a further one would end an older one.
#[test]
fn attempts_of_strangers_end_no_login() {
    let site = start();
    let mut device = Device::new(&site);
    device.register("alice");
    device.log_out();
    let answer = device.login("alice");
    for _ in 0..20 {
        Device::new(&site).start("login", "alice").expect(200);
    }
    device.post("/login/finish", &answer).expect(204);
    device.expect_caller("alice");
}
